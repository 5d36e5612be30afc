"""What a decoder is told of its period: a clock that stands where the waves do, and the sound one and two periods ago, never the future."""

import math

import numpy as np
import pytest
import torch

from symbolic.dsp.fundamental_phase import fundamental_cycles
from symbolic.dsp.mu_law import mu_law_encode
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.excitation import HARMONICS, PAST, Excitation, bent, counted, periods, taps
from symbolic.training.wavenet_notes import RecordedNote

CONFIG = WavenetConfig(hold=16, code_samples=128)


def excitation(width: int = 2) -> Excitation:
    """Whose numbers are those of the past themselves, without a clock."""
    made = Excitation(CONFIG, width).requires_grad_(False)
    made.clock.zero_()
    made.past.copy_(torch.eye(2, width))
    return made


@pytest.mark.parametrize("pitch", [21.0, 45.3, 69.0, 84.3])
def test_a_wave_is_shown_what_it_was_like_periods_ago(pitch):
    """A steady wave of two partials stands where it stood one and two periods before, up to the steps of µ-law and the cubic's error."""
    vectors = 500
    cycles = counted(pitch, vectors, CONFIG)[None]
    phase = 2 * np.pi * np.arange(vectors * 16) * 440 * 2 ** ((pitch - 69) / 12) / 16000
    codes = mu_law_encode(torch.from_numpy(0.5 * np.cos(phase) + 0.1 * np.cos(2 * phase + 1)).float())[None]
    shown = excitation()(codes, torch.from_numpy(cycles))[0]
    now = (codes[0] - 128) / 127
    assert (shown[4000:] - now[4000:, None]).square().mean().sqrt() < (0.02 if pitch < 80 else 0.05)
    assert shown[:2].abs().max() == 0


def test_nothing_is_shown_of_the_future():
    """Another code changes only what comes after it, however short the period; before the first sample there was silence."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 256, (1, 512), generator=generator)
    other = codes.clone()
    other[0, 300] = 255 - other[0, 300]
    for speed in (0.001, 0.02, 0.21, 0.5, 3.0):
        cycles = torch.arange(33, dtype=torch.float64)[None] * 16 * speed
        difference = (excitation()(codes, cycles) != excitation()(other, cycles)).any(-1)[0]
        assert not difference[:301].any(), speed
        assert difference.any() or speed == 0.001
    assert PAST >= 2 * 2044 + 2


def test_taps_are_a_cubic():
    """They give straight lines and parabolas exactly, and reach at least one sample back."""
    reach, weights = taps(torch.tensor([[3.0, 3.4, 10.9, 500.123]], dtype=torch.float64))
    at = -reach[..., None] + torch.arange(4)
    for power in (0, 1, 2):
        wanted = (-torch.tensor([3.0, 3.4, 10.9, 500.123])[:, None] * torch.tensor([1, 2])) ** power
        torch.testing.assert_close(((at.float() ** power) * weights).sum(-1)[0], wanted, rtol=1e-4, atol=1e-3)
    assert at.max() == -1


def test_a_clock_turns_with_the_waves():
    """Its hands are cosines and sines of the cycles' harmonics; those above half the sample rate stand still."""
    made = Excitation(CONFIG, 2 * HARMONICS).requires_grad_(False)
    made.clock.copy_(torch.eye(2 * HARMONICS))
    cycles = 0.3 + torch.arange(41, dtype=torch.float64)[None] * 16 * 0.151  # 2.4 kHz: three harmonics are below 8 kHz
    hands = made.clocked(cycles)[0]
    phase = 2 * math.pi * (0.3 + np.arange(640) * 0.151)
    for number in (1, 2, 3):
        np.testing.assert_allclose(hands[:, number - 1], np.cos(number * phase), atol=1e-5)
        np.testing.assert_allclose(hands[:, HARMONICS + number - 1], np.sin(number * phase), atol=1e-5)
    assert (hands[:, [HARMONICS - 1, -1]] == 0).all()
    torch.testing.assert_close(made.clocked(cycles + 1000)[0], hands, atol=1e-5, rtol=0)


def test_periods_and_pitches():
    """A4 has 36.4 samples; what is shorter than three is taken several times; a bend is counted as it goes, and held on."""
    torch.testing.assert_close(periods(torch.from_numpy(counted(69.0, 3, CONFIG))[None], 16)[0], torch.full((3,), 16000 / 440).double())
    assert periods(torch.tensor([[0.0, 8.0, 12.0, 12.0]], dtype=torch.float64), 16).tolist() == [[4.0, 4.0, 2044.0]]
    bend = counted(np.array([69.0, 81.0]), 4, CONFIG, start=0.25)
    np.testing.assert_allclose(np.diff(bend) * 1000, [440, 880, 880, 880])
    assert bend[0] == 0.25
    np.testing.assert_allclose(bent(torch.tensor([-1.0, 0.0, 1.0]), 256), [-1, 0, 1])


@pytest.mark.parametrize("hertz", [65.4, 440.0, 2093.0])
def test_the_phase_of_a_fundamental_is_heard(hertz):
    """With vibrato, a loud second partial, noise, an attack and a track a third of a semitone off: within a fiftieth of a wave."""
    rate, seconds = 16000, 1.5
    time = np.arange(round(rate * seconds)) / rate
    waves = 0.37 + hertz * time + hertz * 0.004 * np.sin(2 * np.pi * 5 * time) / 5
    sound = np.cos(2 * np.pi * waves) + 1.5 * np.cos(4 * np.pi * waves + 2) * (2 * hertz < 8000)
    sound = (sound + 0.05 * np.random.default_rng(0).standard_normal(len(time))) * np.minimum(1, np.minimum(time, seconds - time) / 0.05)
    for told in (hertz * 1.02, hertz * (1.02 + 0.001 * np.arange(40) / 40)):
        counts = fundamental_cycles(sound, told, rate, 32)
        assert len(counts) == len(time) // 32 + 1
        loud = slice(40, -40)
        off = counts[loud] - waves[::32][: len(counts) - 1][40:-39]
        assert np.abs(off - np.round(off)).max() < 0.02
        assert np.abs(np.diff(off)).max() < 0.02


def test_the_phase_of_next_to_nothing():
    """Silence goes on at the pitch told; a sound of no samples and one of a few are counted, too."""
    np.testing.assert_allclose(np.diff(fundamental_cycles(np.zeros(320), 500.0, 16000, 32)), 1.0)
    assert fundamental_cycles(np.zeros(0), 500.0, 16000, 32).tolist() == [0.0]
    assert np.isfinite(fundamental_cycles(np.ones(3), 500.0, 16000, 32)).all()


def test_a_recorded_note_is_counted_and_goes_on():
    """Cycles of a piece are those of the note at its place; beyond the note they go on at its pitch."""
    hertz = 440.0
    sound = np.cos(2 * np.pi * (hertz * np.arange(6400) / 16000 + 0.2)).astype(np.float32)
    note = RecordedNote(sound, 69.0, 64)
    piece = note.cycles(1600, 400, 16)
    wanted = hertz * (1600 + 16 * np.arange(401)) / 16000 + 0.2
    off = piece - wanted
    assert np.abs(off - round(float(off[0]))).max() < 0.02
    torch.testing.assert_close(torch.from_numpy(note.cycles(0, 100, 64)[25:]), torch.from_numpy(piece[::4][: 101 - 25]))
