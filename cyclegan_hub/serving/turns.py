"""A fair lock: waiting threads get it in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A fair lock for `with`: if several visitors ask for one frame after another, each gets one in turn.

    A `threading.Lock` may go to the same thread again and again while others wait.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of the two attributes below
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            own = threading.Lock()
            own.acquire()
            self._waiting.append(own)
        own.acquire()  # until __exit__ of the one before hands the turn over

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
