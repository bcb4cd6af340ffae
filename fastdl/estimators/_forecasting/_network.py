"""The network: a recurrent layer reads a window a step, and a head gives the values of all steps ahead at each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import nn, random
from ..._validate import choice, float_array, parts
from .._sequence_network import CELLS


class ForecastNet(nn.Module):
    """States of a causal recurrent layer, beside what is known at each step, to outputs for the steps ahead.

    ``y_t = W_s drop(h_t) + W_u [u_t, f_t] + b`` with h the layer's outputs of u, and f what is known of the steps
    ahead; with a hidden layer in the head ``y_t = W_2 relu(W_1 [drop(h_t), f_t] + b_1) + W_u [u_t, f_t] + b``. It is
    what :class:`GlobalForecaster` trains, and gives the values ahead at every step (Wen et al. 2017).

    Parameters
    ----------
    inputs, known, outputs : int
        Numbers at each step: read by the layer, known of the steps ahead (may be 0), and given.
    cell : str, default "lstm"
        A recurrent layer of :mod:`fastdl.nn`, in small letters.
    hidden_size : int, default 64
        Units of the recurrent layer.
    num_layers : int, default 1
        Recurrent layers.
    dropout : float, default 0.0
        Probability of dropping an element of their outputs.
    head_size : int, default 0
        Units of the hidden layer in the head; 0 for none.
    options : mapping, optional
        Further arguments of the recurrent layer.
    rng : None, int or fastdl.random.Generator, default None
        Source of the first values and masks.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> net = fd.estimators.ForecastNet(inputs=3, known=0, outputs=2, hidden_size=4, rng=0)
    >>> net((np.zeros((5, 1, 3), np.float32), np.zeros((5, 1, 0), np.float32))).shape
    (5, 1, 2)
    """

    def __init__(
        self,
        inputs: int,
        known: int,
        outputs: int,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        head_size: int = 0,
        options: Mapping[str, Any] | None = None,
        rng: Any = None,
    ) -> None:
        super().__init__()
        rng = random.as_generator(rng)
        between = dropout if num_layers > 1 else 0.0
        kind = CELLS[choice("cell", cell, tuple(CELLS))]
        self.cell = kind(inputs, hidden_size, num_layers=num_layers, dropout=between, rng=rng, **(options or {}))
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.known = known
        self.width = (options or {}).get("proj_size") or hidden_size
        self.hidden = nn.Linear(self.width + known, head_size, rng=rng) if head_size else None
        self.relu = nn.ReLU()
        self.out = nn.Linear(head_size or self.width, outputs, rng=rng)
        self.skip = nn.Linear(inputs + known, outputs, bias=False, rng=rng)
        self.skip.weight.data = np.zeros((inputs + known, outputs))  # at first the states alone say how it goes on

    def forward(self, x: Any) -> np.ndarray:
        """The outputs at each step.

        Parameters
        ----------
        x : tuple of two ndarrays of float32
            What is read (T, B, inputs), and what is known of the steps ahead (T, B, known).

        Returns
        -------
        ndarray of float32 (T, B, outputs)

        Raises
        ------
        TypeError, ValueError
            If `x` is no such pair.
        """
        steps, known = parts("x", x, "steps", "known")
        steps = float_array("x[0]", steps, (None, None, self.cell.input_size), self.cell.dtype)
        known = float_array("x[1]", known, (*steps.shape[:2], self.known), steps.dtype)
        states = self.dropout.forward(self.cell.forward(steps))
        if self.hidden is not None:
            beside = np.concatenate([states, known], axis=2) if known.shape[2] else states
            states = self.relu.forward(self.hidden.forward(beside))
        seen = np.concatenate([steps, known], axis=2) if known.shape[2] else steps
        return self.out.forward(states) + self.skip.forward(seen)

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward; inputs are data and have none.

        Parameters
        ----------
        dy : ndarray of float32 (T, B, outputs)
            Gradient with respect to the outputs.
        """
        self.skip.backward(dy)
        states = self.out.backward(dy)
        if self.hidden is not None:
            states = self.hidden.backward(self.relu.backward(states))
            states = np.ascontiguousarray(states[..., : self.width])
        self.cell.backward(self.dropout.backward(states), input_gradient=False)
