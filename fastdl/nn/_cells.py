"""The recurrent layers by cell: RNN, LSTM, GRU. Which row of the topic's table each is, and what its arguments mean."""

from typing import Any

import numpy as np

from .._validate import choice, flag, number
from ..random import Generator
from ..recurrent._run import (
    GRU_AFTER,
    GRU_BEFORE,
    LSTM_COUPLED,
    RNN_RELU,
    RNN_TANH,
)
from ..recurrent._run import LSTM as LSTM_PLAIN
from . import _formats
from ._call import Cell
from ._stack import Stack, shared


class RNN(Stack):
    """Simple recurrent layers (Elman), stacked: ``h_t = f(x_t W_x + h_{t-1} W_h + b)``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    bias : bool or "single", default True
        Two biases a layer as in torch, whose sum is b; "single" for one, as in Keras; False for none. An optimizer
        moves a sum of two at twice the rate of one.
    init : {"torch", "keras"}, default "torch"
        Initial weights: all U(-1/sqrt(H), 1/sqrt(H)); or W_x uniform (Glorot 2010), W_h orthogonal (Saxe 2014), b zero.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        The function f.
    bidirectional : bool, default False
        Whether a second set of weights reads each sequence from its true end to its beginning.
    merge : {"concat", "sum", "mean"}, default "concat"
        How the two directions' outputs become one.
    reverse : bool, default False
        Whether the only direction is from the end to the beginning.
    output : {"sequence", "last"}, default "sequence"
        All outputs, or each sequence's at its true end (at its beginning for the reverse direction).
    learned_state : bool, default False
        Whether the initial states are parameters, h0_l0 and so on, that start at zero.
    layer_norm : bool, default False
        Layer norm on the gates: see :func:`fastdl.rnn_forward`.
    clip : float, optional
        Bound of what enters the gates' functions.
    input_dropout, state_dropout : float, default 0
        Variational dropout (Gal and Ghahramani 2016): one mask for all time steps on each layer's input, and on the
        state that enters the recurrent product.
    weight_dropout : float, default 0
        DropConnect on the recurrent weights: one mask for all time steps (Merity 2017).
    zoneout : float, default 0
        Probability that an element of h keeps its old value (Krueger 2017); the expectation in evaluation mode.
    truncate : int, optional
        Truncated backpropagation through time: gradients end at multiples of so many steps, the state does not.
        Backward runs each window again, so activations of one window are held at a time.
    checkpoint : bool, default False
        Keep the states at every sqrt(T)-th step alone and run the rest again in backward: less memory, more time.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, in torch's order, and of what is dropped.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, H), (H, H), (H,) and (H,). ``state_dict`` has torch's names and layouts. With ``bias="single"`` there is
        bias_l0 instead: ``state_dict`` has it in ``bias_ih_l0`` and zeros in ``bias_hh_l0``, and loading adds the
        two. Also gain_l0 (2, 1, H) with layer norm, h0_l0 (H,).

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or below 1, a rate is outside its range, a choice is not known, or `reverse` meets
        `bidirectional`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> rnn = fd.nn.RNN(3, 4, bidirectional=True, rng=0)
    >>> y, h = rnn.forward(np.ones((5, 2, 3), np.float32), lengths=[5, 2], return_state=True)
    >>> y.shape, h.shape, float(abs(y[2:, 1]).sum())
    ((5, 2, 8), (2, 2, 4), 0.0)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool | str = True,
        init: str = "torch",
        nonlinearity: str = "tanh",
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
        layer_norm: bool = False,
        clip: float | None = None,
        input_dropout: float = 0.0,
        state_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float = 0.0,
        truncate: int | None = None,
        checkpoint: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        given = shared(locals(), "nonlinearity")
        self.nonlinearity = choice("nonlinearity", nonlinearity, ("tanh", "relu"))
        cell = Cell(RNN_RELU if nonlinearity == "relu" else RNN_TANH, "rnn", {"nonlinearity": nonlinearity})
        super().__init__(cell, **given)

    def _describe(self) -> str:
        return f"RNN({listed(self, nonlinearity='tanh')})"

    export_weights = _formats.export_weights
    import_weights = _formats.import_weights


class LSTM(Stack):
    """Long short-term memory layers, stacked.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    init : {"torch", "keras", "gers"}, default "keras"
        Initial weights. Keras' are those of :class:`RNN` with 1 for the forget gate's bias. Gers' (2000) are weights in
        (-0.2, 0.2) and biases by quarters of the units: -0.5, -1, -1.5, -2 of i and o, 0.5 to 2 of f, 0 of g. What was
        learnt from each is in docs/recurrent.md.
    proj_size : int, default 0
        Size of h by projection (Sak 2014), torch's name; 0 for none.
    peepholes : bool, default False
        Whether i and f also see ``c_{t-1}``, and o sees ``c_t`` (Gers 2002).
    coupled : bool, default False
        Coupled input and forget gate, ``f = 1 - i``: three gates, i, g, o.
    forget_bias : float, optional
        Initial bias of the forget gate, in bias_ih with bias_hh zero there; None leaves it to `init` (1 helps to learn
        long lags: Jozefowicz 2015).
    cell_clip : float, optional
        Bound of c.
    candidate_dropout : float, default 0
        Dropout on the candidate g, a new mask every step (Semeniuta 2016).
    zoneout, zoneout_cell : float, default 0
        Probability that an element of h, or c, keeps its old value (Krueger 2017); the expectation in evaluation.
    bias, bidirectional, merge, reverse, output, learned_state, layer_norm, clip, input_dropout, state_dropout, \
weight_dropout, truncate, checkpoint, rng, dtype
        As of :class:`RNN`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, 4 H), (H, 4 H), (4 H,) and (4 H,), gates in the order i, f, g, o. ``state_dict`` has torch's names and
        layouts; for ``bias="single"`` see :class:`RNN`. Also weight_hr_l0 (H, P), peephole_l0 (3, H), gain_l0
        (2, 4, H), h0_l0, c0_l0 where there are such.

    Raises
    ------
    TypeError, ValueError
        As :class:`RNN`; and for `forget_bias` without a bias or with coupled gates.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> lstm = fd.nn.LSTM(3, 4, num_layers=2, rng=0)
    >>> y, (h, c) = lstm.forward(np.ones((5, 2, 3), np.float32), return_state=True)
    >>> y.shape, h.shape, bool((y[-1] == h[-1]).all())
    ((5, 2, 4), (2, 2, 4), True)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool | str = True,
        init: str = "keras",
        proj_size: int = 0,
        peepholes: bool = False,
        coupled: bool = False,
        forget_bias: float | None = None,
        cell_clip: float | None = None,
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
        layer_norm: bool = False,
        clip: float | None = None,
        input_dropout: float = 0.0,
        state_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float = 0.0,
        zoneout_cell: float = 0.0,
        truncate: int | None = None,
        checkpoint: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        given = shared(locals(), "coupled", "forget_bias")
        self.coupled = flag("coupled", coupled)
        if self.coupled and forget_bias is not None:
            raise ValueError(f"forget_bias: got {forget_bias} with coupled=True, which has no forget gate")
        cell = Cell(LSTM_COUPLED if self.coupled else LSTM_PLAIN, "lstm", {"coupled": self.coupled})
        super().__init__(cell, **given)
        if forget_bias is not None:
            self._set_forget_bias(forget_bias)

    def _set_forget_bias(self, forget_bias: float) -> None:
        if not self.bias:
            raise ValueError(f"forget_bias: got {forget_bias} with bias=False, which has none")
        value, gate = number("forget_bias", forget_bias), slice(self.hidden_size, 2 * self.hidden_size)
        for layer in self._layers:
            first, *second = layer.biases
            first.data[gate] = value
            for one in second:
                one.data[gate] = 0

    def _describe(self) -> str:
        return f"LSTM({listed(self, 'keras', peepholes=False, coupled=False, cell_clip=None)})"

    export_weights = _formats.export_weights
    import_weights = _formats.import_weights


class GRU(Stack):
    """Layers of gated recurrent units, stacked.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    reset_after : bool, default True
        Whether the reset gate is applied after the recurrent product (torch's and Keras' default) or before it.
    candidate_dropout : float, default 0
        Dropout on the candidate n, a new mask every step (Semeniuta 2016).
    bias, init, bidirectional, merge, reverse, output, learned_state, layer_norm, clip, input_dropout, state_dropout, \
weight_dropout, zoneout, truncate, checkpoint, rng, dtype
        As of :class:`RNN`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, 3 H), (H, 3 H), (3 H,) and (3 H,), gates in the order r, z, n; the last part of bias_hh is that of n's
        recurrent product, which the reset gate multiplies. ``state_dict`` has torch's names and layouts. With
        ``bias="single"`` there is bias_l0 (4 H,) instead, which ends with that part ((3 H,) with the reset before
        the product).

    Raises
    ------
    TypeError, ValueError
        As :class:`RNN`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> gru = fd.nn.GRU(3, 4, output="last", rng=0)
    >>> gru.forward(np.ones((5, 2, 3), np.float32), lengths=[5, 2]).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool | str = True,
        init: str = "torch",
        reset_after: bool = True,
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
        layer_norm: bool = False,
        clip: float | None = None,
        input_dropout: float = 0.0,
        state_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float = 0.0,
        truncate: int | None = None,
        checkpoint: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        given = shared(locals(), "reset_after")
        self.reset_after = flag("reset_after", reset_after)
        cell = Cell(GRU_AFTER if self.reset_after else GRU_BEFORE, "gru", {"reset_after": self.reset_after})
        super().__init__(cell, **given)

    def _describe(self) -> str:
        return f"GRU({listed(self, reset_after=True)})"

    export_weights = _formats.export_weights
    import_weights = _formats.import_weights


def listed(stack: Stack, init: str = "torch", **own: Any) -> str:
    """The constructor's arguments that are not the defaults. own: the cell's, with theirs."""
    defaults = {"num_layers": 1, "dropout": 0, "batch_first": False, **own, "bias": True, "init": init,
                "proj_size": 0, "bidirectional": False, "merge": "concat", "output": "sequence", "learned_state": False,
                "layer_norm": False, "clip": None, "truncate": None, "checkpoint": False}  # fmt: skip
    given = {name: getattr(stack, name) for name, value in defaults.items() if getattr(stack, name) != value}
    if stack.directions[0][1]:
        given["reverse"] = True
    names = {"zone_h": "zoneout", "zone_c": "zoneout_cell"}
    given |= {names.get(name, f"{name}_dropout"): rate for name, rate in stack.rates.items() if rate}
    listed = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in given.items()]
    return ", ".join([str(stack.input_size), str(stack.hidden_size), *listed])
