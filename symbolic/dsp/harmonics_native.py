"""The bank of harmonics in machine code, for playing: one voice, block by block, without torch.

Shapes: F frames of `hop` samples, K partials. Controls, interpolation, fade under half the sample rate: as in `harmonics`, which a test
holds this to. The sample of every partial comes from the one below it by one complex product: e^(iφ(k + 1)) = e^(iφk) · e^(iφ), with
φ the phase of the fundamental at that sample in double precision. So a sine is computed once for a sample, not once for each partial,
the pitch may move as it likes, and errors grow with k, not with time. Stretched partials (a piano's) have no such ladder: each has its
own phase, in double precision at the frames' starts, and a polynomial sine.
"""

import math

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.control_curves import ControlStream, spline_integrals, spline_weights

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

    def process(
        self, pitch: np.ndarray, amplitudes: np.ndarray, inharmonicity: np.ndarray | None = None, starts: np.ndarray | None = None
    ) -> np.ndarray:
        """Sound (S,) float32 of all frames that can be computed by now.

        pitch (F,) hertz; amplitudes (F, K); inharmonicity (F,), given with every block of a voice or with none. `starts` (F,) are phases
        of the fundamental, in cycles, with which frames begin anew, negative for frames that go on; partials with phases of their own
        go on always. Raises `ValueError` when the shapes disagree.
        """
        if amplitudes.shape != (len(pitch), self.partials):
            raise ValueError(f"amplitudes are {amplitudes.shape}: ({len(pitch)}, {self.partials}) is needed")
        self._separate |= inharmonicity is not None
        stretch = np.zeros(len(pitch)) if inharmonicity is None else np.asarray(inharmonicity, np.float64)
        starts = np.full(len(pitch), -1.0) if starts is None else np.asarray(starts, np.float64)
        return self._sound(self._controls.add(np.asarray(pitch, np.float64), np.asarray(amplitudes, np.float32), stretch, starts))

    def flush(self) -> np.ndarray:
        """Sound of the last frame, whose control stands on; after this the voice can begin anew with the phases it has."""
        last = self._controls.flush()
        return np.zeros(0, np.float32) if last is None else self._sound(last)

    def _sound(self, controls: list[np.ndarray]) -> np.ndarray:
        pitch, amplitudes, stretch, anew = (np.ascontiguousarray(one) for one in controls)
        frames, rate = max(0, len(pitch) - 2), float(self.sample_rate)
        if frames and self._separate:
            output = np.empty((frames, self.hop), np.float32)
            _stretched_loop(pitch, stretch, amplitudes, self._phases, self.hop, rate, output)
            return output.reshape(-1)
        heard, steps, starts = np.empty((frames, 3, self.partials), np.float32), np.empty((frames, 3)), np.empty(frames)
        if frames:
            _controls_loop(pitch, amplitudes, anew, self._phases, self.hop, rate, heard, steps, starts)
        return ladder(heard, steps, starts, self.hop).reshape(-1)


def harmonic_sound(
    pitch: np.ndarray, amplitudes: np.ndarray, hop: int, sample_rate: int, inharmonicity: np.ndarray | None = None
) -> np.ndarray:
    """The whole sound (F · hop,) float32 of one voice: pitch (F,) hertz, amplitudes (F, K), inharmonicity (F,)."""
    voice = HarmonicVoice(amplitudes.shape[1], hop, sample_rate)
    return np.concatenate([voice.process(pitch, amplitudes, inharmonicity), voice.flush()])


def ladder(heard: np.ndarray, steps: np.ndarray, starts: np.ndarray, hop: int) -> np.ndarray:
    """Sound (R, hop) float32 of R frames, each on its own: heard (R, 3, K) float32, the amplitudes before, of and after the frame;
    steps (R, 3), the cycles a frame of the fundamental likewise; starts (R,), its phase at the frame's first sample."""
    sounding = np.abs(heard).max(axis=(1, 2), initial=0.0) > INAUDIBLE
    sines, cosines = _fundamental(steps, starts, hop, sounding)
    output = np.empty_like(sines)
    _ladder_loop(heard, sines, cosines, output)
    return output


def ladder_gradient(given: np.ndarray, partials: int, steps: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The gradient (R, 3, K) float32 of `heard` above, for the gradient (R, hop) float32 of the sound."""
    hop = given.shape[1]
    sines, cosines = _fundamental(steps, starts, hop, np.ones(len(given), np.bool_))
    output = np.empty((len(given), 3, partials), np.float32)
    _gradient_loop(given, spline_weights(hop).astype(np.float32), sines, cosines, output)
    return output


def _fundamental(steps: np.ndarray, starts: np.ndarray, hop: int, sounding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine (R, hop) of the fundamental in the frames that sound; the others are left unset."""
    sines, cosines = np.empty((2, len(starts), hop), np.float32)
    _fundamental_loop(steps, starts, sounding, spline_integrals(hop), sines, cosines)
    return sines, cosines


@compiled
def _controls_loop(
    pitch: np.ndarray,
    amplitudes: np.ndarray,
    anew: np.ndarray,
    phases: np.ndarray,
    hop: int,
    sample_rate: float,
    heard: np.ndarray,
    steps: np.ndarray,
    starts: np.ndarray,
) -> None:
    """From the controls of a voice (F + 2, ...) to what `ladder` takes of each frame, faded near half the sample rate."""
    partials = amplitudes.shape[1]
    phase = phases[0]
    for frame in range(pitch.shape[0] - 2):
        highest = max(pitch[frame], pitch[frame + 1], pitch[frame + 2]) / sample_rate
        for d in range(3):
            part_of_rate = pitch[frame + d] / sample_rate
            steps[frame, d] = part_of_rate * hop
            for p in range(partials):
                number = p + 1.0
                level = amplitudes[frame + d, p]
                if number * highest > 0.47:
                    way = min(max((0.5 - number * part_of_rate) / 0.03, 0.0), 1.0)
                    level = np.float32(level * way * way * (3.0 - 2.0 * way))
                heard[frame, d, p] = level if number * highest < 0.5 else np.float32(0.0)
        if anew[frame + 1] >= 0.0:
            phase = anew[frame + 1]
        starts[frame] = phase
        phase += (steps[frame, 0] + 4.0 * steps[frame, 1] + steps[frame, 2]) / 6.0
        phase -= math.floor(phase)
    phases[0] = phase


@compiled
def _fundamental_loop(
    steps: np.ndarray, starts: np.ndarray, sounding: np.ndarray, integrals: np.ndarray, sines: np.ndarray, cosines: np.ndarray
) -> None:
    for frame in range(starts.shape[0]):
        if not sounding[frame]:
            continue
        start, before, own, after = starts[frame], steps[frame, 0], steps[frame, 1], steps[frame, 2]
        for t in range(sines.shape[1]):
            x = start + before * integrals[0, t] + own * integrals[1, t] + after * integrals[2, t]
            # sin and cos of 2πx by a polynomial on a quarter turn, folded: plain arithmetic, several samples at a time.
            turn = x - np.floor(x + 0.5)
            folded = 0.25 - abs(abs(turn) - 0.25)
            u = folded * folded
            value = -76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803))
            value = folded * (6.283185307179586 + u * (-41.341702240399755 + u * (81.60524927607504 + u * value)))
            sines[frame, t] = math.copysign(value, turn)
            turn = x + 0.25 - np.floor(x + 0.75)
            folded = 0.25 - abs(abs(turn) - 0.25)
            u = folded * folded
            value = -76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803))
            value = folded * (6.283185307179586 + u * (-41.341702240399755 + u * (81.60524927607504 + u * value)))
            cosines[frame, t] = math.copysign(value, turn)


@compiled
def _ladder_loop(heard: np.ndarray, sines: np.ndarray, cosines: np.ndarray, output: np.ndarray) -> None:
    frames, hop = sines.shape
    partials = heard.shape[2]
    real, imaginary, total, place = (
        np.empty(hop, np.float32),
        np.empty(hop, np.float32),
        np.empty(hop, np.float32),
        np.empty(hop, np.float32),
    )
    curve = np.zeros((3, partials + 4), np.float32)  # of each partial: level, slope and bend within the frame
    for t in range(hop):
        place[t] = np.float32(t) / np.float32(hop)
    for frame in range(frames):
        active = 0
        for p in range(partials):
            a, b, c = heard[frame, 0, p], heard[frame, 1, p], heard[frame, 2, p]
            curve[0, p] = np.float32(0.5) * (a + b)
            curve[1, p] = b - a
            curve[2, p] = np.float32(0.5) * (a + c) - b
            if max(abs(a), abs(b), abs(c)) > INAUDIBLE:
                active = p + 1
        for p in range(active, active + 4):
            curve[0, p] = 0.0
            curve[1, p] = 0.0
            curve[2, p] = 0.0
        for t in range(hop):
            real[t] = cosines[frame, t]
            imaginary[t] = sines[frame, t]
            total[t] = 0.0
        # Four partials in each pass over the samples: the phasors stay in registers between them.
        for p in range(0, active, 4):
            l0, s0, b0 = curve[0, p], curve[1, p], curve[2, p]
            l1, s1, b1 = curve[0, p + 1], curve[1, p + 1], curve[2, p + 1]
            l2, s2, b2 = curve[0, p + 2], curve[1, p + 2], curve[2, p + 2]
            l3, s3, b3 = curve[0, p + 3], curve[1, p + 3], curve[2, p + 3]
            for t in range(hop):
                w, c, s = place[t], cosines[frame, t], sines[frame, t]
                x0, y0 = real[t], imaginary[t]
                x1 = x0 * c - y0 * s
                y1 = y0 * c + x0 * s
                x2 = x1 * c - y1 * s
                y2 = y1 * c + x1 * s
                x3 = x2 * c - y2 * s
                y3 = y2 * c + x2 * s
                lower = y0 * (l0 + w * (s0 + w * b0)) + y1 * (l1 + w * (s1 + w * b1))
                total[t] += lower + y2 * (l2 + w * (s2 + w * b2)) + y3 * (l3 + w * (s3 + w * b3))
                real[t] = x3 * c - y3 * s
                imaginary[t] = y3 * c + x3 * s
        for t in range(hop):
            output[frame, t] = total[t]


@compiled
def _gradient_loop(given: np.ndarray, weights: np.ndarray, sines: np.ndarray, cosines: np.ndarray, output: np.ndarray) -> None:
    frames, hop = given.shape
    partials = output.shape[2]
    real, imaginary = np.empty(hop, np.float32), np.empty(hop, np.float32)
    before, own, after = np.empty(hop, np.float32), np.empty(hop, np.float32), np.empty(hop, np.float32)
    for frame in range(frames):
        for t in range(hop):
            real[t] = cosines[frame, t]
            imaginary[t] = sines[frame, t]
            before[t] = given[frame, t] * weights[0, t]
            own[t] = given[frame, t] * weights[1, t]
            after[t] = given[frame, t] * weights[2, t]
        for p in range(0, partials, 2):
            a0 = a1 = b0 = b1 = c0 = c1 = np.float32(0.0)
            for t in range(hop):
                c, s = cosines[frame, t], sines[frame, t]
                x0, y0 = real[t], imaginary[t]
                x1 = x0 * c - y0 * s
                y1 = y0 * c + x0 * s
                a0 += before[t] * y0
                b0 += own[t] * y0
                c0 += after[t] * y0
                a1 += before[t] * y1
                b1 += own[t] * y1
                c1 += after[t] * y1
                real[t] = x1 * c - y1 * s
                imaginary[t] = y1 * c + x1 * s
            output[frame, 0, p] = a0
            output[frame, 1, p] = b0
            output[frame, 2, p] = c0
            if p + 1 < partials:
                output[frame, 0, p + 1] = a1
                output[frame, 1, p + 1] = b1
                output[frame, 2, p + 1] = c1


@compiled
def _stretched_loop(
    pitch: np.ndarray, stretch: np.ndarray, amplitudes: np.ndarray, phases: np.ndarray, hop: int, sample_rate: float, output: np.ndarray
) -> None:
    partials = amplitudes.shape[1]
    step, total = np.empty(hop, np.float32), np.empty(hop, np.float32)
    for t in range(hop):
        step[t] = np.float32(t)
    for frame in range(pitch.shape[0] - 2):
        for t in range(hop):
            total[t] = 0.0
        for p in range(partials):
            number = p + 1.0
            square = number * number
            before = number * pitch[frame] / sample_rate * math.sqrt(1.0 + stretch[frame] * square)
            own = number * pitch[frame + 1] / sample_rate * math.sqrt(1.0 + stretch[frame + 1] * square)
            after = number * pitch[frame + 2] / sample_rate * math.sqrt(1.0 + stretch[frame + 2] * square)
            phase = phases[p]
            following = phase + hop * (before + 4.0 * own + after) / 6.0
            phases[p] = following - np.floor(following)
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
            slope = (b - a) / np.float32(hop)
            bend = (np.float32(0.5) * (a + c) - b) / np.float32(hop * hop)
            # The phase is start + n · speed + n² · second + n³ · third. The coarse part of the speed is a multiple of 2⁻¹², so that
            # n times it is exact in single precision (for a hop up to 8192) and wraps without an error; what is left is small.
            start = np.float32(phase - np.floor(phase + 0.5))
            speed = 0.5 * (before + own)
            coarse = np.float32(np.floor(speed * 4096.0) / 4096.0)
            fine = np.float32(speed - coarse)
            second = np.float32(0.5 * (own - before) / hop)
            third = np.float32((before - 2.0 * own + after) / (6.0 * hop * hop))
            for t in range(hop):
                n = step[t]
                turn = coarse * n
                turn -= np.floor(turn)
                turn += start + n * (fine + n * (second + n * third))
                turn -= np.floor(turn + np.float32(0.5))
                folded = np.float32(0.25) - abs(abs(turn) - np.float32(0.25))
                u = folded * folded
                value = np.float32(-76.7058598) + u * (np.float32(42.0586939) + u * np.float32(-15.0946426))
                value = folded * (np.float32(6.2831853) + u * (np.float32(-41.3417022) + u * (np.float32(81.6052493) + u * value)))
                total[t] += math.copysign(value, turn) * (level + n * (slope + n * bend))
        for t in range(hop):
            output[frame, t] = total[t]
