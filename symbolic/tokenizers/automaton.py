"""The token automaton: which ids may come next, so that nothing undecodable can be written.

Grammar:   piece  = BOS bar… EOS
           bar    = Bar TimeSig onset…
           onset  = Position [Tempo] note…        positions grow within a bar and stay below its length
           note   = Program Pitch Velocity Duration (drum pitches with the drum program, and only with it)
Inside an onset programs do not descend (drums last), and pitches of one program ascend, so no note is there twice.
Files may hold one note twice (two violins in unison): `advance` follows that, `legal` never offers it.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

DRUMS = -1
DRUM_RANK = 128


@dataclass
class AutomatonState:
    """Where one stream stands. Positions, lengths and durations in grid steps."""

    last: TokenType | None = None
    bars: int = 0
    bar_length: int = 0
    position: int = -1
    program: int = 0
    pitch: int = -1
    notes_in_bar: int = 0
    notes_at_onset: int = 0
    tokens_in_bar: int = 0


class TokenAutomaton:
    """Masks of legal next ids, and the state that carries them forward one token at a time."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._of_type = {kind: vocabulary.types == kind for kind in TokenType}
        programs = vocabulary.of_type(TokenType.PROGRAM)
        self._program_ranks = np.full(len(vocabulary), -1, dtype=np.int32)
        self._program_ranks[programs] = np.where(vocabulary.values[programs] == DRUMS, DRUM_RANK, vocabulary.values[programs])
        self._top_pitch = {
            False: int(vocabulary.values[vocabulary.of_type(TokenType.PITCH)].max()),
            True: int(vocabulary.values[vocabulary.of_type(TokenType.DRUM_PITCH)].max()),
        }

    def advance(self, state: AutomatonState, id_: int) -> None:
        """Move `state` past token `id_`."""
        kind, value = TokenType(int(self.vocabulary.types[id_])), int(self.vocabulary.values[id_])
        state.tokens_in_bar += 1
        if kind is TokenType.BAR:
            state.bars, state.position, state.notes_in_bar, state.tokens_in_bar = state.bars + 1, -1, 0, 0
        elif kind is TokenType.TIME_SIGNATURE:
            state.bar_length = value
        elif kind is TokenType.POSITION:
            state.position, state.program, state.pitch, state.notes_at_onset = value, -2, -1, 0
        elif kind is TokenType.PROGRAM:
            if value != state.program:
                state.program, state.pitch = value, -1
        elif kind in (TokenType.PITCH, TokenType.DRUM_PITCH):
            state.pitch = value
        elif kind is TokenType.DURATION:
            state.notes_in_bar, state.notes_at_onset = state.notes_in_bar + 1, state.notes_at_onset + 1
        elif kind is TokenType.BOS:
            state.bars, state.bar_length, state.position = 0, 0, -1
        state.last = kind

    def legal(self, state: AutomatonState) -> np.ndarray:
        """The ids that may follow, bool (V,), a new array. After EOS nothing may; PAD never."""
        last = state.last
        if last is None:
            return self._of_type[TokenType.BOS].copy()
        if last is TokenType.BOS:
            return self._of_type[TokenType.BAR].copy()
        if last is TokenType.BAR:
            return self._of_type[TokenType.TIME_SIGNATURE].copy()
        if last is TokenType.TIME_SIGNATURE:
            return self._later_positions(state) | self._of_type[TokenType.BAR]
        if last is TokenType.POSITION:
            return self._of_type[TokenType.TEMPO] | self._of_type[TokenType.PROGRAM]
        if last is TokenType.TEMPO:
            return self._of_type[TokenType.PROGRAM] | self._later_positions(state) | self._of_type[TokenType.BAR]
        if last is TokenType.PROGRAM:
            kind = TokenType.DRUM_PITCH if state.program == DRUMS else TokenType.PITCH
            return self._of_type[kind] & (self.vocabulary.values > state.pitch)
        if last in (TokenType.PITCH, TokenType.DRUM_PITCH):
            return self._of_type[TokenType.VELOCITY].copy()
        if last is TokenType.VELOCITY:
            return self._of_type[TokenType.DURATION].copy()
        if last is TokenType.DURATION:
            return self._later_programs(state) | self._later_positions(state) | self._of_type[TokenType.BAR] | self._of_type[TokenType.EOS]
        return np.zeros(len(self.vocabulary), dtype=bool)

    def accepts(self, ids: np.ndarray) -> int | None:
        """The place of the first id that `legal` would not offer, or None: the strict check of a whole stream from BOS."""
        state = AutomatonState()
        for place, id_ in enumerate(np.asarray(ids).tolist()):
            if not self.legal(state)[id_]:
                return place
            self.advance(state, id_)
        return None

    def state_after(self, ids: np.ndarray) -> AutomatonState:
        """The state a stream leads to."""
        state = AutomatonState()
        for id_ in np.asarray(ids).tolist():
            self.advance(state, id_)
        return state

    def _later_positions(self, state: AutomatonState) -> np.ndarray:
        values = self.vocabulary.values
        return self._of_type[TokenType.POSITION] & (values > state.position) & (values < state.bar_length)

    def _later_programs(self, state: AutomatonState) -> np.ndarray:
        rank = DRUM_RANK if state.program == DRUMS else state.program
        full = state.pitch >= self._top_pitch[state.program == DRUMS]
        return self._program_ranks >= rank + full
