"""One-to-many: a label in, a sequence out."""

from typing import Any, Unpack

import numpy as np

from .. import dense, nn, random, sequence, training
from .._validate import flag, float_array, index_array, integer, number, parts, sampling, whole_array
from ..nn._backward import backward
from ..nn._modes import evaluating
from ._checks import at_least_one, lstm_settings
from ._fitting import Prepared, train
from ._options import ExampleOptions
from ._ready import Ready


class SequenceGenerator(Ready):
    """An LSTM that writes a sequence of whole-numbered vectors for a label (one-to-many, docs/models.md 5.2).

    Each step reads the label and the vector before, zeros at first, and gives every feature a distribution over
    its levels. It is trained on the true vector before (teacher forcing), and writes from its own.

    Parameters
    ----------
    classes : int
        Labels.
    steps, features, levels : int
        A sequence is (steps, features) integers from 0 to levels - 1.
    hidden : int, default 128
        Size of the LSTM's state.
    dropout : float, default 0.2
        Probability of dropping an element of the states in training.
    layers : int, default 1
        LSTM layers; `dropout` acts between them too.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks and the order of the examples come from.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, `levels` below 2, or `dropout` outside [0, 1].

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> sequences = np.array([[[0], [1], [2]], [[2], [1], [0]]])  # up for label 0, down for label 1
    >>> model = fd.models.SequenceGenerator(2, steps=3, features=1, levels=3, hidden=16, dropout=0.0, rng=0)
    >>> history = model.fit([0, 1], sequences, epochs=150, learning_rate=0.02)
    >>> model.generate([1, 0], temperature=0)[:, :, 0]
    array([[2, 1, 0],
           [0, 1, 2]])
    """

    _inline = True

    def __init__(
        self,
        classes: int,
        steps: int,
        features: int,
        levels: int,
        hidden: int = 128,
        dropout: float = 0.2,
        *,
        layers: int = 1,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.classes, self.steps = integer("classes", classes, 1), integer("steps", steps, 1)
        self.features, self.levels = integer("features", features, 1), integer("levels", levels, 2)
        dropout = number("dropout", dropout, 0.0, 1.0)
        width, stack = lstm_settings(hidden, layers, False, dropout)
        rng = self._start(rng)
        self.lstm = nn.LSTM(features + classes, width, **stack, rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(width, features * levels, rng=rng)

    def forward(self, x: Any, state: Any = None, *, return_state: bool = False) -> Any:
        """Logits of the levels, step by step.

        Parameters
        ----------
        x : (labels (B,), vectors before (T, B, features)), both of int
            From 0 to classes - 1, and from 0 to levels - 1: what each step reads, in training the true vector before.
        state : optional
            The LSTM's initial state; None is zeros.
        return_state : bool, default False
            Whether to return (logits, final state) instead of the logits.

        Returns
        -------
        ndarray of float32 (T, B, features, levels)
            Before the softmax over the levels.

        Raises
        ------
        TypeError, ValueError
            If `x` is no such pair, or the state does not fit.
        """
        return_state = flag("return_state", return_state)
        labels, before = parts("x", x, "labels (B,)", "vectors before (T, B, features)")
        before = index_array("x[1]", before, self.levels, (None, None, self.features))
        T, B, _ = before.shape
        labels = index_array("x[0]", labels, self.classes, (B,))
        inputs = np.zeros((T, B, self.features + self.classes), self.linear.weight.dtype)
        inputs[..., : self.features] = before / inputs.dtype.type(self.levels - 1)
        inputs[:, np.arange(B), self.features + labels] = 1
        h, state = self.lstm.forward(inputs, state, return_state=True)
        logits = self.linear.forward(self.dropout.forward(h)).reshape(T, B, self.features, self.levels)
        return (logits, state) if return_state else logits

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward.

        Parameters
        ----------
        dy : ndarray of float32 (T, B, features, levels)
            Gradient with respect to the logits.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        """
        dy = float_array("dy", dy, (None, None, self.features, self.levels))
        dy = dy.reshape(*dy.shape[:2], self.features * self.levels)
        backward(self.lstm, self.dropout.backward(self.linear.backward(dy)), False)

    def fit(
        self,
        labels: Any,
        values: np.ndarray,
        *,
        epochs: int = 60,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.05,
        validation: Any = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[ExampleOptions],
    ) -> training.History:
        """Train on labels and their sequences, by AdamW under a one-cycle schedule.

        Parameters
        ----------
        labels : array_like of int (N,)
            From 0 to classes - 1.
        values : array_like of int (N, steps, features)
            The sequences, from 0 to levels - 1.
        epochs : int, default 60
            Passes over the data.
        batch_size : int, default 32
            Sequences a step.
        learning_rate : float, default 5e-3
            The largest of the cycle.
        weight_decay : float, default 0.05
            Decoupled: a step takes rate * weight_decay of each weight away.
        validation : tuple (labels, values), optional
            Held-out data in the same form, measured after every epoch.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule``, ``sample_weight`` and more (docs/models.md).

        Returns
        -------
        fastdl.training.History
            The learning curve, of nats a feature. The model is in evaluation mode afterwards.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad; the model is as it was.
        FloatingPointError
            If the loss is no longer finite; the model is as it was.

        Warns
        -----
        UserWarning
            If values that were loaded, set or trained by other means are drawn anew, since it is no `warm_start`.
        """
        return train(
            self, dense.softmax_cross_entropy, (labels, values), self._prepared,
            validation=validation, warm_start=warm_start,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            progress=progress, options=options,
        )  # fmt: skip

    def _prepared(self, labels: Any, values: Any) -> Prepared:
        values = whole_array("values", values, self.levels, (None, self.steps, self.features))
        at_least_one("values", values, "sequence")
        targets = np.ascontiguousarray(values.swapaxes(0, 1))
        labels = whole_array("labels", labels, self.classes, (len(values),))
        before = np.concatenate([np.zeros_like(targets[:1]), targets[:-1]])
        return Prepared(len(labels), lambda chosen: ((labels[chosen], before[:, chosen]), targets[:, chosen]), axis=1)

    def generate(
        self,
        labels: Any,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        rng: Any = None,
    ) -> np.ndarray:
        """Write a sequence for each label.

        Parameters
        ----------
        labels : sequence of int (N,)
        temperature, top_k, top_p, rng
            As for :func:`fastdl.sample`, which draws every feature.

        Returns
        -------
        ndarray of int64 (N, steps, features)

        Raises
        ------
        TypeError, ValueError
            If an argument is out of its range, or the model's logits are not finite.

        Notes
        -----
        Works in evaluation mode; the model's own mode is then as before, and nothing is drawn from its generators.
        """
        labels = whole_array("labels", labels, self.classes, (None,))
        how = sampling(temperature, top_k, top_p)
        rng = random.as_generator(rng)
        written = np.zeros((self.steps + 1, len(labels), self.features), np.int64)
        state = None
        with evaluating(self):
            for t in range(self.steps):
                logits, state = self.forward((labels, written[t : t + 1]), state, return_state=True)
                written[t + 1] = sequence.sample(logits[0], *how, rng)
        return np.ascontiguousarray(written[1:].swapaxes(0, 1))
