"""Bars and meters of a score.

Units: ticks (int); a bar line is the tick at which a bar begins.
A time signature in the middle of a bar begins a new bar there: the bar before it is cut short, as in a pickup bar.
A score without a time signature is in 4/4.
"""

import itertools
from collections.abc import Collection
from fractions import Fraction
from functools import lru_cache

import numpy as np
from symusic.core import ScoreTick, TimeSignatureTick

DEFAULT_METER = (4, 4)
MAX_BARS = 100_000


def ticks_per_bar(numerator: int, denominator: int, ticks_per_quarter: int) -> int:
    """Length of one bar in ticks; 6/8 at 480 ticks per quarter is 1440. At least 1."""
    return max(1, round(numerator * 4 * ticks_per_quarter / denominator))


def meter_sections(score: ScoreTick) -> list[tuple[int, int, int]]:
    """Time signatures as (start tick, numerator, denominator), sorted, the first at tick 0, impossible ones left out."""
    signatures = sorted(((signature.time, signature.numerator, signature.denominator) for signature in score.time_signatures), key=_by_time)
    found = {max(0, tick): (upper, lower) for tick, upper, lower in signatures if upper > 0 and 0 < lower <= 64}
    found.setdefault(0, DEFAULT_METER)
    return without_repeats([(tick, *found[tick]) for tick in sorted(found)])


def without_repeats(sections: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Sections by time, less those in the meter of the one before: 3/4, 3/4, 2/4 is 3/4, 2/4."""
    kept = sections[:1]
    kept.extend(section for last, section in itertools.pairwise(sections) if section[1:] != last[1:])
    return kept


def count_bars(score: ScoreTick, end: int | None = None) -> int:
    """Number of bars up to tick `end`, or to the end of the last note; by arithmetic, so that a runaway file costs nothing."""
    return count_section_bars(meter_sections(score), last_note_end(score) if end is None else end, score.ticks_per_quarter)


def count_section_bars(sections: list[tuple[int, int, int]], end: int, ticks_per_quarter: int) -> int:
    """`count_bars` for sections as `meter_sections` gives them."""
    return sum(len(starts) for starts in _section_bars(sections, end, ticks_per_quarter))


def bar_starts(score: ScoreTick) -> np.ndarray:
    """First tick of each bar, and last the bar line at or after the end of the last note; int64, shape (bars + 1,).

    Meter changes begin a new bar where they stand. An empty score has the one bar line at 0.
    Past `MAX_BARS` bars a runaway file is cut.
    """
    sections = meter_sections(score)
    end = last_note_end(score)
    bars = itertools.chain.from_iterable(_section_bars(sections, end, score.ticks_per_quarter))
    starts = list(itertools.islice(bars, MAX_BARS))
    if not starts:
        return np.zeros(1, dtype=np.int64)
    _, numerator, denominator = [section for section in sections if section[0] <= starts[-1]][-1]
    closing = starts[-1] + ticks_per_bar(numerator, denominator, score.ticks_per_quarter)
    later = [section[0] for section in sections if starts[-1] < section[0] < closing]
    return np.array([*starts, later[0] if later else closing], dtype=np.int64)


def last_note_end(score: ScoreTick) -> int:
    """Tick at which the last note stops, a note of no length lasting one tick; 0 without notes."""
    tracks = [track.notes.numpy() for track in score.tracks if len(track.notes)]
    return max((int((notes["time"].astype(np.int64) + np.maximum(notes["duration"], 1)).max()) for notes in tracks), default=0)


def complete_bars(score: ScoreTick, meters: Collection[tuple[int, int]]) -> list[TimeSignatureTick]:
    """Time signatures under which every bar is complete and every meter is one of `meters`.

    A bar cut short by a change (a pickup, a shortened bar before a repeat) gets a signature of its own length, so
    that no bar line moves: 4/4 with a change after one quarter becomes 1/4, then the new meter.
    A length that is no meter is filled with several bars (13/16 with 3/4 and 1/16).
    A meter outside `meters` is respelt at the same length, in quarters where it can be (2/1 as 8/4, 24/8 as 12/4), or
    split into equal bars (7/1 as four of 7/4); one that cannot be said so (13/8) becomes the nearest.
    A rest of a bar that no meter can say (a thirty-second) is left to MidiTok, which delays the change to the next bar line.
    """
    sections = complete_sections(meter_sections(score), last_note_end(score), score.ticks_per_quarter, meters)
    return [TimeSignatureTick(*section) for section in sections]


def complete_sections(
    sections: list[tuple[int, int, int]], end: int, ticks_per_quarter: int, meters: Collection[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """`complete_bars` for sections as `meter_sections` gives them, of music that ends at tick `end`."""
    end = max(end, sections[-1][0] + 1)
    complete: list[tuple[int, int, int]] = []
    for index, (start, numerator, denominator) in enumerate(sections):
        stop = sections[index + 1][0] if index + 1 < len(sections) else end
        if (numerator, denominator) not in meters:
            numerator, denominator = _respelt(Fraction(numerator, denominator), tuple(meters))
        length = ticks_per_bar(numerator, denominator, ticks_per_quarter)
        rest = (stop - start) % length
        filling = _filling(Fraction(rest, 4 * ticks_per_quarter), tuple(meters)) if rest and stop != end else ()
        if not filling or stop - start >= length:
            complete.append((start, numerator, denominator))
        tick = stop - rest
        for short in filling:
            complete.append((tick, *short))
            tick += ticks_per_bar(*short, ticks_per_quarter)
    return complete


@lru_cache(maxsize=4096)  # a file with many odd bars asks the same again and again, and the search for two bars is long
def _respelt(length: Fraction, meters: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """A meter of `meters` with this bar length in whole notes, or an even part of it; the nearest length otherwise."""
    for parts in (1, 2, 3, 4):
        same = [m for m in meters if Fraction(*m) * parts == length]
        if same:
            return min(same, key=lambda m: (m[1] != 4, m[1]))
    return min(meters, key=lambda m: (abs(Fraction(*m) - length), m[1]))


@lru_cache(maxsize=4096)
def _filling(length: Fraction, meters: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """One meter whose bars fill `length` (in whole notes), or two, the longer first; none when that cannot be.

    13/16 is a bar of 3/4 and one of 1/16; 15/16 is three bars of 5/16; 1/32 is none.
    """
    single = _respelt(length, meters)
    if length % Fraction(*single) == 0:
        return (single,)
    lengths = [(Fraction(*meter), meter) for meter in meters]
    of_length: dict[Fraction, list[tuple[int, int]]] = {}
    for whole, meter in lengths:
        of_length.setdefault(whole, []).append(meter)
    pairs = [(first, second) for whole, first in lengths for second in of_length.get(length - whole, ())]
    return max(pairs, key=lambda pair: (Fraction(*pair[0]), -pair[0][1], -pair[1][1]), default=())


def _by_time(section: tuple[int, int, int]) -> int:
    return section[0]


def _section_bars(sections: list[tuple[int, int, int]], end: int, ticks_per_quarter: int) -> list[range]:
    """For each meter section the ticks of its bar lines before `end`, as ranges."""
    stops = [*(section[0] for section in sections[1:]), end]
    return [
        range(start, min(stop, end), ticks_per_bar(numerator, denominator, ticks_per_quarter))
        for (start, numerator, denominator), stop in zip(sections, stops, strict=True)
        if start < min(stop, end)
    ]
