"""Programme loudness by ITU-R BS.1770-4, measured block by block in constant memory per second.

Loudness is in LUFS; sound is (channels, samples) with weight 1 for each channel, so for mono and stereo. The two weighting filters are
the ones pyloudnorm uses by default, and a test holds this meter to its result. One number is kept for every 100 ms.
"""

import math

import numpy as np

from symbolic.dsp.compiled import compiled

STEP_SECONDS = 0.1
STEPS_PER_GATE = 4  # a gating block is 400 ms, and they overlap by three quarters
ABSOLUTE_GATE = -70.0
RELATIVE_GATE = -10.0
OFFSET = -0.691


def weighting_filters(sample_rate: int) -> np.ndarray:
    """Second-order sections (2, 6) of the K weighting: a high shelf of 4 dB at 1500 Hz and a high pass at 38 Hz."""
    return np.stack([_high_shelf(4.0, 1 / math.sqrt(2), 1500.0, sample_rate), _high_pass(0.5, 38.0, sample_rate)])


class LoudnessMeter:
    """Feed it sound in blocks of any sizes; `integrated()` gives the gated loudness so far."""

    def __init__(self, sample_rate: int, channels: int = 2) -> None:
        self.step = int(STEP_SECONDS * sample_rate)
        self._sections = weighting_filters(sample_rate)
        self._memory = np.zeros((channels, 2, 2))
        self._begun = np.zeros(0)  # the energy of the step that is not whole yet, if there is one
        self._since = 0  # samples in it
        self._energies: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Measure the next samples (channels, S)."""
        steps = -(-(self._since + block.shape[1]) // self.step)
        energies = np.zeros(steps)
        energies[: len(self._begun)] = self._begun
        _weighted_loop(np.ascontiguousarray(block), self._sections, self._memory, self.step, self._since, energies)
        whole, self._since = divmod(self._since + block.shape[1], self.step)
        self._energies.append(energies[:whole])
        self._begun = energies[whole:].copy()

    def integrated(self) -> float:
        """Gated loudness in LUFS; −inf when nothing passes the gate of −70, or less than 400 ms was heard."""
        energies = np.concatenate(self._energies) if self._energies else np.zeros(0)
        if len(energies) < STEPS_PER_GATE:
            return -math.inf
        gates = np.convolve(energies, np.ones(STEPS_PER_GATE), "valid") / (STEPS_PER_GATE * self.step)
        heard = gates[gates > 10 ** ((ABSOLUTE_GATE - OFFSET) / 10)]
        if not len(heard):
            return -math.inf
        threshold = 10 * math.log10(heard.mean()) + RELATIVE_GATE
        return OFFSET + 10 * math.log10(heard[heard > 10 ** (threshold / 10)].mean())


def _high_shelf(gain_db: float, quality: float, centre: float, sample_rate: int) -> np.ndarray:
    """R. Bristow-Johnson's cookbook shelf, as a second-order section."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * centre / sample_rate
    alpha = math.sin(w) / (2 * quality)
    cosine, root = math.cos(w), 2 * math.sqrt(a) * alpha
    section = np.array(
        [
            a * ((a + 1) + (a - 1) * cosine + root),
            -2 * a * ((a - 1) + (a + 1) * cosine),
            a * ((a + 1) + (a - 1) * cosine - root),
            (a + 1) - (a - 1) * cosine + root,
            2 * ((a - 1) - (a + 1) * cosine),
            (a + 1) - (a - 1) * cosine - root,
        ]
    )
    return section / section[3]


def _high_pass(quality: float, centre: float, sample_rate: int) -> np.ndarray:
    w = 2 * math.pi * centre / sample_rate
    alpha = math.sin(w) / (2 * quality)
    cosine = math.cos(w)
    section = np.array([(1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2, 1 + alpha, -2 * cosine, 1 - alpha])
    return section / section[3]


@compiled
def _weighted_loop(sound: np.ndarray, sections: np.ndarray, memory: np.ndarray, step: int, since: int, energies: np.ndarray) -> None:
    """Add the energy of all channels (C, S) after both sections to that of each step, of which the first has begun `since` samples ago.

    Transposed direct form II, as in scipy's `sosfilt`; memory (C, 2, 2) is advanced. Two channels go side by side, because a sample
    waits for the one before it; the last of an odd number goes beside itself and counts once.
    """
    b0, b1, b2, a1, a2 = sections[0, 0], sections[0, 1], sections[0, 2], sections[0, 4], sections[0, 5]
    d0, d1, d2, c1, c2 = sections[1, 0], sections[1, 1], sections[1, 2], sections[1, 4], sections[1, 5]
    last = sound.shape[0] - 1
    for one in range(0, last + 1, 2):
        other = min(one + 1, last)
        counted = 1.0 if other > one else 0.0
        p, q, r, s = memory[one, 0, 0], memory[one, 0, 1], memory[one, 1, 0], memory[one, 1, 1]
        t, u, v, w = memory[other, 0, 0], memory[other, 0, 1], memory[other, 1, 0], memory[other, 1, 1]
        place, begin, until = 0, 0, step - since
        while begin < sound.shape[1]:
            part, beside = sound[one, begin:until], sound[other, begin:until]
            energy = energy_beside = 0.0
            for sample in range(len(part)):
                x, x_beside = np.float64(part[sample]), np.float64(beside[sample])
                y, y_beside = b0 * x + p, b0 * x_beside + t
                p, t = b1 * x - a1 * y + q, b1 * x_beside - a1 * y_beside + u
                q, u = b2 * x - a2 * y, b2 * x_beside - a2 * y_beside
                z, z_beside = d0 * y + r, d0 * y_beside + v
                r, v = d1 * y - c1 * z + s, d1 * y_beside - c1 * z_beside + w
                s, w = d2 * y - c2 * z, d2 * y_beside - c2 * z_beside
                energy += z * z
                energy_beside += z_beside * z_beside
            energies[place] += energy + counted * energy_beside
            place, begin, until = place + 1, until, until + step
        memory[one, 0, 0], memory[one, 0, 1], memory[one, 1, 0], memory[one, 1, 1] = p, q, r, s
        memory[other, 0, 0], memory[other, 0, 1], memory[other, 1, 0], memory[other, 1, 1] = t, u, v, w
