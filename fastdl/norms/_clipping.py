"""The norm over many arrays, and clipping by it (docs/norms.md 1.12)."""

from collections.abc import Sequence

import numpy as np

from .._dispatch import mirrored
from .._threads import threads_for
from .._validate import float_array, members, number, out_array
from ._extremes import scaled, times
from ._reduction import GRAIN, kernel, norm_of, order, small

# PyTorch's constant (torch.nn.utils.clip_grad_norm_).
EPSILON = 1e-6


@mirrored
def global_norm(arrays: np.ndarray | Sequence[np.ndarray], ord: float = 2) -> float:
    """The norm of the concatenation of all arrays, in one reading pass.

    Parameters
    ----------
    arrays : ndarray or sequence of ndarray
        float32 or float64, of any shape; one flat array (an arena) is the fast case.
    ord : float, default 2
        The order: 0 (number of entries that are not 0), any p > 0, or inf.

    Returns
    -------
    float
        NaN if any entry is NaN (except for order 0), inf if one is infinite: so whoever clips learns from the
        same pass whether the gradients are finite. 0 for no entries.

    Raises
    ------
    TypeError, ValueError
        If an array is not float32 or float64, or the order is negative or NaN.

    Notes
    -----
    docs/norms.md (1.12). Sums run in double over blocks of fixed size, combined in order: the same bits for any number
    of threads. Nothing overflows or underflows where the norm itself is representable.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.global_norm([np.array([3.0]), np.array([[0.0, 4.0]])])
    5.0
    """
    if isinstance(arrays, np.ndarray):
        value = small(arrays, ord, typed=False) if isinstance(ord, (int, float)) and ord == 2 else None
        return norm_of([float_array("arrays", arrays)], order(ord, 0)) if value is None else value
    return norm_of(
        [float_array(f"arrays[{i}]", one) for i, one in enumerate(members("arrays", arrays, "arrays"))], order(ord, 0)
    )


@mirrored
def clip_by_global_norm_(arrays: np.ndarray | Sequence[np.ndarray], max_norm: float, ord: float = 2) -> float:
    """Scale all arrays, in place, so that their global norm is at most `max_norm`.

    Parameters
    ----------
    arrays : ndarray or sequence of ndarray
        float32 or float64, C-contiguous and writable: one flat array, or several.
    max_norm : float
        At least 0.
    ord : float, default 2
        The order of the norm: any p > 0, or inf.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; no array is changed then.

    Notes
    -----
    docs/norms.md (1.12), PyTorch's rule: every entry is multiplied by min(1, max_norm / (norm + 1e-6)). Where the
    factor is 1 nothing is written. As in PyTorch an infinite norm makes the factor 0 and a NaN makes
    everything NaN: test the returned norm with ``math.isfinite`` before a step.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> gradients = np.array([3.0, 4.0])
    >>> fd.clip_by_global_norm_(gradients, 1.0)
    5.0
    >>> gradients.round(3)
    array([0.6, 0.8])
    """
    if isinstance(arrays, np.ndarray):
        checked = [out_array("arrays", arrays, None)]
    else:
        checked = [out_array(f"arrays[{i}]", one, None) for i, one in enumerate(members("arrays", arrays, "arrays"))]
    limit = number("max_norm", max_norm, 0)
    p = order(ord, 0)
    norm = norm_of(checked, p)
    factor = limit / (norm + EPSILON)
    if limit and not factor >= 2.0**-126 and _clipped_by_parts(checked, limit, p):
        return norm
    if not factor >= 1:  # also where it is NaN
        for one in checked:
            kernel("scale", one.dtype)(one.reshape(-1), factor, threads_for(one.size, GRAIN))
    return norm


def factor_past_range(arrays: np.ndarray | Sequence[np.ndarray], limit: float, p: float) -> float:
    """What to multiply with for a norm of at most `limit` where the norm overflows; 0 where an entry is not finite."""
    flat = _one_row([arrays] if isinstance(arrays, np.ndarray) else arrays)
    if not np.isfinite(flat).all():
        return 0.0
    _, norms, shift = scaled(flat, p)
    return float(np.ldexp(limit / norms[0], -shift[0]))


def _one_row(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([one.reshape(-1).astype(np.float64) for one in arrays])[None]


def _clipped_by_parts(arrays: list[np.ndarray], limit: float, p: float) -> bool:
    """The same where the norm or the factor leaves the range; False where an entry is not finite."""
    flat = _one_row(arrays)
    if p == 0 or not np.isfinite(flat).all():
        return False
    _, norms, shift = scaled(flat, p)
    with np.errstate(all="ignore"):
        if limit / (np.ldexp(norms[0], shift[0]) + EPSILON) >= 1:
            return True
        rows = times(flat, limit / (norms + np.ldexp(EPSILON, -shift)), -shift)
        begin = 0
        for one in arrays:
            one[...] = rows[0, begin : begin + one.size].reshape(one.shape)
            begin += one.size
    return True
