"""White noise through one moving second-order filter: breath, bow, hammer, snare and cymbal.

Shapes: F frames of `hop` samples, F + 1 control points, S = F · hop samples. `level` is the root mean square of the filtered
noise whatever the sample rate, the centre and the sharpness are, so a preset sounds alike at 8 and at 192 kHz.
The filter is a state-variable filter in its trapezoidal ("zero-delay") form, which stays stable while its centre moves:
V. Zavalishin, "The Art of VA Filter Design", chapter 4. Its three outputs are the kinds below.
"""

import math

import numpy as np

from symbolic.dsp.compiled import compiled

KINDS = ("low", "band", "high")
# The highest centre, as a part of the sample rate: near one half the filter's tangent grows without bound.
HIGHEST_CENTRE = 0.45


def filtered_noise(
    kind: str, centre: np.ndarray, sharpness: float, level: np.ndarray, state: np.ndarray, seed: np.ndarray, hop: int, sample_rate: int
) -> np.ndarray:
    """Noise (S,) float32 of the kind "low", "band" or "high".

    centre (F + 1,) hertz; sharpness is the filter's Q; level (F + 1,). `state` (2,) float64 and `seed` (1,) uint32 (never 0)
    are advanced in place, so that calls can follow on.
    """
    centre = np.minimum(np.ascontiguousarray(centre, np.float64), HIGHEST_CENTRE * sample_rate)
    frames = len(centre) - 1
    output = np.zeros(frames * hop, np.float32)
    scaled = np.ascontiguousarray(level / noise_level(kind, centre, sharpness, sample_rate), np.float64)
    _noise_loop(KINDS.index(kind), centre, sharpness, scaled, state, seed, hop, float(sample_rate), output)
    return output


def noise_level(kind: str, centre: np.ndarray, sharpness: float, sample_rate: int) -> np.ndarray:
    """Root mean square of white noise of variance 1 after the filter; a band at 1 kHz with Q 1 at 48 kHz → 0.25.

    Closed form of the sum of the squared impulse response of the filter's second-order section (E. Jury's table, 1964).
    """
    angle = 2 * math.pi * np.asarray(centre) / sample_rate
    alpha, cosine = np.sin(angle) / (2 * sharpness), np.cos(angle)
    if kind == "band":
        return np.sqrt(alpha / (1 + alpha))
    side = cosine if kind == "low" else -cosine
    return np.sqrt((1 - side) * (1 + side + 2 * alpha) / (4 * alpha * (1 + alpha)))


@compiled
def _noise_loop(
    kind: int,
    centre: np.ndarray,
    sharpness: float,
    level: np.ndarray,
    state: np.ndarray,
    seed: np.ndarray,
    hop: int,
    sample_rate: float,
    output: np.ndarray,
) -> None:
    first, second = state[0], state[1]
    word = np.uint32(seed[0])
    damping = 1.0 / sharpness
    for frame in range(centre.shape[0] - 1):
        g = math.tan(math.pi * 0.5 * (centre[frame] + centre[frame + 1]) / sample_rate)
        a1 = 1.0 / (1.0 + g * (g + damping))
        a2 = g * a1
        a3 = g * a2
        gain = level[frame]
        slope = (level[frame + 1] - gain) / hop
        for sample in range(frame * hop, frame * hop + hop):
            word = np.uint32(word ^ (word << np.uint32(13)))
            word = np.uint32(word ^ (word >> np.uint32(17)))
            word = np.uint32(word ^ (word << np.uint32(5)))
            white = (np.float64(word) / 2147483648.0 - 1.0) * 1.7320508075688772  # uniform, variance 1
            rest = white - second
            band = a1 * first + a2 * rest
            low = second + a2 * first + a3 * rest
            first = 2.0 * band - first
            second = 2.0 * low - second
            if kind == 0:
                value = low
            elif kind == 1:
                value = damping * band
            else:
                value = white - damping * band - low
            output[sample] = value * gain
            gain += slope
    state[0] = first
    state[1] = second
    seed[0] = word
