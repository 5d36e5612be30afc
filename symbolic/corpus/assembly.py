"""A dataset written out from the journal of a run: in the order of the folder's listing, the same bytes however the run went.

Nothing here grows with the folder but some arrays of at most 150 bytes a piece (and while like pieces are looked for,
what `duplicates` says): files, rows and ids go from the journal to the dataset one by one.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from symbolic.corpus.duplicates import CONTENT_BYTES, NOTES_BYTES, Fingerprint, cluster, first_of_equal
from symbolic.corpus.journal import Journal
from symbolic.corpus.pieces import excluded_verdict

ROWS_AT_ONCE = 1000
SPLITS = ("train", "validation", "test")
COLUMNS = {
    "path": pa.string(),
    "collection": pa.string(),
    "content": pa.string(),
    "tokens": pa.int64(),
    "notes": pa.int64(),
    "bars": pa.int64(),
    "beats": pa.float64(),
    "key": pa.string(),
    "meter": pa.string(),
    "programs": pa.list_(pa.int64()),
    "cluster": pa.int64(),
    "split": pa.string(),
}


def write_dataset(
    folder: Path, names: Sequence[str], places: np.ndarray, patterns: Sequence[str | None], journal: Journal, held_out: float,
    progress: Callable[[], object],
) -> int:  # fmt: skip
    """Write `ids.bin`, `offsets.npy`, `manifest/` and `verdicts.jsonl` into `folder`; gives the number of pieces.

    For each file found: its name, where its record is in the journal, and the pattern that excluded it, if one did.
    `progress` is called after each file. Nothing is written when there is no piece.
    """
    marks = _Marks(journal, places[[pattern is None for pattern in patterns]])
    if not len(marks):
        return 0
    clusters = cluster(marks, marks.content, marks.notes, marks.shape)
    splits = draw_splits(clusters, marks.content, held_out)
    prove_no_straddling(splits, clusters, marks.content, marks.notes, marks.shape)
    relations = relations_of(clusters, marks.content, marks.notes, marks.shape)
    offsets = array("q", [0])
    piece = 0
    with (
        (folder / "ids.bin").open("wb") as ids_file,
        (folder / "verdicts.jsonl").open("wb") as verdicts_file,
        Manifest(folder / "manifest") as manifest,
    ):
        for name, place, pattern in zip(names, places.tolist(), patterns, strict=True):
            if pattern is not None:
                verdict = excluded_verdict(name, pattern)
            else:
                record = json.loads(journal.read(place, 0))
                verdict = record["verdict"]
                if verdict["verdict"] == "kept":
                    split = SPLITS[splits[piece]]
                    verdict |= {"cluster": int(clusters[piece]), "split": split, "relation": relations[piece]}
                    manifest.add(record["row"] | {"cluster": verdict["cluster"], "split": split})
                    ids = journal.read(place, 2)
                    ids_file.write(ids)
                    offsets.append(offsets[-1] + len(ids) // 2)
                    piece += 1
            verdicts_file.write(json.dumps(verdict, separators=(",", ":")).encode() + b"\n")
            progress()
    np.save(folder / "offsets.npy", np.frombuffer(offsets, dtype=np.int64))
    return piece


def draw_splits(clusters: np.ndarray, contents: np.ndarray, held_out: float) -> np.ndarray:
    """For each piece the index in `SPLITS` of its cluster's split, int8, drawn by the smallest content hash (S32) among its members.

    It depends on the music alone: neither on names, nor on order, nor on what else is in the folder.
    """
    order = np.lexsort((contents, clusters))
    first = order[np.r_[True, np.diff(clusters[order]) > 0]]
    drawn = np.zeros(len(clusters), dtype=np.int8)
    for index in first.tolist():
        content = contents[index].ljust(CONTENT_BYTES, b"\0").hex()  # NumPy cuts zeros off the end
        share = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16) / 2**32
        drawn[clusters[index]] = 1 if share < held_out / 2 else 2 if share < held_out else 0
    return drawn[clusters]


def prove_no_straddling(splits: np.ndarray, *equal: np.ndarray) -> None:
    """Raise `AssertionError` if two pieces with the same value in one of the arrays `equal` are in different splits."""
    for values in equal:
        if (splits[first_of_equal(values)] != splits).any():
            raise AssertionError("pieces of the same music are in different splits")


def relations_of(clusters: np.ndarray, contents: np.ndarray, notes: np.ndarray, shape: np.ndarray) -> list[str | None]:
    """How each piece repeats one before it: "same bytes", "same notes", "transposed", "alike"; None for the first of its cluster."""
    everyone = np.arange(len(clusters))
    relations = np.where(clusters == everyone, 0, 4)
    for number, values in ((3, shape), (2, notes), (1, contents)):
        relations[first_of_equal(values) < everyone] = number
    names = (None, "same bytes", "same notes", "transposed", "alike")
    return [names[number] for number in relations.tolist()]


class Manifest:
    """A `datasets` table on disk, written row by row, the same bytes for the same rows.

    What `datasets.Dataset.save_to_disk` writes is the same, but takes all rows at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []
        self._digest = hashlib.sha256()
        self._info = {"citation": "", "description": "", "features": {name: _feature(kind) for name, kind in COLUMNS.items()}}
        features = json.dumps({"info": {"features": self._info["features"]}})
        self._schema = pa.schema(list(COLUMNS.items()), metadata={"huggingface": features})

    def __enter__(self) -> "Manifest":
        self._folder.mkdir()
        self._writer = pa.ipc.new_stream(str(self._folder / "data-00000-of-00001.arrow"), self._schema)
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self._rows.append(row)
        self._digest.update(json.dumps(row).encode())
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()
        state: dict[str, Any] = {
            "_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": self._digest.hexdigest()[:16],
            "_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None,
        }  # fmt: skip
        info = self._info | {"homepage": "", "license": ""}
        (self._folder / "state.json").write_text(json.dumps(state, indent=2))
        (self._folder / "dataset_info.json").write_text(json.dumps(info, indent=2))

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """A column's type in the words of `datasets`."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


class _Marks(Sequence[np.ndarray]):
    """The hashes of all pieces, in the order of the listing; as a sequence, their sketches, each read when it is asked for."""

    def __init__(self, journal: Journal, places: np.ndarray) -> None:
        self._journal = journal
        self._places = array("q")
        content, notes, shape = bytearray(), bytearray(), bytearray()
        for place in places.tolist():
            if data := journal.read(place, 1):
                marks = Fingerprint.from_bytes(data)
                self._places.append(place)
                content += marks.content
                notes += marks.notes
                shape += marks.shape
        self.content = np.frombuffer(content, dtype=f"S{CONTENT_BYTES}")
        self.notes, self.shape = (np.frombuffer(hashes, dtype=f"S{NOTES_BYTES}") for hashes in (notes, shape))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # slices are not asked for
        return Fingerprint.from_bytes(self._journal.read(self._places[index], 1)).sketch

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))
