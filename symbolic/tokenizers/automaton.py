"""The token automaton: which ids may come next, so that nothing undecodable can be written.

Grammar:   piece  = BOS bar… EOS                the first onset of a piece is Position 0 with its tempo
           bar    = Bar TimeSig onset…          bars may be empty, the last may not
           onset  = Position [Tempo] note…      positions grow within a bar and stay below its length; a tempo changes the one before
           note   = Program Pitch Velocity Duration (drum pitches with the drum program, and only with it)
Inside an onset programs do not descend (drums last), and pitches of one program ascend, so no note is there twice.
What the automaton offers from BOS to EOS decodes, and encodes to the same ids.
Files may hold one note twice (two violins in unison): `advance` follows that, `legal` never offers it.

A token costs the same at every place of a stream: the mask of a state is a precomputed row, and value rules are slices of it.
Units: positions, lengths and durations in grid steps of the bar's own beat; times in ticks, grid steps of the shortest beat.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

DRUMS = -1
DRUM_RANK = 128
BOS, EOS, BAR, TIME_SIGNATURE, POSITION, TEMPO, PROGRAM, PITCH, DRUM_PITCH, VELOCITY, DURATION = list(TokenType)[1:12]


@dataclass
class AutomatonState:
    """Where one stream stands."""

    last: TokenType | None = None
    bars: int = 0
    bar_length: int = 0
    position: int = -1
    program: int = 0
    pitch: int = -1
    duration: int = 0
    notes_in_bar: int = 0
    notes_at_onset: int = 0
    tokens_in_bar: int = 0
    previous_bar_empty: bool = False
    tempo: int = -1
    """Id of the tempo in force; −1 before the first."""
    bar_start: int = 0
    """Ticks from the beginning of the stream to the bar line."""
    step: int = 1
    """Ticks of a position in this bar's meter."""

    @property
    def time(self) -> int:
        """Ticks from the beginning of the stream to the position, or to the bar line before the first."""
        return self.bar_start + max(self.position, 0) * self.step

    @property
    def bar_end(self) -> int:
        """Ticks from the beginning of the stream to the end of this bar."""
        return self.bar_start + self.bar_length * self.step


class TokenAutomaton:
    """Masks of legal next ids, and the state that carries them forward one token at a time."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        kinds = list(TokenType)
        self.kinds = [kinds[kind] for kind in vocabulary.types.tolist()]
        self.numbers: list[int] = vocabulary.values.tolist()
        self.steps: list[int] = (int(vocabulary.denominators.max()) // np.maximum(vocabulary.denominators, 1)).tolist()
        for kind, values in ((POSITION, np.arange), (PITCH, np.arange), (DRUM_PITCH, np.arange), (PROGRAM, _programs)):
            ids = vocabulary.of_type(kind)
            if not np.array_equal(vocabulary.values[ids], values(len(ids))) or ids[-1] - ids[0] + 1 != len(ids):
                raise ValueError(f"ids of {kind.name} must follow each other by value")  # what the slices below rely on
        self.first_position, self.first_program = int(vocabulary.of_type(POSITION)[0]), int(vocabulary.of_type(PROGRAM)[0])
        self.first_pitch = {False: int(vocabulary.of_type(PITCH)[0]), True: int(vocabulary.of_type(DRUM_PITCH)[0])}
        rows = {kind: vocabulary.types == kind for kind in TokenType}
        self._nothing = np.zeros(len(vocabulary), dtype=bool)
        self._tempos = rows[TEMPO]
        self._rows: dict[TokenType | None, np.ndarray] = {
            None: rows[BOS], BOS: rows[BAR], BAR: rows[TIME_SIGNATURE], TIME_SIGNATURE: rows[BAR], POSITION: rows[TEMPO] | rows[PROGRAM],
            TEMPO: rows[BAR] | rows[PROGRAM], PITCH: rows[VELOCITY], DRUM_PITCH: rows[VELOCITY], VELOCITY: rows[DURATION],
            DURATION: rows[BAR] | rows[EOS],
        }  # fmt: skip

    def advance(self, state: AutomatonState, id_: int) -> None:
        """Move `state` past token `id_`."""
        kind, value = self.kinds[id_], self.numbers[id_]
        state.tokens_in_bar += 1
        if kind is PITCH or kind is DRUM_PITCH:
            state.pitch = value
        elif kind is DURATION:
            state.duration = value
            state.notes_in_bar, state.notes_at_onset = state.notes_in_bar + 1, state.notes_at_onset + 1
        elif kind is PROGRAM:
            if value != state.program:
                state.program, state.pitch = value, -1
        elif kind is POSITION:
            state.position, state.program, state.pitch, state.notes_at_onset = value, -2, -1, 0
        elif kind is BAR:
            if state.bars:
                state.bar_start, state.previous_bar_empty = state.bar_end, state.notes_in_bar == 0
            state.bars, state.position, state.notes_in_bar, state.tokens_in_bar = state.bars + 1, -1, 0, 0
        elif kind is TIME_SIGNATURE:
            state.bar_length, state.step = value, self.steps[id_]
        elif kind is TEMPO:
            state.tempo = id_
        elif kind is BOS:
            state.bars, state.bar_length, state.position, state.tempo, state.bar_start = 0, 0, -1, -1, 0
        state.last = kind

    def legal(self, state: AutomatonState) -> np.ndarray:
        """The ids that may follow, bool (V,), a new array. After EOS nothing may; PAD never."""
        last = state.last
        row = self._rows.get(last, self._nothing).copy()
        if last is PROGRAM:
            first = self.first_pitch[state.program == DRUMS]
            row[first + state.pitch + 1 : first + 128] = True
        elif last is DURATION:
            self._later_positions(row, state)
            rank = DRUM_RANK if state.program == DRUMS else state.program
            row[self.first_program + rank + (state.pitch >= 127) : self.first_program + DRUM_RANK + 1] = True
        elif last is TIME_SIGNATURE and state.tempo < 0 and state.bars == 1:
            row[:] = False
            row[self.first_position] = True
        elif last is TIME_SIGNATURE or last is TEMPO:
            self._later_positions(row, state)
        elif last is POSITION:
            if state.tempo >= 0:
                row[state.tempo] = False
            elif state.bars == 1:
                row &= self._tempos
        return row

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

    def _later_positions(self, row: np.ndarray, state: AutomatonState) -> None:
        row[self.first_position + state.position + 1 : self.first_position + state.bar_length] = True


def _programs(count: int) -> np.ndarray:
    """Programs in the order of their ids: 0 to 127, then drums."""
    return np.append(np.arange(count - 1), DRUMS)
