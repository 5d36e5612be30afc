"""Names of keys, scales and notes: what a person writes, as pitch classes 0..11 (C is 0) and MIDI numbers (C4 is 60)."""

import difflib
import re

from symbolic.errors import UsageError

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10, 11),  # with the leading tone, as music in minor has it
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "octatonic": (0, 1, 3, 4, 6, 7, 9, 10),
}
_NAME = re.compile(r"([A-Ga-g])([#b♯♭]*)")


def pitch_class(name: str) -> int:
    """0 for C, 1 for C# and Db, 10 for Bb. Raises `UsageError` for what is no note."""
    found = _NAME.fullmatch(name.strip())
    if not found:
        raise UsageError(f"{name!r} is no note; C, F# or Bb are wanted")
    letter, signs = found.groups()
    return (LETTERS[letter.upper()] + sum(1 if sign in "#♯" else -1 for sign in signs)) % 12


def parse_scale(text: str) -> tuple[int | None, frozenset[int]]:
    """Tonic and pitch classes of "D major", "A minor pentatonic", or of the notes "C, D, E, G" (then the tonic is None).

    Raises `UsageError` that lists the scales.
    """
    words = text.replace(",", " ").split()
    mode = " ".join(words[1:]).lower()
    if mode in MODES:
        tonic = pitch_class(words[0])
        return tonic, frozenset((tonic + step) % 12 for step in MODES[mode])
    if words and all(_NAME.fullmatch(word) for word in words):
        return None, frozenset(pitch_class(word) for word in words)
    near = difflib.get_close_matches(mode, MODES, n=1)
    hint = f"did you mean {words[0]} {near[0]}?" if near else f"a note and one of {', '.join(MODES)} is wanted, or notes such as C,D,E,G"
    raise UsageError(f"scale {text!r} is unknown; {hint}")


def parse_pitch(value: int | str) -> int:
    """A MIDI number 0..127 of 60, "60" or "C4". Raises `UsageError`."""
    text = str(value).strip()
    number = None
    if text.isdigit():
        number = int(text)
    elif found := re.fullmatch(r"([A-Ga-g])([#b♯♭]*)(-?\d)", text):
        letter, signs, octave = found.groups()
        number = LETTERS[letter.upper()] + sum(1 if sign in "#♯" else -1 for sign in signs) + 12 * (int(octave) + 1)
    if isinstance(value, bool) or number is None or not 0 <= number <= 127:
        raise UsageError(f"{value!r} is no pitch; a MIDI number from 0 to 127 is wanted, or a note such as C4 (60)")
    return number
