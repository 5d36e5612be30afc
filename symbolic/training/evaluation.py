"""How well a model predicts pieces: negative log-likelihood in nats, by kind of token, per note and per beat.

A piece is scored whole, from BOS (given, not scored) to EOS, with the memory running through it.
Nats per note = all nats of the piece's tokens / its notes: it does not depend on how many tokens a note is spelt with.
Nats per beat = all nats / the length of its bars in quarter notes.

Memory N: at every layer a token sees itself and the N before it; N is the length a model was trained with unless told.
Without memory (0): a piece is cut into segments of `ANEW` tokens, and each is predicted from its own tokens alone.
Twelve keys: for each piece the mean over all transpositions from 5 semitones down to 6 up that keep its pitches in 0..127.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.corpus.pieces import Rejected, tokenize_file
from symbolic.errors import InputError, UsageError
from symbolic.midi.folder import MusicFile, music_files
from symbolic.models.transformer_xl import TransformerXL, load_weights
from symbolic.models.variants import variant
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary
from symbolic.training.surprise import check_picture, most_surprising, note_surprises, plot_surprise

ANEW = 256


@dataclass
class Score:
    """Sums over pieces: nats and tokens by `TokenType` (17,), notes, and beats (quarter notes of all bars)."""

    nats: np.ndarray
    tokens: np.ndarray
    notes: int
    beats: float = 0.0

    @property
    def nats_per_note(self) -> float:
        """All nats divided by the number of notes."""
        return float(self.nats.sum() / max(self.notes, 1))

    @property
    def nats_per_token(self) -> float:
        """All nats divided by the number of scored tokens."""
        return float(self.nats.sum() / max(self.tokens.sum(), 1))

    def summary(self) -> dict[str, float]:
        """The figures people compare, as a flat mapping."""
        kinds = {f"nats_per_{kind.name.lower()}": float(self.nats[kind] / self.tokens[kind]) for kind in TokenType if self.tokens[kind]}
        return {
            "nats_per_note": self.nats_per_note,
            "bits_per_note": self.nats_per_note / math.log(2),
            "nats_per_beat": float(self.nats.sum() / self.beats) if self.beats else 0.0,
            "nats_per_token": self.nats_per_token,
            "perplexity_per_token": math.exp(min(self.nats_per_token, 700)),
            "notes": self.notes,
            "beats": self.beats,
            "tokens": int(self.tokens.sum()),
        } | kinds


def evaluate(
    model: str | Path | tuple[TransformerXL, RemiTokenizer], source: str | Path, *, split: str = "test",
    memory: int | Sequence[int] | None = None, twelve_keys: bool = False, plot: str | Path | None = None, force: bool = False,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """How well a model (its folder, or itself and its tokenizer) predicts a dataset's split, a folder of music, or one file.

    `memory` is the number of tokens remembered, 0 for none, or several such numbers; `twelve_keys` adds the mean over keys;
    `plot` is where to draw the surprise curve of a single file, and adds the most `surprising_notes`.
    Gives `Score.summary()` for the first memory in the original key and the number of `pieces`; of a dataset nats per note of each of
    its `collections`; of files how many were `skipped`, and in `skipped_files` which and why. In `columns` the same figures stand
    for every memory and, with `twelve_keys`, both for the "original" key and for all "twelve" `keys`.
    Raises `InputError` when the dataset has another tokenizer or nothing in that split, or no file could be read.
    """
    network, tokenizer, owner = opened(model)
    memories = [network.config.memory_length] if memory is None else [memory] if isinstance(memory, int) else list(memory)
    if not memories or min(memories) < 0:
        raise UsageError(f"memory is {memory}; 0 for none, or numbers of tokens are wanted")
    source = Path(source)
    from_dataset = any((source / name).exists() for name in ("ids.bin", "manifest", "offsets.npy"))
    skipped: list[dict[str, str]] = []
    if plot is not None:
        if not source.is_file():
            raise UsageError(f"--plot {plot}: the curve of one file is drawn, and {source} is none")
        check_picture(Path(plot), force)
    if from_dataset:
        pieces, collections = _split_of(source, split, tokenizer, owner)
    else:
        pieces, skipped = _pieces_of(source, tokenizer, progress)
        collections = [""] * len(pieces)
    vocabulary = tokenizer.vocabulary
    choices = ["original", "twelve"] if twelve_keys else ["original"]
    places = sum(_places(piece, vocabulary, keys) * (len(piece) - 1) for keys in choices for piece in pieces)
    columns: list[dict[str, Any]] = []
    with tqdm(total=places * len(memories), desc="evaluate", unit="token", unit_scale=True, disable=None if progress else True) as bar:
        for length in memories:
            listener = remembering(network, length)
            for keys in choices:
                score = in_twelve_keys if keys == "twelve" else token_nats
                nats = score(listener, pieces, vocabulary, progress=bar.update, **cut(length))
                columns.append({"memory": length, "keys": keys} | sum_up(pieces, nats, vocabulary).summary())
                if plot is not None and len(columns) == 1:
                    first_nats = nats
                if from_dataset:
                    columns[-1]["collections"] = _by_collection(pieces, nats, collections, vocabulary)
    summary = {key: value for key, value in columns[0].items() if key not in ("memory", "keys", "collections")}
    summary |= {"pieces": len(pieces), "skipped": len(skipped)}
    more = {"collections": columns[0]["collections"]} if from_dataset else {"skipped_files": skipped}
    if plot is not None:
        title = f"{source.name}: {summary['nats_per_note']:.2f} nats per note, memory {memories[0]}"
        plot_surprise(pieces[0], first_nats[0], vocabulary, plot, title, force=force)
        notes = most_surprising(note_surprises(pieces[0], first_nats[0], vocabulary))
        more |= {"plot": str(plot), "surprising_notes": [asdict(note) | {"name": note.name()} for note in notes]}
    return summary | more | {"columns": columns}


def opened(model: str | Path | tuple[TransformerXL, RemiTokenizer]) -> tuple[TransformerXL, RemiTokenizer, str]:
    """The network (on the GPU if there is one, when it is loaded here), its tokenizer, and how messages name it."""
    if isinstance(model, (str, Path)):
        network, tokenizer, owner = load_weights(model), RemiTokenizer.load(model), str(model)
        network.to("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[arg-type]  # the stub of `to` lost self
    else:
        network, tokenizer, owner = *model, "this model"
    if network.config.vocab_size != len(tokenizer.vocabulary):
        sizes = f"the model knows {network.config.vocab_size} tokens, its tokenizer {len(tokenizer.vocabulary)}"
        raise InputError(f"{owner}: {sizes}; they do not belong together")
    return network, tokenizer, owner


def token_nats(
    model: TransformerXL, pieces: Sequence[np.ndarray], vocabulary: Vocabulary, *, batch: int = 16, segment: int = 512,
    carry: bool = True, progress: Callable[[int], object] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """−log p of every token but the first, for each piece, float32 (T − 1,). Pieces are batched by length.

    Without `carry` nothing is remembered from one segment to the next: the result then depends on where segments are cut.
    `progress` is told the tokens done.
    """
    model.eval()
    device = next(model.parameters()).device
    result: list[np.ndarray] = [np.zeros(max(len(piece) - 1, 0), dtype=np.float32) for piece in pieces]
    order = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        longest = max(len(pieces[index]) for index in chosen)
        ids = np.full((len(chosen), longest), vocabulary.pad, dtype=np.int64)
        beats = np.zeros((len(chosen), longest, 3), dtype=np.int64)
        for row, index in enumerate(chosen):
            ids[row, : len(pieces[index])] = pieces[index]
            beats[row, : len(pieces[index])] = derive_beats(pieces[index], vocabulary)
        memory = None
        for start in range(0, longest - 1, segment):
            stop = min(start + segment, longest - 1)
            inputs = torch.from_numpy(ids[:, start:stop]).to(device)
            targets = torch.from_numpy(ids[:, start + 1 : stop + 1]).to(device)
            with torch.no_grad():
                output = model(inputs, torch.from_numpy(beats[:, start:stop]).to(device), memory)
            memory = output.memory if carry else None
            nats = torch.nn.functional.cross_entropy(output.logits.float().transpose(1, 2), targets, reduction="none").cpu().numpy()
            for row, index in enumerate(chosen):
                end = min(stop, len(result[index]))
                if end > start:
                    result[index][start:end] = nats[row, : end - start]
            if progress:
                progress(sum(min(stop, len(result[index])) - min(start, len(result[index])) for index in chosen))
    return result


def in_twelve_keys(model: TransformerXL, pieces: Sequence[np.ndarray], vocabulary: Vocabulary, **options: Any) -> list[np.ndarray]:
    """The mean of `token_nats` (with its options) over all transpositions of each piece that keep it in range."""
    ranges = [vocabulary.shift_range(piece) for piece in pieces]
    result = [np.zeros(max(len(piece) - 1, 0), dtype=np.float32) for piece in pieces]
    for shift in range(min(low for low, _ in ranges), max(high for _, high in ranges) + 1):
        fitting = [index for index, (low, high) in enumerate(ranges) if low <= shift <= high]
        moved = [vocabulary.transpose_ids(np.asarray(pieces[index]), shift) for index in fitting]
        for index, nats in zip(fitting, token_nats(model, moved, vocabulary, **options), strict=True):
            low, high = ranges[index]
            result[index] += nats / (high - low + 1)
    return result


def sum_up(pieces: Sequence[np.ndarray], nats: Sequence[np.ndarray], vocabulary: Vocabulary) -> Score:
    """The sums over pieces of nats as `token_nats` (or any other model of the same ids) gives them."""
    total, tokens, beats = np.zeros(len(TokenType)), np.zeros(len(TokenType), dtype=np.int64), 0.0
    for ids, scored in zip(pieces, nats, strict=True):
        beats += quarters(np.asarray(ids), vocabulary)
        types = vocabulary.types[np.asarray(ids[1:])]
        total += np.bincount(types, weights=scored, minlength=len(TokenType))
        tokens += np.bincount(types, minlength=len(TokenType))
    return Score(total, tokens, int(tokens[TokenType.VELOCITY]), beats)


def quarters(ids: np.ndarray, vocabulary: Vocabulary) -> float:
    """The length of all bars of a piece in quarter notes; a bar is 4/4 until a meter is told."""
    lengths = np.append(4 * vocabulary.numerators[ids] / np.maximum(vocabulary.denominators[ids], 1), 4.0)
    meters = np.flatnonzero(vocabulary.types[ids] == TokenType.TIME_SIGNATURE)
    bars = np.flatnonzero(ids == vocabulary.bar)
    told = np.searchsorted(meters, bars + 1, side="right") - 1  # a bar's meter stands right behind it
    return float(lengths[np.append(meters, -1)[told]].sum())


def cut(memory: int) -> dict[str, Any]:
    """How `token_nats` cuts a piece for a memory of so many tokens: anywhere, or into segments that stand alone."""
    return {} if memory else {"segment": ANEW, "carry": False}


def remembering(model: TransformerXL, memory: int) -> TransformerXL:
    """The model with a memory of so many tokens; without memory a token still sees what its window holds of its own segment."""
    length = memory or min(model.config.memory_length, ANEW - 1)
    return model if length == model.config.memory_length else variant(model, memory_length=length)


def _places(piece: np.ndarray, vocabulary: Vocabulary, keys: str) -> int:
    """How often a piece is scored."""
    low, high = vocabulary.shift_range(piece) if keys == "twelve" else (0, 0)
    return high - low + 1


def _by_collection(
    pieces: Sequence[np.ndarray], nats: Sequence[np.ndarray], collections: Sequence[str], vocabulary: Vocabulary
) -> dict[str, float]:
    members = {name: [index for index, own in enumerate(collections) if own == name] for name in sorted(set(collections))}
    return {
        name: sum_up([pieces[i] for i in chosen], [nats[i] for i in chosen], vocabulary).nats_per_note for name, chosen in members.items()
    }


def _split_of(dataset: Path, split: str, tokenizer: RemiTokenizer, owner: str) -> tuple[list[np.ndarray], list[str]]:
    """Pieces of a split of a dataset, and the collection of each."""
    corpus = Corpus(dataset)
    corpus.require_tokenizer(tokenizer, owner)
    indices = corpus.pieces(split).tolist()
    if not indices:
        choices = ", ".join(f"{name} ({len(corpus.pieces(name))} pieces)" for name in SPLITS)
        raise InputError(f"{dataset}: nothing in the split {split!r}; choose one of {choices}")
    return [corpus.piece(index) for index in indices], [corpus.rows["collection"][index] for index in indices]


def _pieces_of(source: Path, tokenizer: RemiTokenizer, progress: bool) -> tuple[list[np.ndarray], list[dict[str, str]]]:
    """Pieces of a MIDI file or of a folder of them, and the bad files with the reason."""
    archive = source.suffix.lower() == ".zip"
    single = source.is_file() and not archive
    files = [MusicFile(str(source), source, None, source.stat().st_size, source.stat().st_mtime_ns)] if single else music_files(source)
    bar = tqdm(files, desc="read", unit="file", disable=None if progress and len(files) > 1 else True)
    outcomes = [tokenize_file(file, tokenizer) for file in bar]
    skipped = [{"path": outcome.name, "reason": outcome.failure.reason} for outcome in outcomes if isinstance(outcome, Rejected)]
    pieces = [outcome.ids for outcome in outcomes if not isinstance(outcome, Rejected)]
    if not pieces:
        raise InputError(f"{source}: none of the {len(files)} files could be read; the first, {skipped[0]['path']}: {skipped[0]['reason']}")
    return pieces, skipped
