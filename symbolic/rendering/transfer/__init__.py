"""Timbre transfer: what one instrument or voice plays, played by a learned one.

`listening` turns a sound into pitch and loudness, `matching` brings them to the voice's compass and loudness, `singing` plays them.
`live` joins the three block by block with a bounded delay; `whole` hears a file to its end first, and therefore knows better.
"""

from symbolic.rendering.transfer.live import TransferStream
from symbolic.rendering.transfer.whole import TransferReport, transfer, transfer_file

__all__ = ["TransferReport", "TransferStream", "transfer", "transfer_file"]
