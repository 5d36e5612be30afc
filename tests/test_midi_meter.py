"""Bar lines by counting, complete bars under any change of meter, and no harm from runaway files."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import METERS, TICKS_PER_WHOLE, VOCABULARY_METERS, score_of, sections
from symusic import Note, Score, TimeSignature, Track

from symbolic.midi.meter import MAX_BARS, bar_starts, complete_bars, count_bars, last_note_end, meter_sections, ticks_per_bar


def told(score: Score) -> list[tuple[int, int, int]]:
    return [(s.time, s.numerator, s.denominator) for s in complete_bars(score, VOCABULARY_METERS)]


def with_meters(score: Score, meters: list[tuple[int, int, int]]) -> Score:
    copy = score.copy()
    copy.time_signatures = [TimeSignature(*meter) for meter in meters]
    return copy


@pytest.mark.parametrize(
    ("numerator", "denominator", "ticks"), [(4, 4, 1920), (6, 8, 1440), (2, 2, 1920), (5, 16, 600), (1, 64, 30), (3, 1, 5760)]
)
def test_length_of_a_bar(numerator: int, denominator: int, ticks: int):
    """A bar is its upper number of its lower number's notes, at 480 ticks to the quarter."""
    assert ticks_per_bar(numerator, denominator, 480) == ticks


def test_a_bar_is_never_empty():
    """With few ticks to the quarter a short bar is one tick long, not none: counting must end."""
    assert ticks_per_bar(1, 64, 1) == 1


@pytest.mark.parametrize(
    ("end", "meters", "lines"),
    [
        (3840, (), [0, 1920, 3840]),  # no meter is 4/4
        (3841, (), [0, 1920, 3840, 5760]),  # one tick into a third bar
        (4320, ((0, 3, 4), (2880, 6, 8)), [0, 1440, 2880, 4320]),
        (2400, ((0, 4, 4), (480, 3, 4)), [0, 480, 1920, 3360]),  # a pickup: the change cuts the first bar
        (1920, ((0, 4, 4), (1920, 3, 4)), [0, 1920]),  # the change comes after the music
        (1000, ((0, 4, 4), (1500, 3, 4)), [0, 1500]),  # the change cuts the last bar
        (3840, ((960, 3, 4),), [0, 960, 2400, 3840]),  # 4/4 until the first meter
        (3840, ((0, 2, 4), (960, 2, 4)), [0, 960, 1920, 2880, 3840]),  # the same meter again is no change
    ],
)
def test_bar_lines(end: int, meters: tuple[tuple[int, int, int], ...], lines: list[int]):
    """Bar lines by hand: a change begins a bar where it stands, and the last line is at or after the last note's end."""
    score = score_of((0, end, 60), meters=meters)
    assert bar_starts(score).tolist() == lines
    assert count_bars(score) == len(lines) - 1


def test_an_empty_score_has_one_bar_line():
    """Without notes there is no bar, and the one line is 0."""
    assert bar_starts(Score(480)).tolist() == [0]
    assert count_bars(Score(480)) == 0
    assert last_note_end(Score(480)) == 0


def test_a_note_of_no_length_has_a_bar():
    """A note of no length on a bar line belongs to the bar that begins there."""
    assert bar_starts(score_of((0, 10, 60), (1920, 0, 62))).tolist() == [0, 1920, 3840]


@pytest.mark.parametrize("impossible", [(0, 4), (4, 0), (3, 128)])
def test_impossible_meters_are_left_out(impossible: tuple[int, int]):
    """A meter of zero beats, of zeroth notes or of 128th notes does not count; the one before stays."""
    score = score_of((0, 3000, 60), meters=((0, 3, 4), (100, *impossible)))
    assert meter_sections(score) == [(0, 3, 4)]
    assert meter_sections(score_of((0, 1, 60), meters=((0, *impossible),))) == [(0, 4, 4)]


def test_meters_in_any_order_and_the_last_of_one_tick():
    """Meters are taken by time; of two at one tick the later given counts."""
    assert meter_sections(score_of(meters=((960, 3, 4), (0, 2, 4), (0, 6, 8)))) == [(0, 6, 8), (960, 3, 4)]


def test_a_runaway_file_costs_nothing():
    """A note at the last possible tick is counted by arithmetic, and bar lines stop at a bound, however many meters there are."""
    score = score_of((2**31 - 2, 1, 60), meters=((0, 1, 16), *((n, 1 + n % 2, 16) for n in range(2**30, 2**31 - 1, 2**28))))
    assert count_bars(score) > 10**7
    assert len(bar_starts(score)) == MAX_BARS + 1


@pytest.mark.parametrize(
    ("meters", "expected"),
    [
        ([(0, 4, 4), (480, 3, 4)], [(0, 1, 4), (480, 3, 4)]),  # the pickup becomes a meter of its own
        ([(0, 4, 4), (2880, 3, 4)], [(0, 4, 4), (1920, 2, 4), (2880, 3, 4)]),
        ([(0, 6, 8), (240, 6, 8), (480, 2, 4)], [(0, 1, 4), (480, 2, 4)]),
        ([(0, 2, 1)], [(0, 8, 4)]),  # respelt, same length
        ([(0, 24, 8)], [(0, 12, 4)]),
        ([(0, 24, 16)], [(0, 6, 4)]),
        ([(0, 3, 2)], [(0, 3, 2)]),  # known, so left
        ([(0, 7, 1)], [(0, 7, 4)]),  # four bars for one
        ([(0, 4, 4), (1920 + 13 * 120, 3, 4)], [(0, 4, 4), (1920, 3, 4), (1920 + 1440, 1, 16), (1920 + 1560, 3, 4)]),
        ([(0, 4, 4), (15 * 120, 3, 4)], [(0, 5, 16), (1800, 3, 4)]),  # three bars for one
        ([(0, 13, 8), (3120, 3, 4)], [(0, 3, 2), (2880, 1, 8), (3120, 3, 4)]),  # no meter of ours: the next still stands where it stood
    ],
)
def test_complete_bars_by_hand(meters: list[tuple[int, int, int]], expected: list[tuple[int, int, int]]):
    """A cut bar gets a meter of its own length, and a meter unknown to the vocabulary another of the same length."""
    assert told(score_of((0, 20000, 60), meters=tuple(meters))) == expected


@given(sections(), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_complete_bars_move_no_bar_line(parts, more_bars):
    """For any changes on the grid of sixteenths every bar line stays, every bar is complete and every meter is known."""
    score = Score(6720)
    for part in parts:
        score.time_signatures.append(TimeSignature(int(part.start * TICKS_PER_WHOLE), part.numerator, part.denominator))
    last = parts[-1]
    end = int((last.start + more_bars * Fraction(last.numerator, last.denominator)) * TICKS_PER_WHOLE)
    score.tracks.append(Track("", 0, False, [Note(0, end, 60, 80)]))
    complete = told(score)
    assert {meter[1:] for meter in complete} <= set(VOCABULARY_METERS)
    assert set(bar_starts(score).tolist()) <= set(bar_starts(with_meters(score, complete)).tolist())
    for (start, numerator, denominator), (stop, *_) in pairwise(complete):
        assert (stop - start) % ticks_per_bar(numerator, denominator, 6720) == 0


@given(sections())
@settings(max_examples=50, deadline=None)
def test_complete_bars_stay_complete(parts):
    """What is complete is left alone: applied twice is applied once."""
    score = Score(6720)
    for part in parts:
        score.time_signatures.append(TimeSignature(int(part.start * TICKS_PER_WHOLE), part.numerator, part.denominator))
    score.tracks.append(Track("", 0, False, [Note(0, int((parts[-1].start + 1) * TICKS_PER_WHOLE), 60, 80)]))
    once = with_meters(score, told(score))
    np.testing.assert_array_equal(bar_starts(with_meters(once, told(once))), bar_starts(once))


def test_known_meters_are_known():
    """The meters that properties are drawn from are all in the vocabulary, so a section of whole bars keeps its name."""
    for numerator, denominator in METERS:
        assert told(score_of((0, 9000, 60), meters=((0, numerator, denominator),))) == [(0, numerator, denominator)]
