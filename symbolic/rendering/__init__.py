"""Notes to sound: every General MIDI program and the drum kit, with no sound bank.

`render` gives an array and `render_file` a file. Notes become controls (`controls`), controls become sound (`voices`), voices
become a mix in a room (`mixing`), and the mix is brought to its loudness (`mastering`).
"""

from symbolic.rendering.render import VOICES, RenderReport, render, render_file

__all__ = ["VOICES", "RenderReport", "render", "render_file"]
