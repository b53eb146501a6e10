"""Work ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import Any

__all__ = ["read_ahead"]


def read_ahead(items: Iterable[Any], depth: int) -> Generator[Any, None, None]:
    """Yield the items of an iterable that a thread reads up to `depth` items ahead.

    The order is kept. An error in the iterable comes out where its item would have come. When the returned
    iterator is closed or dropped, the thread stops before its next item and is waited for.

    Parameters
    ----------
    items : iterable
        Read in the thread, by nobody else.
    depth : int
        How many finished items may wait, at least 1.
    """
    finished: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            source = iter(items)
            while True:
                room.acquire()
                if stop.is_set():
                    return
                finished.put((True, next(source)))
        except StopIteration:
            finished.put((False, None))
        except BaseException as error:  # it is raised again in the reader
            finished.put((False, error))

    # A daemon: a loader that is still open must not keep the interpreter alive.
    thread = threading.Thread(target=work, name="minigrad prefetch", daemon=True)
    thread.start()
    try:
        while True:
            more, item = finished.get()
            if not more:
                if item is not None:
                    raise item
                return
            room.release()
            yield item
    finally:
        stop.set()
        room.release()
        thread.join()
