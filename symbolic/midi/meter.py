"""Bars and meters of a score.

Units: ticks (int); a bar line is the tick at which a bar begins.
A time signature in the middle of a bar begins a new bar there: the bar before it is cut short, as in a pickup bar.
A score without a time signature is in 4/4.
"""

from collections.abc import Collection
from fractions import Fraction

import numpy as np
from symusic import Score, TimeSignature

DEFAULT_METER = (4, 4)
MAX_BARS = 100_000


def ticks_per_bar(numerator: int, denominator: int, ticks_per_quarter: int) -> int:
    """Length of one bar in ticks; 6/8 at 480 ticks per quarter is 1440. At least 1."""
    return max(1, round(numerator * 4 * ticks_per_quarter / denominator))


def meter_sections(score: Score) -> list[tuple[int, int, int]]:
    """Time signatures as (start tick, numerator, denominator), sorted, the first at tick 0, impossible ones left out."""
    found = {
        max(0, signature.time): (signature.numerator, signature.denominator)
        for signature in sorted(score.time_signatures, key=lambda signature: signature.time)
        if signature.numerator > 0 and 0 < signature.denominator <= 64
    }
    found.setdefault(0, DEFAULT_METER)
    sections: list[tuple[int, int, int]] = []
    for tick in sorted(found):
        if not sections or sections[-1][1:] != found[tick]:
            sections.append((tick, *found[tick]))
    return sections


def count_bars(score: Score) -> int:
    """Number of bars up to the end of the last note; by arithmetic, so that a runaway file costs nothing."""
    end = last_note_end(score)
    return sum(len(starts) for starts in _section_bars(score, end))


def bar_starts(score: Score) -> np.ndarray:
    """First tick of each bar, and last the bar line at or after the end of the last note; int64, shape (bars + 1,).

    Meter changes begin a new bar where they stand. An empty score has the one bar line at 0.
    """
    sections = meter_sections(score)
    end = last_note_end(score)
    starts = [tick for section in _section_bars(score, end) for tick in section[:MAX_BARS]]
    if not starts:
        return np.zeros(1, dtype=np.int64)
    tick, numerator, denominator = [section for section in sections if section[0] <= starts[-1]][-1]
    closing = starts[-1] + ticks_per_bar(numerator, denominator, score.ticks_per_quarter)
    later = [section[0] for section in sections if starts[-1] < section[0] < closing]
    return np.array([*starts, later[0] if later else closing], dtype=np.int64)


def last_note_end(score: Score) -> int:
    """Tick at which the last note stops; 0 without notes."""
    ends = [int((soa["time"].astype(np.int64) + soa["duration"]).max()) for soa in (t.notes.numpy() for t in score.tracks) if len(soa["time"])]
    return max(ends, default=0)


def complete_bars(score: Score, meters: Collection[tuple[int, int]]) -> list[TimeSignature]:
    """Time signatures under which every bar is complete and every meter is one of `meters`.

    A bar cut short by a change (a pickup, a shortened bar before a repeat) gets a signature of its own length, so
    that no bar line moves: 4/4 with a change after one quarter becomes 1/4, then the new meter.
    A meter outside `meters` is respelt at the same length (2/1 as 4/2), or split (24/8 as two bars of 12/8).
    """
    sections = meter_sections(score)
    end = max(last_note_end(score), sections[-1][0] + 1)
    tpq = score.ticks_per_quarter
    signatures: list[TimeSignature] = []
    for (start, numerator, denominator), stop in zip(sections, [*(s[0] for s in sections[1:]), end], strict=True):
        meter = _respelt(Fraction(numerator, denominator), (numerator, denominator), meters)
        signatures.append(TimeSignature(start, *meter))
        length = ticks_per_bar(numerator, denominator, tpq)
        rest = (stop - start) % length
        if rest and stop != end:
            short = _respelt(Fraction(rest, 4 * tpq), None, meters)
            if Fraction(*short) == Fraction(rest, 4 * tpq):
                if stop - start < length:
                    signatures.pop()
                signatures.append(TimeSignature(stop - rest, *short))
    return signatures


def _respelt(length: Fraction, meter: tuple[int, int] | None, meters: Collection[tuple[int, int]]) -> tuple[int, int]:
    """A meter of `meters` with this bar length in whole notes, or an even part of it; the nearest length otherwise."""
    if meter in meters:
        return meter
    for parts in (1, 2, 3, 4):
        same = [m for m in meters if Fraction(*m) * parts == length]
        if same:
            return min(same, key=lambda m: (m[1] != 4, m[1]))
    return min(meters, key=lambda m: (abs(Fraction(*m) - length), m[1]))


def _section_bars(score: Score, end: int) -> list[range]:
    """For each meter section the ticks of its bar lines before `end`, as ranges."""
    sections = meter_sections(score)
    stops = [*(section[0] for section in sections[1:]), end]
    return [
        range(start, min(stop, end), ticks_per_bar(numerator, denominator, score.ticks_per_quarter))
        for (start, numerator, denominator), stop in zip(sections, stops, strict=True)
        if start < min(stop, end)
    ]
