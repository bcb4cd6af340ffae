"""What forwards leave for their backwards, and a watch on it."""

import sys
import warnings
from typing import Any

import numpy as np

_WATCHED = 64  # forwards from which on a tape is looked at, whenever it has doubled
_MANY = 1024  # forwards that no step of training leaves without a backward
_LARGE = 2**30  # bytes


class Tape(list[Any]):
    """What a layer's forwards pushed and its backwards have not popped. A copy is empty: each model has its own."""

    __slots__ = ("below", "owner", "warned")

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner
        self.warned = False
        self.below: Any = None  # what _whole.py knows of the layer's tree

    def append(self, item: Any) -> None:
        list.append(self, item)
        count = len(self)
        if count >= _WATCHED and not count & (count - 1) and not self.warned:
            self._look()

    def _look(self) -> None:
        """Warn where the forwards are many, or hold much memory that is not the same for all."""
        shared: set[int] = set()
        _size(self[-2], shared)
        held = len(self) * _size(self[-1], shared)
        if len(self) >= _MANY or held >= _LARGE:
            self.warned = True
            warn(
                f"{self.owner}: {len(self)} forwards in training mode wait for their backward and hold about "
                f"{held / 2**20:,.0f} MiB; to predict, call the model's eval() first"
            )

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Tape, (self.owner,)

    def __repr__(self) -> str:
        return f"<tape of {self.owner}: {len(self)} forward{'' if len(self) == 1 else 's'} without a backward>"


def _size(item: Any, seen: set[int]) -> int:
    """Bytes of the arrays in `item`, those in `seen` left out; they are added to it."""
    if id(item) in seen:
        return 0
    seen.add(id(item))
    if isinstance(item, np.ndarray):
        return int(item.nbytes)
    if isinstance(item, (tuple, list)):
        return sum(_size(one, seen) for one in item)
    if isinstance(item, dict):
        return sum(_size(one, seen) for one in item.values())
    return sum(_size(one, seen) for one in getattr(item, "__dict__", {}).values())


def warn(message: str) -> None:
    """A UserWarning at the line of the caller's code, not of this library's."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastdl."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
