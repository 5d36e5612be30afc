"""Curves over time that shape a sound: how it starts, lasts, dies away and wavers.

Conventions: time in seconds since the note's start, arrays of any shape; every function is closed form, so a curve can be read at
any moment in any order, and a note rendered in pieces equals the note rendered at once.
A T60 is the time a sound takes to fall by 60 dB.
"""

import math

import numpy as np

T60_RATE = 3.0 * math.log(10.0)  # exp(−T60_RATE · t / t60) has fallen by 60 dB at t = t60

# Of the sines of `wander`: their speeds against its rate, and their weights, which add up to one.
SPEEDS = (0.41, 1.0, 1.73)
WEIGHTS = (0.45, 0.33, 0.22)


def rise(time: np.ndarray, seconds: float) -> np.ndarray:
    """From 0 to 1 in `seconds` along half a cosine, without a corner at either end."""
    if time.min() >= seconds:
        return np.ones(time.shape)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(np.maximum(time / max(seconds, 1e-4), 0.0), 1.0))


def decay(time: np.ndarray, t60: float | np.ndarray) -> np.ndarray:
    """Exponential fall by 60 dB in `t60` seconds, 1 before time 0; decay(1.0, 1.0) → 0.001."""
    return np.exp(-T60_RATE * np.maximum(time, 0.0) / t60)


def settle(time: np.ndarray, seconds: float, rest: float) -> np.ndarray:
    """From 1 towards `rest`, two thirds of the way after `seconds`."""
    return rest + (1.0 - rest) * np.exp(-np.maximum(time, 0.0) / max(seconds, 1e-4))


def wander(time: np.ndarray, rate: float, phases: np.ndarray) -> np.ndarray:
    """Slow irregular curves (C, T) within −1 … 1 at the times (T,), about `rate` hertz: each three sines without a common measure.

    `phases` (C, 3) in radians decides which curves; they do not repeat within a note.
    """
    result = np.zeros((len(phases), len(time)))
    for weight, speed, phase in zip(WEIGHTS, SPEEDS, phases.T, strict=True):
        result += weight * np.sin((math.tau * speed * rate) * time + phase[:, None])
    return result
