"""The notes of a score as flat arrays, and its ticks as seconds: what the examination of a file reckons with.

Units: ticks (int64), quarter notes (float64), seconds. Drums have the program -1.
"""

from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

DRUMS = -1
DEFAULT_SECONDS_PER_QUARTER = 0.5  # MIDI's own: 120 quarter notes a minute


@dataclass(frozen=True)
class Notes:
    """All notes of a score, track by track in the order of the file; every array has the shape (notes,)."""

    program: np.ndarray
    pitch: np.ndarray
    onset: np.ndarray
    duration: np.ndarray
    velocity: np.ndarray
    track: np.ndarray

    def __len__(self) -> int:
        return len(self.pitch)


def notes_of(score: ScoreTick) -> Notes:
    """The notes of `score`; `track` counts the tracks that have notes."""
    tracks = [(track, track.notes.numpy()) for track in score.tracks if len(track.notes)]
    counts = [len(notes["time"]) for _, notes in tracks]

    def joined(field: str) -> np.ndarray:
        return np.concatenate([notes[field] for _, notes in tracks] or [np.zeros(0)]).astype(np.int64)

    return Notes(
        program=np.repeat(np.array([DRUMS if track.is_drum else track.program for track, _ in tracks], dtype=np.int64), counts),
        pitch=joined("pitch"),
        onset=joined("time"),
        duration=joined("duration"),
        velocity=joined("velocity"),
        track=np.repeat(np.arange(len(tracks)), counts),
    )


@dataclass(frozen=True)
class TempoMap:
    """The tempi of a score: from `quarters[i]` on, a quarter note lasts `seconds_per_quarter[i]`; `seconds[i]` is the time there."""

    quarters: np.ndarray
    seconds_per_quarter: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of(cls, score: ScoreTick) -> "TempoMap":
        """The tempo map of a score; 120 quarter notes a minute until the first tempo event."""
        events = score.tempos.numpy()
        order = np.argsort(events["time"], kind="stable")
        quarters = np.maximum(events["time"][order], 0) / score.ticks_per_quarter
        lengths = np.maximum(events["mspq"][order], 1) / 1e6
        last = np.r_[np.diff(quarters) > 0, True][: len(quarters)]  # of several at one place the last counts
        quarters, lengths = quarters[last], lengths[last]
        if not len(quarters) or quarters[0] > 0:
            quarters, lengths = np.r_[0.0, quarters], np.r_[DEFAULT_SECONDS_PER_QUARTER, lengths]
        return cls(quarters, lengths, np.r_[0.0, np.cumsum(np.diff(quarters) * lengths[:-1])])

    def at(self, quarters: np.ndarray) -> np.ndarray:
        """Seconds a quarter note lasts at each of `quarters`."""
        return self.seconds_per_quarter[self._sections(quarters)]

    def seconds_at(self, quarters: np.ndarray) -> np.ndarray:
        """Seconds from the beginning to each of `quarters`."""
        sections = self._sections(quarters)
        return self.seconds[sections] + (quarters - self.quarters[sections]) * self.seconds_per_quarter[sections]

    def _sections(self, quarters: np.ndarray) -> np.ndarray:
        return np.maximum(np.searchsorted(self.quarters, quarters, side="right") - 1, 0)
