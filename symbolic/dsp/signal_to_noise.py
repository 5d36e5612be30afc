"""How far the error of a quantiser lies below the sound: measured, and by theory.

Ratios of power in decibels; full scale is −1 … 1, and a full-scale sine has the power ½. A step q of rounding has an error of q²/12 on
average as long as the sound crosses many steps (W. R. Bennett, "Spectra of Quantized Signals", 1948): for b bits 6.02 b + 1.76 dB.
"""

import math

import numpy as np

from symbolic.dsp.mu_law import LEVELS

# The power of each dither in steps²; the rounding itself adds 1/12.
DITHER_POWER = {"none": 0.0, "rpdf": 1 / 12, "tpdf": 2 / 12}


def snr(wanted: np.ndarray, got: np.ndarray) -> float:
    """Power of `wanted` over the power of `got − wanted`, in dB; inf for equal arrays, −inf for silence with an error.

    Raises `ValueError` for two shapes that differ.
    """
    if np.shape(wanted) != np.shape(got):
        raise ValueError(f"two sounds of one shape are wanted, not {np.shape(wanted)} and {np.shape(got)}")
    reference = np.asarray(wanted, np.float64)
    return power_ratio(float(np.sum(reference**2)), float(np.sum((np.asarray(got, np.float64) - reference) ** 2)))


def power_ratio(power: float, other: float) -> float:
    """10 · log10 of a ratio of powers; inf over nothing, −inf of nothing."""
    if other == 0:
        return math.inf
    return 10 * math.log10(power / other) if power > 0 else -math.inf


def uniform_snr(bit_depth: int, level_db: float = 0.0, dither: str = "none", shaping: np.ndarray | None = None) -> float:
    """What theory says for a sine `level_db` above full scale: 16 → 98.1; TPDF dither takes 4.77 dB, a shaping filter its own gain."""
    return level_db + power_ratio(0.5, uniform_noise(bit_depth, dither, shaping))


def uniform_noise(bit_depth: int, dither: str = "none", shaping: np.ndarray | None = None) -> float:
    """The power of the error by theory: step² / 12, the dither's share, and both through the shaping filter."""
    gain = 1.0 if shaping is None else 1.0 + float(np.sum(np.asarray(shaping) ** 2))
    return (1 / 12 + DITHER_POWER[dither]) * gain * 4.0 ** (1 - bit_depth)


def mu_law_snr(sound: np.ndarray, levels: int = LEVELS) -> float:
    """What theory says for any sound within −1 … 1 through µ-law: the local step squared over 12, averaged over the sound, in dB.

    256 levels give 38 dB at full scale and 36 dB at a tenth of it. A sine alone lies up to 0.8 dB beside it, because it dwells at its
    peaks, which may fall on a level or between two.
    """
    return power_ratio(float(np.mean(np.square(sound, dtype=np.float64))), mu_law_noise(sound, levels))


def mu_law_noise(sound: np.ndarray, levels: int = LEVELS) -> float:
    """The power of the error by theory, of sound within −1 … 1."""
    mu = levels - 1
    local = math.log1p(mu) / (levels // 2 - 1) * (1 / mu + np.abs(np.asarray(sound, np.float64)))
    return float(np.mean(local**2)) / 12
