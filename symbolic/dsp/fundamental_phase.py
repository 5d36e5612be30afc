"""How many waves of its fundamental a sound has had, at every moment: its phase, unwound.

A pitch track says how fast the waves come; where they stand is heard by turning the sound back by the waves counted so far, which leaves
the fundamental almost at rest, and by looking at the angle it stands at. The window over which that is averaged holds four periods, and a
Hann window of four periods hears nothing of other harmonics.
"""

import math

import numpy as np
from scipy.signal import fftconvolve

PERIODS = 4
QUIET = 0.03  # of the fundamental's largest amplitude; what is softer goes on from what is louder


def fundamental_cycles(sound: np.ndarray, hertz: np.ndarray | float, sample_rate: float, hop: int) -> np.ndarray:
    """Waves counted (⌈S / hop⌉ + 1,) float64 at samples 0, hop, 2 · hop … of a sound (S,).

    `hertz` is its pitch, about: one number, or a track of them over equal parts of the sound. At a whole number a cosine has its crest.
    """
    count = -(-len(sound) // hop) + 1
    if not len(sound):
        return np.zeros(count)
    place = np.arange(len(sound))
    track = np.atleast_1d(np.asarray(hertz, dtype=np.float64))
    middles = (np.arange(len(track)) + 0.5) * len(sound) / len(track)
    expected = np.concatenate([[0.0], np.cumsum(np.interp(place, middles, track))[:-1]]) / sample_rate
    window = np.hanning(2 * round(PERIODS / 2 * sample_rate / float(np.median(track))) + 1)
    turned = sound * np.exp(-1j * math.tau * expected)
    rest = fftconvolve(turned, window / window.sum(), mode="full")[len(window) // 2 :][: len(sound)]
    loud = np.flatnonzero(np.abs(rest) > QUIET * np.abs(rest).max())
    angle = np.unwrap(np.angle(rest[loud])) / math.tau if len(loud) else np.zeros(1)
    waves = expected + np.interp(place, loud if len(loud) else [0], angle)
    edges = np.arange(count) * hop
    speed = float(track[-1]) / sample_rate
    return np.interp(edges, place, waves) + np.maximum(edges - (len(sound) - 1), 0) * speed
