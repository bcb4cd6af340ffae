"""The (sub)gradients of the norms (docs/norms.md 1.1 to 1.5)."""

import math

import numpy as np

from .._dispatch import mirrored
from ._axes import Axis, as_rows, axes_of, from_rows, map_rows, norms_along, real_array, reduced
from ._extremes import divided, slopes
from ._reduction import COUNT, DIVIDE, SIGN, SIGN_AT, order


@mirrored
def norm_gradient(x: np.ndarray, ord: float = 2, axis: Axis = None) -> np.ndarray:
    """A (sub)gradient of the norm of order `ord` at `x` (docs/norms.md 1.1 to 1.5).

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    ord : float, default 2
        At least 0.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs (``axis=1``: each row of a matrix has its own norm); None: all
        entries are one vector.

    Returns
    -------
    ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type or the order is negative.

    Notes
    -----
    ======  ==================================================================
    0       0: a count is flat wherever it has a derivative
    1       sign(x), 0 at 0
    2       x / norm, 0 at x = 0
    inf     sign(x) / k on the k entries that tie for the maximum, else 0
    p > 0   sign(x) (abs(x) / norm)^(p - 1), 0 at 0
    ======  ==================================================================

    For p >= 1 these are subgradients everywhere: norm(y) >= norm(x) + <g, y - x>. The ratio to the norm is
    taken before the power, so nothing overflows on the way.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.norm_gradient(np.array([3.0, -4.0, 0.0]))
    array([ 0.6, -0.8,  0. ])
    >>> fd.norm_gradient(np.array([2.0, -2.0, 1.0]), np.inf)
    array([ 0.5, -0.5,  0. ])
    """
    x, p = real_array("x", x), order(ord, 0)
    axes = axes_of(x, axis)
    rows = as_rows(x, axes)
    if p == 0:
        return np.zeros(x.shape, x.dtype)
    if p == 1:
        slope = map_rows(rows, SIGN, 1.0)
    elif p == math.inf:
        slope = map_rows(rows, SIGN_AT, norms_along(rows, (1,), p))
        ties = reduced(slope, (1,), COUNT, 0.0)
        map_rows(slope, DIVIDE, ties, out=slope)
    else:
        slope = divided(rows, 2.0) if p == 2 else slopes(rows, p)
    return from_rows(slope, x, axes)
