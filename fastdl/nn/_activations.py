"""Layers of the activations of the topic `dense`: a line each, the rest is made of the definition there."""

import inspect
from typing import Any

import numpy as np

from .._validate import flag, float_array, plain_number
from ..dense._pointwise import ACTIVATIONS, Activation
from ._module import Module

__all__ = [
    "ELU",
    "GELU",
    "Hardtanh",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class _Activation(Module, alone=True):
    """A function without parameters, whose settings are attributes that may be changed between two forwards."""

    _definition: Activation

    @property
    def _each_step(self) -> bool:  # type: ignore[override]
        return self.__dict__.get("axis", -1) in (-1, 2)  # of (T, B, C)

    def __init_subclass__(cls, of: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if of:
            cls._definition = ACTIVATIONS[of]
            cls.__doc__ = _told(cls.__name__, cls._definition)
            cls.__init__ = _constructor(cls._definition)  # type: ignore[method-assign]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The function of every element, or along its axis.

        Parameters
        ----------
        x : ndarray, float32 or float64
            Any shape. Where backward needs it, it is kept: do not write to it before.

        Returns
        -------
        y : ndarray
            Of the shape and type of `x`. Where backward needs it, it is kept.

        Raises
        ------
        TypeError, ValueError
            If `x` is no float array, or a setting has become one that is refused.
        """
        x, settings = float_array("x", x), self._settings()
        y = self._function(x)
        if self.training:
            self._tape.append((y if self._definition.kept == "y" else x, settings))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """The gradient with respect to the last forward's input.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether it is wanted; with False `dy` is not read.

        Returns
        -------
        dx : ndarray or None
            dy times the derivative; None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (kept, settings) = flag("input_gradient", input_gradient), self._peek()
        dx = None
        if wanted:
            dx = self._definition.backward(float_array("dy", dy, kept.shape, kept.dtype), kept, *settings)
        self._pop()
        return dx

    def _function(self, x: np.ndarray) -> np.ndarray:
        return self._definition.forward(x, *self._settings())

    def _settings(self) -> list[Any]:
        return [getattr(self, name) for name in self._definition.settings]

    def _describe(self) -> str:
        given = zip(self._definition.settings.items(), self._settings(), strict=True)
        listed = (f"{name}={value!r}" for (name, one), value in given if value != one.default)
        return f"{type(self).__name__}({', '.join(listed)})"


def _constructor(definition: Activation) -> Any:
    given = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([given, *definition.settings.values()])

    def __init__(self: _Activation, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        _, *settings = bound.args
        definition.define(None, *settings)
        Module.__init__(self)
        for name, value in zip(definition.settings, settings, strict=True):
            setattr(self, name, plain_number(value))

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _told(layer: str, one: Activation) -> str:
    """The layer's docstring."""
    x, y, dx = one.examples
    parts = [one.summary.replace("(6.", "(docs/dense.md 6.")]
    if one.settings:
        raised = "TypeError, ValueError\n    If a setting is out of range."
        parts += [f"Parameters\n----------\n{one.told}", f"Raises\n------\n{raised}"]
    size = x.count(",") + 1
    parts.append(
        "Examples\n--------\n>>> import numpy as np, fastdl as fd\n"
        f">>> layer = fd.nn.{layer}()\n>>> y = layer.forward(np.array({x}))\n"
        + one.example(f"y.round(4), layer.backward(np.ones({size})).round(4)", y, dx)
    )
    return "\n\n".join(parts)


class Tanh(_Activation, of="tanh"): ...


class Sigmoid(_Activation, of="sigmoid"): ...


class ReLU(_Activation, of="relu"): ...


class LeakyReLU(_Activation, of="leaky_relu"): ...


class ELU(_Activation, of="elu"): ...


class Hardtanh(_Activation, of="hardtanh"): ...


class Softplus(_Activation, of="softplus"): ...


class SiLU(_Activation, of="silu"): ...


class GELU(_Activation, of="gelu"): ...


class Softmax(_Activation, of="softmax"): ...


class LogSoftmax(_Activation, of="log_softmax"): ...
