"""Sounds beside what is left of them at a lower rate, through low-pass filters of many shapes.

A network that learned one filter takes every other for a different world: recordings come through converters, resamplers and codecs that
nobody knows. `LEARNED` shapes are for training, `UNSEEN` ones only for measuring. A shape filters a sound (S,) at the high rate; then
every n-th sample is kept, and soxr brings the result back to the high rate, as it does before the network is used.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import istft, stft

from symbolic.dsp.filters import apply_fir, apply_iir, fir_filter, iir_filter
from symbolic.dsp.resampling import resample

CLEANED_WINDOW = 1024
Shape = Callable[[np.ndarray, float, float, np.random.Generator], np.ndarray]


def _whole(sound: np.ndarray, _rate: float, _low: float, _random: np.random.Generator) -> np.ndarray:
    """Nothing: the resampler's own filter, open up to the edge, comes after."""
    return sound


def _butterworth(sound: np.ndarray, rate: float, low: float, random: np.random.Generator) -> np.ndarray:
    edge = low / 2 * random.uniform(0.7, 0.95)
    return np.asarray(apply_iir(sound, iir_filter("low", edge, rate, int(random.integers(4, 11))), zero_phase=True))


def _chebyshev(sound: np.ndarray, rate: float, low: float, random: np.random.Generator) -> np.ndarray:
    """As scipy.signal.decimate filters, with other orders and edges around it."""
    edge = low / 2 * random.uniform(0.75, 0.9)
    sections = iir_filter("low", edge, rate, int(random.integers(6, 10)), "cheby1", ripple_db=0.05)
    return np.asarray(apply_iir(sound, sections, zero_phase=True))


def _windowed(sound: np.ndarray, rate: float, low: float, random: np.random.Generator) -> np.ndarray:
    width = low / 2 * random.uniform(0.05, 0.5)
    return np.asarray(apply_fir(sound, fir_filter("low", low / 2 - width / 2, rate, width, attenuation_db=random.uniform(40, 90))))


def _inverse_chebyshev(sound: np.ndarray, rate: float, low: float, random: np.random.Generator) -> np.ndarray:
    edge = low / 2 * random.uniform(0.85, 0.99)
    return np.asarray(apply_iir(sound, iir_filter("low", edge, rate, 8, "cheby2", attenuation_db=50.0), zero_phase=True))


def _elliptic(sound: np.ndarray, rate: float, low: float, random: np.random.Generator) -> np.ndarray:
    edge = low / 2 * random.uniform(0.8, 0.95)
    return np.asarray(apply_iir(sound, iir_filter("low", edge, rate, 6, "ellip", ripple_db=0.2, attenuation_db=50.0), zero_phase=True))


LEARNED: dict[str, Shape] = {"sharp": _whole, "butterworth": _butterworth, "chebyshev": _chebyshev, "windowed": _windowed}
UNSEEN: dict[str, Shape] = {"inverse chebyshev": _inverse_chebyshev, "elliptic": _elliptic}


def kept_of(sound: np.ndarray, rate: float, ratio: int, shape: str, random: np.random.Generator) -> np.ndarray:
    """The samples of a sound (S,) that a rate `ratio` times lower keeps: (⌈S / ratio⌉,) float64, the first at the same instant.

    Raises `KeyError` for a shape that is not known.
    """
    low = rate / ratio
    known = {**LEARNED, **UNSEEN}
    padded = np.pad(sound.astype(np.float64), (0, -len(sound) % ratio))
    filtered = known[shape](padded, rate, low, random)
    return np.asarray(resample(filtered, rate, low)) if shape == "sharp" else filtered[::ratio]


def left_of(sound: np.ndarray, rate: float, ratio: int, shape: str, random: np.random.Generator) -> np.ndarray:
    """What is left of a sound (S,) after a rate `ratio` times lower, at the high rate again, by soxr: (S,) float32. Raises as `kept_of`."""
    kept = kept_of(sound, rate, ratio, shape, random)
    return np.asarray(resample(kept, rate / ratio, rate))[: len(sound)].astype(np.float32)


def cleaned(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A sound (S,) without its softest parts, as codecs, gates and synthesizers have none: (S,) float32.

    What lies a random 40 to 80 dB below the loudest place of its spectrogram becomes 10 to 60 dB softer.
    """
    _, _, spectrum = stft(np.pad(sound, (0, max(0, CLEANED_WINDOW - len(sound)))), nperseg=CLEANED_WINDOW)
    level = np.abs(spectrum)
    gain = 10 ** (-random.uniform(10, 60) / 20)
    kept = np.where(level < level.max() * 10 ** (-random.uniform(40, 80) / 20), gain, 1.0)
    return istft(spectrum * kept, nperseg=CLEANED_WINDOW)[1][: len(sound)].astype(np.float32)
