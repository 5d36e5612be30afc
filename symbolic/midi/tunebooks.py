"""ABC tune books: one file may hold thousands of tunes, each beginning with its number, `X:`.

What stands before the first tune (its meter, the length of a note) holds for all of them.
"""

import re
from typing import NamedTuple

_TUNE = re.compile(rb"^(?:\xef\xbb\xbf)?(X:)", re.MULTILINE)


class Tune(NamedTuple):
    """The bytes of one tune, and how many at the front of the book belong to every tune."""

    start: int
    end: int
    head: int


def tunes(book: bytes) -> list[Tune]:
    """All tunes of a book in order; of a single tune one, and none when there is no `X:`."""
    starts = [match.start(1) for match in _TUNE.finditer(book)]
    return [Tune(start, end, starts[0]) for start, end in zip(starts, [*starts[1:], len(book)], strict=False)]


def tune_bytes(book: bytes, tune: Tune) -> bytes:
    """The tune alone, behind what holds for the whole book."""
    return book[: tune.head] + book[tune.start : tune.end]
