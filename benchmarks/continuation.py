"""Are continuations valid, and how near to what people wrote?

    python benchmarks/continuation.py DATASET [--model small] [--seeds 200] [--bars 8]
    python benchmarks/continuation.py DATASET --quality [--seeds 200] [--bars 16] [--temperatures 0.9 1.0 1.1] [--top-p 0.9 0.95 1.0]
        [--likeness 1.0]

Seeds are the first bars of held-out pieces (test, then validation) of a dataset made by `symbolic tokenize`.

Validity: many seeds, N bars each: every one must decode, have exactly N bars, and hold no illegal token. Every result is written
as MIDI, read again, and its bars are counted in the file by another reader (pretty_midi's downbeats).

Quality: as many bars made as given, and the distances of `resemblance.py` between made and true continuation, for each piece,
then averaged over pieces; for every temperature with every top-p and likeness, else as `symbolic continue` has it.
Pieces have a note in the last bar given and in what follows it.
Beside them, measured against the same true continuations:
    other pieces    the true continuations of five other pieces (drums with drums), averaged
    seed again      the bars given, repeated
    5-gram          counted over 2,000 training pieces in their own keys, temperature 1, else as the default is drawn
The last two columns: the mean rank over the distances, among the settings only, and the mean over the distances of this row's
distance over that of other pieces. An interval is that of the last column's difference from the default's, 95 % of 2,000 draws of pieces.
`--keep FOLDER` keeps what was made, so that a run cut short, or one with more seeds, goes on.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pretty_midi
from ngram_sampling import NgramModel, continue_by_ngram
from resemblance import MEASURES, Excerpt, distances, excerpt
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.generation.bundle import load_model, load_tokenizer
from symbolic.generation.continuation import assemble, continue_prompts
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.prompt import Prompt, prepare_prompt
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.reading import read
from symbolic.tokenizers.automaton import TokenAutomaton

SEED_BARS = 8
BATCH = 20
OTHERS = 5
NGRAM_PIECES = 2000
RESAMPLINGS = 2000


def seeds_of(corpus: Corpus, split: str, count: int) -> list:
    """The first `SEED_BARS` bars of `count` pieces of the split as scores, evenly spread over the corpus."""
    vocabulary, chosen = corpus.tokenizer.vocabulary, []
    pieces = corpus.pieces(split)
    for index in np.concatenate([pieces, corpus.pieces("validation")]):
        ids = corpus.piece(int(index))
        bars = np.flatnonzero(ids == vocabulary.bar)
        score = corpus.tokenizer.decode(ids[: bars[SEED_BARS]] if len(bars) > SEED_BARS else ids)
        if score.note_num():
            chosen.append(score)
    step = max(1, len(chosen) // count)
    return (chosen[::step] + [score for place, score in enumerate(chosen) if place % step])[:count]


def bars_by_pretty_midi(data: bytes) -> int:
    """Number of bars of a file as pretty_midi counts its downbeats up to the last event."""
    midi = pretty_midi.PrettyMIDI(io.BytesIO(data))
    return int((midi.get_downbeats() < midi.get_end_time() - 1e-3).sum())


def validity(options: argparse.Namespace) -> None:
    """Run and print the counts."""
    bars = options.bars or 8
    corpus, model, tokenizer = Corpus(options.dataset), load_model(options.model), load_tokenizer(options.model)
    automaton, vocabulary = TokenAutomaton(tokenizer.vocabulary), tokenizer.vocabulary
    seeds = seeds_of(corpus, "test", options.seeds)
    decoded = exact = agreed = illegal = tokens = notes = 0
    clock = time.perf_counter()
    for first in tqdm(range(0, len(seeds), BATCH), disable=None):
        prompts = [prepare_prompt(seed, tokenizer) for seed in seeds[first : first + BATCH]]
        streams = continue_prompts(prompts, bars, model, tokenizer, list(range(first, first + len(prompts))))
        for prompt, ids in zip(prompts, streams, strict=True):
            tokens += len(ids)
            start = automaton.state_after(prompt.ids[:-2])
            for id_ in [*ids.tolist(), vocabulary.eos]:
                illegal += not automaton.legal(start)[id_]
                automaton.advance(start, id_)
            try:
                data = assemble(prompt, bars, ids, tokenizer, {}).dumps_midi()
                score = read(data)
            except (InputError, ValueError, RuntimeError):
                continue
            decoded += 1
            notes += score.note_num() - prompt.seed.note_num()
            lines = bar_starts(score)
            after = int((lines > prompt.end).sum())
            exact += after == bars * prompt.bars_per_bar and last_note_end(score) <= lines[-1]
            agreed += bars_by_pretty_midi(data) == len(lines) - 1
    seconds = time.perf_counter() - clock
    print(f"{len(seeds)} seeds of {SEED_BARS} bars, {bars} bars more each, {notes:,} new notes, {tokens:,} tokens")
    print(f"decoded: {decoded} of {len(seeds)}; exactly {bars} bars: {exact}; pretty_midi counts the same bars: {agreed}")
    print(f"illegal tokens: {illegal}; {tokens / seconds:,.0f} tokens/s in batches of {BATCH}")


@dataclass(frozen=True)
class Piece:
    """One held-out piece: `bars` bars as `seed` and `prompt`, and as many that follow, `true`."""

    prompt: Prompt
    seed_ids: np.ndarray
    seed: Excerpt
    true: Excerpt


def halves(corpus: Corpus, count: int, bars: int) -> list[Piece]:
    """The first `count` pieces, in an order of chance, that have 2 × `bars` bars with notes in both halves; fewer if there are no more."""
    vocabulary, chosen = corpus.tokenizer.vocabulary, []
    held_out = np.concatenate([corpus.pieces("test"), corpus.pieces("validation")])
    for index in np.random.default_rng(0).permutation(held_out):
        ids = corpus.piece(int(index)).astype(np.int64)
        lines = [*np.flatnonzero(ids == vocabulary.bar), len(ids) - 1]
        if len(lines) <= 2 * bars:
            continue
        seed_ids, true = ids[lines[0] : lines[bars]], excerpt(ids[lines[bars] : lines[2 * bars]], vocabulary)
        score = corpus.tokenizer.decode(ids[: lines[bars]])
        if not score.note_num() or not len(true.pitch):
            continue
        prompt = prepare_prompt(score, corpus.tokenizer)
        if prompt.seed_bars == bars:
            chosen.append(Piece(prompt, seed_ids, excerpt(seed_ids, vocabulary), true))
        if len(chosen) == count:
            break
    return chosen


def others(pieces: Sequence[Piece]) -> list[list[int]]:
    """For each piece five others, of those that are drums only if it is."""
    result: list[list[int]] = [[] for _ in pieces]
    for drums in (False, True):
        group = [place for place, piece in enumerate(pieces) if bool(piece.true.drum.all()) is drums]
        for turn in range(1, min(OTHERS, len(group) - 1) + 1):
            for place, other in zip(group, np.roll(group, turn), strict=True):
                result[place].append(int(other))
    return result


def kept(folder: Path | None, name: str, make: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """What `make` gives, from `folder` if it was made before."""
    if folder is None:
        return make()
    path = folder / f"{name}.npz"
    if path.is_file():
        with np.load(path) as arrays:
            return [arrays[str(number)] for number in range(len(arrays))]
    made = make()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{str(number): ids for number, ids in enumerate(made)})
    return made


def quality(options: argparse.Namespace) -> None:
    """Make the continuations and print the table."""
    corpus, model, tokenizer = Corpus(options.dataset), load_model(options.model), load_tokenizer(options.model)
    corpus.require_tokenizer(tokenizer, options.model or "the bundled model")
    vocabulary, bars = tokenizer.vocabulary, options.bars or 16
    pieces = halves(corpus, options.seeds, bars)
    print(f"{len(pieces)} held-out pieces, {bars} bars given, {bars} made")

    def measured(made: Sequence[Excerpt]) -> np.ndarray:
        return np.array([distances(one, piece.true, piece.seed) for one, piece in zip(made, pieces, strict=True)])

    def in_batches(name: str, make: Callable[[list[Prompt], list[int]], list[np.ndarray]]) -> np.ndarray:
        ids: list[np.ndarray] = []
        for first in tqdm(range(0, len(pieces), BATCH), desc=name, disable=None):
            numbers = list(range(first, min(first + BATCH, len(pieces))))
            prompts = [pieces[number].prompt for number in numbers]
            ids += kept(options.keep, f"{name} {first} {len(numbers)}".replace(" ", "-"), lambda p=prompts, n=numbers: make(p, n))
        return measured([excerpt(one, vocabulary) for one in ids])

    rows = {}
    for temperature, top_p, likeness in product(options.temperatures, options.top_p, options.likeness):
        ways = SamplingSettings(temperature=temperature, top_p=top_p), LikenessSettings(likeness)
        rows[called(*ways)] = in_batches(called(*ways), lambda p, n, w=ways: continue_prompts(p, bars, model, tokenizer, n, *w))
    choices = others(pieces)
    turns = [measured([pieces[place[turn % len(place)] if place else 0].true for place in choices]) for turn in range(OTHERS)]
    references = {"other pieces": np.mean(turns, axis=0), "seed again": measured([piece.seed for piece in pieces])}
    training = np.random.default_rng(0).permutation(corpus.pieces("train"))[:NGRAM_PIECES]
    ngrams: list[NgramModel] = []

    def by_ngram(prompts: list[Prompt], numbers: list[int]) -> list[np.ndarray]:
        if not ngrams:
            ngrams.append(NgramModel((corpus.piece(int(index)) for index in training), len(vocabulary), vocabulary.bos))
        return [
            continue_by_ngram(p, bars, ngrams[0], vocabulary, n, SamplingSettings(temperature=1.0))
            for p, n in zip(prompts, numbers, strict=True)
        ]

    references["5-gram"] = in_batches("5-gram", by_ngram)
    show(rows, references)


def called(sampling: SamplingSettings, near: LikenessSettings) -> str:
    """The name of a setting."""
    name = f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}"
    return name if near == LikenessSettings() else f"{name}, likeness {near.likeness:g}"


def show(rows: dict[str, np.ndarray], references: dict[str, np.ndarray]) -> None:
    """The table as Markdown; `rows` and `references` are distances (pieces, measures)."""
    default = called(SamplingSettings(), LikenessSettings())
    unit = references["other pieces"]
    ranks = mean_ranks(np.array([np.nanmean(table, axis=0) for table in rows.values()]))
    print(f"\n| | {' | '.join(MEASURES)} | mean rank | / other pieces |\n|---|{'--:|' * (len(MEASURES) + 2)}")
    for name, table in (rows | references).items():
        rank = f"{ranks[list(rows).index(name)]:.1f}" if name in rows else ""
        cells = [f"{mean:.3f}" for mean in np.nanmean(table, axis=0)]
        print(f"| {name} | {' | '.join(cells)} | {rank} | {share(table, unit):.3f} |")
    best = list(rows)[int(ranks.argmin())]
    print(f"\nbest by mean rank: {best}; the default is {default}")
    if default in rows:
        for name, table in (rows | references).items():
            low, high = interval(table, rows[default], unit)
            print(f"{name}: {share(table, unit) - share(rows[default], unit):+.3f} against the default, {low:+.3f} to {high:+.3f}")


def mean_ranks(means: np.ndarray) -> np.ndarray:
    """The mean over measures of the rank of each row (1 is nearest, equal ones share theirs), from means (rows, measures)."""
    below, equal = (means[None] < means[:, None]).sum(axis=1), (means[None] == means[:, None]).sum(axis=1)
    return (below + (equal + 1) / 2).mean(axis=1)


def share(table: np.ndarray, unit: np.ndarray) -> float:
    """Mean over measures of the mean distance in `table` over that in `unit`, both (pieces, measures)."""
    return float((np.nanmean(table, axis=0) / np.nanmean(unit, axis=0)).mean())


def interval(table: np.ndarray, default: np.ndarray, unit: np.ndarray) -> tuple[float, float]:
    """95 % interval of the difference of `share` between `table` and `default`, over draws of pieces with replacement."""
    generator = np.random.default_rng(0)
    draws = [generator.integers(len(table), size=len(table)) for _ in range(RESAMPLINGS)]
    low, high = np.percentile([share(table[draw], unit[draw]) - share(default[draw], unit[draw]) for draw in draws], [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--bars", type=int, default=None, help="8 for validity, 16 for quality")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.9, 1.0, 1.1])
    parser.add_argument("--top-p", type=float, nargs="+", default=[0.9, 0.95, 1.0])
    parser.add_argument("--likeness", type=float, nargs="+", default=[1.0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", default=None)
    options = parser.parse_args()
    if options.quality:
        quality(options)
    else:
        validity(options)


if __name__ == "__main__":
    main()
