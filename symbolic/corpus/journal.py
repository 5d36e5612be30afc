"""What a long run has done so far, on disk: one record a file, in the order in which they were done.

A record says which file it is of (16 bytes that stand for its name, size and time) and has three parts of bytes; it is
written in one piece and carries a checksum. A run that was killed leaves at most one torn record at the end, which is
cut off when the journal is opened again. The first line names all that the records depend on besides the files.
In memory stand 24 bytes a record.
"""

import fcntl
import json
import os
import struct
import time
import zlib
from array import array
from pathlib import Path
from typing import Any

import numpy as np

IDENTITY = 16  # bytes
HEADER = struct.Struct("<4sI16sIII")  # mark, checksum of what follows it, identity, length of each part
MARK = b"done"
CHECKED_FROM = 8  # the checksum is of everything after itself
SYNC_SECONDS = 10.0

Parts = tuple[bytes, bytes, bytes]


class Journal:
    """An open journal. `conditions` are those of its first line; as they were found, where there were records already.

    Raises `BlockingIOError` when another process has it open.
    """

    def __init__(self, path: Path, conditions: dict[str, Any]) -> None:
        self._identities = bytearray()
        self._places = array("q")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise
        self.conditions, end = self._found()
        os.ftruncate(self._file, end)
        self._end = end
        self._synced = time.monotonic()
        if not self._places:
            self.clear(conditions)

    def __len__(self) -> int:
        return len(self._places)

    def clear(self, conditions: dict[str, Any]) -> None:
        """Throw all records away, and begin under these conditions."""
        self._identities.clear()
        self._places = array("q")
        os.ftruncate(self._file, 0)
        self._end = 0
        self._write(json.dumps(conditions, sort_keys=True).encode() + b"\n")
        self.conditions = conditions

    def append(self, identity: bytes, parts: Parts) -> None:
        """Write a record. After an `OSError` (a full disk) the journal is as it was before."""
        rest = HEADER.pack(MARK, 0, identity, *map(len, parts))[CHECKED_FROM:] + b"".join(parts)
        place = self._end
        self._write(MARK + struct.pack("<I", zlib.crc32(rest)) + rest)
        self._identities += identity
        self._places.append(place)
        if time.monotonic() - self._synced > SYNC_SECONDS:  # a kill loses nothing, a power cut these seconds
            os.fsync(self._file)
            self._synced = time.monotonic()

    def places(self, identities: np.ndarray) -> np.ndarray:
        """Where the records of these identities (S16) begin, the last where there are several; −1 where there is none. int64."""
        if not self._places:
            return np.full(len(identities), -1, dtype=np.int64)
        known = np.frombuffer(bytes(self._identities), dtype=f"S{IDENTITY}")
        order = np.argsort(known, kind="stable")
        found = np.searchsorted(known, identities, side="right", sorter=order) - 1
        at = order[np.maximum(found, 0)]
        return np.where((found >= 0) & (known[at] == identities), np.frombuffer(self._places, dtype=np.int64)[at], -1)

    def read(self, place: int, part: int) -> bytes:
        """One part (0 to 2) of the record that begins there."""
        lengths = HEADER.unpack(os.pread(self._file, HEADER.size, place))[3:]
        return os.pread(self._file, lengths[part], place + HEADER.size + sum(lengths[:part]))

    def close(self) -> None:
        """Close the file, and let others open it."""
        os.close(self._file)

    def _found(self) -> tuple[dict[str, Any], int]:
        """Read what is there; the conditions and where the last whole record ends."""
        with open(self._file, "rb", closefd=False) as stream:
            line = stream.readline()
            try:
                conditions = json.loads(line)
            except ValueError:  # killed while writing it, or just made
                return {}, 0
            end = len(line)
            size = os.fstat(self._file).st_size
            while len(header := stream.read(HEADER.size)) == HEADER.size:
                mark, checksum, identity, *lengths = HEADER.unpack(header)
                if mark != MARK or end + len(header) + sum(lengths) > size:
                    break
                body = stream.read(sum(lengths))
                if zlib.crc32(body, zlib.crc32(header[CHECKED_FROM:])) != checksum:
                    break
                self._identities += identity
                self._places.append(end)
                end += len(header) + len(body)
        return conditions, end

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while len(view):
                view = view[os.write(self._file, view) :]
        except BaseException:  # Ctrl-C between two parts too
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)
