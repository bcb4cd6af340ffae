"""Backward where nobody may want the gradient with respect to the input."""

from typing import Any

from ._module import Module


def backward(layer: Module, dy: Any, input_gradient: bool) -> Any:
    """``layer.backward(dy)``, which leaves out the input's gradient where nobody wants it and the layer can."""
    if input_gradient or not takes_input_gradient(layer):
        return layer.backward(dy)
    return layer.backward(dy, input_gradient=False)  # type: ignore[call-arg]


def takes_input_gradient(layer: Module) -> bool:
    """Whether `layer.backward` has that keyword, by name: one with ``**kwargs`` may use what it passes on to."""
    code = getattr(layer.backward, "__code__", None)
    return code is not None and "input_gradient" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def needs_gradient(layer: Module) -> bool:
    """Whether the gradient with respect to the layer's output is needed where nobody wants that of its input.

    It is for parameters, and for every module that does not say that it can do without.
    """
    return any(module._parameters or not takes_input_gradient(module) for module in layer.modules())
