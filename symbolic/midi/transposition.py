"""Transposing a score by semitones: drums and noises stay, key signatures move along.

Which programs are noises: `symbolic.midi.programs.UNPITCHED_PROGRAMS`.
"""

from symusic.core import KeySignatureTick, KeySignatureTickList, ScoreTick

from symbolic.errors import InputError
from symbolic.midi.keys import Key
from symbolic.midi.programs import is_pitched

CANONICAL_TONICS = {"major": 0, "minor": 9}


def transpose(score: ScoreTick, semitones: int) -> ScoreTick:
    """A copy `semitones` higher (lower when negative). Raises `InputError` when a note would leave MIDI's 0..127."""
    low, high = pitch_bounds(score)
    if high >= low and not 0 <= low + semitones <= high + semitones <= 127:
        possible = f"{-low}..{127 - high:+d} is possible"
        raise InputError(f"transposing by {semitones:+d} would move pitches {low}..{high} out of 0..127; {possible}")
    moved = score.copy()
    for track in moved.tracks:
        if is_pitched(track):
            track.shift_pitch(semitones, inplace=True)
    moved.key_signatures = KeySignatureTickList(
        [KeySignatureTick(s.time, fifths_after(s.key, semitones), s.tonality) for s in score.key_signatures]
    )
    return moved


def pitch_bounds(score: ScoreTick) -> tuple[int, int]:
    """Lowest and highest pitch of all tracks that transposing moves; (128, -1) when there is none."""
    pitches = [track.notes.numpy()["pitch"] for track in score.tracks if len(track.notes) and is_pitched(track)]
    return min((int(p.min()) for p in pitches), default=128), max((int(p.max()) for p in pitches), default=-1)


def canonical_shift(key: Key, low: int, high: int) -> int | None:
    """Semitones from `key` to C major or A minor: the one in -6..5 or, where pitches `low`..`high` leave 0..127, an octave from it.

    None when neither fits. Example: D major is moved by -2; if it reaches down to pitch 1, by +10.
    """
    tonic, mode = key
    nearest = (CANONICAL_TONICS[mode] - tonic + 6) % 12 - 6
    return next((shift for shift in (nearest, nearest - 12, nearest + 12) if 0 <= low + shift <= high + shift <= 127), None)


def fifths_after(fifths: int, semitones: int) -> int:
    """Sharps (positive) or flats of a key moved by semitones, spelt with at most six: D (2) up 2 is E (4).

    Whole octaves leave the spelling: C flat major (-7) stays.
    """
    if semitones % 12 == 0:
        return fifths
    return (fifths + 7 * semitones + 5) % 12 - 5
