"""Curves over time that shape a sound: how it starts, lasts, dies away and wavers.

Conventions: time in seconds since the note's start, arrays of any shape; every function is closed form, so a curve can be read at
any moment in any order, and a note rendered in pieces equals the note rendered at once.
A T60 is the time a sound takes to fall by 60 dB.
"""

import math

import numpy as np

T60_RATE = 3.0 * math.log(10.0)  # exp(−T60_RATE · t / t60) has fallen by 60 dB at t = t60


def rise(time: np.ndarray, seconds: float) -> np.ndarray:
    """From 0 to 1 in `seconds` along half a cosine, without a corner at either end."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(time / max(seconds, 1e-4), 0.0, 1.0))


def decay(time: np.ndarray, t60: float | np.ndarray) -> np.ndarray:
    """Exponential fall by 60 dB in `t60` seconds, 1 before time 0; decay(1.0, 1.0) → 0.001."""
    return np.exp(-T60_RATE * np.maximum(time, 0.0) / t60)


def settle(time: np.ndarray, seconds: float, rest: float) -> np.ndarray:
    """From 1 towards `rest`, two thirds of the way after `seconds`."""
    return rest + (1.0 - rest) * np.exp(-np.maximum(time, 0.0) / max(seconds, 1e-4))


def wander(time: np.ndarray, rate: float, phases: np.ndarray) -> np.ndarray:
    """A slow irregular curve within −1 … 1, about `rate` hertz: five sines whose frequencies have no common measure.

    `phases` (5,) in cycles decides which curve; it never repeats within a note.
    """
    speeds = rate * np.array([0.31, 0.57, 1.0, 1.43, 2.11])
    weights = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    return (weights * np.sin(2 * np.pi * (time[..., None] * speeds + phases))).sum(-1)
