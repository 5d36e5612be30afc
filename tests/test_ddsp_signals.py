"""Sources and measures of learned voices: physics, gradients, and equality of the tensor and the compiled paths."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from symbolic.dsp.a_weighting import a_weighted_loudness, a_weighting, loudness_error, scaled
from symbolic.dsp.control_curves import ControlStream, at_samples, cycles_at_samples, spline_integrals, spline_weights, with_neighbours
from symbolic.dsp.harmonics import cycles_at_samples as tensor_cycles
from symbolic.dsp.harmonics import harmonic_bank, nyquist_fade
from symbolic.dsp.harmonics_native import HarmonicVoice, harmonic_sound
from symbolic.dsp.noise_bands import NoiseVoice, noise_bands
from symbolic.dsp.partitioned_convolution import PartitionedConvolution
from symbolic.dsp.spectral_loss import magnitudes, spectral_loss
from symbolic.dsp.trainable_reverb import TrainableReverb, convolved
from symbolic.dsp.wavetable import WavetableVoice, harmonics_of_copies, wavetable_sound

RATE, HOP = 16000, 64


def decibels_of_error(sound: np.ndarray, exact: np.ndarray) -> float:
    """Signal to error in dB."""
    return 10 * math.log10((exact**2).sum() / ((np.asarray(sound, np.float64) - exact) ** 2).sum())


def glide(frames: int, partials: int, seed: int = 0, low: float = 90.0, high: float = 900.0) -> tuple[np.ndarray, np.ndarray]:
    """A pitch that wanders with vibrato and amplitudes that jump about: (F,) and (F, K)."""
    generator = np.random.default_rng(seed)
    time = np.arange(frames) / 250
    way = 0.5 - 0.5 * np.cos(2 * np.pi * (0.7 * time + generator.random()))
    pitch = low * (high / low) ** way * (1 + 0.01 * np.sin(2 * np.pi * 6 * time))
    amplitudes = generator.random((frames // 20 + 1, partials)).repeat(20, 0)[:frames] / partials
    return pitch, amplitudes


def partials_written_out(
    pitch: np.ndarray, amplitudes: np.ndarray, hop: int, rate: int, inharmonicity: np.ndarray | None = None
) -> np.ndarray:
    """The bank by its definition in float64: one partial after the other, one sine for each sample."""
    sound = np.zeros(len(pitch) * hop)
    for k in range(1, amplitudes.shape[1] + 1):
        frequency = k * pitch * (1 if inharmonicity is None else np.sqrt(1 + inharmonicity * k * k))
        way = np.clip((0.5 - frequency / rate) / 0.03, 0, 1)
        level = with_neighbours(amplitudes[:, k - 1] * way**2 * (3 - 2 * way))
        level[with_neighbours(frequency).max(1) >= rate / 2] = 0
        sound += (level @ spline_weights(hop)).reshape(-1) * np.sin(2 * np.pi * cycles_at_samples(frequency, hop, rate))
    return sound


def tensor(array: np.ndarray, kind: torch.dtype = torch.float32) -> torch.Tensor:
    """One row on tensors."""
    return torch.from_numpy(np.asarray(array))[None].to(kind)


def spectrum_in_decibels(sound: np.ndarray) -> np.ndarray:
    """Magnitudes under a window whose side lobes are below −150 dB, relative to the highest."""
    magnitude = np.abs(np.fft.rfft(np.asarray(sound, np.float64) * np.kaiser(len(sound), 22)))
    return 20 * np.log10(magnitude / magnitude.max() + 1e-30)


def near(frequencies: np.ndarray, wanted: np.ndarray, width: float) -> np.ndarray:
    """Which of the frequencies are within `width` of any wanted one."""
    return (np.abs(frequencies[:, None] - wanted[None]) < width).any(1)


# Curves


def test_curves_have_no_corners_and_keep_straight_lines() -> None:
    """A fade comes out straight, steps come out with a continuous slope and within their range, and the weights add up to one."""
    np.testing.assert_allclose(spline_weights(HOP).sum(0), 1)
    straight = at_samples(np.arange(10.0), HOP)[HOP:-HOP]
    np.testing.assert_allclose(np.diff(straight), 1 / HOP, rtol=1e-9)
    jumpy = np.random.default_rng(0).random(50)
    curve = at_samples(jumpy, HOP)
    assert jumpy.min() <= curve.min()
    assert curve.max() <= jumpy.max()
    # The largest change of slope from one sample to the next is that of the parabolas, not of corners: it falls with the square of the hop.
    bends = [np.abs(np.diff(at_samples(jumpy, hop), 2)).max() * hop**2 for hop in (HOP, 4 * HOP)]
    assert bends[1] == pytest.approx(bends[0], rel=0.05)


def test_phase_is_the_integral_of_the_curve() -> None:
    """The closed form equals a sum over a curve drawn a hundred times finer, and the integrals end where they must."""
    np.testing.assert_allclose(spline_integrals(HOP)[:, -1], [1 / 6, 4 / 6, 1 / 6])
    pitch, _ = glide(12, 1)
    fine = at_samples(pitch, 100 * HOP) / (100 * RATE)
    midpoints = 0.5 * (fine[1:] + fine[:-1])
    summed = np.concatenate([[0], np.cumsum(midpoints)])[::100][: 12 * HOP]
    error = cycles_at_samples(pitch, HOP, RATE) - summed
    np.testing.assert_allclose(error - np.round(error), 0, atol=1e-7)
    np.testing.assert_allclose(tensor_cycles(tensor(pitch, torch.float64), HOP, RATE)[0], cycles_at_samples(pitch, HOP, RATE), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_stream_of_controls_gives_each_frame_once(sizes: list[int]) -> None:
    """Blocks of any sizes, empty ones too, give every control between its neighbours exactly once, and then the stream begins anew."""
    controls = np.arange(float(sum(sizes)))
    stream = ControlStream()
    for _ in range(2):
        windows = [stream.add(block)[0] for block in np.split(controls, np.cumsum(sizes)[:-1])]
        last = stream.flush()
        windows += [last[0]] if last else []
        triples = [window[i : i + 3] for window in windows for i in range(len(window) - 2)]
        np.testing.assert_array_equal(np.reshape(triples, (-1, 3)), with_neighbours(controls) if len(controls) else np.zeros((0, 3)))


# Harmonics


@pytest.mark.parametrize(("rate", "partials", "hop"), [(16000, 60, 64), (48000, 100, 192)])
@pytest.mark.parametrize("stretched", [False, True])
def test_banks_equal_sines_written_out(rate: int, partials: int, hop: int, stretched: bool) -> None:
    """Tensor and compiled banks are within −100 dB of double precision on the time axis, sample by sample."""
    pitch, amplitudes = glide(120, partials)
    inharmonicity = np.linspace(2e-4, 6e-4, 120) if stretched else None
    exact = partials_written_out(pitch, amplitudes, hop, rate, inharmonicity)
    rows = tensor(pitch, torch.float64), tensor(amplitudes), hop, rate, tensor(inharmonicity, torch.float64) if stretched else None
    for native in (False, True):
        assert decibels_of_error(harmonic_bank(*rows, native=native)[0].numpy(), exact) > 100
    assert decibels_of_error(harmonic_sound(pitch, amplitudes, hop, rate, inharmonicity), exact) > 100


def test_compiled_gradients_equal_those_of_tensors() -> None:
    """The gradient of the amplitudes from machine code is that of the tensors, also of partials too soft to be heard."""
    pitch, amplitudes = glide(25, 33, low=60, high=210)
    amplitudes[:, 20:] = 1e-7
    weight = torch.randn(1, 25 * HOP, generator=torch.Generator().manual_seed(0))
    gradients = []
    for native in (False, True):
        leaf = tensor(amplitudes).requires_grad_()
        (harmonic_bank(tensor(pitch), leaf, HOP, RATE, native=native) * weight).sum().backward()
        gradients.append(leaf.grad)
    assert gradients[0].abs().min() > 0
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-3, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 9), partials=st.integers(1, 30), hop=st.sampled_from([5, 64, 100]))
def test_compiled_bank_equals_the_tensor_bank(seed: int, frames: int, partials: int, hop: int) -> None:
    """Both paths make the same samples for any numbers of frames and partials, sweeps through half the sample rate included."""
    pitch, amplitudes = glide(frames, partials, seed, 60, 3000)
    fast = harmonic_sound(pitch, amplitudes, hop, RATE)
    slow = harmonic_bank(tensor(pitch, torch.float64), tensor(amplitudes, torch.float64), hop, RATE)[0].numpy()
    assert np.abs(slow).max() > 0
    np.testing.assert_allclose(fast, slow, atol=1e-5)


@pytest.mark.parametrize("stretched", [False, True])
@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_a_voice_in_blocks_equals_the_voice_at_once(stretched: bool, sizes: list[int]) -> None:
    """Blocks of any sizes give the samples of the whole, bit for bit."""
    frames = sum(sizes)
    pitch, amplitudes = glide(frames, 12)
    inharmonicity = np.full(frames, 4e-4) if stretched else None
    voice = HarmonicVoice(12, HOP, RATE)
    pieces, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        pieces.append(voice.process(pitch[part], amplitudes[part], inharmonicity[part] if stretched else None))
        start += size
    pieces.append(voice.flush())
    np.testing.assert_array_equal(np.concatenate(pieces), harmonic_sound(pitch, amplitudes, HOP, RATE, inharmonicity))


@pytest.mark.parametrize("sizes", [(40,), (1,) * 40, (17, 3, 20), (16, 24)])
def test_a_voice_begins_anew_at_the_phase_it_is_told(sizes: tuple[int, ...]) -> None:
    """From a frame with a phase on the sound is that of a voice with this phase; before it nothing changes; in blocks of any sizes."""
    frame, phase = 17, 0.3
    pitch, amplitudes = np.full(40, 61.7), np.full((40, 5), 0.1)
    starts = np.where(np.arange(40) == frame, phase, -1.0)
    voice, ends = HarmonicVoice(5, HOP, RATE), np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    pieces = [voice.process(pitch[part], amplitudes[part], None, starts[part]) for part in parts]
    sound = np.concatenate([*pieces, voice.flush()])
    cycles = 61.7 * np.arange(40 * HOP) / RATE
    cycles = np.where(np.arange(40 * HOP) < frame * HOP, cycles, cycles - cycles[frame * HOP] + phase)
    expected = 0.1 * np.sin(2 * np.pi * cycles[:, None] * np.arange(1, 6)).sum(1)
    np.testing.assert_allclose(sound, expected, atol=2e-6)


def test_a_row_of_a_batch_is_the_row_alone() -> None:
    """No row of a batch knows of the others."""
    rows = [glide(30, 20, seed) for seed in range(3)]
    pitch, amplitudes = (torch.cat([tensor(row[i]) for row in rows]) for i in range(2))
    batch = harmonic_bank(pitch, amplitudes, HOP, RATE)
    for row in range(3):
        torch.testing.assert_close(
            batch[row], harmonic_bank(pitch[row : row + 1], amplitudes[row : row + 1], HOP, RATE)[0], atol=1e-6, rtol=0
        )


def test_a_steady_partial_is_a_sine_and_peaks_at_its_pitch() -> None:
    """440 Hz is a·sin(2πft), its spectrum peaks at 440 Hz within a hundredth of a hertz, and energy grows with amplitude squared."""
    frames = 250
    sound = harmonic_sound(np.full(frames, 440.0), np.full((frames, 1), 0.5), HOP, RATE)
    np.testing.assert_allclose(sound, 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE), atol=1e-6)
    padded = np.abs(np.fft.rfft(sound * np.hanning(RATE), 100 * RATE))
    assert np.argmax(padded) / 100 == pytest.approx(440, abs=0.01)
    twice = harmonic_sound(np.full(frames, 440.0), np.full((frames, 1), 1.0), HOP, RATE)
    assert (twice.astype(float) ** 2).sum() == pytest.approx(4 * (sound.astype(float) ** 2).sum(), rel=1e-6)
    assert np.mean(twice.astype(float) ** 2) == pytest.approx(0.5, rel=1e-4)


def test_phase_is_right_after_an_hour() -> None:
    """After an hour of a moving pitch the phase is within 1e-8 cycles of the exact sum, on both paths."""
    frames = 250 * 3600
    pitch = 220.1 + 0.4 * (np.arange(frames) % 2)
    a_frame = with_neighbours(pitch) @ spline_integrals(4)[:, -1] / 250
    before_last, end = math.fsum(a_frame[:-1].tolist()), math.fsum(a_frame.tolist())
    error = tensor_cycles(tensor(pitch, torch.float64), 4, 1000)[0, -4].item() - before_last
    assert abs(error - round(error)) < 1e-8
    voice = HarmonicVoice(1, 192, 48000)
    for first in range(0, frames, 90_000):
        voice.process(pitch[first : first + 90_000], np.zeros((90_000, 1)))
    voice.flush()
    after = voice.process(np.full(2, 220.3), np.full((2, 1), 1.0))
    np.testing.assert_allclose(after, np.sin(2 * np.pi * (end % 1 + 220.3 * np.arange(192) / 48000)), atol=3e-7)


@pytest.mark.parametrize("pitch", [441.7, 1234.5, 3999.0])
def test_nothing_aliases(pitch: float) -> None:
    """Whatever is not a partial is 100 dB below the strongest one, with partials far beyond half the sample rate asked for."""
    frames = 500
    controls = np.full(frames, pitch), np.ones((frames, 60)) / 60
    frequencies = np.fft.rfftfreq(frames * HOP, 1 / RATE)
    between = ~near(frequencies, pitch * np.arange(0, 61), 12)
    for sound in (harmonic_sound(*controls, HOP, RATE), harmonic_bank(tensor(controls[0]), tensor(controls[1]), HOP, RATE)[0].numpy()):
        level = spectrum_in_decibels(sound)
        assert level[between].max() < -100
        assert level[~between].max() == 0


def test_a_sweep_fades_out_below_half_the_sample_rate() -> None:
    """A partial that rises to half the sample rate fades: no step is larger than the sine's own, and from there on it is silent."""
    frames = 1000
    pitch = np.linspace(7000.0, 9000.0, frames)
    for sound in (
        harmonic_sound(pitch, np.full((frames, 1), 0.5), HOP, RATE),
        harmonic_bank(tensor(pitch), tensor(np.full((frames, 1), 0.5)), HOP, RATE)[0].numpy(),
    ):
        assert np.abs(sound[: 200 * HOP]).max() == pytest.approx(0.5, abs=0.001)
        assert np.abs(sound[500 * HOP :]).max() == 0
        envelope = np.abs(signal.hilbert(sound))[50 * HOP : 600 * HOP]
        assert np.abs(np.diff(envelope)).max() < 1e-3
    assert nyquist_fade(torch.tensor([0.0, 0.47, 0.5, 0.7]) * RATE, RATE).tolist() == pytest.approx([1, 1, 0, 0], abs=1e-6)


def test_a_stretched_partial_stands_where_a_stiff_string_puts_it() -> None:
    """With inharmonicity B the tenth partial is at 10 f √(1 + 100 B)."""
    frames = 250
    amplitudes = np.zeros((frames, 10))
    amplitudes[:, 9] = 0.5
    sound = harmonic_sound(np.full(frames, 220.0), amplitudes, HOP, RATE, np.full(frames, 5e-4))
    peak = np.argmax(np.abs(np.fft.rfft(sound * np.hanning(RATE), 50 * RATE))) / 50
    assert peak == pytest.approx(2200 * math.sqrt(1.05), abs=0.03)


def test_partials_start_at_the_phases_that_were_given() -> None:
    """A quarter of a cycle makes a cosine, on both paths."""
    pitch, amplitudes = np.full(4, 500.0), np.full((4, 2), 0.5)
    exact = 0.5 * np.cos(2 * np.pi * 500 * np.arange(4 * HOP) / RATE) + 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4 * HOP) / RATE)
    voice = HarmonicVoice(2, HOP, RATE, np.array([0.25, 0.0]))
    np.testing.assert_allclose(np.concatenate([voice.process(pitch, amplitudes), voice.flush()]), exact, atol=2e-6)
    rows = harmonic_bank(tensor(pitch), tensor(amplitudes), HOP, RATE, phases=torch.tensor([[0.25, 0.0]]))
    np.testing.assert_allclose(rows[0], exact, atol=2e-6)


@pytest.mark.parametrize("stretched", [False, True])
def test_gradients_of_the_bank(stretched: bool) -> None:
    """Gradients of pitch, amplitudes and inharmonicity equal finite differences in float64, the fade included."""
    generator = torch.Generator().manual_seed(0)
    pitch = (2000 + 300 * torch.rand(2, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    amplitudes = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    inharmonicity = torch.full((2, 1), 3e-3, dtype=torch.float64, requires_grad=True)
    given_rows = (pitch, amplitudes, inharmonicity) if stretched else (pitch, amplitudes)
    assert torch.autograd.gradcheck(lambda p, a, *b: harmonic_bank(p, a, 4, RATE, *b), given_rows)


def test_the_bank_names_shapes_that_disagree() -> None:
    """Shapes that do not fit are refused with both of them, on both paths."""
    with pytest.raises(ValueError, match=r"\(1, 4\) and amplitudes \(1, 5, 2\)"):
        harmonic_bank(torch.zeros(1, 4), torch.zeros(1, 5, 2), HOP, RATE)
    with pytest.raises(ValueError, match=r"\(5, 2\): \(4, 3\)"):
        HarmonicVoice(3, HOP, RATE).process(np.zeros(4), np.zeros((5, 2)))


# Wavetables


def sawtooth(points: int = 512) -> np.ndarray:
    """One cycle with all its harmonics."""
    number = np.arange(1, points // 2)
    return (np.sin(2 * np.pi * np.outer(np.arange(points) / points, number)) / number).sum(1)


def test_a_table_sounds_like_its_harmonics() -> None:
    """A table of five harmonics equals five sines, both paths, within −90 dB."""
    number, levels = np.arange(1, 6), np.array([0.4, 0.2, 0.1, 0.05, 0.02])
    table = (np.sin(2 * np.pi * np.outer(np.arange(64) / 64, number)) * levels).sum(1)
    pitch, amplitude = glide(100, 1)[0], np.ones((100, 1))
    exact = partials_written_out(pitch, np.tile(levels, (100, 1)), HOP, RATE)
    voice = WavetableVoice(table[None], HOP, RATE)
    fast = np.concatenate([voice.process(pitch, amplitude), voice.flush()])
    slow = wavetable_sound(tensor(pitch, torch.float64), tensor(amplitude), torch.from_numpy(table)[None].float(), HOP, RATE)[0].numpy()
    assert decibels_of_error(fast, exact) > 90
    assert decibels_of_error(slow, exact) > 90


def test_tables_on_both_paths_are_equal_and_blocks_do_not_matter() -> None:
    """Compiled and tensor path make the same samples of a morph between two tables, in blocks as at once."""
    tables = np.stack([sawtooth(128), np.random.default_rng(0).standard_normal(128)])
    pitch, amplitudes = glide(80, 2, low=60, high=9000)
    slow = wavetable_sound(tensor(pitch, torch.float64), tensor(amplitudes, torch.float64), torch.from_numpy(tables), HOP, RATE)[0].numpy()
    whole, parts = WavetableVoice(tables, HOP, RATE), WavetableVoice(tables, HOP, RATE)
    fast = np.concatenate([whole.process(pitch, amplitudes), whole.flush()])
    blocks = [parts.process(pitch[a : a + 7], amplitudes[a : a + 7]) for a in range(0, 80, 7)]
    np.testing.assert_array_equal(np.concatenate([*blocks, parts.flush()]), fast)
    np.testing.assert_allclose(fast, slow, atol=3e-6)


@pytest.mark.parametrize("pitch", [30.1, 110.3, 997.0, 2500.7])
def test_a_sawtooth_from_a_table_does_not_alias(pitch: float) -> None:
    """Whatever is not a harmonic of a sawtooth is 100 dB below its fundamental."""
    frames = 500
    voice = WavetableVoice(sawtooth()[None], HOP, RATE)
    sound = np.concatenate([voice.process(np.full(frames, pitch), np.full((frames, 1), 0.5)), voice.flush()])
    between = ~near(np.fft.rfftfreq(len(sound), 1 / RATE), pitch * np.arange(int(RATE / pitch) + 1), 12)
    assert spectrum_in_decibels(sound)[between].max() < -100


def test_copies_of_a_table_lose_harmonics_by_quarters_of_an_octave() -> None:
    """From all harmonics down to none, and a table too short is refused."""
    assert harmonics_of_copies(8).tolist() == [3, 2, 2, 1, 1, 1, 1, 0]
    assert harmonics_of_copies(18)[[0, 4, 8, 12, 13]].tolist() == [8, 4, 2, 1, 0]
    with pytest.raises(ValueError, match=r"length \(7\)"):
        harmonics_of_copies(7)


def test_gradients_of_tables() -> None:
    """Gradients of amplitudes and of the tables' points equal finite differences."""
    generator = torch.Generator().manual_seed(1)
    amplitudes = torch.rand(1, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    tables = torch.randn(2, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    pitch = torch.tensor([[900.0, 1000.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, a, t: wavetable_sound(p, a, t, 4, RATE), (pitch, amplitudes, tables))


# Noise


def test_noise_has_the_levels_of_its_bands() -> None:
    """Equal gains make that root mean square; one band alone lies at its frequency and nowhere else."""
    sound = np.concatenate([(voice := NoiseVoice(65, HOP)).process(np.full((2000, 65), 0.1)), voice.flush()])
    assert len(sound) == 2000 * HOP
    assert np.sqrt(np.mean(sound[HOP:-HOP].astype(float) ** 2)) == pytest.approx(0.1, rel=0.01)
    gains = np.zeros((2000, 65))
    gains[:, 24] = 1.0  # 24 of 64 steps to 8 kHz: 3 kHz
    frequencies, power = signal.welch(NoiseVoice(65, HOP).process(gains), RATE, nperseg=1024, detrend=False)
    assert frequencies[np.argmax(power)] == pytest.approx(3000, abs=60)
    # The side lobes of a Hann window: the first is at −31.5 dB, and they fall by 18 dB an octave.
    assert power[np.abs(frequencies - 3000) > 300].max() < 10**-3.0 * power.max()
    assert power[np.abs(frequencies - 3000) > 2000].max() < 10**-8.0 * power.max()


def test_noise_is_a_filter_that_changes_with_every_frame() -> None:
    """The sound equals the plain sum: every sample of noise times the taps of its frame, the delay of M − 1 samples taken back."""
    generator = np.random.default_rng(0)
    gains, noise = generator.random((7, 9)), generator.standard_normal(7 * 10)
    plain = np.zeros(7 * 10 + 15)
    for place, value in enumerate(noise):
        taps = np.roll(np.fft.irfft(gains[place // 10], 16), 8) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16))
        plain[place : place + 16] += value * taps
    slow = noise_bands(tensor(gains, torch.float64), 10, tensor(noise, torch.float64))[0]
    np.testing.assert_allclose(slow, plain[8:78], atol=1e-12)
    voice = NoiseVoice(9, 10)
    fast = np.concatenate([voice.process(gains, noise), voice.flush()])
    np.testing.assert_allclose(fast, plain[8:78], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=6), hop=st.sampled_from([3, 20, 64]))
def test_noise_in_blocks_equals_the_noise_at_once(sizes: list[int], hop: int) -> None:
    """Blocks of any sizes, also shorter than the filter, give the samples of the whole, and a flushed voice rings on no more."""
    gains = np.random.default_rng(1).random((sum(sizes), 33))
    whole, parts = NoiseVoice(33, hop, seed=5), NoiseVoice(33, hop, seed=5)
    at_once = np.concatenate([whole.process(gains), whole.flush()])
    pieces = [parts.process(block) for block in np.split(gains, np.cumsum(sizes)[:-1])]
    assert len(at_once) == sum(sizes) * hop
    np.testing.assert_allclose(np.concatenate([*pieces, parts.flush()]), at_once, atol=1e-5)
    assert np.abs(np.append(parts.process(np.zeros((4, 33))), parts.flush())).max() == 0


def test_gradients_and_rows_of_noise() -> None:
    """Gradients of the gains equal finite differences, and a row of a batch is the row alone."""
    generator = torch.Generator().manual_seed(2)
    gains = torch.rand(2, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 3 * 4, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda one: noise_bands(one, 4, noise), (gains,))
    torch.testing.assert_close(noise_bands(gains, 4, noise)[1], noise_bands(gains[1:], 4, noise[1:])[0])


# Rooms


@settings(max_examples=20, deadline=None)
@given(taps=st.integers(1, 300), block=st.integers(1, 64), blocks=st.integers(1, 12), channels=st.integers(1, 2))
def test_partitioned_convolution_equals_numpy(taps: int, block: int, blocks: int, channels: int) -> None:
    """Blocks joined are the convolution of the whole, without delay."""
    generator = np.random.default_rng(taps)
    response, sound = generator.standard_normal((channels, taps)), generator.standard_normal((channels, blocks * block))
    room = PartitionedConvolution(response, block)
    pieces = [room.process(sound[:, first : first + block]) for first in range(0, blocks * block, block)]
    expected = np.stack([np.convolve(one, other)[: blocks * block] for one, other in zip(sound, response, strict=True)])
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=2e-4)


@pytest.mark.parametrize("block", [1, 7, 16, 31])  # 14 and 62 are no sizes of a quick transform
def test_partitioned_convolution_takes_several_blocks_at_once(block: int) -> None:
    """One call of twelve blocks gives the sound of twelve calls."""
    generator = np.random.default_rng(block)
    response, sound = generator.standard_normal((2, 50)), generator.standard_normal((2, 12 * block))
    expected = np.stack([np.convolve(one, other)[: 12 * block] for one, other in zip(sound, response, strict=True)])
    np.testing.assert_allclose(PartitionedConvolution(response, block).process(sound), expected, atol=2e-5)


@pytest.mark.parametrize("calls", [(1, 3, 1, 7), (5, 1, 1, 1, 4), (2, 10)])  # of blocks; the response is four blocks long
def test_partitioned_convolution_goes_on_after_calls_of_any_lengths(calls: tuple[int, ...]) -> None:
    """What the line remembers is the same whether blocks came alone or together, more of them than it holds included."""
    generator, block = np.random.default_rng(len(calls)), 16
    response, sound = generator.standard_normal((2, 60)), generator.standard_normal((2, sum(calls) * block))
    expected = np.stack([np.convolve(one, other)[: sound.shape[1]] for one, other in zip(sound, response, strict=True)])
    room, ends = PartitionedConvolution(response, block), block * np.cumsum(calls)
    pieces = [room.process(sound[:, end - block * count : end]) for end, count in zip(ends, calls, strict=True)]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=2e-5)


def test_partitioned_convolution_refuses_other_blocks() -> None:
    """A block of another length is named, not convolved wrong."""
    with pytest.raises(ValueError, match=r"\(1, 30\): \(1, 32\)"):
        PartitionedConvolution(np.ones(100), 32).process(np.zeros((1, 30)))
    with pytest.raises(ValueError, match="block"):
        PartitionedConvolution(np.ones(100), 0)


def test_a_learned_room_begins_faint_and_decaying_and_can_be_learned() -> None:
    """The direct sound passes, the tail has the energy and the decay that were asked for, and training finds a given echo."""
    room = TrainableReverb(RATE, seconds=0.5, t60=0.4, level=1e-3)
    response = room.response().astype(float)
    assert response[0] == 1.0
    assert (response[1:] ** 2).sum() == pytest.approx(1e-3, rel=1e-5)
    early, late = (response[a : a + 800] ** 2 for a in (1, 1 + RATE // 5))
    assert 10 * math.log10(early.sum() / late.sum()) == pytest.approx(30, abs=2)
    sound = torch.randn(2, 900, generator=torch.Generator().manual_seed(0))
    joined = np.stack([np.convolve(row, response)[:900] for row in sound.numpy()])
    np.testing.assert_allclose(room(sound).detach(), joined, atol=1e-4)
    target = convolved(sound, torch.tensor([1.0] + [0.0] * 30 + [0.5]))
    small = TrainableReverb(RATE, seconds=64 / RATE, t60=0.01)
    optimizer = torch.optim.Adam(small.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        (small(sound) - target).square().mean().backward()
        optimizer.step()
    np.testing.assert_allclose(small.response()[[0, 30, 31, 32]], [1, 0, 0.5, 0], atol=0.02)


# Loudness and loss


def test_the_weighting_is_that_of_the_standard() -> None:
    """IEC 61672-1, table 3: the A weighting at six frequencies, to its tenth of a decibel."""
    weights = a_weighting(np.array([31.62, 100.0, 316.2, 1000.0, 3162.0, 10000.0]))
    assert weights == pytest.approx([-39.4, -19.1, -6.6, 0.0, 1.2, -2.5], abs=0.051)
    assert a_weighting(np.zeros(1)) == -80.0


def test_loudness_equals_a_plain_formula() -> None:
    """Frame by frame: FFT of 512 samples around each hop, weighted power, mean of the bins, decibels, floor; scaled by 80."""
    sound = np.random.default_rng(0).standard_normal(1000) * np.linspace(0, 0.3, 1000) ** 2
    padded = np.pad(sound, 256)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    expected = []
    for centre in range(0, 1000 + 1, 64):
        power = np.abs(np.fft.rfft(padded[centre : centre + 512] * window)) ** 2
        weighted = power * 10 ** (a_weighting(np.arange(257) * RATE / 512) / 10)
        expected.append(max(10 * np.log10(weighted.mean()), -80))
    loudness = a_weighted_loudness(tensor(sound, torch.float64))
    np.testing.assert_allclose(loudness[0], expected, atol=1e-9)
    np.testing.assert_allclose(scaled(loudness)[0], np.array(expected) / 80 + 1, atol=1e-9)


def test_loudness_of_known_sounds() -> None:
    """A full sine at 1 kHz is at 19.8 dB, silence at −80 and 0 scaled; ten decibels less sound are ten less loudness, 0.125 scaled."""
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)[None]
    loudness = a_weighted_loudness(sine)
    assert loudness.shape == (1, 251)
    assert loudness[0, 100].item() == pytest.approx(10 * math.log10(1.5 * 128**2 / 257), abs=0.01)
    assert a_weighted_loudness(torch.zeros(1, 640)).tolist() == [[-80.0] * 11]
    assert scaled(torch.tensor([-80.0, 0.0])).tolist() == [0.0, 1.0]
    quieter = sine * 10 ** (-0.5)
    assert loudness_error(quieter, sine).item() == pytest.approx(0.125, abs=1e-5)
    assert loudness_error(sine, quieter).item() == loudness_error(quieter, sine).item()
    with pytest.raises(ValueError, match="300"):
        a_weighted_loudness(sine, frame_rate=300)


def plain_loss(sound: np.ndarray, target: np.ndarray, added: bool) -> float:
    """Magenta's loss of one row, slowly and in double precision."""
    total = 0.0
    for size in (2048, 1024, 512, 256, 128, 64):
        hop, both = size // 4, []
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        for one in (sound, target):
            padded = np.append(one, np.zeros(size))
            both.append([np.abs(np.fft.rfft(padded[start : start + size] * window)) for start in range(0, len(one), hop)])
        mine, theirs = np.array(both)
        logs = [np.log(x + 1e-5) if added else np.log(np.where(x <= 0, 1e-5, x)) for x in (mine, theirs)]
        total += np.abs(mine - theirs).mean() + np.abs(logs[0] - logs[1]).mean()
    return total


@pytest.mark.parametrize("samples", [700, 4096, 5000])
@pytest.mark.parametrize("floor", ["replaced", "added"])
def test_the_loss_equals_a_plain_formula(samples: int, floor: str) -> None:
    """Frames, window, padding, means and sums are Magenta's, for whole and for broken numbers of frames."""
    generator = np.random.default_rng(samples)
    sound, target = generator.standard_normal((2, samples)) * 0.1
    target[: samples // 2] = 0.0  # digital silence
    loss = spectral_loss(tensor(sound, torch.float64), tensor(target, torch.float64), floor=floor)
    assert loss.item() == pytest.approx(plain_loss(sound, target, floor == "added"), rel=1e-9)


def test_the_loss_is_a_distance() -> None:
    """Zero for equal sounds, symmetric, greater than zero for others, one number a row; a row of a batch is the row alone."""
    sounds = torch.randn(3, 3000, generator=torch.Generator().manual_seed(3)) * 0.1
    others = torch.randn(3, 3000, generator=torch.Generator().manual_seed(4)) * 0.1
    assert spectral_loss(sounds, sounds).tolist() == [0.0] * 3
    forward, back = spectral_loss(sounds, others), spectral_loss(others, sounds)
    assert forward.shape == (3,)
    assert (forward > 1).all()
    torch.testing.assert_close(forward, back)
    torch.testing.assert_close(forward[1], spectral_loss(sounds[1:2], others[1:2])[0])


def test_the_loss_is_not_normalised() -> None:
    """Without logarithms it scales with the sounds, with them alone it does not, and a full sine peaks at a quarter of the size."""
    one, other = torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(5)).double()
    assert spectral_loss(3 * one, 3 * other, log_weight=0).item() == pytest.approx(3 * spectral_loss(one, other, log_weight=0).item())
    assert spectral_loss(3 * one, 3 * other, magnitude_weight=0).item() == pytest.approx(
        spectral_loss(one, other, magnitude_weight=0).item()
    )
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(8192) / RATE)[None]
    assert magnitudes(sine, 512)[0, 32, 10].item() == pytest.approx(128, rel=1e-4)


def test_gradients_of_loss_and_loudness() -> None:
    """Both can be trained through: gradients equal finite differences."""
    generator = torch.Generator().manual_seed(6)
    sound = torch.randn(1, 150, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randn(1, 150, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda one: spectral_loss(one, target, sizes=(64, 16)), (sound,))
    assert torch.autograd.gradcheck(lambda one: a_weighted_loudness(one, 16000, 1000, 64), (sound,))
    with pytest.raises(ValueError, match="replaced"):
        spectral_loss(sound, target, floor="none")
    with pytest.raises(ValueError, match=r"\(1, 150\) and target \(1, 140\)"):
        spectral_loss(sound, target[:, :140])
