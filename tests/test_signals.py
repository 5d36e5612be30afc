"""What docs/signals.md claims, claim by claim: each docstring begins with the numbers of the claims it holds the page to."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from symbolic.dsp.dither import dequantise, hearing_weight, quantise, shaping_filter
from symbolic.dsp.filters import apply_fir, apply_iir, fir_filter, iir_filter, response
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode, mu_law_table
from symbolic.dsp.resampling import PointSampler, Resampler, resample
from symbolic.dsp.sampling import alias, droop, droop_compensation, held_droop, hold, reconstruct, sample
from symbolic.dsp.signal_to_noise import mu_law_snr, snr, uniform_snr
from symbolic.dsp.spectra import (
    griffin_lim,
    hz_to_mel,
    istft,
    magnitudes_of_mel,
    mel_filters,
    mel_spectrogram,
    mel_to_hz,
    spectral_convergence,
    stft,
)  # fmt: skip

RATES = [(48000, 16000), (48000, 8000), (44100, 16000), (44100, 8000), (48000, 44100), (96000, 48000), (192000, 8000)]
INCOMMENSURATE = math.sqrt(5) / 2 - 1  # cycles a sample of a sine that meets every phase


def sine(frequency: float, phase: float = 0.3):
    """A continuous sine of amplitude 1."""
    return lambda seconds: np.sin(2 * np.pi * frequency * seconds + phase)


def tone(samples: int = 100_000, level_db: float = 0.0) -> np.ndarray:
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * INCOMMENSURATE * np.arange(samples))


def level_at(sound: np.ndarray, frequency: float, sample_rate: float) -> float:
    """Amplitude of a sine in the middle of a sound, in dB, by a Hann window."""
    window = np.hanning(len(sound))
    turned = sound * window * np.exp(-2j * np.pi * frequency / sample_rate * np.arange(len(sound)))
    return 20 * math.log10(max(2 * abs(turned.sum()) / window.sum(), 1e-20))


def blocks_of(sound: np.ndarray) -> list[np.ndarray]:
    return np.split(sound, [1, 20, 3333, 9000], axis=1)


def test_the_page_and_these_tests_are_in_step():
    """The claims of the page are numbered from 1 without a gap, and each number stands in the docstring of a test here."""
    page = (Path(__file__).parent.parent / "docs" / "signals.md").read_text()
    claimed = [int(number) for number in re.findall(r"\*\*\[(\d+)\]\*\*", page)]
    assert claimed == list(range(1, len(claimed) + 1))
    tested = set()
    for name, function in globals().items():
        if name.startswith("test_") and (found := re.match(r"Claims? ([\d, ]+):", function.__doc__ or "")):
            tested |= {int(number) for number in found[1].split(",")}
    assert sorted(tested) == claimed


@pytest.mark.parametrize("relative", [0.01, 0.1, 0.3, 0.45])
def test_a_sound_below_half_the_rate_comes_back_between_its_samples(relative):
    """Claim 1: samples at 8 kHz tell a sine up to 0.45 of the rate everywhere, with an error below −95 dB."""
    times = np.linspace(0.1, 0.4, 3001)
    samples = sample(sine(8000 * relative), 8000, 0.5)
    assert snr(sine(8000 * relative)(times), reconstruct(samples, 8000, times)) > 95


def test_any_callable_is_sampled_at_any_rate():
    """A function of one number, a constant, a rate that is no whole number; what is not finite or has no length is refused."""
    np.testing.assert_allclose(sample(math.sin, 44.1, 2.0), np.sin(np.arange(89) / 44.1))
    np.testing.assert_array_equal(sample(lambda seconds: 3, 10, 0.5), [3.0] * 5)
    np.testing.assert_allclose(sample(math.exp, 3.3, 1, start=-2.0), np.exp(-2.0 + np.arange(4) / 3.3))
    with pytest.raises(ValueError, match="inf at 0 seconds"), np.errstate(divide="ignore"):
        sample(lambda seconds: 1 / seconds, 10, 1)
    for rate, seconds in ((0, 1), (10, 0), (math.nan, 1), (10, math.inf)):
        with pytest.raises(ValueError, match="above zero"):
            sample(math.sin, rate, seconds)


@pytest.mark.parametrize(("frequency", "heard"), [(5000, 3000), (9000, 1000), (15999, 1), (3000, 3000), (4000, 4000)])
def test_above_half_the_rate_a_sine_is_its_alias(frequency, heard):
    """Claim 2: at 8 kHz a sine of 5,000 Hz has the very samples of one of 3,000 Hz, turned round in time or not."""
    assert alias(frequency, 8000) == heard
    samples = sample(sine(frequency), 8000, 0.25)
    side = 1 if round(frequency / 8000) * 8000 <= frequency else -1
    np.testing.assert_allclose(samples, np.sin(2 * np.pi * heard * np.arange(2000) / 8000 * side + 0.3), atol=1e-9)


def test_without_a_filter_an_alias_is_as_loud_as_its_source():
    """Claims 3, 4: from 48 to 8 kHz a 5,000 Hz sine arrives at 3,000 Hz at full strength, and through the filter 120 dB down."""
    sound = sample(sine(5000), 48000, 1.0)[None]
    bare, filtered = PointSampler(48000, 8000, 1), Resampler(48000, 8000, 1)
    folded, kept = (np.concatenate([way.process(sound), way.flush()], 1)[0][1000:-1000] for way in (bare, filtered))
    assert level_at(folded, 3000, 8000) == pytest.approx(0.0, abs=0.01)
    assert level_at(kept, 3000, 8000) < -120


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_the_resampler_holds_aliases_120_db_down(from_rate, to_rate):
    """Claim 4: nothing of any tone above half the new rate is left above −120 dB, right up to that edge."""
    time = np.arange(from_rate // 2) / from_rate
    tones = np.linspace(to_rate / 2 * 1.01, from_rate / 2 * 0.99, 9)
    left = resample(np.sin(2 * np.pi * tones[:, None] * time), from_rate, to_rate)
    middle = left[:, left.shape[1] // 4 : -left.shape[1] // 4]
    assert 10 * np.log10(2 * (middle**2).mean(1).max()) < -120


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_the_resampler_leaves_the_passband_alone(from_rate, to_rate):
    """Claim 5: tones up to 0.9 of half the new rate come through clean, in place, and within 0.01 dB as loud as they were."""
    time, later = np.arange(from_rate // 2) / from_rate, np.arange(to_rate // 2) / to_rate
    middle = slice(to_rate // 8, -to_rate // 8)
    for frequency in np.linspace(20, 0.9 * to_rate / 2, 7):
        got = resample(np.sin(2 * np.pi * frequency * time), from_rate, to_rate)[middle]
        waves = np.stack([np.sin(2 * np.pi * frequency * later), np.cos(2 * np.pi * frequency * later)], 1)[middle]
        (gain, late), _, _, _ = np.linalg.lstsq(waves, got, rcond=None)
        assert abs(20 * math.log10(gain)) < 0.01
        assert abs(late) < 1e-8
        assert snr(waves @ [gain, late], got) > 150


@pytest.mark.parametrize("way", [Resampler, PointSampler])
@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 16000), (44100, 8000), (11025, 44101), (8000, 8000)])
def test_blocks_give_what_the_whole_gives(way, from_rate, to_rate):
    """Claim 6: resampling in blocks of any sizes, with a filter or without, equals resampling at once, in length and in samples."""
    sound = np.random.default_rng(0).standard_normal((2, 10_000))
    whole, parts = way(from_rate, to_rate, 2), way(from_rate, to_rate, 2)
    at_once = np.concatenate([whole.process(sound), whole.flush()], 1)
    joined = np.concatenate([*(parts.process(block) for block in blocks_of(sound)), parts.flush()], 1)
    assert at_once.shape == (2, round(10_000 * to_rate / from_rate))
    np.testing.assert_allclose(joined, at_once, atol=1e-12)
    if way is Resampler:
        np.testing.assert_allclose(at_once, resample(sound, from_rate, to_rate), atol=1e-12)


def test_without_a_filter_samples_are_those_of_the_continuous_sound():
    """Claim 3: reading 44.1 kHz at 8 kHz without a filter equals sampling the continuous sound at 8 kHz, aliases and all."""

    def chord(seconds):
        return sine(440)(seconds) + 0.3 * sine(6100)(seconds) + 0.2 * sine(17_000)(seconds)

    point = PointSampler(44100, 8000, 1)
    sound = sample(chord, 44100, 0.5)[None]
    got = np.concatenate([point.process(sound), point.flush()], 1)[0]
    assert snr(sample(chord, 8000, 0.5)[100:-100], got[100:-100]) > 90


def test_resampling_keeps_shape_kind_and_refuses_gradients():
    """Any leading shape, arrays and tensors alike, in their own precision; a gradient that soxr cannot give is refused."""
    sound = np.random.default_rng(1).standard_normal((2, 3, 441)).astype(np.float32)
    got = resample(torch.from_numpy(sound), 44100, 48000)
    assert got.shape == (2, 3, 480)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got[1, 2].numpy(), resample(sound.astype(float)[1, 2], 44100, 48000), atol=1e-6)
    assert resample(np.zeros((2, 0)), 8000, 16000).shape == (2, 0)
    with pytest.raises(ValueError, match="no gradient"):
        resample(torch.zeros(100, requires_grad=True), 2, 1)
    with pytest.raises(ValueError, match="above zero"):
        resample(sound, 0, 8000)


@pytest.mark.parametrize("frequency", [100, 1000, 3000, 3990])
def test_a_hold_weakens_and_mirrors(frequency):
    """Claims 7, 8: held at 8 kHz, a sine is weakened by sinc(f / rate), and its images at rate − f and rate + f have sinc of theirs."""
    held = hold(sample(sine(frequency), 8000, 1.0), 64)
    for place in (frequency, 8000 - frequency, 8000 + frequency):
        expected = 20 * math.log10(float(held_droop(place, 8000, 64)))
        assert level_at(held, place, 8000 * 64) == pytest.approx(expected, abs=0.01)
        assert expected == pytest.approx(20 * math.log10(float(droop(place, 8000))), abs=0.02)
    assert 20 * math.log10(float(droop(4000, 8000))) == pytest.approx(-3.92, abs=0.005)


def test_the_droop_is_taken_back():
    """Claim 9: compensated before it is held, a sound is flat within 0.01 dB up to 0.45 of the rate; bare it falls by 3.1 dB there."""
    frequency = np.linspace(0, 0.45, 500)
    taps = droop_compensation()
    flat = 20 * np.log10(np.abs(response(taps, frequency, 1.0)) * droop(frequency, 1.0))
    assert np.abs(flat).max() < 0.01
    assert 20 * math.log10(float(droop(0.45, 1.0))) == pytest.approx(-3.15, abs=0.05)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
    held = hold(apply_fir(sample(sine(3500), 8000, 1.0), taps), 16)
    assert level_at(held, 3500, 128_000) == pytest.approx(-20 * math.log10(np.sinc(3500 / 128_000)), abs=0.01)


@pytest.mark.parametrize("bits", [4, 6, 8, 10, 12, 16, 20, 24])
def test_each_bit_is_worth_six_decibels(bits):
    """Claim 10: a sine that fills all steps lies 6.02 b + 1.76 dB above the error of rounding, within half a dB, from 4 to 24 bits."""
    half_step = 2.0**-bits  # steps reach from −1 to one step below 1: a sine half a step lower fills them
    sound = tone() - half_step
    got = dequantise(quantise(sound, bits, np.random.default_rng(0), "none"), bits)
    assert uniform_snr(bits) == pytest.approx(6.02 * bits + 1.76, abs=0.02)
    assert snr(sound, got) == pytest.approx(uniform_snr(bits), abs=0.5)


@pytest.mark.parametrize("dither", ["none", "rpdf", "tpdf"])
@pytest.mark.parametrize("level_db", [-6.0, -20.0, -40.0])
def test_softer_sounds_lose_what_dither_costs(dither, level_db):
    """Claims 11, 13: the error stays where it is when the sound gets softer, and RPDF costs 3.01 dB, TPDF 4.77 dB."""
    sound = tone(level_db=level_db)
    got = dequantise(quantise(sound, 12, np.random.default_rng(0), dither), 12)
    cost = {"none": 0.0, "rpdf": 3.01, "tpdf": 4.77}[dither]
    assert uniform_snr(12, level_db, dither) == pytest.approx(uniform_snr(12) + level_db - cost, abs=0.01)
    assert snr(sound, got) == pytest.approx(uniform_snr(12, level_db, dither), abs=0.5)


def test_dither_frees_the_error_from_the_sound():
    """Claim 12: the error's mean and power depend on where between two steps the sound is; RPDF frees the mean, TPDF the power too."""
    places = np.linspace(0, 1, 21)[:, None] / 128
    found = {}
    for dither in ("none", "rpdf", "tpdf"):
        whole = quantise(np.repeat(places, 40_000, 1), 8, np.random.default_rng(2), dither)
        error = whole - 128 * places
        found[dither] = (np.ptp(error.mean(1)), np.ptp((error**2).mean(1)), (error**2).mean())
    assert found["none"][0] > 0.8
    assert found["rpdf"][0] < 0.02
    assert found["rpdf"][1] > 0.2
    assert found["tpdf"][0] < 0.02
    assert found["tpdf"][1] < 0.02
    assert found["tpdf"][2] == pytest.approx(1 / 4, rel=0.01)


def test_without_dither_a_soft_tone_grows_harmonics_or_vanishes():
    """Claim 12: at 8 bits a tone of ¾ step has a third harmonic at −20 dB of it, one of ⅓ step is gone; with TPDF both are clean."""
    rate, seconds = 48000, 2.0
    for amplitude in (0.75, 1 / 3):
        sound = amplitude / 128 * sample(sine(440), rate, seconds)
        bare, dithered = (dequantise(quantise(sound, 8, np.random.default_rng(3), kind), 8) for kind in ("none", "tpdf"))
        level = 20 * math.log10(amplitude / 128)
        assert level_at(dithered, 440, rate) == pytest.approx(level, abs=0.5)
        assert level_at(dithered, 1320, rate) < level - 25
        if amplitude > 0.5:
            assert level_at(bare, 1320, rate) > level - 20
        else:
            assert not bare.any()


def noise_spectrum(sound: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Power of the error in 256 bands from 0 to half the rate, against the number of samples."""
    frames = (got - sound).reshape(-1, 512) * np.hanning(512)
    return (np.abs(np.fft.rfft(frames)) ** 2).mean(0) / (np.hanning(512) ** 2).sum()


def test_shaped_noise_is_louder_but_less_audible():
    """Claims 14, 15: at 48 kHz shaping adds 10 dB of noise and lowers it by 13 dB as the ear counts; at 8 kHz the gain is 2 dB."""
    sound = tone(2**18, -12.0)[None]
    for rate, louder, softer in ((48000, 10.3, 13.2), (8000, 3.7, 2.1)):
        taps = shaping_filter(rate)
        plain, shaped = (quantise(sound, 10, np.random.default_rng(4), "tpdf", way) for way in (None, taps))
        before, after = (noise_spectrum(sound, dequantise(whole, 10)) for whole in (plain, shaped))
        weight = hearing_weight(np.linspace(0, rate / 2, len(before)))
        assert 10 * math.log10(after.mean() / before.mean()) == pytest.approx(louder, abs=0.4)
        assert 10 * math.log10((after * weight).mean() / (before * weight).mean()) == pytest.approx(-softer, abs=0.4)
        assert snr(sound, dequantise(shaped, 10)) == pytest.approx(uniform_snr(10, -12.0, "tpdf", taps), abs=0.5)


def test_noise_that_sinks_somewhere_rises_elsewhere():
    """Claim 14: over all frequencies the mean of the shaped spectrum in dB is that of the plain one."""
    for rate in (8000, 44100, 48000, 96000):
        gain = response(np.concatenate([[1.0], shaping_filter(rate)]), np.linspace(0, rate / 2, 4097), rate)
        assert np.mean(20 * np.log10(np.abs(gain))) == pytest.approx(0.0, abs=0.02)


def test_shaping_block_by_block_is_shaping_at_once():
    """The memory of past errors goes on from call to call, each channel its own; overload does not run away."""
    sound, taps = 0.5 * np.random.default_rng(5).standard_normal((2, 10_000)), shaping_filter(44100)
    at_once = quantise(sound, 8, np.random.default_rng(6), "none", taps)
    memory = np.zeros((2, len(taps)))
    parts = [quantise(block, 8, np.random.default_rng(6), "none", taps, memory) for block in blocks_of(sound)]
    np.testing.assert_array_equal(np.concatenate(parts, 1), at_once)
    np.testing.assert_array_equal(at_once[1:], quantise(sound[1:], 8, np.random.default_rng(6), "none", taps))
    loud = quantise(10 * sound, 8, np.random.default_rng(6), "tpdf", taps)
    after = quantise(np.zeros((2, 1000)), 8, np.random.default_rng(6), "none", taps, np.full((2, len(taps)), 2.0))
    assert (loud.min(), loud.max()) == (-128, 127)
    assert np.abs(after[:, 500:]).max() < 20


@pytest.mark.parametrize(("bits", "dither", "word"), [(1, "tpdf", "bit_depth is 1"), (25, "tpdf", "25"), (8, "gaussian", "gaussian")])
def test_quantisers_refuse_what_they_cannot(bits, dither, word):
    """Bits outside 2 to 24 and unknown dithers are refused by name."""
    with pytest.raises(ValueError, match=word):
        quantise(np.zeros(3), bits, np.random.default_rng(0), dither)


@pytest.mark.parametrize("levels", [64, 256, 1024, 65536])
def test_mu_law_meets_its_theory(levels):
    """Claim 16: sounds of all amplitudes lie within half a dB of theory, 38 dB at full scale for 256 levels; one sine within 0.8 dB."""
    generator = np.random.default_rng(7)
    for level in (1.0, 0.1, 0.01):
        sound = level * generator.uniform(-1, 1, 100_000)
        assert snr(sound, mu_law_decode(mu_law_encode(sound, levels), levels)) == pytest.approx(mu_law_snr(sound, levels), abs=0.5)
    sines = [tone(20_000, level_db) for level_db in np.linspace(-6, 0, 25)]  # a sine dwells at its peaks
    errors = [snr(one, mu_law_decode(mu_law_encode(one, levels), levels)) - mu_law_snr(one, levels) for one in sines]
    assert np.mean(errors) == pytest.approx(0, abs=0.5)
    if levels == 256:
        assert mu_law_snr(tone()) == pytest.approx(38, abs=0.1)
        assert np.abs(errors).max() < 0.8


def test_mu_law_is_for_soft_sounds():
    """Claim 17: 40 dB below full scale 8 bits give 34 dB by µ-law and 10 dB by even steps; at full scale 38 and 50."""
    for level_db, bent, even in ((-40.0, 34, 10), (0.0, 38, 50)):
        sound = tone(level_db=level_db)
        assert snr(sound, mu_law_decode(mu_law_encode(sound))) == pytest.approx(bent, abs=1.2)
        assert uniform_snr(8, level_db) == pytest.approx(even, abs=0.2)


@pytest.mark.parametrize("levels", [4, 16, 256, 65536])
def test_mu_law_codes_come_back(levels):
    """Claim 18: every code but the unused 0 decodes to a sound that encodes to it; silence is exact, ±1 too, and the order is kept."""
    codes = np.arange(1, levels)
    table = mu_law_table(levels)
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(codes, levels), levels), codes)
    np.testing.assert_array_equal(mu_law_encode(torch.from_numpy(table[1:]), levels).numpy(), codes)
    assert (np.diff(table[1:]) > 0).all()
    np.testing.assert_array_equal(table[[1, levels // 2, levels - 1]], [-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(table[1:], -table[:0:-1])
    bent = np.log1p((levels - 1) * table[levels // 2 :].astype(float)) / np.log(levels)
    np.testing.assert_allclose(bent, np.arange(levels // 2) / (levels // 2 - 1), atol=1e-6)


def test_mu_law_of_tensors_is_that_of_arrays():
    """Tensors of any shape and precision give the same whole numbers as arrays; too loud is clipped, no number is silence."""
    sound = np.random.default_rng(8).uniform(-1.2, 1.2, (2, 3, 5000)).astype(np.float32)
    codes = mu_law_encode(torch.from_numpy(sound))
    assert codes.dtype == torch.int64
    assert (codes.numpy() != mu_law_encode(sound)).mean() < 1e-4  # float32 beside a border may fall to its other side
    assert (codes.min(), codes.max()) == (1, 255)
    np.testing.assert_array_equal(mu_law_decode(codes).numpy(), mu_law_decode(codes.numpy()))
    odd = [math.nan, math.inf, -math.inf]
    assert mu_law_encode(torch.tensor(odd)).tolist() == [128, 255, 1] == mu_law_encode(np.array(odd)).tolist()
    assert mu_law_encode(torch.tensor([0.5], dtype=torch.bfloat16)).item() == mu_law_encode(np.array([0.5])).item()
    for levels in (3, 2, 255):
        with pytest.raises(ValueError, match="even number"):
            mu_law_table(levels)
    with pytest.raises(IndexError):
        mu_law_decode(np.array([-1]))


@pytest.mark.parametrize(("kind", "edges"), [("low", 4000), ("high", 4000), ("band", (2000, 6000)), ("stop", (2000, 6000))])
def test_a_finite_filter_does_what_it_was_asked(kind, edges):
    """Claim 19: half the gain at the edges, flat within 0.001 dB on one side and 100 dB down on the other, all frequencies in time."""
    taps = fir_filter(kind, edges, 48000, transition=500, attenuation_db=100)
    frequency = np.linspace(0, 24000, 4801)
    gain = np.abs(response(taps, frequency, 48000))
    corners = np.ravel(edges)
    inside = {
        "low": frequency < corners[0], "high": frequency > corners[0],
        "band": (frequency > corners[0]) & (frequency < corners[-1]), "stop": (frequency < corners[0]) | (frequency > corners[-1]),
    }[kind]  # fmt: skip
    clear = np.abs(frequency[:, None] - corners).min(1) >= 250
    assert np.abs(20 * np.log10(gain[inside & clear])).max() < 0.001
    assert gain[~inside & clear].max() < 10 ** (-100 / 20)
    np.testing.assert_allclose(np.abs(response(taps, corners, 48000)), 0.5, atol=1e-3)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)


def test_a_finite_filter_is_a_convolution_with_gradients():
    """Claim 20: batched products of spectra equal numpy's convolution, on arrays and on tensors, and gradients are exact for both."""
    generator = np.random.default_rng(9)
    sound, taps = generator.standard_normal((2, 3, 700)), fir_filter("low", 6000, 48000, 4000, 60)
    plain = np.stack([[np.convolve(row, taps) for row in rows] for rows in sound])
    late = len(taps) // 2
    for given in (apply_fir(sound, taps), apply_fir(torch.from_numpy(sound), taps).numpy()):
        np.testing.assert_allclose(given, plain[..., late : late + 700], atol=1e-12)
    np.testing.assert_allclose(apply_fir(torch.from_numpy(sound), taps, causal=True).numpy(), plain[..., :700], atol=1e-12)
    inputs = (torch.from_numpy(sound[0, :2, :30]).requires_grad_(), torch.from_numpy(taps[:9]).requires_grad_())
    assert torch.autograd.gradcheck(apply_fir, inputs)
    assert apply_fir(torch.zeros(5), taps).shape == (5,)
    with pytest.raises(ValueError, match="odd number of taps"):
        apply_fir(sound, taps[:-1])


@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_a_butterworth_falls_six_decibels_an_octave_and_order(order):
    """Claim 21: 3.01 dB down at its edge, then 6.02 dB an octave for each order."""
    sections = iir_filter("low", 100, 48000, order)
    edge, one, two = 20 * np.log10(np.abs(response(sections, np.array([100.0, 800.0, 1600.0]), 48000)))
    assert edge == pytest.approx(-3.01, abs=0.01)
    assert two - one == pytest.approx(-6.02 * order, abs=0.1 * order)


def test_a_recursive_filter_delays_unless_run_both_ways():
    """Claim 22: a Butterworth low pass moves a tone in time; forwards and backwards it does not, at twice the attenuation."""
    sections = iir_filter("low", 1000, 48000, 4)
    sound = sample(sine(1000), 48000, 0.5)
    once, both = apply_iir(torch.from_numpy(sound), sections).numpy(), apply_iir(sound, sections, zero_phase=True)
    middle = slice(8000, 16000)
    assert level_at(once[middle], 1000, 48000) == pytest.approx(-3.01, abs=0.01)
    assert snr(sound[middle] * 0.5, both[middle]) > 80
    assert np.corrcoef(sound[middle], once[middle])[0, 1] < -0.9  # half a cycle late
    with pytest.raises(ValueError, match="no gradient"):
        apply_iir(torch.zeros(9, requires_grad=True), sections)


def test_filters_refuse_what_cannot_be_designed():
    """An edge at or above half the rate, one edge for a band, no transition, an unknown kind: each is named."""
    for kind, edges, transition, word in (
        ("low", 24000, 100, "below 24000"), ("band", 3000, 100, "two rising edges"), ("band", (5, 4), 100, "two rising edges"),
        ("low", 100, 0, "transition is 0"), ("low", 100, 1e-3, "widen it"), ("notch", 100, 10, "notch"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            fir_filter(kind, edges, 48000, transition)
    with pytest.raises(ValueError, match="bessel"):
        iir_filter("low", 100, 48000, family="bessel")


@pytest.mark.parametrize("shape", [(5,), (2, 16000), (2, 1, 5001)])
def test_a_spectrum_holds_the_whole_sound(shape):
    """Claim 23: the inverse gives back every sample to rounding, the ends too, for any length and batch."""
    sound = torch.from_numpy(np.random.default_rng(10).standard_normal(shape))
    spectrum = stft(sound, 512, 128)
    assert spectrum.shape == (*shape[:-1], 257, shape[-1] // 128 + 1)
    torch.testing.assert_close(istft(spectrum, shape[-1], 128), sound, atol=1e-12, rtol=0)


def test_a_sine_on_a_bin_has_a_quarter_of_the_window():
    """The unit of a spectrum is as documented, and sizes and hops without an inverse are refused."""
    sound = torch.from_numpy(0.5 * np.cos(2 * np.pi * 40 / 512 * np.arange(4096)))
    assert float(stft(sound, 512, 128)[40, 16].abs()) == pytest.approx(0.5 * 512 / 4, rel=1e-6)
    for size, hop in ((511, 128), (512, 300), (512, 0)):
        with pytest.raises(ValueError, match="wanted"):
            stft(sound, size, hop)


def test_mel_bands_tile_the_spectrum():
    """Claim 24: 1000 Hz is 1000 mel, bands stand equally far apart there, no band is empty and the weights of a bin add up to 1."""
    assert float(hz_to_mel(1000)) == pytest.approx(1000, abs=0.02)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(np.array([0.0, 440, 20000]))), [0, 440, 20000], atol=1e-9)
    filters = mel_filters(80, 1024, 16000, 20)
    corners = mel_to_hz(np.linspace(hz_to_mel(20), hz_to_mel(8000), 82))
    bins = np.arange(513) * 16000 / 1024
    covered = (bins > corners[1] + 8) & (bins < corners[-2] - 8)
    np.testing.assert_allclose(filters.sum(0)[covered], 1.0, atol=1e-9)
    assert mel_filters(128, 512, 48000).sum(1).min() > 0.1
    np.testing.assert_allclose(bins[filters.argmax(1)], corners[1:-1], atol=16000 / 1024)
    with pytest.raises(ValueError, match="half the rate"):
        mel_filters(80, 1024, 16000, 20, 9000)


def glide() -> np.ndarray:
    """Half a second at 16 kHz that glides from 200 to 2000 Hz."""
    seconds = np.arange(8000) / 16000
    return 0.5 * np.sin(2 * np.pi * (200 * seconds + 1800 * seconds**2))


def test_griffin_lim_finds_a_sound_for_magnitudes():
    """Claim 25: after 60 steps the magnitudes fit to −18 dB by the plain form and to −24 dB with momentum, and a tone keeps its pitch."""
    magnitudes = stft(torch.from_numpy(glide())).abs()
    few, plain, fast = (
        spectral_convergence(griffin_lim(magnitudes, 8000, steps=steps, momentum=momentum), magnitudes)
        for steps, momentum in ((5, 0.0), (60, 0.0), (60, 0.99))
    )
    assert plain < few - 3
    assert plain < -18
    assert fast < -24
    flat = stft(torch.from_numpy(sample(sine(440), 16000, 0.5))).abs()
    found = np.abs(np.fft.rfft(griffin_lim(flat, 8000, steps=20).numpy() * np.hanning(8000)))
    assert abs(int(found.argmax()) * 2 - 440) <= 2
    assert torch.equal(griffin_lim(flat, 8000, steps=2, seed=5), griffin_lim(flat, 8000, steps=2, seed=5))


def test_mel_bands_go_back_to_a_spectrum_they_fit():
    """Claim 26: magnitudes found from 80 mel bands have these bands within 1 %, are none negative, and differ from the true ones."""
    sound = torch.from_numpy(glide())
    filters = torch.from_numpy(mel_filters(80, 1024, 16000))
    bands, true = mel_spectrogram(sound, filters), stft(sound).abs()
    found = magnitudes_of_mel(bands, filters)
    assert found.min() >= 0
    assert float((filters @ found - bands).norm() / bands.norm()) < 0.01
    assert 0.05 < float((found - true).norm() / true.norm()) < 0.4


def test_gradients_go_through_spectra():
    """A loss on mel bands has a gradient for every sample of the sound, equal to that of differences."""
    sound = torch.from_numpy(0.1 * np.random.default_rng(11).standard_normal(64)).requires_grad_()
    filters = torch.from_numpy(mel_filters(4, 16, 16000))
    assert torch.autograd.gradcheck(lambda one: mel_spectrogram(one, filters, 8), (sound,))


def test_ratios_of_silence_are_infinite():
    """A sound equal to itself has no error, silence with an error is all error, two lengths are refused."""
    assert snr(np.ones(3), np.ones(3)) == math.inf
    assert snr(np.zeros(3), np.ones(3)) == -math.inf
    with pytest.raises(ValueError, match="one shape"):
        snr(np.ones(3), np.ones(4))
