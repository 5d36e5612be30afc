"""The whole WaveNet autoencoder: sound → temporal codes → the probability of every sample.

It knows sound and µ-law codes as tensors; how sound becomes codes is `symbolic.dsp.mu_law`. `writer` makes up the temporal codes of a
note from pitch, velocity and length alone, for playing without a recording.
"""

import torch
from torch import Tensor, nn

from symbolic.models.wavenet.code_writer import CodeWriter
from symbolic.models.wavenet.conditioning import Conditioning
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.decoder import Decoder
from symbolic.models.wavenet.encoder import Encoder


class Wavenet(nn.Module):
    """Encoder, conditioning, decoder and code writer."""

    def __init__(self, config: WavenetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.conditioning = Conditioning(config)
        self.decoder = Decoder(config)
        self.writer = CodeWriter(config)

    def forward(self, sound: Tensor, codes: Tensor, pitch: Tensor, velocity: Tensor) -> Tensor:
        """Logits (B, T, levels) of µ-law codes (B, T), by teacher forcing.

        `sound` (B, T) is the same notes at full scale −1 … 1; pitch (B,) MIDI numbers, velocity (B,) 0 … 127.
        T is a whole number of `code_samples`.
        """
        return self.decoder(codes, self.conditioning(self.encoder(sound), pitch, velocity))

    @torch.no_grad()
    def encode(self, sound: Tensor) -> Tensor:
        """Temporal codes (F, `code_size`) of a sound (S,), which is filled up with silence to whole codes."""
        size = self.config.code_samples
        whole = max(1, -(-len(sound) // size)) * size
        return self.encoder(nn.functional.pad(sound, (0, whole - len(sound)))[None])[0]
