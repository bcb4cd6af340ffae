"""Dropout's relatives: something else than zero is kept, noise is multiplied, predictions are drawn."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validate
from .._dispatch import kernels, mirrored
from .._threads import threads_for
from ._mask import GRAIN, counter, result_array, threshold_of

_NOISE_GRAIN = 1 << 12  # a normal deviate costs about eight times a mask element

# SELU's limit at minus infinity, -scale * alpha (Klambauer et al., "Self-normalizing neural networks", 2017).
ALPHA_PRIME = -1.7580993408473766


def alpha_constants(p: float) -> tuple[float, float]:
    """(a, b) for which where(r, a x + b, a alpha' + b) keeps mean 0 and variance 1."""
    if p == 1:
        return 0.0, 0.0
    a = 1 / math.sqrt((1 - p) * (1 + p * ALPHA_PRIME**2))
    return a, -a * p * ALPHA_PRIME


def _affine(name: str, x: Any, p: Any, where: tuple[int, int, int], training: bool, forward: bool) -> np.ndarray:
    p = _validate.number("p", p, 0.0, 1.0)
    training = _validate.flag("training", training)
    array = _validate.float_array(name, x)
    y = result_array(name, array, x, None)
    if not training:
        y[...] = array
        return y
    a, b = alpha_constants(p)
    threshold = threshold_of(p)
    shift, fill = (b, a * ALPHA_PRIME + b) if forward else (0.0, 0.0)
    if threshold == 2**32:
        y[...] = fill
        return y
    kernels.dropout.affine(
        array.reshape(-1), y.reshape(-1), (a, shift, fill), (*where, threshold), threads_for(y.size, GRAIN)
    )
    return y


@mirrored
def alpha_dropout_forward(
    x: np.ndarray, p: float = 0.1, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> np.ndarray:
    """Dropout for SELU networks: dropped elements take SELU's negative limit; mean 0 and variance 1 stay.

    Parameters
    ----------
    x : ndarray, float32 or float64
    p : float in [0, 1], default 0.1
    seed, stream, step, training
        As in :func:`dropout_forward`.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`dropout_forward`.

    Notes
    -----
    y = where(r, a x + b, a alpha' + b), alpha' = -1.7581, a = ((1 - p)(1 + p alpha'^2))^(-1/2),
    b = -a p alpha'. p = 1 gives zeros, as torch. Klambauer et al., 2017.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.alpha_dropout_forward(np.zeros(4), 0.5, seed=1).round(3)
    array([-0.779, -0.779,  0.779,  0.779])
    """
    return _affine("x", x, p, counter(seed, stream, step), training, True)


@mirrored
def alpha_dropout_backward(
    dy: np.ndarray, p: float = 0.1, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> np.ndarray:
    """Gradient of :func:`alpha_dropout_forward`: with the same arguments, the same mask (docs/dropout.md 4.6).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to the output.
    p, seed, stream, step, training
        As in :func:`alpha_dropout_forward`.

    Returns
    -------
    ndarray
        dx = where(r, a dy, 0), with the forward's a; dy itself, copied, without training.

    Raises
    ------
    TypeError, ValueError
        As :func:`alpha_dropout_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.alpha_dropout_backward(np.ones(4), 0.5, seed=1).round(3)
    array([0.   , 0.   , 0.886, 0.886])
    """
    return _affine("dy", dy, p, counter(seed, stream, step), training, False)


def _noise(name: str, x: Any, std: float, multiply: bool, where: tuple[int, int, int]) -> np.ndarray:
    array = _validate.float_array(name, x)
    y = result_array(name, array, x, None)
    if std == 0:
        y[...] = array
        return y
    kernels.dropout.noise(
        array.reshape(-1), y.reshape(-1), std, multiply, (*where, 0), threads_for(y.size, _NOISE_GRAIN)
    )
    return y


@mirrored
def gaussian_dropout_forward(
    x: np.ndarray, p: float = 0.5, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> np.ndarray:
    """Multiply by noise of mean 1 and the variance p / (1 - p) that inverted dropout's mask has.

    Parameters
    ----------
    x : ndarray, float32 or float64
    p : float in [0, 1), default 0.5
    seed, stream, step, training
        As in :func:`dropout_forward`.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`dropout_forward`; p = 1 is refused, its variance being infinite.

    Notes
    -----
    y = x (1 + sqrt(p / (1 - p)) z), z standard normal. Srivastava et al., 2014, section 10.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y = fd.gaussian_dropout_forward(np.ones(100_000), 0.5, seed=1)
    >>> round(y.mean(), 1), round(y.var(), 1)
    (np.float64(1.0), np.float64(1.0))
    """
    p = _validate.number("p", p, 0.0, 1.0, open_high=True)
    std = math.sqrt(p / (1 - p)) if _validate.flag("training", training) else 0.0
    return _noise("x", x, std, True, counter(seed, stream, step))


@mirrored
def gaussian_dropout_backward(
    dy: np.ndarray, p: float = 0.5, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> np.ndarray:
    """Gradient of :func:`gaussian_dropout_forward`: dy times the same noise (docs/dropout.md 4.6).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to the output.
    p, seed, stream, step, training
        As in :func:`gaussian_dropout_forward`.

    Returns
    -------
    ndarray
        dx = dy (1 + sqrt(p / (1 - p)) z), with the forward's z; dy itself, copied, without training.

    Raises
    ------
    TypeError, ValueError
        As :func:`gaussian_dropout_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.ones(5)
    >>> bool((fd.gaussian_dropout_backward(x, seed=3) == fd.gaussian_dropout_forward(x, seed=3)).all())
    True
    """
    p = _validate.number("p", p, 0.0, 1.0, open_high=True)
    std = math.sqrt(p / (1 - p)) if _validate.flag("training", training) else 0.0
    return _noise("dy", dy, std, True, counter(seed, stream, step))


@mirrored
def gaussian_noise(
    x: np.ndarray, std: float = 0.1, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> np.ndarray:
    """Add normal noise in training; its gradient is the identity (docs/dropout.md 4.6).

    Parameters
    ----------
    x : ndarray, float32 or float64
    std : float >= 0, default 0.1
    seed, stream, step, training
        As in :func:`dropout_forward`.

    Returns
    -------
    ndarray
        x + std z, z standard normal.

    Raises
    ------
    TypeError, ValueError
        As :func:`dropout_forward`, or for a negative or infinite std.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.gaussian_noise(np.zeros(3), 0.0)
    array([0., 0., 0.])
    """
    std = _validate.number("std", std, 0.0, float(np.finfo(np.float64).max))
    std = std if _validate.flag("training", training) else 0.0
    return _noise("x", x, std, False, counter(seed, stream, step))


@mirrored
def zoneout_forward(
    new: np.ndarray,
    old: np.ndarray,
    p: float = 0.1,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int = 0,
    training: bool = True,
) -> np.ndarray:
    """Keep a unit's old state with probability p instead of its new one.

    Parameters
    ----------
    new, old : ndarray, float32 or float64, of one shape and type
        The state after and before the step.
    p : float in [0, 1], default 0.1
    seed, stream, step
        As in :func:`dropout_forward`.
    training : bool, default True
        Afterwards the expectation, p old + (1 - p) new, is returned.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`dropout_forward`, or if the arrays do not fit each other.

    Notes
    -----
    Krueger et al., "Zoneout", ICLR 2017; docs/dropout.md 4.6.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.zoneout_forward(np.ones(8), np.zeros(8), 0.5, seed=1)
    array([0., 0., 1., 1., 0., 0., 1., 1.])
    """
    p = _validate.number("p", p, 0.0, 1.0)
    first = _validate.float_array("new", new)
    second = _validate.float_array("old", old, first.shape, first.dtype)
    where = counter(seed, stream, step)
    training = _validate.flag("training", training)
    if not training and p in (0.0, 1.0):
        return (second if p else first).copy()
    if not training:
        return first.dtype.type(p) * second + first.dtype.type(1 - p) * first
    y = result_array("new", first, new, None)
    threshold = threshold_of(p)
    if threshold == 2**32:
        y[...] = second
        return y
    flat = first.reshape(-1), second.reshape(-1), y.reshape(-1)
    kernels.dropout.select(*flat, (*where, threshold), threads_for(y.size, GRAIN))
    return y


@mirrored
def zoneout_backward(
    dy: np.ndarray, p: float = 0.1, *, seed: int = 0, stream: int = 0, step: int = 0, training: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of :func:`zoneout_forward`: each element goes to the one it came from (docs/dropout.md 4.6).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to the output.
    p, seed, stream, step, training
        As in :func:`zoneout_forward`.

    Returns
    -------
    dnew, dold : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`zoneout_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.zoneout_backward(np.ones(4), 0.5, seed=1)
    (array([0., 0., 1., 1.]), array([1., 1., 0., 0.]))
    """
    zeros = np.zeros_like(_validate.float_array("dy", dy))
    where: dict[str, Any] = {"seed": seed, "stream": stream, "step": step, "training": training}
    return zoneout_forward(dy, zeros, p, **where), zoneout_forward(zeros, dy, p, **where)


def monte_carlo(predict: Callable[[int], np.ndarray], draws: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a prediction over several dropout masks.

    Parameters
    ----------
    predict : callable
        Called with 0, 1, ..., draws - 1; returns a float array, drawn for example with ``step`` set to the
        number. For a model see ``fastdl.nn.monte_carlo``.
    draws : int, default 20
        At least 2.

    Returns
    -------
    mean, variance : ndarray
        Over the draws, variance with draws - 1 in the denominator; in the prediction's type, summed in
        float64 by Welford's recurrence.

    Raises
    ------
    TypeError, ValueError
        If draws is no integer or below 2, or predictions differ in shape.

    Notes
    -----
    Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.monte_carlo(lambda k: np.array([1.0 * k]), 3)
    (array([1.]), array([1.]))
    """
    draws = _validate.integer("draws", draws, 2)
    _validate.function("predict", predict, "a function of the draw's number")
    first = _validate.float_array("predict(0)", predict(0))
    mean, squares = first.astype(np.float64), np.zeros(first.shape)
    for k in range(1, draws):
        y = _validate.float_array(f"predict({k})", predict(k), first.shape, first.dtype)
        delta = y - mean
        mean += delta / (k + 1)
        squares += delta * (y - mean)
    return mean.astype(first.dtype), (squares / (draws - 1)).astype(first.dtype)
