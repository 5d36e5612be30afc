"""A learned voice as an instrument: silence, causality, blocks, saving, and what its folder must hold."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import VERSION, VoiceConfig, read_config
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.voice import VoicePlayer, load_decoder, play, save_voice, synthesise

SMALL = VoiceConfig(partials=30, noise_bands=33, envelope_points=20, width=16, memory=24, code=4)


@pytest.fixture
def voice() -> VoiceAutoencoder:
    """A voice that has learned nothing, but says something else for each input."""
    torch.manual_seed(0)
    made = VoiceAutoencoder(SMALL)
    with torch.no_grad():
        for head in (made.decoder.by_number, made.decoder.by_frequency, made.decoder.noise):
            head.weight.mul_(5)
    return made.eval()


@pytest.fixture
def decoder(voice: VoiceAutoencoder) -> VoiceDecoder:
    """Its decoder."""
    return voice.decoder


def phrase(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A wandering pitch and loudness with a silence in the middle, (F,) each."""
    generator = np.random.default_rng(seed)
    pitch = 300 * 2 ** (np.cumsum(generator.standard_normal(frames)) / 60)
    loudness = -20 + 10 * np.sin(np.arange(frames) / 15 + generator.random())
    loudness[frames // 3 : frames // 2] = -80
    return pitch.astype(np.float32), loudness.astype(np.float32)


def controls(decoder: VoiceDecoder, pitch: np.ndarray, loudness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        said, _ = decoder(torch.from_numpy(pitch)[None], torch.from_numpy(loudness)[None])
    return said.amplitudes[0].numpy(), said.gains[0].numpy()


def test_silence_is_exactly_silent(decoder: VoiceDecoder):
    """Where the loudness is at its floor nothing sounds, of the partials or of the noise, once the noise filter has rung out."""
    pitch, loudness = phrase(240)
    amplitudes, gains = controls(decoder, pitch, loudness)
    assert amplitudes[80:120].max() == 0
    assert gains[80:120].max() == 0
    assert amplitudes[:79].max(1).min() > 0
    sound = play(decoder, pitch, loudness).reshape(240, 192)
    assert np.abs(sound[82:118]).max() == 0
    assert np.abs(sound[:79]).max(1).min() > 1e-4


def test_a_note_sounds_at_its_pitch(decoder: VoiceDecoder):
    """The partials of a note of 440 Hz are multiples of it, and none is above half the rate."""
    sound = play(decoder, np.full(250, 440.0, np.float32), np.full(250, -10.0, np.float32))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    around = spectrum[220 : 220 + 440 * 10].reshape(10, 440)
    assert (np.abs(around.argmax(1) - 220) <= 1).all()
    high = play(decoder, np.full(250, 3000.0, np.float32), np.full(250, -10.0, np.float32))
    with torch.no_grad():
        decoder.noise.bias.fill_(-200.0)
    tones = play(decoder, np.full(250, 3000.0, np.float32), np.full(250, -10.0, np.float32))
    spectrum = np.abs(np.fft.rfft(tones * np.hanning(len(tones))))
    own = np.zeros(len(spectrum), bool)
    for k in range(1, 8):
        own[3000 * k - 5 : 3000 * k + 6] = True
    assert spectrum[~own].max() < 1e-4 * spectrum.max()
    assert np.isfinite(high).all()


def test_what_comes_later_changes_nothing_before(decoder: VoiceDecoder):
    """Controls up to a step of the network do not depend on pitch and loudness after it."""
    pitch, loudness = phrase(100)
    before = controls(decoder, pitch, loudness)
    pitch[60:], loudness[60:] = 900, -5
    for one, other in zip(before, controls(decoder, pitch, loudness), strict=True):
        np.testing.assert_allclose(one[:60], other[:60], rtol=2e-5, atol=1e-9)
        assert np.abs(one[60:] - other[60:]).max() > 1e-3


def test_blocks_of_any_sizes_are_the_whole(decoder: VoiceDecoder):
    """A phrase played in blocks, odd ones too, is the phrase played at once; nothing is lost at the end."""
    pitch, loudness = phrase(301)
    whole = play(decoder, pitch, loudness)
    assert whole.shape == (301 * 192,)
    player, parts, at = VoicePlayer(decoder), [], 0
    for size in (1, 7, 0, 64, 3, 100, 126):
        parts.append(player.process(pitch[at : at + size], loudness[at : at + size]))
        at += size
    parts.append(player.flush())
    assert at == 301
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-6)
    again = np.concatenate([player.process(pitch, loudness), player.flush()])
    assert len(again) == len(whole)


def test_playing_is_what_was_trained(decoder: VoiceDecoder):
    """The native player and the tensors with gradients give the same tones, and noise of the same power."""
    pitch, loudness = phrase(200)
    rows = torch.from_numpy(pitch)[None], torch.from_numpy(loudness)[None]
    with torch.no_grad():
        noisy = synthesise(rows[0], decoder(*rows)[0], SMALL)[0].numpy()
        with_noise = play(decoder, pitch, loudness)
        decoder.noise.bias.fill_(-200.0)
        tones = synthesise(rows[0], decoder(*rows)[0], SMALL)[0].numpy()
    played = play(decoder, pitch, loudness)
    np.testing.assert_allclose(played, tones, atol=1e-4 * np.abs(tones).max())
    ratio = np.square(with_noise - played).mean() / np.square(noisy - tones).mean()
    assert 0.8 < ratio < 1.25


def test_the_resonance_curve_is_read_where_the_partials_are(decoder: VoiceDecoder):
    """A flat curve adds the same to every partial; a step in it at 2 kHz divides the partials there, whatever the note."""
    points = SMALL.envelope_points
    pitch = torch.tensor([[100.0, 440.0, 1234.5]])
    np.testing.assert_allclose(decoder._read_curve(torch.ones(1, 3, points), pitch), 1.0, rtol=1e-5)
    place = np.log1p(2000 / 400) / np.log1p(24000 / 400) * (points - 1)
    step = (torch.arange(points) > place).float().expand(1, 3, points)
    read = decoder._read_curve(step, pitch)[0]
    for row, hertz in zip(read, pitch[0], strict=True):
        frequency = float(hertz) * np.arange(1, 31)
        np.testing.assert_array_equal(row[frequency < 1500], 0.0)
        np.testing.assert_array_equal(row[frequency > 2600], 1.0)


def test_louder_is_louder(decoder: VoiceDecoder):
    """The same layers' answer, 20 dB up, is ten times the sound: loudness is a level, not only a colour."""
    pitch = np.full(100, 440.0, np.float32)
    with torch.no_grad():
        decoder.loudness_layers[0].weight.zero_()
    soft, loud = (play(decoder, pitch, np.full(100, level, np.float32)) for level in (-30.0, -10.0))
    assert abs(np.std(loud) / np.std(soft) - 10) < 0.1


def test_a_saved_voice_sounds_the_same(voice: VoiceAutoencoder, tmp_path: Path):
    """Config and weights come back whole; half precision is half the size and within −50 dB."""
    save_voice(tmp_path / "voice", voice, {"name": "test"})
    save_voice(tmp_path / "half", voice, {}, half=True)
    pitch, loudness = phrase(120)
    whole = play(voice.decoder, pitch, loudness)
    loaded, facts = load_decoder(tmp_path / "voice")
    assert facts == {"name": "test"}
    assert loaded.config == SMALL
    np.testing.assert_array_equal(play(loaded, pitch, loudness), whole)
    half = play(load_decoder(tmp_path / "half")[0], pitch, loudness)
    assert np.square(half - whole).sum() < 1e-5 * np.square(whole).sum()
    sizes = [(tmp_path / name / "voice.safetensors").stat().st_size for name in ("half", "voice")]
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": VERSION + 1}, f"version {VERSION + 1}, this program reads version {VERSION}"),
        ({"kind": "wavenet"}, "kind 'wavenet'"),
        ({"voice": {"partials": 0}}, "partials (0) must be at least 1"),
        ({"voice": {"patrials": 10}}, "did you mean 'partials'"),
        ({"voice": {"partials": 31}}, "do not fit"),
    ],
)
def test_a_voice_that_does_not_fit_is_one_line(voice: VoiceAutoencoder, tmp_path: Path, change: dict, message: str):
    """Another version, kind or shape is refused with a line that names the file."""
    save_voice(tmp_path, voice, {})
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    if "voice" in change:
        change = {"voice": content["voice"] | change["voice"]}
    path.write_text(json.dumps(content | change))
    with pytest.raises(InputError) as caught:
        load_decoder(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_damaged_voices_are_one_line(voice: VoiceAutoencoder, tmp_path: Path):
    """A folder without a voice, a broken config, missing, cut and empty weights: each a line that names what is wrong."""
    with pytest.raises(InputError, match="no voice in this folder"):
        load_decoder(tmp_path)
    save_voice(tmp_path, voice, {})
    weights = (tmp_path / "voice.safetensors").read_bytes()
    for content in (None, weights[:1000], b""):
        if content is None:
            (tmp_path / "voice.safetensors").unlink()
        else:
            (tmp_path / "voice.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"voice\.safetensors: cannot be loaded"):
            load_decoder(tmp_path)
    save_file({"something": torch.zeros(3)}, str(tmp_path / "voice.safetensors"))
    with pytest.raises(InputError, match="do not fit"):
        load_decoder(tmp_path)
    for text, message in (("{", "damaged"), ("[]", "no voice's configuration"), ("{}", "no voice's configuration")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read_config(tmp_path / "config.json")
    assert len(load_file(str(tmp_path / "voice.safetensors"))) == 1


def test_wrong_shapes_are_told(decoder: VoiceDecoder):
    """Pitch and loudness of different lengths, and frames that are no multiple of the stride, are a mistake of the caller."""
    with pytest.raises(ValueError, match="both must be"):
        play(decoder, np.full(10, 440.0, np.float32), np.zeros(9, np.float32))
    with pytest.raises(ValueError, match="no multiple of the stride"):
        decoder(torch.full((1, 3), 440.0), torch.zeros(1, 3))


def test_the_default_voice_is_small():
    """Between 0.3 and 1 million weights, so that all voices together fit into a package."""
    assert 300_000 < sum(part.numel() for part in VoiceDecoder(VoiceConfig()).parameters()) < 1_000_000
