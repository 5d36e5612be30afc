"""The mask of one stream, token by token: the grammar, and the rules of a continuation.

A token costs the same however long the stream is: a row of the automaton, and slices of it taken away.
Whatever the rules are, something is always left, because what could end in a dead end is not begun:
    a position is offered where some program may begin a note (polyphony) and where the shortest note still fits;
    a note of a program with bounded polyphony ends before the next bar does, a last bar's note with the bar;
    where a bar would be one exact repetition too many, its last note gets another length, or the bar gets another note.
"""

import heapq

import numpy as np

from symbolic.generation.contradictions import rank
from symbolic.generation.repetition import BarHistory
from symbolic.generation.restriking import Restrikes
from symbolic.generation.rules import Rules
from symbolic.tokenizers.automaton import (
    BAR,
    BOS,
    DRUM_PITCH,
    DRUM_RANK,
    DURATION,
    PITCH,
    PROGRAM,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    AutomatonState,
    TokenAutomaton,
)  # fmt: skip

MAX_NOTES_AT_ONSET = 24
MAX_TOKENS_IN_BAR = 2048


class StreamMask:
    """Which ids one stream may take next under its `rules`. It is told every token by `follow`, those of the prompt first."""

    def __init__(self, automaton: TokenAutomaton, rules: Rules, history: bool = False) -> None:
        """`history` keeps the bars also when no rule asks for them: `repeated` is then what the stream repeats."""
        vocabulary = automaton.vocabulary
        self.automaton, self.rules, self.state = automaton, rules, AutomatonState()
        self.unkept = 0
        self._eos, self._bar = vocabulary.eos, vocabulary.bar
        self._beat = vocabulary.positions_per_beat
        self._allowed = np.ones(len(vocabulary), dtype=bool)
        if not rules.meter_free:
            self._allowed[vocabulary.of_type(TIME_SIGNATURE)] = False
            self._allowed[rules.meter] = True
        self._allowed[vocabulary.of_type(PROGRAM)] = rules.pitches.any(axis=1)
        self._tempos = vocabulary.of_type(TEMPO)
        self._rows = np.flatnonzero(rules.pitches.any(axis=1)).tolist()
        self._tops = np.where(rules.pitches.any(axis=1), 127 - rules.pitches[:, ::-1].argmax(axis=1), -1).tolist()
        self._pitches: dict[int, np.ndarray] = {}
        for row in self._rows:
            kind = DRUM_PITCH if row == DRUM_RANK else PITCH
            self._pitches[row] = np.zeros(len(vocabulary), dtype=bool)
            self._pitches[row][vocabulary.of_type(kind)] = rules.pitches[row]
        durations = vocabulary.of_type(DURATION)
        self._durations, self._lengths = durations[0], vocabulary.values[durations]
        if (np.diff(self._lengths) <= 0).any():
            raise ValueError("durations must ascend with their ids")
        self._shortest = int(self._lengths[0])
        self._meters = vocabulary.of_type(TIME_SIGNATURE)
        self._meter_steps = np.array([automaton.steps[id_] for id_ in self._meters])
        self._meter_lengths = vocabulary.values[self._meters]
        self._home = home = int(np.flatnonzero(self._meters == rules.meter)[0])
        self._home_ticks, self._home_step = int(self._meter_lengths[home] * self._meter_steps[home]), int(self._meter_steps[home])
        self._free = any(row not in rules.polyphony for row in self._rows)
        self._sounding: dict[int, list[int]] = {row: [] for row in rules.polyphony}
        self._latest = 0
        self._last_heard: dict[int, int] = {}
        self._beat_notes: tuple[int, int, int] = (0, 0, 0)
        self._history = BarHistory(rules.max_repeat) if history or rules.max_repeat is not None else None
        self._no_leaning = np.zeros(len(vocabulary))
        self._restrikes = Restrikes()
        self._pitch_ids = dict(zip(vocabulary.values[pitches := vocabulary.of_type(PITCH)].tolist(), pitches.tolist(), strict=True))

    @property
    def repeated(self) -> int:
        """How many of the last new bars in a row repeat earlier ones exactly; 0 without a history."""
        return self._history.run if self._history else 0

    def read(self, prompt: np.ndarray) -> None:
        """Follow a prompt, which ends with a new bar opened."""
        for id_ in prompt.tolist():
            self.follow(id_)

    def legal(self) -> np.ndarray:
        """Ids that may follow, bool (V,), never all False before the end; a Bar or EOS offered in the last bar means the end."""
        state, last = self.state, self.state.last
        mask = self.automaton.legal(state)
        mask &= self._allowed
        if last is PROGRAM:
            mask &= self._pitches[rank(state.program)]
        elif last is VELOCITY:
            self._bound_durations(mask)
        elif last is PITCH or last is DRUM_PITCH:
            if self.rules.velocities:
                mask &= self.rules.velocities[rank(state.program)]
        elif last is BAR:
            if self.rules.meter_free:
                self._bound_meters(mask)
        elif last is not None and last is not BOS:
            self._bound_onsets(mask, state)
        return mask

    def leaning(self) -> np.ndarray:
        """What is added to the logits here, float64 (V,)."""
        if self.state.last is not PROGRAM:
            return self._no_leaning
        row = rank(self.state.program)
        leaning = self.rules.leanings.get(row, self._no_leaning)
        if self.rules.closing is not None and self.state.bars >= self.rules.ending.bars:
            return leaning + self.rules.closing
        if self.rules.likeness and row in self.rules.pitched and (again := self._restrikes.leaning(row, self.state.time)):
            leaning = leaning.copy()
            leaning[[self._pitch_ids[pitch] for pitch in again]] += self.rules.likeness * np.array(list(again.values()))
        return leaning

    def follow(self, id_: int) -> None:
        """Move past token `id_`."""
        state = self.state
        self.automaton.advance(state, id_)
        if state.last is DURATION:
            row, end = rank(state.program), state.time + state.duration * state.step
            if state.bars > self.rules.seed_bars:
                self._last_heard[row] = state.bars
            if row in self.rules.pitched:
                self._restrikes.add(row, state.time, state.pitch, counted=state.bars <= self.rules.seed_bars)
            self._latest = max(self._latest, end)
            if row in self._sounding:
                ends = self._sounding[row]
                heapq.heappush(ends, end) if len(ends) < self.rules.polyphony[row] else heapq.heappushpop(ends, end)
            beat = state.position // self._beat
            count = self._beat_notes[2] if self._beat_notes[:2] == (state.bars, beat) else 0
            self._beat_notes = (state.bars, beat, count + 1)
            if self._history:
                self._history.add((state.position, state.program, state.pitch, state.duration))
        elif self._history:
            if state.last is BAR and state.bars > 1:
                self._history.close()
            elif state.last is TIME_SIGNATURE:
                if state.bars == self.rules.seed_bars + 1:
                    self._history.begin()
                self._history.open(id_)

    def ends(self, id_: int) -> bool:
        """Whether `id_`, drawn here, closes the last bar; it is not part of the result."""
        ending = self.rules.ending
        return (id_ == self._bar or id_ == self._eos) and self.state.bars >= (ending.bars if ending.pause is None else ending.pause)

    def _bound_onsets(self, mask: np.ndarray, state: AutomatonState) -> None:
        """Which bar, position, tempo, program may come after a meter, a position, a tempo or a note."""
        rules, last_bar = self.rules, state.bars >= self.rules.ending.bars
        first_position, first_program = self.automaton.first_position, self.automaton.first_program
        position = first_position + state.position
        if not rules.tempo_free and (state.tempo >= 0 or state.bars > 1):
            mask[self._tempos] = False
        if not last_bar:
            mask[self._eos] = False
        else:
            mask[first_position + state.bar_length - self._shortest + 1 : first_position + state.bar_length] = False
        if last_bar and state.last is not DURATION:
            mask[self._bar] = False
        if state.notes_in_bar == 0 and (last_bar or (state.previous_bar_empty and state.bars > rules.seed_bars + 1)):
            mask[self._bar] = mask[self._eos] = False
        beat_full = False
        if rules.notes_per_beat is not None:
            beat = max(state.position, 0) // self._beat
            if self._beat_notes[:2] == (state.bars, beat) and self._beat_notes[2] >= rules.notes_per_beat:
                mask[first_position + beat * self._beat : first_position + (beat + 1) * self._beat] = False
                mask[first_program : first_program + DRUM_RANK + 1] = False
                beat_full = True
        due = [] if beat_full else self._due(state)
        if self._sounding:
            self._bound_polyphony(mask, state)
        if state.last is DURATION:
            if state.pitch >= self._tops[rank(state.program)]:
                mask[first_program + rank(state.program)] = False
            if state.notes_at_onset >= MAX_NOTES_AT_ONSET and not due:
                mask[first_program : first_program + DRUM_RANK + 1] = False
        if due:
            mask[self._bar] = mask[self._eos] = False
            mask[max(position, first_position) + 1 : first_position + state.bar_length] = False
            mask[first_program + due[0] + 1 : first_program + DRUM_RANK + 1] = False
        if self._history and (mask[self._bar] or mask[self._eos]) and self._history.is_repeated():
            closes = mask[self._bar], mask[self._eos]
            mask[self._bar] = mask[self._eos] = False
            if not mask.any():
                mask[self._bar], mask[self._eos] = closes
                self.unkept += 1
        elif state.tokens_in_bar >= MAX_TOKENS_IN_BAR and mask[self._bar]:
            closes = mask[self._bar], mask[self._eos]
            mask[:] = False
            mask[self._bar], mask[self._eos] = closes

    def _bound_polyphony(self, mask: np.ndarray, state: AutomatonState) -> None:
        """Programs that sound as often as they may are not offered, nor positions at which all still do."""
        now, first_program = state.time, self.automaton.first_program
        earliest = None if self._free else min(self._available(row) for row in self._rows)
        for row in self._sounding:
            if self._available(row) > now:
                mask[first_program + row] = False
        if earliest is not None and earliest > state.bar_start:
            steps = -(-(earliest - state.bar_start) // state.step)
            mask[self.automaton.first_position : self.automaton.first_position + min(steps, state.bar_length)] = False

    def _bound_durations(self, mask: np.ndarray) -> None:
        """No note sounds past the end, nor past the next bar where its program waits for it; no repetition too many is completed."""
        state, rules = self.state, self.rules
        bars_left = rules.ending.bars - state.bars
        end = self._end_of_stream(bars_left)
        if rank(state.program) in self._sounding and bars_left > 0:
            end = min(end, state.bar_end + self._home_ticks - self._shortest * self._home_step)
        fitting = int(np.searchsorted(self._lengths, (end - state.time) // state.step, side="right"))
        first = int(self._durations)
        mask[first + fitting : first + len(self._lengths)] = False
        if self._history:
            barred = self._history.last_durations(state.position, state.program, state.pitch)
            ids = first + np.searchsorted(self._lengths, barred)
            if len(barred) and np.count_nonzero(mask) > np.count_nonzero(mask[ids]):
                mask[ids] = False

    def _end_of_stream(self, bars_left: int) -> int:
        """The tick of the last bar line, so many bars after this one."""
        return self.state.bar_end + bars_left * self._home_ticks

    def _bound_meters(self, mask: np.ndarray) -> None:
        """In a free meter: the bar is long enough for what sounds into it, and for someone to begin a note in it."""
        state = self.state
        start, bars_left = state.bar_start, self.rules.ending.bars - state.bars
        lengths, steps = self._meter_lengths * self._meter_steps, self._meter_steps
        fits = start + lengths + bars_left * self._home_ticks >= self._latest
        if not self._free:
            waiting = max(min(self._available(row) for row in self._rows) - start, 0)
            fits &= -(-waiting // steps) + self._shortest <= self._meter_lengths
        fits[self._home] = True
        mask[self._meters] &= fits

    def _available(self, row: int) -> int:
        """The tick from which a program may begin another note."""
        ends = self._sounding.get(row)
        return ends[0] if ends is not None and len(ends) >= self.rules.polyphony[row] else 0

    def _due(self, state: AutomatonState) -> list[int]:
        """Players that have rested long enough and must sound at the beginning of this bar, lowest row first."""
        if state.position > 0:
            return []
        return [
            row
            for row in self.rules.players
            if state.bars - self._last_heard.get(row, self.rules.seed_bars) > self.rules.max_rest and self._available(row) <= state.time
        ]
