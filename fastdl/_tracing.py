"""Whether a derived forward is at work (nn/_trace.py): asked wherever a call may have to be recorded.

``running`` counts the traces that are open in all threads: whoever traces nothing pays for one look at a number.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

running = 0
call: Callable[..., Any] | None = None  # how a public function is called within a trace; set by nn/_derivatives
_lock = threading.Lock()


class _Here(threading.local):
    trace: Any = None


here = _Here()  # what this thread records on


def _after_fork() -> None:
    """A child has one thread, which traces nothing; nobody in it would open the lock again."""
    global running, _lock
    running, _lock, here.trace = 0, threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)


def current() -> Any:
    """The trace that this thread records on, or None."""
    return here.trace


class recording:
    """Let this thread record on `trace` inside, or on none (None); outside it goes on as before."""

    __slots__ = ("before", "trace")

    def __init__(self, trace: Any) -> None:
        self.trace = trace

    def __enter__(self) -> None:
        global running
        self.before = here.trace
        if self.trace is not None:
            with _lock:
                running += 1
        here.trace = self.trace

    def __exit__(self, *error: Any) -> None:
        global running
        here.trace = self.before
        if self.trace is not None:
            with _lock:
                running -= 1
