"""Dense layers and losses: linear, embedding, activations, softmax cross-entropy, mean squared error.

Functions that end in ``_backward`` take the gradient of the loss by the forward's output. Derivatives of
activations are written in terms of the output. Equations: docs/dense.md.
"""

from typing import Any

import numpy as np

from ._dispatch import kernels, mirrored
from ._memory import aligned_empty, scratch
from ._threads import threads_for
from ._validate import (
    REDUCTIONS,
    check_apart,
    check_places,
    check_shape,
    choice,
    flag,
    float_array,
    index_array,
    integer,
    lengths_array,
    number,
    out_array,
    parts,
    plain_array,
)
from .reference.dense import LossValue, counted  # one type for both: the reference imports nothing of fastdl

__all__ = [
    "LossValue",
    "embedding_backward",
    "embedding_forward",
    "linear_backward",
    "linear_forward",
    "mse_loss",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax_cross_entropy",
    "tanh",
    "tanh_backward",
]


def __dir__() -> list[str]:
    return [*__all__, "LossValue"]


# Work below which a second thread costs more than it brings, in multiply-adds and in elements (measured).
_GRAIN_PRODUCT = 500_000
_GRAIN_ELEMENTS = 20_000


class Apart(tuple[Any, ...]):
    """Arrays to write into that whoever gives them knows to fit and to be apart: one model's gradients."""


@mirrored
def linear_forward(x: np.ndarray, W: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Affine map of the last axis, y = x W + b (6.1).

    Parameters
    ----------
    x : ndarray (..., I), float32 or float64
    W : ndarray (I, O)
        The transpose of torch's ``Linear.weight``.
    b : ndarray (O,), optional
        None for no bias.

    Returns
    -------
    y : ndarray (..., O)

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.linear_forward(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5], [3.5]])
    """
    x, W = _linear_arguments(x, W)
    if b is not None:
        b = float_array("b", b, (W.shape[1],), x.dtype)
    y = aligned_empty((*x.shape[:-1], W.shape[1]), x.dtype)
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
    return scratch(size, x.dtype), threads_for(rows * inputs * outputs, _GRAIN_PRODUCT)


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
        num_threads = threads_for(dy.size, 4 * _GRAIN_ELEMENTS)
        kernels.dense.embedding_backward(dy.reshape(-1, W.shape[1]), index.reshape(-1), dW, num_threads)
    return dW


def _elementwise(name: str, **arrays: np.ndarray) -> np.ndarray:
    """The kernel's result for one array, or for two of one shape."""
    (name_of_first, first), *others = arrays.items()
    first = float_array(name_of_first, first)
    out = aligned_empty(first.shape, first.dtype)
    checked = [first, *[float_array(label, one, first.shape, first.dtype) for label, one in others], out]
    if out.size:
        flat = [one.reshape(-1) for one in checked]
        getattr(kernels.dense, name)(*flat, threads_for(out.size, _GRAIN_ELEMENTS))
    return out


@mirrored
def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function 1 / (1 + exp(-x)), elementwise (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64

    Returns
    -------
    y : ndarray
        Within 3 units in the last place where the result is a normal number.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.sigmoid(np.array([0.0, 2.0])).round(4)
    array([0.5   , 0.8808])
    """
    return _elementwise("sigmoid", x=x)


@mirrored
def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`sigmoid`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`sigmoid` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy y (1 - y), of the same shape and type.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.sigmoid_backward(np.ones(1), np.full(1, 0.5))
    array([0.25])
    """
    return _elementwise("sigmoid_backward", dy=dy, y=y)


@mirrored
def tanh(x: np.ndarray) -> np.ndarray:
    """Hyperbolic tangent, elementwise (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64

    Returns
    -------
    y : ndarray
        Within 3 units in the last place.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.tanh(np.array([0.0, np.inf]))
    array([0., 1.])
    """
    return _elementwise("tanh", x=x)


@mirrored
def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`tanh`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`tanh` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy (1 - y^2), of the same shape and type.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.tanh_backward(np.ones(1), np.full(1, 0.5))
    array([0.75])
    """
    return _elementwise("tanh_backward", dy=dy, y=y)


@mirrored
def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), elementwise; NaN stays (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64
        Any shape.

    Returns
    -------
    y : ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _elementwise("relu", x=x)


@mirrored
def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`relu`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`relu` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy where y is positive, else 0: so 0 at the kink, as torch.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.relu_backward(np.ones(2), np.array([0.0, 2.0]))
    array([0., 1.])
    """
    return _elementwise("relu_backward", dy=dy, y=y)


@mirrored
def softmax_cross_entropy(
    logits: np.ndarray,
    targets: np.ndarray,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    lengths: np.ndarray | None = None,
) -> tuple[Any, np.ndarray]:
    """Cross-entropy of softmax(logits) with integer targets, and its gradient with respect to the logits (6.2).

    Parameters
    ----------
    logits : ndarray (..., C), float32 or float64
    targets : ndarray of int (...)
        Classes from 0 to C - 1.
    ignore_index : int, optional
        Targets of this value count nothing; it may lie outside the classes.
    label_smoothing : float in [0, 1), default 0
        Share of the target's mass spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over the targets that count.
    lengths : ndarray of int (B,), optional
        For logits (T, B, C): targets of sequence b count up to step lengths[b] only, and what stands past it
        is not read.

    Returns
    -------
    loss : fastdl.dense.LossValue, or ndarray float64 (...) for "none"
        In nats; its `count` says how many targets count. NaN for a mean over no target, as in torch.
    dlogits : ndarray (..., C)
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a target is out of range.

    Notes
    -----
    loss = log sum_j exp(z_j - max z) + max z - z_target, so no exponential overflows.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, dlogits = fd.softmax_cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 4), dlogits
    (1.3863, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    logits = float_array("logits", logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits: got shape {logits.shape}, expected (..., C) with C at least 1")
    classes = logits.shape[-1]
    choice("reduction", reduction, REDUCTIONS)
    smoothing = number("label_smoothing", label_smoothing, 0, 1, open_high=True)
    ignored = -1 if ignore_index is None else integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
    if ignore_index is None and lengths is None:
        targets = index_array("targets", targets, classes, logits.shape[:-1])
        count = targets.size
    else:
        targets, count = _masked(targets, ignore_index, ignored, lengths, logits.shape)
    losses = np.empty(targets.shape)
    dlogits = aligned_empty(logits.shape, logits.dtype)
    scale = 1.0 / max(count, 1) if reduction == "mean" else 1.0
    if targets.size:
        kernels.dense.softmax_cross_entropy(
            logits, targets, ignored, smoothing, scale, losses, dlogits, threads_for(logits.size, _GRAIN_ELEMENTS)
        )
    if reduction == "none":
        return losses, dlogits
    total = float(np.add.reduce(losses, axis=None))
    if reduction == "mean":
        total = total / count if count else float("nan")
    return counted(total, count, reduction), dlogits


def _masked(
    targets: Any, ignore_index: int | None, ignored: int, lengths: Any, shape: tuple[int, ...]
) -> tuple[np.ndarray, int]:
    """Targets as int64, with `ignored` where they do not count, and how many do: these must be classes."""
    targets = plain_array("targets", targets, "a numpy array of integers")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets: got dtype {targets.dtype}, expected integers")
    check_shape("targets", targets, shape[:-1])
    counts = np.ones(targets.shape, bool) if ignore_index is None else targets != ignored
    if lengths is not None:
        if len(shape) != 3:
            raise ValueError(f"logits: got shape {shape}, expected (T, B, C), since lengths is given")
        lengths = lengths_array("lengths", lengths, shape[0], shape[1])
        counts &= np.arange(shape[0])[:, None] < lengths
    beside = "" if ignore_index is None else f", or ignore_index, {ignored}"
    index_array("targets", np.where(counts, targets, 0), shape[-1], None, beside)
    return np.where(counts, targets, ignored).astype(np.int64), int(np.count_nonzero(counts))


@mirrored
def mse_loss(prediction: np.ndarray, target: np.ndarray, reduction: str = "mean") -> tuple[Any, np.ndarray]:
    """Squared error (prediction - target)^2, and its gradient with respect to the prediction (6.3).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    reduction : {"mean", "sum", "none"}, default "mean"
        Mean over all elements.

    Returns
    -------
    loss : fastdl.dense.LossValue, or ndarray for "none"
        Its `count` is the number of elements.
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, the shapes or dtypes differ, or the reduction is not known.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.mse_loss(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    (0.5, array([1., 0.]))
    """
    prediction = float_array("prediction", prediction)
    target = float_array("target", target, prediction.shape, prediction.dtype)
    choice("reduction", reduction, REDUCTIONS)
    if reduction == "none":
        difference = prediction - target
        return difference * difference, 2 * difference
    size, gradient = prediction.size, aligned_empty(prediction.shape, prediction.dtype)
    scale = 1.0 / max(size, 1) if reduction == "mean" else 1.0
    if size == 0:
        return counted(0.0 if reduction == "sum" else float("nan"), 0, reduction), gradient
    sums = np.empty(-(-size // kernels.dense.CHUNK_SIZE))
    kernels.dense.squared_error(
        prediction.reshape(-1), target.reshape(-1), scale, sums, gradient.reshape(-1),
        threads_for(size, _GRAIN_ELEMENTS),
    )  # fmt: skip
    return counted(float(np.add.reduce(sums)) * scale, size, reduction), gradient
