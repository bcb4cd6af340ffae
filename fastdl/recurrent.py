"""Recurrent layers: the LSTM, forward and backward through time.

Arrays are time-major: x is (T, B, I), states are (B, H). Equations: docs/recurrent.md.
"""

from typing import Any, NamedTuple

import numpy as np

from ._dispatch import kernels, mirrored
from ._memory import aligned_empty, scratch
from ._threads import threads_for
from ._validate import check_apart, float_array, out_array

__all__ = ["LSTMTape", "lstm_backward", "lstm_forward"]

# Multiply-adds below which a second thread costs more than it brings (measured: docs/recurrent.md).
_GRAIN = 1_000_000


class LSTMTape(NamedTuple):
    """What :func:`lstm_backward` needs of a forward pass: references, no copies.

    `h` and `c` are (T + 1, B, H) with the initial state in slot 0; `gates` are the gate values, in the
    kernel's own order. Do not write to any of them before the backward.
    """

    x: np.ndarray
    W_x: np.ndarray
    W_h: np.ndarray
    h: np.ndarray
    c: np.ndarray
    gates: np.ndarray


@mirrored
def lstm_forward(
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
    training: bool = True,
) -> tuple[np.ndarray, np.ndarray, LSTMTape | None]:
    """Run a long short-term memory layer over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0, c0 : ndarray (B, H)
        Initial hidden and cell state.
    W_x : ndarray (I, 4 H)
        Input weights; columns in gate order i, f, g, o.
    W_h : ndarray (H, 4 H)
        Recurrent weights.
    b : ndarray (4 H,)
        Bias.
    training : bool, default True
        Whether to keep what the backward needs. False saves memory, and the tape is None.

    Returns
    -------
    h, c : ndarray (T, B, H)
        Hidden and cell state after every step; ``h[-1]``, ``c[-1]`` are the final state.
    tape : LSTMTape or None
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
    "Learning to forget", 2000.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> T, B, I, H = 5, 2, 3, 4
    >>> x, state = np.ones((T, B, I)), np.zeros((B, H))
    >>> W_x, W_h, b = np.full((I, 4 * H), 0.1), np.zeros((H, 4 * H)), np.zeros(4 * H)
    >>> h, c, tape = fd.lstm_forward(x, state, state, W_x, W_h, b)
    >>> h.shape, round(float(h[0, 0, 0]), 4)
    ((5, 2, 4), 0.0952)
    """
    x = float_array("x", x, (None, None, None))
    T, B, I = x.shape  # noqa: E741
    W_h = float_array("W_h", W_h, (None, None), x.dtype)
    H = W_h.shape[0]
    W_h = float_array("W_h", W_h, (H, 4 * H), x.dtype)
    W_x = float_array("W_x", W_x, (I, 4 * H), x.dtype)
    b = float_array("b", b, (4 * H,), x.dtype)
    h0 = float_array("h0", h0, (B, H), x.dtype)
    c0 = float_array("c0", c0, (B, H), x.dtype)
    h, c = aligned_empty((T + 1, B, H), x.dtype), aligned_empty((T + 1, B, H), x.dtype)
    h[0], c[0] = h0, c0
    num_threads = _threads(x, H)
    wide, window, work, _ = kernels.recurrent.sizes(T, B, I, H, 4, x.itemsize, num_threads)
    if training:
        gates = aligned_empty((T * B, wide), x.dtype)
    else:
        gates = aligned_empty((window, wide), x.dtype)
    if x.size and H:
        kernels.recurrent.lstm_forward(x, W_x, W_h, b, h, c, gates, scratch(work, x.dtype), training, num_threads)
    return h[1:], c[1:], LSTMTape(x, W_x, W_h, h, c, gates) if training else None


@mirrored
def lstm_backward(
    dh: np.ndarray,
    dc: np.ndarray | None,
    tape: LSTMTape,
    out: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of :func:`lstm_forward`, backward through time.

    Parameters
    ----------
    dh : ndarray (T, B, H)
        Gradient of the loss by every hidden state.
    dc : ndarray (B, H) or (T, B, H), or None
        Gradient by the final cell state, or by all of them; None for zero.
    tape : LSTMTape
        From the forward pass with ``training=True``. It is only read, so it can be used again.
    out : tuple of ndarray, optional
        (dW_x, dW_h, db) to write into, C-contiguous; new arrays by default.
    accumulate : bool, default False
        Add to `out` instead of overwriting it.
    input_gradient : bool, default True
        Whether dx is wanted; False returns None for it and saves a third of the input products.

    Returns
    -------
    dx : ndarray (T, B, I) or None
    dh0, dc0 : ndarray (B, H)
    dW_x : ndarray (I, 4 H)
    dW_h : ndarray (H, 4 H)
    db : ndarray (4 H,)

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
    >>> dx, dh0, dc0, dW_x, dW_h, db = fd.lstm_backward(np.ones_like(h), None, tape)
    >>> bool(np.allclose(dx.ravel(), db.sum()))
    True
    """
    if not isinstance(tape, LSTMTape):
        raise TypeError(f"tape: got {type(tape).__name__}, expected the LSTMTape of lstm_forward(..., training=True)")
    x, W_x, W_h, h, c, gates = tape
    T, B, I = x.shape  # noqa: E741
    H = W_h.shape[0]
    dh = float_array("dh", dh, (T, B, H), x.dtype)
    dc0 = np.zeros((B, H), x.dtype)
    dc_all = _NONE[x.dtype.char]
    if dc is not None:
        dc = float_array("dc", dc, (T, B, H) if np.ndim(dc) == 3 else (B, H), x.dtype)
        if dc.ndim == 3:
            dc_all = dc
        else:
            dc0[...] = dc
    if out is None:
        dW_x, dW_h, db = (aligned_empty(shape, x.dtype) for shape in (W_x.shape, W_h.shape, 4 * H))
        accumulate = False
    else:
        dW_x = out_array("out[0]", out[0], W_x.shape, x.dtype)
        dW_h = out_array("out[1]", out[1], W_h.shape, x.dtype)
        db = out_array("out[2]", out[2], (4 * H,), x.dtype)
        check_apart(dW_x=dW_x, dW_h=dW_h, db=db, W_x=W_x, W_h=W_h)
    dx: Any = aligned_empty(x.shape, x.dtype) if input_gradient else None
    dh0 = np.zeros((B, H), x.dtype)
    if x.size and H:
        num_threads = _threads(x, H)
        work = kernels.recurrent.sizes(T, B, I, H, 4, x.itemsize, num_threads)[3]
        kernels.recurrent.lstm_backward(
            dh, dc_all, x, W_x, W_h, h, c, gates, _NONE[x.dtype.char] if dx is None else dx, dh0, dc0,
            dW_x, dW_h, db, accumulate, scratch(work, x.dtype), num_threads,
        )  # fmt: skip
    elif not accumulate:
        for gradient in (dW_x, dW_h, db):
            gradient[...] = 0
    return dx, dh0, dc0, dW_x, dW_h, db


_NONE = {kind: np.empty((0, 0, 0), kind) for kind in "fd"}


def _threads(x: np.ndarray, hidden: int) -> int:
    return threads_for(x.shape[0] * x.shape[1] * 4 * hidden * (x.shape[2] + hidden), _GRAIN)
