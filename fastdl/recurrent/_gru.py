"""The gated recurrent unit."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import mirrored
from .._validate import flag
from . import _run
from ._run import RecurrentTape

__all__ = ["GRUGradients", "gru_backward", "gru_forward"]


class GRUGradients(NamedTuple):
    """Gradients of :func:`gru_forward`, shaped as what they belong to.

    Attributes
    ----------
    dx : ndarray (T, B, I) or None
        None where it was not wanted.
    dh0 : ndarray (B, H)
    dW_x, dW_h : ndarray (I, 3 H), (H, 3 H)
        Columns in gate order r, z, n.
    db : ndarray (4 H,), or (3 H,) with the reset before the product
    dgains : ndarray (2, 3, H) or None
        None without layer norm.
    """

    dx: np.ndarray | None
    dh0: np.ndarray
    dW_x: np.ndarray
    dW_h: np.ndarray
    db: np.ndarray
    dgains: np.ndarray | None = None


@mirrored
def gru_forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
    training: bool = True,
    *,
    reset_after: bool = True,
    lengths: Any = None,
    reverse: bool = False,
    gains: np.ndarray | None = None,
    epsilon: float = 1e-5,
    clip: float | None = None,
    state_mask: np.ndarray | None = None,
    candidate_mask: np.ndarray | None = None,
    candidate_scale: float = 1.0,
    zoneout_h: np.ndarray | float | None = None,
) -> tuple[np.ndarray, RecurrentTape | None]:
    """Run a layer of gated recurrent units over a sequence.

    Parameters
    ----------
    x : ndarray (T, B, I), float32 or float64
        Input sequence.
    h0 : ndarray (B, H)
        Initial state.
    W_x, W_h : ndarray (I, 3 H), (H, 3 H)
        Input and recurrent weights; columns in gate order r, z, n.
    b : ndarray (4 H,), or (3 H,) with the reset before the product
        Biases of r, z, n, and, after them, that of n's recurrent product, which the reset gate multiplies.
    training : bool, default True
        Whether to save what the backward needs. False takes less memory, and the tape is None.
    reset_after : bool, default True
        Whether the reset gate is applied after the product with W_h (torch, Keras' default, ONNX's
        ``linear_before_reset``) or to the state before it (Cho 2014).
    lengths : array of int (B,), optional
        True lengths, 0 to T, in any order. The work is proportional to their sum; outputs past the end are 0, and a
        reversed layer starts at the true end. None: all are T.
    reverse : bool, default False
        Whether to run from the end to the beginning; ``h[t]`` is still what was computed when x[t] was read.
    gains : ndarray (2, 3, H), optional
        Layer norm on the gates (Ba 2016): each gate of ``x_t W_x``, and of the recurrent product, is normalised over
        its H units by itself and multiplied by ``gains[0]``, or ``gains[1]``, before the bias is added.
    epsilon : float, default 1e-5
        Added to the variance in the layer norm.
    clip : float, optional
        Bound of what enters the gates' functions, as ONNX's `clip`; their derivative is 0 where it acts.
    state_mask : ndarray (B, H), optional
        What ``h_{t-1}`` is multiplied by before the product with W_h, the same at all steps: variational dropout on
        the state (Gal and Ghahramani 2016). Its values include the scale 1/(1-p).
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
        For :func:`gru_backward`. It holds references to the inputs and results.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an array of the stated shape, or the dtypes differ.

    Notes
    -----
    .. math::
        r = \\sigma(x W_{xr} + h W_{hr} + b_r),\\quad z = \\sigma(x W_{xz} + h W_{hz} + b_z), \\\\
        n = \\tanh(x W_{xn} + b_n + r (h W_{hn} + b_{hn})) \\text{ or } \\tanh(x W_{xn} + b_n + (r h) W_{hn}), \\\\
        h_t = (1 - z) n + z h_{t-1}.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014. Options: docs/recurrent.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, h0 = np.ones((5, 2, 3)), np.zeros((2, 4))
    >>> h, tape = fd.gru_forward(x, h0, np.full((3, 12), 0.1), np.zeros((4, 12)), np.zeros(16))
    >>> h[:, 0, 0].round(4)
    array([0.124 , 0.1952, 0.2361, 0.2596, 0.2731])
    """
    given = {}
    plain = gains is clip is state_mask is candidate_mask is zoneout_h is None
    if not (plain and _run.usual(epsilon, candidate_scale)):
        given = {
            "gains": gains, "epsilon": epsilon, "clip": clip, "state_mask": state_mask,
            "candidate_mask": candidate_mask, "candidate_scale": candidate_scale, "zoneout_h": zoneout_h,
        }  # fmt: skip
    cell = _run.GRU_AFTER if flag("reset_after", reset_after) else _run.GRU_BEFORE
    h, _, tape = _run.forward(cell, x, h0, None, W_x, W_h, b, training, lengths, reverse, given)
    return h, tape


@mirrored
def gru_backward(
    dh: np.ndarray,
    tape: RecurrentTape,
    out: tuple[np.ndarray | None, ...] | None = None,
    accumulate: bool = False,
    input_gradient: bool = True,
    dh_last: np.ndarray | None = None,
) -> GRUGradients:
    """Gradients of :func:`gru_forward`, backward through time (docs/recurrent.md 5.5).

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
    gradients : GRUGradients
        (dx, dh0, dW_x, dW_h, db, dgains), shaped as what they belong to.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or outputs overlap inputs.

    Notes
    -----
    With u = h W_hn + b_hn and dh from above and from t + 1:

    .. math::
        dn = dh (1 - z)(1 - n^2),\\; dz = dh (h_{t-1} - n) z (1 - z), \\\\
        dr = dn\\, u\\, r (1 - r),\\; du = dn\\, r, \\\\
        dh_{t-1} = dh\\, z + (dr, dz, du) W_h^T, \\quad dx_t = (dr, dz, dn) W_x^T.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.gru_forward(np.ones((1, 1, 1)), np.zeros((1, 1)), np.ones((1, 3)), np.ones((1, 3)), np.zeros(4))
    >>> gradients = fd.gru_backward(np.ones_like(h), tape)
    >>> bool(np.allclose(gradients.dx.ravel(), gradients.db[:3].sum()))
    True
    """
    whole = _run.without_options(out)
    cells = (_run.GRU_AFTER, _run.GRU_BEFORE)
    dx, dh0, _, dW_x, dW_h, db, _, _, dgains = _run.backward(
        cells, dh, None, tape, whole, accumulate, input_gradient, dh_last, None, "gru_forward"
    )
    return GRUGradients(dx, dh0, dW_x, dW_h, db, dgains)
