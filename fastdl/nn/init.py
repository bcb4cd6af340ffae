"""First values, under torch's names: each function writes into a parameter or an array, and returns it (docs/nn.md).

A parameter knows whether it is stored transposed, as the weights of ``Linear`` and of the recurrent layers are. What is
said of rows and columns here, and the fans, are those of torch's layout (outputs, inputs), which an array is taken to
have.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._validate import choice, number, out_array
from ..random import Generator, as_generator
from ._parameter import Parameter
from ._spread import GAINS, calculate_gain, cut_normals, orthogonal

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_Target = TypeVar("_Target", Parameter, np.ndarray)
_F = TypeVar("_F", bound=Callable[..., Any])
_TOLD = {
    "{target}": """target : Parameter or ndarray, float32 or float64
        Written in place.""",
    "{rng}": """rng : None, int or fastdl.random.Generator, default None
        Where the numbers are from; the same seed gives the same values.""",
    "{returns}": """Parameter or ndarray
        The target.""",
    "{raises}": """TypeError, ValueError
        If the target is neither or of too few axes, or a setting is out of range; nothing is written then.""",
}


def __dir__() -> list[str]:
    return __all__


def _told(function: _F) -> _F:
    """Put the words that all functions here share into a docstring."""
    for name, words in _TOLD.items():
        function.__doc__ = (function.__doc__ or "").replace(name, words)
    return function


@_told
def uniform_(target: _Target, a: float = 0.0, b: float = 1.0, *, rng: int | Generator | None = None) -> _Target:
    """Fill with numbers uniform on [a, b) (docs/nn.md).

    Parameters
    ----------
    {target}
    a, b : float, default 0.0 and 1.0
        a at most b.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> layer = fd.nn.Linear(4, 2, rng=0)
    >>> fd.nn.init.uniform_(layer.weight, -0.1, 0.1, rng=1)
    Parameter('weight', shape=(4, 2), dtype=float32)
    """
    into = _place(target)
    low = _number("a", a, into)
    high = _number("b", b, into, low)
    return _put(target, as_generator(rng).uniform(low, high, into.shape, into.dtype))


@_told
def normal_(target: _Target, mean: float = 0.0, std: float = 1.0, *, rng: int | Generator | None = None) -> _Target:
    """Fill with normal numbers (docs/nn.md).

    Parameters
    ----------
    {target}
    mean, std : float, default 0.0 and 1.0
        Mean and standard deviation, the latter at least 0.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.init.normal_(np.empty((2, 3)), std=0.02, rng=0).shape
    (2, 3)
    """
    into = _place(target)
    mean, std = _number("mean", mean, into), _number("std", std, into, 0.0)
    return _put(target, as_generator(rng).normal(mean, std, into.shape, into.dtype))


@_told
def trunc_normal_(
    target: _Target, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, *,
    rng: int | Generator | None = None,
) -> _Target:  # fmt: skip
    """Fill with normal numbers of which those outside of [a, b] are left out (docs/nn.md).

    Parameters
    ----------
    {target}
    mean, std : float, default 0.0 and 1.0
        Mean and standard deviation before the cut, the latter above 0.
    a, b : float, default -2.0 and 2.0
        Bounds of the numbers themselves, as torch's: not in units of std. a is below b.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> values = fd.nn.init.trunc_normal_(np.empty(1000), std=0.02, a=-0.04, b=0.04, rng=0)
    >>> bool(np.abs(values).max() <= 0.04)
    True
    """
    into = _place(target)
    mean, std = _number("mean", mean, into), _number("std", std, into, 0.0, open_low=True)
    low = number("a", a)
    high = number("b", b, low, open_low=True)
    values = mean + std * cut_normals(as_generator(rng), (low - mean) / std, (high - mean) / std, into.size)
    return _put(target, np.clip(values, low, high).reshape(into.shape))


@_told
def constant_(target: _Target, val: float) -> _Target:
    """Fill with one number (docs/nn.md).

    Parameters
    ----------
    {target}
    val : float

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.init.constant_(np.empty(2), 0.5)
    array([0.5, 0.5])
    """
    into = _place(target)
    val = _number("val", val, into)
    return _put(target, np.full(into.shape, val))


@_told
def zeros_(target: _Target) -> _Target:
    """Fill with 0 (docs/nn.md).

    Parameters
    ----------
    {target}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.nn.init.zeros_(fd.nn.Linear(3, 2, rng=0).bias).data
    array([0., 0.], dtype=float32)
    """
    return constant_(target, 0.0)


@_told
def ones_(target: _Target) -> _Target:
    """Fill with 1 (docs/nn.md).

    Parameters
    ----------
    {target}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.init.ones_(np.empty(2))
    array([1., 1.])
    """
    return constant_(target, 1.0)


@_told
def xavier_uniform_(target: _Target, gain: float = 1.0, *, rng: int | Generator | None = None) -> _Target:
    """Fill with numbers uniform within gain sqrt(6 / (fan_in + fan_out)) of 0 (Glorot and Bengio 2010).

    Parameters
    ----------
    {target}
    gain : float, default 1.0
        At least 0, such as :func:`calculate_gain` gives.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> layer = fd.nn.Linear(300, 200, rng=0)
    >>> weight = fd.nn.init.xavier_uniform_(layer.weight, fd.nn.init.calculate_gain("tanh"), rng=1)
    >>> round(float(weight.data.max()), 3)  # 5/3 sqrt(6 / 500)
    0.183
    """
    into = _place(target)
    gain = _number("gain", gain, into, 0.0)
    bound = gain * math.sqrt(6 / max(sum(_fans(target, into)), 1))
    return _put(target, as_generator(rng).uniform(-bound, bound, into.shape, into.dtype))


@_told
def xavier_normal_(target: _Target, gain: float = 1.0, *, rng: int | Generator | None = None) -> _Target:
    """Fill with normal numbers of standard deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    Parameters
    ----------
    {target}
    gain : float, default 1.0
        At least 0, such as :func:`calculate_gain` gives.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.init.xavier_normal_(np.empty((3, 2)), rng=0).shape
    (3, 2)
    """
    into = _place(target)
    gain = _number("gain", gain, into, 0.0)
    std = gain * math.sqrt(2 / max(sum(_fans(target, into)), 1))
    return _put(target, as_generator(rng).normal(0.0, std, into.shape, into.dtype))


@_told
def kaiming_uniform_(
    target: _Target, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *,
    rng: int | Generator | None = None,
) -> _Target:  # fmt: skip
    """Fill with numbers uniform within gain sqrt(3 / fan) of 0 (He 2015).

    Parameters
    ----------
    {target}
    a : float, default 0.0
        The slope of a leaky_relu where it is negative; not used for others.
    mode : {"fan_in", "fan_out"}, default "fan_in"
        Whether the forward or the backward pass is to keep its variance.
    nonlinearity : str, default "leaky_relu"
        What follows, a name that :func:`calculate_gain` knows.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> layer = fd.nn.Linear(600, 200, rng=0)
    >>> weight = fd.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", rng=1)
    >>> round(float(weight.data.max()), 2)  # sqrt(2) sqrt(3 / 600)
    0.1
    """
    into = _place(target)
    bound = math.sqrt(3) * _kaiming(target, into, a, mode, nonlinearity)
    return _put(target, as_generator(rng).uniform(-bound, bound, into.shape, into.dtype))


@_told
def kaiming_normal_(
    target: _Target, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *,
    rng: int | Generator | None = None,
) -> _Target:  # fmt: skip
    """Fill with normal numbers of standard deviation gain / sqrt(fan) (He 2015).

    Parameters
    ----------
    {target}
    a : float, default 0.0
        The slope of a leaky_relu where it is negative; not used for others.
    mode : {"fan_in", "fan_out"}, default "fan_in"
        Whether the forward or the backward pass is to keep its variance.
    nonlinearity : str, default "leaky_relu"
        What follows, a name that :func:`calculate_gain` knows.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.init.kaiming_normal_(np.empty((3, 2)), mode="fan_out", nonlinearity="relu", rng=0).shape
    (3, 2)
    """
    into = _place(target)
    std = _kaiming(target, into, a, mode, nonlinearity)
    return _put(target, as_generator(rng).normal(0.0, std, into.shape, into.dtype))


@_told
def orthogonal_(target: _Target, gain: float = 1.0, *, rng: int | Generator | None = None) -> _Target:
    """Fill with gain times a random matrix whose rows, or columns where these are fewer, are orthonormal (Saxe 2014).

    Parameters
    ----------
    {target}
        Of more than two axes, the first is the rows and the others together the columns.
    gain : float, default 1.0
        What the matrix is multiplied by.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> matrix = fd.nn.init.orthogonal_(np.empty((2, 3)), rng=0)
    >>> np.allclose(matrix @ matrix.T, np.eye(2))
    True
    """
    into = _place(target)
    gain = _number("gain", gain, into)
    _fans(target, into)
    rows = into.shape[0]
    values = orthogonal(as_generator(rng), (rows, into.size // max(rows, 1))) if into.size else np.empty(into.shape)
    return _put(target, gain * values.reshape(into.shape))


@_told
def sparse_(target: _Target, sparsity: float, std: float = 0.01, *, rng: int | Generator | None = None) -> _Target:
    """Fill with normal numbers, and as many zeros in each column as are asked for (Martens 2010).

    Parameters
    ----------
    {target}
        Of two axes.
    sparsity : float from 0 to 1
        Share of each column's elements that are 0, rounded up.
    std : float, default 0.01
        Standard deviation of the others, at least 0.
    {rng}

    Returns
    -------
    {returns}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> (fd.nn.init.sparse_(np.empty((10, 3)), 0.3, rng=0) == 0).sum(0)
    array([3, 3, 3])
    """
    into, sparsity = _place(target), number("sparsity", sparsity, 0.0, 1.0)
    std = _number("std", std, into, 0.0)
    if into.ndim != 2:
        raise ValueError(f"target: got shape {into.shape}, expected two axes")
    source = as_generator(rng)
    values = source.normal(0.0, std, into.shape, into.dtype)
    columns = values if _is_transposed(target) else values.T  # a row of `columns` is a column of torch's layout
    zeros = math.ceil(sparsity * columns.shape[1])
    for column in columns:
        column[source.permutation(columns.shape[1])[:zeros]] = 0
    return _put(target, values)


# ---- targets ----------------------------------------------------------------------------------------------------


def _place(target: Any) -> np.ndarray:
    """What is written into."""
    return target._data if isinstance(target, Parameter) else out_array("target", target, None)


def _number(name: str, value: Any, into: np.ndarray, low: float | None = None, open_low: bool = False) -> float:
    """A number of which draws stay finite in the target's type."""
    most = float(np.finfo(into.dtype).max) / 16
    return number(name, value, -most if low is None else low, most, open_low=open_low)


def _put(target: _Target, values: np.ndarray) -> _Target:
    if isinstance(target, Parameter):
        target._data[...] = values
    else:
        target[...] = values
    return target


def _is_transposed(target: Any) -> bool:
    return isinstance(target, Parameter) and target.transposed


def _fans(target: Any, into: np.ndarray) -> tuple[int, int]:
    """Numbers that flow into one output, and out of one input."""
    if into.ndim < 2:
        raise ValueError(f"target: got shape {into.shape}, expected at least two axes")
    outputs, inputs, *field = into.shape[::-1] if _is_transposed(target) else into.shape
    return inputs * math.prod(field), outputs * math.prod(field)


def _kaiming(target: Any, into: np.ndarray, a: Any, mode: Any, nonlinearity: Any) -> float:
    """The standard deviation."""
    choice("mode", mode, ("fan_in", "fan_out"))
    choice("nonlinearity", nonlinearity, tuple(GAINS))
    fan = _fans(target, into)[mode == "fan_out"]
    return calculate_gain(nonlinearity, number("a", a)) / math.sqrt(max(fan, 1))
