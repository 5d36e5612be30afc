"""Which program of General MIDI is played by which learned voice: the table `pretrained/voices/programs.yaml`, read and checked."""

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from symbolic.errors import InputError

SYNTHESIZER = "synthesizer"
SECTION_LANES = 6  # players of a section that sound at once, about: fewer to a note the more notes


@dataclass(frozen=True)
class LearnedProgram:
    """`voices` are pairs of a name and the highest MIDI pitch it plays, from the lowest up. See the table for the rest."""

    number: int
    voices: tuple[tuple[str, int], ...]
    players: int = 1
    level: float = 0.0
    attack: float = 1.0
    release: float = 1.0
    dynamics: float = 1.0

    def voice_of(self, pitch: int) -> str:
        """The voice that plays a MIDI pitch."""
        return next((name for name, highest in self.voices if pitch <= highest), self.voices[-1][0])

    def players_of(self, lanes: int) -> int:
        """How many players each of so many lanes has."""
        return 1 if self.players == 1 else max(2, min(self.players, SECTION_LANES // lanes))


@functools.cache
def learned_programs() -> dict[int, LearnedProgram]:
    """The programs that the table gives to learned voices. Raises `InputError` for a table that is none."""
    return {number: _program(number, entry) for number, entry in program_table().items() if entry.get("voices") != SYNTHESIZER}


@functools.cache
def struck_programs() -> dict[int, str]:
    """The names of the struck voices that play programs which are left to the synthesizer."""
    return {number: str(entry["struck"]) for number, entry in program_table().items() if "struck" in entry}


@functools.cache
def program_table() -> dict[int, dict[str, Any]]:
    """The table as it stands: an entry with `name` and `voices` for each of the 128 programs."""
    import yaml

    path = _path()
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error}); install the package again") from error
    if not isinstance(table, dict) or sorted(table) != list(range(128)):
        raise InputError(f"{path}: an entry for each program from 0 to 127 is wanted; install the package again")
    return table


def _path() -> Path:
    return Path(str(resources.files("symbolic.pretrained"))) / "voices" / "programs.yaml"


def _program(number: int, entry: dict[str, Any]) -> LearnedProgram:
    voices = entry["voices"] if isinstance(entry["voices"], dict) else {entry["voices"]: 127}
    more = {key: value for key, value in entry.items() if key not in ("name", "voices")}
    try:
        return LearnedProgram(number, tuple(voices.items()), **more)
    except TypeError as error:
        raise InputError(f"{_path()}: program {number}: {error}") from error
