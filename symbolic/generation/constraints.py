"""What a continuation must obey beyond the grammar: the seed's meter and programs, and an exact end on a bar line.

A constraint takes away ids from the automaton's mask. Units: grid steps, bars.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.automaton import DRUM_RANK, DRUMS, AutomatonState, TokenAutomaton
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

MAX_NOTES_AT_ONSET = 24
MAX_TOKENS_IN_BAR = 2048


@dataclass(frozen=True)
class Ending:
    """Where to stop: after `bars` bars in all (the seed's and the new ones), the last of them not empty."""

    bars: int


class Constraints:
    """The mask of one stream: grammar, the given meter and programs, no tempo changes, the ending.

    `meter` is the id of the time signature every new bar has; `programs` are General MIDI numbers, −1 for drums;
    `compasses` give a program's lowest and highest pitch; `players` are programs that may rest for `max_rest` bars at most.
    `leanings` of a program (V,) are added to the logits of its pitches, they forbid nothing.
    One object follows one stream: it is told every token by `follow`.
    """

    def __init__(
        self,
        automaton: TokenAutomaton,
        meter: int,
        programs: Collection[int],
        ending: Ending,
        compasses: Mapping[int, tuple[int, int]] | None = None,
        leanings: Mapping[int, np.ndarray] | None = None,
        players: Collection[int] = (),
        max_rest: int = 1,
    ) -> None:
        vocabulary = automaton.vocabulary
        self.automaton, self.ending, self.vocabulary = automaton, ending, vocabulary
        self.allowed = np.ones(len(vocabulary), dtype=bool)
        self.allowed[vocabulary.of_type(TokenType.TIME_SIGNATURE)] = False
        self.allowed[meter] = True
        self.allowed[vocabulary.of_type(TokenType.TEMPO)] = False
        numbers = vocabulary.of_type(TokenType.PROGRAM)
        self.allowed[numbers] = np.isin(vocabulary.values[numbers], list(programs))
        self._no_leaning = np.zeros(len(vocabulary))
        self._leanings = leanings or {}
        self._players, self._max_rest = sorted(players, key=_rank), max_rest
        self._last_heard: dict[int, int] = {}
        self._ranks = np.where(vocabulary.values == DRUMS, DRUM_RANK, vocabulary.values)
        self._programs = vocabulary.types == TokenType.PROGRAM
        self._positions = vocabulary.types == TokenType.POSITION
        self._compasses = {program: self._within(*bounds) for program, bounds in (compasses or {}).items()}
        self._tops = {program: high for program, (_, high) in (compasses or {}).items()}
        self._too_long = _by_length(vocabulary)
        self._bar_or_end = (vocabulary.types == TokenType.BAR) | (vocabulary.types == TokenType.EOS)

    def legal(self, state: AutomatonState, previous_bar_empty: bool) -> np.ndarray:
        """Ids that may follow, bool (V,); a Bar or EOS offered in the last bar means the end."""
        mask = self.automaton.legal(state) & self.allowed
        last_bar = state.bars >= self.ending.bars
        if not last_bar:
            mask[self.vocabulary.eos] = False
        if state.notes_in_bar == 0 and (last_bar or previous_bar_empty):
            mask[self._bar_or_end] = False
        if state.last is TokenType.PROGRAM and state.program in self._compasses:
            mask &= self._compasses[state.program]
        if state.last is TokenType.DURATION and state.pitch >= self._tops.get(state.program, 127):
            mask &= ~(self._programs & (self.vocabulary.values == state.program))
        due = self._due(state)
        if due:
            mask &= ~self._bar_or_end
            mask[self._positions & (self.vocabulary.values > 0)] = False
            mask &= ~(self._programs & (self._ranks > _rank(due[0])))
        if state.last is TokenType.VELOCITY:
            remaining = (self.ending.bars - state.bars + 1) * state.bar_length - state.position
            mask &= ~self._too_long(remaining)
        crowded = state.notes_at_onset >= MAX_NOTES_AT_ONSET
        if crowded and not due and state.last is TokenType.DURATION:
            mask[self._programs] = False
        if state.tokens_in_bar >= MAX_TOKENS_IN_BAR and (mask & self._bar_or_end).any():
            mask &= self._bar_or_end
        return mask

    def leaning(self, state: AutomatonState) -> np.ndarray:
        """What is added to the logits in this state, float64 (V,)."""
        return self._leanings.get(state.program, self._no_leaning) if state.last is TokenType.PROGRAM else self._no_leaning

    def follow(self, state: AutomatonState) -> None:
        """Take note of where the stream stands, after each token."""
        if state.last is TokenType.DURATION:
            self._last_heard[state.program] = state.bars

    def _due(self, state: AutomatonState) -> list[int]:
        """Players that have rested long enough and must sound at the beginning of this bar, lowest rank first."""
        if state.position > 0 or state.last is TokenType.BAR:
            return []
        return [p for p in self._players if state.bars - self._last_heard.setdefault(p, state.bars - 1) > self._max_rest]

    def _within(self, low: int, high: int) -> np.ndarray:
        values = self.vocabulary.values
        return (self.vocabulary.types == TokenType.PITCH) & (values >= low) & (values <= high)

    def ends(self, state: AutomatonState, id_: int) -> bool:
        """Whether `id_`, sampled in `state`, closes the last bar; it is not part of the result."""
        return state.bars >= self.ending.bars and bool(self._bar_or_end[id_])


def _rank(program: int) -> int:
    return DRUM_RANK if program == DRUMS else program


def _by_length(vocabulary: Vocabulary):  # type: ignore[no-untyped-def]
    """A function of a number of grid steps: the mask of durations longer than that."""
    lengths = np.where(vocabulary.types == TokenType.DURATION, vocabulary.values, 0)
    return lambda steps: lengths > steps
