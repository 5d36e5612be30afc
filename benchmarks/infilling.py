"""What knowing the rest is worth: nats per note of what is asked for, with what is given and without it, on held-out pieces.

    python benchmarks/infilling.py DATASET MODEL [--split test] [--pieces 100] [--write]

For each task of `tokenizers/tasks.py` up to --pieces pieces that have what it needs, of the split and then of the other held-out one,
each rearranged with choices drawn from a fixed seed. Given: nats of the tokens behind each Answer, over their notes. Alone: the same
notes from what stands before them only: for a gap the true bars as a continuation of the bars before, for the other tasks the asked
notes as a piece of their own. In both the tokens of tasks, which no answer can hold, are left out of what may follow. Kneser-Ney: a
5-gram of training pieces, on the streams of *alone*. 95 % intervals of the difference are from 2,000 draws of pieces.

With --write the table of `middle_writing.py` instead: what the functions of `generation/middle.py` really write in as many pieces.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import middle_writing
import ngram
import numpy as np
import torch

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.models.network import Network
from symbolic.tokenizers.tasks import CONTINUE, FEWEST_AROUND, FILL, KINDS, LONGEST_BEFORE, LONGEST_GAP, Arranger
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary
from symbolic.training.evaluation import opened, token_nats

LONGEST = 8192  # tokens of a rearranged piece
DRAWS, ORDER = 2000, 5
GAPS = ((1, 2), (3, 4), (5, 8))  # bars, each told in a line of its own


@dataclass
class Asked:
    """A rearranged piece and the same notes without what is given; which tokens of each are scored, and how many notes they tell."""

    given: np.ndarray
    given_scored: np.ndarray
    alone: np.ndarray
    alone_scored: np.ndarray
    notes: int
    bars: int = 0
    """Of a gap."""


def asked_of(ids: np.ndarray, kind: str, arranger: Arranger, generator: np.random.Generator) -> Asked | None:
    """None when the piece has not what the task needs, or is too long."""
    asked = one_gap(ids, arranger, generator) if kind == FILL else in_turns(ids, kind, arranger, generator)
    return asked if asked is not None and len(asked.given) <= LONGEST else None


def in_turns(ids: np.ndarray, kind: str, arranger: Arranger, generator: np.random.Generator) -> Asked | None:
    """A task in which what is given and what is asked for take turns."""
    arranged = arranger.arranged(ids, kind, generator).astype(np.int64)
    types = arranger.vocabulary.types[arranged]
    marks = np.where(types == TokenType.ANSWER, 1, np.where(types == TokenType.GIVEN, -1, 0))
    if not marks.any():
        return None
    places = np.maximum.accumulate(np.where(marks != 0, np.arange(len(marks)), -1))
    answers = (places >= 0) & (marks[places] == 1) & (types != TokenType.ANSWER) & (types != TokenType.EOS)
    alone = np.concatenate((arranged[:1], arranged[answers]))
    return Asked(arranged, answers, alone, np.arange(len(alone)) >= 1, int((types[answers] == TokenType.VELOCITY).sum()))


def one_gap(ids: np.ndarray, arranger: Arranger, generator: np.random.Generator) -> Asked | None:
    """A gap of 1 to 8 bars somewhere in the piece, with at most 24 bars before it, told as `symbolic fill` tells it."""
    types, vocabulary = arranger.vocabulary.types, arranger.vocabulary
    edges = np.append((types[ids] == TokenType.BAR).nonzero()[0], len(ids) - 1)
    count = len(edges) - 1
    if count < FEWEST_AROUND:
        return None
    bars = int(generator.integers(1, min(LONGEST_GAP, count - 2) + 1))
    gap = int(generator.integers(1, count - bars))
    before = ids[edges[max(0, gap - LONGEST_BEFORE)] : edges[gap]]
    answer = arranger.answer(ids[edges[gap] : edges[gap + bars]])
    question = arranger.filling(before, arranger.near(ids[edges[gap + bars] : edges[-1]]), bars)
    given, alone = (np.concatenate((part, answer)).astype(np.int64) for part in (question, np.append(vocabulary.bos, before)))
    scored = [np.arange(len(part)) >= len(part) - len(answer) for part in (given, alone)]
    return Asked(given, scored[0], alone, scored[1], int((types[answer] == TokenType.VELOCITY).sum()), bars)


def without_tasks(network: Network, vocabulary: Vocabulary) -> None:
    """No token of a task is offered from now on: none can stand in an answer, whose bars are known."""
    with torch.no_grad():
        network.head.bias[torch.from_numpy(np.flatnonzero(vocabulary.types >= TokenType.GIVEN))] = -1e4


def sums(nats: list[np.ndarray], masks: list[np.ndarray]) -> np.ndarray:
    """Nats of the scored tokens of each piece."""
    return np.array([float(of[mask[1:]].sum()) for of, mask in zip(nats, masks, strict=True)])


def interval(given: np.ndarray, alone: np.ndarray) -> tuple[float, float]:
    """95 % of `1 − given / alone` over draws of pieces with replacement."""
    draws = np.random.default_rng(0).integers(0, len(given), (DRAWS, len(given)))
    shares = 1 - given[draws].sum(axis=1) / alone[draws].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def chosen_pieces(corpus: Corpus, split: str, kind: str, count: int, vocabulary: Vocabulary) -> list[Asked]:
    """Of the split, and where these do not suffice of the other held-out one, in the order of a fixed draw."""
    arranger, found = Arranger(vocabulary), list[Asked]()
    for index in middle_writing.drawn_order(corpus, split):
        asked = asked_of(corpus.piece(index), kind, arranger, np.random.default_rng([index, KINDS.index(kind)]))
        if asked is not None and asked.notes:
            found.append(asked)
        if len(found) == count:
            break
    return found


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", choices=SPLITS[1:], default="test")
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--ngram-pieces", type=int, default=2000, help="training pieces the 5-gram counts, 0 for none")
    parser.add_argument("--tasks", nargs="+", choices=[kind for kind in KINDS if kind != CONTINUE], default=None, help="these only")
    parser.add_argument("--write", action="store_true", help="write, and count what is kept, instead")
    options = parser.parse_args()
    corpus = Corpus(options.dataset)
    network, tokenizer, _ = opened(options.model)
    corpus.require_tokenizer(tokenizer, options.model)
    if options.write:
        middle_writing.write_all(corpus, options.split, options.pieces, {"model": network, "tokenizer": tokenizer}, options.tasks)
        return
    vocabulary = tokenizer.vocabulary
    without_tasks(network, vocabulary)
    counted = None
    if options.ngram_pieces:
        heard = np.random.default_rng(0).permutation(corpus.pieces("train"))[: options.ngram_pieces].tolist()
        tables = [vocabulary.transposition_table(0)]
        bits = ngram.bits_per_token(ORDER, len(vocabulary))
        counted = ngram.count((corpus.piece(index) for index in heard), tables, ORDER, bits, vocabulary.bos)
    print(f"{'task':<15}{'pieces':>7}{'notes':>8}{'given':>8}{'alone':>8}{'saved %':>9}{'95 %':>14}{'5-gram':>8}")
    for kind in options.tasks or [kind for kind in KINDS if kind != CONTINUE]:
        asked = chosen_pieces(corpus, options.split, kind, options.pieces, vocabulary)
        given = sums(token_nats(network, [a.given for a in asked], vocabulary), [a.given_scored for a in asked])
        alone = sums(token_nats(network, [a.alone for a in asked], vocabulary), [a.alone_scored for a in asked])
        nats = None
        if counted is not None:
            each = ngram.score([counted], [a.alone for a in asked], ORDER, len(vocabulary), vocabulary.bos).nats["Kneser-Ney"]
            nats = sums(each, [a.alone_scored for a in asked])
        tell(kind, asked, np.ones(len(asked), dtype=bool), given, alone, nats)
        if kind == FILL:
            bars = np.array([piece.bars for piece in asked])
            for fewest, most in GAPS:
                tell(f"  {fewest} to {most} bars", asked, (bars >= fewest) & (bars <= most), given, alone, nats)


def tell(name: str, asked: list[Asked], chosen: np.ndarray, given: np.ndarray, alone: np.ndarray, nats: np.ndarray | None) -> None:
    """Print the line of the chosen pieces (bool, one each), if there are any."""
    if not chosen.any():
        return
    given, alone = given[chosen], alone[chosen]
    notes = sum(piece.notes for piece, kept in zip(asked, chosen, strict=True) if kept)
    low, high = interval(given, alone)
    told = f"{100 * low:.1f} to {100 * high:.1f}"
    line = f"{name:<15}{chosen.sum():>7}{notes:>8,}{given.sum() / notes:>8.3f}{alone.sum() / notes:>8.3f}"
    line += f"{100 * (1 - given.sum() / alone.sum()):>9.1f}{told:>14}"
    print(line + ("" if nats is None else f"{nats[chosen].sum() / notes:>8.3f}"), flush=True)


if __name__ == "__main__":
    main()
