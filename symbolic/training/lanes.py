"""Lanes: each row of a batch is one contiguous stream of whole pieces, so that the model's memory means something.

An epoch is a plan: the training pieces in random order, each with a transposition drawn for this epoch. Rank r of w
processes takes every w-th entry, on from one epoch's plan into the next; a lane that ends a piece takes the next entry of its rank.
The state is a few numbers: epoch, place in the plan, and for each lane its entry and offset. The same seed gives the same stream.
Only training pieces are transposed, and rearranged for the tasks of `tokenizers/tasks.py` with the weights given.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.tasks import Arranger
from symbolic.tokenizers.vocabulary import TokenType

NO_LABEL = -100


@dataclass
class Segment:
    """One step's input of a rank: ids, labels and ages (B, T), beats (B, T, 3), all int64.

    Labels are the next ids, −100 after a piece's last.
    """

    ids: np.ndarray
    labels: np.ndarray
    ages: np.ndarray
    beats: np.ndarray


@dataclass
class _Lane:
    epoch: int = 0
    entry: int = -1
    offset: int = 0
    ids: np.ndarray | None = None
    beats: np.ndarray | None = None


class Lanes:
    """An endless iterator of `Segment`s over the training pieces; `state_dict` and `load_state_dict` resume it exactly."""

    def __init__(
        self,
        corpus: Corpus,
        lanes: int,
        segment_length: int,
        *,
        split: str = "train",
        twelve_keys: bool = True,
        balance: float = 1.0,
        tasks: Mapping[str, float] | None = None,
        random_seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.corpus, self.segment_length = corpus, segment_length
        self.pieces = corpus.pieces(split)
        if not len(self.pieces):
            raise InputError(f"{corpus.folder}: no {split} pieces in this dataset of {len(corpus.rows['split'])}")
        self.twelve_keys, self.balance, self.random_seed = twelve_keys and split == "train", balance, random_seed
        self.tasks = dict(tasks or {}) if split == "train" else {}
        if self.tasks and not len(corpus.tokenizer.vocabulary.of_type(TokenType.TASK)):
            raise InputError(f"{corpus.folder}: its tokenizer has no tokens for tasks; tokenize with tasks: true, or leave tasks out")
        self.rank, self.world = rank, world
        self.epoch, self.next_entry = 0, rank
        self._plans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.lanes = [_Lane() for _ in range(lanes)]

    def __iter__(self) -> "Lanes":
        return self

    def __next__(self) -> Segment:
        B, T = len(self.lanes), self.segment_length
        segment = Segment(*(np.zeros(shape, dtype=np.int64) for shape in ((B, T), (B, T), (B, T), (B, T, 3))))
        for row, lane in enumerate(self.lanes):
            filled = 0
            while filled < T:
                if lane.ids is None or lane.offset >= len(lane.ids):
                    self._begin_piece(lane)
                assert lane.ids is not None
                assert lane.beats is not None
                take = min(T - filled, len(lane.ids) - lane.offset)
                place, source = slice(filled, filled + take), slice(lane.offset, lane.offset + take)
                segment.ids[row, place] = lane.ids[source]
                following = lane.ids[lane.offset + 1 : lane.offset + 1 + take]
                segment.labels[row, place] = NO_LABEL
                segment.labels[row, filled : filled + len(following)] = following
                segment.ages[row, place] = np.arange(lane.offset, lane.offset + take)
                segment.beats[row, place] = lane.beats[source]
                filled, lane.offset = filled + take, lane.offset + take
        return segment

    def plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The entries of an epoch: piece indices, and for each a uniform draw in [0, 1) that picks its transposition."""
        if epoch not in self._plans:
            generator = np.random.default_rng([self.random_seed, epoch])
            copies = self._copies()
            whole = np.floor(copies).astype(int) + (generator.random(len(copies)) < copies % 1)
            entries = generator.permutation(np.repeat(self.pieces, whole))
            self._plans = {epoch: (entries, generator.random(len(entries)))}
        return self._plans[epoch]

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as plain numbers."""
        return {
            "epoch": self.epoch,
            "next_entry": self.next_entry,
            "lanes": [[lane.epoch, lane.entry, lane.offset] for lane in self.lanes],
            "source": self._source(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises `InputError` when that was another stream, naming what differs."""
        source = self._source() | {"lanes": len(self.lanes)}
        saved = state.get("source", {}) | {"lanes": len(state["lanes"])}
        different = [f"{name} was {saved[name]} and is {source[name]}" for name in saved if saved[name] != source[name]]
        if different:
            where = "resume with the dataset, settings and processes it had"
            raise InputError(f"the saved run read another stream: {', '.join(different)}; {where}")
        self.epoch, self.next_entry = state["epoch"], state["next_entry"]
        for lane, (epoch, entry, offset) in zip(self.lanes, state["lanes"], strict=True):
            lane.epoch, lane.entry, lane.ids = epoch, entry, None
            if entry >= 0:
                self._load(lane)
            lane.offset = offset

    def _source(self) -> dict[str, Any]:
        """What the stream depends on; `dataset` is a checksum of the split and the lengths of all pieces."""
        checksum = zlib.crc32(self.pieces.tobytes() + self.corpus.offsets.tobytes())
        settings: dict[str, Any] = {"random_seed": self.random_seed, "balance": self.balance, "twelve_keys": self.twelve_keys}
        settings |= {"tasks": self.tasks} if self.tasks else {}
        return {"dataset": checksum, "processes": self.world} | settings

    def _copies(self) -> np.ndarray:
        """How often each piece comes in an epoch, on average; all 1 when collections are weighted by their tokens."""
        collections = np.array(self.corpus.rows["collection"])[self.pieces]
        lengths = self.corpus.lengths()[self.pieces]
        names, member = np.unique(collections, return_inverse=True)
        tokens = np.bincount(member, weights=lengths, minlength=len(names))
        wanted = tokens**self.balance / (tokens**self.balance).sum()
        return (wanted / (tokens / tokens.sum()))[member]

    def _begin_piece(self, lane: _Lane) -> None:
        while self.next_entry >= len(self.plan(self.epoch)[0]):
            self.next_entry -= len(self.plan(self.epoch)[0])
            self.epoch += 1
        lane.epoch, lane.entry, lane.offset = self.epoch, self.next_entry, 0
        self.next_entry += self.world
        self._load(lane)

    def _load(self, lane: _Lane) -> None:
        entries, draws = self.plan(lane.epoch)
        vocabulary = self.corpus.tokenizer.vocabulary
        ids = self.corpus.piece(int(entries[lane.entry])).astype(np.int64)
        if self.twelve_keys:
            low, high = vocabulary.shift_range(ids)
            ids = vocabulary.transpose_ids(ids, low + int(draws[lane.entry] * (high - low + 1)))
        if self.tasks:
            generator = np.random.default_rng([self.random_seed, lane.epoch, lane.entry])
            weights = np.array(list(self.tasks.values()))
            kind = str(generator.choice(list(self.tasks), p=weights / weights.sum()))
            ids = Arranger(vocabulary).arranged(ids, kind, generator)
        lane.ids, lane.beats = ids, derive_beats(ids, vocabulary)
