"""The timbre code of a voice: what it hears and when, that it tells sounds apart which pitch and loudness do not, voices without one."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from symbolic.dsp.decimation import decimate
from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import WITHOUT_CODE, VoiceConfig
from symbolic.models.voices.timbre_encoder import CONTEXT, FINE
from symbolic.models.voices.voice import VoicePlayer, load_decoder, play, save_voice, synthesise
from symbolic.training.voices.loss import training_loss

SMALL = VoiceConfig(partials=16, noise_bands=17, envelope_points=12, width=16, memory=16, code=4)
STEP = 128  # samples at 16 kHz of a step of the network
RATE = 48000


@pytest.fixture
def voice() -> VoiceAutoencoder:
    torch.manual_seed(0)
    return VoiceAutoencoder(SMALL).eval()


def controls(rows: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(rows)
    return 200 * 2 ** torch.rand(rows, frames), -30 * torch.rand(rows, frames)


@torch.no_grad()
def test_the_code_hears_what_sounds_around_it(voice: VoiceAutoencoder) -> None:
    """Sound changed from a moment on changes no code earlier than a window and its context reach, and does change those after it."""
    pitch, loudness = controls(2, 200)
    sound = 0.1 * torch.randn(2, 200 * 64)
    changed = sound.clone()
    changed[:, 6400:] *= torch.linspace(0.1, 1, 6400)
    one, other = (voice.code(heard, pitch, loudness) for heard in (sound, changed))
    assert one is not None
    assert other is not None
    assert one.shape == (2, 200, SMALL.code)
    reach = (FINE // 2 + CONTEXT // 2 * STEP) // 64 + 2
    assert torch.equal(one[:, : 100 - reach], other[:, : 100 - reach])
    assert (one - other)[:, 100:].abs().amax((0, 2)).min() > 1e-4
    assert torch.equal(one[:, ::2], one[:, 1::2])
    assert one.abs().max() <= 1


@torch.no_grad()
def test_the_code_is_of_the_colour_not_of_the_level(voice: VoiceAutoencoder) -> None:
    """The same sound 20 dB softer, told to be softer, has nearly the same code; in silence whatever sounds is not heard."""
    pitch, loudness = controls(1, 100)
    sound = 0.5 * torch.randn(1, 6400)
    voice.encoder.layers[0].weight[:, -1] = 0  # type: ignore[union-attr]  the loudness itself is told, too
    loud, soft = voice.code(sound, pitch, loudness), voice.code(0.1 * sound, pitch, loudness - 20)
    np.testing.assert_allclose(loud, soft, atol=1e-3)  # type: ignore[arg-type]
    silent = torch.full_like(loudness, -80.0)
    assert torch.equal(voice.code(sound, pitch, silent), voice.code(2 * sound.flip(-1), pitch, silent))  # type: ignore[arg-type]


def test_blocks_with_a_code_are_the_whole(voice: VoiceAutoencoder) -> None:
    """Blocks of any sizes with their part of the code give the sound of the whole; no code is a code of zeros, another sounds otherwise."""
    pitch, loudness = (one[0].numpy() for one in controls(1, 91))
    code = np.random.default_rng(0).uniform(-1, 1, (91, SMALL.code)).astype(np.float32)
    whole = play(voice.decoder, pitch, loudness, code=code)
    player, parts, at = VoicePlayer(voice.decoder), [], 0
    for size in (1, 7, 40, 43):
        parts.append(player.process(*(one[at : at + size] for one in (pitch, loudness, code))))
        at += size
    np.testing.assert_allclose(np.concatenate([*parts, player.flush()]), whole, atol=2e-6)
    plain = play(voice.decoder, pitch, loudness)
    np.testing.assert_array_equal(play(voice.decoder, pitch, loudness, code=0 * code), plain)
    with torch.no_grad():
        voice.decoder.noise.bias.fill_(-200.0)
        told = [torch.from_numpy(np.append(one, one[-1:], 0))[None] for one in (pitch, loudness, code)]  # whole steps
        tones = synthesise(told[0], voice.decoder(told[0], told[1], None, told[2])[0], SMALL)[0, : 90 * 192].numpy()
    np.testing.assert_allclose(play(voice.decoder, pitch, loudness, code=code)[: 90 * 192], tones, atol=1e-4 * np.abs(tones).max())
    assert np.abs(plain - whole).max() > 1e-3
    with pytest.raises(ValueError, match=r"the code is \(91, 3\), it must be .* \(91, 4\)"):
        play(voice.decoder, pitch, loudness, code=code[:, :3])


def test_a_code_tells_apart_what_pitch_and_loudness_do_not(voice: VoiceAutoencoder) -> None:
    """Of two reeds, one bright and one hollow, of one pitch and loudness, a decoder that is told the code learns both; without it, none."""
    frames = 40
    time = torch.arange(frames * 192) / 48000
    pitch, loudness = torch.full((2, frames), 440.0), torch.full((2, frames), -12.0)
    sound = torch.stack(
        [0.1 * sum(torch.sin(2 * torch.pi * 440 * k * time) for k in partials) for partials in ((1, 2, 3, 4, 5, 6), (1, 5))]
    )
    sound = sound + 0.0003 * torch.randn_like(sound)
    low = decimate(sound, 3)
    losses = {}
    for coded in (True, False):
        model = copy.deepcopy(voice).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(60):
            controls, _ = model.decoder(pitch, loudness, None, model.code(low, pitch, loudness) if coded else None)
            loss = training_loss(synthesise(pitch, controls, SMALL), sound, low, RATE, step, 0.0)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        losses[coded] = float(loss.detach())
    assert losses[True] < 0.85 * losses[False]


def test_voices_of_the_version_before_have_no_code(tmp_path: Path) -> None:
    """A folder of version 1 plays as it did; an encoder that does not belong there, or is missing, is told in one line."""
    torch.manual_seed(1)
    plain = VoiceAutoencoder(VoiceConfig(partials=16, noise_bands=17, envelope_points=12, width=16, memory=16, code=0)).eval()
    save_voice(tmp_path, plain, {})
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    del content["voice"]["code"]
    path.write_text(json.dumps(content | {"version": WITHOUT_CODE}))
    pitch, loudness = (one[0].numpy() for one in controls(1, 40))
    np.testing.assert_array_equal(play(load_decoder(tmp_path)[0], pitch, loudness), play(plain.decoder, pitch, loudness))
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="do not fit"):
        load_decoder(tmp_path)
