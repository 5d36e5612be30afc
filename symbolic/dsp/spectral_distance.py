"""Log-spectral distance: how unlike two sounds are in the level of each place of their spectra.

Published figures differ in their definition. Here: Hann windows of 2048 samples, 512 apart, whole windows only; X is their plain discrete
Fourier transform; levels are log10(|X|² + 1e-8), a floor 134 dB below a full-scale sine. The distance is the mean over windows of the
root of the mean over bins of the squared difference of levels: 1 is 10 dB. Times ln 10 = 2.303 it is the distance of natural logarithms,
which some print. `low` and `high` bound the bins in hertz.
"""

import numpy as np

SIZE, HOP = 2048, 512
FLOOR = 1e-8


def log_spectral_distance(wanted: np.ndarray, got: np.ndarray, sample_rate: float, low: float = 0.0, high: float | None = None) -> float:
    """Of two sounds (S,) of one length. Raises `ValueError` for other shapes, or a band without bins."""
    if wanted.shape != got.shape or wanted.ndim != 1:
        raise ValueError(f"shapes {wanted.shape} and {got.shape}: two sounds of one length are wanted")
    frequency = np.fft.rfftfreq(SIZE, 1 / sample_rate)
    chosen = (frequency >= low) & (frequency <= (sample_rate / 2 if high is None else high))
    if not chosen.any():
        raise ValueError(f"no bin lies between {low} and {high} Hz at {sample_rate} Hz")
    squares = [np.square(one - other).mean(1) for one, other in zip(_levels(wanted, chosen), _levels(got, chosen), strict=True)]
    return float(np.sqrt(np.concatenate(squares)).mean())


def _levels(sound: np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    """Levels (windows, bins), a few hundred windows at a time."""
    padded = np.pad(sound.astype(np.float64), (0, max(0, SIZE - len(sound))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]
    shape = np.hanning(SIZE + 1)[:-1]
    made = []
    for first in range(0, len(windows), 256):
        power = np.square(np.abs(np.fft.rfft(windows[first : first + 256] * shape)))[:, chosen]
        made.append(np.log10(power + FLOOR))
    return made
