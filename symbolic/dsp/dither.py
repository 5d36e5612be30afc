"""From floating point to whole numbers: the uniform quantiser, dither and noise shaping.

A quantiser of b bits has steps of 2^(1 − b) over −1 … 1; whole numbers count steps, from −2^(b−1) to 2^(b−1) − 1, and zero is one
of them. TPDF dither is the sum of two uniform noises of one step each: it makes the error of the rounding independent of the sound
in mean and in power; one uniform noise (RPDF) does so in mean only (S. Lipshitz, R. Wannamaker, J. Vanderkooy, "Quantization and
Dither: A Theoretical Survey", 1992). Noise shaping feeds past errors back through a filter, so that the noise lies where the ear
hears least; its spectrum cannot fall somewhere without rising elsewhere (M. Gerzon, P. Craven, "Optimal Noise Shaping and Dither of
Digital Signals", 1989).
"""

import numpy as np

from symbolic.dsp.compiled import compiled

DITHERS = ("none", "rpdf", "tpdf")
SHAPING_TAPS = 9
SHAPING_SPAN = 36.0  # dB between the softest and the loudest place of shaped noise
LARGEST_ERROR = 2.0  # steps; an overloaded quantiser errs without bound, and feeding that back would make it worse


def quantise(
    sound: np.ndarray,
    bit_depth: int,
    generator: np.random.Generator,
    dither: str = "tpdf",
    shaping: np.ndarray | None = None,
    memory: np.ndarray | None = None,
) -> np.ndarray:
    """Sound within −1 … 1 as int32 steps of 2^(1 − bit_depth), held inside the range of the format; time is the last axis.

    `shaping` (K,) from `shaping_filter` makes it work on sound (C, S); `memory` (C, K) float64, zeros at first, is advanced in place,
    so that calls can follow on. Raises `ValueError` for another kind of dither than `DITHERS`, or bits outside 2 … 24.
    """
    if not 2 <= bit_depth <= 24:
        raise ValueError(f"bit_depth is {bit_depth}: 2 to 24 is wanted")
    steps = 2 ** (bit_depth - 1)
    noise = _noise(sound.shape, dither, generator)
    whole = np.empty(sound.shape, np.int32)
    if shaping is None:
        _plain_loop(np.ascontiguousarray(sound).reshape(-1), noise.reshape(-1), steps, whole.reshape(-1))
        return whole
    if memory is None:
        memory = np.zeros((len(sound), len(shaping)))
    # Double precision, because a float32 has no room for the dither of 24 bits beside a loud sample.
    scaled = sound.astype(np.float64) * steps
    _shaped_loop(np.ascontiguousarray(scaled), noise.astype(np.float64), np.asarray(shaping, np.float64), memory, steps, whole)
    return whole


def dequantise(whole: np.ndarray, bit_depth: int) -> np.ndarray:
    """Sound of steps, float64; 64 at 8 bits → 0.5."""
    return whole / 2.0 ** (bit_depth - 1)


def shaping_filter(sample_rate: float, taps: int = SHAPING_TAPS, span: float = SHAPING_SPAN) -> np.ndarray:
    """What of the last `taps` errors is added to the next sample: (taps,), the newest first.

    The noise becomes white noise through 1 + Σ c_k z^−k. Among all such filters these taps make the noise softest when each frequency
    counts by the threshold of hearing in quiet, followed over `span` dB: they solve the equations of linear prediction.
    """
    from scipy.linalg import solve_toeplitz

    weight = hearing_weight(np.linspace(0, sample_rate / 2, 2049), span)
    likeness = np.fft.irfft(weight)[: taps + 1]
    return solve_toeplitz(likeness[:taps], -likeness[1:])


def hearing_weight(frequency: np.ndarray, span: float = SHAPING_SPAN) -> np.ndarray:
    """Power factor with which noise counts at each frequency in hertz: 1 where the ear is keenest, about 3.3 kHz.

    The inverse of E. Terhardt's threshold in quiet (1979), no lower than −`span` dB.
    """
    kilohertz = np.maximum(np.asarray(frequency, np.float64), 20.0) / 1000
    threshold = 3.64 * kilohertz**-0.8 - 6.5 * np.exp(-0.6 * (kilohertz - 3.3) ** 2) + 1e-3 * kilohertz**4
    return 10 ** (-np.clip(threshold - threshold.min(), 0, span) / 10)


def _noise(shape: tuple[int, ...], dither: str, generator: np.random.Generator) -> np.ndarray:
    if dither == "tpdf":
        noise = generator.random(shape, np.float32)
        noise -= generator.random(shape, np.float32)
        return noise
    if dither == "rpdf":
        return generator.random(shape, np.float32) - np.float32(0.5)
    if dither == "none":
        return np.zeros(shape, np.float32)
    raise ValueError(f"dither is {dither!r}: {', '.join(DITHERS)} are known")


@compiled
def _plain_loop(sound: np.ndarray, noise: np.ndarray, steps: int, whole: np.ndarray) -> None:
    """Each sample (S,) for itself."""
    lowest, highest = -float(steps), float(steps - 1)
    for sample in range(len(whole)):
        value = np.rint(np.float64(sound[sample]) * steps + noise[sample])
        whole[sample] = np.int32(min(max(value, lowest), highest))


@compiled
def _shaped_loop(scaled: np.ndarray, noise: np.ndarray, shaping: np.ndarray, memory: np.ndarray, steps: int, whole: np.ndarray) -> None:
    taps = shaping.shape[0]
    for channel in range(scaled.shape[0]):
        errors = memory[channel]
        for sample in range(scaled.shape[1]):
            wanted = scaled[channel, sample]
            for tap in range(taps):
                wanted += shaping[tap] * errors[tap]
            value = np.floor(wanted + noise[channel, sample] + 0.5)
            value = min(max(value, -float(steps)), float(steps - 1))
            whole[channel, sample] = int(value)
            for tap in range(taps - 1, 0, -1):
                errors[tap] = errors[tap - 1]
            errors[0] = min(max(value - wanted, -LARGEST_ERROR), LARGEST_ERROR)
