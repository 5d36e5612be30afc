"""The notes of a part dealt to lanes, each of which plays one note at a time: a chord of violins is several violins.

A note goes to the free lane whose last note is nearest in pitch and time, and to a new lane when none is free. A player who begins a
note a little before the last one ends plays legato; what overlaps by more, or begins together, is a chord. No note is left out.
"""

from collections.abc import Sequence

from symbolic.rendering.performance import PlayedNote

LEGATO_SECONDS, LEGATO_SHARE = 0.12, 0.4  # an overlap up to both of these, the share of the shorter note, is legato
SEMITONES_A_SECOND = 6.0  # how a silent second weighs against a distance in pitch


def deal(notes: Sequence[PlayedNote]) -> list[list[PlayedNote]]:
    """The lanes in order of their first notes; notes are in order of their starts, and so they stay in each lane."""
    lanes: list[list[PlayedNote]] = []
    for note in notes:
        best, least = None, float("inf")
        for lane in lanes:
            last = lane[-1]
            if not follows(last, note):
                continue
            far = abs(note.pitch - last.pitch) + SEMITONES_A_SECOND * max(0.0, note.start - last.release)
            if far < least:
                best, least = lane, far
        if best is None:
            lanes.append([note])
        else:
            best.append(note)
    return lanes


def follows(last: PlayedNote, note: PlayedNote) -> bool:
    """Whether one player may play `note` after `last`."""
    overlap = last.release - note.start
    if overlap <= 1e-6:
        return note.start - last.start > 1e-6
    shorter = min(last.release - last.start, note.release - note.start)
    return overlap <= min(LEGATO_SECONDS, LEGATO_SHARE * shorter)
