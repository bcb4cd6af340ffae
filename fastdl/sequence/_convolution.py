"""Convolution over time."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, scratch
from .._threads import threads_for
from .._validate import check_places, flag, float_array, integer, out_array, parts
from ._windows import Windows, checked_lengths, out_steps, windows

_MOST = 2**40  # numbers of all sequences with the zeros around them
_GRAIN = 500_000  # multiply-adds below which a second thread costs more than it brings (measured)


@mirrored
def conv1d_forward(
    x: np.ndarray,
    W: np.ndarray,
    b: np.ndarray | None = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    lengths: np.ndarray | None = None,
) -> np.ndarray:
    """Convolution over time (6.22).

    Parameters
    ----------
    x : ndarray (T, B, C), float32 or float64
        Time first and channels last, where torch has (B, C, T).
    W : ndarray (K, C / groups, O)
        K taps. The transpose, all axes reversed, of torch's ``Conv1d.weight``.
    b : ndarray (O,), optional
        None for no bias.
    stride : int >= 1, default 1
        Steps from one window to the next.
    padding : int >= 0, "same" or "causal", default 0
        Zeros before and after each sequence. "same": so many that T stays as it is (stride 1 alone), the greater half
        after it. "causal": all before it, so that y[t] depends on no later step.
    dilation : int >= 1, default 1
        Steps from one tap to the next.
    groups : int >= 1, default 1
        Parts of C and O, of which each sees only its own.
    lengths : ndarray of int (B,), optional
        True lengths, 0 to T. Steps past them count as zeros and are not read, and y is 0 past what they become.

    Returns
    -------
    y : ndarray (T', B, O)
        T' = (T + zeros - dilation (K - 1) - 1) // stride + 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, a setting is out of range, or there are
        too few steps for a window.

    Notes
    -----
    y[t] = b + sum_k x[t stride + k dilation - left] W[k], a correlation as everywhere in deep learning. Dilated causal
    convolutions: van den Oord et al. 2016, WaveNet.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.arange(4.0).reshape(4, 1, 1)
    >>> fd.conv1d_forward(x, np.ones((2, 1, 1)), padding="causal").ravel()
    array([0., 1., 3., 5.])
    """
    x, W, over, groups = _arguments(x, W, stride, padding, dilation, groups)
    b = None if b is None else float_array("b", b, W.shape[2:], x.dtype)
    pair = checked_lengths(lengths, x.shape, over.steps)
    y = aligned_empty((out_steps(x.shape, over), x.shape[1], W.shape[2]), x.dtype)
    if y.size:
        geometry = over.left, over.stride, over.dilation, groups
        work = scratch(kernels.convolution.work_size(x, W, geometry, len(y))[0], x.dtype)
        kernels.convolution.conv1d_forward(x, W, b, geometry, pair, y, work, _threads(y, W))
    return y


@mirrored
def conv1d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    W: np.ndarray,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    lengths: np.ndarray | None = None,
) -> tuple[Any, np.ndarray, Any]:
    """Gradients of :func:`conv1d_forward` (6.22).

    Parameters
    ----------
    dy : ndarray (T', B, O)
        Gradient with respect to y. What stands past the lengths is not read.
    x : ndarray (T, B, C)
        The forward's input.
    W : ndarray (K, C / groups, O)
    out : tuple (dW, db), optional
        Arrays to write into, C-contiguous; db may be None if there is no bias. New ones by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.
    stride, padding, dilation, groups, lengths
        As given to the forward.

    Returns
    -------
    dx : ndarray (T, B, C) or None
        Zero past the lengths.
    dW : ndarray (K, C / groups, O)
    db : ndarray (O,), or None where `out` has None

    Raises
    ------
    TypeError, ValueError
        As the forward, or if an array of `out` cannot be written or overlaps an input or the other; nothing is
        written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, W = np.arange(4.0).reshape(4, 1, 1), np.ones((2, 1, 1))
    >>> dx, dW, db = fd.conv1d_backward(np.ones((3, 1, 1)), x, W)
    >>> dx.ravel(), dW.ravel(), db
    (array([1., 2., 2., 1.]), array([3., 6.]), array([3.]))
    """
    x, W, over, groups = _arguments(x, W, stride, padding, dilation, groups)
    pair = checked_lengths(lengths, x.shape, over.steps)
    shape, dy = (out_steps(x.shape, over), x.shape[1], W.shape[2]), float_array("dy", dy, None, x.dtype)
    if dy.shape != shape:
        raise ValueError(f"dy: got shape {dy.shape}, expected {shape}, by x, W, stride, padding and dilation")
    accumulate, wanted = flag("accumulate", accumulate), flag("input_gradient", input_gradient)
    if out is None:
        dW, accumulate = aligned_empty(W.shape, x.dtype), False
        db: Any = aligned_empty(W.shape[2:], x.dtype)
    else:
        parts("out", out, "dW", "db or None")
        dW = out_array("out[0]", out[0], W.shape, x.dtype)
        db = None if out[1] is None else out_array("out[1]", out[1], W.shape[2:], x.dtype)
        places = {"out[0]": dW} if db is None else {"out[0]": dW, "out[1]": db}
        check_places(places, {"dy": dy, "x": x, "W": W})
    dx: Any = aligned_empty(x.shape, x.dtype) if wanted else None
    if dy.size:
        geometry = over.left, over.stride, over.dilation, groups
        work = scratch(kernels.convolution.work_size(x, W, geometry, len(dy))[1], x.dtype)
        kernels.convolution.conv1d_backward(dy, (x, W), (dx, dW, db), geometry, pair, accumulate, work, _threads(dy, W))
        return dx, dW, db
    for place in (dx, None if accumulate else dW, None if accumulate else db):
        if place is not None:
            place[...] = 0
    return dx, dW, db


def _arguments(
    x: Any, W: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[np.ndarray, np.ndarray, Windows, int]:
    x = float_array("x", x, (None, None, None))
    groups = integer("groups", groups, 1)
    C = x.shape[2]
    if C == 0 or C % groups:
        raise ValueError(f"x: got shape {x.shape}, expected (T, B, C) with C a multiple of groups, {groups}")
    W = float_array("W", W, (None, C // groups, None), x.dtype)
    if W.size == 0 or W.shape[2] % groups:
        wanted = f"(K, {C // groups}, O), none of them 0 and O a multiple of groups, {groups}"
        raise ValueError(f"W: got shape {W.shape}, expected {wanted}")
    over = windows(len(W), stride, padding, dilation, named=True)
    reached = (len(x) + over.left + over.right + over.dilation * over.size) * x.shape[1] * max(C, W.shape[2])
    if reached > _MOST:  # else a size would not fit an index
        got = f"{over.left} and {over.right} zeros, dilation {over.dilation}"
        raise ValueError(f"padding, dilation: got {got}, expected less: no memory holds the padded sequences")
    return x, W, over, groups


def _threads(y: np.ndarray, W: np.ndarray) -> int:
    return threads_for(y.shape[0] * y.shape[1] * W.size, _GRAIN)
