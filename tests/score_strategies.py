"""Scores for property tests: many tracks, meters that change at bar lines and inside bars, tuplets, overlapping unisons.

Times are drawn in whole notes (`Fraction`) and written at 6720 ticks to the quarter, which holds 3, 5, 7 and 64ths of a beat exactly.
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from symbolic.midi.meter import complete_bars

TICKS_PER_QUARTER = 6720
TICKS_PER_WHOLE = 4 * TICKS_PER_QUARTER
VOCABULARY_METERS = [(upper, lower) for lower, top in ((2, 6), (4, 12), (8, 12), (16, 12)) for upper in range(1, top + 1)]
METERS = [(4, 4), (3, 4), (6, 8), (5, 4), (7, 8), (2, 2), (3, 2), (12, 8), (5, 16)]
INSTRUMENTS = [(0, False), (0, False), (24, False), (40, False), (0, True), (127, False)]
GRID = 48
TUPLETS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)


@dataclass(frozen=True)
class Section:
    """A stretch in one meter; in whole notes. `length` may end inside a bar."""

    start: Fraction
    length: Fraction
    numerator: int
    denominator: int


@st.composite
def sections(draw: Any) -> list[Section]:
    """One to four meters, no two neighbours alike; each lasts some bars and, often, some sixteenths of one more."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(METERS), st.integers(0, 2), st.integers(0, 15)), min_size=1, max_size=4))
    result: list[Section] = []
    start = Fraction(0)
    for (numerator, denominator), bars, sixteenths in drawn:
        bar = Fraction(numerator, denominator)
        length = bars * bar + Fraction(sixteenths, 16) % bar
        if length and (not result or (result[-1].numerator, result[-1].denominator) != (numerator, denominator)):
            result.append(Section(start, length, numerator, denominator))
            start += length
    return result or [Section(Fraction(0), Fraction(1), 4, 4)]


@st.composite
def scores(draw: Any, on_grid: bool, velocities: list[int], low: int = 58, high: int = 63) -> Score:
    """A score whose notes stand on the tokenizer's grid, or anywhere on tuplets of a beat with any velocity.

    A beat is that of the meter a note's bar is told in: a bar cut to 3/16 counts in sixteenths, whatever its meter was.
    Few pitches are drawn on the grid, so that unisons overlap; off it every note has its own, so that notes can be told apart.
    """
    parts = draw(sections())
    score = Score(TICKS_PER_QUARTER)
    for part in parts:
        score.time_signatures.append(TimeSignature(int(part.start * TICKS_PER_WHOLE), part.numerator, part.denominator))
    end = parts[-1].start + parts[-1].length
    told = complete_bars(score, VOCABULARY_METERS)
    starts = [Fraction(meter.time, TICKS_PER_WHOLE) for meter in told]
    parts = [
        Section(start, stop - start, meter.numerator, meter.denominator)
        for meter, start, stop in zip(told, starts, [*starts[1:], max(end, starts[-1] + Fraction(1, 16))], strict=True)
    ]
    tracks = [Track(f"part {i}", program, drums) for i, (program, drums) in enumerate(INSTRUMENTS)]
    place = st.tuples(st.sampled_from(parts), st.integers(0, 10**6), st.sampled_from(TUPLETS))
    if on_grid:
        steps = st.one_of(st.integers(1, 192), st.integers(97, 384).map(lambda n: n * 2), st.integers(33, 120).map(lambda n: n * 24))
        pitch, velocity = st.integers(low, high), st.sampled_from(velocities)
    else:
        steps = st.integers(1, 60 * GRID)
        pitch, velocity = st.integers(0, 127), st.integers(1, 127)
    sound = st.tuples(st.integers(0, len(tracks) - 1), pitch, velocity, steps)
    told_apart = None if on_grid else lambda note: (INSTRUMENTS[note[1][0]], note[1][1])
    for (part, number, tuplet), (track, pitch_, velocity_, duration) in draw(
        st.lists(st.tuples(place, sound), min_size=1, max_size=24, unique_by=told_apart)
    ):
        beat = Fraction(1, part.denominator)
        step = beat / (GRID if on_grid else tuplet)
        onset = part.start + number % max(1, -(-part.length // step)) * step
        length = duration * beat / GRID
        tracks[track].notes.append(Note(int(onset * TICKS_PER_WHOLE), max(1, int(length * TICKS_PER_WHOLE)), pitch_, velocity_))
    score.tracks.extend(tracks)
    for number, tempo in draw(st.lists(st.tuples(st.integers(0, 40), st.floats(20, 320)), max_size=4, unique_by=lambda t: t[0])):
        score.tempos.append(Tempo(number * TICKS_PER_QUARTER, tempo))
    return score


def notes_of(score: Score) -> Counter[tuple[int, bool, int, Fraction, Fraction, int]]:
    """How often each note stands in the score: (program, drums, pitch, onset and duration in quarters, velocity)."""
    quarter = score.ticks_per_quarter
    return Counter(
        (0 if t.is_drum else t.program, t.is_drum, n.pitch, Fraction(n.time, quarter), Fraction(n.duration, quarter), n.velocity)
        for t in score.tracks
        for n in t.notes
    )


def score_of(*notes: tuple[int, int, int], program: int = 0, drums: bool = False, meters: tuple[tuple[int, int, int], ...] = ()) -> Score:
    """A score of one track at 480 ticks to the quarter: notes as (onset, duration, pitch), meters as (tick, upper, lower)."""
    score = Score(480)
    score.tracks.append(Track("", program, drums))
    for onset, duration, pitch in notes:
        score.tracks[0].notes.append(Note(onset, duration, pitch, 80))
    for meter in meters:
        score.time_signatures.append(TimeSignature(*meter))
    return score
