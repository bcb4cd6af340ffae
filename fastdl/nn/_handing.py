"""What a chain hands to its layers beside the input: true lengths, and states carried from batch to batch."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .._validate import shown, whole_array
from ._module import Module


def accepts(method: Callable[..., Any], name: str) -> bool:
    """Whether a method has an argument of that name."""
    return name in _names(getattr(method, "__func__", method))


@functools.lru_cache(maxsize=256)
def _names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def hands_on(layer: Module) -> bool:
    """Whether it is a container that gives its own layers what it is given."""
    return getattr(layer, "_hands_on", False) is True


def takes_lengths(layer: Module) -> bool:
    """Whether a layer's forward has `lengths`; of a container, that of any layer in it."""
    if hands_on(layer):
        return any(takes_lengths(one) for one in layer._children.values())
    return accepts(layer.forward, "lengths")


def carries_state(layer: Module) -> bool:
    """Whether a layer has states that go from batch to batch; of a container, any layer in it."""
    if hands_on(layer):
        return any(carries_state(one) for one in layer._children.values())
    return hasattr(layer, "initial_state")


def lengths_after(layer: Module, lengths: Any) -> Any:
    """The sequences' lengths behind a layer; None where it leaves no steps."""
    if lengths is None:
        return None
    if hasattr(layer, "lengths_after"):
        return layer.lengths_after(lengths)
    if hands_on(layer):
        for one in layer._children.values():
            lengths = lengths_after(one, lengths)
    return lengths


def checked_lengths(lengths: Any) -> np.ndarray:
    """Lengths (B,) of sequences of any number of steps."""
    return whole_array("lengths", lengths, 2**31 - 1, (None,))


def parted(layer: Module, x: Any, lengths: Any) -> tuple[Any, Any]:
    """x and lengths, of which `fit` gives both as one: (x, lengths)."""
    if not isinstance(x, (tuple, list)) or len(x) != 2 or not takes_lengths(layer):
        return x, lengths
    steps, ends = x
    if not isinstance(steps, np.ndarray):
        return x, lengths
    if lengths is not None:
        raise TypeError(f"lengths: got {shown(lengths)}, expected None, since x has them: (x, lengths)")
    return steps, ends


def check_lengths(layer: Module, lengths: Any) -> None:
    """Refuse lengths that no layer would be given."""
    if lengths is not None and not takes_lengths(layer):
        raise TypeError(f"lengths: got {shown(lengths)}, expected None, since no layer of it takes lengths")


def check_state(name: str, layer: Module, state: Any) -> None:
    """Refuse a state for a layer that takes none."""
    if state is not None and not accepts(layer.forward, "return_state"):
        what = f"expected None, since {type(layer).__name__} carries no state"
        raise TypeError(f"{name}: got {shown(state)}, {what}")


def run(layer: Module, x: Any, state: Any, lengths: Any, return_state: bool) -> tuple[Any, Any]:
    """A layer's output, and the states that it has then, None of one without."""
    given = {} if lengths is None or not takes_lengths(layer) else {"lengths": lengths}
    if state is not None or (return_state and carries_state(layer)):
        y, after = layer.forward(x, state, return_state=True, **given)
        return y, after
    return layer.forward(x, **given), None
