"""Writing in the middle: a piece rearranged so that what is given comes first and what is asked for comes last.

    continue    BOS bars… EOS                                                  music as it is
    fill        BOS bars… Given Later_n bars-after… Answer bars n-bars… EOS    a gap with both its sides; the last bars before it come last
                … Later_m bars… Given Later_n bars-after… Answer …             in training more gaps follow; m bars are known already
    accompany   BOS Task_Accompany Program (Given bars Answer bars)… EOS       one program, the others given
    harmonise   BOS Task_Harmonise (Given … Answer …)… EOS                     all else, the melody given
    melody      BOS Task_Melody (Given … Answer …)… EOS                        the melody, all else given
    rhythm      BOS Task_Rhythm (Given … Answer …)… EOS                        pitches, given notes with Hidden in the pitch's place
    pitches     BOS Task_Pitches (Given … Answer …)… EOS                       rhythm, given Program and Pitch of each bar's notes

An answer has the bars of what was given (of the gap), its own notes and no tempos. Beats keep their true place: Later_n leads n bars
on, Answer back to where Given stood. What is given in turns of a few bars stays within the memory, however long the piece.
Drums are given as they are where pitches or rhythm are asked for, and left out beside a melody.
Source: Bavarian et al., "Efficient Training of Language Models to Fill in the Middle" (2022); Thickstun et al., "Anticipatory Music
Transformer" (2023). On purpose other: beats and bars of the true place, exact lengths of gaps.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.names import DRUMS, LONGEST_LATER, TASKS
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

TURN, TURN_TOKENS = 2, 96
"""Bars given before as many are asked for, fewer where they have more tokens."""
CONTINUE, FILL = "continue", "fill"
KINDS = (CONTINUE, FILL, *(task.lower() for task in TASKS))
MIXTURE = {CONTINUE: 0.4, FILL: 0.25, "accompany": 0.12, "harmonise": 0.06, "melody": 0.07, "rhythm": 0.05, "pitches": 0.05}
"""Weights of pieces in training, where nothing else is asked for."""
NOTE = 4  # Program Pitch Velocity Duration
LONGEST_GAP, GAP_TOKENS, LONGEST_AFTER, AFTER_TOKENS, LONGEST_LEAD, LEAD_TOKENS = 8, 384, 64, 2048, 4, 128  # bars, and tokens
FEWEST_AFTER_TOKENS = 64
"""In training what is told behind a gap has at most a number of tokens drawn from here to `AFTER_TOKENS`, evenly in its logarithm."""
LONGEST_BEFORE, LONGEST_BETWEEN, FEWEST_AROUND = 24, 8, 3


@dataclass(frozen=True)
class Arranger:
    """Rearranges the ids of pieces of one vocabulary, which must have the tokens of tasks."""

    vocabulary: Vocabulary
    fewest_notes: int = 8
    """That must be given, and asked for."""

    def arranged(self, ids: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray:
        """A piece BOS … EOS for a task of `KINDS`, with the choices it needs drawn; as it is where it has not what the task needs."""
        if kind == CONTINUE:
            return ids
        found = self._gaps(ids, generator) if kind == FILL else self._task(ids, kind, generator)
        return ids if found is None else found.astype(ids.dtype)

    def filling(self, before: np.ndarray, after: np.ndarray, bars: int) -> np.ndarray:
        """What stands before the answer when `bars` bars between two streams are asked for: BOS … Answer and the last bars before."""
        return np.concatenate(([self.vocabulary.bos], self._around(before, after, bars)))

    def answer(self, bars: np.ndarray) -> np.ndarray:
        """The bars of a gap as they are asked for, without tempos."""
        every = np.ones(int((self.vocabulary.types[bars] == TokenType.PROGRAM).sum()), dtype=bool)
        return bars[self.choose(bars, every, tempos=False)]

    def _around(self, before: np.ndarray, after: np.ndarray, bars: int) -> np.ndarray:
        """The bars before a gap; what lies behind it is told a few bars early, so that the gap follows what stands right before it."""
        starts = (self.vocabulary.types[before] == TokenType.BAR).nonzero()[0][-LONGEST_LEAD:]
        near = starts[len(before) - starts <= LEAD_TOKENS]
        lead = int(near[0] if len(near) else starts[-1]) if len(starts) else len(before)
        led = int((starts >= lead).sum()) + bars
        marks = ([self._id(TokenType.GIVEN)], [self._id(TokenType.ANSWER)])
        return np.concatenate((before[:lead], marks[0], self._led(led), after, marks[1], before[lead:]))

    def _led(self, bars: int) -> np.ndarray:
        """The tokens that lead `bars` bars on."""
        steps = [min(LONGEST_LATER, bars - led) for led in range(0, bars, LONGEST_LATER)]
        return np.array([self._id(TokenType.LATER, step) for step in steps], dtype=np.int64)

    def near(self, bars: np.ndarray, tokens: int = AFTER_TOKENS) -> np.ndarray:
        """The bars that follow a gap as far as they are given: the first, and more while they are few and have at most `tokens`."""
        starts = (self.vocabulary.types[bars] == TokenType.BAR).nonzero()[0][1 : LONGEST_AFTER + 1]
        stops = np.append(starts, len(bars))[:LONGEST_AFTER]
        return bars[: stops[max(1, int((stops <= tokens).sum())) - 1]]

    def turns(self, shown: np.ndarray, bars: np.ndarray, given: np.ndarray, asked: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For every few bars: Given, the tokens of `shown` that `given` chooses, Answer; and those of `bars` that `asked` chooses.

        `shown` is the stream `bars` or, token for token, what is shown of it.
        """
        starts = self._turn_starts((self.vocabulary.types[bars] == TokenType.BAR).nonzero()[0], given)
        marks = [self._id(TokenType.GIVEN)], [self._id(TokenType.ANSWER)]
        for start, stop in itertools.pairwise(starts.tolist()):
            turn = slice(start, stop)
            yield np.concatenate((marks[0], shown[turn][given[turn]], marks[1])), bars[turn][asked[turn]]

    def _turn_starts(self, bar_lines: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Where turns begin, and the end: every `TURN` bars, or before a bar that would make more than `TURN_TOKENS` tokens given."""
        told = np.append(0, given.cumsum())[np.append(bar_lines, len(given))]
        starts = [0]
        for bar in range(1, len(bar_lines)):
            if bar - starts[-1] == TURN or told[bar + 1] - told[starts[-1]] > TURN_TOKENS:
                starts.append(bar)
        return np.append(bar_lines[starts], len(given))

    def task(self, kind: str, program: int | None = None) -> list[int]:
        """BOS and the task's name, for accompany also the program."""
        names = [self.vocabulary.bos, self._id(TokenType.TASK, [task.lower() for task in TASKS].index(kind))]
        return names if program is None else [*names, self._id(TokenType.PROGRAM, program)]

    def hidden(self, bars: np.ndarray) -> np.ndarray:
        """The stream with Hidden in the place of every pitch that is not of drums."""
        return np.where(self.vocabulary.types[bars] == TokenType.PITCH, self._id(TokenType.HIDDEN), bars)

    def choose(self, bars: np.ndarray, notes: np.ndarray, *, tempos: bool) -> np.ndarray:
        """Which tokens tell the chosen `notes` (bool, one for each note) in their bars, bool (T,): positions without any are left out."""
        types = self.vocabulary.types[bars]
        kept = (types == TokenType.BAR) | (types == TokenType.TIME_SIGNATURE) | ((types == TokenType.TEMPO) & tempos)
        starts = (types == TokenType.PROGRAM).nonzero()[0][notes]
        kept[(starts[:, None] + np.arange(NOTE)).ravel()] = True
        onsets = (types == TokenType.POSITION).nonzero()[0]
        if len(onsets):
            last = np.append(onsets[1:], len(bars))
            content = np.concatenate(([0], (kept & (types >= TokenType.TEMPO)).cumsum()))
            kept[onsets] = content[last] > content[onsets]
        return kept

    def melody(self, bars: np.ndarray) -> np.ndarray:
        """Which notes are the melody, bool (N,): of the program that lies highest, the top note of each onset."""
        onset, program, pitch, duration = self._notes(bars)
        pitched = program != DRUMS
        if not pitched.any():
            return np.zeros(len(program), dtype=bool)
        weight = np.bincount(program[pitched], duration[pitched])
        height = np.bincount(program[pitched], duration[pitched] * pitch[pitched]) / np.maximum(weight, 1)
        of_lead = program == int(np.argmax(np.where(weight > 0, height, -1)))
        top = np.zeros(int(onset[-1]) + 1)
        np.maximum.at(top, onset[of_lead], pitch[of_lead])
        first = np.append(True, (onset[1:] != onset[:-1]) | (pitch[1:] != pitch[:-1]) | (program[1:] != program[:-1]))
        return of_lead & (pitch == top[onset]) & first

    def _notes(self, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Onset (counted), program, pitch and duration in grid steps of every note, (N,) each."""
        types, values = self.vocabulary.types[bars], self.vocabulary.values
        starts = (types == TokenType.PROGRAM).nonzero()[0]
        onset = ((types == TokenType.POSITION) | (types == TokenType.BAR)).cumsum()[starts]
        return onset, values[bars[starts]], values[bars[starts + 1]], values[bars[starts + 3]]

    def _gaps(self, ids: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        """The piece with several gaps, some bars between what is given behind one and the next; each bar is told once."""
        edges = np.append((self.vocabulary.types[ids] == TokenType.BAR).nonzero()[0], len(ids) - 1)  # less EOS
        count, place, known = len(edges) - 1, 0, 0  # bars: of the piece, told, and told behind the last gap
        if count < FEWEST_AROUND:
            return None
        parts = [ids[:1]]
        while count - place >= FEWEST_AROUND:
            gap = place + int(generator.integers(1, min(LONGEST_BETWEEN if place else LONGEST_BEFORE, count - place - 2) + 1))
            bars = int(generator.integers(1, min(LONGEST_GAP, count - gap - 1) + 1))
            bars = max(1, min(bars, int(np.searchsorted(edges, edges[gap] + GAP_TOKENS, "right")) - 1 - gap))
            told = round(FEWEST_AFTER_TOKENS * (AFTER_TOKENS / FEWEST_AFTER_TOKENS) ** generator.random())
            asked, after = ids[edges[gap] : edges[gap + bars]], self.near(ids[edges[gap + bars] : edges[-1]], told)
            parts += [self._led(known), self._around(ids[edges[place] : edges[gap]], after, bars), self.answer(asked)]
            known = int((self.vocabulary.types[after] == TokenType.BAR).sum())
            place = gap + bars + known
        rest = ids[edges[place] : edges[-1]]
        return np.concatenate([*parts, self._led(known if len(rest) else 0), rest, [self.vocabulary.eos]])

    def _task(self, ids: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray | None:
        bars = ids[1:-1]
        _, program, _, _ = self._notes(bars)
        asked, given, chosen = program != DRUMS, program == DRUMS, None
        if kind == "accompany":
            there = np.unique(program)
            chosen = int(generator.choice(there)) if len(there) else None
            asked = program == chosen
            given = ~asked
        elif kind in ("harmonise", "melody"):
            lead = self.melody(bars)
            asked, given = (asked & ~lead, lead) if kind == "harmonise" else (lead, asked & ~lead)
        if asked.sum() < self.fewest_notes or (kind in ("accompany", "harmonise", "melody") and given.sum() < self.fewest_notes):
            return None
        parts = [np.array(self.task(kind, chosen))]
        for turn in self.rearranged(bars, kind, given, asked):
            parts += turn
        return np.concatenate([*parts, [self.vocabulary.eos]])

    def rearranged(self, bars: np.ndarray, kind: str, given: np.ndarray, asked: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The turns of a task, of a stream of bars in which the notes `given` are known and the notes `asked` wanted."""
        wanted = self.choose(bars, asked, tempos=False)
        if kind == "rhythm":
            shown = np.where(self.choose(bars, asked, tempos=False), self.hidden(bars), bars)
            yield from self.turns(shown, bars, self.choose(bars, given | asked, tempos=True), wanted)
        elif kind == "pitches":
            told = self.choose(bars, given | asked, tempos=True) & ~self._rhythm_of(bars, asked)
            yield from self.turns(bars, bars, told, wanted)
        else:
            yield from self.turns(bars, bars, self.choose(bars, given, tempos=True), wanted)

    def _rhythm_of(self, bars: np.ndarray, notes: np.ndarray) -> np.ndarray:
        """The Velocity and Duration tokens of some notes, and the positions at which none but they begin, bool (T,)."""
        types = self.vocabulary.types[bars]
        told = np.zeros(len(bars), dtype=bool)
        starts = (types == TokenType.PROGRAM).nonzero()[0][notes]
        told[starts + 2] = told[starts + 3] = True
        others = self.choose(bars, ~notes, tempos=True)
        return told | ((types == TokenType.POSITION) & ~others)

    def _id(self, kind: TokenType, value: int = 0) -> int:
        ids = self.vocabulary.of_type(kind)
        return int(ids[self.vocabulary.values[ids] == value][0])
