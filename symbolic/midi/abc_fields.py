"""What the fields of ABC say: meter, key, tempo, clef, order of the parts; and a voice, for which they hold.

Times are quarters. Source: the ABC standard 2.1, section 3 (information fields) and 4.6 (clefs and transposition).
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from symbolic.errors import InputError
from symbolic.midi.bars import VELOCITIES, Bar, Sound
from symbolic.midi.seeds import DEFAULT_DYNAMIC
from symbolic.midi.unfolding import MOST_BARS, MOST_TIMES, Signs

SHARPS = "FCGDAEB"  # in the order in which a key takes them
FIFTHS = {letter: place - 1 for place, letter in enumerate(SHARPS)}
MODES = {"maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3, "mix": -1, "dor": -2, "phr": -4, "lyd": 1, "loc": -5}
ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # three in the time of two; the others by the meter

_KEY = re.compile(r"([A-G])([#b]?)(?:\s*(?i:(maj|ion|min|aeo|mix|dor|phr|lyd|loc)[a-z]*|(m)(?![a-z])))?")
_CLEF = re.compile(r"(?:\b(?:treble|bass|alto|tenor)|[GFC])[1-5]?([+-])(8|15)\b")


@dataclass
class Voice:
    """A voice with what holds in it; `time` counts quarters from the beginning of the open bar, the last of `bars`."""

    name: str = ""
    unit: Fraction = Fraction(1, 2)  # of a note without a number, in quarters
    unit_said: bool = False
    meter: tuple[int, int] | None = None
    key: tuple[int, int] = (0, 0)
    altered: dict[str, int] = field(default_factory=dict)  # by the key
    tempo: float | None = None  # what the header says
    shift: int = 0  # semitones
    program: int = 0  # −1 for percussion
    velocity: int = VELOCITIES[DEFAULT_DYNAMIC]
    bars: list[Bar] = field(default_factory=list)
    signs: list[Signs] = field(default_factory=list)
    time: Fraction = Fraction(0)
    longest: Fraction = Fraction(0)  # of the overlays in this bar
    accidentals: dict[str, int] = field(default_factory=dict)  # in this bar, by letter
    ties: dict[str, int] = field(default_factory=dict)  # pitches that wait for their next note, by written name
    ties_before_endings: dict[str, int] = field(default_factory=dict)
    graces: list[list[Sound]] = field(default_factory=list)
    broken: Fraction = Fraction(1)  # what > or < leaves for the next note
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # the factor, and for how many notes it still holds
    ending: frozenset[int] = frozenset()

    def begin(self, header: "Voice") -> None:
        """Take over what the header says, and open the first bar."""
        self.unit, self.unit_said, self.meter, self.key, self.altered = (
            header.unit, header.unit_said, header.meter, header.key, dict(header.altered),
        )  # fmt: skip
        self.shift, self.program = self.shift or header.shift, self.program or header.program
        self.open_bar()
        if header.tempo is not None:
            self.bars[0].tempos.append((Fraction(0), header.tempo))

    def open_bar(self) -> None:
        if len(self.bars) > MOST_BARS:
            raise InputError(f"more than {MOST_BARS:,} bars")
        self.bars.append(Bar([[]], meter=self.meter, key=self.key))
        self.signs.append(Signs(endings=self.ending))
        self.time = self.longest = Fraction(0)
        self.accidentals = {}

    def close_bar(self) -> None:
        """End the open bar; where it is empty, as before the first bar line of a line, it stays open."""
        length = max(self.time, self.longest)
        if length > 0:
            self.bars[-1].length = length
            self.open_bar()

    def begin_ending(self, numbers: str) -> None:
        """From here on the bars are those of an ending such as "1", "1,3" or "1-3"; what was tied before the first is tied to each."""
        self.close_bar()
        passes: set[int] = set()
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", numbers):
            passes.update(range(int(first[:3]), min(int(last[:3] or first[:3]), MOST_TIMES) + 1))
        if 1 in passes:
            self.ties_before_endings = self.ties
        self.ties = dict(self.ties_before_endings)
        self.ending = self.signs[-1].endings = frozenset(passes - {0})

    def height(self, accidental: str | None, letter: str, octaves: str) -> tuple[str, int]:
        """The written name of a note and its pitch: C is 60, c 72, c' 84, C, 48; a tied note keeps the accidental before the bar line."""
        name, upper = letter + octaves, letter.upper()
        if accidental:
            self.accidentals[upper] = ACCIDENTALS[accidental]
        elif name in self.ties and upper not in self.accidentals:
            return name, self.ties[name]
        natural = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}[upper] + 12 * letter.islower()
        altered = self.accidentals.get(upper, self.altered.get(upper, 0))
        return name, natural + 12 * (octaves.count("'") - octaves.count(",")) + altered + self.shift

    def set_meter(self, value: str) -> None:
        """`M:`, such as 3/4, C, C|, (2+3)/8 or none; in the header it also sets the length of a note."""
        found = re.fullmatch(r"\(?(\d{1,3}(?:\+\d{1,3})*)\)?/(\d{1,2})", value.replace(" ", ""))
        meter = {"C": (4, 4), "C|": (2, 2)}.get(value)
        if found:
            meter = sum(map(int, found[1].split("+"))), int(found[2])
            if not 0 < meter[0] < 256 or meter[1] not in (1, 2, 4, 8, 16, 32, 64):
                return
        self.meter = meter
        if not self.bars and not self.unit_said:
            self.unit = Fraction(1, 4) if meter and 4 * meter[0] < 3 * meter[1] else Fraction(1, 2)
        if self.bars and self.time == 0:
            self.bars[-1].meter = meter

    def set_unit(self, value: str) -> None:
        """`L:`, such as 1/8."""
        found = re.match(r"(\d{1,3})(?:/(\d{1,4}))?", value)
        if found and int(found[1]) and int(found[2] or 1):
            self.unit, self.unit_said = 4 * Fraction(int(found[1]), int(found[2] or 1)), True

    def set_tempo(self, value: str) -> None:
        """`Q:`, such as 1/4=90, "Lively" 3/8=60, or 120 of the notes without a number."""
        value = re.sub(r'"[^"]*"', "", value)
        found = re.search(r"((?:\d{1,3}/\d{1,4}\s*)*)=?\s*(\d{1,4}(?:\.\d+)?)\s*$", value)
        if not found:
            return
        notes = [Fraction(int(upper), int(lower)) for upper, lower in re.findall(r"(\d+)/(\d+)", found[1]) if int(lower)]
        tempo = float((4 * sum(notes) if notes else self.unit) * Fraction(found[2]))
        if not 4 <= tempo <= 2000:
            return
        if not self.bars:
            self.tempo = tempo
        elif all(place != self.time for place, _ in self.bars[-1].tempos):
            self.bars[-1].tempos.append((self.time, tempo))
        else:
            self.bars[-1].tempos = [(place, tempo if place == self.time else other) for place, other in self.bars[-1].tempos]

    def set_key(self, value: str) -> None:
        """`K:`, such as Bb, F#m, D mixolydian, HP, C exp ^f _b, or a clef alone, which leaves the key."""
        self.set_clef(value)
        found = _KEY.match(value)
        if found and not value.startswith("Clef"):
            fifths = FIFTHS[found[1]] + {"#": 7, "b": -7, "": 0}[found[2]] + MODES[(found[3] or found[4] or "maj").lower()]
            minor = (found[3] or found[4] or "").lower() in ("m", "min", "aeo")
        elif value[:2].upper() == "HP" or value in ("", "none"):
            fifths, minor = (2 if value[:2].upper() == "HP" else 0), False
        else:
            return
        fifths = 0 if re.search(r"\bexp\b", value) else min(max(fifths, -7), 7)
        sharpened, flattened = SHARPS[: max(fifths, 0)], SHARPS[::-1][: max(-fifths, 0)]
        self.altered = dict.fromkeys(sharpened, 1) | dict.fromkeys(flattened, -1)
        for accidental, letter in re.findall(r"(?<=\s)(\^\^|\^|__|_|=)([A-Ga-g])\b", value):
            self.altered[letter.upper()] = ACCIDENTALS[accidental]
        self.key = (fifths, int(minor))
        if self.bars and self.time == 0:
            self.bars[-1].key = self.key

    def set_clef(self, words: str) -> None:
        """Clefs with an octave such as treble-8, octave=-1, transpose=-2, clef=perc."""
        shifts = [(12 if sign == "+" else -12) * (2 if size == "15" else 1) for sign, size in _CLEF.findall(words)]
        shifts += [12 * int(count) for count in re.findall(r"\boctave=(-?\d)\b", words)]
        shifts += [int(count) for count in re.findall(r"\btranspose=(-?\d{1,2})\b", words)]
        if shifts:
            self.shift = sum(shifts)
        if re.search(r"\bperc\b", words):
            self.program = -1

    def set_tuplet(self, notes: int, time_of: int, count: int) -> None:
        """`(p:q:r`: p notes in the time of q for the next r; 0 where a number is not said."""
        compound = self.meter is not None and self.meter[1] >= 8 and self.meter[0] % 3 == 0 and self.meter[0] > 3
        usual = TUPLETS.get(notes) or ((3 if compound else 2) if notes in (5, 7, 9) else 1 << max(notes.bit_length() - 1, 0))
        if notes:
            self.tuplet = (Fraction(time_of or usual, notes), count or notes)


def parts_in_order(value: str) -> str:
    """The letters of `P:` as they are played: A2(BC)3 is AABCBCBC. Raises `InputError` when that is endless."""
    stack = [""]
    for symbol, count in re.findall(r"([A-Za-z()])(\d{0,3})", value):
        times = int(count or 1)
        if symbol == "(":
            stack.append("")
        elif symbol == ")":
            inside = stack.pop() * times
            stack = stack or [""]
            stack[-1] += inside
        else:
            stack[-1] += symbol * times
        if len(stack[-1]) > MOST_BARS:
            raise InputError(f"the order of its parts is more than {MOST_BARS:,} letters long")
    return "".join(stack)
