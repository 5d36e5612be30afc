"""A network that adds what a low rate took away: it changes nothing untrained, works piece by piece, and learns."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from symbolic.dsp.spectral_distance import log_spectral_distance
from symbolic.errors import InputError
from symbolic.models.super_resolution import (
    SuperResolution,
    SuperResolutionConfig,
    SuperResolutionStream,
    dealt_out,
    enhanced,
    load_super_resolution,
    noise_at,
    only_above,
    write_super_resolution,
)
from symbolic.training.low_rate_pairs import LEARNED, UNSEEN, cleaned, left_of
from symbolic.training.super_resolution import SuperResolutionSettings, score_sounds, train_super_resolution
from symbolic.training.wavenet_notes import RecordedNote

TINY = SuperResolutionConfig(
    widths=(8, 12, 16), strides=(2, 4, 2), bottom_layers=1, kernel=5, noise_bands=4, level_window=64, ratios=(2, 4)
)
QUICK = SuperResolutionSettings(
    network=TINY, steps=6, lanes=3, samples=2048, warmup_steps=4, learning_rate=0.004, average=0.9, evaluate_every=6,
    evaluation_notes=1, checkpoint_every=3, precision="float32",
)  # fmt: skip


def network(config: SuperResolutionConfig = TINY) -> SuperResolution:
    """Random weights that do change the sound."""
    torch.manual_seed(0)
    model = SuperResolution(config).eval().requires_grad_(False)
    torch.nn.init.normal_(model.last.weight, std=0.3)
    return model


def breathy(number: int, seconds: float = 0.4) -> np.ndarray:
    """A tone with noise over it, both dying away."""
    time = np.arange(round(16000 * seconds)) / 16000
    noise = np.random.default_rng(number).standard_normal(len(time))
    return ((0.2 * np.sin(2 * np.pi * (300 + 20 * number) * time) + 0.05 * noise) * np.exp(-2 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def notes() -> list[RecordedNote]:
    return [RecordedNote(breathy(number), 60, 64, number % 5 == 4) for number in range(10)]


def test_untrained_it_changes_nothing():
    """The last layer begins at zero, so what comes out is soxr's work."""
    sound = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    np.testing.assert_array_equal(enhanced(SuperResolution(TINY), sound), sound)
    with pytest.raises(ValueError, match="no multiple of 16"):
        SuperResolution(TINY)(torch.zeros(1, 30), torch.zeros(1, 30))


@pytest.mark.parametrize(
    "config", [TINY, SuperResolutionConfig(widths=(4, 4, 8), strides=(4, 2, 2), kernel=3, noise_bands=2, level_window=32)]
)
def test_pieces_give_what_the_whole_gives(config):
    """Pieces of any length, also shorter than the margin, and a sound of none or a few samples."""
    model = network(config)
    sound = 0.1 * np.random.default_rng(1).standard_normal(7001).astype(np.float32)
    whole = enhanced(model, sound, piece=1 << 14)
    assert np.abs(whole - sound).max() > 0.01
    for piece in (1, 500, 4096):
        np.testing.assert_allclose(enhanced(model, sound, piece=piece * config.block // 16 or 1), whole, atol=2e-6)
    assert enhanced(model, sound[:0]).shape == (0,)
    assert enhanced(model, sound[:3]).shape == (3,)


def test_the_margin_is_wide_enough():
    """No sample depends on what is further away than the margin."""
    model = network()
    config = model.config
    length = 4 * config.margin
    sound = torch.randn(1, length, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model(sound, torch.zeros(1, length))[0, length // 2].backward()
    assert sound.grad is not None
    heard = sound.grad[0].nonzero()[:, 0]
    assert heard.min() >= length // 2 - config.margin
    assert heard.max() <= length // 2 + config.margin
    assert len(heard) > config.margin / 2


def test_where_nothing_is_missing_nothing_is_added():
    """Below half the old edge what is added lies 50 dB down, above it all is there; pieces do not show, learning does the same."""
    model, low = network(), 8000
    sound = 0.1 * np.random.default_rng(2).standard_normal(9001).astype(np.float32)
    plain, made = enhanced(model, sound) - sound, enhanced(model, sound, low) - sound
    frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
    before, after = (np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2 for added in (plain, made))
    well_below, above = frequency < 0.5 * low / 2, frequency > 0.8 * low / 2
    assert after[well_below].sum() < 1e-5 * before[well_below].sum()
    assert after[above].sum() == pytest.approx(before[above].sum(), rel=0.01)
    np.testing.assert_allclose(enhanced(model, sound, low, piece=700) - sound, made, atol=2e-6)
    learned = only_above(torch.from_numpy(plain)[None], torch.tensor([0.5 * low / 16000]))[0].numpy()
    assert np.abs(learned - made)[1000:-1000].max() < 0.1 * np.abs(made).max()
    both = SuperResolutionStream(model, 2, low, piece=3000)
    pieces = [both.process(np.stack([sound, -sound])[:, first : first + 1234]) for first in range(0, 9001, 1234)]
    np.testing.assert_allclose(np.concatenate([*pieces, both.flush()], axis=1)[0] - sound, made, atol=2e-6)


def test_a_cleaned_sound_loses_its_soft_noise():
    """A loud tone stays, noise 90 dB below it falls by 10 dB at least; silence and a few samples pass."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(8000)
    made = cleaned((tone + noise).astype(np.float32), np.random.default_rng(1))
    assert (made.dtype, len(made)) == (np.float32, 8000)
    assert np.abs(made - tone)[1000:-1000].max() < 0.02
    high = slice(2500, 3900)
    power = [np.abs(np.fft.rfft(sound * np.hanning(8000)))[high] ** 2 for sound in (noise, made)]
    assert power[1].sum() < 0.15 * power[0].sum()
    assert not cleaned(np.zeros(3000, np.float32), np.random.default_rng(0)).any()
    assert len(cleaned(tone[:5].astype(np.float32), np.random.default_rng(0))) == 5


def test_channels_are_dealt_out_in_time():
    """Channels 0 and 1 become the even and odd samples of one, as torch's pixel shuffle has it in two dimensions."""
    x = torch.arange(12.0).view(1, 4, 3)
    torch.testing.assert_close(dealt_out(x, 2), torch.tensor([[[0.0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]]))


def test_noise_depends_on_the_place_alone():
    """A piece across blocks, and before the beginning, equals that piece of the whole."""
    whole = noise_at(-100, 140_000)
    np.testing.assert_array_equal(noise_at(65_000, 2000), whole[65_100:67_100])
    np.testing.assert_array_equal(noise_at(-50, 100), whole[50:150])
    assert whole.std() == pytest.approx(1, abs=0.02)
    assert (noise_at(0, 100, 1) != noise_at(0, 100)).all()


@pytest.mark.parametrize("shape", [*LEARNED, *UNSEEN])
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_what_is_left_of_a_sound(shape, ratio):
    """Well below the new edge a tone stays in level and time, well above it nothing is left of it, aliases included."""
    time = np.arange(8000) / 16000
    edge = 8000 / ratio
    kept, gone = np.sin(2 * np.pi * 0.5 * edge * time), np.sin(2 * np.pi * min(7800.0, 1.3 * edge) * time)
    random = np.random.default_rng(0)
    left = left_of(kept.astype(np.float32), 16000, ratio, shape, random)
    assert left.dtype == np.float32
    assert np.abs(left - kept)[1000:-1000].max() < 0.07
    assert np.abs(left_of(gone.astype(np.float32), 16000, ratio, shape, random))[1000:-1000].max() < 0.15


def test_log_spectral_distance():
    """20 dB softer is 2 in every bin above the floor; equal sounds are 0; a sine missing is told in its band alone."""
    noise = np.random.default_rng(0).standard_normal(16000)
    assert log_spectral_distance(noise, 0.1 * noise, 16000) == pytest.approx(2, abs=1e-3)  # the floor takes a little
    assert log_spectral_distance(noise, noise, 16000) == 0
    sine = np.sin(2 * np.pi * 5000 * np.arange(16000) / 16000)
    low = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000)
    assert log_spectral_distance(low + sine, low, 16000, 0, 3000) < 0.05
    assert log_spectral_distance(low + sine, low, 16000, 4990, 5010) > 8
    with pytest.raises(ValueError, match="one length"):
        log_spectral_distance(noise, noise[1:], 16000)
    with pytest.raises(ValueError, match="no bin"):
        log_spectral_distance(noise, noise, 16000, 9000)


def test_it_learns(notes, tmp_path):
    """On held-out notes of the same make, the log-spectral distance falls below soxr's, and what is kept is as good as is said."""
    facts = train_super_resolution(notes, tmp_path / "net", replace(QUICK, steps=50, evaluate_every=50, error_bound=3.0))
    figures = facts["held_out"]
    assert figures["lsd_2"] < 0.6 * figures["soxr_lsd_2"]
    assert figures["snr_2"] > figures["soxr_snr_2"] - 3
    model = load_super_resolution(tmp_path / "net")
    held_out = [note for note in notes if note.held_out][:: -(-2 // QUICK.evaluation_notes)]
    found = score_sounds(model, held_out, 16000, 2, tuple(LEARNED))
    assert found["lsd"] == pytest.approx(figures["lsd_2"], rel=0.03)
    assert score_sounds(None, held_out, 16000, 2, tuple(LEARNED))["snr"] == pytest.approx(figures["soxr_snr_2"], abs=1e-3)


def test_a_resumed_run_equals_one_never_stopped(notes, tmp_path):
    """Weights and averages bit for bit."""
    settings = replace(QUICK, decay_share=0.0)
    train_super_resolution(notes, tmp_path / "whole", settings)
    train_super_resolution(notes, tmp_path / "parts", replace(settings, steps=3))
    train_super_resolution(notes, tmp_path / "parts", settings, resume=True)
    one, two = (torch.load(tmp_path / name / "training/last/training.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("model", "averaged"):
        for name, value in one[part].items():
            assert torch.equal(value, two[part][name]), name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 9}, "version 9"),
        ({"kind": "x"}, "not of the kind"),
        ({"kernel": 4}, "odd"),
        ({"widths": [1]}, "one stride for each level"),
        ({"kernel": 7}, "weights cannot be loaded"),
        ({"more": 1}, "more"),
        ({"ratios": []}, "ratios"),
        ({"ratios": [1, 2]}, "ratios"),
        ({"level_window": 100}, "level_window"),
        ({"noise_bands": 0}, "noise_bands"),
    ],
)
def test_a_network_that_cannot_be_read_is_refused_in_one_line(tmp_path, change, told):
    """Another version or kind, shapes that do not fit."""
    write_super_resolution(network(), tmp_path)
    assert load_super_resolution(tmp_path).config == TINY
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=told) as caught:
        load_super_resolution(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match=r"no config\.json"):
        load_super_resolution(tmp_path / "nowhere")


@pytest.mark.parametrize("fields", [{"samples": 2040}, {"lanes": 0}, {"error_weight": -1.0}, {"cleaned": 2.0}, {"onsets": -1.0}])
def test_settings_that_cannot_be(fields):
    """Each is refused by its name."""
    with pytest.raises(InputError, match=next(iter(fields))):
        replace(QUICK, **fields)
