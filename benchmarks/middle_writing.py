"""Do the functions that write inside a score keep what they promise? Each of them on held-out pieces, and what was kept counted.

    python benchmarks/infilling.py DATASET MODEL --write [--split test] [--pieces 100]

Pieces are those of the split in the order of a fixed draw, and then those of the other held-out split.
A piece is its first 16 bars as the tokenizer decodes them, fewer where they have more than 3,000 tokens. Drawn from a fixed seed:
    fill        a gap of 4 bars with a bar before it and notes behind it
    accompany   a program of at least 8 notes is taken out and asked for again, the others have at least 8
    harmonise   the melody alone, each note cut where the next begins, is the seed
    melody      the program that has the melody is taken out and asked for again, as the tune
    rhythm      8 bars with at least 8 pitched notes get other pitches; pitches: another rhythm

Counted, of the pieces asked:
    decoded     a score came back, which written as MIDI and read again has the same notes
    given       every note that was not asked for is there: track, program, tick, duration, pitch, velocity. And what a variation keeps:
                onset, duration and velocity of each program's notes, or in every bar its pitches in their order
    exact       length and bar lines, meters and tempos are the seed's; new notes begin in the bars asked for, and end in them at the
                latest (varied pitches and rhythms: with the seed)
    answered    there is at least one new note
What a piece fails is told with its index.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from symusic.core import NoteTick, NoteTickList, ScoreTick

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.errors import InputError, UsageError
from symbolic.generation.middle import accompany, fill, harmonise, vary
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.reading import read
from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.tasks import CONTINUE, KINDS, Arranger

LONGEST_BARS, LONGEST_TOKENS = 16, 3000
GAP, VARIED, FEWEST_NOTES = 4, 8, 8
COUNTED = ("decoded", "given", "exact", "answered")

Note = tuple[int, int, int, int, int, int]
"""Track, program (−1 for drums), tick, duration, pitch, velocity."""


@dataclass(frozen=True)
class Asked:
    """A seed, what writes in it, and the ticks [start, stop) in which it may."""

    seed: ScoreTick
    write: Callable[..., ScoreTick]
    start: int
    stop: int
    goes: Callable[[Note], bool] = field(default=lambda note: False)
    """Which notes that begin in these ticks need not come back."""
    kept: str = ""
    """Of a variation: "rhythm" or "pitch"."""


def notes_of(score: ScoreTick) -> Counter[Note]:
    """All notes, counted."""
    return Counter(
        (number, DRUMS if track.is_drum else track.program, n.time, n.duration, n.pitch, n.velocity)
        for number, track in enumerate(score.tracks)
        for n in track.notes
    )


def opening(ids: np.ndarray, tokenizer: RemiTokenizer) -> np.ndarray:
    """The first bars of a piece BOS … EOS, without both."""
    starts = np.append(np.flatnonzero(ids == tokenizer.vocabulary.bar), len(ids) - 1)
    few = max(1, int(np.searchsorted(starts, starts[0] + LONGEST_TOKENS, side="right")) - 1)
    return ids[starts[0] : starts[min(few, LONGEST_BARS, len(starts) - 1)]].astype(np.int64)


def asked_of(ids: np.ndarray, kind: str, tokenizer: RemiTokenizer, generator: np.random.Generator) -> Asked | None:
    """The opening of a piece BOS … EOS with what the task needs drawn; None where it has not what the task needs."""
    bars = opening(ids, tokenizer)
    whole = tokenizer.decode(bars)
    if not whole.note_num():
        return None
    if kind in ("fill", "rhythm", "pitches"):
        return _gap(whole, generator) if kind == "fill" else _variation(whole, kind, generator)
    lead = one_line(tokenizer, bars)
    if kind == "harmonise":
        return Asked(lead, harmonise, 0, int(bar_starts(lead)[-1])) if lead.note_num() >= FEWEST_NOTES else None
    chosen = _chosen_program(whole, lead, kind, generator)
    if chosen is None:
        return None
    seed = whole.copy()
    seed.tracks = type(seed.tracks)([t for t in whole.tracks if (DRUMS if t.is_drum else t.program) != chosen])
    program = "drums" if chosen == DRUMS else chosen
    stop = int(bar_starts(seed)[-1])
    return Asked(seed, lambda s, **options: accompany(s, program, melody=kind == "melody", **options), 0, stop)


def one_line(tokenizer: RemiTokenizer, bars: np.ndarray) -> ScoreTick:
    """The melody of a stream of bars as a score of one track, each note cut where the next begins."""
    arranger = Arranger(tokenizer.vocabulary)
    score = tokenizer.decode(bars[arranger.choose(bars, arranger.melody(bars), tempos=True)])
    notes = sorted((n.time, n.duration, n.pitch, n.velocity) for track in score.tracks for n in track.notes)
    ends = [*(onset for onset, *_ in notes[1:]), last_note_end(score)][: len(notes)]
    cut = [NoteTick(at, min(length, end - at), pitch, v) for (at, length, pitch, v), end in zip(notes, ends, strict=True)]
    score.tracks = type(score.tracks)(list(score.tracks)[:1])
    for track in score.tracks:
        track.notes = NoteTickList(cut)
    return score


def faults(asked: Asked, written: ScoreTick) -> dict[str, str]:
    """For each of `COUNTED` that is not kept, why; a score that is right has none."""
    found: dict[str, str] = {}
    seed, result = notes_of(asked.seed), notes_of(written)

    def going(note: Note) -> bool:
        return asked.start <= note[2] < asked.stop and asked.goes(note)

    given = Counter({note: count for note, count in seed.items() if not going(note)})
    old = Counter({note: count for note, count in seed.items() if going(note)})
    new = result - given
    try:
        again = read(written.dumps_midi())
        if _trackless(notes_of(again)) != _trackless(result):
            found["decoded"] = f"read again from MIDI {_some(_trackless(result) - _trackless(notes_of(again)))} is another note"
    except (InputError, ValueError, RuntimeError) as error:
        found["decoded"] = f"not read again: {error}"
    if given - result:
        found["given"] = f"lost: {_some(given - result)}"
    elif asked.kept == "rhythm" and _rhythm(new) != _rhythm(old):
        found["given"] = f"another rhythm: {_some(_rhythm(old) - _rhythm(new) or _rhythm(new) - _rhythm(old))}"
    elif asked.kept == "pitch" and (bars := _other_pitches(old, new, bar_starts(asked.seed))):
        found["given"] = f"other pitches in bars {bars[:8]}"
    latest = int(bar_starts(asked.seed)[-1]) if asked.kept else asked.stop
    outside = [note for note in new if not (asked.start <= note[2] < asked.stop and note[2] + note[3] <= latest)]
    lines, seed_lines = bar_starts(written), bar_starts(asked.seed)
    if outside:
        found["exact"] = f"outside of ticks {asked.start} to {asked.stop}: {sorted(outside)[0]}"
    elif lines.tolist() != seed_lines.tolist():
        found["exact"] = f"{len(lines) - 1} bars to tick {lines[-1]}, the seed has {len(seed_lines) - 1} to {seed_lines[-1]}"
    elif (written.time_signatures, written.tempos) != (asked.seed.time_signatures, asked.seed.tempos):
        found["exact"] = "other meters or tempos"
    if not new:
        found["answered"] = "no new note"
    return found


def drawn_order(corpus: Corpus, split: str) -> list[int]:
    """The held-out pieces in the order of a fixed draw: those of the split, and then those of the other."""
    generator, others = np.random.default_rng(0), [name for name in SPLITS[1:] if name != split]
    return [int(index) for name in (split, *others) for index in generator.permutation(corpus.pieces(name))]


def write_all(corpus: Corpus, split: str, count: int, options: dict[str, Any], tasks: Sequence[str] | None = None) -> None:
    """Write, check, and print the table, of all tasks or some; `options` go to the functions, among them a model and its tokenizer."""
    print(f"{'task':<11}{'pieces':>7}" + "".join(f"{name:>10}" for name in COUNTED) + f"{'new notes':>11}{'seconds':>9}")
    for kind in tasks or [kind for kind in KINDS if kind != CONTINUE]:
        order = drawn_order(corpus, split)
        pieces, kept, notes, failures, clock = 0, Counter[str](), 0, list[str](), time.perf_counter()
        for index in order:
            asked = asked_of(corpus.piece(index), kind, corpus.tokenizer, np.random.default_rng([index, KINDS.index(kind)]))
            if asked is None:
                continue
            pieces += 1
            try:
                written = asked.write(asked.seed, random_seed=index, **options)
            except (InputError, UsageError, ValueError, IndexError, RuntimeError) as error:
                failures.append(f"  piece {index}: {type(error).__name__}: {error}")
                continue
            found = faults(asked, written)
            kept.update(name for name in COUNTED if name not in found)
            failures += [f"  piece {index}, {name}: {why}" for name, why in found.items()]
            notes += (notes_of(written) - notes_of(asked.seed)).total()
            if pieces == count:
                break
        cells = "".join(f"{kept[name]:>10}" for name in COUNTED)
        print(f"{kind:<11}{pieces:>7}{cells}{notes:>11,}{time.perf_counter() - clock:>9.1f}", flush=True)
        for failure in failures:
            print(failure)


def gap_of(whole: ScoreTick, generator: np.random.Generator) -> tuple[int, int] | None:
    """First and last bar (from 1) of a gap of `GAP` bars, a bar before it and a note in the bar behind it; None if there is no place."""
    lines = bar_starts(whole)
    onsets = np.sort(np.concatenate([track.notes.numpy()["time"] for track in whole.tracks]))
    sounding = np.searchsorted(onsets, lines[1:]) > np.searchsorted(onsets, lines[:-1])
    places = [first for first in range(2, len(lines) - GAP) if sounding[first + GAP - 1]]
    if not places:
        return None
    first = int(generator.choice(places))
    return first, first + GAP - 1


def _gap(whole: ScoreTick, generator: np.random.Generator) -> Asked | None:
    bars = gap_of(whole, generator)
    if bars is None:
        return None
    lines = bar_starts(whole)
    start, stop = int(lines[bars[0] - 1]), int(lines[bars[1]])
    return Asked(whole, lambda s, **options: fill(s, bars, **options), start, stop, lambda note: True)


def _variation(whole: ScoreTick, kind: str, generator: np.random.Generator) -> Asked | None:
    lines = bar_starts(whole)
    first = int(generator.integers(0, max(0, len(lines) - 1 - VARIED) + 1))
    last = min(first + VARIED, len(lines) - 1)
    start, stop = int(lines[first]), int(lines[last])
    keep = "rhythm" if kind == "rhythm" else "pitch"

    def pitched(note: Note) -> bool:
        return note[1] != DRUMS and note[1] not in UNPITCHED_PROGRAMS

    there = sum(count for note, count in notes_of(whole).items() if start <= note[2] < stop and pitched(note))
    if there < FEWEST_NOTES:
        return None
    return Asked(whole, lambda s, **options: vary(s, keep, (first + 1, last), **options), start, stop, pitched, keep)


def _chosen_program(whole: ScoreTick, lead: ScoreTick, kind: str, generator: np.random.Generator) -> int | None:
    """The program that is taken out: that of the melody `lead`, or any; None where too few notes go or stay."""
    counts = Counter[int]()
    for note, count in notes_of(whole).items():
        counts[note[1]] += count
    programs = {note[1] for note in notes_of(lead)} if kind == "melody" else set(counts)
    staying = counts.total() - (counts[DRUMS] if kind == "melody" else 0)
    fitting = [program for program in sorted(programs) if FEWEST_NOTES <= counts[program] <= staying - FEWEST_NOTES]
    return int(generator.choice(fitting)) if fitting else None


def _trackless(notes: Counter[Note]) -> Counter[tuple[int, ...]]:
    counts = Counter[tuple[int, ...]]()
    for note, count in notes.items():
        counts[note[1:]] += count
    return counts


def _rhythm(notes: Counter[Note]) -> Counter[tuple[int, ...]]:
    """(Program, onset, duration, velocity), counted."""
    counts = Counter[tuple[int, ...]]()
    for (_, program, onset, duration, _, velocity), count in notes.items():
        counts[program, onset, duration, velocity] += count
    return counts


def _other_pitches(old: Counter[Note], new: Counter[Note], lines: np.ndarray) -> list[int]:
    """Bars (from 1) that have not the same pitches of each program in the same order of onset; those of one onset ascend."""
    orders = []
    for notes in (old, new):
        order = defaultdict[tuple[int, int], list[int]](list)
        for _, program, onset, _, pitch, _ in sorted(notes.elements(), key=lambda note: (note[2], note[4])):
            order[int(np.searchsorted(lines, onset, side="right")), program].append(pitch)
        orders.append(order)
    return sorted({bar for bar, program in orders[0].keys() | orders[1].keys() if orders[0][bar, program] != orders[1][bar, program]})


def _some(notes: Counter[Any]) -> str:
    return f"{notes.total()}, as {min(notes)}"
