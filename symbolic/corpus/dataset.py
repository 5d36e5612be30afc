"""A tokenized corpus on disk, read through a memory map.

DATASET/
  manifest/        a `datasets` table, one row a piece: path, collection, content hash, key, meter, counts, cluster, split
  ids.bin          all pieces one after another, each BOS … EOS, uint16 little endian
  offsets.npy      int64, shape (pieces + 1,): piece i is ids[offsets[i]:offsets[i + 1]]
  tokenizer.json   the tokenizer's settings
  verdicts.jsonl   one line a file found, in the order of the listing: kept, skipped or excluded, why, and what is in it
  run.json         the options it was made with
  report.json      what the files hold, which were skipped and why, in numbers; report.html the same as a page
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from symbolic.errors import InputError
from symbolic.tokenizers.remi import RemiTokenizer

SPLITS = ("train", "validation", "test")


class Corpus:
    """An opened dataset. `ids` is the memory map; `rows` the manifest's columns as lists, each read when it is first asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "ids.bin").is_file():
            raise InputError(f"{folder}: no dataset here (ids.bin is missing); make one with: symbolic tokenize FOLDER -o {folder}")
        import datasets

        self.tokenizer = RemiTokenizer.load(self.folder)
        try:
            self.ids = np.memmap(self.folder / "ids.bin", dtype="<u2", mode="r")
            self.offsets = np.load(self.folder / "offsets.npy")
            self.rows = Columns(datasets.load_from_disk(str(self.folder / "manifest")))
            pieces = len(self.rows["split"])
        except Exception as error:  # numpy, pyarrow and datasets raise many types for damaged files
            raise InputError(f"{folder}: the dataset is damaged ({type(error).__name__}: {error}); make it again") from error
        tokens = len(self.ids)
        if tokens != self.offsets[-1] or pieces != len(self.offsets) - 1:
            raise InputError(
                f"{folder}: ids.bin holds {tokens} tokens and the manifest {pieces} pieces, "
                f"the offsets say {self.offsets[-1]} and {len(self.offsets) - 1}: the dataset is damaged, make it again"
            )

    def require_tokenizer(self, tokenizer: RemiTokenizer, owner: str | Path) -> None:
        """Raise `InputError`, naming the settings that differ, unless the ids here are those of `tokenizer`, which belongs to `owner`."""
        mine, theirs = asdict(self.tokenizer.settings), asdict(tokenizer.settings)
        names = [name for name in mine if mine[name] != theirs[name] and not name.startswith("max_")]  # bounds change no id
        if names:
            different = ", ".join(f"{name} is {mine[name]} in the dataset and {theirs[name]} in the model" for name in names)
            raise InputError(f"{self.folder}: not made with the tokenizer of {owner}: {different}; tokenize again with its settings")

    def pieces(self, split: str) -> np.ndarray:
        """Indices of the pieces of one split, ascending."""
        return np.flatnonzero(np.array(self.rows["split"]) == split)

    def piece(self, index: int) -> np.ndarray:
        """Ids of one piece, BOS … EOS, uint16."""
        return np.asarray(self.ids[self.offsets[index] : self.offsets[index + 1]])

    def lengths(self) -> np.ndarray:
        """Tokens of every piece, int64."""
        return np.diff(self.offsets)


class Columns(Mapping[str, list[Any]]):
    """The columns of a `datasets` table by their names, as lists. Those never asked for stay on the disk."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._lists: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._lists:
            self._lists[name] = self._table[name][:]
        return self._lists[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table.column_names)
