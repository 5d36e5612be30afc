"""Loudness, true peak, limiter, reverb and dither against other meters and plain formulas."""

import math

import numpy as np
import pyloudnorm
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from symbolic.dsp.dither import quantise
from symbolic.dsp.loudness import LoudnessMeter
from symbolic.dsp.peaks import STRETCH, Limiter, TruePeakMeter, _bounds_loop, peaks_between_samples
from symbolic.dsp.reverb import StreamingConvolution, room_response
from symbolic.dsp.units import db_to_gain

RATE = 48000


def music_like(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Noise bursts of very different loudness with silence between, so that both gates have work."""
    generator = np.random.default_rng(seed)
    sound = generator.standard_normal((2, round(seconds * rate))) * 0.2
    level = np.repeat(generator.choice([0.0, 0.001, 0.05, 0.3, 1.0], math.ceil(seconds * 4)), rate // 4)[: sound.shape[1]]
    return (sound[:, : len(level)] * level).astype(np.float32)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_loudness_equals_pyloudnorm(rate: int) -> None:
    """The streaming meter gives pyloudnorm's integrated loudness."""
    sound = music_like(7.3, rate)
    meter = LoudnessMeter(rate)
    meter.add(sound)
    assert meter.integrated() == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(sound.T.astype(float)), abs=0.02)


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1000, 60_000))
def test_loudness_does_not_depend_on_the_blocks(size: int) -> None:
    """Blocks of any size give the same loudness."""
    sound = music_like(4.0)
    whole, parts = LoudnessMeter(RATE), LoudnessMeter(RATE)
    whole.add(sound)
    for start in range(0, sound.shape[1], size):
        parts.add(sound[:, start : start + size])
    assert parts.integrated() == pytest.approx(whole.integrated(), abs=1e-9)


def test_loudness_of_the_reference_tone() -> None:
    """997 Hz at −23 dBFS on both channels is −23 LUFS within a tenth (EBU Tech 3341); silence is −inf."""
    tone = db_to_gain(-23.0) * np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    meter = LoudnessMeter(RATE)
    meter.add(np.stack([tone, tone]))
    assert meter.integrated() == pytest.approx(-23.0, abs=0.1)
    silent = LoudnessMeter(RATE)
    silent.add(np.zeros((2, RATE)))
    assert silent.integrated() == -math.inf


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_loudness_is_the_sum_of_the_channels(channels: int) -> None:
    """However many there are, the power of all counts, and of each once."""
    sound = np.random.default_rng(channels).normal(0, 0.1, (channels, 2 * RATE))
    powers = []
    for part in (*np.split(sound, channels), sound):
        meter = LoudnessMeter(RATE, len(part))
        for start in range(0, 2 * RATE, 7001):
            meter.add(part[:, start : start + 7001])
        powers.append(10 ** (meter.integrated() / 10))
    assert powers[-1] == pytest.approx(sum(powers[:-1]), rel=1e-9)


def test_true_peak_sees_between_the_samples() -> None:
    """A sine of a quarter of the rate, sampled at ±45°, peaks 3 dB above its samples."""
    sine = 0.5 * np.sin(2 * np.pi * 0.25 * np.arange(RATE) + np.pi / 4) * np.hanning(RATE)
    meter = TruePeakMeter(RATE)
    for start in range(0, RATE, 7001):
        meter.add(np.stack([sine, sine])[:, start : start + 7001].astype(np.float32))
    assert np.abs(sine).max() == pytest.approx(0.3536, abs=1e-3)
    assert meter.decibels() == pytest.approx(20 * math.log10(0.5), abs=0.1)


@pytest.mark.parametrize("size", [1, 17, 4801, 96_000])
def test_true_peak_is_that_of_the_sound_at_four_times_its_rate(size: int) -> None:
    """On sound below 16 kHz the meter reads what soxr's resampler lets see, in blocks of any size; what it passes over is no higher."""
    low_pass = np.sinc(0.6 * np.arange(-40, 41)) * np.hanning(81)
    sound = music_like(2.0, seed=5)[:, : 3000 if size == 1 else None]
    sound = np.stack([np.convolve(channel, low_pass, "same") for channel in sound]).astype(np.float32)
    meter = TruePeakMeter(RATE)
    for start in range(0, sound.shape[1], size):
        meter.add(sound[:, start : start + size])
    expected = 20 * math.log10(np.abs(soxr.resample(sound.T.astype(float), RATE, 4 * RATE, "VHQ")).max())
    assert meter.decibels() == pytest.approx(expected, abs=0.03)
    assert peaks_between_samples(sound, float(np.abs(sound).max())).max() == peaks_between_samples(sound).max()


def clicks(stretches: int = 40) -> np.ndarray:
    """(2, S) with a click here and there."""
    generator = np.random.default_rng(3)
    return generator.standard_normal((2, stretches * STRETCH)) * (generator.random((2, stretches * STRETCH)) > 0.99)


def dull(stretches: int = 40) -> np.ndarray:
    """The same below a twentieth of the highest frequency."""
    low_pass = 0.05 * np.sinc(0.05 * np.arange(-60, 61)) * np.hanning(121)
    return np.stack([np.convolve(channel, low_pass, "same") for channel in clicks(stretches)])


def highest_between(stretches: int = 40) -> np.ndarray:
    """Samples of ±1 whose signs are those of the filter that reads between two of them: no others have a higher peak there."""
    impulse = soxr.resample(np.pad([1.0], 512), RATE, 4 * RATE, "HQ")[2::4]
    signs = np.sign(impulse[411:611][::-1])
    return np.stack([np.resize(np.pad(signs, 28 + shift), stretches * STRETCH) for shift in (0, 3)])


@pytest.mark.parametrize(("sound", "tight"), [(clicks(), 3.0), (dull(), 1.04), (highest_between(), 1.25)])
def test_no_true_peak_is_above_what_the_samples_bound(sound: np.ndarray, tight: float) -> None:
    """In each stretch the resampled sound stays under the bound, by which most of it is passed over; the bound is no idle one."""
    most = np.empty(sound.shape[1] // STRETCH - 2, np.float32)  # without the first and the last stretch, as the meter asks
    _bounds_loop(sound.astype(np.float32), STRETCH, most)
    fine = np.abs(soxr.resample(sound.T, RATE, 4 * RATE, "HQ")).max(1)[4 * STRETCH : 4 * (sound.shape[1] - STRETCH)]
    assert np.all(fine.reshape(len(most), -1).max(1) <= most)
    assert most.max() < tight * fine.max()


def limited(sound: np.ndarray, ceiling: float, size: int) -> np.ndarray:
    limiter = Limiter(RATE, ceiling)
    padded = np.pad(sound, ((0, 0), (0, limiter.delay)))
    pieces = [np.prod(np.broadcast_arrays(*limiter.gains(padded[:, a : a + size])), axis=0) for a in range(0, padded.shape[1], size)]
    return np.concatenate(pieces, axis=1)[:, limiter.delay :]


def test_limiter_holds_the_ceiling_and_leaves_the_rest_alone() -> None:
    """Peaks between the samples stay under the ceiling; a quiet passage comes out sample for sample."""
    low_pass = np.sinc(np.arange(-40, 41) * 0.5) * np.hanning(81)
    sound = music_like(3.0)
    sound = np.stack([np.convolve(channel, low_pass / 2, "same") for channel in sound]).astype(np.float32)
    sound[:, :RATE] *= 0.05 / max(np.abs(sound[:, :RATE]).max(), 1e-9)
    ceiling = 0.3 * float(np.abs(sound).max())
    result = limited(sound, ceiling, RATE)
    over = np.abs(soxr.resample(result.T.astype(float), RATE, 4 * RATE)).max() / ceiling
    assert np.abs(sound).max() > 3 * ceiling
    assert 20 * math.log10(over) < 0.1
    np.testing.assert_array_equal(result[:, : RATE // 2], sound[:, : RATE // 2])


def test_limiter_does_not_depend_on_the_blocks() -> None:
    """Blocks of one second or of odd sizes are limited alike."""
    sound = music_like(2.0, seed=3)
    np.testing.assert_allclose(limited(sound, 0.1, 4999), limited(sound, 0.1, RATE), atol=2e-6)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=8), taps=st.integers(2, 700))
def test_streaming_convolution_equals_numpy(sizes: list[int], taps: int) -> None:
    """Blocks of any sizes give the convolution of the whole."""
    generator = np.random.default_rng(taps)
    response = generator.standard_normal((2, taps)).astype(np.float32)
    sound = generator.standard_normal((2, sum(sizes))).astype(np.float32)
    room = StreamingConvolution(response)
    pieces = [room.process(block) for block in np.split(sound, np.cumsum(sizes)[:-1], axis=1)]
    pieces.append(room.process(np.zeros((2, room.tail), np.float32)))
    expected = np.stack([np.convolve(one, other) for one, other in zip(sound, response, strict=True)])
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=2e-4)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_room_decays_as_long_as_it_says(rate: int) -> None:
    """The T60 read from the backward integral at 1 kHz is the one asked for within 12 %, and both sides have the same energy."""
    response = room_response(rate, t60=1.5)
    assert (response.astype(float) ** 2).sum(1) == pytest.approx([1.0, 1.0], abs=1e-4)
    band = signal.sosfilt(signal.butter(3, (710, 1410), "bandpass", fs=rate, output="sos"), response[0])
    energy = 10 * np.log10(np.cumsum(band[::-1] ** 2)[::-1] / (band**2).sum())
    early, late = np.argmax(energy < -5), np.argmax(energy < -35)
    assert 2 * (late - early) / rate == pytest.approx(1.5, rel=0.12)
    assert abs(np.corrcoef(response)[0, 1]) < 0.1


def test_dither_makes_the_error_independent_of_the_sound() -> None:
    """A tone of a third of a step survives 16 bits, and the error has the power of rounding plus TPDF noise: a quarter step²."""
    step = 2.0**-15
    tone = step / 3 * np.sin(2 * np.pi * 0.01 * np.arange(400_000))
    whole = quantise(tone[None], 16, np.random.default_rng(0))[0]
    assert whole.dtype == np.int32
    assert 2 * np.mean(whole * np.sin(2 * np.pi * 0.01 * np.arange(400_000))) == pytest.approx(1 / 3, abs=0.01)
    assert np.var(whole - tone / step) == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("bits", [16, 24])
def test_quantising_never_wraps(bits: int) -> None:
    """Full scale and beyond stays at the ends of the range."""
    whole = quantise(np.array([[1.5, -1.5, 1.0, -1.0] * 500]), bits, np.random.default_rng(1))
    assert whole.max() <= 2 ** (bits - 1) - 1
    assert whole.min() >= -(2 ** (bits - 1))
