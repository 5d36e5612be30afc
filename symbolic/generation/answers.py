"""Masks of what is asked for in the middle of a piece: free bars in given meters, new pitches on a given rhythm, a new rhythm for pitches.

Each has what `sampling.sample` needs of a mask: `read`, `legal`, `leaning`, `follow`, `ends`, `state`, `repeated`, `unkept`.
"""

from collections.abc import Sequence

import numpy as np

from symbolic.generation.contradictions import rank
from symbolic.generation.mask import StreamMask
from symbolic.generation.rules import Rules
from symbolic.tokenizers.automaton import BAR, DURATION, PITCH, POSITION, PROGRAM, TIME_SIGNATURE, AutomatonState, TokenAutomaton
from symbolic.tokenizers.vocabulary import TokenType


class BarsMask(StreamMask):
    """So many bars in the meters given, one after another, under the rules of a continuation; with `rests` they may be empty."""

    def __init__(self, automaton: TokenAutomaton, rules: Rules, meters: Sequence[int], rests: bool) -> None:
        super().__init__(automaton, rules)
        vocabulary = automaton.vocabulary
        self._wanted, self._rests = list(meters), rests
        self._allowed[self._wanted] = True
        self._given = vocabulary.of_type(TokenType.GIVEN)
        self._ticks = [int(vocabulary.values[id_]) * automaton.steps[id_] for id_ in self._wanted]

    def legal(self) -> np.ndarray:
        """As of a continuation; a Given offered in the last bar means the end."""
        mask = super().legal()
        if self.state.last is BAR:
            mask[:] = False
            mask[self._wanted[self.state.bars - self.rules.seed_bars - 1]] = True
            return mask
        if self._rests and self.state.last in (TIME_SIGNATURE, DURATION):
            mask[self._bar] = True
        if self.state.bars >= self.rules.ending.bars and (mask[self._bar] or mask[self._eos]):
            mask[self._given] = True
        return mask

    def ends(self, id_: int) -> bool:
        """Whether `id_` closes the last bar."""
        return super().ends(id_) or id_ in self._given

    def _end_of_stream(self, bars_left: int) -> int:
        return self.state.bar_end + sum(self._ticks[len(self._ticks) - bars_left :])


class ScriptMask:
    """What both kinds of scripts share: the grammar's state, and an end after the last bar."""

    unkept = repeated = 0

    def __init__(self, automaton: TokenAutomaton, leanings: dict[int, np.ndarray], compasses: dict[int, tuple[int, int]]) -> None:
        vocabulary = automaton.vocabulary
        self.automaton, self.vocabulary, self.state = automaton, vocabulary, AutomatonState()
        self._leanings, self._none = leanings, np.zeros(len(vocabulary))
        self._compasses = compasses
        self._enders = [vocabulary.bar, vocabulary.eos, *vocabulary.of_type(TokenType.GIVEN).tolist()]

    def read(self, prompt: np.ndarray) -> None:
        """Follow a prompt, which ends with the first bar of the answer opened."""
        for id_ in prompt.tolist():
            self.automaton.advance(self.state, id_)

    def leaning(self) -> np.ndarray:
        """What is added to the logits here, float64 (V,)."""
        return self._leanings.get(rank(self.state.program), self._none) if self.state.last is PROGRAM else self._none

    def follow(self, id_: int) -> None:
        """Move past token `id_`."""
        self.automaton.advance(self.state, id_)

    def _only(self, ids: Sequence[int]) -> np.ndarray:
        mask = np.zeros(len(self.vocabulary), dtype=bool)
        mask[list(ids)] = True
        return mask


class RhythmMask(ScriptMask):
    """New pitches for given notes: every token is that of the script, but pitches are free within each program's compass.

    Pitches of one onset and program ascend, and leave room for those that follow; one that still sounds is struck again only where
    no other is left. Unpitched programs keep theirs.
    """

    def __init__(
        self, automaton: TokenAutomaton, script: np.ndarray, leanings: dict[int, np.ndarray], compasses: dict[int, tuple[int, int]],
        fixed: Sequence[int],
    ) -> None:  # fmt: skip
        """`script` is the answer as the seed has it, from behind its first TimeSig; `fixed` are programs that keep their pitches."""
        super().__init__(automaton, leanings, compasses)
        self.script, self.place, self._fixed = script.tolist(), 0, set(fixed)
        self._sounding: dict[int, dict[int, int]] = {}  # by program, until when each pitch sounds
        types, values = self.vocabulary.types[script], self.vocabulary.values[script]
        self._ahead: dict[int, int] = {}  # at each pitch: how many notes of the same onset and program follow
        for place in np.flatnonzero(types == PITCH)[::-1].tolist():
            following = place + 4
            chord = following < len(script) and types[following] == PITCH and values[following - 1] == values[place - 1]
            self._ahead[place] = self._ahead[following] + 1 if chord else 0

    def legal(self) -> np.ndarray:
        """Ids that may follow, bool (V,)."""
        if self.place >= len(self.script):
            return self._only(self._enders)
        id_ = self.script[self.place]
        if self.automaton.kinds[id_] is not PITCH or self.state.program in self._fixed:
            return self._only([id_])
        low, high = self._compasses.get(self.state.program, (0, 127))
        ahead, first = self._ahead[self.place], self.automaton.first_pitch[False]
        low = max(low, self.state.pitch + 1)
        high = max(min(high, 127) - ahead, low)
        every = range(low, min(high, 127 - ahead) + 1)
        ends, now = self._sounding.get(self.state.program, {}), self.state.time
        silent = [pitch for pitch in every if ends.get(pitch, 0) <= now]
        return self._only([first + pitch for pitch in silent or every])

    def follow(self, id_: int) -> None:
        """Move past token `id_`."""
        super().follow(id_)
        self.place += 1
        state = self.state
        if state.last is DURATION:
            ends = self._sounding.setdefault(state.program, {})
            ends[state.pitch] = max(ends.get(state.pitch, 0), state.time + state.duration * state.step)

    def read(self, prompt: np.ndarray) -> None:
        """Follow a prompt, which ends with the first bar of the answer opened."""
        super().read(prompt)
        self.place, self._sounding = 0, {}

    def ends(self, id_: int) -> bool:
        """Whether `id_` closes the last bar."""
        return self.place >= len(self.script) and id_ in self._enders


class PitchesMask(ScriptMask):
    """A new rhythm for given pitches: in each bar its notes come in their order, at positions and for durations that are free.

    There is always a position left for each note to come, and no note sounds past the last bar.
    """

    def __init__(
        self, automaton: TokenAutomaton, notes: Sequence[Sequence[tuple[int, int]]], meters: Sequence[int], first_bar: int,
        velocities: Sequence[int],
    ) -> None:  # fmt: skip
        """`notes`: for each bar (program id, pitch id) in order; `first_bar`: bars of the stream before the answer's second."""
        super().__init__(automaton, {}, {})
        self.notes, self.meters, self.first_bar = [list(bar) for bar in notes], list(meters), first_bar
        self.done = 0
        vocabulary = self.vocabulary
        self._velocities = self._only(velocities)
        durations = vocabulary.of_type(DURATION)
        self._durations, self._lengths = durations, vocabulary.values[durations]

    def _left(self) -> list[tuple[int, int]]:
        return self.notes[self.state.bars - self.first_bar - 1][self.done :]

    def legal(self) -> np.ndarray:
        """Ids that may follow, bool (V,)."""
        state, last = self.state, self.state.last
        bar = state.bars - self.first_bar - 1
        if last is BAR:
            return self._only([self.meters[bar]])
        left = self._left()
        if last is PROGRAM:
            return self._only([left[0][1]])
        if last is POSITION:
            return self._only([left[0][0]])
        if last is PITCH:
            return self._velocities.copy()
        if last is TokenType.VELOCITY:
            end = state.bar_end + sum(int(self.vocabulary.values[id_]) * self.automaton.steps[id_] for id_ in self.meters[bar + 1 :])
            fitting = self._lengths * state.step <= end - state.time
            fitting[0] = True
            return self._only(self._durations[fitting])
        if not left:
            return self._only(self._enders if bar == len(self.meters) - 1 else [self.vocabulary.bar])
        mask = np.zeros(len(self.vocabulary), dtype=bool)
        latest = state.bar_length - self._onsets_needed(left)
        first = self.automaton.first_position
        mask[first + state.position + 1 : first + latest + 1] = True
        if last is DURATION and self._in_order(left[0]):
            mask[left[0][0]] = True
        return mask

    def follow(self, id_: int) -> None:
        """Move past token `id_`."""
        super().follow(id_)
        if self.state.last is DURATION:
            self.done += 1
        elif self.state.last is BAR:
            self.done = 0

    def read(self, prompt: np.ndarray) -> None:
        """Follow a prompt, which ends with the first bar of the answer opened."""
        super().read(prompt)
        self.done = 0

    def ends(self, id_: int) -> bool:
        """Whether `id_` closes the last bar."""
        return self.state.bars - self.first_bar == len(self.meters) and not self._left() and id_ in self._enders

    def _in_order(self, note: tuple[int, int]) -> bool:
        """Whether the note may stand at the onset of the last one: programs do not descend, pitches of one ascend."""
        program, pitch = (self.automaton.numbers[id_] for id_ in note)
        return rank(program) > rank(self.state.program) or (program == self.state.program and pitch > self.state.pitch)

    def _onsets_needed(self, left: list[tuple[int, int]]) -> int:
        """Positions that the notes to come need at least, if each that can joins the one before; from the next onset on."""
        needed, before = 1, left[0]
        for note in left[1:]:
            (program, pitch), (last_program, last_pitch) = ([self.automaton.numbers[id_] for id_ in pair] for pair in (note, before))
            needed += not (rank(program) > rank(last_program) or (program == last_program and pitch > last_pitch))
            before = note
        return needed
