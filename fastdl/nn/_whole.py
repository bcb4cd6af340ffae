"""A forward of several layers: all of it, or nothing."""

from typing import TYPE_CHECKING, Any

from ._arena import Changes
from ._tape import Tape

if TYPE_CHECKING:
    from ._module import Module

_COUNTS = ("step", "step_count")  # attributes by which layers count what they drew


class Whole:
    """A block in which a model's layers run: where one refuses, those that ran before it forget that they did.

    Their tapes are then as long as before, and the masks to come are those that would have come.
    """

    __slots__ = ("_draws", "_marks")

    def __init__(self, model: "Module") -> None:
        known = model.__dict__.get("_below")
        if known is None or known[0] != Changes.count:  # walking the tree would take as long as a small layer
            known = model.__dict__["_below"] = _below(model)
        self._marks = [(tape, len(tape)) for tape in known[1]]
        self._draws = [(layer, name, getattr(layer, name)) for layer, name in known[2]]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            for tape, length in self._marks:
                del tape[length:]
            for layer, name, count in self._draws:
                setattr(layer, name, count)


def _below(model: "Module") -> tuple[int, list[Tape], list[tuple["Module", str]]]:
    """When this was found, the tapes of the tree, and the layers below that count what they draw."""
    layers = list(model.modules())
    counting = [(one, name) for one in layers for name in _COUNTS if name in vars(one) and one is not model]
    return Changes.count, [one._tape for one in layers], counting
