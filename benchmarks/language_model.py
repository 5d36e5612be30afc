"""Does a trained model predict held-out music better than n-grams of the same tokens? In nats per note, lower is better.

    python benchmarks/language_model.py DATASET MODEL_FOLDER [--split test] [--pieces N] [--order 5] [--ngram-cache FILE.npz] [--json FILE]

DATASET is made by `symbolic tokenize`; without MODEL_FOLDER only the n-grams are scored. The rules, the same for every system:

- every token of a held-out piece but the first (BOS, given) is predicted, EOS included, from the tokens of its own piece before it;
- held-out pieces keep their key; nothing is tuned on them;
- the n-grams (`ngram.py`) are counted over every training piece in each of the twelve keys that its range allows, as the model is trained;
- nats per note = all nats of the pieces / their notes; the better of the two n-grams is the one to beat.

The n-grams weigh all training tokens equally; a model trained with `balance` sees the collections more evenly.
The interval is a bootstrap over pieces: it holds for other pieces like these, not for other collections or other training runs.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ngram import bits_per_token, count, score
from tqdm import tqdm

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.errors import InputError, UsageError
from symbolic.files import new_file
from symbolic.models.transformer_xl import TransformerXL, load_weights
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType
from symbolic.training.evaluation import Score, token_nats

RESAMPLES = 10_000


@dataclass
class Pieces:
    """Held-out pieces: `indices` in the corpus (P,), `tokens` scored by `TokenType` (P, 12), `notes` (P,), `collections`."""

    indices: np.ndarray
    tokens: np.ndarray
    notes: np.ndarray
    collections: np.ndarray


@dataclass
class System:
    """What one predictor pays: `nats` by piece and `TokenType` (P, 12), the seconds it took, and what else is worth keeping."""

    name: str
    nats: np.ndarray
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)

    def score(self, pieces: Pieces, chosen: np.ndarray | slice = slice(None)) -> Score:
        """The sums over the chosen pieces."""
        return Score(self.nats[chosen].sum(0), pieces.tokens[chosen].sum(0), int(pieces.notes[chosen].sum()))


def main(arguments: list[str] | None = None) -> int:
    """The command; gives the exit status."""
    parser = argparse.ArgumentParser(description="nats per note of a trained model and of 5-grams, on held-out pieces")
    parser.add_argument("dataset", type=Path, help="a dataset made by symbolic tokenize")
    parser.add_argument("model", type=Path, nargs="?", help="a model folder; without it only the n-grams are scored")
    parser.add_argument("--split", choices=SPLITS[1:], default="test", help="the pieces to predict (default: test)")
    parser.add_argument("--pieces", type=int, help="only N of them, evenly spaced")
    parser.add_argument("--order", type=int, default=5, help="tokens of an n-gram (default: 5)")
    parser.add_argument("--ngram-cache", type=Path, help="keep the n-grams' nats in this .npz file, and take them from it when it is there")
    parser.add_argument("--json", type=Path, help="write all figures here")
    chosen = parser.parse_args(arguments)
    try:
        compare(chosen.dataset, chosen.model, chosen.split, chosen.pieces, chosen.order, chosen.ngram_cache, chosen.json)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def compare(
    dataset: Path, model: Path | None, split: str, limit: int | None, order: int, cache: Path | None, output: Path | None
) -> dict[str, Any]:
    """Score all systems, print the table, write and give the figures."""
    corpus = Corpus(dataset)
    if limit is not None and limit < 1:
        raise UsageError(f"--pieces {limit}: at least 1")
    everything = corpus.pieces(split)
    if not len(everything):
        raise InputError(f"{dataset}: no pieces in the split {split}; tokenize more files, or with a larger share held out")
    network = _open_model(corpus, model) if model is not None else None
    systems = _ngrams(corpus, split, everything, order, cache)
    kept = np.arange(len(everything))
    if limit is not None and limit < len(everything):
        kept = np.linspace(0, len(everything) - 1, limit).round().astype(np.int64)
        for system in systems:
            system.nats = system.nats[kept]
    pieces = _describe(corpus, everything[kept])
    if network is not None:
        systems.insert(0, _model(corpus, pieces, network))
    print(_table(systems, pieces))
    figures = {
        "dataset": dataset.resolve().name, "split": split, "pieces": len(kept), "notes": int(pieces.notes.sum()),
        "tokens": int(pieces.tokens.sum()), "order": order,
        "systems": {system.name: _figures(system, pieces) for system in systems},
    }  # fmt: skip
    if network is not None:
        baseline = min(systems[1:], key=lambda system: system.nats.sum())
        ratio, low, high = bootstrap_ratio(systems[0].nats.sum(1), baseline.nats.sum(1))
        figures["comparison"] = {"baseline": baseline.name, "ratio": ratio, "interval_95": [low, high], "below_percent": 100 * (1 - ratio)}
        print(f"\nmodel is {100 * (1 - ratio):.1f} % below the {order}-gram ({baseline.name})")
        print(f"ratio model / {order}-gram {ratio:.4f}, 95 % interval over pieces {low:.4f} to {high:.4f}")
    if output is not None:
        with new_file(output, force=True) as temporary:
            temporary.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def bootstrap_ratio(model: np.ndarray, baseline: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Ratio of two sums over pieces (P,) with its 95 % percentile interval under resampling of the pieces.

    The notes of a resample divide both sums, so this is the ratio of nats per note.
    """
    generator = np.random.default_rng(seed)
    ratios = np.empty(RESAMPLES)
    for row in range(RESAMPLES):
        drawn = generator.integers(0, len(model), len(model))
        ratios[row] = model[drawn].sum() / baseline[drawn].sum()
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(model.sum() / baseline.sum()), float(low), float(high)


def _describe(corpus: Corpus, indices: np.ndarray) -> Pieces:
    types = corpus.tokenizer.vocabulary.types
    tokens = np.array([np.bincount(types[corpus.piece(index)[1:]], minlength=len(TokenType)) for index in indices])
    collections = np.array([corpus.rows["collection"][index] or "(none)" for index in indices])
    return Pieces(indices, tokens, tokens[:, TokenType.VELOCITY], collections)


def _by_type(corpus: Corpus, indices: np.ndarray, nats: list[np.ndarray]) -> np.ndarray:
    """Nats of every token, a list of (T − 1,), as sums by piece and type (P, 12)."""
    types = corpus.tokenizer.vocabulary.types
    rows = zip(indices, nats, strict=True)
    return np.array([np.bincount(types[corpus.piece(index)[1:]], weights=paid, minlength=len(TokenType)) for index, paid in rows])


def _ngrams(corpus: Corpus, split: str, indices: np.ndarray, order: int, cache: Path | None) -> list[System]:
    """Both n-grams on all pieces of a split, from the cache if it has them."""
    vocabulary = corpus.tokenizer.vocabulary
    bits = bits_per_token(order, len(vocabulary))
    print("n-grams: reading the dataset", file=sys.stderr)
    stamp = _stamp(corpus, split, order)
    if cache is not None and cache.exists():
        return _load_cache(cache, stamp)
    began = time.perf_counter()
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index in corpus.pieces("train").tolist():
        alike[vocabulary.shift_range(corpus.piece(index))].append(index)
    training = []
    with tqdm(total=sum(map(len, alike.values())), desc="count", unit="piece", disable=None) as bar:
        for (lowest, highest), members in alike.items():
            tables = [vocabulary.transposition_table(semitones) for semitones in range(lowest, highest + 1)]
            training.append(count((corpus.piece(index) for index in members), tables, order, bits, vocabulary.bos))
            bar.update(len(members))
    scored = score(training, [corpus.piece(index) for index in indices], order, len(vocabulary), vocabulary.bos)
    seconds = time.perf_counter() - began
    notes = {
        "training_ngrams": sum(int(counted.counts.sum()) * len(counted.tables) for counted in training),
        "distinct_ngrams_before_transposing": sum(len(counted.keys) for counted in training),
    }
    systems = [System(f"{name} {order}", _by_type(corpus, indices, nats), seconds, dict(notes)) for name, nats in scored.nats.items()]
    systems[0].notes["discounts"] = scored.discounts.tolist()
    if cache is not None:
        _save_cache(cache, stamp, systems)
    return systems


def _stamp(corpus: Corpus, split: str, order: int) -> str:
    """What the n-grams' figures depend on, as one hash: ids, pieces, splits, tokenizer and order."""
    digest = hashlib.sha256(f"{split} {order}".encode())
    digest.update(json.dumps([corpus.rows["split"], corpus.tokenizer.vocabulary.tokens]).encode())
    digest.update(corpus.offsets.tobytes())
    digest.update(corpus.ids.data)
    return digest.hexdigest()


def _save_cache(path: Path, stamp: str, systems: list[System]) -> None:
    about = [{"name": system.name, "seconds": system.seconds, "notes": system.notes} for system in systems]
    with new_file(path, force=True) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, stamp=stamp, about=json.dumps(about), nats=np.stack([system.nats for system in systems]))


def _load_cache(path: Path, stamp: str) -> list[System]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            found, about, nats = str(stored["stamp"]), json.loads(str(stored["about"])), stored["nats"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: not a cache of this benchmark ({type(error).__name__}); remove it to count again") from error
    if found != stamp:
        raise InputError(f"{path}: made from another dataset, split or order; remove it to count again, or name another file")
    return [System(one["name"], rows, one["seconds"], one["notes"]) for one, rows in zip(about, nats, strict=True)]


def _open_model(corpus: Corpus, folder: Path) -> TransformerXL:
    """The model in `folder`, on the GPU if there is one. Raises `InputError` when its tokens are not the dataset's."""
    if RemiTokenizer.load(folder).vocabulary.tokens != corpus.tokenizer.vocabulary.tokens:
        raise InputError(f"{folder}: this model's tokens are not those of {corpus.folder}; tokenize the corpus with the model's settings")
    return load_weights(folder).to("cuda" if torch.cuda.is_available() else "cpu")


def _model(corpus: Corpus, pieces: Pieces, model: TransformerXL) -> System:
    """The model on the same pieces."""
    began = time.perf_counter()
    nats = np.zeros(pieces.tokens.shape)
    with tqdm(total=int(pieces.tokens.sum()), desc="model", unit="token", unit_scale=True, disable=None) as bar:
        for rows in _of_like_length(pieces.tokens.sum(1)):
            among = pieces.indices[rows]
            paid = token_nats(model, [corpus.piece(index) for index in among], corpus.tokenizer.vocabulary, progress=bar.update)
            nats[rows] = _by_type(corpus, among, paid)
    notes = {"parameters": sum(parameter.numel() for parameter in model.parameters()), "device": model.device.type}
    return System("model", nats, time.perf_counter() - began, notes)


def _of_like_length(lengths: np.ndarray, most: int = 16, stretch: float = 1.25) -> Iterator[list[int]]:
    """Batches of rows whose lengths differ by at most `stretch`: a batch is as long as its longest piece.

    Example: lengths 10, 900, 12, 1000 give the batches [0, 2] and [1, 3].
    """
    batch: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) == most or lengths[row] > stretch * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _figures(system: System, pieces: Pieces) -> dict[str, Any]:
    collections = {str(name): system.score(pieces, pieces.collections == name).summary() for name in np.unique(pieces.collections)}
    return {"seconds": system.seconds} | system.notes | system.score(pieces).summary() | {"collections": collections}


def _table(systems: list[System], pieces: Pieces) -> str:
    """Rows of figures, a column a system; kinds of tokens and collections with their sizes."""
    scores = [system.score(pieces) for system in systems]
    rows = [
        ("nats per note", [one.nats_per_note for one in scores]),
        ("bits per note", [one.nats_per_note / math.log(2) for one in scores]),
        ("nats per token", [one.nats_per_token for one in scores]),
    ]
    tokens = pieces.tokens.sum(0)
    for kind in TokenType:
        if tokens[kind]:
            name = kind.name.lower().replace("_", " ")
            rows.append((f"nats per {name} ({tokens[kind]:,})", [one.nats[kind] / tokens[kind] for one in scores]))
    for name in np.unique(pieces.collections):
        among = pieces.collections == name
        label = f"nats per note, {name} ({among.sum()} pieces)"
        rows.append((label, [system.score(pieces, among).nats_per_note for system in systems]))
    rows.append(("seconds", [system.seconds for system in systems]))
    width = max(len(label) for label, _ in rows)
    lines = [f"{len(pieces.indices)} pieces, {pieces.notes.sum():,} notes, {tokens.sum():,} tokens", ""]
    lines.append(" " * width + "".join(f"{system.name:>16}" for system in systems))
    lines += [f"{label:<{width}}" + "".join(f"{value:16.3f}" for value in values) for label, values in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
