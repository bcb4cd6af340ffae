"""The simple recurrent layer (Elman)."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import choice
from . import _run
from ._run import RecurrentTape

__all__ = ["RNNGradients", "rnn_backward", "rnn_forward"]


class RNNGradients(NamedTuple):
    """Gradients of :func:`rnn_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0 : ndarray (B, H)
    dW_x, dW_h : ndarray (I, H), (H, H)
    db : ndarray (H,)
    dgains : ndarray (2, 1, H) or None
        None without layer norm.
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dW_x: np.ndarray
    dW_h: np.ndarray
    db: np.ndarray
    dgains: np.ndarray | None = None


@mirrored
def rnn_forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    nonlinearity: str = "tanh",
    lengths: Any = None,
    reverse: bool = False,
    gains: np.ndarray | None = None,
    epsilon: float = 1e-5,
    clip: float | None = None,
    state_mask: np.ndarray | None = None,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, RecurrentTape | None]:
    """Run a simple recurrent layer over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0 : ndarray (B, H)
        Initial state.
    W_x, W_h : ndarray (I, H), (H, H)
        Input and recurrent weights.
    b : ndarray (H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        The function f.
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    gains : ndarray (2, 1, H), optional
        Layer norm (Ba 2016): ``x_t W_x``, and ``h_{t-1} W_h``, are normalised over the H units each and multiplied by
        ``gains[0]``, or ``gains[1]``, before the bias is added.
    epsilon : float, default 1e-5
        Added to the variance in the layer norm.
    clip : float, optional
        Bound of what enters f, as ONNX's `clip`; its derivative is 0 where it acts.
    state_mask : ndarray (B, H), optional
        What ``h_{t-1}`` is multiplied by before the product with W_h, the same at all steps: variational dropout on
        the state (Gal and Ghahramani 2016). Its values include the scale 1/(1-p).
    zoneout_h : ndarray of bool (T, B, H), or float, optional
        Where h keeps its old value (Krueger 2017); a float in [0, 1] is the expectation used at test,
        ``rate * old + (1 - rate) * new``.

    Returns
    -------
    h : ndarray (T, B, H)
        State after every step; the final one is ``h[-1]``, or with lengths or in reverse :func:`fastdl.last_step`.
    tape : RecurrentTape or None
        For :func:`rnn_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    .. math:: h_t = f(x_t W_x + h_{t-1} W_h + b)

    References
    ----------
    J. Elman, "Finding structure in time", Cognitive Science 14(2), 1990. Options: docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.rnn_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.eye(1), np.eye(1), np.zeros(1))
    >>> h.ravel().round(4)
    array([0.7616, 0.9427, 0.9597])
    """
    cell = _run.RNN_RELU if choice("nonlinearity", nonlinearity, ("tanh", "relu")) == "relu" else _run.RNN_TANH
    given = {}
    if not (gains is clip is state_mask is zoneout_h is None and _run.usual(epsilon)):
        given = {"gains": gains, "epsilon": epsilon, "clip": clip, "state_mask": state_mask, "zoneout_h": zoneout_h}
    h, _, tape = _run.forward(cell, x, h0, None, W_x, W_h, b, training, lengths, reverse, given)
    return h, tape


@mirrored
def rnn_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray | None, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
) -> RNNGradients:
    """Gradients of :func:`rnn_forward`, backward through time (docs/recurrent.md 5.1).

    Parameters
    ----------
    dh : ndarray (T, B, H)
        Gradient of the loss with respect to every state. What lies past a sequence's end is not used.
    tape : RecurrentTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, dW_h, db) to write into, C-contiguous, and dgains where there are gains; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it.
    dh_last : ndarray (B, H), optional
        Gradient with respect to each sequence's final state, in addition to `dh`.

    Returns
    -------
    gradients : RNNGradients
        (dx, dh0, dW_x, dW_h, db, dgains), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    .. math::
        da_t = (dh_t + da_{t+1} W_h^T) f'(a_t), \\quad dx_t = da_t W_x^T, \\quad
        dW_x = \\sum x_t^T da_t,\\; dW_h = \\sum h_{t-1}^T da_t,\\; db = \\sum da_t.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.rnn_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.eye(1), np.eye(1), np.zeros(1))
    >>> fd.rnn_backward(np.ones_like(h), tape).db.round(4)
    array([0.6695])
    """
    whole = _run.without_options(out)
    cells = (_run.RNN_TANH, _run.RNN_RELU)
    dx, dh0, _, dW_x, dW_h, db, _, _, dgains = _run.backward(
        cells, dh, None, tape, whole, accumulate, input_gradient, dh_last, None, "rnn_forward"
    )
    return RNNGradients(dx, dh0, dW_x, dW_h, db, dgains)
