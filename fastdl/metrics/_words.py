"""Words that docstrings of metrics share."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])
_WORDS = {
    "{counts}": """sample_weight : array_like, optional
    How much each target counts, at least 0, of the targets' shape or its leading axes. Default all alike.
mask : array_like of bool, optional
    True where a target counts, of the targets' shape or its leading axes. What does not count may hold anything.
    Default all.
lengths : array_like of int (B,), optional
    True lengths of sequences in targets (T, B, ...). Default all T.""",
    "{classes}": """y_true : array_like of int or str
    The true classes, of any shape of one axis or more.
y_pred : array_like of int or str
    The predicted classes, of the same shape.""",
    "{numbers}": """y_true : array_like of float
    The true values, (n,), or (..., outputs), whose last axis is the outputs as in scikit-learn.
y_pred : array_like of float
    The predicted ones, of the same shape.""",
    "{multioutput}": """multioutput : str or array_like (outputs,), default "uniform_average"
    How the outputs make one: "uniform_average" is the mean of each one's, "raw_values" gives each, weights give a
    weighted mean, and "pooled" takes all elements for one output. An output without a value that counts is left
    out, and NaN among raw values. A :class:`Metric` pools unless told otherwise.""",
    "{number}": """float or ndarray of float64 (outputs,)
    An array with ``multioutput="raw_values"``.""",
    "{raises}": """TypeError, ValueError
    If an argument is bad, shapes differ, something that counts is not finite, or nothing counts.""",
}


def told(function: _F) -> _F:
    """Put the words that metrics share into a docstring, where it names them in braces."""
    text = inspect.cleandoc(function.__doc__ or "")
    for name, words in _WORDS.items():
        text = text.replace(name, words)
    function.__doc__ = text
    return function
