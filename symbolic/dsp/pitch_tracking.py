"""How high a sound of one voice is from moment to moment: autocorrelation, and the path that hangs together.

Sound is (S,) float at `sample_rate`; frame i of `hop` samples is described at its middle, (i + ½) · hop. Pitch is in hertz, periodicity
from 0 (noise) to 1: the normalised autocorrelation 2 Σ x(t) x(t + lag) / Σ (x(t)² + x(t + lag)²) at the period, which is also the share
of energy that repeats. Candidates are its peaks (P. McLeod and G. Wyvill, "A Smarter Way to Find Pitch", 2005); the path through
them of least cost prefers periodic, short and steady periods (Viterbi; as in P. Boersma, "Accurate Short-Term Analysis", 1993).
A period is then measured over as many periods as fit into 12 ms, so a high note is known as exactly as a low one.

Where the note is known (a label), only the pitches within 0.8 of a semitone of it are looked at: no octave can be missed.
"""

import functools
from dataclasses import dataclass

import numpy as np

NEAR = 0.8  # semitones around a known note
SPAN = 0.012  # seconds over which periods are measured
CHUNK = 1024  # frames at once
CANDIDATES = 6
LONG_PERIOD_COST = 0.03  # for each octave of a longer period: two periods repeat as well as one
LEAP_COST = 0.35  # for each octave from frame to frame
PERIODIC = 0.5  # below this a frame has no pitch of its own
FINE_LAGS, UPSAMPLING = 48, 4  # up to so many samples the autocorrelation is read between its lags: the shortest periods are few


@dataclass
class PitchTrack:
    """`pitch` (F,) hertz, above 0 in every frame; `periodicity` (F,) 0 … 1, 0 in silence."""

    pitch: np.ndarray
    periodicity: np.ndarray


def track_pitch(
    sound: np.ndarray, sample_rate: int, hop: int, lowest: float = 30.0, highest: float = 4200.0, note: float | None = None
) -> PitchTrack:
    """The pitch of every whole frame of sound (S,), F = S // hop; frames without one take it from their neighbours.

    `note` in hertz is what is known to be played. Memory grows with the length, by about a megabyte a second: give a long recording
    phrase by phrase. Raises `ValueError` unless 0 < lowest < highest < sample_rate / 2.
    """
    if note is not None:
        lowest, highest = note * 2 ** (-NEAR / 12), note * 2 ** (NEAR / 12)
    if not 0 < lowest < highest < sample_rate / 2:
        raise ValueError(f"pitches from {lowest} to {highest} Hz: they must rise, above 0 and below half of {sample_rate}")
    frames = len(sound) // hop
    if not frames:
        return PitchTrack(np.zeros(0), np.zeros(0))
    window, longest, before = spans(sample_rate, lowest, highest)
    padded = np.pad(np.asarray(sound[: frames * hop], np.float32), (before, window + longest))
    repetition = np.empty((frames, longest), np.float32)
    candidates = []
    for start in range(0, frames, CHUNK):
        middles = np.arange(start, min(frames, start + CHUNK)) * hop + hop // 2
        found = repetition_of(padded[middles[:, None] + np.arange(window + longest - 1)], window, longest)
        repetition[start : start + CHUNK] = found
        if note is None:
            candidates.append(candidates_of(found, sample_rate / highest, sample_rate / lowest))
    if note is None:
        periods, values = (np.concatenate(one) for one in zip(*candidates, strict=True))
        coarse = periods[np.arange(frames), _path(periods, values)]
    else:
        coarse = np.full(frames, sample_rate / note)
    period, periodicity = refined_periods(repetition, coarse, SPAN * sample_rate, known=note is not None)
    return PitchTrack(_filled(np.clip(sample_rate / period, lowest, highest), periodicity), periodicity)


def spans(sample_rate: int, lowest: float, highest: float) -> tuple[int, int, int]:
    """Samples that each lag compares, the number of lags, and how far before a frame's middle to begin."""
    longest = int(max(np.ceil(sample_rate / lowest), SPAN * sample_rate)) + 3
    window = max(round(0.024 * sample_rate), round(1.5 * sample_rate / lowest))
    # A lag looks at window + lag samples; those of the lag that is measured have their middle in the frame's.
    before = round((window + max(0.8 * SPAN * sample_rate, sample_rate / np.sqrt(lowest * highest))) / 2)
    return window, longest, before


def repetition_of(pieces: np.ndarray, window: int, longest: int) -> np.ndarray:
    """Normalised autocorrelation (n, longest) of pieces (n, window + longest − 1), float32, at lags 0, 1, …"""
    from scipy import fft  # takes a second to import

    size = fft.next_fast_len(pieces.shape[1], real=True)
    shared = fft.irfft(np.conj(fft.rfft(pieces[:, :window], size)) * fft.rfft(pieces, size), size)[:, :longest]
    total = np.cumsum(np.pad(pieces, ((0, 0), (1, 0))).astype(np.float64) ** 2, axis=1)
    energy = total[:, window : window + longest] - total[:, :longest]
    both = energy[:, :1] + energy
    return np.where(both > 1e-9, 2 * shared / np.maximum(both, 1e-9), 0.0).astype(np.float32)


def candidates_of(repetition: np.ndarray, shortest: float, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """The highest peaks of each frame: periods in samples and values, (n, CANDIDATES) each."""
    fine_lags, weights = _between_lags(repetition.shape[1])
    count = len(fine_lags) // UPSAMPLING
    lags = np.concatenate([fine_lags, np.arange(count, repetition.shape[1])])
    values = np.concatenate([repetition[:, : len(weights)] @ weights, repetition[:, count:]], axis=1)
    peak = np.zeros(values.shape, bool)
    peak[:, 1:-1] = (values[:, 1:-1] >= values[:, :-2]) & (values[:, 1:-1] > values[:, 2:])
    peak &= (lags >= shortest) & (lags <= longest)
    cost = np.where(peak, 1.0 - values + LONG_PERIOD_COST * np.log2(np.maximum(lags, shortest) / shortest), 9.0)
    best = np.argpartition(cost, CANDIDATES, axis=1)[:, :CANDIDATES]
    rows = np.arange(len(values))[:, None]
    none = cost[rows, best] >= 9.0
    return np.where(none, np.sqrt(shortest * longest), lags[best]), np.where(none, 0.0, values[rows, best])


@functools.cache
def _between_lags(lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Lags 0, ¼, ½ … and what each whole lag weighs at them (whole, fine) float32: a windowed sinc, even around lag 0."""
    whole = min(lags, FINE_LAGS + 16)
    fine = np.arange(min(lags, FINE_LAGS) * UPSAMPLING) / UPSAMPLING
    weights = np.zeros((whole, len(fine)))
    for place in range(-15, whole):
        distance = fine - place
        weights[abs(place)] += np.sinc(distance) * np.where(np.abs(distance) < 16, np.cos(np.pi * distance / 32) ** 2, 0.0)
    return fine, weights.astype(np.float32)


def _path(periods: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which candidate (F,) of each frame lies on the path of least cost."""
    octaves = np.log2(periods)
    cost = 1.0 - np.clip(values, 0.0, 1.0) + LONG_PERIOD_COST * octaves
    total = cost[0]
    back = np.zeros(periods.shape, np.int64)
    for frame in range(1, len(periods)):
        # Where nothing repeats, nothing is learned about leaps.
        weight = LEAP_COST * min(values[frame].max(), values[frame - 1].max())
        leaps = total[:, None] + max(weight, 0.02) * np.abs(octaves[frame - 1][:, None] - octaves[frame][None])
        back[frame] = leaps.argmin(0)
        total = leaps.min(0) + cost[frame]
    chosen = np.empty(len(periods), np.int64)
    chosen[-1] = total.argmin()
    for frame in range(len(periods) - 1, 0, -1):
        chosen[frame - 1] = back[frame, chosen[frame]]
    return chosen


def refined_periods(repetition: np.ndarray, coarse: np.ndarray, span: float, known: bool) -> tuple[np.ndarray, np.ndarray]:
    """Periods (F,) in samples and the height of their peaks, from coarse ones: the peak at m periods, for more and more m."""
    rows, last = np.arange(len(coarse)), repetition.shape[1] - 2
    period = np.asarray(coarse, np.float64).copy()
    height = np.zeros(len(period))
    reach = 2 ** (NEAR / 12) - 1
    # A known note may be off by `reach`: the first look is at so many periods that this is more than a sample and a half. An odd
    # number: an even one is whole periods of the octave below too, and would hide that the label is an octave too high.
    number = np.clip(2 * np.floor(16 / period) + 1, 1, 7) if known else np.ones(len(period))
    for turn in range(8):
        place = number * period
        wide = np.maximum(1.0, reach * place if known and turn == 0 else 0.0 * place)
        wide = np.ceil(np.minimum(wide, np.maximum(1.0, 0.45 * period))).astype(np.int64)
        around = np.arange(-wide.max(), wide.max() + 1)
        lags = np.clip(np.round(place).astype(np.int64)[:, None] + around, 1, last)
        seen = np.where(np.abs(around) <= wide[:, None], repetition[rows[:, None], lags], -2.0)
        peak = lags[rows, seen.argmax(1)]
        left, top, right = (repetition[rows, peak + d].astype(np.float64) for d in (-1, 0, 1))
        bend = left - 2 * top + right
        inside = (bend < 0) & (top >= left) & (top >= right)
        shift = np.where(inside, 0.5 * (left - right) / np.where(inside, bend, -1.0), 0.0)
        better = inside & ((turn == 0) | (top > 0.8 * height))
        period = np.where(better, (peak + shift) / number, period)
        if turn == 0:
            height = np.clip(np.where(inside, top - 0.25 * (left - right) * shift, top), 0.0, 1.0)
        following = np.minimum(number * 2, np.floor(np.minimum(span, last - 2) / period))
        if not (following > number).any():
            break
        number = np.maximum(number, following)
    return period, height


def _filled(pitch: np.ndarray, periodicity: np.ndarray) -> np.ndarray:
    """Single frames that leap are put back; frames that do not repeat lie on a line, in octaves, between those that do."""
    octaves = np.log2(pitch)
    padded = np.pad(octaves, 2, mode="edge")
    steady = np.median(np.stack([padded[d : d + len(octaves)] for d in range(5)]), axis=0)
    octaves = np.where(np.abs(octaves - steady) > 1 / 24, steady, octaves)
    sure = np.flatnonzero(periodicity >= PERIODIC)
    if not len(sure):
        return np.full(len(pitch), 2 ** float(np.median(octaves)))
    return np.asarray(2 ** np.interp(np.arange(len(octaves)), sure, octaves[sure]))
