"""The bundled seeds: music in the public domain, written as text that a musician can read and correct.

A seed is a file in `symbolic/pretrained/seeds`; the head of `canon.txt` explains the notation. In short::

    meter 4/4                      settings: meter, key, tempo (quarters a minute), bars, accents, off-beats
    line melody                    a line is written once, in bars that must add up to the meter
    mf F#5/4 E5 r/8 D5/8. C5/16 |  notes, rests and dynamics; a length holds until the next one in the same bar
    part Violin I                  a part is a track: which line it plays, from which bar, how loud, with which program
    plays melody
    enters 3

So a canon is one line and several entries, and a ground bass is one line that is `repeated`.
The notation has no chords, no ties over a bar line, no tuplets and no change of meter or tempo.

Units: ticks, 480 to the quarter; pitches are MIDI notes, C4 is 60; bars count from 1.
"""

import re
from dataclasses import dataclass, field
from importlib import resources

from symusic.core import KeySignatureTick, NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from symbolic.errors import InputError

TICKS_PER_QUARTER = 480
TICKS_PER_WHOLE = 4 * TICKS_PER_QUARTER
NOTE_VALUES = (1, 2, 4, 8, 16, 32, 64)
DYNAMICS = {"pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112}
DEFAULT_DYNAMIC = "mf"
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}

_TOKEN = re.compile(r"(?:(?P<rest>r)|(?P<letter>[A-G])(?P<accidental>[#b]?)(?P<octave>-?\d))(?:/(?P<value>\d+)(?P<dot>\.?))?")
_KEY = re.compile(r"([A-G])([#b]?) (major|minor)")
_SETTINGS = ("meter", "key", "tempo", "bars", "accents", "off-beats")
_PART_KEYS = ("program", "plays", "enters", "level")


def list_seeds() -> list[str]:
    """Names of the bundled seeds, in alphabetical order."""
    folder = resources.files("symbolic.pretrained") / "seeds"
    return sorted(entry.name.removesuffix(".txt") for entry in folder.iterdir() if entry.name.endswith(".txt"))


def load_seed(name: str = "canon") -> ScoreTick:
    """The bundled seed `name` as a score in ticks, 480 to the quarter.

    Raises `InputError` when there is no such seed.
    """
    names = list_seeds()
    if name not in names:
        raise InputError(f"{name}: there is no bundled seed of this name; choose one of: {', '.join(names)}")
    text = (resources.files("symbolic.pretrained") / "seeds" / f"{name}.txt").read_text(encoding="utf-8")
    return parse_seed(text, name)


def parse_seed(text: str, name: str) -> ScoreTick:
    """The score that `text` stands for; `name` is the seed's name in error messages.

    Raises `InputError` for any mistake, naming the seed, the place (line and bar of the music, or line of the file) and the token.
    """
    settings, lines, parts = _sections(text, name)
    score = ScoreTick(TICKS_PER_QUARTER)
    score.time_signatures.append(TimeSignatureTick(0, settings.beats, settings.beat_value))
    score.key_signatures.append(KeySignatureTick(0, settings.sharps, settings.minor))
    score.tempos.append(TempoTick(0, settings.tempo))
    played = {line: _parse_line(bars, settings, f"seed {name}, line {line}") for line, bars in lines.items()}
    for part in parts:
        if part.line not in played:
            choices = ", ".join(played) or "none is written"
            raise InputError(f"seed {name}, part {part.name}: plays the unknown line '{part.line}'; the lines are: {choices}")
        score.tracks.append(_play(part, played[part.line], settings, name))
    return score


@dataclass
class _Settings:
    beats: int = 4
    beat_value: int = 4
    sharps: int = 0
    minor: int = 0
    tempo: float = 120.0
    bars: int = 0
    accents: list[int] = field(default_factory=list)
    off_beats: int = 0

    @property
    def bar_ticks(self) -> int:
        return self.beats * TICKS_PER_WHOLE // self.beat_value


@dataclass
class _Part:
    name: str
    line: str = ""
    repeated: bool = False
    enters: int = 1
    level: int = 0
    program: int = 0


@dataclass
class _Line:
    notes: list[tuple[int, int, int, int]]  # onset in ticks, duration in ticks, pitch, velocity
    bars: int


def _sections(text: str, name: str) -> tuple[_Settings, dict[str, list[list[str]]], list[_Part]]:
    """Split a file into its settings, its lines (each a list of bars, each a list of tokens) and its parts."""
    settings = _Settings()
    lines: dict[str, list[list[str]]] = {}
    parts: list[_Part] = []
    bars: list[list[str]] | None = None
    for number, row in enumerate(text.splitlines(), start=1):
        place = f"seed {name}, line {number} of the file"
        word, _, rest = row.strip().partition(" ")
        rest = " ".join(rest.split())
        if not word or word.startswith("#"):
            continue
        if word in ("line", "part"):
            taken = lines if word == "line" else [part.name for part in parts]
            if not rest or rest in taken:
                raise InputError(f"{place}: '{word} {rest}' needs a name that is not taken yet")
            if word == "line":
                bars = lines[rest] = [[]]
            else:
                bars = None
                parts.append(_Part(rest))
        elif bars is not None:
            for token in row.split():
                if token == "|":
                    bars.append([])
                else:
                    bars[-1].append(token)
        elif parts:
            _set_part(parts[-1], word, rest, place)
        else:
            _set_setting(settings, word, rest, place)
    if settings.bars < 1:
        raise InputError(f"seed {name}: the setting 'bars' is missing; write for example 'bars 22'")
    if settings.accents and len(settings.accents) != settings.beats:
        raise InputError(f"seed {name}: {len(settings.accents)} accents for {settings.beats} beats in a bar; write one for each beat")
    if not parts:
        raise InputError(f"seed {name}: no part is written, so nothing would sound; add 'part NAME' and 'plays LINE'")
    return settings, lines, parts


def _set_setting(settings: _Settings, word: str, value: str, place: str) -> None:
    if word == "meter":
        beats, _, beat_value = value.partition("/")
        settings.beats = _integer(beats, 1, 64, f"{place}: 'meter {value}'")
        settings.beat_value = _integer(beat_value, 1, 64, f"{place}: 'meter {value}'")
        if settings.beat_value not in NOTE_VALUES:
            raise InputError(f"{place}: 'meter {value}' counts in /{beat_value}; choose one of: {', '.join(map(str, NOTE_VALUES))}")
    elif word == "key":
        match = _KEY.fullmatch(value)
        sharps = 0
        if match is not None:
            sharps = FIFTHS[match[1]] + 7 * ((match[2] == "#") - (match[2] == "b")) - 3 * (match[3] == "minor")
        if match is None or not -7 <= sharps <= 7:
            raise InputError(f"{place}: 'key {value}' is not a key with up to 7 sharps or flats; write for example 'key F# minor'")
        settings.sharps, settings.minor = sharps, int(match[3] == "minor")
    elif word == "tempo":
        settings.tempo = _integer(value, 10, 400, f"{place}: 'tempo {value}'")
    elif word == "bars":
        settings.bars = _integer(value, 1, 10_000, f"{place}: 'bars {value}'")
    elif word == "accents":
        settings.accents = [_integer(accent, -127, 127, f"{place}: 'accents {value}'") for accent in value.split()]
    elif word == "off-beats":
        settings.off_beats = _integer(value, -127, 127, f"{place}: 'off-beats {value}'")
    else:
        raise InputError(f"{place}: '{word}' is not a setting; choose one of: {', '.join(_SETTINGS)}, or open a line or a part")


def _set_part(part: _Part, word: str, value: str, place: str) -> None:
    if word == "plays":
        part.repeated = value.endswith(" repeated")
        part.line = value.removesuffix(" repeated")
    elif word == "enters":
        part.enters = _integer(value, 1, 10_000, f"{place}: 'enters {value}'")
    elif word == "level":
        part.level = _integer(value, -127, 127, f"{place}: 'level {value}'")
    elif word == "program":
        part.program = _integer(value, 0, 127, f"{place}: 'program {value}'")
    else:
        raise InputError(f"{place}: '{word}' is not known in a part; choose one of: {', '.join(_PART_KEYS)}")


def _integer(value: str, low: int, high: int, place: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", value) or not low <= int(value) <= high:
        raise InputError(f"{place}: '{value}' is not a whole number from {low} to {high}")
    return int(value)


def _parse_line(bars: list[list[str]], settings: _Settings, place: str) -> _Line:
    """Notes of a line with their onsets counted from its beginning; `bars` ends with what follows the last bar line: nothing."""
    *bars, remainder = bars
    if remainder:
        raise InputError(f"{place}, bar {len(bars) + 1}: no bar line '|' after the last token '{remainder[-1]}'")
    if not bars:
        raise InputError(f"{place}: has no bars")
    notes = []
    level = DYNAMICS[DEFAULT_DYNAMIC]
    for index, tokens in enumerate(bars):
        here = f"{place}, bar {index + 1}"
        duration = position = 0
        for token in tokens:
            if token in DYNAMICS:
                level = DYNAMICS[token]
                continue
            pitch, stated = _parse_token(token, here)
            duration = stated or duration
            if not duration:
                raise InputError(f"{here}: the first note '{token}' has no length; write for example '{token}/4'")
            if position + duration > settings.bar_ticks:
                raise InputError(f"{here}: '{token}' goes past the bar line, {_too_much(position + duration, settings)}")
            if pitch is not None:
                notes.append((index * settings.bar_ticks + position, duration, pitch, level + _accent(position, settings)))
            position += duration
        if position < settings.bar_ticks:
            last = f"after '{tokens[-1]}' the bar is too short" if tokens else "the bar '|' is empty"
            raise InputError(f"{here}: {last}, {_too_much(position, settings)}")
    return _Line(notes, len(bars))


def _parse_token(token: str, place: str) -> tuple[int | None, int]:
    """Pitch (None for a rest) and duration in ticks (0 when the token states none): 'F#5/8.' is (78, 360)."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        choices = f"write a note such as F#5 or Bb3/8., a rest r/4, a bar line | or one of {' '.join(DYNAMICS)}"
        raise InputError(f"{place}: unknown token '{token}'; {choices}")
    duration = 0
    if match["value"]:
        if int(match["value"]) not in NOTE_VALUES:
            choices = ", ".join(map(str, NOTE_VALUES))
            raise InputError(f"{place}: '{token}' has an unknown length; after the stroke stands one of: {choices}")
        duration = TICKS_PER_WHOLE // int(match["value"])
        duration += duration // 2 if match["dot"] else 0
    if match["rest"]:
        return None, duration
    accidental = (match["accidental"] == "#") - (match["accidental"] == "b")
    pitch = 12 * (int(match["octave"]) + 1) + LETTERS[match["letter"]] + accidental
    if not 0 <= pitch <= 127:
        raise InputError(f"{place}: '{token}' is outside the range of MIDI, C-1 to G9")
    return pitch, duration


def _accent(position: int, settings: _Settings) -> int:
    beat, off = divmod(position, TICKS_PER_WHOLE // settings.beat_value)
    if off:
        return settings.off_beats
    return settings.accents[beat] if settings.accents else 0


def _too_much(ticks: int, settings: _Settings) -> str:
    """How full a bar is, in words: '5 quarters instead of 4'."""
    return f"{ticks / TICKS_PER_QUARTER:g} quarters instead of {settings.bar_ticks / TICKS_PER_QUARTER:g}"


def _play(part: _Part, line: _Line, settings: _Settings, name: str) -> TrackTick:
    """A track that plays `line` from the part's entry on, cut at the end of the piece."""
    if part.enters > settings.bars:
        raise InputError(f"seed {name}, part {part.name}: enters in bar {part.enters}, after the last bar {settings.bars}")
    track = TrackTick(part.name, part.program, False)
    first = part.enters - 1
    last = settings.bars if part.repeated else min(settings.bars, first + line.bars)
    for start in range(first, last, line.bars):
        for onset, duration, pitch, velocity in line.notes:
            time = start * settings.bar_ticks + onset
            if time < settings.bars * settings.bar_ticks:
                track.notes.append(NoteTick(time, duration, pitch, min(max(velocity + part.level, 1), 127)))
    return track
