"""The longest passages that a piece shares with the pieces of an index, in any key and at any tempo.

A match is a run of notes of one line whose intervals and ratios (`lines`) are those of a run in a line of the index, which cannot be made
longer, less what is plain (`winnowing`) at its two ends: it begins and ends with 8 notes that tell something.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.corpus.line_index import LineIndex
from symbolic.corpus.lines import INTERVAL, Lines
from symbolic.corpus.winnowing import NONE, RUN, gram_hashes, telling_runs


@dataclass(frozen=True)
class Matches:
    """Arrays of shape (matches,), the longest first: `start` and `length` in notes of the piece's lines, `place` in the index, `bar` there.

    In a sampled index `bar` is that of the first note of the first shared gram, at most some notes before.
    """

    start: np.ndarray
    length: np.ndarray
    place: np.ndarray
    bar: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def covered(self, notes: int, longer_than: int) -> np.ndarray:
        """Which of `notes` notes stand in a match longer than `longer_than` notes, bool, (notes,)."""
        long = self.length > longer_than
        edges = np.zeros(notes + 1, dtype=np.int64)
        np.add.at(edges, self.start[long], 1)
        np.add.at(edges, (self.start + self.length)[long], -1)
        return np.cumsum(edges)[:notes] > 0


def find_matches(lines: Lines, index: LineIndex) -> Matches:
    """All matches of the lines with the index: of 9 notes and more with a full index, else as `LineIndex` says."""
    steps = lines.steps
    telling = telling_runs(steps)
    hashes = gram_hashes(steps, index.sampling.notes, telling)
    asked = np.flatnonzero(hashes != NONE)
    which, place, bar = index.look_up(hashes[asked])
    at = asked[which]
    order = np.lexsort((at, place - at))
    at, place, bar = at[order], place[order], bar[order]
    # neighbours on one diagonal that share two notes prove all between them
    apart = np.r_[True, (np.diff(place - at) != 0) | (np.diff(at) > index.sampling.notes - 2)][: len(at)]
    first = np.flatnonzero(apart)
    last = np.r_[first[1:], len(at)] - 1 if len(first) else first
    start, stop, bar, diagonal = at[first], at[last] + index.sampling.notes, bar[first], (place - at)[first]
    if index.steps is not None:
        start, stop = _extended(steps, index.steps, start, stop, diagonal)
    start, stop = _trimmed(telling, start, stop)
    _, once = np.unique(np.stack([diagonal, start]), axis=1, return_index=True)  # chains of one run, grown together
    start, stop, bar, diagonal = start[once], stop[once], bar[once], diagonal[once]
    if index.bars is not None:
        bar = index.bars[start + diagonal].astype(np.int64)
    order = np.lexsort((start + diagonal, start, start - stop))
    return Matches(start[order], (stop - start)[order], (start + diagonal)[order], bar[order])


def _extended(
    mine: np.ndarray, theirs: np.ndarray, start: np.ndarray, stop: np.ndarray, diagonal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The runs `start` … `stop` of `mine`, equal to those of `theirs` `diagonal` later, as long as they can be."""
    start, stop = start.copy(), stop.copy()
    growing = np.flatnonzero((stop < len(mine)) & (stop + diagonal < len(theirs)))
    while len(growing):
        one, other = mine[stop[growing]], theirs[(stop + diagonal)[growing]]
        growing = growing[(one == other) & (one != 0)]
        stop[growing] += 1
        growing = growing[(stop[growing] < len(mine)) & ((stop + diagonal)[growing] < len(theirs))]
    growing = np.arange(len(start))
    while len(growing):
        # the note before is reached by this one's interval; the time between them shows in the ratio of the next
        one, other = mine[start[growing]] >> INTERVAL, theirs[(start + diagonal)[growing]] >> INTERVAL
        next_one, next_other = mine[start[growing] + 1], theirs[(start + diagonal)[growing] + 1]
        growing = growing[(one == other) & (one != 0) & (next_one == next_other)]
        start[growing] -= 1
    return start, stop


def _trimmed(telling: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs less the notes before their first and after their last telling run of `RUN` notes."""
    places = np.arange(len(telling))
    after = np.minimum.accumulate(np.where(telling, places, len(telling))[::-1])[::-1]
    before = np.maximum.accumulate(np.where(telling, places, -1))
    return after[start], before[stop - RUN] + RUN
