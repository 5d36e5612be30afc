"""ABC as a score: one tune, voice by voice, bar by bar.

Times inside are quarters. Read: voices in any order (`V:`, `[V:]`), overlays (`&`), tuplets, broken rhythm, ties, chords, grace
notes, rests of many bars, repeats, endings, D.C. and D.S., the order of parts (`P:AABA`), changes of meter, key, length and tempo,
clefs of an octave, transposition, `%%MIDI program`. An accidental holds for its letter in all octaves up to the bar line.
Read by this project itself: music21 10.5 plays voices that alternate one beside the other, loses invisible rests (x) and those of many
bars (Z), overlays, D.C. and the numbers of tuplets, and fails without a meter.
Source: the ABC standard 2.1.
"""

import re
from fractions import Fraction

from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.abc_fields import Voice, parts_in_order
from symbolic.midi.bars import GRACE, VELOCITIES, Bar, Sound, before, score_of_bars
from symbolic.midi.repeat_signs import WORDS
from symbolic.midi.unfolding import MOST_BARS, Signs, playing_order

LARGEST = 4 * 2**20  # characters of one tune
LONGEST = Fraction(256)  # quarters of one note; a longer one is a slip
DECORATIONS = {
    "segno": "segno", "coda": "coda", "fine": "fine", "D.C.": "da_capo", "D.S.": "dal_segno", "dacapo": "da_capo", "dacoda": "to_coda",
}  # fmt: skip

_BODY_FIELD = re.compile(r"([KLMPQVINRTUWmrsw+]):(.*)")
_HEADER_FIELD = re.compile(r"([A-Za-z+]):(.*)")
_INLINE = re.compile(r"\[([KLMPQVINRUmr]):([^\]]*)\]")
_NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)")
_LENGTH = re.compile(r"(\d*)(/*)(?:(?<=/)(\d+))?")
_BAR_LINE = re.compile(r"(?:\[\||[|:])[|:\]]*|\]")
_ENDING = re.compile(r"\s*\[?(\d[\d,.\-]*)")
_TUPLET = re.compile(r"\((\d{1,2})(?::(\d{0,2}))?(?::(\d{0,2}))?")
_DECORATION = re.compile(r"!([^!|]{1,40})!|\+([^+|\s]{2,40})\+")
_BROKEN = re.compile(r"[\s)`]*(>+|<+)")
_SKIPPED = re.compile(r"y\d*|[\s\\`$*()~.H-Wh-w@;?!-]")


def read_abc(text: str) -> tuple[ScoreTick, list[str]]:
    """The score, and plain phrases for what could not be taken as it is written. Raises `InputError` without a name in front."""
    if len(text) > LARGEST:
        raise InputError(f"a tune of {len(text):,} characters; at most {LARGEST:,} are read")
    reader = _Reader()
    reader.read(text)
    voices = [voice for voice in reader.voices.values() if voice.bars]
    if not voices:
        raise InputError("no notes in it")
    bars, signs = _side_by_side(voices)
    order, remark = reader.order(signs)
    remarks = [remark] if remark else []
    if reader.left_out:
        remarks.append(f"characters that mean nothing in ABC left out: {reader.left_out}")
    score, lost = score_of_bars([bars[index] for index in order], [voice.name for voice in voices])
    return score, remarks + lost


class _Reader:
    def __init__(self) -> None:
        self.header = Voice()
        self.voices: dict[str, Voice] = {}
        self.voice: Voice | None = None
        self.in_body = False
        self.parts = ""
        self.sections: dict[str, int] = {}
        self.left_out = self.rest_bars = 0

    def read(self, text: str) -> None:
        after_gap = False
        for line in text.splitlines():
            if line.startswith("%%MIDI"):
                self._midi(line[6:])
                continue
            line = re.sub(r"(?<!\\)%.*", "", line).rstrip()
            found = (_BODY_FIELD if self.in_body else _HEADER_FIELD).match(line)
            if found:
                self._field(found[1], found[2].strip())
            elif not line:
                after_gap = self.in_body
            elif self.in_body and (not after_gap or "|" in line):  # an empty line ends the tune, and words may follow it
                self._music(line)
        for voice in self.voices.values():
            if voice.bars:
                _end(voice)

    def order(self, signs: list[Signs]) -> tuple[list[int], str | None]:
        """The playing order: of the parts, where the header gives one, and in each by its repeat signs."""
        letters = parts_in_order(self.parts)
        if not letters or any(letter not in self.sections for letter in letters):
            return playing_order(signs)
        borders = sorted({*self.sections.values(), len(signs)})
        order: list[int] = []
        for letter in letters:
            start = self.sections[letter]
            end = next((border for border in borders if border > start), start)
            order += [start + index for index in playing_order(signs[start:end])[0]]
            if len(order) > MOST_BARS:
                raise InputError(f"its parts are more than {MOST_BARS:,} bars when played")
        return order, None

    def _field(self, letter: str, value: str) -> None:
        if letter == "V":
            self._choose(value)
        elif letter == "P" and not self.in_body:
            self.parts = value
        elif letter == "P" and value:
            self.sections.setdefault(value[0], len(self._now().bars) - 1)
        elif letter == "I" and value.startswith("MIDI"):
            self._midi(value[4:].lstrip(" ="))
        elif letter == "M":
            self._now().set_meter(value)
        elif letter == "L":
            self._now().set_unit(value)
        elif letter == "Q":
            self._now().set_tempo(value)
        elif letter == "K":
            self._now().set_key(value)
            self.in_body = True

    def _choose(self, value: str) -> None:
        """Go on with a voice, and take what its field says about it."""
        name, _, rest = value.partition(" ")
        voice = self.voices.setdefault(name, Voice())
        if said := re.search(r'\b(?:name|nm)="([^"]*)"', rest) or re.search(r"\b(?:name|nm)=(\S+)", rest):
            voice.name = " ".join(said[1].replace("\\n", " ").split())
        voice.set_clef(rest)
        if self.in_body:
            self.voice = voice

    def _now(self) -> Voice:
        """What a line speaks of: the header, then the voice that is being read, or the only one where no `V:` stands."""
        if not self.in_body:
            return self.header
        if self.voice is None:
            self.voice = next(iter(self.voices.values())) if self.voices else self.voices.setdefault("", Voice())
        if not self.voice.bars:
            self.voice.begin(self.header)
        return self.voice

    def _midi(self, words: str) -> None:
        if found := re.fullmatch(r"\s*program\s+(?:\d+\s+)?(\d{1,3})\s*", words):
            self._now().program = min(int(found[1]), 127)
        elif found := re.fullmatch(r"\s*channel\s+(\d{1,2})\s*", words):
            self._now().program = -1 if int(found[1]) == 10 else max(self._now().program, 0)
        elif found := re.fullmatch(r"\s*transpose\s+(-?\d{1,2})\s*", words):
            self._now().shift = int(found[1])

    def _music(self, line: str) -> None:
        at = 0
        while at < len(line):
            at = self._symbol(self._now(), line, at)

    def _symbol(self, voice: Voice, line: str, at: int) -> int:
        """Take what stands at a place of a line; gives the place behind it."""
        character = line[at]
        if found := _INLINE.match(line, at):
            self._field(found[1], found[2].strip())
        elif found := _BAR_LINE.match(line, at):
            return _bar_line(voice, found[0], line, found.end())
        elif character == "[" and (found := _ENDING.match(line, at)):
            voice.begin_ending(found[1])
        elif found := _TUPLET.match(line, at):
            voice.set_tuplet(int(found[1]), int(found[2] or 0), int(found[3] or 0))
        elif found := re.compile(r"\{([^}]*)\}?").match(line, at):
            _graces(voice, found[1])
        elif found := re.compile(r'"([^"]*)"?').match(line, at):
            _words(voice, found[1])
        elif found := _DECORATION.match(line, at):
            _decoration(voice, (found[1] or found[2]).strip())
        elif character in "ZX" and (found := re.compile(r"[ZX](\d{0,6})").match(line, at)):
            self.rest_bars += int(found[1] or 1)
            if self.rest_bars > MOST_BARS:
                raise InputError(f"rests of more than {MOST_BARS:,} bars")
            _rest_bars(voice, int(found[1] or 1))
        elif character in "[zx" or _NOTE.match(line, at):
            return _note(voice, line, at)
        elif character == "&":
            voice.longest, voice.time = max(voice.longest, voice.time), Fraction(0)
            return at + 1
        else:
            found = _SKIPPED.match(line, at)
            voice.signs[-1].segno |= character == "S"
            voice.signs[-1].coda |= character == "O"
            self.left_out += found is None
        return found.end() if found else at + 1


def _note(voice: Voice, line: str, at: int) -> int:
    """Take a note, a chord or a rest, with its length, its tie and the broken rhythm behind it."""
    heights: list[tuple[str, int, Fraction, bool]] = []
    own = Fraction(1)
    if line[at] == "[":
        at += 1
        while at < len(line) and line[at] != "]":
            found = _NOTE.match(line, at) or _DECORATION.match(line, at)
            at = found.end() if found else at + 1
            if found and found.re is _NOTE:
                length, at = _length(line, at)
                heights.append((*voice.height(*found.groups()), length, line[at : at + 1] == "-"))
        at += 1
        if not heights:
            return at
        own = heights[0][2]
    elif found := _NOTE.match(line, at):
        heights.append((*voice.height(*found.groups()), Fraction(1), False))
        at = found.end()
    else:
        at += 1
    outer, at = _length(line, at)
    tied = line[at : at + 1] == "-"
    factor = voice.unit * outer * voice.broken
    voice.broken = Fraction(1)
    if broken := _BROKEN.match(line, at):
        at = broken.end()
        short = Fraction(1, 2 ** min(len(broken[1]), 4))
        mine, voice.broken = (2 - short, short) if broken[1][0] == ">" else (short, 2 - short)
        factor *= mine
    scale, left = voice.tuplet
    if left > 0:
        factor *= scale
        voice.tuplet = (scale, left - 1)
    _strike(voice, [(name, pitch, min(length * factor, LONGEST), tie or tied) for name, pitch, length, tie in heights])
    voice.time += min(own * factor, LONGEST)
    return at


def _length(line: str, at: int) -> tuple[Fraction, int]:
    """The number behind a note and the place behind it: 3 is 3, / a half, // a quarter, 3/2 and 0 what they say."""
    found = _LENGTH.match(line, at)
    assert found is not None  # it matches nothing at all, too
    upper, slashes, lower = found.groups("")
    divisor = int(lower[:4]) if slashes and lower else 2 ** min(len(slashes), 8)
    return Fraction(int(upper[:4] or 1), divisor or 1), found.end()


def _strike(voice: Voice, notes: list[tuple[str, int, Fraction, bool]]) -> None:
    """Put notes of one onset, (name, pitch, quarters, whether a tie begins), into the open bar, behind their grace notes."""
    sounds = voice.bars[-1].sounds[0]
    sounds += before(voice.graces, voice.time)
    ties, voice.ties, voice.graces = voice.ties, {}, []
    for name, pitch, length, tied in notes:
        if 0 <= pitch <= 127 and length > 0:
            sounds.append(Sound(voice.time, length, pitch, voice.velocity, voice.program, tied, ties.get(name) == pitch))
        if tied:
            voice.ties[name] = pitch


def _graces(voice: Voice, inside: str) -> None:
    for word in re.finditer(r"\[[^\]]*\]|(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*", inside):
        pitches = [voice.height(*found.groups())[1] for found in _NOTE.finditer(word[0])]
        voice.graces.append([Sound(0, GRACE, p, voice.velocity, voice.program, grace=True) for p in pitches if 0 <= p <= 127])


def _rest_bars(voice: Voice, count: int) -> None:
    """Rests of many bars, `Z4`; the bar line behind it ends the last of them."""
    voice.close_bar()
    for number in range(count):
        if number:
            voice.close_bar()
        voice.time = 4 * Fraction(*(voice.meter or (4, 4)))


def _bar_line(voice: Voice, sign: str, line: str, at: int) -> int:
    """Take a bar line such as | || |] :| |: :: ::| and the number of an ending behind it; gives the place behind all."""
    voice.close_bar()
    bare = sign.strip("[]")
    passes, begins = len(bare) - len(bare.lstrip(":")), len(bare) - len(bare.rstrip(":"))
    if set(bare) == {":"}:  # it both ends and begins
        passes = begins = len(bare) // 2
    if passes and len(voice.signs) > 1:
        voice.signs[-2].repeat_end = passes + 1
    if passes or begins or len(sign) > 1 or sign == "]":
        voice.ending = voice.signs[-1].endings = frozenset()
    voice.signs[-1].repeat_start |= begins > 0
    if found := _ENDING.match(line, at):
        voice.begin_ending(found[1])
        return found.end()
    return at


def _decoration(voice: Voice, word: str) -> None:
    if word in VELOCITIES:
        voice.velocity = VELOCITIES[word]
    elif name := DECORATIONS.get(word):
        setattr(voice.signs[-1], name, True)
    else:
        _words(voice, re.sub(r"(?<=[CS]\.)(?=al)", " ", word))


def _words(voice: Voice, words: str) -> None:
    """Words count where they say how to go on, "^D.C. al Fine"; chord symbols do not."""
    for name, pattern in WORDS.items():
        if pattern.search(words.lstrip("^_<>@ ")):
            setattr(voice.signs[-1], name, True)


def _end(voice: Voice) -> None:
    """Close the last bar; what stands behind the last bar line, such as a D.C., belongs to the bar before it."""
    voice.close_bar()
    last = voice.signs.pop()
    voice.bars.pop()
    if voice.signs:
        for name in ("da_capo", "dal_segno", "fine"):
            setattr(voice.signs[-1], name, getattr(voice.signs[-1], name) or getattr(last, name))


def _side_by_side(voices: list[Voice]) -> tuple[list[Bar], list[Signs]]:
    """The bars of all voices put together by count, and the signs of all."""
    bars: list[Bar] = []
    signs: list[Signs] = []
    for index in range(max(len(voice.bars) for voice in voices)):
        present = [voice for voice in voices if index < len(voice.bars)]
        first = present[0].bars[index]
        sounds = [voice.bars[index].sounds[0] if index < len(voice.bars) else [] for voice in voices]
        bars.append(Bar(sounds, max(voice.bars[index].length for voice in present), first.meter, first.key, first.tempos))
        sign = Signs()
        for voice in present:
            for name, value in vars(voice.signs[index]).items():
                setattr(sign, name, getattr(sign, name) or value)
        signs.append(sign)
    return bars, signs
