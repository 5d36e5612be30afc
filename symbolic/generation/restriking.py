"""How often an instrument returns to a pitch at its next onset or the one after: counted in the seed, and leaned to in new bars.

A model left alone falls into hammering one pitch, or into trills. Who seldom does so in the seed becomes less likely to do so behind
it; who does, and who has not been heard enough to tell, is free. A second return in a row is counted apart, for a repeated note is not
yet a tremolo; as long as there was none, it is thought as rare as the first.
"""

from collections import defaultdict, deque

import numpy as np

LAGS = (1, 2)  # onsets back
COMMON = 0.5  # of the chances: above, returning is one of the instrument's habits
UNKNOWN = 4  # chances of a common habit that every instrument is given beforehand
LONGEST = 2  # returns that are told apart: the first, and those that follow it

Onset = dict[int, tuple[int, ...]]
"""Of each pitch, for each lag, how many times in a row it was there."""


class Restrikes:
    """Counts of one stream. Rows are those of programs; times are ticks."""

    def __init__(self) -> None:
        self._time: dict[int, int] = {}
        self._onsets: dict[int, deque[Onset]] = defaultdict(
            lambda: deque([{} for _ in range(LAGS[-1] + 1)], LAGS[-1] + 1)
        )  # the newest last
        self._chances: dict[int, np.ndarray] = defaultdict(lambda: np.zeros((len(LAGS), LONGEST)))
        self._taken: dict[int, np.ndarray] = defaultdict(lambda: np.zeros((len(LAGS), LONGEST)))

    def add(self, row: int, time: int, pitch: int, counted: bool) -> None:
        """A note; `counted` says whether it is the seed's."""
        onsets = self._onsets[row]
        if self._time.get(row) != time:
            self._time[row] = time
            onsets.append({})
            for lag, runs in self._earlier(row, time):
                for run in runs.values() if counted else ():
                    self._chances[row][lag, _kind(run)] += 1
        if pitch in onsets[-1]:
            return
        before = [runs.get(pitch, 0) for _, runs in self._earlier(row, time)]
        for lag, run in enumerate(before):
            if counted and run:
                self._taken[row][lag, _kind(run)] += 1
        onsets[-1][pitch] = tuple(run + 1 for run in before)

    def leaning(self, row: int, time: int) -> dict[int, float]:
        """By pitch, the logarithm of how common it is to return to it now, 0 at most; of the pitches of the onsets before only."""
        share, expected = np.zeros((len(LAGS), LONGEST)), np.full(len(LAGS), COMMON)
        for kind in range(LONGEST):
            expected = (self._taken[row][:, kind] + UNKNOWN * expected) / (self._chances[row][:, kind] + UNKNOWN)
            share[:, kind] = expected
        rare = np.log(np.minimum(share / COMMON, 1))
        found: dict[int, float] = defaultdict(float)
        for lag, runs in self._earlier(row, time):
            for pitch, run in runs.items():
                found[pitch] += float(rare[lag, _kind(run)])
        return found

    def _earlier(self, row: int, time: int) -> list[tuple[int, dict[int, int]]]:
        """For each lag its number, and the pitches that stood so many onsets before `time`, with their runs."""
        onsets, now = self._onsets[row], self._time.get(row) == time
        return [(n, {pitch: runs[n] for pitch, runs in onsets[-lag - now].items()}) for n, lag in enumerate(LAGS)]


def _kind(run: int) -> int:
    return min(run, LONGEST) - 1
