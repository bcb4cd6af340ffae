"""One-to-one: a vector in, a class out."""

from typing import Any

import numpy as np

from .. import nn, random, training
from .._validate import integer, number, whole_array
from ..nn._modes import evaluating
from ._checks import at_least_one, vectors
from ._fitting import LARGEST, in_batches, predicted, smoothed, train


class Classifier(nn.Module):
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
        self.rng = rng = random.as_generator(rng)
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
        progress: bool = False,
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
        progress : bool, default False
            Whether to show progress on stderr.

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
        """
        x = at_least_one("x", vectors("x", x, self.features), "vector")
        y = whole_array("y", y, self.classes, (len(x),))
        return train(
            self, smoothed(label_smoothing), len(x), lambda chosen: (x[chosen], y[chosen]), epochs=epochs,
            batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay, progress=progress,
        )  # fmt: skip

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
        x = vectors("x", x, self.features)
        with evaluating(self):
            found = [predicted(self.forward(part), "x") for part in in_batches(x)]
        return np.concatenate([np.empty(0, np.int64), *found])
