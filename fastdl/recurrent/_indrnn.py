"""The independently recurrent layer, in which each unit reads its own past alone."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import choice
from . import _run
from ._run import RecurrentTape

__all__ = ["IndRNNGradients", "indrnn_backward", "indrnn_forward"]


class IndRNNGradients(NamedTuple):
    """Gradients of :func:`indrnn_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0 : ndarray (B, H)
    dW_x : ndarray (I, H)
    du, db : ndarray (H,)
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dW_x: np.ndarray
    du: np.ndarray
    db: np.ndarray


@mirrored
def indrnn_forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_x: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    nonlinearity: str = "relu",
    lengths: Any = None,
    reverse: bool = False,
    clip: float | None = None,
    state_mask: np.ndarray | None = None,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, RecurrentTape | None]:
    """Run an independently recurrent layer (IndRNN) over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0 : ndarray (B, H)
        Initial state.
    W_x : ndarray (I, H)
        Input weights.
    u : ndarray (H,)
        Recurrent weights, one a unit: the diagonal of an RNN's W_h.
    b : ndarray (H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    nonlinearity : {"relu", "tanh"}, default "relu"
        The function f.
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    clip : float, optional
        Bound of what enters f; its derivative is 0 where it acts.
    state_mask : ndarray (B, H), optional
        What ``h_{t-1}`` is multiplied by before u, the same at all steps: variational dropout on the state (Gal and
        Ghahramani 2016). Its values include the scale 1/(1-p).
    zoneout_h : ndarray of bool (T, B, H), or float, optional
        Where h keeps its old value (Krueger 2017); a float in [0, 1] is the expectation used at test,
        ``rate * old + (1 - rate) * new``.

    Returns
    -------
    h : ndarray (T, B, H)
        State after every step; the final one is ``h[-1]``, or with lengths or in reverse :func:`fastdl.last_step`.
    tape : RecurrentTape or None
        For :func:`indrnn_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    .. math:: h_t = f(x_t W_x + u \\odot h_{t-1} + b)

    A step costs H multiply-adds beside those of the input, and a gradient is multiplied by u and f' alone on its way
    back, so u says how long a unit remembers. Units meet in the next layer.

    References
    ----------
    S. Li, W. Li, C. Cook, C. Zhu, Y. Gao, "Independently recurrent neural network (IndRNN): building a longer and
    deeper RNN", CVPR 2018. Options: docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.indrnn_forward(np.ones((3, 1, 2)), np.zeros((1, 2)), np.eye(2), np.array([1.0, 0.5]), np.zeros(2))
    >>> h[:, 0].T
    array([[1.  , 2.  , 3.  ],
           [1.  , 1.5 , 1.75]])
    """
    relu = choice("nonlinearity", nonlinearity, ("relu", "tanh")) == "relu"
    given = {}
    if not clip is state_mask is zoneout_h is None:
        given = {"clip": clip, "state_mask": state_mask, "zoneout_h": zoneout_h}
    cell = _run.INDRNN_RELU if relu else _run.INDRNN_TANH
    h, _, tape = _run.forward(cell, x, h0, None, W_x, u, b, training, lengths, reverse, given)
    return h, tape


@mirrored
def indrnn_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
) -> IndRNNGradients:
    """Gradients of :func:`indrnn_forward`, backward through time (docs/recurrent.md 5.11).

    Parameters
    ----------
    dh : ndarray (T, B, H)
        Gradient of the loss with respect to every state. What lies past a sequence's end is not used.
    tape : RecurrentTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, du, db) to write into, C-contiguous; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.
    dh_last : ndarray (B, H), optional
        Gradient with respect to each sequence's final state, in addition to `dh`.

    Returns
    -------
    gradients : IndRNNGradients
        (dx, dh0, dW_x, du, db), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    .. math::
        da_t = (dh_t + u \\odot da_{t+1}) f'(a_t), \\quad dx_t = da_t W_x^T, \\quad
        dW_x = \\sum x_t^T da_t,\\; du = \\sum h_{t-1} \\odot da_t,\\; db = \\sum da_t.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.indrnn_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.eye(1), np.ones(1), np.zeros(1))
    >>> fd.indrnn_backward(np.ones_like(h), tape).du
    array([4.])
    """
    whole = _run.without_options(out, 3)
    cells = (_run.INDRNN_RELU, _run.INDRNN_TANH)
    dx, dh0, _, dW_x, du, db, *_ = _run.backward(
        cells, dh, None, tape, whole, accumulate, input_gradient, dh_last, None, "indrnn_forward"
    )
    return IndRNNGradients(dx, dh0, dW_x, du, db)
