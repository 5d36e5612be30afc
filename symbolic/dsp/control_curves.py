"""From controls at frame rate to curves at sample rate, without corners.

Shapes: F frames of `hop` samples, one control a frame, S = F · hop samples. Control i stands for the middle of frame i, the samples
i · hop … (i + 1) · hop − 1. Within a frame the curve is a parabola of three controls, the frame's own and its neighbours' (a quadratic
B-spline with its knots at the frames' borders; C. de Boor, "A Practical Guide to Splines", 1978): value and slope are continuous, a
straight fade stays straight, and the curve never leaves the range of the three controls, so an amplitude never turns negative.
Beyond its ends a curve keeps its first and its last control.

A curve that is a frequency is integrated in closed form: the phase is exact at every sample, not a sum of rounded steps.
Here is the plain NumPy form; the banks of oscillators use the same weights.
"""

import numpy as np


def spline_weights(hop: int) -> np.ndarray:
    """What the controls before, of and after a frame weigh at its samples: (3, hop) float64, columns add up to 1."""
    u = np.arange(hop) / hop
    return np.stack([0.5 * (1 - u) ** 2, 0.5 + u - u**2, 0.5 * u**2])


def spline_integrals(hop: int) -> np.ndarray:
    """The weights integrated from the frame's start, in frames: (3, hop + 1) float64; the last column is (1/6, 4/6, 1/6)."""
    u = np.arange(hop + 1) / hop
    return np.stack([(1 - (1 - u) ** 3) / 6, u / 2 + u**2 / 2 - u**3 / 3, u**3 / 6])


def with_neighbours(controls: np.ndarray) -> np.ndarray:
    """Every control between its neighbours: (F, ...) → (F, 3, ...)."""
    before = np.concatenate([controls[:1], controls[:-1]])
    after = np.concatenate([controls[1:], controls[-1:]])
    return np.stack([before, controls, after], axis=1)


def at_samples(controls: np.ndarray, hop: int) -> np.ndarray:
    """The curve through controls (F, ...) at each sample: (F · hop, ...) float64."""
    curve = np.einsum("fd...,dt->ft...", with_neighbours(np.asarray(controls, np.float64)), spline_weights(hop))
    return curve.reshape(-1, *controls.shape[1:])


def cycles_at_samples(frequency: np.ndarray, hop: int, sample_rate: int, start: float = 0.0) -> np.ndarray:
    """Phase (F · hop,) float64 in cycles, wrapped into 0 … 1, of a frequency (F,) in hertz; `start` is the phase of the first sample."""
    steps = with_neighbours(np.asarray(frequency, np.float64) * (hop / sample_rate))
    integrals = spline_integrals(hop)
    advance = steps @ integrals[:, -1]
    starts = np.empty(len(advance))
    phase = start
    for frame, cycles in enumerate(advance):
        starts[frame] = phase = phase - np.floor(phase)
        phase += cycles - np.floor(cycles)
    cycles = starts[:, None] + steps @ integrals[:, :-1]
    return (cycles - np.floor(cycles)).reshape(-1)


class ControlStream:
    """Controls that come in blocks of any sizes, given out with their neighbours: what a voice computed block by block needs.

    A frame can sound once the control after it is known. `add` and `flush` return the controls of such frames with one more at
    either end, (n + 2, ...) each; the first and the last control of all stand on beyond the ends.
    """

    def __init__(self) -> None:
        self._waiting: list[np.ndarray] = []

    def add(self, *controls: np.ndarray) -> list[np.ndarray]:
        """The next controls (F, ...) of each kind; returns the ready ones, n may be 0."""
        if not len(controls[0]):
            return [one[:0] for one in controls]
        before = self._waiting or [one[:1] for one in controls]
        ready = [np.concatenate([old, new]) for old, new in zip(before, controls, strict=True)]
        self._waiting = [one[-2:].copy() for one in ready]
        return ready if len(ready[0]) > 2 else [one[:0] for one in ready]

    def flush(self) -> list[np.ndarray] | None:
        """The controls of the last frame, or None when there was none; after this the stream begins anew."""
        waiting, self._waiting = self._waiting, []
        return [np.concatenate([one, one[-1:]]) for one in waiting] or None
