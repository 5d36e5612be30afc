"""Humdrum's **kern as a score: spines of notes, line by line from the top.

A note's length stands in its token, so a line's time is the moment at which its notes follow those before them in their spines;
notes may cross bar lines, as they do in old music. Each **kern spine is a part, the last one (the highest) first.
Read by this project itself: music21 10.5 misplaces 15 of 24 scores of the Polish scores' collection, and others crash or lose the bars.
Source: the Humdrum user guide's chapters on **kern and on spine paths.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.bars import GRACE, VELOCITIES, Bar, Sound, before, score_of_bars
from symbolic.midi.seeds import DEFAULT_DYNAMIC
from symbolic.midi.unfolding import MOST_BARS, Signs, playing_order

LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
LONGEST = 64  # whole notes; a longer token is a slip
MOST_SPINES = 1000

# Humdrum's instrument codes as General MIDI programs
PROGRAMS = {
    "soprn": 52, "mezzo": 52, "alto": 52, "calto": 52, "tenor": 52, "barit": 52, "bass": 52, "vox": 52, "cantus": 52, "canto": 52,
    "violn": 40, "vioin": 40, "viola": 41, "cello": 42, "cbass": 43, "contr": 43, "violone": 43, "viole": 41, "gamba": 42,
    "flt": 73, "picco": 72, "oboe": 68, "corng": 69, "clars": 71, "clarp": 71, "clara": 71, "clarb": 71, "fagot": 70, "recor": 74,
    "cor": 60, "tromp": 56, "clrno": 56, "tromb": 57, "tuba": 58, "serp": 58, "timpa": 47, "harp": 46, "guitr": 24, "lute": 24,
    "piano": 0, "forte": 0, "fpiano": 0, "cemba": 6, "clavi": 7, "organ": 19, "bc": 42,
}  # fmt: skip

_LENGTH = re.compile(r"(\d+)(?:%(\d+))?(\.*)")
_PITCH = re.compile(r"([A-G]+|[a-g]+)([#\-]*)")


@dataclass
class _Part:
    name: str = ""
    program: int = 0
    group: str = ""
    velocity: int = VELOCITIES[DEFAULT_DYNAMIC]


@dataclass
class _Spine:
    """A column: notes of `part` (−1 for other kinds than **kern); `free` is the time, in quarters, at which its last note stops."""

    kind: str
    part: int = -1
    free: Fraction = Fraction(0)
    graces: list[list[Sound]] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.spines: list[_Spine] = []
        self.parts: list[_Part] = []
        self.dynamics: dict[int, str] = {}  # of a **dynam spine, by its identity: the group it belongs to
        self.bars: list[Bar] = []
        self.signs: list[Signs] = []
        self.bar_start = self.time = Fraction(0)
        self.sections: dict[str, int] = {}
        self.expansion: list[str] | None = None
        self.minor: bool | None = None
        self._open_bar()

    def read(self, text: str) -> None:
        for line in text.splitlines():
            if not line or line.startswith("!"):
                continue
            tokens = line.split("\t")
            if line.startswith("**"):
                self.spines = [self._new_spine(token) for token in tokens]
            elif line.startswith("*"):
                self._interpret(tokens)
            elif line.startswith("="):
                self._bar_line(tokens[0])
            else:
                self._data(tokens)
        self._close_bar(max([self.time, *(spine.free for spine in self.spines if spine.part >= 0)]))

    def _new_spine(self, token: str) -> _Spine:
        if token != "**kern":
            return _Spine(token)
        if len(self.parts) >= MOST_SPINES:
            raise InputError(f"more than {MOST_SPINES} spines in all")
        self.parts.append(_Part(group=f"spine {len(self.parts)}"))
        for bar in self.bars:
            bar.sounds.append([])
        return _Spine(token, len(self.parts) - 1, self.time)

    def _interpret(self, tokens: list[str]) -> None:
        """Spine paths and what holds from here on. A line of the wrong number of columns only says what its columns say."""
        if len(tokens) == len(self.spines) and any(token in ("*^", "*v", "*x", "*-", "*+") or token.startswith("**") for token in tokens):
            self._paths(tokens)
            return
        for token, spine in zip(tokens, self.spines, strict=False):
            part = self.parts[spine.part] if spine.part >= 0 else None
            if token.startswith("*>"):
                stated = re.fullmatch(r"\*>\[(.*)\]", token)
                if stated and self.expansion is None:
                    self.expansion = [name.strip() for name in stated[1].split(",")]
                elif "[" not in token:
                    self.sections.setdefault(token[2:], len(self.bars) - 1)
            elif token.startswith("*part"):
                if part is not None:
                    part.group = token
                self.dynamics[id(spine)] = token
            elif part is not None:
                self._tandem(token, part)

    def _tandem(self, token: str, part: _Part) -> None:
        bar = self.bars[-1]
        if token.startswith('*I"'):
            part.name = " ".join(token[3:].split()) or part.name
        elif token[:2] == "*I" and token[2:].rstrip("0123456789") in PROGRAMS:
            part.program = PROGRAMS[token[2:].rstrip("0123456789")]
        elif meter := re.fullmatch(r"\*M(\d{1,3})/(\d{1,2})", token):
            numerator, denominator = int(meter[1]), int(meter[2])
            if meter[2].strip("0") == "":  # in breves or longs
                numerator, denominator = numerator * 2 ** len(meter[2]), 1
            if 0 < numerator < 256 and denominator in (1, 2, 4, 8, 16, 32, 64):
                bar.meter = bar.meter or (numerator, denominator)
        elif re.fullmatch(r"\*k\[[a-g#\-]*\]", token):
            fifths = token.count("#") - token.count("-")
            bar.key = bar.key or (min(max(fifths, -7), 7), int(bool(self.minor)))
        elif re.fullmatch(r"\*[A-Ga-g][#\-]?:.*", token):
            self.minor = token[1].islower()
            if bar.key is not None:
                bar.key = (bar.key[0], int(self.minor))
        elif re.fullmatch(r"\*MM\d+(\.\d+)?", token) and 4 <= float(token[3:]) <= 2000:
            offset = self.time - self.bar_start
            if all(place != offset for place, _ in bar.tempos):
                bar.tempos.append((offset, float(token[3:])))

    def _paths(self, tokens: list[str]) -> None:
        made: list[_Spine] = []
        joined = crossed = None
        for token, spine in zip(tokens, self.spines, strict=True):
            if token == "*v" and joined is not None and joined.part == spine.part and joined.kind == spine.kind:
                joined.free = max(joined.free, spine.free)
                continue
            joined = None
            if token == "*-":
                continue
            if token.startswith("**"):
                spine = self._new_spine(token)
            made.append(spine)
            if token == "*^":
                made.append(_Spine(spine.kind, spine.part, spine.free))
            elif token == "*+":
                made.append(_Spine("new", free=self.time))
            elif token == "*v":
                joined = spine
            elif token == "*x":
                if crossed is None:
                    crossed = len(made) - 1
                else:
                    made[crossed], made[-1] = made[-1], made[crossed]
                    crossed = None
        if len(made) > MOST_SPINES:
            raise InputError(f"more than {MOST_SPINES} spines side by side")
        self.spines = made

    def _bar_line(self, token: str) -> None:
        later = [spine.free for spine in self.spines if spine.part >= 0 and spine.free > self.time]
        dots = re.sub(r"[^:|!]", "", token)
        self._close_bar(min(later, default=self.time), repeat_end=re.search(r":[|!]", dots) is not None)
        if re.search(r"[|!]:", dots):
            self.signs[-1].repeat_start = True

    def _close_bar(self, end: Fraction, repeat_end: bool = False) -> None:
        if end > self.bar_start:
            self.bars[-1].length = end - self.bar_start
            self.signs[-1].repeat_end = 2 * repeat_end
            self.bar_start = end
            self._open_bar()
        elif repeat_end and len(self.signs) > 1:
            self.signs[-2].repeat_end = 2

    def _open_bar(self) -> None:
        self.bars.append(Bar([[] for _ in self.parts]))
        self.signs.append(Signs())

    def _data(self, tokens: list[str]) -> None:
        notes = [(spine, token) for spine, token in zip(self.spines, tokens, strict=False) if spine.part >= 0 and token not in (".", "")]
        timed = [spine.free for spine, token in notes if "q" not in token.lower()]
        self.time = max([self.time, *timed])
        for spine, token in zip(self.spines, tokens, strict=False):
            if spine.kind == "**dynam" and (velocity := VELOCITIES.get(token.strip("[]<>() "))):
                self._set_velocity(spine, velocity)
        for spine, token in notes:
            sounds, duration = self._chord(token, self.parts[spine.part])
            bar = self.bars[-1]
            if "q" in token.lower():
                spine.graces.append(sounds)
                continue
            bar.sounds[spine.part] += before(spine.graces, self.time - self.bar_start)
            bar.sounds[spine.part] += sounds
            spine.graces = []
            spine.free = self.time + duration

    def _chord(self, token: str, part: _Part) -> tuple[list[Sound], Fraction]:
        """The notes of a token, `4c 4e [4g`, and the quarters it lasts."""
        sounds: list[Sound] = []
        duration = Fraction(0)
        grace = "q" in token.lower()
        for number, word in enumerate(token.split()):
            length = _LENGTH.search(word)
            own = _quarters(length) if length else duration
            duration = own if number == 0 else duration
            pitch = _PITCH.search(word)
            if pitch is None or "r" in word or (own <= 0 and not grace):
                continue
            height = _midi_pitch(pitch)
            if 0 <= height <= 127:
                starts, ends = not grace and ("[" in word or "_" in word), not grace and ("]" in word or "_" in word)
                onset = self.time - self.bar_start
                sounds.append(Sound(onset, GRACE if grace else own, height, part.velocity, part.program, starts, ends, grace))
        return sounds, duration

    def _set_velocity(self, spine: _Spine, velocity: int) -> None:
        """A mark of a **dynam spine holds for the parts of its group, or for the kern spine to its left."""
        group = self.dynamics.get(id(spine))
        if group is None or all(part.group != group for part in self.parts):
            left = [other.part for other in self.spines[: self.spines.index(spine)] if other.part >= 0]
            group = self.parts[left[-1]].group if left else None
        for part in self.parts:
            if part.group == group:
                part.velocity = velocity


def read_kern(text: str) -> tuple[ScoreTick, list[str]]:
    """The score, and plain phrases for what could not be taken as it is written. Raises `InputError` without a name in front."""
    reader = _Reader()
    reader.read(text)
    if not reader.parts:
        raise InputError("no **kern spine in it")
    bars, signs = reader.bars[:-1], reader.signs[:-1]
    order, remark = _order(reader, signs)
    meter = key = None
    for bar in bars:
        bar.sounds += [[] for _ in range(len(reader.parts) - len(bar.sounds))]
        bar.sounds.reverse()
        bar.meter, bar.key = meter, key = bar.meter or meter, bar.key or key
    score, left_out = score_of_bars([bars[index] for index in order], [part.name for part in reversed(reader.parts)])
    return score, [*([remark] if remark else []), *left_out]


def _order(reader: _Reader, signs: list[Signs]) -> tuple[list[int], str | None]:
    """The playing order by the file's own list, `*>[A,B,B]`, or by its repeat signs."""
    if reader.expansion is None or any(name not in reader.sections for name in reader.expansion):
        return playing_order(signs)
    borders = sorted({*reader.sections.values(), len(signs)})
    order: list[int] = []
    for name in reader.expansion[:1000]:
        start = reader.sections[name]
        order += range(start, next((border for border in borders if border > start), start))
        if len(order) > MOST_BARS:
            return playing_order(signs)[0], "its list of sections is endless and not followed"
    return order, None


def _quarters(length: re.Match[str]) -> Fraction:
    """Quarters of 4. (a dotted quarter), 0 (a breve), 3%2 (two thirds of a whole note): 3/2, 8, 8/3."""
    if length[1].strip("0") == "":
        whole = Fraction(2 ** min(len(length[1]), 3))
    else:
        whole = Fraction(int(length[2] or 1), int(length[1][:9])) if not length[2] or len(length[2]) < 9 else Fraction(0)
    dots = min(len(length[3]), 6)
    return min(whole, Fraction(LONGEST)) * 4 * (2 - Fraction(1, 2**dots))


def _midi_pitch(pitch: re.Match[str]) -> int:
    """c is 60, cc 72, C 48, CC 36; f# 66."""
    letters, accidentals = pitch[1], pitch[2]
    octaves = len(letters) - 1 if letters[0].islower() else -len(letters)
    return 60 + 12 * octaves + LETTERS[letters[0].lower()] + accidentals.count("#") - accidentals.count("-")
