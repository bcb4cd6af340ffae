"""Recurrent layers as objects."""

import math
from typing import Any

import numpy as np

from .. import recurrent
from .._validate import float_array, integer, number
from ..random import Generator, as_generator
from ._layers import float_dtype
from ._module import Module
from ._parameter import Parameter
from .dropout import Dropout

State = tuple[np.ndarray, np.ndarray]


class LSTM(Module):
    """Long short-term memory layers, stacked.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    dropout : float, default 0
        Probability of dropping an output of each layer but the last (Zaremba 2014).
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    rng : None, int or fastdl.random.Generator
        Source of the initial values, U(-1/sqrt(H), 1/sqrt(H)) as in torch, and of the dropout.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_l0, weight_ih_l1, ... : Parameter
        (I, 4 H), (H, 4 H) and (4 H,), gates in the order i, f, g, o. ``state_dict`` has torch's names and
        layouts, with the bias in ``bias_ih_l0`` and zeros in ``bias_hh_l0``; loading adds the two.

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
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.input_size = integer("input_size", input_size, 1)
        self.hidden_size = H = integer("hidden_size", hidden_size, 1)
        self.num_layers = integer("num_layers", num_layers, 1)
        self.dropout = number("dropout", dropout, 0, 1)
        self.batch_first = bool(batch_first)
        self.dtype = float_dtype(dtype)
        source, bound = as_generator(rng), 1 / math.sqrt(H)
        for k in range(self.num_layers):
            shapes = {
                f"weight_ih_l{k}": (H if k else self.input_size, 4 * H),
                f"weight_hh_l{k}": (H, 4 * H),
                f"bias_l{k}": (4 * H,),
            }
            for name, shape in shapes.items():
                values = source.uniform(-bound, bound, shape, self.dtype)
                setattr(self, name, Parameter(name, values, transposed=len(shape) == 2))
            if self.dropout and k < self.num_layers - 1:
                setattr(self, f"dropout_l{k}", Dropout(self.dropout, rng=int(source.integers(0, 2**31))))

    def initial_state(self, batch: int) -> State:
        """Zeros: (h, c), each (num_layers, batch, hidden_size)."""
        shape = (self.num_layers, batch, self.hidden_size)
        return np.zeros(shape, self.dtype), np.zeros(shape, self.dtype)

    def forward(self, x: np.ndarray, state: State | None = None, *, return_state: bool = False) -> Any:
        """Run all layers over the sequence.

        Parameters
        ----------
        x : ndarray (T, B, input_size)
        state : (h, c), optional
            Initial states, each (num_layers, B, hidden_size); zeros by default.
        return_state : bool, default False
            Whether to return (y, (h, c)) with the final states.

        Returns
        -------
        y : ndarray (T, B, hidden_size)
            Hidden states of the last layer.
        """
        x = float_array("x", x, (None, None, self.input_size), self.dtype)
        y = self._turned(x)
        shape = (self.num_layers, y.shape[1], self.hidden_size)
        if state is None:
            h0, c0 = self.initial_state(y.shape[1])
        else:
            h0 = float_array("state[0]", state[0], shape, self.dtype)
            c0 = float_array("state[1]", state[1], shape, self.dtype)
        tapes, last = [], []
        for k in range(self.num_layers):
            W_x, W_h, b = (parameter.data for parameter in self._layer(k))
            h, c, tape = recurrent.lstm_forward(y, h0[k], c0[k], W_x, W_h, b, training=self.training)
            tapes.append(tape)
            if return_state:
                last.append((h[-1], c[-1]) if len(h) else (h0[k], c0[k]))
            y = self._children[f"dropout_l{k}"].forward(h) if k < len(self._children) else h
        if self.training:
            self._tape.append(tapes)
        y = self._turned(y)
        if not return_state:
            return y
        final = self.initial_state(shape[1])
        for k, states in enumerate(last):
            final[0][k], final[1][k] = states
        return y, final

    def backward(self, dy: np.ndarray, dstate: State | None = None, *, return_state: bool = False) -> Any:
        """Gradients of the last forward.

        Parameters
        ----------
        dy : ndarray (T, B, hidden_size)
            Gradient by the output.
        dstate : (dh, dc), optional
            Gradient by the final states, each (num_layers, B, hidden_size).
        return_state : bool, default False
            Whether to return (dx, (dh0, dc0)) with the gradients by the initial states.

        Returns
        -------
        dx : ndarray (T, B, input_size)
        """
        tapes = self._pop()
        dy = self._turned(dy)
        first = []
        for k in reversed(range(self.num_layers)):
            if k < len(self._children):
                dy = self._children[f"dropout_l{k}"].backward(dy)
            dc = None
            if dstate is not None:
                dy = dy.copy()
                dy[-1] += dstate[0][k]
                dc = dstate[1][k]
            gradients, accumulate = zip(*(p.claim_grad() for p in self._layer(k)), strict=True)
            dy, dh0, dc0 = recurrent.lstm_backward(dy, dc, tapes[k], gradients, accumulate[0])[:3]
            first.append((dh0, dc0))
        dx = self._turned(dy)
        if not return_state:
            return dx
        dh, dc_all = (np.stack(parts) for parts in zip(*reversed(first), strict=True))
        return dx, (dh, dc_all)

    def _layer(self, k: int) -> tuple[Parameter, Parameter, Parameter]:
        named = self._parameters
        return named[f"weight_ih_l{k}"], named[f"weight_hh_l{k}"], named[f"bias_l{k}"]

    def _turned(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x

    def _export(self) -> dict[str, np.ndarray]:
        arrays = {}
        for name, array in super()._export().items():
            if name.startswith("bias_l"):
                arrays[name.replace("bias_", "bias_ih_")] = array
                arrays[name.replace("bias_", "bias_hh_")] = np.zeros_like(array)
            else:
                arrays[name] = array
        return arrays

    def _import(self, arrays: dict[str, np.ndarray]) -> None:
        for k in range(self.num_layers):
            bias = arrays[f"bias_ih_l{k}"] + arrays[f"bias_hh_l{k}"]
            arrays = {**arrays, f"bias_l{k}": bias}
        super()._import(arrays)

    def _describe(self) -> str:
        options = [f", num_layers={self.num_layers}"] if self.num_layers > 1 else []
        options += [f", dropout={self.dropout:g}"] if self.dropout else []
        options += [", batch_first=True"] if self.batch_first else []
        return f"LSTM({self.input_size}, {self.hidden_size}{''.join(options)})"
