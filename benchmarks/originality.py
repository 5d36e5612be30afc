"""How much do continuations copy? The bundled model's beside people's own, each against the pieces the model learned from.

    python benchmarks/originality.py DATASET [--model small] [--pieces 200] [--bars 8] [--minutes 600] [--batch 10]

Seeds are the first bars of held-out pieces, at the beginning of which nothing is left out; the model writes as many bars more, with the
defaults of `symbolic continue`, and people's are the bars that really follow. Only pitched notes are compared, so pieces of drums are left
out. The dataset's own index is used, which finds every match longer than 8 notes; it is made beside the dataset on first use.
No batch is begun after `--minutes`; the table says how many pieces were done.
"""

import argparse
import time

import numpy as np
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.corpus.line_index import LineIndex
from symbolic.corpus.lines import Lines, lines_of
from symbolic.corpus.matching import find_matches
from symbolic.corpus.originality import figures, open_index, piece_lines
from symbolic.generation.bundle import load_model, load_tokenizer
from symbolic.generation.continuation import assemble, continue_prompts
from symbolic.generation.prompt import prepare_prompt

FEWEST = 9  # notes in lines that bars must have: fewer hold no match that counts


def halves(corpus: Corpus, count: int, bars: int) -> list[tuple]:
    """(seed as a score, lines of the bars that follow) of `count` held-out pieces, evenly spread, with pitched notes in both."""
    vocabulary, found = corpus.tokenizer.vocabulary, []
    for index in np.concatenate([corpus.pieces("test"), corpus.pieces("validation")]):
        ids = corpus.piece(int(index))
        opens = np.flatnonzero(ids == vocabulary.bar)
        if len(opens) <= 2 * bars:
            continue
        both = lines_of(corpus.tokenizer.decode(ids[: opens[2 * bars]]))
        seed, after = both.chosen(both.bar < bars), both.chosen(both.bar >= bars)
        if min(len(seed), len(after)) >= FEWEST:
            found.append((corpus.tokenizer.decode(ids[: opens[bars]]), after))
    return [found[place] for place in np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)]


def row(name: str, pieces: list[Lines], index: LineIndex) -> str:
    """Median, 95 % and most of the longest match and of the share, as a row of a table."""
    longest, shares = np.array([figures(lines, find_matches(lines, index), index) for lines in pieces]).T
    told = [f"{np.median(longest):g}", f"{np.percentile(longest, 95):.0f}", f"{longest.max():g}"]
    told += [f"{100 * value:.1f} %" for value in (np.median(shares), shares.mean(), np.percentile(shares, 95), shares.max())]
    return f"| {name} | {len(pieces)} | {np.median([len(lines) for lines in pieces]):g} | " + " | ".join(told) + " |"


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--model", default=None)
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--batch", type=int, default=10)
    options = parser.parse_args()
    corpus, index = Corpus(options.dataset), open_index(options.dataset)
    pairs = halves(corpus, options.pieces, options.bars)
    order = np.random.default_rng(0).permutation(len(pairs))  # so that a run cut short has heard all collections
    pairs = [pairs[place] for place in order]
    print(f"{len(pairs)} held-out pieces with {2 * options.bars} bars and pitched notes, against {len(index.names):,} training pieces")
    head = "| | pieces | notes (median) | longest match: median | 95 % | most | in matches > 8 notes: median | mean | 95 % | most |"
    print(head, "|---" * 10 + "|", row("people, all", [after for _, after in pairs], index), sep="\n", flush=True)
    model, tokenizer = load_model(options.model), load_tokenizer(options.model)
    made: list[Lines] = []
    clock = time.perf_counter()
    for first in tqdm(range(0, len(pairs), options.batch), disable=None):
        if time.perf_counter() - clock > 60 * options.minutes:
            break
        prompts = [prepare_prompt(seed, tokenizer) for seed, _ in pairs[first : first + options.batch]]
        streams = continue_prompts(prompts, options.bars, model, tokenizer, list(range(first, first + len(prompts))))
        for prompt, ids in zip(prompts, streams, strict=True):
            made.append(piece_lines(assemble(prompt, options.bars, ids, tokenizer, {}), index.tokenizer, prompt.end))
        print(f"{len(made)} made in {time.perf_counter() - clock:.0f} s", flush=True)
    print(head, "|---" * 10 + "|", sep="\n")
    print(row("people, the same pieces", [after for _, after in pairs[: len(made)]], index))
    print(row("the model", made, index))


if __name__ == "__main__":
    main()
