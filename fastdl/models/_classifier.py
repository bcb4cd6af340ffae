"""One-to-one: a vector in, a class out."""

from typing import Any, Unpack

import numpy as np

from .. import nn, training
from .._validate import integer, number, whole_array
from ..metrics import accuracy_score
from ._checks import at_least_one, vectors
from ._fitting import LARGEST, Prepared, in_turn, predicted, probable, smoothed, train
from ._options import ClassOptions
from ._ready import Ready


class Classifier(Ready):
    """A dense network that classifies vectors (one-to-one, docs/models.md 5.2).

    Parameters
    ----------
    features, classes : int
        Length of a vector, and number of classes.
    hidden : int, default 256
        Units of a hidden layer, rectified.
    layers : int, default 2
        Hidden layers.
    dropout : float, default 0.3
        Probability of dropping a hidden unit in training.
    noise : float, default 0.0
        Standard deviation of noise added to the inputs in training, in their units.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks, noise and the order of the examples come from.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, `dropout` is outside [0, 1], or `noise` is negative.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> model = fd.models.Classifier(2, 2, hidden=16, dropout=0.0, rng=0)
    >>> history = model.fit(x, [0, 1, 1, 0], epochs=200, learning_rate=0.02)  # exclusive or
    >>> model.predict(x)
    array([0, 1, 1, 0])
    >>> model.score(x, [0, 1, 1, 0]), model.predict_proba(x).shape
    (1.0, (4, 2))

    Held-out data, a metric, and the values of the best epoch:

    >>> options = {"metrics": ["accuracy"], "restore_best": True}
    >>> history = model.fit(x, [0, 1, 1, 0], epochs=3, validation=(x, [0, 1, 1, 0]), **options)
    >>> len(history["validation_accuracy"])
    3
    """

    def __init__(
        self,
        features: int,
        classes: int,
        hidden: int = 256,
        layers: int = 2,
        dropout: float = 0.3,
        noise: float = 0.0,
        *,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.features, self.classes = integer("features", features, 1), integer("classes", classes, 1)
        hidden, layers = integer("hidden", hidden, 1), integer("layers", layers, 1)
        dropout, noise = number("dropout", dropout, 0.0, 1.0), number("noise", noise, 0.0, LARGEST)
        rng = self._start(rng)
        chain: list[nn.Module] = [nn.GaussianNoise(noise, rng=rng)]
        for k in range(layers):
            chain += [nn.Linear(hidden if k else features, hidden, rng=rng), nn.ReLU(), nn.Dropout(dropout, rng=rng)]
        self.layers = nn.Sequential(*chain, nn.Linear(hidden, classes, rng=rng))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Logits of the classes.

        Parameters
        ----------
        x : ndarray of float32 (N, features)
            Vectors.

        Returns
        -------
        ndarray of float32 (N, classes)
            Before the softmax.
        """
        return self.layers.forward(x)

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add to the gradients, for the last forward.

        Parameters
        ----------
        dy : ndarray of float32 (N, classes)
            Gradient with respect to the logits.
        input_gradient : bool, default True
            Whether the gradient with respect to the vectors is wanted.

        Returns
        -------
        ndarray of float32 (N, features), or None
            None with ``input_gradient=False``.
        """
        return self.layers.backward(dy, input_gradient=input_gradient)

    def fit(
        self,
        x: np.ndarray,
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
        """Train on vectors and their classes, by AdamW under a one-cycle schedule.

        Parameters
        ----------
        x : array_like (N, features)
            Vectors of finite numbers; taken as float32.
        y : array_like of int (N,)
            Their classes, from 0 to classes - 1.
        epochs : int, default 60
            Passes over the data.
        batch_size : int, default 32
            Examples a step.
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
        x = at_least_one("x", vectors("x", x, self.features), "vector")
        y = whole_array("y", y, self.classes, (len(x),))
        return Prepared(len(x), lambda chosen: (x[chosen], y[chosen]), classes=y)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest class of each vector.

        Parameters
        ----------
        x : array_like (N, features)
            Vectors of finite numbers; there may be none.

        Returns
        -------
        ndarray of int64 (N,)

        Raises
        ------
        TypeError, ValueError
            If a number of `x` is not finite, or the model's logits are not.
        """
        found = in_turn(self, vectors("x", x, self.features), _itself, predicted, "x")
        return np.concatenate([np.empty(0, np.int64), *found])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """The probability of every class, for each vector.

        Parameters
        ----------
        x : array_like (N, features)
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
        found = in_turn(self, vectors("x", x, self.features), _itself, probable, "x")
        return np.concatenate([np.empty((0, self.classes), np.float32), *found])

    def score(self, x: np.ndarray, y: Any) -> float:
        """The share of vectors that :meth:`predict` names rightly (:func:`fastdl.metrics.accuracy_score`).

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
        x = at_least_one("x", vectors("x", x, self.features), "vector")
        return float(accuracy_score(whole_array("y", y, self.classes, (len(x),)), self.predict(x)))


def _itself(x: np.ndarray) -> np.ndarray:
    return x
