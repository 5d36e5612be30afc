"""The lines of a piece, as steps that no transposition and no tempo changes: what copying is told by.

Notes of all tracks of one program are taken together and peeled from outside in: the upper line has at each onset the highest
note, unless a higher one is still held; the lower line the lowest, likewise; then upper and lower of what is left, and so on,
`LINES` in all. Four-part homophony gives soprano, bass, alto and tenor; a melody over an accompaniment is not broken by it.
A note counts as held for 15/16 of its duration, so that legato hides nothing. Drums and noises have no lines.

A step is one note seen from the note before it in its line, as uint16: interval in semitones + 128 in the high byte, and in the
low byte the time since that note divided by the time before, as a logarithm: `round(5 log2)` + 64, held within a factor of 16.
Five steps to the doubling set 1, 3/2, 2, 3 and 4 and their inverses close to whole numbers (log2 3 is nearly 8/5), and
bear 7 % of rubato. The first note of a line is 0 (no interval), the second has no ratio (low byte 0).
"""

from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.notes import DRUMS, notes_of
from symbolic.midi.meter import bar_starts
from symbolic.midi.programs import UNPITCHED_PROGRAMS

LINES = 4
HELD = (15, 16)
PER_DOUBLING = 5
LARGEST_RATIO = 4 * PER_DOUBLING
INTERVAL, RATIO = 8, 0x00FF  # bits to the right of the interval; mask of the ratio
MOST_HELD = 256  # onsets over which a note is followed: a pedal point of hundreds of notes costs no more


@dataclass(frozen=True)
class Lines:
    """The lines of a piece one after another, arrays of shape (notes,): steps (uint16), bars from 0, onsets in ticks, programs.

    `pitched` is how many pitched notes the piece has; those in chords of more than `LINES` notes are in no line.
    """

    steps: np.ndarray
    bar: np.ndarray
    onset: np.ndarray
    program: np.ndarray
    pitched: int

    def __len__(self) -> int:
        return len(self.steps)

    def chosen(self, inside: np.ndarray) -> "Lines":
        """The lines with only the notes where `inside` (notes,) holds, in stretches that each begin a line of their own."""
        steps = self.steps.copy()
        after_gap = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
        second = after_gap + 1
        second = second[second < len(steps)]
        steps[second] &= np.uint16(~RATIO & 0xFFFF)
        steps[after_gap] = 0
        return Lines(steps[inside], self.bar[inside], self.onset[inside], self.program[inside], int(inside.sum()))

    def beginning(self, notes: int) -> "Lines":
        """The first `notes` notes by time, and those at the onset of the last."""
        return self if len(self) <= notes else self.chosen(self.onset <= np.partition(self.onset, notes - 1)[notes - 1])


def lines_of(score: ScoreTick, start: int = 0) -> Lines:
    """The lines of `score` from tick `start` on; each bar counts from the beginning of the score."""
    notes = notes_of(score)
    pitched = (notes.program != DRUMS) & ~np.isin(notes.program, UNPITCHED_PROGRAMS) & (notes.onset >= start)
    program, pitch, onset, duration = (field[pitched] for field in (notes.program, notes.pitch, notes.onset, notes.duration))
    end = onset + np.maximum(1, duration * HELD[0] // HELD[1])
    left = np.arange(len(pitch))
    found = []
    for line in range(LINES):
        sign = 1 if line % 2 == 0 else -1
        outer = left[_outermost(program[left], sign * pitch[left], onset[left], end[left])]
        found.append(outer)
        left = np.setdiff1d(left, outer, assume_unique=True)
    chosen = np.concatenate(found)
    line_number = np.repeat(np.arange(LINES), [len(outer) for outer in found])
    order = np.lexsort((onset[chosen], line_number, program[chosen]))
    chosen, line_number = chosen[order], line_number[order]
    first = np.r_[True, (np.diff(program[chosen]) != 0) | (np.diff(line_number) != 0)][: len(chosen)]
    bar = np.searchsorted(bar_starts(score), onset[chosen], side="right") - 1
    return Lines(_steps(pitch[chosen], onset[chosen], first), bar, onset[chosen], program[chosen], int(pitched.sum()))


def _outermost(program: np.ndarray, height: np.ndarray, onset: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Indices of the notes above which nothing of their program sounds when they begin, one an onset."""
    if not len(height):
        return np.zeros(0, dtype=np.int64)
    place = program * (int(end.max()) + 1)  # one program after the other on one line of time
    moments, at = np.unique(place + onset, return_inverse=True)
    span = np.minimum(np.searchsorted(moments, place + end) - at, MOST_HELD)
    highest = np.full(len(moments), -128)
    held = np.repeat(at - np.cumsum(span) + span, span) + np.arange(span.sum())
    np.maximum.at(highest, held, np.repeat(height, span))
    outer = np.flatnonzero(height == highest[at])
    return outer[np.unique(at[outer], return_index=True)[1]]


def _steps(pitch: np.ndarray, onset: np.ndarray, first: np.ndarray) -> np.ndarray:
    interval = np.diff(pitch, prepend=0) + 128
    since = np.maximum(np.diff(onset, prepend=0), 1).astype(np.float64)
    before = np.r_[1.0, since[:-1]][: len(since)]
    ratio = np.clip(np.rint(PER_DOUBLING * np.log2(since / before)), -LARGEST_RATIO, LARGEST_RATIO).astype(np.int64) + 64
    second = np.r_[False, first[:-1]][: len(first)]
    return np.where(first, 0, interval << INTERVAL | np.where(second, 0, ratio)).astype(np.uint16)
