"""Recurrent layers whose cells multiply h by no matrix: IndRNN, MinGRU, MinLSTM. See also _cells.py."""

from typing import Any

import numpy as np

from .._validate import choice, flag
from ..random import Generator
from ..recurrent._run import INDRNN_RELU, INDRNN_TANH, MINGRU, MINGRU_POSITIVE, MINLSTM
from ._call import Cell
from ._cells import listed
from ._stack import Stack, shared


class IndRNN(Stack):
    """Independently recurrent layers (Li 2018), stacked: ``h_t = f(x_t W_x + u * h_{t-1} + b)``, u a vector.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    bias : bool, default True
    nonlinearity : {"relu", "tanh"}, default "relu"
    clip : float, optional
        Bound of what enters f.
    weight_dropout : float, default 0
        DropConnect on u: one mask for all time steps (Merity 2017).
    bidirectional, merge, reverse, output, learned_state, input_dropout, state_dropout, zoneout, truncate, checkpoint, \
rng, dtype
        As of :class:`RNN`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, H), (H,) and (H,): weight_hh is u, drawn from [0, 1) as in the paper, the others as torch's RNN. Also
        h0_l0 (H,).

    Raises
    ------
    TypeError, ValueError
        As :class:`RNN`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> rnn = fd.nn.IndRNN(3, 4, num_layers=2, rng=0)
    >>> y, h = rnn.forward(np.ones((5, 2, 3), np.float32), return_state=True)
    >>> y.shape, h.shape, rnn.weight_hh_l0.shape
    ((5, 2, 4), (2, 2, 4), (4,))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool = True,
        nonlinearity: str = "relu",
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
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
        self.nonlinearity = choice("nonlinearity", nonlinearity, ("relu", "tanh"))
        number = INDRNN_RELU if nonlinearity == "relu" else INDRNN_TANH
        given["bias"] = flag("bias", bias)
        super().__init__(Cell(number, "indrnn", {"nonlinearity": nonlinearity}), **given)

    def _describe(self) -> str:
        return f"IndRNN({listed(self, nonlinearity='relu')})"


class MinGRU(Stack):
    """Layers of minimal gated recurrent units (Feng 2024), stacked: the gates read the input alone.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    bias : bool, default True
    positive : bool, default False
        Whether candidates are positive: see :func:`fastdl.mingru_forward`.
    candidate_dropout : float, default 0
        Dropout on the candidate n, a new mask every step (Semeniuta 2016).
    bidirectional, merge, reverse, output, learned_state, input_dropout, zoneout, truncate, checkpoint, rng, dtype
        As of :class:`RNN`.

    Attributes
    ----------
    weight_ih_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, 2 H) and (2 H,), gates in the order z, n, drawn as torch's RNN. Also h0_l0 (H,).

    Raises
    ------
    TypeError, ValueError
        As :class:`RNN`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> gru = fd.nn.MinGRU(3, 4, num_layers=2, rng=0)
    >>> y, h = gru.forward(np.ones((5, 2, 3), np.float32), return_state=True)
    >>> y.shape, h.shape, gru.weight_ih_l0.shape
    ((5, 2, 4), (2, 2, 4), (3, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool = True,
        positive: bool = False,
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
        input_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        zoneout: float = 0.0,
        truncate: int | None = None,
        checkpoint: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        given = shared(locals(), "positive")
        self.positive = flag("positive", positive)
        cell = Cell(MINGRU_POSITIVE if positive else MINGRU, "mingru", {"positive": self.positive})
        given["bias"] = flag("bias", bias)
        super().__init__(cell, **given)

    def _describe(self) -> str:
        return f"MinGRU({listed(self, positive=False)})"


class MinLSTM(Stack):
    """Layers of minimal long short-term memory (Feng 2024), stacked: the gates read the input alone.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    bias : bool, default True
    positive : bool, default False
        Whether candidates are positive: see :func:`fastdl.minlstm_forward`.
    normalized : bool, default True
        Whether f and i are divided by their sum.
    candidate_dropout : float, default 0
        Dropout on the candidate n, a new mask every step (Semeniuta 2016).
    bidirectional, merge, reverse, output, learned_state, input_dropout, zoneout, truncate, checkpoint, rng, dtype
        As of :class:`RNN`.

    Attributes
    ----------
    weight_ih_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, 3 H) and (3 H,), gates in the order f, i, n, drawn as torch's RNN. Also h0_l0 (H,).

    Raises
    ------
    TypeError, ValueError
        As :class:`RNN`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> lstm = fd.nn.MinLSTM(3, 4, num_layers=2, rng=0)
    >>> y, h = lstm.forward(np.ones((5, 2, 3), np.float32), return_state=True)
    >>> y.shape, h.shape, lstm.weight_ih_l0.shape
    ((5, 2, 4), (2, 2, 4), (3, 12))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        bias: bool = True,
        positive: bool = False,
        normalized: bool = True,
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
        learned_state: bool = False,
        input_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        zoneout: float = 0.0,
        truncate: int | None = None,
        checkpoint: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        given = shared(locals(), "positive", "normalized")
        self.positive, self.normalized = flag("positive", positive), flag("normalized", normalized)
        own = {"positive": self.positive, "normalized": self.normalized}
        cell = Cell(MINLSTM + self.positive + 2 * (not self.normalized), "minlstm", own)
        given["bias"] = flag("bias", bias)
        super().__init__(cell, **given)

    def _describe(self) -> str:
        return f"MinLSTM({listed(self, positive=False, normalized=True)})"
