"""The grid on which music is written down: bars of whole units, and notes that begin and end where a note value can.

Times are whole units, 1680 to the quarter: a 64th is 105, a 64th of a triplet 70, of a quintuplet 84, of a septuplet 60.
A note that begins and ends on one of these stays as it is, and so does one that misses it by no more than ticks must.
**Other onsets** move to the nearest 64th or triplet 64th. Where more than a third of the onsets of a track miss the grid, it was
played and not written: then each beat is divided as coarsely as its onsets allow, at the finest into 32nds.
**Other ends** move to the coarsest value near them, by 15 % of the note (40 % in played music): a quarter held for 90 % is a quarter.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from symusic.core import ScoreTick, TrackTick

from symbolic.errors import InputError
from symbolic.midi.meter import MAX_BARS, bar_starts, count_bars, meter_sections, ticks_per_bar

UNITS = 1680
SIXTY_FOURTH = UNITS // 16
SHORTEST = 60
PLAYED_SHARE = 1 / 3
# of played music: the steps that a beat may be divided in, each with what its complexity costs in units of error
PLAYED_STEPS = {840: 0, 420: 12, 560: 30, 280: 55, 210: 60}
END_STEPS = (1680, 840, 560, 420, 280, 210, 140, 105)
PLAYED_ENDS, TRIPLET_ENDS = (1680, 840, 420, 210), (1680, 560, 280)
FARTHEST = 250  # units that an end moves at most
DRUM_LENGTH = UNITS


@dataclass(slots=True)
class Measure:
    """A bar: `tick` and `start` (in units) are where it begins, `length` its units, `beat` the unit of its meter that is counted."""

    tick: int
    start: int
    length: int
    meter: tuple[int, int] = (4, 4)
    beat: int = UNITS
    pickup: bool = False

    @property
    def end(self) -> int:
        """The units at its closing bar line."""
        return self.start + self.length

    @property
    def is_full(self) -> bool:
        """Whether it is as long as its meter says."""
        return self.length == full_length(self.meter)


@dataclass(slots=True)
class WrittenNote:
    """A note on the grid: `start` and `end` in units."""

    start: int
    end: int
    pitch: int
    velocity: int


def full_length(meter: tuple[int, int]) -> int:
    """Units in a bar; 6/8 is 5040."""
    return meter[0] * 4 * UNITS // meter[1]


def measures_of(score: ScoreTick) -> list[Measure]:
    """The bars up to the end of the last note, at least one.

    A bar that a change of meter cuts short lasts to the nearest 64th, and is none when that is nothing.
    A first meter of one bar, shorter than the full bar after it, is a pickup and has the meter of that bar.
    Raises `InputError` for more than `meter.MAX_BARS` bars.
    """
    if count_bars(score) > MAX_BARS:
        raise InputError(f"{count_bars(score):,} bars; as MusicXML at most {MAX_BARS:,} are written")
    sections = meter_sections(score)
    ticks = bar_starts(score).tolist()
    if len(ticks) == 1:
        ticks.append(ticks_per_bar(*sections[0][1:], score.ticks_per_quarter))
    first_ticks = [section[0] for section in sections]
    measures: list[Measure] = []
    start = 0
    for tick, stop in pairwise(ticks):
        section = sections[bisect_right(first_ticks, tick) - 1]
        meter = _sayable(section[1], section[2])
        length = full_length(meter)
        if stop - tick < ticks_per_bar(*section[1:], score.ticks_per_quarter):
            length = min(length, round((stop - tick) * UNITS / score.ticks_per_quarter / SIXTY_FOURTH) * SIXTY_FOURTH)
        if length:
            measures.append(Measure(tick, start, length, meter, _beat(meter)))
            start += length
    measures = measures or [Measure(0, 0, full_length((4, 4)))]
    first, second = measures[0], measures[1] if len(measures) > 1 else measures[0]
    if first.length < second.length and second.is_full and first.meter != second.meter:
        first.meter, first.beat, first.pickup = second.meter, second.beat, True
    return measures


def on_grid(track: TrackTick, measures: list[Measure], ticks_per_quarter: int) -> list[WrittenNote]:
    """The notes of a track on the grid, by time and then from low to high; of notes that coincide the loudest.

    Drums last until the next one, a quarter or the end of the bar at most: how long a drum is held says nothing.
    """
    notes = track.notes.numpy()
    if not len(notes["time"]):
        return []
    time = notes["time"].astype(np.int64)
    tolerance = UNITS / ticks_per_quarter * 0.51
    begin, onset = _places(time, measures, ticks_per_quarter)
    finish, end = _places(time + notes["duration"], measures, ticks_per_quarter)
    snapped = _snapped(begin, onset, begin, onset, tolerance)
    is_played = bool((np.abs(snapped - onset) > tolerance).mean() > PLAYED_SHARE)
    starts = np.array([measure.start for measure in measures])
    lengths = np.array([measure.length for measure in measures])
    beats = np.array([measure.beat for measure in measures])
    start_offsets = _played(begin, onset, notes["pitch"], beats) if is_played else snapped
    start = np.minimum(starts[begin] + np.minimum(start_offsets, lengths[begin]), starts[-1] + lengths[-1] - SIXTY_FOURTH)
    if track.is_drum:
        stop = _drum_ends(start, starts + lengths)
    else:
        held = starts[finish] + end - starts[begin] - onset
        ends = _snapped(finish, end, begin, onset, tolerance)
        exact = (np.abs(ends - end) <= tolerance) & (not is_played)
        end = np.where(exact, end, end + start - starts[begin] - onset)  # a note that moves takes its end along
        reach = np.minimum(held * (0.4 if is_played else 0.15), FARTHEST)
        if is_played:
            ends = np.where(start_offsets % 420 == 0, _eased(end, reach, PLAYED_ENDS), _eased(end, reach, TRIPLET_ENDS))
        else:
            ends = np.where(exact, ends, _eased(end, reach, END_STEPS))
        stop = starts[finish] + np.minimum(ends, lengths[finish])
        least = np.where(is_played, 210, np.where(start_offsets % SIXTY_FOURTH == 0, SIXTY_FOURTH, 70))
        stop = np.where(stop - start >= SHORTEST, stop, np.minimum(start + least, starts[-1] + lengths[-1]))
    loudest: dict[tuple[int, int, int], int] = {}
    for key, velocity in zip(
        zip(start.tolist(), notes["pitch"].tolist(), stop.tolist(), strict=True), notes["velocity"].tolist(), strict=True
    ):
        loudest[key] = max(velocity, loudest.get(key, 0))
    return [WrittenNote(s, e, p, v) for (s, p, e), v in sorted(loudest.items()) if e > s]


def _sayable(upper: int, lower: int) -> tuple[int, int]:
    """A meter in halves of halves, as note values are: 4/3 is 85/64."""
    return (upper, lower) if lower & (lower - 1) == 0 else (max(1, round(Fraction(upper * 64, lower))), 64)


def _beat(meter: tuple[int, int]) -> int:
    """The beat in units: three eighths in 6/8, a quarter in 3/4, an eighth in 5/8."""
    unit = 4 * UNITS // meter[1]
    return 3 * unit if meter[1] >= 8 and meter[0] % 3 == 0 else unit


def _places(ticks: np.ndarray, measures: list[Measure], ticks_per_quarter: int) -> tuple[np.ndarray, np.ndarray]:
    """For each tick the index of its bar, and its offset there in units (float)."""
    first_ticks = np.array([measure.tick for measure in measures])
    lengths = np.array([measure.length for measure in measures])
    index = np.maximum(np.searchsorted(first_ticks, ticks, side="right") - 1, 0)
    return index, np.clip((ticks - first_ticks[index]) * UNITS / ticks_per_quarter, 0, lengths[index])


def _nearest(offsets: np.ndarray, unit: int) -> np.ndarray:
    return (np.floor(offsets / unit + 0.5) * unit).astype(np.int64)


def _misses(offsets: np.ndarray, units: tuple[int, ...]) -> np.ndarray:
    """How far each offset is from the nearest multiple of any of `units`."""
    return np.min([np.abs(_nearest(offsets, unit) - offsets) for unit in units], axis=0)


def _snapped(bars: np.ndarray, offsets: np.ndarray, begin: np.ndarray, onset: np.ndarray, tolerance: float) -> np.ndarray:
    """The place of the grid where each offset stands within `tolerance`; the nearest 64th or triplet 64th elsewhere.

    Fifths and sevenths count only in beats in which two onsets at least stand on them and on nothing else.
    """
    binary, ternary = _nearest(offsets, SIXTY_FOURTH), _nearest(offsets, 70)
    places = np.where(np.abs(ternary - offsets) < np.abs(binary - offsets), ternary, binary)
    plain = _misses(onset, (SIXTY_FOURTH, 70)) <= tolerance
    for unit in (60, 84):
        odd = np.unique(
            np.stack([begin, onset // UNITS, _nearest(onset, unit)])[:, ~plain & (_misses(onset, (unit,)) <= tolerance)], axis=1
        )
        beats, counts = np.unique(odd[:2], axis=1, return_counts=True)
        divided = {(int(bar), int(beat)) for bar, beat in beats[:, counts > 1].T}
        if divided:
            is_here = np.array([(bar, beat) in divided for bar, beat in zip(bars.tolist(), (offsets // UNITS).tolist(), strict=True)])
            place = _nearest(offsets, unit)
            places = np.where(is_here & (np.abs(place - offsets) <= tolerance), place, places)
    for unit in (70, SIXTY_FOURTH):
        place = _nearest(offsets, unit)
        places = np.where(np.abs(place - offsets) <= tolerance, place, places)
    return places


def _eased(offsets: np.ndarray, reach: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """The multiple of the coarsest of `steps` within `reach` of each offset; of the finest where none is."""
    places = _nearest(offsets, steps[-1])
    for step in reversed(steps):
        place = _nearest(offsets, step)
        places = np.where(np.abs(place - offsets) <= reach, place, places)
    return places


def _played(begin: np.ndarray, onset: np.ndarray, pitch: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """The offsets of played notes: for each beat the step of the least error and complexity; notes of a pitch stay apart where they can."""
    in_beat: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (bar, offset) in enumerate(zip(begin.tolist(), onset.tolist(), strict=True)):
        beat = min(int(beats[bar]), UNITS) if beats[bar] % 2520 else 2520
        in_beat[bar, int((offset + 60) // beat) * beat].append(number)
    places = np.zeros(len(onset), np.int64)
    for (_, beat), members in in_beat.items():
        offsets, pitches = onset[members] - beat, pitch[members].tolist()
        best = np.inf
        for step, cost in PLAYED_STEPS.items():
            moved = _nearest(offsets, step)
            lost = len(members) - len(set(zip(moved.tolist(), pitches, strict=True)))
            total = float(np.sqrt(np.mean((moved - offsets) ** 2))) + cost + 60 * lost
            if total < best:
                best = total
                places[members] = beat + moved
    return np.maximum(places, 0)


def _drum_ends(start: np.ndarray, bar_lines: np.ndarray) -> np.ndarray:
    """Where each drum ends: at the next onset, after `DRUM_LENGTH`, or at the bar line."""
    onsets = np.append(np.unique(start), bar_lines[-1] + DRUM_LENGTH)
    following = onsets[np.searchsorted(onsets, start, side="right")]
    line = bar_lines[np.minimum(np.searchsorted(bar_lines, start, side="right"), len(bar_lines) - 1)]
    return np.min([following, start + DRUM_LENGTH, line], axis=0)
