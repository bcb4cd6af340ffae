"""A linear layer and softmax cross-entropy in one, whose logits are never all there."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, scratch
from .._threads import threads_for
from .._validate import (
    REDUCTIONS,
    check_places,
    check_shape,
    choice,
    flag,
    float_array,
    number,
    out_array,
    parts,
)
from ..reference._loss_value import counted
from . import _grains
from ._class_losses import _counts, _hard
from ._sharing import told

Gradients = tuple[Any, Any, Any]


@mirrored
@told
def linear_cross_entropy(
    x: np.ndarray,
    W: np.ndarray,
    b: np.ndarray | None,
    targets: np.ndarray,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    lengths: Any = None,
    *,
    class_weights: Any = None,
    weights: Any = None,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    gradients: bool = True,
) -> tuple[Any, Any]:
    """:func:`softmax_cross_entropy` of :func:`linear_forward`, with all gradients, in blocks of rows (6.24).

    Where C is large the logits are what takes memory. Here those of at most 168 rows are there at a time. Without label
    smoothing the bits are those of the two calls.

    Parameters
    ----------
    x : ndarray (..., I), float32 or float64
    W : ndarray (I, C)
        Of either order in memory: the transpose of an embedding's table is read as it lies.
    b : ndarray (C,), or None
        None for no bias.
    targets : ndarray of int (...)
        Classes from 0 to C - 1.
    ignore_index : int, optional
        Targets of this value count nothing; it may lie outside the classes.
    label_smoothing : float in [0, 1), default 0
        Share of the target's mass spread evenly over all classes.
    {reduction}
    lengths : ndarray or list of int (B,), optional
        For x (T, B, I): targets of sequence b count up to step lengths[b] only.
    class_weights : array or list (C,), optional
        What each class counts, at least 0, in the mean's divisor too. Not with `label_smoothing`.
    {weights}
    out : tuple (dW, db), optional
        Arrays to write into; dW lies as W does, db may be None if there is no bias. New ones by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.
    gradients : bool, default True
        Whether any is wanted; False computes the loss alone, a third of the work.

    Returns
    -------
    {loss}
    gradients : tuple (dx, dW, db), or None
        Of the reduced loss (of the sum, for "none"). db is None without b.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a target is out of range, a weight is negative or not finite, or an array of `out` cannot
        be written or overlaps an input. Targets of probabilities, and class weights beside label smoothing, are
        refused: :func:`softmax_cross_entropy` takes them.

    Notes
    -----
    Rows that do not count are left out of the products. So what stands in them may be NaN.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, W, b = np.ones((2, 3)), np.zeros((3, 4)), np.zeros(4)
    >>> loss, (dx, dW, db) = fd.linear_cross_entropy(x, W, b, np.array([2, 1]))
    >>> round(loss, 4), dW[0], db
    (1.3863, array([ 0.25, -0.25, -0.25,  0.25]), array([ 0.25, -0.25, -0.25,  0.25]))
    """
    x, table, by_rows = _operands(x, W)
    classes = W.shape[1]
    if b is not None:
        b = float_array("b", b, (classes,), x.dtype)
    choice("reduction", reduction, REDUCTIONS)
    smoothing = number("label_smoothing", label_smoothing, 0, 1, open_high=True)
    if class_weights is not None and smoothing:
        raise ValueError("class_weights: got weights beside label_smoothing, expected None (softmax_cross_entropy)")
    found, each, count = counting(x, classes, targets, ignore_index, lengths, class_weights, weights)
    places = _places(x, table, by_rows, b, out, flag("accumulate", accumulate))
    dx: Any = aligned_empty(x.shape, x.dtype) if flag("input_gradient", input_gradient) else None
    if not flag("gradients", gradients):
        places, dx = (None, None, False), None
    divisor = count if reduction == "mean" else 1.0
    losses = _by_blocks(x, (table, b, by_rows), found, each, smoothing, divisor, dx, places)
    wanted = (dx, places[0].T if by_rows else places[0], places[1]) if gradients else None
    if reduction == "none":
        return losses, wanted
    total = float(np.add.reduce(losses, axis=None))
    if reduction == "mean":
        total = total / count if count else float("nan")
    return counted(total, count, reduction), wanted


def _operands(x: Any, W: Any) -> tuple[np.ndarray, np.ndarray, bool]:
    """x, W as it lies, and whether that is (C, I)."""
    x = float_array("x", x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x: got shape {x.shape}, expected (..., I) with I at least 1")
    by_rows = isinstance(W, np.ndarray) and W.ndim == 2 and W.flags.f_contiguous and not W.flags.c_contiguous
    if by_rows:
        check_shape("W", W, (x.shape[-1], None))
    table = float_array("W", W.T if by_rows else W, (None, None) if by_rows else (x.shape[-1], None), x.dtype)
    if table.size == 0:
        raise ValueError(f"W: got shape {W.shape}, expected (I, C) with C at least 1")
    return x, table, by_rows


def counting(
    x: np.ndarray, classes: int, targets: Any, ignore_index: Any, lengths: Any, class_weights: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, float]:
    """The targets, what each counts, and all together. Those that count nothing are some class."""
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f":
        raise TypeError(
            f"targets: got dtype {targets.dtype}, expected integers: softmax_cross_entropy takes probabilities"
        )
    if lengths is not None and x.ndim != 3:
        raise ValueError(f"x: got shape {x.shape}, expected (T, B, {x.shape[-1]}), since lengths is given")
    logits = np.broadcast_to(x[..., :1], (*x.shape[:-1], classes))  # of their shape, without their memory
    found, ignored, _ = _hard(logits, targets, ignore_index, lengths, "x")
    each, total = _counts(logits, found, ignored, class_weights, weights)
    return np.where(each > 0, found, 0), each, total


def _places(
    x: np.ndarray, table: np.ndarray, by_rows: bool, b: np.ndarray | None, out: Any, accumulate: bool
) -> tuple[Any, Any, bool]:
    """Where dW, as W lies, and db go; and whether they are added to."""
    if out is None:
        return aligned_empty(table.shape, x.dtype), None if b is None else aligned_empty(b.shape, x.dtype), False
    dW, db = parts("out", out, "dW", "db or None")
    if by_rows and isinstance(dW, np.ndarray):
        check_shape("out[0]", dW, table.shape[::-1])
        dW = dW.T
    dW = out_array("out[0]", dW, table.shape, x.dtype)
    if b is None and db is not None:
        raise ValueError("out[1]: got an array, expected None, since there is no b")
    db = None if db is None else out_array("out[1]", db, b.shape, x.dtype)  # type: ignore[union-attr]
    places = {"out[0]": dW} if db is None else {"out[0]": dW, "out[1]": db}
    check_places(places, {"x": x, "W": table} if b is None else {"x": x, "W": table, "b": b})
    return dW, db, accumulate


def _by_blocks(
    x: np.ndarray, affine: tuple[np.ndarray, np.ndarray | None, bool], targets: np.ndarray, each: np.ndarray,
    smoothing: float, divisor: float, dx: Any, places: tuple[Any, Any, bool],
) -> np.ndarray:  # fmt: skip
    """Each target's loss times what it counts; rows that count nothing are left out of the kernel's."""
    table, b, by_rows = affine
    inputs, classes = table.shape[::-1] if by_rows else table.shape
    real = np.flatnonzero(each.reshape(-1))
    whole, rows, shape = real.size == each.size, real.size, targets.shape
    x, targets, each = x.reshape(-1, inputs), targets.reshape(-1), each.reshape(-1)
    if not whole:
        x, targets, each = x[real], targets[real], each[real]
    losses = np.empty(rows)
    into = dx if dx is None or whole else aligned_empty(x.shape, x.dtype)
    topic = kernels.linear_loss
    if rows:
        threads = threads_for(rows * inputs * classes, _grains.PRODUCT)
        work = scratch(topic.work_size(rows, inputs, classes, x.itemsize, threads), x.dtype)
        results = each / divisor, losses
        topic.linear_cross_entropy(
            x, (table, b, by_rows), np.ascontiguousarray(targets), smoothing, results, (into, *places), work, threads
        )
    elif not places[2]:
        for one in places[:2]:
            if one is not None:
                one[...] = 0
    losses *= each
    if whole:
        return losses.reshape(shape)
    result = np.zeros(shape)
    result.reshape(-1)[real] = losses
    if dx is not None:
        dx[...] = 0
        dx.reshape(-1, inputs)[real] = into
    return result
