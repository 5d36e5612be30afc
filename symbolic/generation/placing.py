"""Notes written inside a score, put on tracks: a file must tell them from the notes that are there.

A MIDI file says that a pitch stops, not which of its notes, so no pitch is struck on a track while it sounds there. A new note takes
another track of its program, or cuts a new one before it; beside a given note that sounds on, it stands on a track of its own.
Units: ticks of the score.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from symusic.core import NoteTick, NoteTickList, ScoreTick, TrackTick

from symbolic.generation.parts import BUSY
from symbolic.midi.programs import PROGRAM_NAMES
from symbolic.tokenizers.automaton import DRUMS

BLOCKED, ELSEWHERE = 10**6, 10**4  # costs beside which those of a leap are small
LATEST_NOTES = 8


@dataclass
class _Part:
    """A track; of each pitch, (onset, end) of the notes that are there; and what it gets."""

    track: TrackTick
    number: int
    pitch: float
    given: dict[int, list[tuple[int, int]]]
    free_at: int = 0
    new: dict[int, list[NoteTick]] = field(default_factory=lambda: defaultdict(list))

    def blocked(self, note: NoteTick, lengths_stay: bool) -> bool:
        """Whether the note cannot stand here, even if new ones are cut."""
        given, last = self.given.get(note.pitch, []), self.new[note.pitch][-1:]
        if lengths_stay:
            return any(onset < note.end and note.time < end for onset, end in [*given, *((n.time, n.end) for n in last)])
        return any(onset <= note.time < end for onset, end in given) or any(n.time == note.time for n in last)

    def take(self, note: NoteTick) -> None:
        """Add the note, cut where a given one of its pitch begins; a new one that still sounds there ends."""
        later = [onset - note.time for onset, _ in self.given.get(note.pitch, []) if onset > note.time]
        note.duration = min([note.duration, *later])
        for last in self.new[note.pitch][-1:]:
            last.duration = min(last.duration, note.time - last.time)
        self.new[note.pitch].append(note)
        self.pitch, self.free_at = note.pitch, max(self.free_at, note.end)


def place_notes(score: ScoreTick, notes: dict[int, list[tuple[NoteTick, int | None]]], *, lengths_stay: bool) -> None:
    """Add new notes to `score`, in place: by program (−1 for drums), each with the number of its track, or None for the nearest line.

    With `lengths_stay` no note is cut. A program without a track gets one, named by General MIDI. Notes of all tracks are sorted.
    """
    for program, new in sorted(notes.items()):
        start = min((note.time for note, _ in new), default=0)
        numbers = [n for n, track in enumerate(score.tracks) if (DRUMS if track.is_drum else track.program) == program]
        hinted = {number for _, number in new}
        numbers = [number for number in numbers if len(score.tracks[number].notes) or number in hinted] or numbers[:1]
        parts = [_part(score, number, start) for number in numbers] or [_further(score, program)]
        for note, number in sorted(new, key=lambda pair: (pair[0].time, -pair[0].pitch)):
            costs = [
                abs(part.pitch - note.pitch) + BUSY * (part.free_at > note.time) + ELSEWHERE * (number not in (None, part.number))
                + BLOCKED * part.blocked(note, lengths_stay)
                for part in parts
            ]  # fmt: skip
            if min(costs) >= BLOCKED:
                parts.append(_further(score, program))
                costs.append(0)
            parts[int(np.argmin(costs))].take(note)
        for part in parts:
            part.track.notes.extend(NoteTickList([note for line in part.new.values() for note in line]))
    for track in score.tracks:
        track.notes.sort(inplace=True)


def _part(score: ScoreTick, number: int, start: int) -> _Part:
    """A track that is there; its line comes from its last notes before `start`, or else from its first ones."""
    track = score.tracks[number]
    notes = track.notes.numpy()
    given = defaultdict[int, list[tuple[int, int]]](list)
    for onset, duration, pitch in zip(notes["time"].tolist(), notes["duration"].tolist(), notes["pitch"].tolist(), strict=True):
        given[pitch].append((onset, onset + max(1, duration)))
    before = notes["pitch"][notes["time"] < start][-LATEST_NOTES:]
    near = before if len(before) else notes["pitch"][:LATEST_NOTES]
    return _Part(track, number, float(near.mean()) if len(near) else 60.0, given)


def _further(score: ScoreTick, program: int) -> _Part:
    """A new track of a program."""
    name = "Drums" if program == DRUMS else PROGRAM_NAMES[program]
    score.tracks.append(TrackTick(name, max(program, 0), program == DRUMS))
    return _Part(score.tracks[-1], len(score.tracks) - 1, 60.0, {})
