"""Evaluation for a while: what predicts, samples or measures in the middle of training leaves no trace."""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._module import Module

_lock = threading.Lock()
# By the module's id: how many evaluations run in it, in any threads, and the mode it has again after the last.
_running: dict[int, list[Any]] = {}


@contextlib.contextmanager
def evaluating(model: "Module") -> Iterator[None]:
    """Evaluation mode inside; afterwards each module has the mode it had, be it not its parent's.

    Unlike :meth:`Module.eval` it leaves the tapes alone, so a backward that is still due finds its forward. Threads
    may evaluate a model, or models that share layers, at the same time.
    """
    modules = list(model.modules())
    with _lock:
        for module in modules:
            _running.setdefault(id(module), [0, module.training])[0] += 1
            module.training = False
    try:
        yield
    finally:
        with _lock:
            for module in modules:
                entry = _running[id(module)]
                entry[0] -= 1
                if entry[0] == 0:
                    module.training = entry[1]
                    del _running[id(module)]
