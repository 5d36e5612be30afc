"""Where runs of notes stand in a set of pieces: a folder of arrays, memory-mapped, and the looking up in it.

INDEX/
  index.json       format, gram and window (`winnowing`), bits of an entry, counts, and what people's held-out pieces give
  names.json       the pieces' names
  offsets.npy      int64, (pieces + 1,): the notes of piece i, in all its lines, are places offsets[i] … offsets[i + 1] - 1
  buckets.npy      int64, (65537,): the entries whose hash begins with the 16 bits b are entries[buckets[b]:buckets[b + 1]]
  entries.npy      uint64, (kept grams,), ascending in each bucket: the hash's further bits, the place of its first note and,
                   in an index without steps, that note's bar
  steps.npy        uint16, (notes,): the lines of all pieces (`lines`), one after another; not in a sampled index
  bars.npy         uint16, (notes,): the bar of every note, from 0; not in a sampled index
  tokenizer.json   the settings of the tokenizer whose grid the notes stand on

A *full* index finds all matches of 9 notes and more, and their exact lengths. A *sampled* one is for shipping: it has no music in it,
finds all matches of `always_found` notes and more and some shorter ones, and gives them up to `window` − 1 notes too short at either end.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symbolic.corpus.lines import Lines
from symbolic.corpus.winnowing import HASH_BITS, RUN, gram_hashes, telling_runs, winnowed
from symbolic.errors import InputError
from symbolic.files import new_file, new_folder
from symbolic.tokenizers.remi import RemiTokenizer

FORMAT = 1
BUCKET_BITS = 16
BAR_BITS = 16
LAST_BAR = 2**BAR_BITS - 1
BLOCK = 2**19  # notes whose grams are hashed at once


@dataclass(frozen=True)
class Sampling:
    """Which grams are kept: of every `window` grams of `notes` notes one. Consecutive ones overlap, so that together they prove a match."""

    notes: int
    window: int

    def __post_init__(self) -> None:
        if not (self.notes >= RUN and 1 <= self.window <= self.notes - 2):
            raise InputError(
                f"grams of {self.notes} notes, one of {self.window}: at least {RUN} notes, and one of at most notes - 2, are wanted"
            )

    @property
    def always_found(self) -> int:
        """Notes of the shortest match that is certain to be found."""
        return self.notes + self.window - 1


FULL = Sampling(RUN, 2)
SAMPLED = Sampling(15, 13)


class LineIndex:
    """An opened index; `people` is what is said of held-out pieces in it, {} without."""

    def __init__(self, folder: str | Path) -> None:
        """Raises `InputError` when there is no index in `folder`, or a damaged one."""
        self.folder = Path(folder)
        if not (self.folder / "index.json").is_file():
            raise InputError(
                f"{folder}: no index here (index.json is missing); make one with: symbolic originality --index DATASET -o {folder}"
            )
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / "index.json").read_text())
            if self.facts["format"] != FORMAT:
                raise ValueError(f"format {self.facts['format']}, this version reads {FORMAT}")
            self.sampling = Sampling(self.facts["notes"], self.facts["window"])
            self.place_bits, self.bar_bits = int(self.facts["place_bits"]), int(self.facts["bar_bits"])
            self.people: dict[str, Any] = self.facts["people"]
            self.names: list[str] = json.loads((self.folder / "names.json").read_text())
            self.offsets = self._array("offsets", np.int64)
            self.buckets = self._array("buckets", np.int64)
            self.entries = self._array("entries", np.uint64)
            self.full = not self.bar_bits
            self.steps = self._array("steps", np.uint16) if self.full else None
            self.bars = self._array("bars", np.uint16) if self.full else None
            self._check()
        except (OSError, ValueError, KeyError, TypeError, EOFError, InputError) as error:
            raise InputError(f"{folder}: the index is damaged ({type(error).__name__}: {error}); make it again") from error
        self.tokenizer = RemiTokenizer.load(self.folder)

    @property
    def low_bits(self) -> int:
        """Bits of a hash that stand in an entry."""
        return _low_bits(self.place_bits, self.bar_bits)

    def look_up(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For `hashes` (n,) below 2^48: of each entry with one of them the index into `hashes`, the place and the bar (−1 if full)."""
        bucket = (hashes >> np.uint64(HASH_BITS - BUCKET_BITS)).astype(np.int64)
        beyond = 64 - self.low_bits
        low = (hashes >> np.uint64(HASH_BITS - BUCKET_BITS - self.low_bits)) & np.uint64(2**self.low_bits - 1)
        smallest = low << np.uint64(beyond)
        start = self._first_not_below(bucket, smallest)
        stop = self._first_not_below(bucket, smallest | np.uint64(2**beyond - 1))  # no entry has all bits of place and bar set
        counts = stop - start
        which = np.repeat(np.arange(len(hashes)), counts)
        found = self.entries[np.repeat(start - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
        place = ((found >> np.uint64(self.bar_bits)) & np.uint64(2**self.place_bits - 1)).astype(np.int64)
        bar = (found & np.uint64(2**self.bar_bits - 1)).astype(np.int64) if self.bar_bits else np.full(len(found), -1)
        return which, place, bar

    def set_people(self, people: dict[str, Any]) -> None:
        """Keep what held-out pieces give in this index, also in its folder."""
        self.people = self.facts["people"] = people
        with new_file(self.folder / "index.json", force=True) as temporary:
            temporary.write_text(json.dumps(self.facts, separators=(",", ":")) + "\n")

    def piece_at(self, place: int) -> int:
        """Which piece a place belongs to."""
        return int(np.searchsorted(self.offsets, place, side="right")) - 1

    def _first_not_below(self, bucket: np.ndarray, value: np.ndarray) -> np.ndarray:
        start, stop = self.buckets[bucket], self.buckets[bucket + 1]
        last = max(len(self.entries) - 1, 0)
        while (start < stop).any():
            middle = (start + stop) // 2
            below = (start < stop) & (self.entries[np.minimum(middle, last)] < value)
            start, stop = np.where(below, middle + 1, start), np.where(below | (start >= stop), stop, middle)
        return start

    def _array(self, name: str, kind: type) -> np.ndarray:
        array: np.ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if array.dtype != kind or array.ndim != 1:
            raise ValueError(f"{name}.npy holds {array.dtype} of shape {array.shape}, not a row of {np.dtype(kind)}")
        return array

    def _check(self) -> None:
        counts = {"offsets": len(self.names) + 1, "buckets": 2**BUCKET_BITS + 1, "entries": int(self.buckets[-1])}
        if self.full:
            counts |= {"steps": int(self.offsets[-1]), "bars": int(self.offsets[-1])}
        wrong = [
            f"{name}.npy has {len(getattr(self, name))} values, not {count}"
            for name, count in counts.items()
            if len(getattr(self, name)) != count
        ]
        if int(self.offsets[0]) or (np.diff(self.offsets) < 0).any():
            wrong.append("offsets.npy does not ascend")
        if int(self.buckets[0]) or (np.diff(self.buckets) < 0).any():
            wrong.append("buckets.npy does not ascend")
        if wrong:
            raise ValueError("; ".join(wrong))


def write_index(
    folder: str | Path,
    pieces: Iterable[tuple[str, Lines]],
    tokenizer: RemiTokenizer,
    sampling: Sampling = FULL,
    facts: dict[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write the index of `pieces`, as (name, lines); full if `sampling` is `FULL`. `facts` go into index.json.

    Needs about 12 bytes of memory a note. Raises `InputError` when `folder` exists, unless `force`.
    """
    with new_folder(Path(folder), force) as temporary:
        names: list[str] = []
        offsets = [0]
        grams, steps, bars = [], [], []
        for block in _blocks(pieces):
            step, bar = (np.concatenate([getattr(lines, field) for _, lines in block]) for field in ("steps", "bar"))
            hashes = gram_hashes(step, sampling.notes, telling_runs(step))
            kept = winnowed(hashes, step, sampling.notes, sampling.window)
            bar = np.minimum(bar, LAST_BAR).astype(np.uint16)
            grams.append((hashes[kept], offsets[-1] + kept, bar[kept]))
            if sampling == FULL:
                steps.append(step)
                bars.append(bar)
            names.extend(name for name, _ in block)
            offsets.extend((offsets[-1] + np.cumsum([len(lines) for _, lines in block])).tolist())
        place_bits, bar_bits = (32, 0) if sampling == FULL else (int(offsets[-1]).bit_length(), BAR_BITS)
        hashes, places, first_bars = (
            np.concatenate([part[field] for part in grams] or [np.zeros(0)]).astype(np.uint64) for field in range(3)
        )
        entries, buckets = _entries(hashes, places, first_bars, place_bits, bar_bits)
        arrays = {"offsets": np.array(offsets, dtype=np.int64), "buckets": buckets, "entries": entries}
        if sampling == FULL:
            arrays |= {name: np.concatenate(parts or [np.zeros(0, np.uint16)]) for name, parts in (("steps", steps), ("bars", bars))}
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        (temporary / "names.json").write_text(json.dumps(names, ensure_ascii=False, separators=(",", ":")))
        told = (
            {"format": FORMAT} | asdict(sampling) | {"always_found": sampling.always_found, "place_bits": place_bits, "bar_bits": bar_bits}
        )
        told |= {"pieces": len(names), "notes_in_lines": offsets[-1], "grams": len(entries), "people": {}} | (facts or {})
        (temporary / "index.json").write_text(json.dumps(told, indent=1) + "\n")
        tokenizer.save(temporary)


def _blocks(pieces: Iterable[tuple[str, Lines]]) -> Iterable[list[tuple[str, Lines]]]:
    block: list[tuple[str, Lines]] = []
    size = 0
    for name, lines in pieces:
        block.append((name, lines))
        size += len(lines)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _entries(hashes: np.ndarray, places: np.ndarray, bars: np.ndarray, place_bits: int, bar_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The entries in the order of their hashes, then places, and the edges of the buckets."""
    low_bits = _low_bits(place_bits, bar_bits)
    low = (hashes >> np.uint64(HASH_BITS - BUCKET_BITS - low_bits)) & np.uint64(2**low_bits - 1)
    entries = low << np.uint64(64 - low_bits) | places << np.uint64(bar_bits) | (bars if bar_bits else np.uint64(0))
    bucket = (hashes >> np.uint64(HASH_BITS - BUCKET_BITS)).astype(np.int64)
    edges = np.searchsorted(np.sort(bucket), np.arange(2**BUCKET_BITS + 1))
    order = np.argsort(bucket, kind="stable")
    entries = entries[order]
    for start, stop in itertools.pairwise(edges.tolist()):
        entries[start:stop].sort()
    return entries, edges.astype(np.int64)


def _low_bits(place_bits: int, bar_bits: int) -> int:
    return min(64 - place_bits - bar_bits, HASH_BITS - BUCKET_BITS)
