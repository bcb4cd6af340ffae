"""The long short-term memory layer."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import flag
from . import _run
from ._run import RecurrentTape

__all__ = ["LSTMGradients", "lstm_backward", "lstm_forward"]


class LSTMGradients(NamedTuple):
    """Gradients of :func:`lstm_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0, dc0 : ndarray (B, R), (B, H)
        R is H, or P with a projection.
    dW_x, dW_h : ndarray (I, 4 H), (R, 4 H)
        Columns in gate order i, f, g, o; 3 H of them, i, g, o, with coupled gates.
    db : ndarray (4 H,)
    dprojection : ndarray (H, P) or None
    dpeepholes : ndarray (3, H) or None
    dgains : ndarray (2, G, H) or None
        Each of the three is None where the forward had no such argument.
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dc0: np.ndarray
    dW_x: np.ndarray
    dW_h: np.ndarray
    db: np.ndarray
    dprojection: np.ndarray | None = None
    dpeepholes: np.ndarray | None = None
    dgains: np.ndarray | None = None


@mirrored
def lstm_forward(
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    lengths: Any = None,
    reverse: bool = False,
    coupled: bool = False,
    projection: np.ndarray | None = None,
    peepholes: np.ndarray | None = None,
    gains: np.ndarray | None = None,
    epsilon: float = 1e-5,
    clip: float | None = None,
    cell_clip: float | None = None,
    state_mask: np.ndarray | None = None,
    candidate_mask: np.ndarray | None = None,
    candidate_scale: float = 1.0,
    zoneout_h: np.ndarray | float | None = None,
    zoneout_c: np.ndarray | float | None = None,
) -> tuple[np.ndarray, np.ndarray, RecurrentTape | None]:
    """Run a long short-term memory layer over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0, c0 : ndarray (B, R), (B, H)
        Initial hidden and cell state. R is H, or P with a projection.
    W_x : ndarray (I, 4 H)
        Input weights; columns in gate order i, f, g, o.
    W_h : ndarray (R, 4 H)
        Recurrent weights.
    b : ndarray (4 H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    coupled : bool, default False
        Coupled input and forget gate, ``f = 1 - i``. There are three gates then, i, g, o: 3 H columns instead of 4 H.
    projection : ndarray (H, P), optional
        ``h_t = (o tanh(c_t)) @ projection`` (Sak 2014).
    peepholes : ndarray (3, H), optional
        Peephole weights of i, f, o: i and f also see ``c_{t-1}``, o sees ``c_t`` (Gers 2002). Coupled: row 1 is idle.
    gains : ndarray (2, G, H), optional
        Layer norm on the G gates (Ba 2016): each gate of ``x_t W_x``, and of ``h_{t-1} W_h``, is normalised over its
        H units by itself and multiplied by ``gains[0]``, or ``gains[1]``, before the bias is added.
    epsilon : float, default 1e-5
        Added to the variance in the layer norm.
    clip : float, optional
        Bound of what enters the gates' functions, as ONNX's `clip`; their derivative is 0 where it acts.
    cell_clip : float, optional
        Bound of c_t.
    state_mask : ndarray (B, R), optional
        What ``h_{t-1}`` is multiplied by before the product with W_h, the same at all steps: variational dropout on
        the state (Gal and Ghahramani 2016). Its values include the scale 1/(1-p).
    candidate_mask : ndarray of bool (T, B, H), optional
        Which candidates g are kept, multiplied by `candidate_scale`: recurrent dropout (Semeniuta 2016).
    candidate_scale : float, default 1
        Usually 1/(1-p).
    zoneout_h, zoneout_c : ndarray of bool (T, B, R), (T, B, H), or float, optional
        Where h and c keep their old value (Krueger 2017); a float in [0, 1] is the expectation used at test,
        ``rate * old + (1 - rate) * new``. h_t is made of the new c_t.

    Returns
    -------
    h, c : ndarray (T, B, R), (T, B, H)
        Hidden and cell state after every step; the final ones are ``h[-1]``, ``c[-1]``, or with lengths or in reverse
        :func:`fastdl.last_step` of them.
    tape : RecurrentTape or None
        For :func:`lstm_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    With ``a_t = x_t W_x + h_{t-1} W_h + b`` split in four,

    .. math::
        i = \\sigma(a_i),\\; f = \\sigma(a_f),\\; g = \\tanh(a_g),\\; o = \\sigma(a_o), \\\\
        c_t = f c_{t-1} + i g, \\qquad h_t = o \\tanh(c_t).

    Gate order and layout are torch's, transposed; there is one bias where torch has two. Subnormal values
    inside the layer are flushed to zero.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997; F. Gers et al.,
    "Learning to forget", 2000. Options: docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> T, B, I, H = 5, 2, 3, 4
    >>> x, state = np.ones((T, B, I)), np.zeros((B, H))
    >>> W_x, W_h, b = np.full((I, 4 * H), 0.1), np.zeros((H, 4 * H)), np.zeros(4 * H)
    >>> h, c, tape = fd.lstm_forward(x, state, state, W_x, W_h, b)
    >>> h.shape, round(float(h[0, 0, 0]), 4)
    ((5, 2, 4), 0.0952)
    >>> h, c, _ = fd.lstm_forward(x, state, state, W_x, W_h, b, lengths=[2, 5])
    >>> h[:, 0, 0].round(3)
    array([0.095, 0.148, 0.   , 0.   , 0.   ])
    """
    given = {}
    if not (
        projection is peepholes is gains is clip is cell_clip is None
        and state_mask is candidate_mask is zoneout_h is zoneout_c is None
        and _run.usual(epsilon, candidate_scale)
    ):
        given = {
            "projection": projection, "peepholes": peepholes, "gains": gains, "epsilon": epsilon, "clip": clip,
            "cell_clip": cell_clip, "state_mask": state_mask, "candidate_mask": candidate_mask,
            "candidate_scale": candidate_scale, "zoneout_h": zoneout_h, "zoneout_c": zoneout_c,
        }  # fmt: skip
    cell = _run.LSTM_COUPLED if flag("coupled", coupled) else _run.LSTM
    h, c, tape = _run.forward(cell, x, h0, c0, W_x, W_h, b, training, lengths, reverse, given)
    return h, c, tape  # type: ignore[return-value]


@mirrored
def lstm_backward(
    dh: np.ndarray,
    dc: np.ndarray | None,
    tape: RecurrentTape,
    out: tuple[np.ndarray | None, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
    dc_last: np.ndarray | None = None,
) -> LSTMGradients:
    """Gradients of :func:`lstm_forward`, backward through time (docs/recurrent.md 5.4).

    Parameters
    ----------
    dh : ndarray (T, B, R)
        Gradient with respect to every hidden state. What lies past a sequence's end is not used.
    dc : ndarray (B, H) or (T, B, H), or None
        Gradient with respect to each sequence's final cell state, or by all of them; None for zero.
    tape : RecurrentTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, dW_h, db) to write into, C-contiguous, and after them (dprojection, dpeepholes, dgains) where there
        are such, else None; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it and saves a third of the input products.
    dh_last, dc_last : ndarray (B, R), (B, H), optional
        Gradient with respect to each sequence's final hidden and cell state, in addition to `dh` and `dc`.

    Returns
    -------
    gradients : LSTMGradients
        (dx, dh0, dc0, dW_x, dW_h, db, dprojection, dpeepholes, dgains), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    With dh_t from above and from t + 1, and dc_t from t + 1:

    .. math::
        do = dh \\tanh(c_t),\\quad dc \\mathrel{+}= dh\\, o (1 - \\tanh^2 c_t),\\quad
        di = dc\\, g,\\; df = dc\\, c_{t-1},\\; dg = dc\\, i, \\\\
        da = (di\\, i(1-i),\\; df\\, f(1-f),\\; dg(1-g^2),\\; do\\, o(1-o)), \\\\
        dh_{t-1} = da W_h^T,\\quad dc_{t-1} = dc\\, f,\\quad dx_t = da W_x^T,\\quad
        dW_x = \\sum x_t^T da_t,\\; dW_h = \\sum h_{t-1}^T da_t,\\; db = \\sum da_t.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, state = np.ones((1, 1, 1)), np.zeros((1, 1))
    >>> h, c, tape = fd.lstm_forward(x, state, state, np.ones((1, 4)), np.ones((1, 4)), np.zeros(4))
    >>> gradients = fd.lstm_backward(np.ones_like(h), None, tape)
    >>> bool(np.allclose(gradients.dx.ravel(), gradients.db.sum()))
    True
    """
    cells = (_run.LSTM, _run.LSTM_COUPLED)
    return LSTMGradients(
        *_run.backward(cells, dh, dc, tape, out, accumulate, input_gradient, dh_last, dc_last, "lstm_forward")
    )
