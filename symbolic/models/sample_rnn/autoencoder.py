"""The autoencoder whose decoder is a SampleRNN; all else is a WaveNet autoencoder's."""

from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.models.sample_rnn.decoder import Decoder
from symbolic.models.wavenet.autoencoder import Autoencoder, Player


class SampleRnn(Autoencoder):
    """Encoder, conditioning, SampleRNN decoder and code writer."""

    config: SampleRnnConfig

    def __init__(self, config: SampleRnnConfig) -> None:
        super().__init__(config, Decoder)

    def player(self, native: bool | None = None) -> Player:
        """What plays it."""
        from symbolic.models.sample_rnn.native import NativeDecoder
        from symbolic.models.sample_rnn.stepping import TensorDecoder

        native = self.fits_native() if native is None else native
        return NativeDecoder(self.decoder) if native else TensorDecoder(self.decoder)
