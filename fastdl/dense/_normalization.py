"""Layer and batch normalisation."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, scratch
from .._threads import threads_for
from .._validate import check_places, flag, float_array, lengths_array, number, out_array, parts
from ..reference.dense import BatchNormTape, LayerNormTape  # one type for both: the reference imports nothing of fastdl
from . import _grains
from ._products import Apart


@mirrored
def layer_norm_forward(
    x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, eps: float = 1e-5
) -> tuple[np.ndarray, LayerNormTape]:
    """Mean 0 and variance 1 over the last axes, then a scale and a shift (6.20).

    Parameters
    ----------
    x : ndarray (..., D), float32 or float64
    weight, bias : ndarray (D,), or of several last axes, optional
        Scale and shift, of one shape. x is normalised over as many last axes as they have; over the last one without
        either.
    eps : float >= 0, default 1e-5
        Added to the variance.

    Returns
    -------
    y : ndarray, of the shape of x
    tape : fastdl.dense.LayerNormTape
        For :func:`layer_norm_backward`. It holds x itself: do not write to it before.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    y = weight (x - mean x) / sqrt(var x + eps) + bias with the biased variance; Ba, Kiros and Hinton 2016, Layer
    Normalization.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.layer_norm_forward(np.array([[1.0, 3.0], [0.0, 8.0]]), eps=0.0)
    >>> y
    array([[-1.,  1.], [-1.,  1.]])
    """
    x, eps = float_array("x", x), number("eps", eps, 0)
    weight, bias, axes = _affine_of_rows(x, weight, bias)
    rows = x.shape[: x.ndim - axes]
    y, mean, rstd = (aligned_empty(shape, x.dtype) for shape in (x.shape, rows, rows))
    if x.size:
        num_threads = threads_for(x.size, _grains.ELEMENTS)
        kernels.normalization.layer_norm_forward(x, (weight, bias), eps, y, (mean, rstd), num_threads)
    return y, LayerNormTape(x, weight, bias, mean, rstd)


def _affine_of_rows(x: np.ndarray, weight: Any, bias: Any) -> tuple[Any, Any, int]:
    """Weight and bias, and over how many last axes of x they go."""
    wanted: tuple[int | None, ...] | None = None
    axes = 1
    for name, one in (("weight", weight), ("bias", bias)):
        if one is not None and wanted is None:
            axes = max(float_array(name, one).ndim, 1)
            wanted = x.shape[x.ndim - axes :] if axes <= x.ndim else (None,) * axes
    if x.ndim < axes or 0 in x.shape[x.ndim - axes :]:
        raise ValueError(f"x: got shape {x.shape}, expected at least {axes} axes, none of the last {axes} of length 0")
    weight = None if weight is None else float_array("weight", weight, wanted, x.dtype)
    return weight, None if bias is None else float_array("bias", bias, wanted, x.dtype), axes


@mirrored
def layer_norm_backward(
    dy: np.ndarray,
    tape: LayerNormTape,
    out: tuple[np.ndarray | None, np.ndarray | None] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
) -> tuple[Any, Any, Any]:
    """Gradients of :func:`layer_norm_forward` (6.20).

    Parameters
    ----------
    dy : ndarray, of the shape of x
        Gradient with respect to y.
    tape : fastdl.dense.LayerNormTape
        From the forward.
    out : tuple (dweight, dbias), optional
        Arrays to write into, C-contiguous; None for what the forward had not. New ones by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.

    Returns
    -------
    dx : ndarray, of the shape of x, or None
    dweight, dbias : ndarray, or None
        None for what the forward had not.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, or an array of `out` cannot be written
        or overlaps an input or the other; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.layer_norm_forward(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=0.0)
    >>> dx, dweight, dbias = fd.layer_norm_backward(np.array([[1.0, 0.0]]), tape)
    >>> dx, dweight, dbias
    (array([[0., 0.]]), array([-1.,  0.]), array([1., 0.]))
    """
    if not isinstance(tape, LayerNormTape):
        raise TypeError(f"tape: got {type(tape).__name__}, expected that of layer_norm_forward")
    x, weight, mean = tape.x, tape.weight, tape.mean
    dy = float_array("dy", dy, x.shape, x.dtype)
    places, accumulate = _places((weight, tape.bias), out, flag("accumulate", accumulate), {"dy": dy, "x": x})
    dx: Any = aligned_empty(x.shape, x.dtype) if flag("input_gradient", input_gradient) else None
    if x.size:
        (dweight, dbias), rows = places, mean.size
        if (dweight is None) != (dbias is None):  # the kernel sums both
            wide = x.shape[mean.ndim :]
            dweight = aligned_empty(wide, x.dtype) if dweight is None else dweight
            dbias = aligned_empty(wide, x.dtype) if dbias is None else dbias
            if accumulate:
                (dweight if places[0] is None else dbias)[...] = 0
        work = scratch(kernels.normalization.work_size(rows, x.size // rows), x.dtype)
        kernels.normalization.layer_norm_backward(
            dy, x, weight, (mean, tape.rstd), (dx, dweight, dbias), accumulate, work,
            threads_for(x.size, _grains.ELEMENTS),
        )  # fmt: skip
    return dx, *places


def _places(had: tuple[Any, Any], out: Any, accumulate: bool, read: dict[str, np.ndarray]) -> tuple[list[Any], bool]:
    """Where the gradients of weight and bias go, None for what the forward had not, and whether to add.

    Where there is nothing to sum over they are zero already.
    """
    if out is None:
        made: list[Any] = [None if one is None else aligned_empty(one.shape, one.dtype) for one in had]
        found, accumulate = made, False
    elif isinstance(out, Apart):
        found = list(out)
    else:
        parts("out", out, "dweight or None", "dbias or None")
        found, places = [], {}
        for k, (one, place) in enumerate(zip(had, out, strict=True)):
            if (one is None) != (place is None):
                name = ("weight", "bias")[k]
                wanted = f"None, since there was no {name}" if one is None else f"an array, since there was a {name}"
                raise ValueError(f"out[{k}]: got {'None' if place is None else 'an array'}, expected {wanted}")
            if one is not None:
                places[f"out[{k}]"] = out_array(f"out[{k}]", place, one.shape, one.dtype)
            found.append(place)
        if had[0] is not None:
            read = read | {"weight": had[0]}
        check_places(places, read)
    if read["x"].size == 0 and not accumulate:
        for place in found:
            if place is not None:
                place[...] = 0
    return found, accumulate


@mirrored
def batch_norm_forward(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, BatchNormTape | None]:
    """Mean 0 and variance 1 of each feature over the batch, then a scale and a shift (6.21).

    Parameters
    ----------
    x : ndarray (N, C) or (T, B, C), float32 or float64
        Features on the last axis, where torch has them on the second: (N, C) is torch's too, (T, B, C) its (B, C, T).
    weight, bias : ndarray (C,), optional
        Scale and shift.
    running_mean, running_var : ndarray (C,), optional
        Averages over the batches. In training they are written, with the unbiased variance; otherwise they are what
        x is normalised by. Both or neither.
    training : bool, default True
        Whether x is normalised by its own mean and variance.
    momentum : float in [0, 1], default 0.1
        Share of this batch in the averages.
    eps : float >= 0, default 1e-5
        Added to the variance.
    lengths : ndarray of int (B,), optional
        For x (T, B, C): rows of sequence b count up to step lengths[b] only. What stands past it is not read, and y
        is 0 there.

    Returns
    -------
    y : ndarray, of the shape of x
    tape : fastdl.dense.BatchNormTape or None
        For :func:`batch_norm_backward`; None out of training. It holds x itself: do not write to it before.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, one row alone counts in training, or
        the averages are missing out of it; nothing is written then.

    Notes
    -----
    y = weight (x - mean x) / sqrt(var x + eps) + bias with the biased variance; Ioffe and Szegedy 2015, Batch
    Normalization. Where no row counts, the averages stay as they are.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> y, tape = fd.batch_norm_forward(np.array([[1.0], [3.0]]), None, None, mean, var, eps=0.0)
    >>> y.ravel(), mean, var
    (array([-1.,  1.]), array([0.2]), array([1.1]))
    """
    x = _features(x)
    training, momentum, eps = flag("training", training), number("momentum", momentum, 0, 1), number("eps", eps, 0)
    wide = x.shape[-1:]
    weight = None if weight is None else float_array("weight", weight, wide, x.dtype)
    bias = None if bias is None else float_array("bias", bias, wide, x.dtype)
    running = _averages(running_mean, running_var, training, x)
    real, count = _real_rows(x, lengths)
    if training and count == 1:
        raise ValueError(f"x: got one row that counts, of shape {x.shape}, expected more, to train on their variance")
    y, rstd = aligned_empty(x.shape, x.dtype), aligned_empty(wide, x.dtype)
    mean, variance = (np.zeros(wide, x.dtype), np.ones(wide, x.dtype)) if training else running
    if x.size:
        given, rows = not training or not count, (real, max(count, 1))
        num_threads, statistics = threads_for(x.size, _grains.ELEMENTS), (mean, variance, rstd)
        kernels.normalization.batch_norm_forward(x, rows, (weight, bias), statistics, given, eps, y, num_threads)
    if training and running and count:
        for average, new in zip(running, (mean, variance * (count / (count - 1))), strict=True):
            average[...] = (1 - momentum) * average + momentum * new
    return y, BatchNormTape(x, weight, bias, mean, rstd, real, count) if training else None


def _features(x: Any) -> np.ndarray:
    x = float_array("x", x)
    if x.ndim not in (2, 3) or x.shape[-1] == 0:
        raise ValueError(f"x: got shape {x.shape}, expected (N, C) or (T, B, C) with C at least 1")
    return x


def _averages(mean: Any, var: Any, training: bool, x: np.ndarray) -> tuple[Any, ...]:
    """The running averages as arrays that can be written where they will be, or none."""
    if mean is None and var is None:
        if not training:
            raise ValueError("running_mean, running_var: got None, expected arrays, since training is False")
        return ()
    take, running = out_array if training else float_array, {}
    for name, one in (("running_mean", mean), ("running_var", var)):
        if one is not None:
            running[name] = take(name, one, x.shape[-1:], x.dtype)
    if len(running) == 1:
        missing = "running_var" if "running_mean" in running else "running_mean"
        raise ValueError(f"{missing}: got None, expected an array, since the other average is given")
    if training:
        check_places(running, {"x": x})
    return tuple(running.values())


def _real_rows(x: np.ndarray, lengths: Any) -> tuple[Any, int]:
    """Which rows count, None for all, and how many."""
    if lengths is None:
        return None, x.size // x.shape[-1]
    if x.ndim != 3:
        raise ValueError(f"x: got shape {x.shape}, expected (T, B, C), since lengths is given")
    lengths = lengths_array("lengths", lengths, *x.shape[:2])
    real = np.arange(len(x))[:, None] < lengths
    return real, int(np.count_nonzero(real))


@mirrored
def batch_norm_backward(
    dy: np.ndarray,
    tape: BatchNormTape,
    out: tuple[np.ndarray | None, np.ndarray | None] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
) -> tuple[Any, Any, Any]:
    """Gradients of :func:`batch_norm_forward` in training (6.21).

    Parameters
    ----------
    dy : ndarray, of the shape of x
        Gradient with respect to y. What stands past the lengths is not read.
    tape : fastdl.dense.BatchNormTape
        From the forward.
    out : tuple (dweight, dbias), optional
        Arrays to write into, C-contiguous; None for what the forward had not. New ones by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.

    Returns
    -------
    dx : ndarray, of the shape of x, or None
        Zero past the lengths.
    dweight, dbias : ndarray (C,), or None
        None for what the forward had not.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, the dtypes differ, or an array of `out` cannot be written
        or overlaps an input or the other; nothing is written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.batch_norm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    >>> dx, dweight, dbias = fd.batch_norm_backward(np.array([[1.0], [0.0]]), tape)
    >>> dx.ravel(), dweight, dbias
    (array([0., 0.]), array([-1.]), array([1.]))
    """
    if not isinstance(tape, BatchNormTape):
        raise TypeError(f"tape: got {type(tape).__name__}, expected that of batch_norm_forward(..., training=True)")
    x, weight = tape.x, tape.weight
    dy = float_array("dy", dy, x.shape, x.dtype)
    places, accumulate = _places((weight, tape.bias), out, flag("accumulate", accumulate), {"dy": dy, "x": x})
    dx: Any = aligned_empty(x.shape, x.dtype) if flag("input_gradient", input_gradient) else None
    if x.size:
        kernels.normalization.batch_norm_backward(
            dy, x, (tape.real, max(tape.count, 1)), weight, (tape.mean, tape.rstd), (dx, *places), accumulate,
            threads_for(x.size, _grains.ELEMENTS),
        )  # fmt: skip
    return dx, *places
