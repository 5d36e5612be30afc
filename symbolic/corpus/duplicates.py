"""Finding pieces that are the same music, transposed or not, so that they never straddle a split.

A piece is fingerprinted by its melody: the highest note at each onset (drum keys and noises when only they play), as intervals
between neighbours, which no transposition changes. Every run of `RUN` intervals is hashed and the `KEPT` smallest
hashes are its sketch (bottom-k MinHash, Broder 1997). Two pieces whose sketches share `ALIKE` of their hashes are one cluster.
Not found: the same work with its melody in another voice, or with other ornaments throughout.
"""

from collections import defaultdict

import numpy as np
from symusic.core import ScoreTick

from symbolic.midi.programs import is_pitched

RUN = 8
KEPT = 64
ALIKE = 0.3


def melody_sketch(score: ScoreTick) -> np.ndarray:
    """The sketch of a score: at most `KEPT` sorted uint64 hashes; a single hash for 2 to `RUN` + 1 onsets, none for fewer."""
    pitched = [t for t in score.tracks if is_pitched(t) and len(t.notes)]
    arrays = [t.notes.numpy() for t in pitched or [t for t in score.tracks if len(t.notes)]]
    if not arrays:
        return np.zeros(0, dtype=np.uint64)
    times = np.concatenate([a["time"] for a in arrays])
    pitches = np.concatenate([a["pitch"] for a in arrays]).astype(np.int64)
    order = np.lexsort((-pitches, times))
    first = np.r_[True, np.diff(times[order]) > 0]
    intervals = (np.diff(pitches[order][first]) + 128).astype(np.uint64)
    if not len(intervals):
        return np.zeros(0, dtype=np.uint64)
    intervals = np.pad(intervals, (0, max(0, RUN - len(intervals))))
    hashes = np.zeros(len(intervals) - RUN + 1, dtype=np.uint64)
    for offset in range(RUN):
        hashes = _mixed(hashes ^ intervals[offset : offset + len(hashes)])
    return np.unique(hashes)[:KEPT]


def cluster(sketches: list[np.ndarray], contents: list[str]) -> np.ndarray:
    """Cluster number of each piece, int64, shape (pieces,): equal content hashes or alike sketches are one cluster.

    A number is the lowest index of its members.
    """
    parent = np.arange(len(sketches))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    def join(a: int, b: int) -> None:
        low, high = sorted((root(a), root(b)))
        parent[high] = low

    first_with: dict[str, int] = {}
    for index, content in enumerate(contents):
        join(first_with.setdefault(content, index), index)
    holders: dict[int, list[int]] = defaultdict(list)
    for index, sketch in enumerate(sketches):
        shared: dict[int, int] = defaultdict(int)
        for hash_ in sketch.tolist():
            for other in holders[hash_]:
                shared[other] += 1
            if len(holders[hash_]) < 200:  # a run this common tells nothing, and would make the search quadratic
                holders[hash_].append(index)
        for other, count in shared.items():
            # one shared run is no proof; a piece so short or so repetitive that it has fewer must share them all
            if count >= ALIKE * min(len(sketch), len(sketches[other])) and count >= min(4, max(len(sketch), len(sketches[other]))):
                join(other, index)
    return np.array([root(index) for index in range(len(sketches))], dtype=np.int64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """One round of splitmix64's finaliser on uint64 values, so that near inputs give far hashes."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
