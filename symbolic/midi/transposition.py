"""Transposing a score by semitones: drums stay, key signatures move along."""

from symusic.core import KeySignatureTick, KeySignatureTickList, ScoreTick

from symbolic.errors import InputError


def transpose(score: ScoreTick, semitones: int) -> ScoreTick:
    """A copy `semitones` higher (lower when negative). Raises `InputError` when a note would leave MIDI's 0..127."""
    low, high = pitch_bounds(score)
    if high >= low and not 0 <= low + semitones <= high + semitones <= 127:
        possible = f"{-low}..{127 - high:+d} is possible"
        raise InputError(f"transposing by {semitones:+d} would move pitches {low}..{high} out of 0..127; {possible}")
    moved = score.copy()
    for track in moved.tracks:
        if not track.is_drum:
            track.shift_pitch(semitones, inplace=True)
    moved.key_signatures = KeySignatureTickList(
        [KeySignatureTick(s.time, fifths_after(s.key, semitones), s.tonality) for s in score.key_signatures]
    )
    return moved


def pitch_bounds(score: ScoreTick) -> tuple[int, int]:
    """Lowest and highest pitch of all tracks but drums; (128, -1) when there is none."""
    pitches = [track.notes.numpy()["pitch"] for track in score.tracks if not track.is_drum and len(track.notes)]
    return min((int(p.min()) for p in pitches), default=128), max((int(p.max()) for p in pitches), default=-1)


def fifths_after(fifths: int, semitones: int) -> int:
    """Sharps (positive) or flats of a key moved by semitones, spelt with at most six: D (2) up 2 is E (4).

    Whole octaves leave the spelling: C flat major (-7) stays.
    """
    if semitones % 12 == 0:
        return fifths
    return (fifths + 7 * semitones + 5) % 12 - 5
