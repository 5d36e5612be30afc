"""Oscillators, noise, envelopes and units: physics, and the fast loops against slow plain formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.dsp import oscillators
from symbolic.dsp.envelopes import decay, rise, settle, wander
from symbolic.dsp.noise import KINDS, filtered_noise, noise_level
from symbolic.dsp.oscillators import oscillator_bank, oscillator_bank_tensor
from symbolic.dsp.units import cents_to_ratio, db_to_gain, gain_to_db, hz_to_midi, midi_to_hz

RATE, HOP = 48000, 128


def bank_controls(seed: int, frames: int, partials: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    frequency = 200 + 150 * generator.random(frames + 1)
    ratios = np.sort(1 + 120 * generator.random(partials))
    ratios[0] = 1.0  # the first partial is always below half the sample rate
    amplitudes = generator.random((frames + 1, partials)).astype(np.float32) / partials
    return frequency, ratios, amplitudes, generator.random(partials)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 12), partials=st.integers(1, 40), hop=st.sampled_from([8, 44, 128]))
def test_compiled_bank_equals_the_tensor_bank(seed: int, frames: int, partials: int, hop: int) -> None:
    """The compiled loop and the tensor formula make the same samples, masked partials included."""
    frequency, ratios, amplitudes, phases = bank_controls(seed, frames, partials)
    fast = oscillator_bank(frequency, ratios, amplitudes, phases.copy(), hop, RATE)
    tensors = [torch.from_numpy(array) for array in (frequency, ratios, amplitudes.astype(np.float64), phases)]
    slow = oscillator_bank_tensor(*tensors, hop, RATE).numpy()
    assert np.abs(slow).max() > 0
    np.testing.assert_allclose(fast, slow, atol=1.2e-5)


def test_bank_equals_sines_written_out() -> None:
    """A steady partial is a·sin(2πft + φ), sample for sample, and after ten minutes its phase is still right."""
    frames = 3
    phases = np.array([0.2, 0.7])
    frequency, ratios = np.full(frames + 1, 440.3), np.array([1.0, 2.5])
    amplitudes = np.tile(np.array([0.5, 0.25], np.float32), (frames + 1, 1))
    time = np.arange(frames * HOP) / RATE
    expected = 0.5 * np.sin(2 * np.pi * (440.3 * time + 0.2)) + 0.25 * np.sin(2 * np.pi * (2.5 * 440.3 * time + 0.7))
    np.testing.assert_allclose(oscillator_bank(frequency, ratios, amplitudes, phases, HOP, RATE), expected, atol=2e-6)
    long_frames = 375 * 600
    oscillator_bank(np.full(long_frames + 1, 440.3), ratios, np.zeros((long_frames + 1, 2), np.float32), phases, HOP, RATE)
    total = (long_frames + frames) * HOP / RATE
    drift = (phases - np.array([0.2, 0.7]) - 440.3 * ratios * total + 0.5) % 1 - 0.5
    assert np.abs(drift).max() < 1e-6


def test_bank_in_pieces_equals_the_bank_at_once() -> None:
    """Frames rendered in two calls that share their phases equal the frames rendered in one."""
    frequency, ratios, amplitudes, phases = bank_controls(3, 20, 12)
    whole = oscillator_bank(frequency, ratios, amplitudes, phases.copy(), HOP, RATE)
    carried = phases.copy()
    pieces = [oscillator_bank(frequency[a : b + 1], ratios, amplitudes[a : b + 1], carried, HOP, RATE) for a, b in ((0, 7), (7, 20))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_no_partial_sounds_at_or_above_half_the_sample_rate() -> None:
    """A sweep upwards through half the sample rate leaves nothing but what is below it: no alias comes back down."""
    frames = 3000
    frequency = np.linspace(15000.0, 40000.0, frames + 1)
    amplitudes = np.full((frames + 1, 1), 0.5, np.float32)
    sound = oscillator_bank(frequency, np.array([1.0]), amplitudes, np.zeros(1), HOP, RATE)
    first_masked = int(np.argmax(frequency >= RATE / 2)) + 1
    assert np.abs(sound[: 100 * HOP]).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(sound[first_masked * HOP :]).max() == 0.0


def test_inaudible_partials_are_left_out_without_a_trace() -> None:
    """Partials under the audible floor change nothing that can be heard, at the end of the list or within it."""
    frequency, ratios, amplitudes, phases = bank_controls(5, 10, 24)
    amplitudes[:, 16:] = oscillators.INAUDIBLE / 2
    fast = oscillator_bank(frequency, ratios, amplitudes, phases.copy(), HOP, RATE)
    kept = oscillator_bank(frequency, ratios[:16], amplitudes[:, :16], phases[:16].copy(), HOP, RATE)
    np.testing.assert_allclose(fast, kept, atol=1e-7)


def test_bank_refuses_a_hop_that_it_cannot_unroll() -> None:
    """A hop that is no multiple of four is refused, not rendered wrong."""
    with pytest.raises(ValueError, match="multiple of 4"):
        oscillator_bank(*bank_controls(0, 2, 2), 90, RATE)


def test_tensor_bank_has_gradients() -> None:
    """The tensor bank can be trained through: amplitudes and frequency both get a gradient."""
    frequency = torch.full((5,), 300.0, requires_grad=True)
    amplitudes = torch.full((5, 3), 0.2, requires_grad=True)
    oscillator_bank_tensor(frequency, torch.tensor([1.0, 2.0, 3.0]), amplitudes, torch.zeros(3), 32, RATE).pow(2).sum().backward()
    assert amplitudes.grad is not None
    assert frequency.grad is not None
    assert amplitudes.grad.abs().min() > 0
    assert frequency.grad[:-1].abs().min() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centre", [300.0, 3000.0, 15000.0])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_noise_has_the_level_that_was_asked_for(kind: str, centre: float, sample_rate: int) -> None:
    """The root mean square is the level within 0.7 dB, whatever the kind, the centre, the sharpness and the sample rate."""
    points = np.ones(1500)
    for sharpness in (0.6, 3.0):
        sound = filtered_noise(kind, centre * points, sharpness, 0.1 * points, np.zeros(2), np.array([9], np.uint32), HOP, sample_rate)
        assert abs(20 * math.log10(np.sqrt(np.mean(sound[2000:].astype(float) ** 2)) / 0.1)) < 0.7


def test_noise_filter_equals_its_plain_recurrence() -> None:
    """The compiled loop equals the same lines run by Python."""
    from symbolic.dsp import noise

    centre, level = np.linspace(500, 4000, 7), np.linspace(0, 1, 7)
    for kind in KINDS:
        arguments = [KINDS.index(kind), centre, 1.3, level / noise_level(kind, centre, 1.3, RATE)]
        fast, slow = np.zeros(6 * 16, np.float32), np.zeros(6 * 16, np.float32)
        noise._noise_loop(*arguments, np.zeros(2), np.array([5], np.uint32), 16, float(RATE), fast)
        with np.errstate(over="ignore"):
            noise._noise_loop.py_func(*arguments, np.zeros(2), np.array([5], np.uint32), 16, float(RATE), slow)
        assert np.abs(slow).max() > 0
        np.testing.assert_allclose(fast, slow, atol=1e-6)


def test_noise_is_coloured_as_named() -> None:
    """Low noise lies below its centre, high noise above it, band noise around it."""
    points = np.ones(800)
    share = {}
    for kind in KINDS:
        sound = filtered_noise(kind, 2000 * points, 2.0, 0.1 * points, np.zeros(2), np.array([3], np.uint32), HOP, RATE)
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
        edges = ((0, 1000), (1000, 4000), (4000, RATE))
        share[kind] = [power[(frequencies >= low) & (frequencies < high)].sum() / power.sum() for low, high in edges]
    assert share["low"][2] < 0.05
    assert share["high"][0] < 0.02
    assert share["band"][1] > 0.75


def test_envelopes_have_the_times_that_name_them() -> None:
    """A rise reaches 1 when it says, a decay has fallen by 60 dB at its T60, and settling stops at its rest."""
    assert rise(np.array([0.0, 0.05, 0.1, 5.0]), 0.1) == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert decay(np.array([-1.0, 0.0, 2.0]), 2.0) == pytest.approx([1.0, 1.0, 0.001])
    assert settle(np.array([0.0, 100.0]), 0.5, 0.3) == pytest.approx([1.0, 0.3])


def test_wandering_stays_within_one() -> None:
    """The slow irregular curve never leaves −1 … 1 and uses much of it."""
    curves = wander(np.arange(0, 60, 0.01), 3.0, np.array([[0.1, 3.0, 5.0], [2.0, 0.0, 1.0]]))
    assert curves.shape == (2, 6000)
    assert (np.abs(curves).max(1) > 0.8).all()
    assert np.abs(curves).max() <= 1.0
    assert np.abs(curves.mean(1)).max() < 0.05
    assert abs(np.corrcoef(curves)[0, 1]) < 0.99


@given(note=st.floats(-20, 140), decibels=st.floats(-120, 40))
def test_units_go_there_and_back(note: float, decibels: float) -> None:
    """Hertz and MIDI numbers, decibels and gains are inverse to each other."""
    assert hz_to_midi(midi_to_hz(note)) == pytest.approx(note, abs=1e-9)
    assert gain_to_db(db_to_gain(decibels)) == pytest.approx(decibels, abs=1e-9)


def test_units_have_their_known_values() -> None:
    """A4 is 440 Hz, an octave 1200 cents, and twice the amplitude 6.02 dB."""
    assert midi_to_hz(69.0) == 440.0
    assert midi_to_hz(60.0) == pytest.approx(261.6256, abs=1e-4)
    assert cents_to_ratio(1200.0) == 2.0
    assert gain_to_db(2.0) == pytest.approx(6.0206, abs=1e-4)
