"""The minimal gated recurrent unit, whose gates read the input alone."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import flag
from . import _run
from ._run import RecurrentTape

__all__ = ["MinGRUGradients", "mingru_backward", "mingru_forward"]


class MinGRUGradients(NamedTuple):
    """Gradients of :func:`mingru_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0 : ndarray (B, H)
    dW_x : ndarray (I, 2 H)
        Columns in gate order z, n.
    db : ndarray (2 H,)
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dW_x: np.ndarray
    db: np.ndarray


@mirrored
def mingru_forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_x: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    positive: bool = False,
    lengths: Any = None,
    reverse: bool = False,
    candidate_mask: np.ndarray | None = None,
    candidate_scale: float = 1.0,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, RecurrentTape | None]:
    """Run a layer of minimal gated recurrent units (minGRU) over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0 : ndarray (B, H)
        Initial state.
    W_x : ndarray (I, 2 H)
        Input weights; columns in gate order z, n. There are no recurrent weights: gates do not read h.
    b : ndarray (2 H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    positive : bool, default False
        Whether n is ``g(a_n)`` with g(a) = a + 1/2 for a >= 0 and sigma(a) below, as the paper trains it, and not a_n
        itself. h stays positive then if h0 is.
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    candidate_mask : ndarray of bool (T, B, H), optional
        Which candidates n are kept, multiplied by `candidate_scale`: recurrent dropout (Semeniuta 2016).
    candidate_scale : float, default 1
        Usually 1/(1-p).
    zoneout_h : ndarray of bool (T, B, H), or float, optional
        Where h keeps its old value (Krueger 2017); a float in [0, 1] is the expectation used at test,
        ``rate * old + (1 - rate) * new``.

    Returns
    -------
    h : ndarray (T, B, H)
        State after every step; the final one is ``h[-1]``, or with lengths or in reverse :func:`fastdl.last_step`.
    tape : RecurrentTape or None
        For :func:`mingru_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    .. math::
        z = \\sigma(x_t W_{xz} + b_z),\\quad n = g(x_t W_{xn} + b_n),\\quad h_t = (1 - z) h_{t-1} + z n.

    Only the product with x costs more than a few operations a unit, and it is done for many steps at once. The walk
    over time is exact, in the order of time: no scan, no logarithms.

    References
    ----------
    L. Feng, F. Tung, M. Ahmed, Y. Bengio, H. Hajimirsadeghi, "Were RNNs all we needed?", 2024. Options:
    docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.mingru_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.array([[0.0, 1.0]]), np.zeros(2))
    >>> h.ravel()
    array([0.5  , 0.75 , 0.875])
    """
    given = {}
    if not (candidate_mask is zoneout_h is None and _run.usual(1e-5, candidate_scale)):
        given = {"candidate_mask": candidate_mask, "candidate_scale": candidate_scale, "zoneout_h": zoneout_h}
    cell = _run.MINGRU_POSITIVE if flag("positive", positive) else _run.MINGRU
    h, _, tape = _run.forward(cell, x, h0, None, W_x, None, b, training, lengths, reverse, given)
    return h, tape


@mirrored
def mingru_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
) -> MinGRUGradients:
    """Gradients of :func:`mingru_forward`, backward through time (docs/recurrent.md 5.9).

    Parameters
    ----------
    dh : ndarray (T, B, H)
        Gradient of the loss with respect to every state. What lies past a sequence's end is not used.
    tape : RecurrentTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, db) to write into, C-contiguous; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.
    dh_last : ndarray (B, H), optional
        Gradient with respect to each sequence's final state, in addition to `dh`.

    Returns
    -------
    gradients : MinGRUGradients
        (dx, dh0, dW_x, db), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    With dh from above and from t + 1:

    .. math::
        dz = dh (n - h_{t-1}),\\; da_z = dz\\, z (1 - z),\\; da_n = dh\\, z\\, g'(a_n), \\\\
        dh_{t-1} = dh (1 - z),\\quad dx_t = (da_z, da_n) W_x^T.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.mingru_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.array([[0.0, 1.0]]), np.zeros(2))
    >>> fd.mingru_backward(np.ones_like(h), tape).dh0
    array([[0.875]])
    """
    whole = _run.without_state(out)
    cells = (_run.MINGRU, _run.MINGRU_POSITIVE)
    dx, dh0, _, dW_x, _, db, *_ = _run.backward(
        cells, dh, None, tape, whole, accumulate, input_gradient, dh_last, None, "mingru_forward"
    )
    return MinGRUGradients(dx, dh0, dW_x, db)
