"""Are continuations valid? Many seeds, N bars each: every one must decode, have exactly N bars, and hold no illegal token.

    python benchmarks/continuation.py DATASET [--model small] [--seeds 200] [--bars 8]

Seeds are the first bars of held-out pieces of a dataset made by `symbolic tokenize`. Every result is written as MIDI,
read again, and its bars are counted in the file by another reader (pretty_midi's downbeats).
"""

import argparse
import io
import time

import numpy as np
import pretty_midi
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.generation.bundle import load_model, load_tokenizer
from symbolic.generation.continuation import assemble, continue_prompts
from symbolic.generation.prompt import prepare_prompt
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.reading import read
from symbolic.tokenizers.automaton import TokenAutomaton

SEED_BARS = 8
BATCH = 20


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


def main() -> None:
    """Run and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--bars", type=int, default=8)
    options = parser.parse_args()
    corpus, model, tokenizer = Corpus(options.dataset), load_model(options.model), load_tokenizer(options.model)
    automaton, vocabulary = TokenAutomaton(tokenizer.vocabulary), tokenizer.vocabulary
    seeds = seeds_of(corpus, "test", options.seeds)
    decoded = exact = agreed = illegal = tokens = notes = 0
    clock = time.perf_counter()
    for first in tqdm(range(0, len(seeds), BATCH), disable=None):
        prompts = [prepare_prompt(seed, tokenizer) for seed in seeds[first : first + BATCH]]
        streams = continue_prompts(prompts, options.bars, model, tokenizer, list(range(first, first + len(prompts))))
        for prompt, ids in zip(prompts, streams, strict=True):
            tokens += len(ids)
            start = automaton.state_after(prompt.ids[:-2])
            for id_ in [*ids.tolist(), vocabulary.eos]:
                illegal += not automaton.legal(start)[id_]
                automaton.advance(start, id_)
            try:
                data = assemble(prompt, options.bars, ids, tokenizer, {}).dumps_midi()
                score = read(data)
            except (InputError, ValueError, RuntimeError):
                continue
            decoded += 1
            notes += score.note_num() - prompt.seed.note_num()
            lines = bar_starts(score)
            after = int((lines > prompt.end).sum())
            exact += after == options.bars * prompt.bars_per_bar and last_note_end(score) <= lines[-1]
            agreed += bars_by_pretty_midi(data) == len(lines) - 1
    seconds = time.perf_counter() - clock
    print(f"{len(seeds)} seeds of {SEED_BARS} bars, {options.bars} bars more each, {notes:,} new notes, {tokens:,} tokens")
    print(f"decoded: {decoded} of {len(seeds)}; exactly {options.bars} bars: {exact}; pretty_midi counts the same bars: {agreed}")
    print(f"illegal tokens: {illegal}; {tokens / seconds:,.0f} tokens/s in batches of {BATCH}")


if __name__ == "__main__":
    main()
