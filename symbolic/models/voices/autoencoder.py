"""A voice that learns: the decoder that plays, and the encoder that hears a recording's timbre code. Only training needs the latter."""

import torch
from torch import nn

from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.timbre_encoder import TimbreEncoder


class VoiceAutoencoder(nn.Module):
    """Both; `encoder` is None in a voice without a code."""

    def __init__(self, config: VoiceConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.decoder = VoiceDecoder(config, dropout)
        self.encoder = TimbreEncoder(config) if config.code else None

    def code(self, sound: torch.Tensor, pitch: torch.Tensor, loudness: torch.Tensor) -> torch.Tensor | None:
        """The code (B, F, D) of sound (B, F · hop / 3) at 16 kHz with pitch in hertz and loudness in decibels (B, F)."""
        return None if self.encoder is None else self.encoder(sound, pitch, loudness)

    def named_weights(self) -> dict[str, torch.Tensor]:
        """The state as files hold it: the decoder's parts by their names, the encoder's after `encoder.`."""
        encoder = {} if self.encoder is None else self.encoder.state_dict(prefix="encoder.")
        return self.decoder.state_dict() | encoder

    def load_named_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Take such a state. Raises `RuntimeError` when its names or shapes are others."""
        names = {name for name in weights if name.startswith("encoder.")}
        self.decoder.load_state_dict({name: part for name, part in weights.items() if name not in names})
        if self.encoder is not None:
            self.encoder.load_state_dict({name.removeprefix("encoder."): weights[name] for name in names})
        elif names:
            raise RuntimeError("an encoder in a voice without a code")
