"""What a file's name says about the note in it, as sample libraries name their files: `violin_A4_05_forte_arco-normal.mp3`.

A note is a letter, perhaps a sharp (`#`, `s`, `♯`) or a flat (`b`, `♭`), and an octave, in which C4 is middle C; a dynamic is an Italian
word or its abbreviation, standing alone. What a name says is a claim: the sound tells whether it is true (see `phrases`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ALTERATIONS = {"": 0, "#": 1, "s": 1, "♯": 1, "b": -1, "♭": -1}
NOTE = re.compile(r"(?<![A-Za-z0-9#])([A-Ga-g])([#s♯b♭]?)(-1|\d)(?![0-9])")
DYNAMICS = {
    "molto-pianissimo": "ppp", "pianississimo": "ppp", "pianissimo": "pp", "piano": "p", "mezzo-piano": "mp", "mezzo-forte": "mf",
    "forte": "f", "fortissimo": "ff", "fortississimo": "fff", "crescendo": "cresc", "decrescendo": "decresc",
    "diminuendo": "decresc", "cresc-decresc": "cresc-decresc",
    "ppp": "ppp", "pp": "pp", "p": "p", "mp": "mp", "mf": "mf", "f": "f", "ff": "ff", "fff": "fff",
}  # fmt: skip


@dataclass(frozen=True)
class Label:
    """`note` is a MIDI number or None; `dynamic` is "" where none is named."""

    note: int | None
    dynamic: str


def label_of(path: Path) -> Label:
    """The label in a file's name; `violin_As4_1_mezzo-forte_arco-normal` → 70, "mf"."""
    found = NOTE.findall(path.stem)
    notes = {SEMITONES[letter.lower()] + ALTERATIONS[sign] + 12 * (int(octave) + 1) for letter, sign, octave in found}
    words = re.split(r"[_ .()]+", path.stem.lower())
    dynamics = [DYNAMICS[word] for word in words if word in DYNAMICS]
    # Two different notes in a name are no label of one note.
    return Label(notes.pop() if len(notes) == 1 else None, dynamics[0] if dynamics else "")


def note_name(note: int) -> str:
    """70 → "A#4"."""
    return f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[note % 12]}{note // 12 - 1}"
