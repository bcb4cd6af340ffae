"""The scalar long short-term memory of xLSTM, whose gates are exponential."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import choice
from . import _run
from ._run import RecurrentTape

__all__ = ["sLSTMGradients", "slstm_backward", "slstm_forward"]


class sLSTMGradients(NamedTuple):
    """Gradients of :func:`slstm_forward`, shaped as what they belong to; m0 has none, since h does not depend on it.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0, dc0, dn0 : ndarray (B, H)
        Those of c0 and n0 while m0 is held.
    dW_x, dW_h : ndarray (I, 4 H), as W_h
        Columns in gate order i, f, z, o.
    db : ndarray (4 H,)
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dc0: np.ndarray
    dn0: np.ndarray
    dW_x: np.ndarray
    dW_h: np.ndarray
    db: np.ndarray


@mirrored
def slstm_forward(
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    n0: np.ndarray,
    m0: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    forget_gate: str = "sigmoid",
    lengths: Any = None,
    reverse: bool = False,
    state_mask: np.ndarray | None = None,
    candidate_mask: np.ndarray | None = None,
    candidate_scale: float = 1.0,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, RecurrentTape | None]:
    """Run a layer of scalar long short-term memory (sLSTM) over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0, c0, n0, m0 : ndarray (B, H)
        Initial states: hidden state, cell state, normalizer and stabilizer; zeros to begin with. c and n are kept
        divided by exp(m), what is stored is c / n. Where n is not above 0 nothing is stored, and c and m do not count.
    W_x : ndarray (I, 4 H)
        Input weights; columns in gate order i, f, z, o.
    W_h : ndarray (H, 4 H) or (heads, H / heads, 4 H / heads)
        Recurrent weights, or those of each head: units ``j H / heads`` on belong to head j, and their gates read h of
        that head alone. Columns of each in gate order i, f, z, o.
    b : ndarray (4 H,)
        Bias.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    forget_gate : {"sigmoid", "exp"}, default "sigmoid"
        The forget gate: sigma(a_f), as in the authors' code, or exp(a_f).
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    state_mask : ndarray (B, H), optional
        What ``h_{t-1}`` is multiplied by before the product with W_h, the same at all steps: variational dropout on
        the state (Gal and Ghahramani 2016). Its values include the scale 1/(1-p).
    candidate_mask : ndarray of bool (T, B, H), optional
        Which candidates z are kept, multiplied by `candidate_scale`: recurrent dropout (Semeniuta 2016).
    candidate_scale : float, default 1
        Usually 1/(1-p).
    zoneout_h : ndarray of bool (T, B, H), or float, optional
        Where h keeps its old value (Krueger 2017); a float in [0, 1] is the expectation used at test,
        ``rate * old + (1 - rate) * new``.

    Returns
    -------
    h, c, n, m : ndarray (T, B, H)
        The states after every step; the final ones are ``h[-1]`` and so on, or with lengths or in reverse
        :func:`fastdl.last_step` of them. c, n and m are views of one array.
    tape : RecurrentTape or None
        For :func:`slstm_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    With ``a_t = x_t W_x + h_{t-1} W_h + b`` split in four,

    .. math::
        z = \\tanh(a_z),\\; o = \\sigma(a_o),\\; i = \\exp(a_i),\\; f = \\sigma(a_f) \\text{ or } \\exp(a_f), \\\\
        C_t = f C_{t-1} + i z,\\quad N_t = f N_{t-1} + i,\\quad h_t = o\\, C_t / N_t.

    So that no exponential overflows, :math:`c = C / e^m` and :math:`n = N / e^m` are kept:

    .. math::
        m_t = \\max(\\log f + m_{t-1}, a_i),\\; i' = \\exp(a_i - m_t),\\; f' = \\exp(\\log f + m_{t-1} - m_t), \\\\
        c_t = f' c_{t-1} + i' z,\\quad n_t = f' n_{t-1} + i',\\quad h_t = o\\, c_t / n_t.

    Where n_{t-1} is 0, m_t is a_i and f' is 0. The greater of i' and f' is 1, so n never falls below 1 or n0.

    References
    ----------
    M. Beck et al., "xLSTM: Extended long short-term memory", NeurIPS 2024. Options: docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, zero = np.array([[[1.0]], [[0.0]]]), np.zeros((1, 1))
    >>> W_x, W_h, b = np.array([[500.0, 0.0, 1.0, 0.0]]), np.zeros((1, 4)), np.zeros(4)
    >>> h, c, n, m, tape = fd.slstm_forward(x, zero, zero, zero, zero, W_x, W_h, b)
    >>> h.ravel().round(3), m.ravel().round(1)
    (array([0.381, 0.381]), array([500. , 499.3]))
    """
    given = {}
    if not (state_mask is candidate_mask is zoneout_h is None and _run.usual(1e-5, candidate_scale)):
        given = {
            "state_mask": state_mask, "candidate_mask": candidate_mask, "candidate_scale": candidate_scale,
            "zoneout_h": zoneout_h,
        }  # fmt: skip
    cell = _run.SLSTM_EXP if choice("forget_gate", forget_gate, ("sigmoid", "exp")) == "exp" else _run.SLSTM
    h, beside, tape = _run.forward(cell, x, h0, (c0, n0, m0), W_x, W_h, b, training, lengths, reverse, given)
    c, n, m = np.split(beside, 3, axis=2)  # type: ignore[arg-type]
    return h, c, n, m, tape


@mirrored
def slstm_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
    dc_last: np.ndarray | None = None,
    dn_last: np.ndarray | None = None,
) -> sLSTMGradients:
    """Gradients of :func:`slstm_forward`, backward through time.

    Parameters
    ----------
    dh : ndarray (T, B, H)
        Gradient of the loss with respect to every hidden state. What lies past a sequence's end is not used.
    tape : RecurrentTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, dW_h, db) to write into, C-contiguous; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it and saves a third of the input products.
    dh_last, dc_last, dn_last : ndarray (B, H), optional
        Gradient with respect to each sequence's final h, c and n, m being held; that of h in addition to `dh`. They
        may be dh0, dc0 and dn0 of a call that began with these states.

    Returns
    -------
    gradients : sLSTMGradients
        (dx, dh0, dc0, dn0, dW_x, dW_h, db), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    m is a choice of scale: h does not change if c and n are divided by anything else, so m passes no gradient. With dh
    from above and from t + 1, and y = c_t / n_t:

    .. math::
        do = dh\\, y,\\quad dc \\mathrel{+}= dh\\, o / n_t,\\quad dn \\mathrel{-}= dh\\, o\\, y / n_t, \\\\
        da_i = (dc\\, z + dn)\\, i',\\quad da_f = (dc\\, c_{t-1} + dn\\, n_{t-1})\\, f' s,\\quad
        da_z = dc\\, i' (1 - z^2),\\quad da_o = do\\, o (1 - o), \\\\
        dc_{t-1} = dc\\, f',\\quad dn_{t-1} = dn\\, f',\\quad dh_{t-1} = da W_h^T,

    where s, the slope of log f, is :math:`\\sigma(-a_f)` or 1.

    References
    ----------
    docs/recurrent.md (5.12); M. Beck et al., "xLSTM: Extended long short-term memory", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, zero = np.ones((1, 1, 1)), np.zeros((1, 1))
    >>> h, *_, tape = fd.slstm_forward(x, zero, zero, zero, zero, np.ones((1, 4)), np.ones((1, 4)), np.zeros(4))
    >>> gradients = fd.slstm_backward(np.ones_like(h), tape)
    >>> gradients.db.round(3)  # the first step's h is o z, whatever i and f are
    array([0.   , 0.   , 0.307, 0.15 ])
    """
    out = _run.without_options(out, 3)
    dx, dh0, beside, dW_x, dW_h, db, *_ = _run.backward(
        (_run.SLSTM, _run.SLSTM_EXP), dh, None, tape, out, accumulate, input_gradient, dh_last, (dc_last, dn_last),
        "slstm_forward",
    )  # fmt: skip
    dc0, dn0, _ = (np.ascontiguousarray(one) for one in np.split(beside, 3, axis=1))
    return sLSTMGradients(dx, dh0, dc0, dn0, dW_x, dW_h, db)
