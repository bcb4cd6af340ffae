"""The minimal long short-term memory, whose gates read the input alone."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import flag
from . import _run
from ._run import RecurrentTape

__all__ = ["MinLSTMGradients", "minlstm_backward", "minlstm_forward"]


class MinLSTMGradients(NamedTuple):
    """Gradients of :func:`minlstm_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0 : ndarray (B, H)
    dW_x : ndarray (I, 3 H)
        Columns in gate order f, i, n.
    db : ndarray (3 H,)
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dW_x: np.ndarray
    db: np.ndarray


@mirrored
def minlstm_forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_x: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    positive: bool = False,
    normalized: bool = True,
    lengths: Any = None,
    reverse: bool = False,
    candidate_mask: np.ndarray | None = None,
    candidate_scale: float = 1.0,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, RecurrentTape | None]:
    """Run a layer of minimal long short-term memory (minLSTM) over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0 : ndarray (B, H)
        Initial state: this LSTM has h alone, no c.
    W_x : ndarray (I, 3 H)
        Input weights; columns in gate order f, i, n. There are no recurrent weights: gates do not read h.
    b : ndarray (3 H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    positive : bool, default False
        Whether n is ``g(a_n)`` with g(a) = a + 1/2 for a >= 0 and sigma(a) below, as the paper trains it, and not a_n
        itself. h stays positive then if h0 is.
    normalized : bool, default True
        Whether f and i are divided by their sum, so that h is a mean of old and new, or used as they are.
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
        For :func:`minlstm_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    .. math::
        f = \\sigma(x_t W_{xf} + b_f),\\quad i = \\sigma(x_t W_{xi} + b_i),\\quad n = g(x_t W_{xn} + b_n), \\\\
        h_t = f' h_{t-1} + i' n,\\quad f' = f / (f + i),\\; i' = i / (f + i).

    Only the product with x costs more than a few operations a unit, and it is done for many steps at once. The walk
    over time is exact, in the order of time: no scan, no logarithms.

    References
    ----------
    L. Feng, F. Tung, M. Ahmed, Y. Bengio, H. Hajimirsadeghi, "Were RNNs all we needed?", 2024. Options:
    docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.minlstm_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.array([[0.0, 0.0, 1.0]]), np.zeros(3))
    >>> h.ravel()
    array([0.5  , 0.75 , 0.875])
    """
    given = {}
    if not (candidate_mask is zoneout_h is None and _run.usual(1e-5, candidate_scale)):
        given = {"candidate_mask": candidate_mask, "candidate_scale": candidate_scale, "zoneout_h": zoneout_h}
    positive, normalized = flag("positive", positive), flag("normalized", normalized)
    cell = _run.MINLSTM + positive + 2 * (not normalized)
    h, _, tape = _run.forward(cell, x, h0, None, W_x, None, b, training, lengths, reverse, given)
    return h, tape


@mirrored
def minlstm_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
) -> MinLSTMGradients:
    """Gradients of :func:`minlstm_forward`, backward through time (docs/recurrent.md 5.10).

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
    gradients : MinLSTMGradients
        (dx, dh0, dW_x, db), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    With dh from above and from t + 1:

    .. math::
        df' = dh\\, h_{t-1},\\; di' = dh\\, n,\\; da_n = dh\\, i' g'(a_n),\\; dh_{t-1} = dh\\, f', \\\\
        da_f = dh (h_{t-1} - n) f' i' (1 - f),\\quad da_i = dh (n - h_{t-1}) f' i' (1 - i).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.minlstm_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.array([[0.0, 0.0, 1.0]]), np.zeros(3))
    >>> fd.minlstm_backward(np.ones_like(h), tape).dh0
    array([[0.875]])
    """
    whole = _run.without_state(out)
    cells = tuple(range(_run.MINLSTM, _run.MINLSTM + 4))
    dx, dh0, _, dW_x, _, db, *_ = _run.backward(
        cells, dh, None, tape, whole, accumulate, input_gradient, dh_last, None, "minlstm_forward"
    )
    return MinLSTMGradients(dx, dh0, dW_x, db)
