"""Losses of numbers, (value, gradient) each: what tells one from another; the rest is in `_sharing`."""

from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import flag, float_array, number, parts, real_values
from ..reference import _losses as twins
from ._pointwise import Row
from ._sharing import by_elements, by_twin, factors, pair, told, weight_array

__all__ = [
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "quantile_loss",
    "smooth_l1_loss",
]

# ---- errors -----------------------------------------------------------------------------------------------------


@mirrored
@told
def mse_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, weights: Any = None, lengths: Any = None
) -> tuple[Any, np.ndarray]:
    """Squared error (prediction - target)^2, and its gradient with respect to the prediction (6.3).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    {reduction}
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.mse_loss(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    (0.5, array([1., 0.]))
    >>> loss, _ = fd.mse_loss(np.array([1.0, 2.0]), np.array([0.0, 4.0]), weights=[3, 1])
    >>> loss, loss.count
    (1.75, 4.0)
    """
    prediction, target = pair("prediction", prediction, "target", target)
    weighing = factors(reduction, weights, lengths, "prediction", prediction.shape, prediction.dtype)
    return by_elements(Row("squared"), prediction, target, weighing, reduction)


@mirrored
@told
def l1_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, weights: Any = None, lengths: Any = None
) -> tuple[Any, np.ndarray]:
    """Absolute error abs(prediction - target), and its gradient with respect to the prediction (6.8).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    {reduction}
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none"); 0 where there is no error, as torch's.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.l1_loss(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    (0.5, array([0.5, 0. ]))
    """
    prediction, target = pair("prediction", prediction, "target", target)
    weighing = factors(reduction, weights, lengths, "prediction", prediction.shape, prediction.dtype)
    return by_elements(Row("absolute"), prediction, target, weighing, reduction)


@mirrored
@told
def smooth_l1_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, beta: float = 1.0, weights: Any = None,
    lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Absolute error that is square below `beta`, and its gradient with respect to the prediction (6.8).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    {reduction}
    beta : float, default 1.0
        At least 0: errors d below it cost d^2 / (2 beta), others abs(d) - beta / 2.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    References
    ----------
    R. Girshick, "Fast R-CNN", 2015.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2))
    (1.3125, array([0.25, 0.5 ]))
    """
    prediction, target = pair("prediction", prediction, "target", target)
    row = Row("smooth", number("beta", beta, 0.0))
    weighing = factors(reduction, weights, lengths, "prediction", prediction.shape, prediction.dtype)
    return by_elements(row, prediction, target, weighing, reduction)


@mirrored
@told
def huber_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, delta: float = 1.0, weights: Any = None,
    lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Half the squared error, linear above `delta`, and its gradient with respect to the prediction (6.8).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    {reduction}
    delta : float, default 1.0
        Above 0: errors d up to it cost d^2 / 2, others delta (abs(d) - delta / 2).
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", 1964.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.huber_loss(np.array([0.5, 3.0]), np.zeros(2), delta=2.0)
    (2.0625, array([0.25, 1.  ]))
    """
    prediction, target = pair("prediction", prediction, "target", target)
    row = Row("huber", number("delta", delta, 0.0, open_low=True))
    weighing = factors(reduction, weights, lengths, "prediction", prediction.shape, prediction.dtype)
    return by_elements(row, prediction, target, weighing, reduction)


@mirrored
@told
def quantile_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, quantiles: Any = 0.5, weights: Any = None,
    lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Pinball loss, which is least at a quantile of the target, and its gradient with respect to the prediction (6.8).

    Parameters
    ----------
    prediction : ndarray, float32 or float64
        Of the target's shape, or (..., Q) for Q quantiles.
    target : ndarray
        Of the prediction's type.
    {reduction}
    quantiles : float or sequence of Q floats, default 0.5
        Each above 0 and below 1. A prediction that is too low by d costs q d, one too high (1 - q) d.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none"); 0 where there is no error.

    Raises
    ------
    {raises}

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", 1978.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, gradient = fd.quantile_loss(np.array([[1.0, 1.0]]), np.array([2.0]), quantiles=[0.1, 0.9])
    >>> loss, gradient
    (0.5, array([[-0.05, -0.45]]))
    """
    prediction = float_array("prediction", prediction)
    levels = real_values("quantiles", quantiles, "fiu").astype(np.float64)
    if levels.ndim > 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles: got {quantiles!r:.80}, expected one or a list of them, above 0 and below 1")
    shape = prediction.shape
    if levels.ndim:
        if shape[-1:] != levels.shape:
            raise ValueError(f"prediction: got shape {shape}, expected (..., {levels.size}) for so many quantiles")
        target = np.ascontiguousarray(
            np.broadcast_to(float_array("target", target, shape[:-1], prediction.dtype)[..., None], shape)
        )
    else:
        target = float_array("target", target, shape, prediction.dtype)
    weighing = factors(reduction, weights, lengths, "prediction", shape, prediction.dtype)
    each = np.ascontiguousarray(np.broadcast_to(levels.astype(prediction.dtype), shape)) if levels.ndim else None
    return by_elements(
        Row("quantile", 0.5 if levels.ndim else float(levels)), prediction, target, weighing, reduction, each
    )


# ---- likelihoods ------------------------------------------------------------------------------------------------


@mirrored
@told
def binary_cross_entropy_with_logits(
    logits: np.ndarray, target: np.ndarray, reduction: str = "mean", *, pos_weight: Any = None, weights: Any = None,
    lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Cross-entropy of sigmoid(logits) with targets of 0 to 1, and its gradient with respect to the logits (6.9).

    Parameters
    ----------
    logits, target : ndarray of one shape, float32 or float64
        A target is the probability of "yes".
    {reduction}
    pos_weight : float or array, optional
        What "yes" weighs more than "no", at least 0, of a shape that broadcasts to the logits'. It does not count in
        the mean's divisor, as in torch.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dlogits : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, dlogits = fd.binary_cross_entropy_with_logits(np.zeros(2), np.array([0.0, 1.0]))
    >>> round(loss, 4), dlogits
    (0.6931, array([ 0.25, -0.25]))
    """
    logits, target = pair("logits", logits, "target", target)
    rare, each = np.ones((), logits.dtype), None
    if pos_weight is not None:
        rare, _ = weight_array("pos_weight", pos_weight, logits.shape, logits.dtype)
        each = np.ascontiguousarray(np.broadcast_to(rare, logits.shape)) if rare.ndim else None
    weighing = factors(reduction, weights, lengths, "logits", logits.shape, logits.dtype)
    row = Row("logistic", 1.0 if rare.ndim else float(rare))
    return by_elements(row, logits, target, weighing, reduction, each)


@mirrored
@told
def poisson_nll_loss(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, log_input: bool = True, full: bool = False,
    eps: float = 1e-8, weights: Any = None, lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Negative log likelihood of counts under a Poisson distribution, and its gradient (6.12).

    Parameters
    ----------
    prediction, target : ndarray of one shape, float32 or float64
    {reduction}
    log_input : bool, default True
        Whether the prediction is the logarithm of the rate, or the rate itself.
    full : bool, default False
        Whether to add Stirling's approximation of log target!, where the target is above 1.
    eps : float, default 1e-8
        Added to a rate before its logarithm is taken.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.poisson_nll_loss(np.zeros(2), np.array([1.0, 3.0]))
    (1.0, array([ 0., -1.]))
    """
    prediction, target = pair("prediction", prediction, "target", target)
    log_input, full = flag("log_input", log_input), flag("full", full)
    eps = number("eps", eps, 0.0)
    factors(reduction, weights, lengths, "prediction", prediction.shape, prediction.dtype)
    return by_twin(twins.poisson_nll_loss, prediction, target, reduction, log_input=log_input, full=full, eps=eps,
                   weights=weights, lengths=lengths)  # fmt: skip


@mirrored
@told
def gaussian_nll_loss(
    prediction: tuple[np.ndarray, np.ndarray], target: np.ndarray, reduction: str = "mean", *, full: bool = False,
    eps: float = 1e-6, weights: Any = None, lengths: Any = None,
) -> tuple[Any, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Negative log likelihood under normal distributions of given means and variances, and both gradients (6.13).

    Parameters
    ----------
    prediction : tuple (mean, var) of ndarrays of one shape, float32 or float64
        What a model of two outputs gives.
    target : ndarray
        Of the mean's shape and type.
    {reduction}
    full : bool, default False
        Whether to add the constant log(2 pi) / 2.
    eps : float, default 1e-6
        Above 0: a smaller variance counts as this one. Its gradient is that at `eps`, as torch's.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    gradient : tuple (dmean, dvar)
        Gradients of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    References
    ----------
    D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, (dmean, dvar) = fd.gaussian_nll_loss((np.array([1.0]), np.array([4.0])), np.array([3.0]))
    >>> round(loss, 4), dmean, dvar
    (1.1931, array([-0.5]), array([0.]))
    """
    mean, var = parts("prediction", prediction, "mean", "var")
    mean = float_array("prediction[0]", mean)
    var = float_array("prediction[1]", var, mean.shape, mean.dtype)
    target = float_array("target", target, mean.shape, mean.dtype)
    full, eps = flag("full", full), number("eps", eps, 0.0, open_low=True)
    real, _ = factors(reduction, weights, lengths, "prediction[0]", mean.shape, mean.dtype)
    negative = var < 0 if real is None else (var < 0) & (real > 0)
    if negative.any():
        raise ValueError(f"prediction[1]: got {var[negative].min()}, expected variances of at least 0")
    return by_twin(twins.gaussian_nll_loss, (mean, var), target, reduction, full=full, eps=eps, weights=weights,
                   lengths=lengths)  # fmt: skip


@mirrored
@told
def kl_div(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, log_target: bool = False,
    weights: Any = None, lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Kullback-Leibler divergence of predicted distributions from the true ones, and its gradient (6.11).

    Parameters
    ----------
    prediction : ndarray (..., C), float32 or float64
        Logarithms of probabilities, as :func:`log_softmax` gives.
    target : ndarray (..., C)
        Probabilities, of the prediction's type.
    {reduction}
        A term is the divergence of one distribution: torch calls this mean "batchmean".
    log_target : bool, default False
        Whether the target has logarithms of probabilities, too.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    dprediction : ndarray (..., C)
        Gradient of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    References
    ----------
    S. Kullback and R. A. Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, gradient = fd.kl_div(np.log(np.full((1, 2), 0.5)), np.array([[0.0, 1.0]]))
    >>> round(loss, 4), gradient
    (0.6931, array([[-0., -1.]]))
    """
    prediction, target = _rows("prediction", prediction), target
    target = float_array("target", target, prediction.shape, prediction.dtype)
    log_target = flag("log_target", log_target)
    factors(reduction, weights, lengths, "prediction", prediction.shape[:-1], prediction.dtype)
    return by_twin(twins.kl_div, prediction, target, reduction, log_target=log_target, weights=weights,
                   lengths=lengths)  # fmt: skip


def _rows(name: str, value: Any) -> np.ndarray:
    array = float_array(name, value)
    if array.ndim == 0:
        raise ValueError(f"{name}: got shape (), expected at least one axis")
    return array
