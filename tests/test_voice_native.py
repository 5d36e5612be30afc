"""The decoder of a voice in machine code equals the one in PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.native import NativeDecoder, load_native_decoder
from symbolic.models.voices.voice import save_voice

SHAPES = [
    VoiceConfig(partials=30, noise_bands=17, envelope_points=9, width=32, memory=64, stride=2, code=5),
    VoiceConfig(partials=61, noise_bands=5, envelope_points=4, width=20, memory=19, stride=3, sample_rate=16000, highest_pitch=2e3, code=0),
]


def decoder_of(config: VoiceConfig) -> VoiceDecoder:
    torch.manual_seed(0)
    decoder = VoiceDecoder(config).eval()
    with torch.no_grad():
        for part in decoder.parameters():  # far from the even beginning, where a mistake would not show
            part.add_(0.3 * torch.randn_like(part))
    return decoder


def native_of(decoder: VoiceDecoder) -> NativeDecoder:
    return NativeDecoder(decoder.config, {name: part.numpy() for name, part in decoder.state_dict().items()})


def controls(rows: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows)
    pitch = 440 * 2 ** np.clip(random.normal(0, 0.1, (rows, frames)).cumsum(1), -2, 2)
    return pitch.astype(np.float32), random.uniform(-90, 5, (rows, frames)).astype(np.float32)


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_machine_code_equals_pytorch(config: VoiceConfig, rows: int) -> None:
    """Amplitudes below half the rate, gains and memory are those of the network in PyTorch, from silence on, for any number of rows."""
    decoder, (pitch, loudness) = decoder_of(config), controls(rows, 60)
    amplitudes, gains, state = native_of(decoder)(pitch, loudness)
    with torch.inference_mode():
        expected, memory = decoder(torch.from_numpy(pitch), torch.from_numpy(loudness))
    heard = pitch[..., None] * np.arange(1, config.partials + 1) < config.sample_rate / 2
    assert (~heard).any() or config.sample_rate > 16000
    np.testing.assert_allclose(amplitudes, np.where(heard, expected.amplitudes.numpy(), 0), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(gains, expected.gains.numpy(), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(state, memory[0].numpy(), atol=1e-4)


def test_stretches_follow_on() -> None:
    """Two calls with the memory between them give what one call gives; a row does not depend on the rows beside it."""
    native, (pitch, loudness) = native_of(decoder_of(SHAPES[0])), controls(3, 80)
    whole = native(pitch, loudness)
    first = native(pitch[:, :30], loudness[:, :30])
    second = native(pitch[:, 30:], loudness[:, 30:], first[2])
    alone = native(pitch[1:2], loudness[1:2])
    for place in (0, 1):
        np.testing.assert_allclose(np.concatenate([first[place], second[place]], 1), whole[place], rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(alone[place][0], whole[place][1], rtol=1e-4, atol=1e-8)
    with pytest.raises(ValueError, match="no multiple of the stride"):
        native(pitch[:, :31], loudness[:, :31])


def test_a_saved_voice_is_read_without_torch(tmp_path: Path) -> None:
    """What was saved in half precision plays alike; a damaged voice is told in one line."""
    voice, (pitch, loudness) = VoiceAutoencoder(SHAPES[0]), controls(1, 20)
    decoder = voice.decoder
    save_voice(tmp_path / "voice", voice, {}, half=True)
    read = load_native_decoder(tmp_path / "voice")(pitch, loudness)
    np.testing.assert_allclose(read[1], native_of(decoder.half().float())(pitch, loudness)[1], rtol=1e-4, atol=1e-7)
    weights = tmp_path / "voice" / "voice.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        load_native_decoder(tmp_path / "voice")
