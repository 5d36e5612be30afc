"""The beat of every token, derived from the ids alone.

A token's beat is (bar, beat, subdivision): which bar of the piece, which beat of the bar, which grid step of the beat.
A Bar token opens its bar at beat 0; a Position token already stands at its own beat; what follows it stays there.
Tokens before the first bar (BOS) have bar 0, beat 0, subdivision 0.
Where music is rearranged (`tasks.py`), bars keep their true place: Later_8 leads eight bars on, and Answer back to where Given stood.

Two forms, equal by test: `derive_beats` for whole arrays, `BeatClock` for one token at a time.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

BAR, POSITION, BOS = int(TokenType.BAR), int(TokenType.POSITION), int(TokenType.BOS)  # numpy compares with enums slowly
GIVEN, ANSWER, LATER = int(TokenType.GIVEN), int(TokenType.ANSWER), int(TokenType.LATER)


def derive_beats(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Beats of a stream of ids, int32, shape (T, 3). Several pieces may follow each other: BOS begins at bar 0 again."""
    ids = np.asarray(ids, dtype=np.intp)
    types = vocabulary.types.take(ids)
    sets_beat = (types == BAR) | (types == POSITION) | (types == BOS) | (types == GIVEN) | (types == ANSWER) | (types == LATER)
    sets_beat[:1] = True  # what stands before them all is at 0
    at = sets_beat.nonzero()[0]
    kinds, last = types[at], vocabulary.values[ids[at]]
    position = np.where(kinds == POSITION, last, 0)
    bars = (kinds == BAR).cumsum()
    jumps = ((kinds == BOS) | (kinds >= GIVEN)).nonzero()[0]
    if len(jumps):
        bars += _moves(jumps, kinds, last, bars).cumsum()
    beats = np.empty((len(at), 4), dtype=np.int32)  # a fourth column for speed: numpy repeats 16 bytes at once, 12 one by one
    beats[:, 0] = np.maximum(bars - 1, 0)
    beats[:, 1] = position // vocabulary.positions_per_beat
    beats[:, 2] = position - beats[:, 1] * vocabulary.positions_per_beat
    edges = np.concatenate((at, [len(ids)]))
    return beats.repeat(edges[1:] - edges[:-1], axis=0)[:, :3]


def _moves(jumps: np.ndarray, kinds: np.ndarray, values: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """By how many bars the count of Bar tokens is moved at each token, for the few at which it is."""
    moves = np.zeros_like(bars)
    moved = mark = 0
    for place in jumps.tolist():
        kind, count = kinds[place], int(bars[place])
        if kind == BOS:
            moves[place] = -count - moved
        elif kind == LATER:
            moves[place] = int(values[place])
        elif kind == ANSWER:
            moves[place] = mark - count - moved
        moved += int(moves[place])
        if kind in (BOS, GIVEN):
            mark = count + moved
    return moves


@dataclass
class BeatClock:
    """The same, one token at a time; `step` gives the beat of the token it is told."""

    vocabulary: Vocabulary
    bar: int = -1
    position: int = 0
    given_bar: int = -1

    def step(self, id_: int) -> tuple[int, int, int]:
        """(bar, beat, subdivision) of token `id_`, which follows all tokens told before."""
        kind = self.vocabulary.types[id_]
        if kind == TokenType.BAR:
            self.bar, self.position = self.bar + 1, 0
        elif kind == TokenType.BOS:
            self.bar, self.position, self.given_bar = -1, 0, -1
        elif kind == TokenType.POSITION:
            self.position = int(self.vocabulary.values[id_])
        elif kind == TokenType.LATER:
            self.bar, self.position = self.bar + int(self.vocabulary.values[id_]), 0
        elif kind == TokenType.GIVEN:
            self.given_bar, self.position = self.bar, 0
        elif kind == TokenType.ANSWER:
            self.bar, self.position = self.given_bar, 0
        return (max(self.bar, 0), *divmod(self.position, self.vocabulary.positions_per_beat))
