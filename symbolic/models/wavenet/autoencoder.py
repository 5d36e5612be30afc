"""A whole autoencoder: sound → temporal codes → the probability of every sample.

It knows sound and µ-law codes as tensors; how sound becomes codes is `symbolic.dsp.mu_law`. `writer` makes up the temporal codes of a
note from pitch, velocity and length alone, for playing without a recording. The kinds differ in their decoders only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from symbolic.models.wavenet.code_writer import CodeWriter
from symbolic.models.wavenet.conditioning import Conditioning
from symbolic.models.wavenet.configuration import AutoencoderConfig, WavenetConfig
from symbolic.models.wavenet.decoder import Decoder
from symbolic.models.wavenet.encoder import Encoder


class Player(Protocol):
    """A decoder that plays sample by sample, several notes side by side; what it remembers of them are lanes. It keeps its weights."""

    @property
    def config(self) -> AutoencoderConfig:
        """Of the model."""

    def lanes(self, count: int) -> Any:
        """Silence."""

    def silence(self, lanes: Any, lane: int) -> None:
        """Let one lane begin anew."""

    def chosen(self, lanes: Any, index: np.ndarray) -> Any:
        """A copy of some lanes."""

    def play(self, lanes: Any, conditioning: np.ndarray, cycles: np.ndarray, random: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """The next codes (B, J · hold) of every lane; `lanes` moves on in place.

        `conditioning` (J, B, W); `cycles` (B, J + 1), which go on where the last ones ended; `random` (B, J · hold) within 0 … 1;
        `temperature` (B,): 0 takes the likeliest code.
        """


class Autoencoder(nn.Module, ABC):
    """Encoder, conditioning, decoder and code writer.

    A decoder gives logits (B, T, levels) of codes (B, T), conditioning (B, J, W) and cycles (B, J + 1), and has an `embedding` of codes, an
    `excitation` and a `head`.
    """

    def __init__(self, config: AutoencoderConfig, decoder: Callable[[Any], nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.conditioning = Conditioning(config)
        self.decoder: Any = decoder(config)
        self.writer = CodeWriter(config)

    def forward(self, sound: Tensor, codes: Tensor, pitch: Tensor, velocity: Tensor, cycles: Tensor) -> Tensor:
        """Logits (B, T, levels) of µ-law codes (B, T), by teacher forcing.

        `sound` (B, T) is the same notes at full scale −1 … 1; pitch (B,) MIDI numbers, velocity (B,) 0 … 127,
        cycles (B, J + 1) as in `symbolic.models.wavenet.excitation`. T is a whole number of `code_samples`.
        """
        return self.decoder(codes, self.conditioning(self.encoder(sound), pitch, velocity), cycles)

    @torch.no_grad()
    def encode(self, sound: Tensor) -> Tensor:
        """Temporal codes (F, `code_size`) of a sound (S,), which is filled up with silence to whole codes."""
        size = self.config.code_samples
        whole = max(1, -(-len(sound) // size)) * size
        return self.encoder(nn.functional.pad(sound, (0, whole - len(sound)))[None])[0]

    @abstractmethod
    def player(self, native: bool | None = None) -> Player:
        """What plays this model: in machine code, or in PyTorch; None: in machine code where that fits."""

    def fits_native(self) -> bool:
        """Whether it can be played in machine code: in float32, on the processor."""
        weight = self.decoder.head.weight
        return weight.device.type == "cpu" and weight.dtype == torch.float32


class Wavenet(Autoencoder):
    """The autoencoder whose decoder is a WaveNet."""

    config: WavenetConfig

    def __init__(self, config: WavenetConfig) -> None:
        super().__init__(config, Decoder)

    def player(self, native: bool | None = None) -> Player:
        """What plays it."""
        from symbolic.models.wavenet.native import NativeDecoder
        from symbolic.models.wavenet.queues import TensorDecoder

        native = self.fits_native() if native is None else native
        return NativeDecoder(self.decoder) if native else TensorDecoder(self.decoder)
