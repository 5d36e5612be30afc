"""What a round trip through tokens changes in one file: encode, decode, compare note by note.

Notes are matched within the same program and pitch, in the order of their onsets; where one side has more, by nearness.
Units: quarter notes ("beats") and milliseconds, the latter with the tempo in force at the note in the source;
how far the two tempo maps run apart is told on its own, as the change of the whole length.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.notes import Notes, TempoMap, notes_of
from symbolic.midi.meter import meter_sections

TOLERANCE = 1 / 48 + 1e-9
ROUNDS = 16
MS_EDGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""`onset_ms_counts` counts notes moved by less than each edge, and the rest."""


def round_trip_loss(before: ScoreTick, after: ScoreTick, notes: Notes | None = None) -> dict[str, Any]:
    """The loss from `before` to `after` (its decoded tokens) as plain numbers; `docs/report.md` says what each means."""
    old, new = notes_of(before) if notes is None else notes, notes_of(after)
    old_tempi, new_tempi = TempoMap.of(before), TempoMap.of(after)
    left, right = match(old, before.ticks_per_quarter, new, after.ticks_per_quarter)
    onset, new_onset = old.onset[left] / before.ticks_per_quarter, new.onset[right] / after.ticks_per_quarter
    moved = np.abs(new_onset - onset)
    stretched = np.abs(new.duration[right] / after.ticks_per_quarter - old.duration[left] / before.ticks_per_quarter)
    milliseconds = 1000 * old_tempi.at(onset)
    louder = np.abs(new.velocity[right] - old.velocity[left])
    tempo = 100 * np.abs(old_tempi.at(onset) / new_tempi.at(new_onset) - 1)
    ends = [
        float(tempi.seconds_at(np.array([(side.onset + side.duration).max() / score.ticks_per_quarter]))[0]) if len(side) else 0.0
        for tempi, side, score in ((old_tempi, old, before), (new_tempi, new, after))
    ]
    return {
        "lost": len(old) - len(left),
        "changed": int(((moved > TOLERANCE) | (stretched > TOLERANCE)).sum()),
        "onset_changed": int((moved > TOLERANCE).sum()),
        "duration_changed": int((stretched > TOLERANCE).sum()),
        "onset_beats": _spread(moved),
        "onset_ms": _spread(moved * milliseconds),
        "onset_ms_counts": np.bincount(np.searchsorted(MS_EDGES, moved * milliseconds, side="right"), minlength=len(MS_EDGES) + 1).tolist(),
        "duration_beats": _spread(stretched),
        "duration_ms": _spread(stretched * milliseconds),
        "velocity": [_short(louder.mean()), int(louder.max())] if len(left) else [0.0, 0],
        "velocities": [int(np.count_nonzero(np.bincount(side.velocity, minlength=128))) for side in (old, new)],
        "tempo_percent": [_short(tempo.mean()), _short(tempo.max())] if len(left) else [0.0, 0.0],
        "length_percent": _short(100 * (ends[1] / ends[0] - 1)) if ends[0] > 0 else 0.0,
        "meters": _meters(before, after),
        "tuplets": _tuplets(old.onset[left], moved, before.ticks_per_quarter),
    }


def match(old: Notes, old_ticks: int, new: Notes, new_ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices into `old` and `new` of the notes that belong together, shape (pairs,) each; a note is used once."""
    old_voice, new_voice = ((side.program + 1) * 128 + side.pitch for side in (old, new))
    left = np.lexsort((old.duration, old.onset, old_voice))
    right = np.lexsort((new.duration, new.onset, new_voice))
    if not np.array_equal(old_voice[left], new_voice[right]):
        left, right = _unequal(old, old_voice, left, old_ticks, new, new_voice, right, new_ticks)
    if not len(left):
        return left, right
    # Notes of one pitch that come to one onset go by duration: C4 at 0 and at 1 tick may change places there.
    run = np.r_[0, np.cumsum((np.diff(new_voice[right]) != 0) | (np.diff(new.onset[right]) != 0))]
    return left[np.lexsort((old.duration[left], run))], right


def _unequal(
    old: Notes, old_voice: np.ndarray, left: np.ndarray, old_ticks: int,
    new: Notes, new_voice: np.ndarray, right: np.ndarray, new_ticks: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The same where a voice (program and pitch) has more notes on one side; `left` and `right` are sorted by voice and onset."""
    size = int(max(old_voice.max(initial=0), new_voice.max(initial=0))) + 1
    old_counts, new_counts = np.bincount(old_voice, minlength=size), np.bincount(new_voice, minlength=size)
    equal = old_counts == new_counts
    lefts, rights = [left[equal[old_voice[left]]]], [right[equal[new_voice[right]]]]
    old_ends, new_ends = np.cumsum(old_counts), np.cumsum(new_counts)
    for voice in np.flatnonzero(~equal & (old_counts > 0) & (new_counts > 0)):
        mine = left[old_ends[voice] - old_counts[voice] : old_ends[voice]]
        theirs = right[new_ends[voice] - new_counts[voice] : new_ends[voice]]
        a, b = _nearest(old.onset[mine] / old_ticks, new.onset[theirs] / new_ticks)
        lefts.append(mine[a])
        rights.append(theirs[b])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    order = np.lexsort((new.duration[right], new.onset[right], new_voice[right]))
    return left[order], right[order]


def _nearest(few: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (i, j) of two sorted arrays, nearest first, each index used once; min(len) pairs.

    Example: (0, 1, 2) and (1, 2) give (1, 0), (2, 1).
    """
    if len(few) > len(many):
        j, i = _nearest(many, few)
        return i, j
    free_i, free_j = np.arange(len(few)), np.arange(len(many))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(ROUNDS):
        if not len(free_i):
            break
        after = np.clip(np.searchsorted(many[free_j], few[free_i]), 0, len(free_j) - 1)
        before = np.maximum(after - 1, 0)
        closer = np.abs(many[free_j[before]] - few[free_i]) <= np.abs(many[free_j[after]] - few[free_i])
        choice = np.where(closer, before, after)
        distance = np.abs(many[free_j[choice]] - few[free_i])
        order = np.lexsort((distance, choice))
        winners = order[np.r_[True, np.diff(choice[order]) != 0]]  # of those that want one note, the nearest gets it
        pairs.append((free_i[winners], free_j[choice[winners]]))
        free_i, free_j = np.delete(free_i, winners), np.delete(free_j, choice[winners])
    pairs.append((free_i, free_j[: len(free_i)]))  # a heap of notes at one onset: whichever
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _meters(before: ScoreTick, after: ScoreTick) -> list[int]:
    """Meter changes of the source: kept in place, respelt in place, moved or lost; then changes that the tokens have more."""
    places = [
        {round(tick / score.ticks_per_quarter, 4): meter for tick, *meter in meter_sections(score)} for score in (before, after)
    ]  # fmt: skip
    old, new = places
    kept = sum(new.get(place) == meter for place, meter in old.items())
    respelt = sum(place in new and new[place] != meter for place, meter in old.items())
    return [kept, respelt, len(old) - kept - respelt, len(new.keys() - old.keys())]


def _tuplets(onsets: np.ndarray, moved: np.ndarray, ticks_per_quarter: int) -> dict[str, list[int]]:
    """Notes on triplet, quintuplet and septuplet places of the quarter, and how many of these moved by more than their rounding."""
    kinds = _tuplet_table(ticks_per_quarter)[onsets % ticks_per_quarter]
    off = moved > max(1 / 960, 0.5 / ticks_per_quarter) + 1e-9
    counts, changed = np.bincount(kinds, minlength=8), np.bincount(kinds[off], minlength=8)
    return {str(kind): [int(counts[kind]), int(changed[kind])] for kind in (3, 5, 7) if counts[kind]}


@lru_cache(maxsize=32)
def _tuplet_table(ticks_per_quarter: int) -> np.ndarray:
    """For each tick of a quarter note 3, 5 or 7 where a tuplet of so many notes, or of two or four times as many, has one; else 0."""
    table = np.zeros(ticks_per_quarter + 1, dtype=np.int64)
    binary = 32 if ticks_per_quarter >= 96 else 16 if ticks_per_quarter >= 48 else 8
    for kind, divisions in ((7, 14), (5, 10), (3, 12), (0, binary)):  # the later ones win: a half of a quarter is no tuplet
        if kind in (0, 3) or ticks_per_quarter >= 96:
            table[np.rint(np.arange(divisions + 1) * (ticks_per_quarter / divisions)).astype(np.int64)] = kind
    return table[:-1]


def _spread(errors: np.ndarray) -> list[float]:
    """Mean, 95th percentile and largest."""
    if not len(errors):
        return [0.0, 0.0, 0.0]
    return [_short(errors.mean()), _short(np.partition(errors, place := int(0.95 * (len(errors) - 1)))[place]), _short(errors.max())]


def _short(value: Any) -> float:
    """Four significant digits: the facts of a million files stay small."""
    return float(f"{float(value):.4g}")
