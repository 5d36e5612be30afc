"""What a continuation must obey beyond the grammar: the seed's meter and programs, and an exact end on a bar line.

A constraint takes away ids from the automaton's mask. Units: grid steps, bars.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.automaton import AutomatonState, TokenAutomaton
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
    `compasses` give a program's lowest and highest pitch; `leaning` (V,) is added to the logits, it forbids nothing.
    """

    def __init__(
        self,
        automaton: TokenAutomaton,
        meter: int,
        programs: Collection[int],
        ending: Ending,
        compasses: Mapping[int, tuple[int, int]] | None = None,
        leaning: np.ndarray | None = None,
    ) -> None:
        vocabulary = automaton.vocabulary
        self.automaton, self.ending, self.vocabulary = automaton, ending, vocabulary
        self.allowed = np.ones(len(vocabulary), dtype=bool)
        self.allowed[vocabulary.of_type(TokenType.TIME_SIGNATURE)] = False
        self.allowed[meter] = True
        self.allowed[vocabulary.of_type(TokenType.TEMPO)] = False
        numbers = vocabulary.of_type(TokenType.PROGRAM)
        self.allowed[numbers] = np.isin(vocabulary.values[numbers], list(programs))
        self.leaning = np.zeros(len(vocabulary)) if leaning is None else leaning
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
            mask &= ~((self.vocabulary.types == TokenType.PROGRAM) & (self.vocabulary.values == state.program))
        if state.last is TokenType.VELOCITY:
            remaining = (self.ending.bars - state.bars + 1) * state.bar_length - state.position
            mask &= ~self._too_long(remaining)
        crowded = state.notes_at_onset >= MAX_NOTES_AT_ONSET
        if crowded and state.last is TokenType.DURATION:
            mask[self.vocabulary.types == TokenType.PROGRAM] = False
        if state.tokens_in_bar >= MAX_TOKENS_IN_BAR and (mask & self._bar_or_end).any():
            mask &= self._bar_or_end
        return mask

    def _within(self, low: int, high: int) -> np.ndarray:
        values = self.vocabulary.values
        return (self.vocabulary.types == TokenType.PITCH) & (values >= low) & (values <= high)

    def ends(self, state: AutomatonState, id_: int) -> bool:
        """Whether `id_`, sampled in `state`, closes the last bar; it is not part of the result."""
        return state.bars >= self.ending.bars and bool(self._bar_or_end[id_])


def _by_length(vocabulary: Vocabulary):  # type: ignore[no-untyped-def]
    """A function of a number of grid steps: the mask of durations longer than that."""
    lengths = np.where(vocabulary.types == TokenType.DURATION, vocabulary.values, 0)
    return lambda steps: lengths > steps
