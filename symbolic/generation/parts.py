"""Giving new notes to the seed's parts: the tokens know programs, a score has tracks.

When several parts share a program (three violins), the notes of each onset are dealt so that every part moves by the
smallest steps and no part has to sound two notes at once while another is free.
"""

import numpy as np
from symusic.core import NoteTick, NoteTickList, ScoreTick, TrackTick

from symbolic.midi.programs import PROGRAM_NAMES

BUSY = 128


def add_notes(score: ScoreTick, notes: dict[int, list[NoteTick]]) -> None:
    """Append `notes` (program → notes in ticks of `score`; −1 for drums) to the tracks of `score`, in place.

    A program that no track has gets a new one, named by General MIDI.
    """
    for program, new in sorted(notes.items()):
        parts = [track for track in score.tracks if (track.is_drum if program == -1 else not track.is_drum and track.program == program)]
        parts = [track for track in parts if len(track.notes)] or parts[:1]
        if not parts:
            name = "Drums" if program == -1 else PROGRAM_NAMES[program]
            score.tracks.append(TrackTick(name, max(program, 0), program == -1))
            parts = [score.tracks[-1]]
        for part, dealt in zip(parts, deal(new, [_last_pitch(track) for track in parts]), strict=True):
            part.notes.extend(NoteTickList(dealt))


def deal(notes: list[NoteTick], last_pitches: list[float]) -> list[list[NoteTick]]:
    """Notes dealt to len(last_pitches) parts, each list in order of time. A part's last pitch is where its line comes from."""
    parts: list[list[NoteTick]] = [[] for _ in last_pitches]
    pitch, free_at = list(last_pitches), [0] * len(last_pitches)
    for note in sorted(notes, key=lambda n: (n.time, -n.pitch)):
        cost = [abs(pitch[i] - note.pitch) + BUSY * (free_at[i] > note.time) for i in range(len(parts))]
        chosen = int(np.argmin(cost))
        parts[chosen].append(note)
        pitch[chosen], free_at[chosen] = note.pitch, max(free_at[chosen], note.time + note.duration)
    return parts


def _last_pitch(track: TrackTick) -> float:
    """Mean pitch of a part's last eight notes; 60 for an empty part."""
    pitches = track.notes.numpy()["pitch"][-8:]
    return float(pitches.mean()) if len(pitches) else 60.0
