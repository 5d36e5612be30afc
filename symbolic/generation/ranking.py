"""Which of several takes is best: how likely the model finds it, and how well its statistics fit the seed's.

Distances are from 0 (alike) to 1; of the seed its last 64 quarters are heard. Drums count for onsets only.
A take's place is the mean of two places, by nats per note and by the mean distance; of equal ones the nearer comes first, because a take
that runs on in one figure is likely and like nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.generation.likeness import LISTENED_QUARTERS
from symbolic.midi.programs import is_pitched

MOST_ONSETS = 12


@dataclass(frozen=True)
class Scores:
    """How a take does: `nats_per_note` of the model itself, and three distances from the seed."""

    nats_per_note: float
    pitch_classes: float
    """Half the sum of the differences between the shares of the twelve pitch classes."""
    onsets_per_beat: float
    """The same between the shares of quarter notes in which 0, 1, 2 … notes begin."""
    range: float
    """Mean difference of the lowest and highest pitch (5th and 95th percentile), in octaves, at most 1."""

    @property
    def distance(self) -> float:
        """The mean of the three distances."""
        return (self.pitch_classes + self.onsets_per_beat + self.range) / 3

    def told(self) -> dict[str, float]:
        """As it is written into files, rounded."""
        return {
            "nats_per_note": round(self.nats_per_note, 3), "pitch_class_distance": round(self.pitch_classes, 3),
            "onset_distance": round(self.onsets_per_beat, 3), "range_distance": round(self.range, 3), "distance": round(self.distance, 3),
        }  # fmt: skip


def score_take(longer: ScoreTick, start: int, stop: int, nats_per_note: float) -> Scores:
    """Scores of the notes from tick `start` to `stop`, beside those of the seed before `start`."""
    seed = _statistics(longer, max(0, start - LISTENED_QUARTERS * longer.ticks_per_quarter), start)
    take = _statistics(longer, start, stop)
    classes, onsets = (float(np.abs(one - other).sum() / 2) for one, other in zip(seed[:2], take[:2], strict=True))
    return Scores(nats_per_note, classes, onsets, float(min(1, np.abs(seed[2] - take[2]).mean() / 12)))


def best_first(scores: Sequence[Scores]) -> list[int]:
    """Indices of the takes, the best first."""
    likely = np.argsort(np.argsort([score.nats_per_note for score in scores], kind="stable"))
    fitting = np.argsort(np.argsort([score.distance for score in scores], kind="stable"))
    return sorted(range(len(scores)), key=lambda take: (likely[take] + fitting[take], fitting[take]))


def _statistics(score: ScoreTick, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of pitch classes (12,), shares of quarters by onsets (13,), and two percentiles of pitch, of the notes from `start`."""
    pitches, onsets = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)]
    for track in score.tracks:
        notes = track.notes.numpy()
        inside = (notes["time"] >= start) & (notes["time"] < stop)
        onsets.append(notes["time"][inside])
        if is_pitched(track):
            pitches.append(notes["pitch"][inside])
    heard = np.concatenate(pitches)
    classes = np.bincount(heard % 12, minlength=12) / max(len(heard), 1)
    quarters = max(1, -(-(stop - start) // score.ticks_per_quarter))
    beats = np.bincount((np.concatenate(onsets) - start) // score.ticks_per_quarter, minlength=quarters)
    shares = np.bincount(np.minimum(beats, MOST_ONSETS), minlength=MOST_ONSETS + 1) / len(beats)
    return classes, shares, np.percentile(heard, [5, 95]) if len(heard) else np.full(2, 60.0)
