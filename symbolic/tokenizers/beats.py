"""The beat of every token, derived from the ids alone.

A token's beat is (bar, beat, subdivision): which bar of the piece, which beat of the bar, which grid step of the beat.
A Bar token opens its bar at beat 0; a Position token already stands at its own beat; what follows it stays there.
Tokens before the first bar (BOS) have bar 0, beat 0, subdivision 0.

Two forms, equal by test: `derive_beats` for whole arrays, `BeatClock` for one token at a time.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary


def derive_beats(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Beats of a stream of ids, int32, shape (T, 3). Several pieces may follow each other: BOS begins at bar 0 again."""
    ids = np.asarray(ids, dtype=np.int64)
    types = vocabulary.types[ids]
    is_bar = types == TokenType.BAR
    bars = np.cumsum(is_bar)
    starts = np.flatnonzero(types == TokenType.BOS)
    before = np.zeros(len(ids), dtype=bars.dtype)
    before[starts] = np.diff(bars[starts], prepend=0)
    bars = np.maximum(bars - np.cumsum(before) - 1, 0)
    sets_position = is_bar | (types == TokenType.POSITION) | (types == TokenType.BOS)
    last = np.maximum.accumulate(np.where(sets_position, np.arange(len(ids)), -1)) if len(ids) else np.zeros(0, dtype=np.int64)
    at_last = np.where(types[last] == TokenType.POSITION, vocabulary.values[ids[last]], 0) if len(ids) else last
    position = np.where(last >= 0, at_last, 0)
    beat, subdivision = np.divmod(position, vocabulary.positions_per_beat)
    return np.stack([bars, beat, subdivision], axis=-1).astype(np.int32)


@dataclass
class BeatClock:
    """The same, one token at a time; `step` gives the beat of the token it is told."""

    vocabulary: Vocabulary
    bar: int = -1
    position: int = 0

    def step(self, id_: int) -> tuple[int, int, int]:
        """(bar, beat, subdivision) of token `id_`, which follows all tokens told before."""
        kind = self.vocabulary.types[id_]
        if kind == TokenType.BAR:
            self.bar, self.position = self.bar + 1, 0
        elif kind == TokenType.BOS:
            self.bar, self.position = -1, 0
        elif kind == TokenType.POSITION:
            self.position = int(self.vocabulary.values[id_])
        return (max(self.bar, 0), *divmod(self.position, self.vocabulary.positions_per_beat))
