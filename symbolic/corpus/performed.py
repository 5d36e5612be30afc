"""Performed music told apart from scores by its onsets.

A player never strikes two notes at exactly the same place of the beat; a notated or sequenced part does all the time.
So each onset of a part is compared with the `AHEAD` onsets after it, by their places within the quarter note:
of the pairs that lie near each other (within 1/32 of a quarter), how many lie on the same tick? In scores nearly all
do, also where tuplets, grace notes or a delayed file put the whole passage beside the grid; in performances few do.
The share is the *sameness* of the part. Chords do not count: each part's onset is taken once.
Example at 480 ticks a quarter: places 0, 240, 0, 160 have one near pair, on the same tick: sameness 1.
Places 3, 236, 496, 170 have the one near pair 3 and 16 (496 - 480), on different ticks: sameness 0.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from symbolic.corpus.notes import Notes

AHEAD = 16
MOST_ONSETS = 10_000
NEAR = 32  # 1/32 of a quarter note
SAME = 0.6
"""Below this sameness a part is performed: the value that separates played drums from scores (docs/report.md)."""
FEW_PAIRS = 8


def sameness(notes: Notes, ticks_per_quarter: int) -> tuple[float, float]:
    """How alike the places of onsets in the beat are, and which share of the notes is on performed parts; both 0 to 1.

    Parts with fewer than `FEW_PAIRS` near pairs are judged with all others together; where even these are too few, by
    whether most onsets are on a grid of 32nds and triplets. Of very long files `MOST_ONSETS` onsets are looked at.
    """
    if not len(notes):
        return 1.0, 0.0
    span = int(notes.onset.max()) + 1
    events = np.sort(notes.track * span + np.maximum(notes.onset, 0))
    events = events[np.r_[True, events[1:] != events[:-1]]]
    part, tick = np.divmod(events, span)
    place = tick % ticks_per_quarter
    ahead_place = sliding_window_view(np.pad(place.astype(np.int32), (0, AHEAD)), AHEAD + 1)
    ahead_part = sliding_window_view(np.pad(part.astype(np.int32), (0, AHEAD), constant_values=-1), AHEAD + 1)
    if len(events) > MOST_ONSETS:
        chosen = np.linspace(0, len(events) - 1, MOST_ONSETS).astype(int)
        ahead_place, ahead_part = ahead_place[chosen], ahead_part[chosen]
    distance = np.abs(ahead_place[:, 1:] - ahead_place[:, :1])
    near_by = max(1, ticks_per_quarter // NEAR)
    near = ((distance <= near_by) | (distance >= ticks_per_quarter - near_by)) & (ahead_part[:, 1:] == ahead_part[:, :1])
    owner = np.repeat(ahead_part[:, 0], np.count_nonzero(near, axis=1))
    same = distance[near] == 0
    parts = int(notes.track.max()) + 1
    near_pairs, same_pairs = np.bincount(owner, minlength=parts), np.bincount(owner, weights=same, minlength=parts)
    enough = near_pairs.sum() >= FEW_PAIRS
    overall = float(same_pairs.sum() / near_pairs.sum()) if enough else on_grid(place, ticks_per_quarter, (8, 12))
    per_part = np.where(near_pairs >= FEW_PAIRS, same_pairs / np.maximum(near_pairs, 1), overall)
    counts = np.bincount(notes.track, minlength=parts)
    return overall, float(counts[per_part < SAME].sum() / len(notes))


def on_grid(onsets: np.ndarray, ticks_per_quarter: int, divisions: tuple[int, ...]) -> float:
    """Share of onsets on a division of the quarter note into any of `divisions` equal parts, to the nearest tick."""
    places = np.unique(np.concatenate([np.rint(np.arange(d + 1) * (ticks_per_quarter / d)) for d in divisions]).astype(np.int64))
    table = np.zeros(ticks_per_quarter + 1, dtype=bool)
    table[places] = True
    return float(table[onsets % ticks_per_quarter].mean()) if len(onsets) else 1.0
