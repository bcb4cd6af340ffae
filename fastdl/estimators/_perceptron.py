"""Multi-layer perceptrons on tables, with scikit-learn's names."""

from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .. import nn
from ._base import NetworkEstimator
from ._settings import ACTIVATIONS, CLASS_WEIGHT, LAYERS, REGULARIZATION, TRAINING, sizes
from ._targets import LOSS, QUANTILE, Classifying, Regressing


class Rows:
    """Rows of a matrix, dense or sparse; a batch is dense, of the network's type."""

    def __init__(self, X: Any, dtype: np.dtype) -> None:
        self.X, self.dtype = X, dtype

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def part(self, chosen: Any) -> "Rows":
        """Some of the rows."""
        return Rows(self.X[chosen], self.dtype)

    def batch(self, chosen: Any) -> np.ndarray:
        """Some of the rows, as an array."""
        rows = self.X[chosen] if isinstance(chosen, slice) or hasattr(self.X, "toarray") else self.X.take(chosen, 0)
        if hasattr(rows, "toarray"):
            rows = rows.toarray()
        return np.ascontiguousarray(rows, self.dtype)


class Perceptron(NetworkEstimator):
    """Linear layers with an activation between them."""

    def _inputs(self, X: Any, *, fresh: bool) -> Rows:
        X = validate_data(self, X, reset=fresh, accept_sparse="csr", dtype=(np.float64, np.float32))
        kind = (self.dtype or X.dtype) if fresh else self._dtype
        return Rows(X, np.dtype(kind))

    def _network(self, inputs: Rows, random_state: np.random.RandomState) -> nn.Module:
        return nn.Sequential(*self._layers(int(inputs.X.shape[1]), random_state))

    def _layers(self, width: int, random_state: np.random.RandomState) -> list[nn.Module]:
        """The layers behind inputs of some width."""
        wide = [width, *sizes("hidden_layer_sizes", self.hidden_layer_sizes), self.n_outputs_]
        self.n_layers_ = len(wide)
        layers: list[nn.Module] = []
        for place, (fan_in, fan_out) in enumerate(pairwise(wide)):
            layers.append(self._linear(fan_in, fan_out, random_state))
            if place < len(wide) - 2:
                layers += self._between(fan_out)
        for one in layers:  # drawn last, so that without masks the draws are scikit-learn's
            if isinstance(one, nn.Dropout):
                one.seed = int(random_state.randint(2**31))
        return layers

    def _linear(self, fan_in: int, fan_out: int, random_state: np.random.RandomState) -> nn.Linear:
        """With scikit-learn's first values (Glorot and Bengio 2010): the same draws for the same seed."""
        layer = nn.Linear(fan_in, fan_out, rng=0, dtype=self._dtype)
        bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (fan_in + fan_out))
        layer.weight.data = random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(self._dtype)
        layer.bias.data = random_state.uniform(-bound, bound, fan_out).astype(self._dtype)
        return layer

    def _between(self, size: int) -> list[nn.Module]:
        found: list[nn.Module] = []
        if self.normalization == "batch":
            found.append(nn.BatchNorm1d(size, dtype=self._dtype))
        elif self.normalization == "layer":
            found.append(nn.LayerNorm(size, dtype=self._dtype))
        if ACTIVATIONS[self.activation] is not None:
            found.append(ACTIVATIONS[self.activation]())
        return [*found, nn.Dropout(self.dropout, rng=0)] if self.dropout else found

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer, views of shape (inputs, outputs)."""
        return [one.weight.data for one in self._linears()]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer, views."""
        return [one.bias.data for one in self._linears()]

    def _linears(self) -> list[nn.Linear]:
        if "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return [one for one in self.model_.modules() if isinstance(one, nn.Linear)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(Classifying, Perceptron, positional=LAYERS, by_name={**TRAINING, **REGULARIZATION, **CLASS_WEIGHT}):
    """A multi-layer perceptron that classifies the rows of a table (docs/estimators.md).

    Settings, attributes and results are those of scikit-learn's class of this name: with the same `random_state` it
    ends in the same weights, to rounding. What that class has not, comes last.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    classes_ : ndarray
        The classes, or the numbers of the labels.
    model_ : fastdl.nn.Sequential
        The network; its outputs are logits.
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of its linear layers, as views.
    loss_, best_loss_ : float
        Loss of the last epoch with its penalty, and the least; `best_loss_` is None with `early_stopping`.
    loss_curve_ : list of float
        The losses of all epochs; not with lbfgs.
    validation_scores_, best_validation_score_ : list of float, float
        Accuracy of the examples held out after each epoch, and the best; None without `early_stopping`.
    history_ : fastdl.training.History
        The learning curve of the last training; not with lbfgs.
    n_iter_, t_ : int
        Epochs of the last training, and examples seen in all.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers with the input's, outputs, and what makes predictions of these:
        "softmax", or "logistic" of two classes and of labels.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Columns of `X`, and their names where it had any.

    Raises
    ------
    TypeError, ValueError
        From ``fit``, if a setting or an argument is bad; the estimator is as it was.

    Notes
    -----
    Targets (N,) are classes of any labels; targets (N, K) of 0 and 1 are K labels, each yes or no.

    Examples
    --------
    >>> import fastdl as fd
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["same", "other", "other", "same"]
    >>> model = fd.estimators.MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0).fit(X, y)
    >>> model.predict(X).tolist(), model.predict_proba(X).shape
    (['same', 'other', 'other', 'same'], (4, 2))
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(
    Regressing, Perceptron, positional={**LOSS, **LAYERS}, by_name={**TRAINING, **REGULARIZATION, **QUANTILE}
):
    """A multi-layer perceptron that predicts numbers for the rows of a table (docs/estimators.md).

    Settings, attributes and results are those of scikit-learn's class of this name: with the same `random_state` it
    ends in the same weights, to rounding. What that class has not, comes last.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    model_ : fastdl.nn.Sequential
        The network; its outputs are numbers, or logarithms of rates.
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of its linear layers, as views.
    loss_, best_loss_ : float
        Loss of the last epoch with its penalty, and the least; `best_loss_` is None with `early_stopping`.
    loss_curve_ : list of float
        The losses of all epochs; not with lbfgs.
    validation_scores_, best_validation_score_ : list of float, float
        R2 of the examples held out after each epoch, and the best; None without `early_stopping`.
    history_ : fastdl.training.History
        The learning curve of the last training; not with lbfgs.
    n_iter_, t_ : int
        Epochs of the last training, and examples seen in all.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers with the input's, outputs, and what makes predictions of these:
        "identity", or "exp" with loss="poisson".
    n_features_in_, feature_names_in_ : int, ndarray of str
        Columns of `X`, and their names where it had any.

    Raises
    ------
    TypeError, ValueError
        From ``fit``, if a setting or an argument is bad; the estimator is as it was.

    Notes
    -----
    Of several outputs the loss is the sum. (scikit-learn reports their mean, and follows the gradient of the sum.)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = fd.estimators.MLPRegressor(solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> model.predict([[0.6], [-1.0]]).round(1)
    array([0.4, 1. ])
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
