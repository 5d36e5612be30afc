"""What a continuation must obey beyond the grammar, as a person says it: by flag, in YAML, or as this object.

All of it holds at once. What has no value is free, or as in the seed where the default says so.
Instruments are General MIDI numbers 0..127 or names ("violin"), and "drums"; a mapping may have the key "all".
Pitches are MIDI numbers or names, C4 is 60.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from symbolic.errors import UsageError
from symbolic.generation.scales import parse_pitch, parse_scale
from symbolic.midi.programs import PROGRAM_NAMES
from symbolic.settings import from_mapping, load_settings
from symbolic.tokenizers.automaton import DRUMS

SEED, FREE, KEPT, ALL = "seed", "free", "kept", "all"


@dataclass(frozen=True)
class Constraints:
    """Constraints of one continuation; impossible values raise `UsageError`."""

    programs: Any = SEED
    """Who may play: "seed" (those of the seed), "free" (all), or a list; listed ones that the seed lacks get new tracks."""
    never: Any = ()
    """Who may not play, a list."""
    ranges: Any = field(default_factory=dict)
    """Lowest and highest pitch of an instrument, such as {violin: [G3, E6], all: [36, 84]}; instead of its range in the seed."""
    scale: Any = None
    """"D major", "A minor pentatonic", "C, D, E, G", or "seed" for the seed's key; drums and noises have none."""
    scale_strength: float = 1.0
    """From 0 (free) to 1 (no other pitch): a pitch outside is (1 − strength) times as likely."""
    polyphony: Any = field(default_factory=dict)
    """How many notes of an instrument may sound at once, such as {violin: 1, all: 4}; one number is for all."""
    notes_per_beat: int | None = None
    """How many notes may begin in a beat of the meter, all instruments together."""
    max_repeat: int | None = None
    """How many new bars in a row may be exact repetitions of bars before them (velocities aside); 0 for none."""
    tempo: str = KEPT
    """"kept": the seed's last; "free": the model may change it."""
    meter: str = KEPT
    """"kept": the seed's last; "free": the model may change it."""
    velocity: str = FREE
    """"kept": each instrument uses only the velocities it has in the seed; "free"."""

    def __post_init__(self) -> None:
        """Names become numbers: the fields hold `SEED`, `FREE` or tuples of programs, and dicts by program (or `ALL`)."""
        if self.programs not in (SEED, FREE):
            self._set("programs", _programs(self.programs, "programs"))
        self._set("never", _programs(self.never, "never"))
        self._set("ranges", {_program(key, "ranges"): _range(value) for key, value in _mapping(self.ranges, "ranges").items()})
        limits = self.polyphony if isinstance(self.polyphony, Mapping) else {ALL: self.polyphony}
        self._set("polyphony", {_program(key, "polyphony"): _count(value, "polyphony", 1) for key, value in limits.items()})
        if self.scale is not None:
            text = self.scale if isinstance(self.scale, str) else ", ".join(str(note) for note in self.scale)
            if text != SEED:
                parse_scale(text)
            self._set("scale", text)
        if not 0 <= self.scale_strength <= 1:
            raise UsageError(f"scale strength is {self.scale_strength}; a number from 0 (free) to 1 (no other pitch) is wanted")
        for name, least in (("notes_per_beat", 1), ("max_repeat", 0)):
            if getattr(self, name) is not None:
                _count(getattr(self, name), name.replace("_", " "), least)
        for name in ("tempo", "meter", "velocity"):
            if getattr(self, name) not in (KEPT, FREE):
                raise UsageError(f"{name} is {getattr(self, name)!r}; {KEPT} or {FREE} is wanted")

    def of(self, values: Mapping[Any, Any], program: int) -> Any:
        """What a mapping by instrument says of `program`: its own value, or that of "all", or None. Drums have only their own."""
        return values.get(program, None if program == DRUMS else values.get(ALL))

    def told(self) -> dict[str, Any]:
        """The fields that are not as by default, in plain words and numbers, as YAML would have them."""
        result: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value == getattr(Constraints(), entry.name):
                continue
            if isinstance(value, tuple):
                value = [program_name(program) for program in value]
            elif isinstance(value, dict):
                value = {
                    ALL if key == ALL else program_name(key): list(part) if isinstance(part, tuple) else part for key, part in value.items()
                }
            result[entry.name] = value
        return result

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def make_constraints(given: "Constraints | Mapping[str, Any] | str | Path | None", **more: Any) -> Constraints:
    """Constraints from an object, a mapping, or a YAML file; `more` are fields that take the place of its own.

    Raises `InputError` that names the file and the field.
    """
    if given is None:
        found = Constraints()
    elif isinstance(given, Constraints):
        found = given
    elif isinstance(given, Mapping):
        found = from_mapping(Constraints, dict(given), "constraints")
    else:
        found = load_settings(Constraints, given)
    return replace(found, **more) if more else found


def by_instrument(texts: Sequence[str], name: str) -> dict[str, Any]:
    """{"violin": "G3-E6"} of ["violin:G3-E6"], and {"all": "4"} of ["4"]: how flags say what YAML says as a mapping."""
    result: dict[str, Any] = {}
    for text in texts:
        instrument, _, value = text.rpartition(":")
        if not value:
            raise UsageError(f"--{name} {text!r}: a value is missing, such as violin:{'G3-E6' if name == 'range' else '2'}")
        result[instrument or ALL] = value
    return result


def program_name(program: int) -> str:
    """ "Violin" for 40, "drums" for −1."""
    return "drums" if program == DRUMS else PROGRAM_NAMES[program]


def _program(value: Any, where: str) -> Any:
    text = str(value).strip().lower()
    if text == ALL and where in ("ranges", "polyphony"):
        return ALL
    if text in ("drums", str(DRUMS)):
        return DRUMS
    names = [name.lower() for name in PROGRAM_NAMES]
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names) and not isinstance(value, bool):
        return int(text)
    if text.isdigit():
        raise UsageError(f"{where}: the tokenizer knows no program {text}; 0 to 127 are wanted, a name such as violin, or drums")
    near = difflib.get_close_matches(text, [*names, "drums"], n=1) or [name for name in names if text and text in name][:1]
    hint = f"did you mean {near[0]}?" if near else "a General MIDI name such as violin is wanted, a number from 0 to 127, or drums"
    raise UsageError(f"{where}: no instrument is called {value!r}; {hint}")


def _programs(value: Any, where: str) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    if not isinstance(items, (list, tuple, set, frozenset)) or (where == "programs" and not items):
        raise UsageError(f"{where} is {value!r}; a list of instruments is wanted" + (", or seed, or free" if where == "programs" else ""))
    return tuple(sorted({_program(item, where) for item in items}))


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is {value!r}; instruments with values are wanted, such as {{violin: [G3, E6]}}")
    return value


def _range(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        found = re.fullmatch(r"(.+?)(?:-|\.\.)(.+)", value)
        value = found.groups() if found else value
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise UsageError(f"ranges: {value!r} is no range; the lowest and the highest pitch are wanted, such as G3-E6 or 55-88")
    low, high = (parse_pitch(part) for part in value)
    if low > high:
        raise UsageError(f"ranges: {value[0]} to {value[1]} is upside down; the lowest pitch comes first")
    return low, high


def _count(value: Any, name: str, least: int) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise UsageError(f"{name} is {value!r}; a whole number from {least} is wanted")
    return number
