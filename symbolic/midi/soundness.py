"""Whether a MIDI file is sound, and how many notes begin in it: what symusic does not tell.

symusic drops a note that never ends and says nothing; in scores rendered from notation that is one file in a hundred, and the notes
after it on the same pitch get each other's ends. So the note-ons are counted once more, byte by byte.
The loop is one plain function over bytes; when a process has read enough of them to pay for it, numba compiles it.
"""

from collections.abc import Callable
from typing import Any

UNSOUND = -1
WORTH_COMPILING = 2_000_000  # bytes

_seen = 0
_compiled: list[Callable[..., int]] = []


def begun_notes(data: bytes) -> int:
    """Number of note-ons in MIDI bytes; `UNSOUND` when a length, a count, a meter, a tempo, a key or a time is not as it should be."""
    global _seen
    _seen += len(data)
    if _seen < WORTH_COMPILING:
        return _walk(data, len(data))
    if not _compiled:
        _compiled.append(_compile())
    import numpy as np

    return int(_compiled[0](np.frombuffer(data, dtype=np.uint8), len(data)))


def _compile() -> Callable[..., int]:
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(_walk)
    except RuntimeError:  # no folder in which machine code could be kept
        return numba.njit(nogil=True)(_walk)


def _walk(data: Any, size: int) -> int:
    """The count; written so that Python and numba both run it."""
    tracks = notes = 0
    position = 14
    while position < size:
        if position + 8 > size:
            return UNSOUND
        end = position + 8 + (data[position + 4] << 24 | data[position + 5] << 16 | data[position + 6] << 8 | data[position + 7])
        if end > size:
            return UNSOUND
        is_track = data[position] == 77 and data[position + 1] == 84 and data[position + 2] == 114 and data[position + 3] == 107
        if not is_track:
            position = end
            continue
        tracks += 1
        position += 8
        tick = status = 0
        ended = False
        while position < end and not ended:
            delta = 0
            byte = 128
            while byte >= 128 and position < end:
                byte = data[position]
                delta = (delta << 7 | byte & 127) & 0xFFFFFFFF
                position += 1
            tick += delta
            if position >= end or tick > 0x7FFFFFFF:
                return UNSOUND
            byte = data[position]
            if byte >= 240:
                kind = 0
                position += 1
                if byte == 255:
                    if position >= end:
                        return UNSOUND
                    kind = data[position]
                    position += 1
                elif byte != 240 and byte != 247:
                    return UNSOUND
                length = 0
                more = 128
                while more >= 128 and position < end:
                    more = data[position]
                    length = (length << 7 | more & 127) & 0xFFFFFFFF
                    position += 1
                if position + length > end:
                    return UNSOUND
                if byte == 255:
                    if kind == 0x2F:
                        ended = True
                    elif (
                        (kind == 0x51 and (length != 3 or data[position] + data[position + 1] + data[position + 2] == 0))
                        or (kind == 0x58 and (length < 2 or data[position] == 0 or data[position + 1] > 6))
                        or (kind == 0x59 and (length != 2 or 7 < data[position] < 249 or data[position + 1] > 1))
                    ):
                        return UNSOUND
                position += length
                continue
            if byte >= 128:
                status = byte
                position += 1
            elif status == 0:
                return UNSOUND
            wide = 1 if 192 <= status < 224 else 2
            if position + wide > end:
                return UNSOUND
            if 144 <= status < 160 and data[position + 1] > 0:
                notes += 1
            position += wide
        if not ended or position != end:
            return UNSOUND
    return notes if tracks == (data[10] << 8 | data[11]) else UNSOUND
