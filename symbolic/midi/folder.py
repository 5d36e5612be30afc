"""A folder of music: which files it holds."""

from pathlib import Path

from symbolic.errors import InputError
from symbolic.midi.reading import MIDI_SUFFIXES


def music_files(folder: str | Path) -> list[Path]:
    """All MIDI files below `folder`, sorted. Raises `InputError` when there is no such folder or no music in it."""
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; check the spelling")
    if not folder.is_dir():
        raise InputError(f"{folder}: this is a file, a folder of MIDI files is wanted")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"{folder}: no music in it; files ending in {', '.join(MIDI_SUFFIXES)} are looked for, in folders below it too")
    return found
