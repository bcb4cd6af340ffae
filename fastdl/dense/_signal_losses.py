"""Losses of vectors and of signals."""

from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import float_array, lengths_array, number, parts, real_values
from ..reference import _losses as twins
from ._losses import _rows
from ._sharing import by_twin, factors, told


@mirrored
@told
def cosine_embedding_loss(
    prediction: tuple[np.ndarray, np.ndarray], target: Any = None, reduction: str = "mean", *, margin: float = 0.0,
    weights: Any = None, lengths: Any = None,
) -> tuple[Any, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """1 minus the cosine of two vectors that should agree, or how far it is above a margin, and both gradients (6.15).

    Parameters
    ----------
    prediction : tuple (u, v) of ndarrays (..., D), float32 or float64
        What a model of two outputs gives.
    target : array (...) of 1 and -1, optional
        1 where u and v should agree, -1 where not; all agree by default.
    {reduction}
    margin : float from -1 to 1, default 0.0
        Where the target is -1, cosines up to it cost nothing.
    {weights}
    {lengths}

    Returns
    -------
    {loss}
    gradient : tuple (du, dv)
        Gradients of the reduced loss (of the sum, for "none").

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, (du, dv) = fd.cosine_embedding_loss((np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])))
    >>> loss, du, dv
    (1.0, array([[-0., -1.]]), array([[-0.5, -0. ]]))
    """
    u, v = parts("prediction", prediction, "u", "v")
    u = _rows("prediction[0]", u)
    v = float_array("prediction[1]", v, u.shape, u.dtype)
    real, _ = factors(reduction, weights, lengths, "prediction[0]", u.shape[:-1], u.dtype)
    if target is not None:
        target = real_values("target", target)
        if target.shape != u.shape[:-1]:
            raise ValueError(f"target: got shape {target.shape}, expected {u.shape[:-1]}")
        wrong = (target != 1) & (target != -1)
        if (wrong if real is None else wrong & (real > 0)).any():
            raise ValueError(f"target: got {target[wrong][0]}, expected 1 or -1")
    margin = number("margin", margin, -1.0, 1.0)
    return by_twin(twins.cosine_embedding_loss, (u, v), target, reduction, margin=margin, weights=weights,
                   lengths=lengths)  # fmt: skip


@mirrored
@told
def error_to_signal_ratio(
    prediction: np.ndarray, target: np.ndarray, reduction: str = "mean", *, pre_emphasis: float = 0.85, dc: float = 0.0,
    eps: float = 1e-5, weights: Any = None, lengths: Any = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Energy of a signal's error over the energy of the signal, both with higher tones raised, and its gradient (6.16).

    Parameters
    ----------
    prediction, target : ndarray (T, ...), float32 or float64
        Signals along the first axis, each of which is a term: (T,) is one, (T, B, 1) are B.
    {reduction}
    pre_emphasis : float, default 0.85
        a of the filter x[t] - a x[t - 1] that both go through; 0 for none.
    dc : float, default 0.0
        Weight of the second term: the square of the error's mean over the mean square of the signal.
    eps : float, default 1e-5
        Above 0, added to the mean energy of the signal, which may be silent.
    weights : array or list of real numbers, optional
        What each signal counts, at least 0, of a shape that broadcasts to the shape without T.
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
    A. Wright, E.-P. Damskagg and V. Valimaki, "Real-time black-box modelling with recurrent neural networks", 2019,
    who take ``dc=1.0``.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, _ = fd.error_to_signal_ratio(np.array([0.0, 1.0]), np.array([1.0, 1.0]), pre_emphasis=0.0, eps=1e-12)
    >>> round(loss, 6)
    0.5
    """
    prediction = _rows("prediction", prediction)
    target = float_array("target", target, prediction.shape, prediction.dtype)
    settings = {"pre_emphasis": number("pre_emphasis", pre_emphasis), "dc": number("dc", dc, 0.0)}
    settings["eps"] = number("eps", eps, 0.0, open_low=True)
    factors(reduction, weights, None, "prediction", prediction.shape[1:], prediction.dtype)
    if lengths is not None:
        if prediction.ndim < 2:
            raise ValueError(f"prediction: got shape {prediction.shape}, expected (T, B, ...), since lengths is given")
        lengths_array("lengths", lengths, *prediction.shape[:2])
    return by_twin(twins.error_to_signal_ratio, prediction, target, reduction, **settings, weights=weights,
                   lengths=lengths)  # fmt: skip
