"""Normalisation, and the constraints applied to parameters after a step."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import attribute, members, number, out_array, shown
from ._axes import Axis, as_rows, axes_of, from_rows, map_rows, norms_along, real_array
from ._extremes import divided, is_mild, limited
from ._reduction import DIVIDE, POSITIVE, TIMES, order


@mirrored
def normalize(x: np.ndarray, ord: float = 2, axis: Axis = None) -> np.ndarray:
    """x divided by its norm, so that its norm is 1; a vector of zeros stays (docs/norms.md 1.5).

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    ord : float, default 2
        Above 0.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs; None: all entries are one vector.

    Returns
    -------
    ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, the order is not above 0, or an axis does not exist or is named twice.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.normalize(np.array([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x, p = real_array("x", x), _positive_order(ord)
    axes = axes_of(x, axis)
    rows = as_rows(x, axes)
    return from_rows(divided(rows, p), x, axes)


@mirrored
def max_norm_(w: np.ndarray, radius: float, ord: float = 2, axis: Axis = None) -> None:
    """Scale vectors of `w` whose norm exceeds `radius` down to it, in place; others keep their bits.

    Parameters
    ----------
    w : ndarray
        float32 or float64, C-contiguous and writable.
    radius : float
        At least 0.
    ord : float, default 2
        Above 0. For order 2 this is the projection on the ball (1.10).
    axis : int, tuple of int or None, default None
        The axes over which a vector runs. ``axis=0`` bounds each unit's incoming weights in a matrix stored
        (inputs, units), as :class:`fastdl.nn.Linear` stores its own.

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; `w` is not changed then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> fd.max_norm_(w, 1.0, axis=1)
    >>> w
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    w, p, limit = _in_place(w), _positive_order(ord), number("radius", radius, 0)
    axes = axes_of(w, axis)
    norms = norms_along(w, axes, p)
    factors = np.divide(limit, norms, out=np.ones_like(norms), where=~(norms <= limit))
    if not is_mild(norms) or (limit and factors.min(initial=1.0) < 2.0**-1000):
        w[...] = from_rows(limited(as_rows(w, axes), p, limit, norms.reshape(-1)), w, axes)
    elif (factors != 1).any():
        _map_along(w, axes, TIMES, factors)


@mirrored
def unit_norm_(w: np.ndarray, ord: float = 2, axis: Axis = None) -> None:
    """Divide the vectors of `w` by their norms, in place; vectors of zeros stay (docs/norms.md 1.5).

    Parameters
    ----------
    w : ndarray
        float32 or float64, C-contiguous and writable.
    ord : float, default 2
        Above 0.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs.

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; `w` is not changed then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([3.0, 4.0])
    >>> fd.unit_norm_(w)
    >>> w
    array([0.6, 0.8])
    """
    w, p = _in_place(w), _positive_order(ord)
    axes = axes_of(w, axis)
    norms = norms_along(w, axes, p)
    if is_mild(norms):
        _map_along(w, axes, DIVIDE, norms)
    else:
        w[...] = from_rows(divided(as_rows(w, axes), p), w, axes)


@mirrored
def non_negative_(w: np.ndarray) -> None:
    """Set the negative entries of `w` to 0, in place; NaN stays.

    Parameters
    ----------
    w : ndarray
        float32 or float64, C-contiguous and writable.

    Raises
    ------
    TypeError, ValueError
        If `w` is refused.

    Notes
    -----
    The projection on the non-negative orthant (docs/norms.md, Penalties): the nearest array without a negative entry.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([3.0, -4.0])
    >>> fd.non_negative_(w)
    >>> w
    array([3., 0.])
    """
    w = _in_place(w)
    _map_along(w, axes_of(w, None), POSITIVE, np.zeros(()))


class MaxNorm:
    """Constraint: vectors of the parameters have at most this norm (:func:`max_norm_`; docs/norms.md, Penalties).

    Parameters
    ----------
    radius, ord, axis
        As for :func:`max_norm_`.

    Raises
    ------
    TypeError, ValueError
        If the radius is negative, or the order is not above 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([3.0, 4.0])
    >>> fd.norms.MaxNorm(1.0).apply([w])
    >>> w
    array([0.6, 0.8])
    """

    def __init__(self, radius: float, ord: float = 2, axis: Axis = None) -> None:
        self.radius, self.ord, self.axis = number("radius", radius, 0), _positive_order(ord), axis

    def apply(self, parameters: Iterable[Any]) -> None:
        """Enforce it on every parameter (or array) given; call it after ``optimizer.step()``.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or ndarray
            Changed in place; frozen parameters are left as they are.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or array that can be written, or has no such axis.
        """
        for w in _arrays(parameters):
            max_norm_(w, self.radius, self.ord, self.axis)


class UnitNorm:
    """Constraint: vectors of the parameters have norm 1 (:func:`unit_norm_`; docs/norms.md, Penalties).

    Parameters
    ----------
    ord, axis
        As for :func:`unit_norm_`.

    Raises
    ------
    TypeError, ValueError
        If the order is not above 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([3.0, 4.0])
    >>> fd.norms.UnitNorm().apply([w])
    >>> w
    array([0.6, 0.8])
    """

    def __init__(self, ord: float = 2, axis: Axis = None) -> None:
        self.ord, self.axis = _positive_order(ord), axis

    def apply(self, parameters: Iterable[Any]) -> None:
        """Enforce it on every parameter (or array) given; call it after ``optimizer.step()``.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or ndarray
            Changed in place; frozen parameters are left as they are.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or array that can be written, or has no such axis.
        """
        for w in _arrays(parameters):
            unit_norm_(w, self.ord, self.axis)


class NonNegative:
    """Constraint: no entry of the parameters is below 0 (:func:`non_negative_`; docs/norms.md, Penalties).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([3.0, -4.0])
    >>> fd.norms.NonNegative().apply([w])
    >>> w
    array([3., 0.])
    """

    def apply(self, parameters: Iterable[Any]) -> None:
        """Enforce it on every parameter (or array) given; call it after ``optimizer.step()``.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or ndarray
            Changed in place; frozen parameters are left as they are.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or array that can be written; none is changed then.
        """
        for w in _arrays(parameters):
            non_negative_(w)


def _positive_order(ord: Any) -> float:
    p = order(ord, 0)
    if p == 0:
        raise ValueError(f"ord: got {shown(ord)}, expected a number above 0")
    return p


def _in_place(w: Any) -> np.ndarray:
    return out_array("w", w, None)


def _arrays(parameters: Any) -> list[np.ndarray]:
    """The values of parameters or arrays, all of which can be written. Not of frozen ones."""
    found = []
    for i, one in enumerate(members("parameters", parameters)):
        if getattr(one, "frozen", False):
            continue
        name = f"parameters[{i}]"
        found.append(out_array(name, one if isinstance(one, np.ndarray) else attribute(name, one, "data"), None))
    return found


def _map_along(w: np.ndarray, axes: tuple[int, ...], kind: int, level: np.ndarray) -> None:
    rows = as_rows(w, axes)
    map_rows(rows, kind, level.reshape(-1), out=rows)
    if not np.may_share_memory(rows, w):  # the axes were not the last ones: rows is a copy
        w[...] = from_rows(rows, w, axes)
