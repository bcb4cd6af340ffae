"""What a recurrent layer begins with, by the name of `init`.

    init     W_x             W_h            b                                    projection      peepholes
    torch    U(1/sqrt(H))    U(1/sqrt(H))   U(1/sqrt(H))                         U(1/sqrt(H))    U(1/sqrt(H))
    keras    Glorot's U      orthogonal     0, of an LSTM's forget gate 1        Glorot's U      0
    gers     U(0.2)          U(0.2)         i, o -0.5 to -2, f 0.5 to 2, g 0     U(0.2)          U(0.2)
    xlstm    N(2/(5 I))      0              0, of f 5 to -7

U(a) is uniform on [-a, a), N(v) normal of variance v. Where there are two biases all but torch's second is 0. Gains
start at one, learned states at zero.

A vector in the place of W_h is uniform on [0, 1) (Li 2018).

Sources: torch.nn.LSTM; keras.layers.LSTM (Glorot and Bengio 2010; Saxe 2014); Gers 2000, whose four blocks of cells are
four equal parts of the units here. xlstm is that of the authors' code (Beck 2024): f's bias is 5 - 12 p^(0.3 + 1.3
depth), p from 0 to 1 over the units of a head, depth from 0 to 1 over the layers of a stack.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._validate import choice
from ..random import Generator
from ._call import Cell
from ._spread import orthogonal

_BLOCKS = 4


class Initial(NamedTuple):
    """Draws a layer's initial weights."""

    init: str
    cell: Cell
    hidden: int
    dtype: np.dtype
    source: Generator

    def values(self, shapes: Mapping[str, tuple[int, ...]], depth: float) -> dict[str, np.ndarray]:
        """Arrays by the parameters' names within the layer, drawn in their order. depth: where in the stack it lies, 0
        to 1."""
        return {name: self._value(name, shape, depth).astype(self.dtype, copy=False) for name, shape in shapes.items()}

    def _value(self, name: str, shape: tuple[int, ...], depth: float) -> np.ndarray:
        if name in ("gain", "h0", "c0"):
            return np.full(shape, name == "gain", self.dtype)
        if name == "weight_hh" and self.cell.recurrence == "diagonal":
            return self.source.uniform(0.0, 1.0, shape, self.dtype)
        if self.init == "xlstm":
            return self._xlstm(name, shape, depth)
        if self.init == "torch":
            return self._uniform(1 / math.sqrt(self.hidden), shape)
        if name.startswith("bias"):
            return np.zeros(shape) if name == "bias_hh" else self._bias(shape)
        if self.init == "gers":
            return self._uniform(0.2, shape)
        if name == "peephole":
            return np.zeros(shape)
        return (
            orthogonal(self.source, shape) if name == "weight_hh" else self._uniform(math.sqrt(6 / sum(shape)), shape)
        )

    def _uniform(self, bound: float, shape: tuple[int, ...]) -> np.ndarray:
        values: np.ndarray = self.source.uniform(-bound, bound, shape, self.dtype)
        return values

    def _xlstm(self, name: str, shape: tuple[int, ...], depth: float) -> np.ndarray:
        if name == "weight_ih":
            return self.source.normal(0.0, math.sqrt(2 / (5 * shape[0])), shape, self.dtype)
        values, heads = np.zeros(shape), self.cell.heads
        if name == "bias":
            within = np.linspace(0, 1, self.hidden // heads)
            values[self.hidden : 2 * self.hidden] = np.tile(5 - 12 * within ** (0.3 + 1.3 * depth), heads)
        return values

    def _bias(self, shape: tuple[int, ...]) -> np.ndarray:
        H, bias = self.hidden, np.zeros(shape)
        if self.cell.function != "lstm":
            return bias
        forgets = self.cell.gates == 4
        if self.init == "keras":
            bias[H : 2 * H] = forgets
            return bias
        blocks = 0.5 + 0.5 * (np.arange(H) * _BLOCKS // H)
        bias[:H] = bias[-H:] = -blocks
        if forgets:
            bias[H : 2 * H] = blocks
        return bias


def checked_init(init: Any, cell: Cell) -> str:
    """The name, of what the cell may begin with."""
    choice("init", init, ("xlstm", "torch") if cell.function == "slstm" else ("torch", "keras", "gers"))
    if init == "gers" and cell.function != "lstm":
        raise ValueError("init: got 'gers', expected 'torch' or 'keras' for a layer without the LSTM's gates")
    return str(init)
