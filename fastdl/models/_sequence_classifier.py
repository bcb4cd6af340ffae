"""Many-to-one: a sequence in, a class out."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from .. import nn, training
from .._validate import flag, float_array, integer, lengths_array, number, parts, whole_array
from ..metrics import accuracy_score
from ..nn._backward import backward
from ._checks import lstm_settings, vector_sequences
from ._fitting import LARGEST, Prepared, in_turn, padded, predicted, probable, smoothed, train
from ._options import ClassOptions
from ._ready import Ready


class SequenceClassifier(Ready):
    """An LSTM that reads a sequence of vectors and names its class at the end (many-to-one, docs/models.md 5.2).

    Parameters
    ----------
    features, classes : int
        Length of a step's vector, and number of classes.
    hidden : int, default 128
        Size of the LSTM's state.
    dropout : float, default 0.3
        Probability of dropping an element of the last state in training.
    noise : float, default 0.0
        Standard deviation of noise added to the inputs in training, in their units.
    layers : int, default 1
        LSTM layers; `dropout` acts between them too.
    bidirectional : bool, default False
        Whether a sequence is read in both directions; `hidden` is then even, half for each.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks, noise and the order of the examples come from.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, `dropout` is outside [0, 1], or `noise` is negative.

    Examples
    --------
    Which of the two numbers came first?

    >>> import numpy as np, fastdl as fd
    >>> x = [np.array(values, np.float32)[:, None] for values in ([1, 0, 0], [0, 0, 1], [1, 0], [0, 1])]
    >>> model = fd.models.SequenceClassifier(1, 2, hidden=8, dropout=0.0, rng=0)
    >>> history = model.fit(x, [0, 1, 0, 1], epochs=100, learning_rate=0.02)
    >>> model.predict(x)
    array([0, 1, 0, 1])
    >>> model.score(x, [0, 1, 0, 1]), model.predict_proba(x).argmax(1)
    (1.0, array([0, 1, 0, 1]))
    """

    def __init__(
        self,
        features: int,
        classes: int,
        hidden: int = 128,
        dropout: float = 0.3,
        noise: float = 0.0,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.features, self.classes = integer("features", features, 1), integer("classes", classes, 1)
        width, stack = lstm_settings(hidden, layers, bidirectional, dropout)
        dropout, noise = number("dropout", dropout, 0.0, 1.0), number("noise", noise, 0.0, LARGEST)
        rng = self._start(rng)
        self.noise = nn.GaussianNoise(noise, rng=rng)
        self.lstm = nn.LSTM(features, width, **stack, output="last", rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(hidden, classes, rng=rng)

    def forward(self, x: Any) -> np.ndarray:
        """Logits of the classes.

        Parameters
        ----------
        x : (sequences (T, B, features) of float32, lengths (B,) of int)
            Padded sequences and their true lengths.

        Returns
        -------
        ndarray of float32 (B, classes)
            Before the softmax.

        Raises
        ------
        TypeError, ValueError
            If `x` is no such pair, or a length is out of range.
        """
        steps, lengths = parts("x", x, "sequences (T, B, features)", "lengths (B,)")
        steps = float_array("x[0]", steps, (None, None, self.features), self.lstm.dtype)
        lengths = lengths_array("x[1]", lengths, *steps.shape[:2])
        last = self.lstm.forward(self.noise.forward(steps), lengths=lengths)
        return self.linear.forward(self.dropout.forward(last))

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add to the gradients, for the last forward.

        Parameters
        ----------
        dy : ndarray of float32 (B, classes)
            Gradient with respect to the logits.
        input_gradient : bool, default True
            Whether the gradient with respect to the sequences is wanted.

        Returns
        -------
        ndarray of float32 (T, B, features), or None
            None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted = flag("input_gradient", input_gradient)
        dx = backward(self.lstm, self.dropout.backward(self.linear.backward(dy)), wanted)
        return self.noise.backward(dx, input_gradient=wanted)

    def fit(
        self,
        x: Sequence[np.ndarray],
        y: Any,
        *,
        epochs: int = 60,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.05,
        label_smoothing: float = 0.1,
        validation: Any = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[ClassOptions],
    ) -> training.History:
        """Train on sequences, of any lengths, and their classes, by AdamW under a one-cycle schedule.

        Parameters
        ----------
        x : sequence of array_like (T, features)
            Sequences of finite numbers, with at least one step; taken as float32.
        y : array_like of int (N,)
            Their classes, from 0 to classes - 1.
        epochs : int, default 60
            Passes over the data.
        batch_size : int, default 32
            Sequences a step.
        learning_rate : float, default 5e-3
            The largest of the cycle.
        weight_decay : float, default 0.05
            Decoupled: a step takes rate * weight_decay of each weight away.
        label_smoothing : float in [0, 1), default 0.1
            Share of a target's probability that is spread evenly over all classes.
        validation : tuple (x, y), optional
            Held-out data in the same form, measured after every epoch.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule``, ``sample_weight``, ``class_weight`` and more (docs/models.md).

        Returns
        -------
        fastdl.training.History
            The learning curve. The model is in evaluation mode afterwards.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad, or a number of `x` is not finite; the model is as it was.
        FloatingPointError
            If the loss is no longer finite; the model is as it was.

        Warns
        -----
        UserWarning
            If values that were loaded, set or trained by other means are drawn anew, since it is no `warm_start`.
        """
        return train(
            self, smoothed(label_smoothing), (x, y), self._prepared, validation=validation, warm_start=warm_start,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            progress=progress, options=options,
            allowed=ClassOptions,
        )  # fmt: skip

    def _prepared(self, x: Any, y: Any) -> Prepared:
        x = vector_sequences("x", x, self.features)
        y = whole_array("y", y, self.classes, (len(x),))
        return Prepared(len(x), lambda chosen: (padded([x[i] for i in chosen]), y[chosen]), classes=y)

    def predict(self, x: Sequence[np.ndarray]) -> np.ndarray:
        """The likeliest class of each sequence.

        Parameters
        ----------
        x : sequence of array_like (T, features)
            Sequences of finite numbers, with at least one step; of any lengths.

        Returns
        -------
        ndarray of int64 (N,)

        Raises
        ------
        TypeError, ValueError
            If a number of `x` is not finite, or the model's logits are not.
        """
        return np.concatenate(in_turn(self, vector_sequences("x", x, self.features), padded, predicted, "x"))

    def predict_proba(self, x: Sequence[np.ndarray]) -> np.ndarray:
        """The probability of every class, for each sequence.

        Parameters
        ----------
        x : sequence of array_like (T, features)
            As for :meth:`predict`.

        Returns
        -------
        ndarray of float32 (N, classes)
            Rows sum to 1.

        Raises
        ------
        TypeError, ValueError
            As :meth:`predict`.
        """
        return np.concatenate(in_turn(self, vector_sequences("x", x, self.features), padded, probable, "x"))

    def score(self, x: Sequence[np.ndarray], y: Any) -> float:
        """The share of sequences that :meth:`predict` names rightly (:func:`fastdl.metrics.accuracy_score`).

        Parameters
        ----------
        x, y
            As for :meth:`fit`.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad, or the model's logits are not finite.
        """
        x = vector_sequences("x", x, self.features)
        return float(accuracy_score(whole_array("y", y, self.classes, (len(x),)), self.predict(x)))
