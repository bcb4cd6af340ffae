"""How first values are spread: gains, and draws beside the uniform and the normal."""

import math

import numpy as np

from .._validate import choice, number
from ..random import Generator
from ..random._generator import is_idle

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.nan, "selu": 0.75}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By what a layer's weights are multiplied so that its variance passes the nonlinearity that follows (docs/nn.md).

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
        1, 1, 5/3, sqrt(2), sqrt(2 / (1 + param^2)) and 3/4, as torch's.
    param : float, optional
        The slope of a leaky_relu where it is negative, 0.01 by default; not used for others.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If the name is not known, or `param` is no number.

    Examples
    --------
    >>> import fastdl as fd
    >>> round(fd.nn.init.calculate_gain("relu"), 4)
    1.4142
    """
    choice("nonlinearity", nonlinearity, tuple(GAINS))
    slope = 0.01 if param is None else number("param", param)
    return math.sqrt(2 / (1 + slope * slope)) if nonlinearity == "leaky_relu" else GAINS[nonlinearity]


def orthogonal(source: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A matrix whose rows, or columns where these are fewer, are orthonormal, all such alike likely (Stewart 1980).

    A product of reflections, each of which takes a unit vector to a random one. All is done element by element, or in
    NumPy's sums in pairs, so a seed gives the same bits everywhere.
    """
    if is_idle():
        return np.zeros(shape)
    few, many = sorted(shape)
    rows = np.eye(few, many)
    for k in reversed(range(few)):
        x = source.normal(0.0, 1.0, many - k, np.float64)
        x /= math.sqrt(np.add.reduce(x * x))
        sign = math.copysign(1.0, x[0])
        u = x.copy()
        u[0] += sign
        block = rows[k:, k:]
        along = np.add.reduce(block * u, axis=1) * (2 / np.add.reduce(u * u))
        block -= along[:, None] * u
        block[0] *= -sign  # the reflection of the first unit vector is -sign x
    return rows if shape[0] == few else np.ascontiguousarray(rows.T)


def cut_normals(source: Generator, low: float, high: float, count: int) -> np.ndarray:
    """Standard normal numbers in [low, high]: uniform ones, each kept as likely as the density there is of the highest.

    Where the density is below 1e-16 of the highest nothing is drawn, so at least one in 50 is kept.
    """
    low, high = (min(max(one, -1e300), 1e300) for one in (low, high))  # finite, also in units of a tiny deviation
    near = min(max(low, 0.0), high)  # where the density is highest
    reach = math.hypot(near, math.sqrt(74))
    low, high = max(low, -reach), min(high, reach)
    found = np.empty(0)
    while found.size < count:
        x, chance = (source.uniform(a, b, 2 * count + 16, np.float64) for a, b in ((low, high), (0.0, 1.0)))
        found = np.concatenate([found, x[chance < np.exp((near - x) * (near + x) / 2)]])
    return found[:count]
