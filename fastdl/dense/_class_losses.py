"""Losses of classes: softmax cross-entropy, and the negative log likelihood of what is a logarithm already."""

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
from ..reference import _class_losses as twins
from ..reference._loss_value import counted
from . import _grains
from ._sharing import by_twin, told, weight_array


@mirrored
@told
def softmax_cross_entropy(
    logits: np.ndarray,
    targets: np.ndarray,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    lengths: Any = None,
    *,
    class_weights: Any = None,
    weights: Any = None,
) -> tuple[Any, np.ndarray]:
    """Cross-entropy of softmax(logits) with the targets, and its gradient with respect to the logits (6.2).

    Parameters
    ----------
    logits : ndarray (..., C), float32 or float64
    targets : ndarray of int (...), or of the logits' shape and type
        Classes from 0 to C - 1, or for each target the probabilities of all classes.
    ignore_index : int, optional
        Targets of this value count nothing; it may lie outside the classes. Not with probabilities.
    label_smoothing : float in [0, 1), default 0
        Share of the target's mass spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over the targets that count; with weights the sum is divided by the total weight.
    lengths : ndarray or list of int (B,), optional
        For logits (T, B, C): targets of sequence b count up to step lengths[b] only, and what stands past it
        is not read.
    class_weights : array or list (C,), optional
        What each class counts, at least 0. A target of the class counts as much in the mean's divisor; of
        probabilities each target counts 1 there. Both as in torch.
    weights : array or list, optional
        What each target counts, at least 0, of a shape that broadcasts to the logits' without C. What has weight 0 is
        not read.

    Returns
    -------
    loss : fastdl.dense.LossValue, or ndarray float64 (...) for "none"
        In nats; its `count` says how many targets count, or their total weight. NaN for a mean over no target, as in
        torch.
    dlogits : ndarray (..., C)
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a target is out of range, or a weight is negative or not finite.

    Notes
    -----
    loss = log sum_j exp(z_j - max z) + max z - z_target, so no exponential overflows.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, dlogits = fd.softmax_cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 4), dlogits
    (1.3863, array([[ 0.25,  0.25, -0.75,  0.25]]))
    >>> loss, _ = fd.softmax_cross_entropy(np.zeros((2, 4)), np.array([2, 1]), class_weights=[1, 1, 3, 1])
    >>> round(loss, 4), loss.count
    (1.3863, 4.0)
    """
    logits = _of_classes("logits", logits)
    choice("reduction", reduction, REDUCTIONS)
    smoothing = number("label_smoothing", label_smoothing, 0, 1, open_high=True)
    soft = isinstance(targets, np.ndarray) and targets.dtype.kind == "f" and targets.shape == logits.shape
    if soft or (class_weights is not None and smoothing):
        given = {"ignore_index": ignore_index, "lengths": lengths, "class_weights": class_weights, "weights": weights}
        return _of_distributions(logits, targets, soft, smoothing, reduction, given)
    targets, ignored, count = _hard(logits, targets, ignore_index, lengths, "logits")
    if class_weights is None and weights is None:
        return _by_kernel(logits, targets, ignored, smoothing, reduction, count, None)
    each, total = _counts(logits, targets, ignored, class_weights, weights)
    return _by_kernel(logits, np.where(each > 0, targets, ignored), ignored, smoothing, reduction, total, each)


def _by_kernel(
    logits: np.ndarray, targets: np.ndarray, ignored: int, smoothing: float, reduction: str, count: float,
    each: np.ndarray | None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """each: what each target counts, where not all count the same."""
    losses = np.empty(targets.shape)
    dlogits = aligned_empty(logits.shape, logits.dtype)
    scale = 1.0 / count if reduction == "mean" and count else 1.0
    if targets.size:
        kernels.dense.softmax_cross_entropy(
            logits, targets, ignored, smoothing, scale, losses, dlogits, threads_for(logits.size, _grains.ELEMENTS)
        )
    if each is not None:
        losses *= each
        dlogits *= each[..., None].astype(logits.dtype)
    if reduction == "none":
        return losses, dlogits
    total = float(np.add.reduce(losses, axis=None))
    if reduction == "mean":
        total = total / count if count else float("nan")
    return counted(total, count, reduction), dlogits


def _of_distributions(
    logits: np.ndarray, targets: Any, soft: bool, smoothing: float, reduction: str, given: dict[str, Any]
) -> tuple[Any, np.ndarray]:
    """Where every class has a part in every target. NumPy's exponential is as fast as the products around it."""
    if soft:
        if given["ignore_index"] is not None:
            raise ValueError(f"ignore_index: got {given['ignore_index']!r}, expected None for targets of probabilities")
        targets = float_array("targets", targets, logits.shape, logits.dtype)
        if given["lengths"] is not None:
            _real(logits.shape, given["lengths"], "logits")
        if given["class_weights"] is not None:
            _class_weights(given["class_weights"], logits.shape[-1])
        if given["weights"] is not None:
            weight_array("weights", given["weights"], logits.shape[:-1], np.dtype(np.float64))
    else:
        found, ignored, _ = _hard(logits, targets, given["ignore_index"], given["lengths"], "logits")
        _counts(logits, found, ignored, given["class_weights"], given["weights"])
    return by_twin(
        twins.softmax_cross_entropy, logits, targets, label_smoothing=smoothing, reduction=reduction, **given
    )


@mirrored
@told
def nll_loss(
    log_probabilities: np.ndarray,
    targets: np.ndarray,
    ignore_index: int | None = None,
    reduction: str = "mean",
    *,
    class_weights: Any = None,
    weights: Any = None,
    lengths: Any = None,
) -> tuple[Any, np.ndarray]:
    """Negative log likelihood of integer targets, and its gradient with respect to the logarithms (6.10).

    Parameters
    ----------
    log_probabilities : ndarray (..., C), float32 or float64
        Logarithms of probabilities, as :func:`log_softmax` gives; :func:`softmax_cross_entropy` does both in one pass.
    targets : ndarray of int (...)
        Classes from 0 to C - 1.
    ignore_index : int, optional
        Targets of this value count nothing; it may lie outside the classes.
    {reduction}
    class_weights : array or list (C,), optional
        What each class counts, at least 0, in the mean's divisor too.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    gradient : ndarray (..., C)
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a target is out of range, or a weight is negative or not finite.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, gradient = fd.nll_loss(np.log(np.array([[0.25, 0.75]])), np.array([1]))
    >>> round(loss, 4), gradient
    (0.2877, array([[-0., -1.]]))
    """
    log_probabilities = _of_classes("log_probabilities", log_probabilities)
    choice("reduction", reduction, REDUCTIONS)
    found, ignored, _ = _hard(log_probabilities, targets, ignore_index, lengths, "log_probabilities")
    _counts(log_probabilities, found, ignored, class_weights, weights)
    return by_twin(twins.nll_loss, log_probabilities, targets, ignore_index, reduction, class_weights=class_weights,
                   weights=weights, lengths=lengths)  # fmt: skip


# ---- what counts ------------------------------------------------------------------------------------------------


def _of_classes(name: str, value: Any) -> np.ndarray:
    array = float_array(name, value)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name}: got shape {array.shape}, expected (..., C) with C at least 1")
    return array


def _hard(
    logits: np.ndarray, targets: Any, ignore_index: int | None, lengths: Any, name: str
) -> tuple[np.ndarray, int, int]:
    """Targets as int64, with the second where they do not count, and how many do: these must be classes."""
    shape = logits.shape
    ignored = -1 if ignore_index is None else integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
    if ignore_index is None and lengths is None:
        targets = index_array("targets", targets, shape[-1], shape[:-1])
        return targets, ignored, targets.size
    targets = plain_array("targets", targets, "a numpy array of integers")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets: got dtype {targets.dtype}, expected integers")
    check_shape("targets", targets, shape[:-1])
    counts = np.ones(targets.shape, bool) if ignore_index is None else targets != ignored
    if lengths is not None:
        counts &= _real(shape, lengths, name)
    beside = "" if ignore_index is None else f", or ignore_index, {ignored}"
    index_array("targets", np.where(counts, targets, 0), shape[-1], None, beside)
    found = np.where(counts, targets.astype(np.int64), ignored)
    return np.ascontiguousarray(found), ignored, int(np.count_nonzero(counts))


def _real(shape: tuple[int, ...], lengths: Any, name: str) -> np.ndarray:
    if len(shape) != 3:
        raise ValueError(f"{name}: got shape {shape}, expected (T, B, C), since lengths is given")
    real: np.ndarray = np.arange(shape[0])[:, None] < lengths_array("lengths", lengths, shape[0], shape[1])
    return real


def _class_weights(values: Any, classes: int) -> np.ndarray:
    found, _ = weight_array("class_weights", values, (classes,), np.dtype(np.float64))
    check_shape("class_weights", found, (classes,))
    return found


def _counts(
    logits: np.ndarray, targets: np.ndarray, ignored: int, class_weights: Any, weights: Any
) -> tuple[np.ndarray, float]:
    """What each target counts, and all together."""
    each = (targets != ignored).astype(np.float64)
    whole = class_weights is None
    if class_weights is not None:
        each *= _class_weights(class_weights, logits.shape[-1])[np.where(each > 0, targets, 0)]
    if weights is not None:
        found, mask = weight_array("weights", weights, targets.shape, np.dtype(np.float64))
        each, whole = each * found, whole and mask
    total = float(each.sum())
    return each, int(total) if whole else total
