"""The recurrent layer of xLSTM whose states are vectors: sLSTM. See also _cells.py."""

from typing import Any

import numpy as np

from .._validate import choice, flag, integer
from ..random import Generator
from ..recurrent._run import SLSTM, SLSTM_EXP
from ._call import Cell
from ._cells import listed
from ._stack import Stack, shared


class sLSTM(Stack):
    """Layers of scalar long short-term memory (Beck 2024), stacked: exponential gates, and a normalizer beside c.

    It is written as in the paper and the authors' code, beside mLSTM, whose cell is a matrix.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014). With one layer nothing is
        dropped, and a warning says so.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    heads : int, default 1
        Parts of so many units each, of which a unit's gates read its own part's h alone; a divisor of `hidden_size`.
    forget_gate : {"sigmoid", "exp"}, default "sigmoid"
        The forget gate: sigma(a_f), as in the authors' code, or exp(a_f).
    bias : bool, default True
    init : {"xlstm", "torch"}, default "xlstm"
        Initial weights: the authors', W_x normal of variance 2 / (5 I), W_h zero and b zero but for the forget gate's,
        which falls from 5 to -7 over the units of a head, so that some remember long and some forget; or all
        U(-1/sqrt(H), 1/sqrt(H)).
    candidate_dropout : float, default 0
        Dropout on the candidate z, a new mask every step (Semeniuta 2016).
    bidirectional, merge, reverse, output, input_dropout, state_dropout, weight_dropout, zoneout, truncate, \
checkpoint, rng, dtype
        As of :class:`RNN`. A sequence begins with zero states, that is, with nothing stored; there is no learned one.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (I, 4 H), (H, 4 H) and (4 H,), gates in the order i, f, z, o. With several heads weight_hh is
        (heads, H / heads, 4 H / heads), and ``state_dict`` has it so; other matrices are transposed there, as torch
        has them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as stated, or `heads` does not divide `hidden_size`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> lstm = fd.nn.sLSTM(3, 8, num_layers=2, heads=2, rng=0)
    >>> y, (h, c, n, m) = lstm.forward(np.ones((5, 2, 3), np.float32), return_state=True)
    >>> y.shape, n.shape, lstm.weight_hh_l0.shape
    ((5, 2, 8), (2, 2, 8), (2, 4, 16))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        heads: int = 1,
        forget_gate: str = "sigmoid",
        bias: bool = True,
        init: str = "xlstm",
        bidirectional: bool = False,
        merge: str = "concat",
        reverse: bool = False,
        output: str = "sequence",
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
        given = shared(locals(), "heads", "forget_gate")
        self.forget_gate = choice("forget_gate", forget_gate, ("sigmoid", "exp"))
        self.heads, hidden_size = integer("heads", heads, 1), integer("hidden_size", hidden_size, 1)
        if hidden_size % self.heads:
            raise ValueError(f"heads: got {heads}, expected a divisor of hidden_size, {hidden_size}")
        own = {"forget_gate": self.forget_gate}
        given["bias"] = flag("bias", bias)
        super().__init__(
            Cell(SLSTM_EXP if forget_gate == "exp" else SLSTM, "slstm", own, self.heads), learned_state=False, **given
        )

    def _describe(self) -> str:
        return f"sLSTM({listed(self, heads=1, forget_gate='sigmoid', init='xlstm')})"
