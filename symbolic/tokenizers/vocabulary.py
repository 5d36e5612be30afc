"""The vocabulary as arrays: what type a token is of, and which value it has.

Types are the REMI alphabet in the order of `TokenType`; values are the field's own numbers:
positions in grid steps, MIDI pitches, programs (-1 for drums), velocities, durations and bar lengths in grid steps, quarter notes a minute;
bars that Later leads on, places of tasks in `names.TASKS`.
"""

from enum import IntEnum

import numpy as np

from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.names import TASKS


class TokenType(IntEnum):
    """The kinds of tokens, numbered as in `Vocabulary.types`."""

    PAD = 0
    BOS = 1
    EOS = 2
    BAR = 3
    TIME_SIGNATURE = 4
    POSITION = 5
    TEMPO = 6
    PROGRAM = 7
    PITCH = 8
    DRUM_PITCH = 9
    VELOCITY = 10
    DURATION = 11
    GIVEN = 12
    ANSWER = 13
    HIDDEN = 14
    LATER = 15
    TASK = 16


TYPE_NAMES = {
    "PAD": TokenType.PAD,
    "BOS": TokenType.BOS,
    "EOS": TokenType.EOS,
    "Bar": TokenType.BAR,
    "TimeSig": TokenType.TIME_SIGNATURE,
    "Position": TokenType.POSITION,
    "Tempo": TokenType.TEMPO,
    "Program": TokenType.PROGRAM,
    "Pitch": TokenType.PITCH,
    "PitchDrum": TokenType.DRUM_PITCH,
    "Velocity": TokenType.VELOCITY,
    "Duration": TokenType.DURATION,
    "Given": TokenType.GIVEN,
    "Answer": TokenType.ANSWER,
    "Hidden": TokenType.HIDDEN,
    "Later": TokenType.LATER,
    "Task": TokenType.TASK,
}


class Vocabulary:
    """Arrays over ids, shape (V,): `types`, `values`, and for time signatures `numerators` and `denominators`.

    `tokens` are MidiTok's own names ("Pitch_60"), position = id.
    """

    def __init__(self, tokens: list[str], positions_per_beat: int) -> None:
        self.tokens = tokens
        self.positions_per_beat = positions_per_beat
        self.types = np.zeros(len(tokens), dtype=np.int8)
        self.values = np.zeros(len(tokens), dtype=np.int32)
        self.tempos = np.zeros(len(tokens), dtype=np.float64)
        self.numerators = np.zeros(len(tokens), dtype=np.int32)
        self.denominators = np.zeros(len(tokens), dtype=np.int32)
        for id_, token in enumerate(tokens):
            name, _, value = token.partition("_")
            self.types[id_] = kind = TYPE_NAMES[name]
            if kind is TokenType.TIME_SIGNATURE:
                self.numerators[id_], self.denominators[id_] = (int(part) for part in value.split("/"))
                self.values[id_] = self.numerators[id_] * positions_per_beat
            elif kind is TokenType.DURATION:
                beats, steps, resolution = (int(part) for part in value.split("."))
                self.values[id_] = (beats * resolution + steps) * positions_per_beat // resolution
            elif kind is TokenType.TEMPO:
                self.tempos[id_] = float(value)
            elif kind is TokenType.TASK:
                self.values[id_] = TASKS.index(value)
            elif value not in ("", "None"):
                self.values[id_] = int(value)
        single = (TokenType.PAD, TokenType.BOS, TokenType.EOS, TokenType.BAR)
        self.pad, self.bos, self.eos, self.bar = (int(self.of_type(kind)[0]) for kind in single)
        self.max_beats = int(self.numerators.max())
        self._unpitched = (self.types == TokenType.PROGRAM) & np.isin(self.values, UNPITCHED_PROGRAMS)
        self._tables: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def of_type(self, kind: TokenType) -> np.ndarray:
        """Ids of one type, ascending, shape (n,)."""
        return np.flatnonzero(self.types == kind)

    def transposition_table(self, semitones: int) -> np.ndarray:
        """Id of every token moved by `semitones`, shape (V,), read-only; drums and all but pitches stay.

        A pitch that would leave 0..127 maps to itself: ask `shift_range` first.
        Example: with semitones=2 the id of Pitch_60 becomes the id of Pitch_62, PitchDrum_38 stays.
        """
        if semitones not in self._tables:
            table = np.arange(len(self), dtype=np.int64)
            pitches = self.of_type(TokenType.PITCH)
            by_pitch = dict(zip(self.values[pitches].tolist(), pitches.tolist(), strict=True))
            for id_ in pitches:
                table[id_] = by_pitch.get(int(self.values[id_]) + semitones, id_)
            table.flags.writeable = False
            self._tables[semitones] = table
        return self._tables[semitones]

    def transpose_ids(self, ids: np.ndarray, semitones: int) -> np.ndarray:
        """`ids` (T,) moved by `semitones`, in their own dtype: the table's ids, but pitches after an unpitched program stay.

        The same as encoding the transposed score. A pitch at the very beginning, without its program, counts as pitched.
        """
        moved = self.transposition_table(semitones)[ids].astype(ids.dtype, copy=False)
        noises = np.flatnonzero(self._unpitched[ids[:-1]]) + 1
        moved[noises] = ids[noises]
        return moved

    def shift_range(self, ids: np.ndarray, lowest: int = -5, highest: int = 6) -> tuple[int, int]:
        """The transpositions within lowest..highest (one octave, all twelve keys) that keep every pitch they move in 0..127."""
        moving = self.types[ids] == TokenType.PITCH
        moving[1:] &= ~self._unpitched[ids[:-1]]
        pitches = self.values[ids[moving]]
        if not len(pitches):
            return 0, 0
        return max(lowest, -int(pitches.min())), min(highest, 127 - int(pitches.max()))
