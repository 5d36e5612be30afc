"""A seed as bars of tokens, to write inside it: which tokens and ticks each bar has, as a musician counts bars, from 1."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError, UsageError
from symbolic.midi.meter import bar_starts
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary


@dataclass(frozen=True)
class SeedBars:
    """`ids` of the seed's bars, without BOS and EOS; bar b of the stream is ids[starts[b] : starts[b + 1]] and begins at tick lines[b].

    `seed_lines` are the bar lines of the seed as written: a bar that no meter can tell is several bars of the stream.
    """

    seed: ScoreTick
    ids: np.ndarray
    starts: np.ndarray
    lines: np.ndarray
    seed_lines: np.ndarray

    @property
    def count(self) -> int:
        """Bars of the seed as written."""
        return len(self.seed_lines) - 1

    def part(self, first: int, last: int) -> np.ndarray:
        """Tokens of the stream's bars first … last − 1."""
        return self.ids[self.starts[first] : self.starts[last]]

    def span(self, bars: tuple[int, int]) -> tuple[int, int]:
        """Bars first … last of the seed (from 1, both included) as bars of the stream: its first, and the one after its last.

        Raises `UsageError` for bars the seed has not, `InputError` where a bar line of the seed is none of the stream's.
        """
        first, last = bars
        if not 1 <= first <= last <= self.count:
            raise UsageError(f"bars {first}-{last}: the seed has bars 1 to {self.count}; write the first and the last, such as 9-12")
        places = []
        for bar, tick in ((first, int(self.seed_lines[first - 1])), (last + 1, int(self.seed_lines[last]))):
            place = int(np.searchsorted(self.lines, tick))
            if place == len(self.lines) or self.lines[place] != tick:
                raise InputError(f"bar {bar} begins where tokens have no bar line, because a bar before it is cut short; choose other bars")
            places.append(place)
        return places[0], places[1]

    def meters(self, first: int, last: int, vocabulary: Vocabulary) -> np.ndarray:
        """The time signature of each of the stream's bars first … last − 1, as ids."""
        part = self.part(first, last)
        return part[vocabulary.types[part] == TokenType.TIME_SIGNATURE]

    def notes(self, first: int, last: int, vocabulary: Vocabulary) -> dict[int, list[tuple[int, int]]]:
        """By program, (track, place in it) of the seed's pitched notes that the stream's bars first … last − 1 tell, in their order.

        A note a moment before a bar line may be told behind it: the tokens say which bar is its own.
        """
        ordered = defaultdict[int, list[tuple[int, int, int, int]]](list)
        for number, track in enumerate(self.seed.tracks):
            if not track.is_drum and track.program < UNPITCHED_PROGRAMS.start:
                told = ((n.time, n.pitch, number, place) for place, n in enumerate(track.notes) if n.pitch >= 0)
                ordered[track.program].extend(told)
        result = {}
        for program, notes in ordered.items():
            id_ = vocabulary.of_type(TokenType.PROGRAM)[program]
            before, here = (int((part == id_).sum()) for part in (self.part(0, first), self.part(first, last)))
            result[program] = [(number, place) for _, _, number, place in sorted(notes)[before : before + here]]
        return result


def seed_bars(seed: ScoreTick, tokenizer: RemiTokenizer) -> SeedBars:
    """The bars of a seed. Raises `InputError` for a seed without notes."""
    if not any(len(track.notes) for track in seed.tracks):
        raise InputError("the seed has no notes, so there is nothing to write to")
    vocabulary = tokenizer.vocabulary
    prepared = tokenizer.prepare(seed)
    ids = tokenizer.encode(seed).ids.astype(np.int64)
    lines, seed_lines = bar_starts(prepared).astype(np.int64), bar_starts(seed).astype(np.int64)
    openings = np.flatnonzero(ids == vocabulary.bar)
    last = prepared.time_signatures[-1]
    meter = vocabulary.tokens.index(f"TimeSig_{last.numerator}/{last.denominator}")
    missing = len(lines) - 1 - len(openings)  # bars in which nothing begins, at the end
    if missing > 0:
        ids = np.concatenate([ids, np.tile([vocabulary.bar, meter], missing)])
        openings = np.flatnonzero(ids == vocabulary.bar)
    if missing < 0:  # a tempo or meter behind the last note opened bars, which the seed has not
        ids, openings = ids[: openings[missing]], openings[:missing]
    return SeedBars(seed, ids, np.append(openings, len(ids)), lines, seed_lines)
