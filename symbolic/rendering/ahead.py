"""An iterator run in a thread of its own, so that its next items are made while this one is used.

What makes the items spends its time in libraries that let other threads run; two steps of a stream so keep two cores busy.
"""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], most: int = 1) -> Iterator[Item]:
    """The same items in the same order, up to `most` of them made before they are asked for; errors come where they would have come.

    When the reader stops early, the maker is stopped after the item it is at.
    """
    waiting: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(most)
    stopped = threading.Event()

    def put(kind: str, what: Item | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((kind, what), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            kind, what = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(what, BaseException)
                raise what
            yield what  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
