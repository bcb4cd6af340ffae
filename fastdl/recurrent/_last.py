"""The last true step of every sequence of a ragged batch."""

from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import flag, float_array, integer, lengths_array

__all__ = ["last_step", "last_step_backward"]


@mirrored
def last_step(h: np.ndarray, lengths: Any = None, reverse: bool = False) -> np.ndarray:
    """Each sequence's last output: at its true end, or in reverse at its beginning (docs/recurrent.md 5.7).

    Parameters
    ----------
    h : ndarray (T, B, H), float32 or float64, T at least 1
        Outputs of a recurrent layer.
    lengths : array of int (B,), optional
        True lengths, 1 to T; None for T.
    reverse : bool, default False
        Whether the layer ran from each sequence's end to its beginning.

    Returns
    -------
    last : ndarray (B, H)
        A copy: ``h[lengths[b] - 1, b]``, or ``h[0, b]``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.last_step(np.arange(6.0).reshape(3, 2, 1), [1, 3]).ravel()
    array([0., 5.])
    """
    h, at, every = _located(h, lengths, reverse)
    return h[at, every]


@mirrored
def last_step_backward(dlast: np.ndarray, T: int, lengths: Any = None, reverse: bool = False) -> np.ndarray:
    """Gradient of :func:`last_step` (docs/recurrent.md 5.7).

    Parameters
    ----------
    dlast : ndarray (B, H)
        Gradient with respect to its result.
    T : int
        Steps that h had.
    lengths, reverse
        As forward.

    Returns
    -------
    dh : ndarray (T, B, H)
        `dlast` at each sequence's last step, zero elsewhere.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.last_step_backward(np.ones((2, 1)), 3, [1, 3])[:, :, 0].T
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    dlast, T = float_array("dlast", dlast, (None, None)), integer("T", T, 1)
    dh, at, every = _located(np.zeros((T, *dlast.shape), dlast.dtype), lengths, reverse, ", T of them")
    dh[at, every] = dlast
    return dh


def _located(h: np.ndarray, lengths: Any, reverse: bool, why: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    h = float_array("h", h, (None, None, None))
    T, B, _ = h.shape
    if T == 0:
        raise ValueError(f"h: got shape {h.shape}, expected at least one step")
    lengths = np.full(B, T) if lengths is None else lengths_array("lengths", lengths, T, B, 1, why)
    return h, np.zeros(B, np.int64) if flag("reverse", reverse) else lengths - 1, np.arange(B)
