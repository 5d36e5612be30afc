"""Finding pieces that are the same music, transposed or not, so that they never straddle a split.

Exactly the same: by the bytes of the file, by its notes, and by its notes in any key. The notes are those of all tracks
by onset, program, pitch and duration, in quarters from the first onset; velocities, tempi and names do not count.

Alike: a piece is sketched by its melody, the highest note at each onset (drum keys and noises when only they play), as intervals
between neighbours, which no transposition changes. Every run of `RUN` intervals is hashed and the `KEPT` smallest
hashes are its sketch (bottom-k MinHash, Broder 1997). Two pieces whose sketches share `ALIKE` of their hashes are one cluster.
Not found: the same work with its melody in another voice, or with other ornaments throughout.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.notes import DRUMS, notes_of
from symbolic.midi.programs import UNPITCHED_PROGRAMS, is_pitched

RUN = 8
KEPT = 64
ALIKE = 0.3
COMMON = 200  # a run that so many pieces have tells nothing, and would make the search quadratic
QUARTER = 10080  # divisible by all that quarters are divided into
PAIRS_AT_ONCE = 500_000
CONTENT_BYTES, NOTES_BYTES = 32, 16


@dataclass(frozen=True)
class Fingerprint:
    """What a piece is told from others by: SHA-256 of its file, hashes of its notes as they are and in any key, its sketch."""

    content: bytes
    notes: bytes
    shape: bytes
    sketch: np.ndarray

    def to_bytes(self) -> bytes:
        """One after another, the sketch last."""
        return self.content + self.notes + self.shape + self.sketch.astype("<u8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Fingerprint":
        """Back from `to_bytes`."""
        first, second = CONTENT_BYTES + NOTES_BYTES, CONTENT_BYTES + 2 * NOTES_BYTES
        return cls(data[:CONTENT_BYTES], data[CONTENT_BYTES:first], data[first:second], np.frombuffer(data[second:], dtype="<u8"))


def fingerprint(data: bytes, score: ScoreTick) -> Fingerprint:
    """The fingerprint of the score that was read from the file's bytes `data`."""
    return Fingerprint(hashlib.sha256(data).digest(), *notes_hashes(score), melody_sketch(score))


def notes_hashes(score: ScoreTick) -> tuple[bytes, bytes]:
    """Hashes (16 bytes each) of the notes as they are, and with the lowest pitched one at 0, so that no transposition changes it."""
    notes = notes_of(score)
    pitched = (notes.program != DRUMS) & ~np.isin(notes.program, UNPITCHED_PROGRAMS)
    onset = (notes.onset - notes.onset.min(initial=2**40)) * QUARTER // score.ticks_per_quarter
    duration = notes.duration * QUARTER // score.ticks_per_quarter
    order = np.lexsort((duration, notes.pitch, notes.program, onset))

    def hashed(pitch: np.ndarray) -> bytes:
        table = np.stack([onset, notes.program, pitch, duration])[:, order].astype("<i8")
        return hashlib.blake2b(table.tobytes(), digest_size=NOTES_BYTES).digest()

    lowest = notes.pitch[pitched].min(initial=127)
    return hashed(notes.pitch), hashed(np.where(pitched, notes.pitch - lowest, notes.pitch))


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


def cluster(sketches: Sequence[np.ndarray], *equal: np.ndarray) -> np.ndarray:
    """Cluster number of each piece, int64, shape (pieces,); a number is the lowest index of its members.

    One cluster are pieces with the same value in one of the arrays `equal`, each of shape (pieces,), and pieces with alike sketches.
    The sketches are gone through twice, and only those that differ are held: they need not be in memory.
    """
    parent = np.arange(len(sketches))
    digests = np.fromiter((_digest(sketch, index) for index, sketch in enumerate(sketches)), dtype=np.uint64, count=len(sketches))
    everyone = np.arange(len(sketches))
    for values in (digests, *equal):
        _join(parent, everyone, first_of_equal(values))
    different = np.flatnonzero(first_of_equal(digests) == everyone)
    for one, other in _alike_pairs(sketches, different):
        _join(parent, one, other)
    return _roots(parent, everyone)


def first_of_equal(values: np.ndarray) -> np.ndarray:
    """For each value the index of the first one equal to it, int64: c a c b a gives 0 1 0 3 1."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]


def _digest(sketch: np.ndarray, index: int) -> int:
    """64 bits for a sketch; a piece without one is like no other, and has those of its index."""
    content = sketch.tobytes() or b"piece %d" % index
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _alike_pairs(sketches: Sequence[np.ndarray], chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of pieces among `chosen` (ascending) whose sketches are alike, as blocks of two int64 arrays.

    Each run is looked up at the first `COMMON` pieces that have it.
    """
    lengths = np.array([len(sketches[index]) for index in chosen], dtype=np.int64)
    hashes = np.empty(lengths.sum(), dtype=np.uint64)
    ends = np.cumsum(lengths)
    for place, (index, end) in enumerate(zip(chosen, ends, strict=True)):
        hashes[end - lengths[place] : end] = sketches[index]
    piece = np.repeat(np.arange(len(chosen), dtype=np.int32), lengths)
    several = _in_several(hashes)
    hashes, piece = hashes[several], piece[several]
    order = np.argsort(hashes, kind="stable")
    hashes, holders = hashes[order], piece[order]
    again = np.r_[np.zeros(min(1, len(hashes)), dtype=bool), hashes[1:] == hashes[:-1]]  # the run of the entry before, in another piece
    places = np.arange(len(order), dtype=np.int32)
    first = np.maximum.accumulate(np.where(again, 0, places))  # of the entries of the same run
    order, first, earlier = order[again], first[again], np.minimum(places - first, COMMON)[again]
    by_piece = np.argsort(order)
    later, first, earlier = piece[order[by_piece]], first[by_piece], earlier[by_piece]
    start = 0
    while start < len(later):
        total = np.cumsum(earlier[start : start + PAIRS_AT_ONCE])
        stop = start + max(1, int(np.searchsorted(total, PAIRS_AT_ONCE)))
        stop = int(np.searchsorted(later, later[min(stop, len(later)) - 1], side="right"))  # no piece in two blocks
        counts = earlier[start:stop]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs = np.repeat(later[start:stop], counts).astype(np.int64) * len(chosen) + holders[np.repeat(first[start:stop], counts) + within]
        pairs, shared = np.unique(pairs, return_counts=True)
        one, other = np.divmod(pairs, len(chosen))
        shorter, longer = np.minimum(lengths[one], lengths[other]), np.maximum(lengths[one], lengths[other])
        # one shared run is no proof; a piece so short or so repetitive that it has fewer must share them all
        alike = (shared >= ALIKE * shorter) & (shared >= np.minimum(4, longer))
        yield chosen[one[alike]], chosen[other[alike]]
        start = stop


def _in_several(hashes: np.ndarray) -> np.ndarray:
    """Which of these hashes occur more than once, bool; a sixteenth of them is looked at at a time, to spare memory."""
    several = np.zeros(len(hashes), dtype=bool)
    for low_bits in range(16):
        some = np.flatnonzero((hashes & np.uint64(15)) == low_bits)
        _, inverse, counts = np.unique(hashes[some], return_inverse=True, return_counts=True)
        several[some] = counts[inverse] > 1
    return several


def _join(parent: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Make one tree of the trees of `one[i]` and `other[i]`, for every i; a root is the lowest index of its tree."""
    while len(one):
        one, other = _roots(parent, one), _roots(parent, other)
        apart = one != other
        one, other = np.maximum(one[apart], other[apart]), np.minimum(one[apart], other[apart])
        np.minimum.at(parent, one, other)


def _roots(parent: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    while True:
        above = parent[nodes]
        if np.array_equal(above, nodes):
            return nodes
        nodes = above


def _mixed(values: np.ndarray) -> np.ndarray:
    """One round of splitmix64's finaliser on uint64 values, so that near inputs give far hashes."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
