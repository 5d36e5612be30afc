"""Counting what a folder of music holds while its verdicts stream by: memory does not grow with the number of files.

Counters have few possible names, or are cut at `MOST_NAMES`; histograms have fixed edges; examples are those files whose
path has the smallest checksum, so that every run shows the same ones, from all over the folder.
"""

import heapq
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symbolic.corpus.loss import MS_EDGES

MOST_NAMES = 1000
OTHERS = "(others)"
COUNTED = ("lost", "changed", "onset_changed", "duration_changed")
ONE_TWO_FIVE = [step * 10**power for power in range(6) for step in (1, 2, 5)]
EDGES: dict[str, list[float]] = {
    "seconds": [0, 10, 20, 30, 60, 90, 120, 180, 240, 360, 600, 1200, 3600],
    "bars": [0, *ONE_TWO_FIVE[:13]],
    "notes": [0, *ONE_TWO_FIVE[3:]],
    "tokens": [0, *ONE_TWO_FIVE[5:]],
    "tracks": [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32],
    "polyphony": [0, 1.05, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16],
    "tempo": [0, 40, 50, 60, 70, 80, 90, 100, 110, 120, 121, 130, 140, 160, 180, 200, 240],
}
"""Lower edges of the bins of each histogram; the last bin has no end."""


@dataclass
class Sample:
    """At most `size` of the items told, those with the smallest checksum of their path."""

    size: int
    heap: list[tuple[int, str, Any]] = field(default_factory=list)

    def add(self, path: str, item: Any) -> None:
        """Tell one item."""
        entry = (-zlib.crc32(path.encode("utf-8", "replace")), path, item)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif entry[0] > self.heap[0][0]:
            heapq.heapreplace(self.heap, entry)

    def items(self) -> list[Any]:
        """What was kept, by path."""
        return [item for _, path, item in sorted(self.heap, key=lambda entry: entry[1])]


@dataclass
class LossTally:
    """The losses of many files as one: sums over notes, largest values."""

    notes: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    means: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    moved: np.ndarray = field(default_factory=lambda: np.zeros(len(MS_EDGES) + 1, dtype=np.int64))
    tuplets: dict[str, list[int]] = field(default_factory=dict)
    meters: np.ndarray = field(default_factory=lambda: np.zeros(4, dtype=np.int64))

    def add(self, notes: int, loss: dict[str, Any]) -> None:
        """Tell the loss of one file of so many notes."""
        self.notes += notes
        for name in COUNTED:
            self.sums[name] += loss[name]
        for name in ("onset_beats", "onset_ms", "duration_beats", "duration_ms", "velocity", "tempo_percent"):
            self.means[name] = self.means.get(name, 0.0) + loss[name][0] * notes
            self.largest[name] = max(self.largest.get(name, 0.0), loss[name][-1])
        self.largest["length_percent"] = max(self.largest.get("length_percent", 0.0), abs(loss["length_percent"]))
        self.moved += loss["onset_ms_counts"]
        self.meters += loss["meters"]
        for kind, (count, changed) in loss["tuplets"].items():
            before = self.tuplets.get(kind, [0, 0])
            self.tuplets[kind] = [before[0] + count, before[1] + changed]

    def result(self) -> dict[str, Any]:
        """Means over notes, largest values and counts."""
        notes = max(self.notes, 1)
        result: dict[str, Any] = {"notes": self.notes} | {name: self.sums[name] for name in COUNTED}
        result["kept_percent"] = round(100 * (1 - (self.sums["lost"] + self.sums["changed"]) / notes), 4)
        for name, total in self.means.items():
            result[name] = {"mean": float(f"{total / notes:.4g}"), "max": self.largest[name]}
        result["length_percent_max"] = self.largest.get("length_percent", 0.0)
        result["onset_ms_counts"] = {
            name: int(count) for name, count in zip([*(f"below {edge:g}" for edge in MS_EDGES), "more"], self.moved, strict=True)
        }
        result["onset_ms_95_percent_below"] = self._ms_below(0.95)
        result["meter_changes"] = dict(zip(("kept", "respelt", "moved or lost", "added"), self.meters.tolist(), strict=True))
        result["tuplets"] = {kind: {"notes": count, "moved": changed} for kind, (count, changed) in sorted(self.tuplets.items())}
        return result

    def share_moved(self, milliseconds: float) -> float:
        """Share of notes whose onset moves by so much or more; one of `MS_EDGES`."""
        return float(self.moved[MS_EDGES.index(milliseconds) + 1 :].sum() / max(self.moved.sum(), 1))

    def _ms_below(self, share: float) -> float | None:
        """The smallest of `MS_EDGES` below which so many notes move; None beyond the last."""
        place = int(np.searchsorted(np.cumsum(self.moved), share * self.moved.sum()))
        return MS_EDGES[place] if place < len(MS_EDGES) else None


@dataclass
class Collection:
    """What one first-level folder holds."""

    counts: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    loss: LossTally = field(default_factory=LossTally)

    def result(self) -> dict[str, Any]:
        """The counts with names."""
        names = ("pieces", "skipped", "excluded", "notes", "tokens", "performed", "suspicious")
        return {name: self.counts[name] for name in names} | {"splits": dict(sorted(self.splits.items())), "loss": self.loss.result()}


class Histogram:
    """Counts of values between the edges of `EDGES[name]`."""

    def __init__(self, name: str) -> None:
        self.edges = EDGES[name]
        self.counts = [0] * len(self.edges)
        self._edges = np.array(self.edges)

    def add(self, value: float) -> None:
        """Tell one value; one below the first edge goes into the first bin."""
        self.counts[max(int(np.searchsorted(self._edges, value, side="right")) - 1, 0)] += 1


class Groups:
    """Which files are the same music, on four levels, each file as four numbers of 64 bits and a split."""

    LEVELS = ("content", "notes_hash", "shape_hash", "cluster")

    def __init__(self) -> None:
        self.columns = {level: array("Q") for level in self.LEVELS}
        self.splits = array("B")
        self.split_names: list[str] = []

    def add(self, verdict: dict[str, Any]) -> None:
        """Tell one kept file."""
        split = str(verdict.get("split") or "")
        if split not in self.split_names:
            self.split_names.append(split)
        self.splits.append(self.split_names.index(split))
        for level, column in self.columns.items():
            column.append(number_of(verdict, level))

    def result(self) -> dict[str, Any]:
        """For each level: groups of two and more, the files in them, and how many groups straddle the split; then the kinds of repeats."""
        splits = np.frombuffer(self.splits, dtype=np.uint8).astype(np.uint64)
        levels: dict[str, Any] = {}
        distinct = {"file": len(splits)}
        for level, column in self.columns.items():
            numbers, place, sizes = np.unique(np.frombuffer(column, dtype=np.uint64), return_inverse=True, return_counts=True)
            sides = np.bincount(np.unique(place.astype(np.uint64) * np.uint64(8) + splits) // np.uint64(8), minlength=len(numbers))
            levels[level] = {
                "groups": int((sizes > 1).sum()),
                "files": int(sizes[sizes > 1].sum()),
                "straddling": int((sides > 1).sum()),
                "largest": int(sizes.max(initial=0)),
            }
            distinct[level] = len(numbers)
        before, repeats = len(splits), {}
        for level, kind in zip(self.LEVELS, ("the same file", "the same notes", "transposed", "alike"), strict=True):
            repeats[kind] = max(before - distinct[level], 0)
            before = min(before, distinct[level])
        return {"levels": levels, "repeats": repeats, "different": before}

    def largest_clusters(self, most: int) -> dict[int, int]:
        """Number and size of the clusters with most files, two at least."""
        numbers, sizes = np.unique(np.frombuffer(self.columns["cluster"], dtype=np.uint64), return_counts=True)
        order = np.lexsort((numbers, -sizes))[:most]
        return {int(numbers[i]): int(sizes[i]) for i in order if sizes[i] > 1}


def number_of(verdict: dict[str, Any], level: str) -> int:
    """The 64-bit number of a file on one level of `Groups`; a file without the hash stands for itself."""
    value = verdict.get(level)
    if isinstance(value, int):
        return value & 0xFFFFFFFFFFFFFFFF
    try:
        return int(str(value)[:16], 16)
    except ValueError:  # no hash, or none in hexadecimal
        text = f"{level}:{verdict['path'] if value is None else value}".encode("utf-8", "replace")
        return zlib.crc32(text) << 32 | zlib.adler32(text)


def count_capped(counter: Counter[str], name: str, amount: int = 1) -> None:
    """Count under `name`, or under `OTHERS` when there are `MOST_NAMES` names already."""
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHERS] += amount
