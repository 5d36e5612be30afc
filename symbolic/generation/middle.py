"""Writing inside a score: fill a gap, add a part, harmonise a melody, vary pitches or rhythm.

What is given stays note for note, in ticks and tracks; what is new has exactly the bars asked for. The model hears what is given
and writes what is asked as `tokenizers/tasks.py` arranges them; it must have been trained with these tasks.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import NoteTick, ScoreTick, TextMetaTick

import symbolic
from symbolic.errors import InputError, UsageError
from symbolic.generation.answers import BarsMask, PitchesMask, RhythmMask
from symbolic.generation.bundle import given_model
from symbolic.generation.constraints import Constraints, make_constraints
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.likeness import LikenessSettings, compasses
from symbolic.generation.placing import place_notes
from symbolic.generation.prompt import PROMPT_TOKENS, Prompt
from symbolic.generation.rules import Ending, Rules, make_rules
from symbolic.generation.sampling import Reader, sample
from symbolic.generation.seed_bars import SeedBars, seed_bars
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.reading import read
from symbolic.models.network import Network
from symbolic.tokenizers.automaton import DRUMS, TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.tasks import Arranger
from symbolic.tokenizers.vocabulary import TokenType

CONTEXT_BARS = 8  # heard before the bars that are varied
KEPT = ("rhythm", "pitch")
FREE_RESTS = 10**6
SILENT_TURNS = 2  # after which an added part plays, if what it is added to does


@dataclass
class Writer:
    """A model that knows tasks, and how to draw: what all functions here share."""

    model: Network
    tokenizer: RemiTokenizer
    name: str
    settings: SamplingSettings
    likeness: LikenessSettings
    constraints: Constraints
    random_seed: int
    progress: Callable[[int], object] | None = None
    arranger: Arranger = field(init=False)
    automaton: TokenAutomaton = field(init=False)
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.arranger, self.automaton = Arranger(self.tokenizer.vocabulary), TokenAutomaton(self.tokenizer.vocabulary)
        self.reader = Reader(self.model, self.tokenizer.vocabulary)

    def write(self, prompt: np.ndarray, mask: Any, number: int) -> np.ndarray:
        """The ids of an answer; `prompt` ends with its first bar opened, which the answer begins with. `number` tells answers apart."""
        seed = self.random_seed + 7919 * number
        stream = sample(self.model, self.tokenizer.vocabulary, [prompt], [mask], [seed], self.settings, self.progress, self.reader)[0]
        return np.concatenate([prompt[-2:], stream.ids])

    def rules(self, bars: SeedBars, prompt: np.ndarray, meters: np.ndarray, constraints: Constraints, likeness: LikenessSettings) -> Rules:
        """The rules of an answer in these meters to a prompt which ends with its first bar opened."""
        heard = int((prompt == self.tokenizer.vocabulary.bar).sum()) - 1
        about = Prompt(bars.seed, prompt, int(meters[0]), int(bars.lines[-1]), 1, seed_bars=heard, heard_bars=heard)
        return make_rules(about, Ending(heard + len(meters)), self.tokenizer.vocabulary, constraints, likeness)


def fill(seed: Any, bars: tuple[int, int], **options: Any) -> ScoreTick:
    """The seed with bars first … last (from 1, both included) written anew, knowing what stands before and behind them.

    Notes that begin in these bars go, all others stay. Options: those of `make_writer`.
    Raises `UsageError` for bars the seed has not, for all of them, and for the last (continue instead).
    """
    writer, found = make_writer(seed, **options)
    first, last = found.span(bars)
    vocabulary = writer.tokenizer.vocabulary
    if (first, last) == (0, len(found.starts) - 1):
        raise UsageError(f"bars {bars[0]}-{bars[1]} are the whole seed; leave bars before or behind the gap")
    after = writer.arranger.near(found.part(last, len(found.starts) - 1))
    if not (vocabulary.types[after] == TokenType.VELOCITY).any():
        raise UsageError(f"nothing stands behind bar {bars[1]}; to write the end of a seed, cut it there and continue it")
    meters = found.meters(first, last, vocabulary)
    before = _recent(found.part(0, first), vocabulary.bar)
    prompt = np.concatenate([writer.arranger.filling(before, after, last - first), [vocabulary.bar, meters[0]]])
    rules = writer.rules(found, prompt, meters, writer.constraints, writer.likeness)
    answer = writer.write(prompt, BarsMask(writer.automaton, rules, meters.tolist(), rests=False), 0)
    start, stop = int(found.lines[first]), int(found.lines[last])
    longer = _without(found.seed, lambda track, place, note: start <= note.time < stop)
    return _with_answer(longer, answer, found, first, writer, {"task": "fill", "bars": f"{bars[0]}-{bars[1]}"})


def accompany(seed: Any, program: int | str, *, melody: bool = False, **options: Any) -> ScoreTick:
    """The seed with a part of one more instrument (a General MIDI number or name, or "drums"), over all its bars.

    With `melody` the part is to be the tune of it. Options: those of `make_writer`.
    Raises `UsageError` when the seed has the instrument already.
    """
    writer, found = make_writer(seed, **options)
    chosen = Constraints(programs=[program]).programs[0]
    constraints = replace(writer.constraints, programs=(chosen,))
    if chosen in {DRUMS if track.is_drum else track.program for track in found.seed.tracks if len(track.notes)}:
        raise UsageError(f"program {program}: the seed has this instrument already; choose another one, or take its part out")
    kind = "melody" if melody else "accompany"
    given = _heard_notes(found, writer, drums=not melody)
    answers = _in_turns(writer, found, kind, None if melody else chosen, given, constraints)
    return _with_answer(found.seed.copy(), answers, found, 0, writer, {"task": kind, "programs": [chosen]})


def harmonise(seed: Any, *, programs: Sequence[int | str] = (0,), top_line: bool = False, **options: Any) -> ScoreTick:
    """A melody with chords and basses of the instruments `programs` (a piano) over all its bars.

    The melody must be one line; with `top_line` the top line of the highest part is taken, and the rest of the seed is left out of
    what the model hears, but stays in the score. Options: those of `make_writer`.
    Raises `InputError` where notes of the seed overlap, naming the bars.
    """
    writer, found = make_writer(seed, **options)
    overlapping = overlaps(found)
    if overlapping and not top_line:
        named = ", ".join(str(bar) for bar in overlapping[:8]) + (" and more" if len(overlapping) > 8 else "")
        raise InputError(f"the melody is not one line: notes overlap in bars {named}; --top-line takes the top line of the highest part")
    constraints = replace(writer.constraints, programs=Constraints(programs=list(programs)).programs)
    given = writer.arranger.melody(found.ids)
    answers = _in_turns(writer, found, "harmonise", None, given, constraints)
    return _with_answer(found.seed.copy(), answers, found, 0, writer, {"task": "harmonise", "programs": list(constraints.programs)})


def vary(seed: Any, keep: str, bars: tuple[int, int] | None = None, **options: Any) -> ScoreTick:
    """The seed with other pitches in its own rhythm (`keep` "rhythm"), or its own pitches in another rhythm ("pitch").

    In bars first … last (from 1, both included), or everywhere. Drums, noises and all other bars stay as they are.
    Options: those of `make_writer`.
    """
    if keep not in KEPT:
        raise UsageError(f"keep is {keep!r}; {' or '.join(KEPT)} is wanted")
    writer, found = make_writer(seed, **options)
    bars = bars or (1, found.count)
    first, last = found.span(bars)
    answers = [answer for answer, _ in _variations(writer, found, "rhythm" if keep == "rhythm" else "pitches", first, last)]
    old = found.notes(first, last, writer.tokenizer.vocabulary)
    goes = {place for places in old.values() for place in places}
    longer = _without(found.seed, lambda track, place, _: (track, place) in goes)
    told = {"task": "vary", "keep": keep, "bars": f"{bars[0]}-{bars[1]}"}
    return _held_to_the_last_bar(_with_answer(longer, np.concatenate(answers), found, first, writer, told, old), found)


def _held_to_the_last_bar(score: ScoreTick, found: SeedBars) -> ScoreTick:
    """The score with its last note held as long as the seed's, where the seed's last bars hold tails only: bars stay as many."""
    if score.end() > int(found.seed_lines[-2]):
        return score
    track, place = max(
        ((track, place) for track in score.tracks if not track.is_drum for place in range(len(track.notes))),
        key=lambda where: where[0].notes[where[1]].end,
    )
    track.notes[place].duration = found.seed.end() - track.notes[place].time
    return score


def make_writer(
    seed: Any,
    *,
    model: Network | str | Path | None = None,
    tokenizer: RemiTokenizer | None = None,
    constraints: Constraints | Mapping[str, Any] | str | Path | None = None,
    temperature: float = 1.0,
    top_p: float = 0.95,
    likeness: float = 1.0,
    range_margin: int = 5,
    random_seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> tuple[Writer, SeedBars]:
    """A writer and the seed's bars. `model` is a loaded model (then give its `tokenizer`), a bundled name or a folder.

    The others are as for `continue_takes`. Raises `InputError` for a model that was trained without tasks.
    """
    name, network, tokenizer = given_model(model, tokenizer)
    if not len(tokenizer.vocabulary.of_type(TokenType.TASK)):
        raise InputError(
            f"model {name}: trained to continue only, without tasks; tokenize with tasks: true and train with tasks in the settings"
        )
    settings = SamplingSettings(temperature=temperature, top_p=top_p)
    near = LikenessSettings(likeness, range_margin)
    writer = Writer(network, tokenizer, name, settings, near, make_constraints(constraints), random_seed, progress)
    return writer, seed_bars(read(seed), tokenizer)


def overlaps(found: SeedBars) -> list[int]:
    """Bars of the seed (from 1) in which a pitched note begins while another one sounds; a 32nd of overlap is legato."""
    notes = [(n.time, n.end) for track in found.seed.tracks if not track.is_drum for n in track.notes]
    notes.sort()
    slack, latest, bars = found.seed.ticks_per_quarter // 8, -1, list[int]()
    for place, (onset, end) in enumerate(notes):
        if place and (onset < latest - slack or onset == notes[place - 1][0]):
            bars.append(int(np.searchsorted(found.seed_lines, onset, side="right")))
        latest = max(latest, end)
    return sorted(set(bars))


def _in_turns(writer: Writer, found: SeedBars, kind: str, program: int | None, given: np.ndarray, constraints: Constraints) -> np.ndarray:
    """Turn by turn over the whole seed: the notes `given` are heard, others are written. Gives all answers, one bar after another.

    What is added may rest, but not for long while the rest plays.
    """
    types = writer.tokenizer.vocabulary.types
    history = _History(np.array(writer.arranger.task(kind, program)))
    likeness = replace(writer.likeness, max_rest=FREE_RESTS)
    answers, silent = list[np.ndarray](), 0
    for known, rests in writer.arranger.rearranged(found.ids, kind, given, np.zeros_like(given)):
        meters, plays = rests[types[rests] == TokenType.TIME_SIGNATURE], bool((types[known] == TokenType.VELOCITY).any())
        prompt = np.concatenate([*history.before(len(known)), known, rests[:2]])
        rules = writer.rules(found, prompt, meters, constraints, likeness)
        mask = BarsMask(writer.automaton, rules, meters.tolist(), rests=not plays or silent < SILENT_TURNS)
        answers.append(writer.write(prompt, mask, len(answers)))
        silent = 0 if (types[answers[-1]] == TokenType.VELOCITY).any() else silent + plays
        history.turns += [known, answers[-1]]
    return np.concatenate(answers)


def _variations(writer: Writer, found: SeedBars, kind: str, first: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each turn of the stream's bars first … last − 1 the new answer, and the seed's own; bars before them are heard as they are."""
    vocabulary, arranger = writer.tokenizer.vocabulary, writer.arranger
    history = _History(np.array(arranger.task(kind)))
    for known, answer in _turns_of(writer, found.part(max(0, first - CONTEXT_BARS), first), kind):
        history.turns += [known, answer]
    fixed = [program for program in UNPITCHED_PROGRAMS if program >= 0]
    likeness = replace(writer.likeness, max_rest=FREE_RESTS)
    heard_velocities = np.unique(found.ids[vocabulary.types[found.ids] == TokenType.VELOCITY])
    for number, (known, own) in enumerate(_turns_of(writer, found.part(first, last), kind)):
        prompt = np.concatenate([*history.before(len(known)), known, own[:2]])
        meters = own[vocabulary.types[own] == TokenType.TIME_SIGNATURE]
        mask: RhythmMask | PitchesMask
        if kind == "rhythm":
            rules = writer.rules(found, prompt, meters, writer.constraints, likeness)
            mask = RhythmMask(writer.automaton, own[2:], rules.leanings, compasses(found.seed, writer.likeness.range_margin), fixed)
        else:
            bars = int((prompt == vocabulary.bar).sum()) - 1
            mask = PitchesMask(writer.automaton, _notes_by_bar(own, vocabulary), meters.tolist(), bars, heard_velocities.tolist())
        answer = writer.write(prompt, mask, number)
        yield answer, own
        history.turns += [known, answer]


def _turns_of(writer: Writer, bars: np.ndarray, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    vocabulary = writer.tokenizer.vocabulary
    if not len(bars):
        return iter(())
    pitched = vocabulary.values[bars[vocabulary.types[bars] == TokenType.PROGRAM]] != DRUMS
    return writer.arranger.rearranged(bars, kind, ~pitched, pitched)


def _notes_by_bar(answer: np.ndarray, vocabulary: Any) -> list[list[tuple[int, int]]]:
    """(program id, pitch id) of the notes of each bar of an answer, in order."""
    starts = np.append(np.flatnonzero(answer == vocabulary.bar), len(answer))
    return [
        [(int(part[place]), int(part[place + 1])) for place in np.flatnonzero(vocabulary.types[part] == TokenType.PROGRAM)]
        for part in (answer[start:stop] for start, stop in itertools.pairwise(starts))
    ]


def _heard_notes(found: SeedBars, writer: Writer, *, drums: bool) -> np.ndarray:
    """Which notes of the seed are given, bool (N,): all, or all but drums, as the task was learned."""
    vocabulary = writer.tokenizer.vocabulary
    programs = vocabulary.values[found.ids[vocabulary.types[found.ids] == TokenType.PROGRAM]]
    return (programs != DRUMS) | drums


def _recent(bars: np.ndarray, bar: int) -> np.ndarray:
    """The last bars, as many as fit into half a prompt."""
    starts = np.append(np.flatnonzero(bars == bar), len(bars))
    return bars[starts[np.searchsorted(starts, len(bars) - PROMPT_TOKENS // 2)] :]


@dataclass
class _History:
    """The task and the turns so far, pairs of known and answer; of a long piece the last, cut back to half a prompt whenever it is full."""

    task: np.ndarray
    turns: list[np.ndarray] = field(default_factory=list)

    def before(self, coming: int) -> list[np.ndarray]:
        """What is heard before a turn of which `coming` tokens are known."""
        room = PROMPT_TOKENS - coming - len(self.task)
        if sum(map(len, self.turns)) > room:
            while self.turns and sum(map(len, self.turns)) > room - PROMPT_TOKENS // 2:
                del self.turns[:2]
        return [self.task, *self.turns]


def _without(score: ScoreTick, goes: Callable[[int, int, NoteTick], bool]) -> ScoreTick:
    """A copy without the notes for whose track, place in it, and self `goes` says so."""
    shorter = score.copy()
    for number, track in enumerate(shorter.tracks):
        track.notes = type(track.notes)([note for place, note in enumerate(track.notes) if not goes(number, place, note)])
    return shorter


def _with_answer(
    score: ScoreTick,
    answer: np.ndarray,
    found: SeedBars,
    first: int,
    writer: Writer,
    told: dict[str, Any],
    old: dict[int, list[tuple[int, int]]] | None = None,
) -> ScoreTick:
    """The score with the notes of an answer that begins with the stream's bar `first`, and where it came from as a marker.

    Of a variation, `old` are the tracks and places of the notes whose place the new ones take, by program, in the answer's order:
    a new note stands on the track of its old one, and where the rhythm is kept it has its very ticks.
    """
    new = writer.tokenizer.decode(answer)
    scale, start = score.ticks_per_quarter / new.ticks_per_quarter, int(found.lines[first])
    by_program: dict[int, list[NoteTick]] = {}
    for track in new.tracks:
        by_program.setdefault(DRUMS if track.is_drum else track.program, []).extend(
            NoteTick(start + round(n.time * scale), max(1, round(n.end * scale) - round(n.time * scale)), n.pitch, n.velocity)
            for n in track.notes
        )
    notes = dict[int, list[tuple[NoteTick, int | None]]]()
    for program, written in by_program.items():
        if old is None:
            notes[program] = [(note, None) for note in written]
        elif program in old:
            written.sort(key=lambda note: (note.time, note.pitch))
            notes[program] = []
            for note, (number, place) in zip(written, old[program], strict=True):
                was = found.seed.tracks[number].notes[place]
                kept = NoteTick(was.time, was.duration, note.pitch, was.velocity) if told["keep"] == "rhythm" else note
                notes[program].append((kept, number))
    place_notes(score, notes, lengths_stay=told.get("keep") == "rhythm")
    origin = {"program": f"symbolic {symbolic.__version__}", "model": writer.name, "random_seed": writer.random_seed}
    score.markers.append(TextMetaTick(start, f"written: {json.dumps(origin | told)}"))
    return score
