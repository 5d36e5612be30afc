"""Rows of numbers kept on disk for a second reading, so that hours need no more memory than seconds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np


class Spill:
    """Rows (N, width) float32 in a nameless file, of which nothing stays if the program is killed; a context manager."""

    def __init__(self, width: int, folder: Path | None = None) -> None:
        self.width, self.rows = width, 0
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: np.ndarray) -> None:
        """Append rows (n, width). Raises `OSError` when the disk is full."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(rows)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All rows in order, `size` at a time."""
        for first in range(0, self.rows, size):
            self._file.seek(4 * self.width * first)
            yield np.frombuffer(self._file.read(4 * self.width * size), "<f4").reshape(-1, self.width)

    def thinned(self, most: int) -> np.ndarray:
        """Every k-th row, so that there are at most about `most`: (n, width)."""
        step = max(1, self.rows // most)
        size = step * max(1, 4096 // step)
        return np.concatenate([np.zeros((0, self.width), np.float32), *(block[::step] for block in self.blocks(size))])
