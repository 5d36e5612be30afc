"""Written bars, in playing order, as a score in ticks.

Times inside are quarters (float or Fraction). The resolution is 480 ticks to the quarter, or the smallest multiple of it on which
every note falls (seven in the time of four needs 3360). Ties are joined here, because only the order of playing says what follows.
A bar shorter or longer than its meter gets a signature of its own length, so that every bar line stands where it is written;
pieces of one bar, as around a repeat sign, are one bar again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from symusic.core import KeySignatureTick, NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from symbolic.midi.seeds import DYNAMICS

RESOLUTION = 480
MOST_TICKS_PER_QUARTER = 32767  # what a MIDI header can say
LONGEST_NUMERATOR = 64
MOST_PIECES = 4  # of one bar, between repeat signs
GRACE = Fraction(1, 8)  # a grace note lasts a thirty-second
VELOCITIES = DYNAMICS | {"pppp": 12, "ppp": 20, "fff": 122, "ffff": 127}
Quarters = float | Fraction


@dataclass(slots=True)
class Sound:
    """One written note: where it stands in its bar, and what is played. `program` is −1 for percussion."""

    onset: Quarters
    duration: Quarters
    pitch: int
    velocity: int
    program: int
    starts_tie: bool = False
    ends_tie: bool = False
    grace: bool = False


@dataclass
class Bar:
    """One written bar of all parts: `length` in quarters, `meter` and `key` (fifths, minor) in force, `sounds` by part."""

    sounds: list[list[Sound]]
    length: Quarters = 0
    meter: tuple[int, int] | None = None
    key: tuple[int, int] | None = None
    tempos: list[tuple[Quarters, float]] = field(default_factory=list)


def score_of_bars(bars: list[Bar], names: list[str]) -> tuple[ScoreTick, list[str]]:
    """The score, and phrases for what could not be placed. A part becomes one track for each program it plays."""
    tpq = _resolution(bars)
    score = ScoreTick(tpq)
    starts: list[Fraction] = [Fraction(0)]
    for bar in bars:
        starts.append(starts[-1] + Fraction(bar.length).limit_denominator(65535))
    for start, meter in _signatures(bars, starts):
        score.time_signatures.append(TimeSignatureTick(_ticks(start, tpq), *meter))
    key = tempo = None
    for bar, start in zip(bars, starts, strict=False):
        if bar.key is not None and bar.key != key:
            key = bar.key
            score.key_signatures.append(KeySignatureTick(_ticks(start, tpq), *key))
        for offset, quarters_per_minute in bar.tempos:
            if quarters_per_minute != tempo:
                tempo = quarters_per_minute
                score.tempos.append(TempoTick(_ticks(start + Fraction(offset), tpq), tempo))
    lost = sum(_lay_out(score, bars, starts, part, name, tpq) for part, name in enumerate(names))
    return score, [f"{lost} grace notes before the first beat left out"] if lost else []


def before(graces: list[list[Sound]], end: Quarters) -> Iterator[Sound]:
    """Grace notes as a run that ends at `end`; two in front of 1 begin at 3/4 and 7/8. Those of one chord sound together."""
    for place, sounds in enumerate(graces):
        for sound in sounds:
            sound.onset = end - GRACE * (len(graces) - place)
            yield sound


def _lay_out(score: ScoreTick, bars: list[Bar], starts: list[Fraction], part: int, name: str, tpq: int) -> int:
    """Put the notes of one part on its tracks; gives the number of grace notes for which there is no time."""
    tracks: dict[int, TrackTick] = {}
    sounding: dict[tuple[int, int], NoteTick] = {}  # the last note of a program and pitch
    tied: dict[tuple[int, int], list[NoteTick]] = {}
    made: dict[int, list[NoteTick]] = {}
    lost = 0
    for bar, bar_start in zip(bars, starts, strict=False):
        for sound in sorted(bar.sounds[part], key=lambda sound: (sound.onset, sound.pitch)):
            start = bar_start + Fraction(sound.onset)
            onset, end = _ticks(start, tpq), _ticks(start + Fraction(sound.duration), tpq)
            key = (sound.program, sound.pitch)
            if onset < 0:
                lost += 1
                continue
            before = [note for note in tied.get(key, ()) if sound.ends_tie and note.time + note.duration == onset]
            if before:
                note = before[0]
                note.duration = end - note.time
                tied[key].remove(note)
            else:
                note = NoteTick(onset, max(end - onset, 1), sound.pitch, sound.velocity)
                made.setdefault(sound.program, []).append(note)
                last = sounding.get(key)
                if last is not None and sound.grace and last.time < onset < last.time + last.duration:
                    last.duration = onset - last.time  # a grace note on a pitch that still sounds strikes it anew
            if sound.starts_tie:
                tied.setdefault(key, []).append(note)
            sounding[key] = note
    for program, notes in made.items():
        track = tracks.setdefault(program, TrackTick(name, max(program, 0), program < 0))
        for note in sorted(notes, key=lambda note: (note.time, note.pitch)):
            track.notes.append(note)
        score.tracks.append(track)
    return lost


def _ticks(quarters: Fraction, tpq: int) -> int:
    return math.floor(quarters * tpq + Fraction(1, 2))


def _resolution(bars: list[Bar]) -> int:
    """480, or its smallest multiple on which all onsets and ends fall; what no header can say is rounded."""
    tpq = RESOLUTION
    for value in {value for bar in bars for sounds in bar.sounds for sound in sounds for value in (sound.onset, sound.duration)}:
        wanted = math.lcm(tpq, Fraction(value).limit_denominator(10_000).denominator)
        if wanted <= MOST_TICKS_PER_QUARTER:
            tpq = wanted
    return tpq


def _signatures(bars: list[Bar], starts: list[Fraction]) -> list[tuple[Fraction, tuple[int, int]]]:
    """Time signatures, each where it begins to hold: a pickup of one quarter before 4/4 is 1/4 and then 4/4."""
    found: list[tuple[Fraction, tuple[int, int]]] = []
    index = 0
    while index < len(bars):
        bar, start, step = bars[index], starts[index], 1
        meter = bar.meter
        length = Fraction(bar.length).limit_denominator(65535)
        if meter is None or length != Fraction(4 * meter[0], meter[1]):
            step = _pieces(bars, index) if meter is not None else 1
            if step == 1 and (index + 1 < len(bars) or meter is None):
                meter = _meter_of(length, meter)
        if meter is not None and (not found or found[-1][1] != meter) and length > 0:
            found.append((start, meter))
        index += step
    return found


def _pieces(bars: list[Bar], index: int) -> int:
    """How many bars from `index` on are pieces of one bar of their meter, 1 when they are none."""
    meter = bars[index].meter
    assert meter is not None
    missing = Fraction(4 * meter[0], meter[1])
    for place in range(index, min(index + MOST_PIECES, len(bars))):
        missing -= Fraction(bars[place].length).limit_denominator(65535)
        if bars[place].meter != meter or missing <= 0:
            return place - index + 1 if bars[place].meter == meter and missing == 0 else 1
    return 1


def _meter_of(length: Fraction, meter: tuple[int, int] | None) -> tuple[int, int] | None:
    """A signature of this length in quarters, in the units of `meter` where it can be; three eighths are 3/8."""
    for denominator in (meter[1] if meter else 4, 4, 8, 16, 32, 64):
        numerator = length * denominator / 4
        if numerator.denominator == 1 and 0 < numerator <= LONGEST_NUMERATOR:
            return int(numerator), denominator
    return meter
