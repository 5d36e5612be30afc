"""The bank of harmonics in machine code, for playing: one voice, block by block, without torch.

Shapes: F frames of `hop` samples, K partials. Controls, interpolation, fade under half the sample rate: as in `harmonics`, which a test
holds this to. The sample of every partial comes from the one below it by one complex product: e^(iφ(k + 1)) = e^(iφk) · e^(iφ), with
φ the phase of the fundamental at that sample in double precision. So a sine is computed once for a sample, not once for each partial,
the pitch may move as it likes, and errors grow with k, not with time. Stretched partials (a piano's) have no such ladder: each has its
own phase in double precision and a polynomial sine.
"""

import math

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.control_curves import ControlStream, spline_integrals

INAUDIBLE = 3e-6  # partials below this amplitude (−110 dB of full scale) at the top end of a frame are left out


class HarmonicVoice:
    """Feed it controls in blocks of any sizes; a frame sounds once the control after it is known, and `flush` gives the last one.

    `phases` (K,) in cycles at the first sample are 0 unless given; then, as with an inharmonicity, every partial has its own.
    """

    def __init__(self, partials: int, hop: int, sample_rate: int, phases: np.ndarray | None = None) -> None:
        self.partials, self.hop, self.sample_rate = partials, hop, sample_rate
        self._phases = np.zeros(partials) if phases is None else np.array(phases, np.float64)
        self._separate = phases is not None
        self._controls = ControlStream()
        self._integrals = spline_integrals(hop)

    def process(self, pitch: np.ndarray, amplitudes: np.ndarray, inharmonicity: np.ndarray | None = None) -> np.ndarray:
        """Sound (S,) float32 of all frames that can be computed by now.

        pitch (F,) hertz; amplitudes (F, K); inharmonicity (F,), given with every block of a voice or with none. Raises `ValueError`
        when the shapes disagree.
        """
        if amplitudes.shape != (len(pitch), self.partials):
            raise ValueError(f"amplitudes are {amplitudes.shape}: ({len(pitch)}, {self.partials}) is needed")
        self._separate |= inharmonicity is not None
        stretch = np.zeros(len(pitch)) if inharmonicity is None else np.asarray(inharmonicity, np.float64)
        return self._sound(self._controls.add(np.asarray(pitch, np.float64), np.asarray(amplitudes, np.float32), stretch))

    def flush(self) -> np.ndarray:
        """Sound of the last frame, whose control stands on; after this the voice can begin anew with the phases it has."""
        last = self._controls.flush()
        return np.zeros(0, np.float32) if last is None else self._sound(last)

    def _sound(self, controls: list[np.ndarray]) -> np.ndarray:
        pitch, amplitudes, stretch = (np.ascontiguousarray(one) for one in controls)
        output = np.zeros(max(0, len(pitch) - 2) * self.hop, np.float32)
        if len(output) and self._separate:
            _stretched_loop(pitch, stretch, amplitudes, self._phases, self._integrals, float(self.sample_rate), output)
        elif len(output):
            _ladder_loop(pitch, amplitudes, self._phases, self._integrals, float(self.sample_rate), output)
        return output


def harmonic_sound(
    pitch: np.ndarray, amplitudes: np.ndarray, hop: int, sample_rate: int, inharmonicity: np.ndarray | None = None
) -> np.ndarray:
    """The whole sound (F · hop,) float32 of one voice: pitch (F,) hertz, amplitudes (F, K), inharmonicity (F,)."""
    voice = HarmonicVoice(amplitudes.shape[1], hop, sample_rate)
    return np.concatenate([voice.process(pitch, amplitudes, inharmonicity), voice.flush()])


@compiled
def _ladder_loop(
    pitch: np.ndarray,
    amplitudes: np.ndarray,
    phases: np.ndarray,
    integrals: np.ndarray,
    sample_rate: float,
    output: np.ndarray,
) -> None:
    partials, hop = amplitudes.shape[1], integrals.shape[1] - 1
    sines, cosines = np.empty(hop, np.float32), np.empty(hop, np.float32)
    real, imaginary = np.empty(hop, np.float32), np.empty(hop, np.float32)
    place, total = np.empty(hop, np.float32), np.empty(hop, np.float32)
    curve = np.zeros((3, partials + 4), np.float32)  # of each partial: level, slope and bend within the frame
    for t in range(hop):
        place[t] = np.float32(t) / np.float32(hop)
    phase = phases[0]
    for frame in range(pitch.shape[0] - 2):
        before, own, after = pitch[frame] / sample_rate, pitch[frame + 1] / sample_rate, pitch[frame + 2] / sample_rate
        highest = max(before, own, after)
        active = 0
        for p in range(partials):
            number = p + 1.0
            if number * highest >= 0.5:
                break
            a, b, c = amplitudes[frame, p], amplitudes[frame + 1, p], amplitudes[frame + 2, p]
            if number * highest > 0.47:
                way = min(max((0.5 - number * before) / 0.03, 0.0), 1.0)
                a = np.float32(a * way * way * (3.0 - 2.0 * way))
                way = min(max((0.5 - number * own) / 0.03, 0.0), 1.0)
                b = np.float32(b * way * way * (3.0 - 2.0 * way))
                way = min(max((0.5 - number * after) / 0.03, 0.0), 1.0)
                c = np.float32(c * way * way * (3.0 - 2.0 * way))
            curve[0, p] = np.float32(0.5) * (a + b)
            curve[1, p] = b - a
            curve[2, p] = np.float32(0.5) * (a + c) - b
            if max(abs(a), abs(b), abs(c)) > INAUDIBLE:
                active = p + 1
        for p in range(active, active + 4):
            curve[0, p] = 0.0
            curve[1, p] = 0.0
            curve[2, p] = 0.0
        if active:
            for t in range(hop):
                x = phase + hop * (before * integrals[0, t] + own * integrals[1, t] + after * integrals[2, t])
                # sin and cos of 2πx by a polynomial on a quarter turn, folded: plain arithmetic, several samples at a time.
                turn = x - math.floor(x + 0.5)
                folded = 0.25 - abs(abs(turn) - 0.25)
                u = folded * folded
                value = folded * (
                    6.283185307179586
                    + u
                    * (
                        -41.341702240399755
                        + u
                        * (
                            81.60524927607504
                            + u * (-76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803)))
                        )
                    )
                )
                sines[t] = math.copysign(value, turn)
                turn = x + 0.25 - math.floor(x + 0.75)
                folded = 0.25 - abs(abs(turn) - 0.25)
                u = folded * folded
                value = folded * (
                    6.283185307179586
                    + u
                    * (
                        -41.341702240399755
                        + u
                        * (
                            81.60524927607504
                            + u * (-76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803)))
                        )
                    )
                )
                cosines[t] = math.copysign(value, turn)
                real[t] = cosines[t]
                imaginary[t] = sines[t]
                total[t] = 0.0
            # Four partials in each pass over the samples: the phasors stay in registers between them.
            for p in range(0, active, 4):
                l0, s0, b0 = curve[0, p], curve[1, p], curve[2, p]
                l1, s1, b1 = curve[0, p + 1], curve[1, p + 1], curve[2, p + 1]
                l2, s2, b2 = curve[0, p + 2], curve[1, p + 2], curve[2, p + 2]
                l3, s3, b3 = curve[0, p + 3], curve[1, p + 3], curve[2, p + 3]
                for t in range(hop):
                    w = place[t]
                    c1 = cosines[t]
                    c2 = sines[t]
                    x0 = real[t]
                    y0 = imaginary[t]
                    x1 = x0 * c1 - y0 * c2
                    y1 = y0 * c1 + x0 * c2
                    x2 = x1 * c1 - y1 * c2
                    y2 = y1 * c1 + x1 * c2
                    x3 = x2 * c1 - y2 * c2
                    y3 = y2 * c1 + x2 * c2
                    total[t] += (
                        y0 * (l0 + w * (s0 + w * b0))
                        + y1 * (l1 + w * (s1 + w * b1))
                        + y2 * (l2 + w * (s2 + w * b2))
                        + y3 * (l3 + w * (s3 + w * b3))
                    )
                    real[t] = x3 * c1 - y3 * c2
                    imaginary[t] = y3 * c1 + x3 * c2
            for t in range(hop):
                output[frame * hop + t] = total[t]
        phase += hop * (before + 4.0 * own + after) / 6.0
        phase -= math.floor(phase)
    phases[0] = phase


@compiled
def _stretched_loop(
    pitch: np.ndarray,
    stretch: np.ndarray,
    amplitudes: np.ndarray,
    phases: np.ndarray,
    integrals: np.ndarray,
    sample_rate: float,
    output: np.ndarray,
) -> None:
    partials, hop = amplitudes.shape[1], integrals.shape[1] - 1
    place, total = np.empty(hop, np.float32), np.empty(hop, np.float32)
    for t in range(hop):
        place[t] = np.float32(t) / np.float32(hop)
    for frame in range(pitch.shape[0] - 2):
        for t in range(hop):
            total[t] = 0.0
        for p in range(partials):
            number = p + 1.0
            before = number * pitch[frame] / sample_rate * math.sqrt(1.0 + stretch[frame] * number * number)
            own = number * pitch[frame + 1] / sample_rate * math.sqrt(1.0 + stretch[frame + 1] * number * number)
            after = number * pitch[frame + 2] / sample_rate * math.sqrt(1.0 + stretch[frame + 2] * number * number)
            phase = phases[p]
            following = phase + hop * (before + 4.0 * own + after) / 6.0
            phases[p] = following - math.floor(following)
            if max(before, own, after) >= 0.5:
                continue
            way = min(max((0.5 - before) / 0.03, 0.0), 1.0)
            a = np.float32(amplitudes[frame, p] * way * way * (3.0 - 2.0 * way))
            way = min(max((0.5 - own) / 0.03, 0.0), 1.0)
            b = np.float32(amplitudes[frame + 1, p] * way * way * (3.0 - 2.0 * way))
            way = min(max((0.5 - after) / 0.03, 0.0), 1.0)
            c = np.float32(amplitudes[frame + 2, p] * way * way * (3.0 - 2.0 * way))
            if max(abs(a), abs(b), abs(c)) <= INAUDIBLE:
                continue
            level = np.float32(0.5) * (a + b)
            slope = b - a
            bend = np.float32(0.5) * (a + c) - b
            for t in range(hop):
                x = phase + hop * (before * integrals[0, t] + own * integrals[1, t] + after * integrals[2, t])
                turn = np.float32(x - math.floor(x + 0.5))
                folded = np.float32(0.25) - abs(abs(turn) - np.float32(0.25))
                u = folded * folded
                value = folded * (
                    np.float32(6.2831853)
                    + u
                    * (
                        np.float32(-41.3417022)
                        + u
                        * (
                            np.float32(81.6052493)
                            + u * (np.float32(-76.7058598) + u * (np.float32(42.0586939) + u * np.float32(-15.0946426)))
                        )
                    )
                )
                w = place[t]
                total[t] += math.copysign(value, turn) * (level + w * (slope + w * bend))
        for t in range(hop):
            output[frame * hop + t] = total[t]
