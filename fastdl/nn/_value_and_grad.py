"""A number and its gradient, of a function written in NumPy."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _tracing
from .._validate import function as checked_function
from ._derived import drop_calls, plain_float, stood_in
from ._links import refilled, template
from ._pull import Pull
from ._trace import Trace
from ._traced import Traced, plain


def value_and_grad(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Of a function that gives one number, the function that gives it with its gradient (docs/nn.md).

    Parameters
    ----------
    function : callable
        ``function(x, *args, **kwargs)`` computes a number from `x` by NumPy's functions and operators, by functions of
        this library that have a gradient, and by layers in training mode. `x` is an array of floats, or a tuple, list
        or dict of arrays.

    Returns
    -------
    callable
        With the same arguments it returns (value, gradient). The gradient is that with respect to `x`, in its form.
        Those of parameters that the function reads are added to them, as a backward adds.

    Raises
    ------
    TypeError
        If `function` is not callable. The returned function raises it where the result is no number, or something is
        called that has no derivative, and where the result does not depend on `x`.
    ValueError
        From the returned function, if the result has several elements.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> def loss(outputs, targets):
    ...     return np.mean(np.abs(outputs - targets) ** 1.5)
    >>> value, gradient = fd.nn.value_and_grad(loss)(np.array([1.0, 5.0]), np.array([0.0, 1.0]))
    >>> float(value), gradient
    (4.5, array([0.75, 1.5 ]))
    """
    checked_function("function", function, "a function that gives a number")
    recorded = differentiated(getattr(function, "__name__", type(function).__name__), function)

    @functools.wraps(function)
    def both(x: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, pull = recorded(x, *args, **kwargs)
        return value, pull()

    return both


class Recorded(Pull):
    """Of a number whose computation was recorded."""

    def __init__(self, trace: Trace, value: Traced, numbers: Any) -> None:
        self._trace, self._value, self._numbers = trace, value, numbers

    def __call__(self, factor: float = 1.0) -> Any:
        try:
            walk = self._trace.backward([(self._value._at, np.full((), factor, self._value.dtype))], True)
        except BaseException:
            self.drop()
            raise
        return refilled(self._numbers, lambda at: None if at is None else walk.place(at))

    def drop(self) -> None:
        drop_calls(self._trace)


def differentiated(name: str, function: Callable[..., Any]) -> Callable[..., tuple[Any, Pull]]:
    """Of a function that gives a number, one that gives it with the way to its gradient; errors say `name`."""

    def recorded(x: Any, *args: Any, **kwargs: Any) -> tuple[Any, Pull]:
        if (outer := _tracing.current()) is not None:
            raise TypeError(
                f"{name}: value_and_grad within {outer.name}: there is no derivative of a derivative; call it before "
                "or after that forward"
            )
        trace = Trace(None, name)
        x = refilled(x, functools.partial(plain_float, "x"))
        numbers = template(x, lambda array: trace.number(array, True))
        try:
            with _tracing.recording(trace):
                value = function(stood_in(trace, x, numbers), *args, **kwargs)
            trace.check_carried()
            if np.shape(plain(value)) != ():
                raise ValueError(f"{name}: got values of shape {np.shape(plain(value))}, expected one number")
            if value.__class__ is not Traced or value._trace is not trace:
                raise TypeError(f"{name}: got {type(value).__name__} that does not depend on x, expected one that does")
        except BaseException:
            drop_calls(trace)
            raise
        finally:
            trace.close()
        return plain(value), Recorded(trace, value, numbers)

    return recorded
