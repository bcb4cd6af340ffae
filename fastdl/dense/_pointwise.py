"""What makes an activation of its definition: the function, its gradient, and what the layer and the docs say of it."""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import float_array, integer
from . import _grains

P = ParamSpec("P")


class Row(NamedTuple):
    """Which function of the kernels, with which settings."""

    name: str
    a: float = 0.0
    b: float = 0.0


class Along(NamedTuple):
    """A softmax or its logarithm, along an axis."""

    axis: Any
    logarithm: bool


class Activation(NamedTuple):
    """An activation: what its one definition gave."""

    name: str
    value: str  # formulas, as the docs have them
    slope: str
    kept: str  # what backward takes beside dy: "x", or the output "y" where that says as much
    summary: str
    settings: dict[str, inspect.Parameter]
    told: str  # the settings' entries of the docstring
    examples: tuple[str, str, str]  # x, y and dx for a dy of ones, as NumPy prints them
    define: Callable[..., Row | Along]  # refuses settings
    forward: Any = None  # the public functions
    backward: Any = None

    def docs_row(self) -> str:
        """The row of the table in docs/dense.md."""
        return f"| `{self.name}` | {self.value} | {self.slope} | {self.kept} |"

    def example(self, call: str, *results: str) -> str:
        """A line of code, and what it gives."""
        shown = ", ".join(f"array({one})" for one in results)
        return f">>> {call}\n{shown if len(results) == 1 else f'({shown})'}"


ACTIVATIONS: dict[str, Activation] = {}


def activation(
    value: str, slope: str, *, kept: str, examples: tuple[str, str, str]
) -> Callable[[Callable[P, Row | Along]], Callable[P, np.ndarray]]:
    """Make the activation of a function that says which row of the kernels it is, and enter it in ACTIVATIONS.

    Its docstring is the summary, and ``Parameters``: x in one line, then the settings.
    """

    def make(define: Callable[P, Row | Along]) -> Callable[P, np.ndarray]:
        name, signature = define.__name__, inspect.signature(define)
        summary, _, entries = inspect.cleandoc(define.__doc__ or "").partition("\n\nParameters\n----------\n")
        settings = dict(list(signature.parameters.items())[1:])
        told = entries.partition("\n")[2]
        one = Activation(name, value, slope, kept, summary, settings, told, examples, define)
        forward, backward = _forward(one, signature), _backward(one)
        ACTIVATIONS[name] = one._replace(forward=forward, backward=backward)
        return forward

    return make


def gradient_of(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """An activation's backward."""
    return ACTIVATIONS[function.__name__].backward


def _forward(one: Activation, signature: inspect.Signature) -> Callable[..., np.ndarray]:
    define = one.define

    def forward(x: np.ndarray, *settings: Any, **named: Any) -> np.ndarray:
        row = define(x, *settings, **named)
        x = float_array("x", x)
        return _values(row, x) if isinstance(row, Row) else _along(row, None, x)

    call = f"fd.{one.name}(np.array({one.examples[0]})).round(4)"
    text = _FORWARD.format(one=one, range=_RANGE if one.settings else "", example=one.example(call, one.examples[1]))
    return mirrored(_named(forward, one, one.name, text, list(signature.parameters.values())))


def _backward(one: Activation) -> Callable[..., np.ndarray]:
    define = one.define
    arrays = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=np.ndarray)
        for name in ("dy", one.kept)
    ]
    signature = inspect.Signature([*arrays, *one.settings.values()])

    def backward(*args: Any, **named: Any) -> np.ndarray:
        if len(args) < 2:  # arrays by name
            bound = signature.bind(*args, **named)
            args, named = bound.args, bound.kwargs
        dy, kept, *settings = args
        row = define(kept, *settings, **named)
        dy = float_array("dy", dy)
        kept = float_array(one.kept, kept, dy.shape, dy.dtype)
        return _gradients(row, dy, kept) if isinstance(row, Row) else _along(row, dy, kept)

    x, y, dx = one.examples
    call = f"fd.{one.name}_backward(np.ones({x.count(',') + 1}), np.array({x if one.kept == 'x' else y})).round(4)"
    words = {
        "source": "(6.7)" if "(6.7)" in one.summary else "(6.4)",
        "kept": "input x" if one.kept == "x" else "output y",
        "given": "The forward's input" if one.kept == "x" else f"What :func:`{one.name}` returned",
    }
    range = _RANGE if one.settings else ""
    text = _BACKWARD.format(one=one, range=range, example=one.example(call, dx), **words)
    return mirrored(_named(backward, one, f"{one.name}_backward", text, list(signature.parameters.values())))


_RANGE = ", or a setting is out of range"
_FORWARD = """{one.summary}

Parameters
----------
x : ndarray, float32 or float64
    Any shape.
{one.told}

Returns
-------
y : ndarray
    {one.value}: of the shape and type of `x`.

Raises
------
TypeError, ValueError
    If `x` is not an array of float32 or float64{range}.

Examples
--------
>>> import numpy as np, fastdl as fd
{example}
"""
_BACKWARD = """Gradient of :func:`{one.name}`, from the forward's {kept} {source}.

Parameters
----------
dy : ndarray, float32 or float64
    Gradient with respect to y.
{one.kept} : ndarray
    {given}, of the shape and type of `dy`.
{one.told}

Returns
-------
dx : ndarray
    dy times the derivative, {one.slope}: of the same shape and type.

Raises
------
TypeError, ValueError
    If an argument is no float array, or the shapes or dtypes differ{range}.

Examples
--------
>>> import numpy as np, fastdl as fd
{example}
"""


def _named(function: Any, one: Activation, name: str, text: str, parameters: list[inspect.Parameter]) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = one.define.__module__
    function.__doc__ = re.sub(r"\n{3,}", "\n\n", text)
    function.__signature__ = inspect.Signature(parameters, return_annotation=np.ndarray)
    function.__annotations__ = {**{p.name: p.annotation for p in parameters}, "return": np.ndarray}
    return function


# ---- the kernels ------------------------------------------------------------------------------------------------


def _values(row: Row, x: np.ndarray) -> np.ndarray:
    y = aligned_empty(x.shape, x.dtype)
    if x.size:
        topic = kernels.activations
        topic.forward(topic.ROWS[row.name], x, y, row.a, row.b, threads_for(x.size, _grains.ELEMENTS))
    return y


def _gradients(row: Row, dy: np.ndarray, kept: np.ndarray) -> np.ndarray:
    dx = aligned_empty(dy.shape, dy.dtype)
    if dy.size:
        topic = kernels.activations
        topic.backward(topic.ROWS[row.name], dy, kept, dx, row.a, row.b, threads_for(dy.size, _grains.ELEMENTS))
    return dx


def _along(row: Along, dy: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """A softmax of x, or with dy the gradient from its result x."""
    if x.ndim == 0:
        raise ValueError(f"{'x' if dy is None else 'dy'}: got shape (), expected at least one axis")
    axis, width = integer("axis", row.axis, -x.ndim, x.ndim - 1), 0
    given = [np.ascontiguousarray(np.moveaxis(one, axis, -1)) for one in (dy, x) if one is not None]
    result, width = aligned_empty(given[0].shape, x.dtype), given[0].shape[-1]
    if result.size:
        topic, threads = kernels.activations, threads_for(result.size, _grains.ELEMENTS)
        (topic.softmax if dy is None else topic.softmax_backward)(*given, result, width, row.logarithm, threads)
    return np.ascontiguousarray(np.moveaxis(result, -1, axis))
