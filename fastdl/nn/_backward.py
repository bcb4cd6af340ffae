"""Backward where nobody may want the gradient with respect to the input."""

from collections.abc import Callable
from typing import Any

from ._node import Node


def backward(layer: Node, dy: Any, input_gradient: bool) -> Any:
    """``layer.backward(dy)``, which leaves out the input's gradient where nobody wants it and the layer can."""
    if input_gradient or not names_input_gradient(layer.backward):
        return layer.backward(dy)
    return layer.backward(dy, input_gradient=False)


def names_input_gradient(function: Callable[..., Any]) -> bool:
    """Whether a backward has that keyword, by name: one with ``**kwargs`` may use what it passes on to."""
    code = getattr(function, "__code__", None)
    return code is not None and "input_gradient" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def needs_gradient(layer: Node) -> bool:
    """Whether the gradient with respect to the layer's output is needed where nobody wants that of its input.

    It is for parameters, and for every module that does not say that it can do without.
    """
    return any(module._parameters or not names_input_gradient(module.backward) for module in layer.modules())


def backward_of(cls: type) -> Callable[..., Any]:
    """The nearest backward that a class, or one above it, has written by hand."""
    return next(
        found
        for one in cls.__mro__
        if (found := vars(one).get("backward")) is not None and not getattr(found, "derives", False)
    )
