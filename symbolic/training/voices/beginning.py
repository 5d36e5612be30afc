"""What a voice's training begins with: the weights of another voice instead of new ones, which is faster and needs fewer recordings."""

import torch

from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.voice import load_autoencoder

FREE = ("lowest_pitch", "highest_pitch", "loudness_quantiles", "code")
"""What may differ between the two: a voice without a timbre code learns one from zero."""


def take_weights(model: VoiceAutoencoder, source: str) -> None:
    """Give `model` the weights of a bundled voice or of a folder with one. Raises `InputError` where their shapes differ."""
    other, _ = load_autoencoder(voice_folder(source))
    for name, value in vars(model.config).items():
        if name not in FREE and getattr(other.config, name) != value:
            raise InputError(f"from_voice {source}: its {name} is {getattr(other.config, name)}, not {value}; set it so in the settings")
    given, own = other.named_weights(), model.named_weights()
    if other.config.code not in (0, model.config.code):
        raise InputError(f"from_voice {source}: its code is {other.config.code}, not {model.config.code}; set it so in the settings")
    for name in ("gru.weight_ih_l0", "output_layers.0.weight"):  # the last inputs are the code's
        given[name] = torch.cat([given[name], own[name][:, given[name].shape[1] :]], 1)
    model.load_named_weights(own | given)
