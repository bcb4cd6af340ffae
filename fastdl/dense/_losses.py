"""Losses: softmax cross-entropy, mean squared error."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import (
    REDUCTIONS,
    check_shape,
    choice,
    float_array,
    index_array,
    integer,
    lengths_array,
    number,
    plain_array,
)
from ..reference.dense import counted  # one type for both: the reference imports nothing of fastdl
from . import _grains


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
            logits, targets, ignored, smoothing, scale, losses, dlogits, threads_for(logits.size, _grains.ELEMENTS)
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
        threads_for(size, _grains.ELEMENTS),
    )  # fmt: skip
    return counted(float(np.add.reduce(sums)) * scale, size, reduction), gradient
