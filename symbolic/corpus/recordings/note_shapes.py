"""The shape of a recorded note in a few numbers: how it begins, holds and ends, and how it moves.

What the numbers are is said in `symbolic.rendering.note_shape`, which turns them back into curves. Loudness (F,) in decibels and pitch
(F,) in hertz come 250 times a second, as `phrases` gives them. Levels are relative to the note's own, the 90th percentile of its body.
"""

import numpy as np

from symbolic.corpus.recordings.phrases import FRAME_RATE
from symbolic.rendering.note_shape import ATTACK_LEVELS, BODY_PLACES, FLOOR, RELEASE_LEVELS, NoteShape

SMOOTHED = 5  # frames
SHORTEST = 0.15  # seconds from the attack to the release
RELEASED = 8.0  # dB below the straight line through the body: where the release begins
SLOWEST, FASTEST = 3.5, 8.5  # hertz of a vibrato
VIBRATO_SECONDS = 0.5  # of body that a vibrato is looked for in


def measure_shape(pitch: np.ndarray, loudness: np.ndarray) -> tuple[NoteShape, float] | None:
    """The shape and the seconds for which the note was held; None for what is too short or does not rise and fall as one note does."""
    level = np.convolve(np.pad(loudness, SMOOTHED // 2, mode="edge"), np.ones(SMOOTHED) / SMOOTHED, "valid")
    top = float(np.percentile(level, 90))
    relative = level - top
    above = np.flatnonzero(relative > ATTACK_LEVELS[-1])
    begun = np.flatnonzero(relative > FLOOR)
    if not len(above) or relative[-1] > RELEASE_LEVELS[1]:
        return None
    first, risen = int(begun[0]), int(above[0])
    let_go = _release(relative, risen)
    held = (let_go - first) / FRAME_RATE
    if let_go - risen < SHORTEST * FRAME_RATE:
        return None
    attack = [_crossing(relative[first:], wanted) / FRAME_RATE for wanted in ATTACK_LEVELS]
    body = np.interp(np.array(BODY_PLACES) * (let_go - risen) + risen, np.arange(len(relative)), relative)
    tail = relative[let_go:] - relative[let_go]
    release = [_falling(tail, wanted) / FRAME_RATE for wanted in RELEASE_LEVELS]
    cents, rate, tremolo = _vibrato(pitch[risen:let_go], loudness[risen:let_go])
    return NoteShape(top, tuple(attack), tuple(body), tuple(release), cents, rate, tremolo), held


def _release(relative: np.ndarray, risen: int) -> int:
    """The frame at which the note is let go: the last one near the line through its body."""
    last = int(np.flatnonzero(relative > -20.0)[-1])
    place = np.arange(risen, last + 1)
    middle = place[: max(2, round(0.8 * len(place)))]
    slope, start = np.polyfit(middle, relative[middle], 1) if len(middle) > 8 else (0.0, 0.0)
    line = np.minimum(start + min(slope, 0.0) * place, 0.0)
    near = place[relative[place] > line - RELEASED]
    return int(near[-1]) if len(near) else last


def _crossing(rising: np.ndarray, wanted: float) -> float:
    """The first moment, in frames and between them, at which a curve is above a value."""
    after = int(np.argmax(rising > wanted))
    if not after:
        return 0.0
    before = rising[after - 1]
    return after - 1 + float((wanted - before) / max(rising[after] - before, 1e-6))


def _falling(tail: np.ndarray, wanted: float) -> float:
    """The first moment at which a tail is below a value; beyond its end, by the slope of what there is."""
    below = np.flatnonzero(tail < wanted)
    if len(below):
        return _crossing(-tail, -wanted)
    return float(len(tail) * wanted / min(tail[-1], -1.0))


def _vibrato(pitch: np.ndarray, loudness: np.ndarray) -> tuple[float, float, float]:
    """Depth in cents (half of the swing), rate in hertz, and depth in decibels of the loudness at that rate; 0 cents for a short body."""
    frames = round(VIBRATO_SECONDS * FRAME_RATE)
    cut = max(0, len(pitch) - frames) // 2
    cents = 1200 * np.log2(pitch[cut : len(pitch) - cut] / 440)
    if len(cents) < frames // 2:
        return 0.0, 5.5, 0.0
    place = np.arange(len(cents))
    cents = cents - np.polyval(np.polyfit(place, cents, 3), place)
    cents = np.clip(cents, -80, 80)
    swing = loudness[cut : len(pitch) - cut]
    swing = swing - np.polyval(np.polyfit(place, swing, 3), place)
    window = np.hanning(len(cents))
    scale = 2 / window.sum()
    hertz = np.fft.rfftfreq(8 * len(cents), 1 / FRAME_RATE)
    within = (hertz >= SLOWEST) & (hertz <= FASTEST)
    spectrum = np.abs(np.fft.rfft(cents * window, 8 * len(cents)))[within] * scale
    peak = int(spectrum.argmax())
    tremolo = np.abs(np.fft.rfft(swing * window, 8 * len(cents)))[within][peak] * scale
    return float(spectrum[peak]), float(hertz[within][peak]), float(tremolo)
