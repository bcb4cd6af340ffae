"""Linear layers and embeddings."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, scratch
from .._threads import threads_for
from .._validate import (
    check_apart,
    check_places,
    flag,
    float_array,
    index_array,
    out_array,
    parts,
)
from . import _grains


class Apart(tuple[Any, ...]):
    """Arrays to write into that whoever gives them knows to fit and to be apart: one model's gradients."""


@mirrored
def linear_forward(
    x: np.ndarray, W: np.ndarray, b: np.ndarray | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Affine map of the last axis, y = x W + b (6.1).

    Parameters
    ----------
    x : ndarray (..., I), float32 or float64
    W : ndarray (I, O)
        The transpose of torch's ``Linear.weight``.
    b : ndarray (O,), optional
        None for no bias.
    out : ndarray (..., O), optional
        Array to write into, C-contiguous. A new one by default.

    Returns
    -------
    y : ndarray (..., O)

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, or `out` cannot be written or overlaps
        an argument; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.linear_forward(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5], [3.5]])
    """
    x, W = _linear_arguments(x, W)
    if b is not None:
        b = float_array("b", b, (W.shape[1],), x.dtype)
    shape = (*x.shape[:-1], W.shape[1])
    if out is None:
        y = aligned_empty(shape, x.dtype)
    else:
        y = out_array("out", out, shape, x.dtype)
        for name, one in (("x", x), ("W", W), ("b", b)):
            if one is not None and np.may_share_memory(y, one):  # check_apart alone takes as long as a small product
                check_apart(**{"out": y, name: one})
    if x.size == 0 or W.size == 0:
        y[...] = 0 if b is None else b
        return y
    kernels.dense.linear_forward(x, W, b, y, *_linear_plan(x, W))
    return y


@mirrored
def linear_backward(
    dy: np.ndarray,
    x: np.ndarray,
    W: np.ndarray,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Gradients of :func:`linear_forward`: dx = dy W^T, dW = x^T dy, db = sum dy (6.1).

    Parameters
    ----------
    dy : ndarray (..., O)
    x : ndarray (..., I)
        The forward's input.
    W : ndarray (I, O)
    out : tuple (dW, db), optional
        Arrays to write into, C-contiguous; db may be None if there is no bias. New ones by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.

    Returns
    -------
    dx : ndarray (..., I) or None
    dW : ndarray (I, O)
    db : ndarray (O,), or None where `out` has None

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, or an array of `out` cannot be written
        or overlaps an input or the other; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> dx, dW, db = fd.linear_backward(np.ones((2, 1)), np.ones((2, 3)), np.full((3, 1), 2.0))
    >>> dx[0], dW.ravel(), db
    (array([2., 2., 2.]), array([2., 2., 2.]), array([2.]))
    """
    x, W = _linear_arguments(x, W)
    dy = float_array("dy", dy, (*x.shape[:-1], W.shape[1]), x.dtype)
    if not isinstance(out, Apart):
        accumulate = flag("accumulate", accumulate)
    if out is None:
        dW = aligned_empty(W.shape, x.dtype)
        db: Any = aligned_empty(W.shape[1], x.dtype)
        accumulate = False
    elif isinstance(out, Apart):
        dW, db = out
    else:
        parts("out", out, "dW", "db or None")
        dW = out_array("out[0]", out[0], W.shape, x.dtype)
        db = None if out[1] is None else out_array("out[1]", out[1], (W.shape[1],), x.dtype)
        places = {"out[0]": dW} if db is None else {"out[0]": dW, "out[1]": db}
        check_places(places, {"dy": dy, "x": x, "W": W})
    dx: Any = aligned_empty(x.shape, x.dtype) if flag("input_gradient", input_gradient) else None
    if x.size == 0 or W.size == 0:
        if dx is not None:
            dx[...] = 0
        if not accumulate:
            dW[...] = 0
        if db is not None and db.size:  # there may be rows of no inputs
            total = dy.reshape(-1, db.size).sum(0)
            db[...] = db + total if accumulate else total
        return dx, dW, db
    kernels.dense.linear_backward(dy, x, W, (dx, dW, db), accumulate, *_linear_plan(x, W))
    return dx, dW, db


def _linear_arguments(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = float_array("x", x)
    if x.ndim == 0:
        raise ValueError("x: got shape (), expected at least one axis")
    return x, float_array("W", W, (x.shape[-1], None), x.dtype)


def _linear_plan(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, int]:
    """Work space and threads."""
    inputs, outputs = W.shape
    rows = x.size // inputs
    size = kernels.dense.work_size(rows, inputs, outputs, x.itemsize)
    return scratch(size, x.dtype), threads_for(rows * inputs * outputs, _grains.PRODUCT)


@mirrored
def embedding_forward(index: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Rows of a table, y = W[index] (6.1).

    Parameters
    ----------
    index : ndarray of int, any shape
        Values from 0 to V - 1.
    W : ndarray (V, D), float32 or float64

    Returns
    -------
    y : ndarray (..., D)

    Raises
    ------
    TypeError, ValueError
        If `W` is no float matrix, `index` holds no integers, or one is out of range.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.embedding_forward(np.array([2, 0]), np.eye(3))
    array([[0., 0., 1.], [1., 0., 0.]])
    """
    W = float_array("W", W, (None, None))
    index = index_array("index", index, W.shape[0])
    y = aligned_empty((*index.shape, W.shape[1]), W.dtype)
    # The indices have been checked, so no mode that checks again (or that buffers, as "raise" does).
    return W.take(index, axis=0, out=y, mode="clip") if index.size else y


@mirrored
def embedding_backward(
    dy: np.ndarray, index: np.ndarray, W: np.ndarray, out: np.ndarray | None = None, accumulate: bool = False
) -> np.ndarray:
    """Gradient of :func:`embedding_forward` with respect to the table: repeated indices add, in order (6.1).

    Parameters
    ----------
    dy : ndarray (..., D)
    index : ndarray of int
    W : ndarray (V, D)
        The table; only its shape matters.
    out : ndarray (V, D), optional
        Array to write into.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.

    Returns
    -------
    dW : ndarray (V, D)

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, an index is out of range, or `out` cannot
        be written or overlaps `dy`; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.embedding_backward(np.ones((2, 1)), np.array([1, 1]), np.zeros((3, 1))).ravel()
    array([0., 2., 0.])
    """
    W = float_array("W", W, (None, None))
    index = index_array("index", index, W.shape[0])
    dy = float_array("dy", dy, (*index.shape, W.shape[1]), W.dtype)
    dW = aligned_empty(W.shape, W.dtype) if out is None else out_array("out", out, W.shape, W.dtype)
    check_apart(out=dW, dy=dy)
    accumulate = flag("accumulate", accumulate)
    if out is None or not accumulate:
        dW[...] = 0
    if dy.size:
        num_threads = threads_for(dy.size, 4 * _grains.ELEMENTS)
        kernels.dense.embedding_backward(dy.reshape(-1, W.shape[1]), index.reshape(-1), dW, num_threads)
    return dW
