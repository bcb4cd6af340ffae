"""Estimators over whole sequences: one class, or numbers, of each."""

from typing import Any

import numpy as np

from .. import nn, random
from .._validate import choice, integer, mapping
from ._base import NetworkEstimator
from ._sequence_data import Sequences, holds_tokens, moments, numbered, read_numbers, read_tokens, vocabulary
from ._sequence_network import CELLS, POOLINGS, SequenceNetwork, checked_channels
from ._settings import CLASS_WEIGHT, TRAINING, Setting, _boolean, _real, _whole, checked
from ._targets import LOSS, QUANTILE, Classifying, Regressing
from ._training import Data


def _options(name: str, value: Any) -> Any:
    return None if value is None else mapping(name, value, "names to settings")


RECURRENT = {
    "cell": Setting(
        "lstm", lambda name, value: choice(name, value, tuple(CELLS)), "str", f"The layer: {', '.join(CELLS)}."
    ),
    "hidden_size": Setting(64, _whole(1), "int", "Units of each direction."),
    "num_layers": Setting(1, _whole(1), "int", "Recurrent layers."),
}
BOTH_WAYS = {"bidirectional": Setting(False, _boolean, "bool", "Whether sequences are read in both directions.")}
POOLING = {
    "pooling": Setting(
        "last", lambda name, value: choice(name, value, POOLINGS), "str",
        'What makes one vector of a sequence: "last", the state at its true end; "mean" or "max" of the outputs at all '
        'its steps; "attention", their mean under learned weights.',
    ),
}  # fmt: skip
FRONT = {
    "dropout": Setting(
        0.0, _real(0, 1, open_high=True), "float in [0, 1)",
        "Probability of dropping an element between and behind the recurrent layers, in training.",
    ),
    "noise": Setting(
        0.0, _real(0), "float >= 0", "Standard deviation of noise on the (standardised) numbers in training."
    ),
    "conv_channels": Setting(
        (), lambda name, value: tuple(checked_channels(name, value)), "sequence of int",
        "Channels of convolutions over time in front of the recurrent layers, each with ReLU behind it.",
    ),
    "conv_kernel_size": Setting(5, _whole(1), "int", "Steps of the convolutions' windows."),
    "standardize": Setting(
        True, _boolean, "bool", "Whether numbers get mean 0 and standard deviation 1: each feature, over all steps.",
    ),
    "embedding_size": Setting(
        None, lambda name, value: None if value is None else integer(name, value, 1), "int, optional",
        "Size of a token's vector: 64 for texts. Where it is given, numbers are tokens too.",
    ),
    "unknown": Setting(
        0.05, _real(0, 1), "float in [0, 1]",
        "Probability that a token is read as an unknown one in training, so that its vector is learned.",
    ),
    "cell_options": Setting(
        None, _options, "mapping, optional",
        'Further arguments of the layer in :mod:`fastdl.nn`, as ``{"zoneout": 0.1}``.',
    ),
}  # fmt: skip
ROWS = 256  # sequences at once in prediction, so that it needs little memory


class SequenceEstimator(NetworkEstimator):
    """What the estimators over sequences share: what X may be, and the network."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on sequences.

        Parameters
        ----------
        X : list of array_like (T, F) or (T,), array_like (N, T, F) or (N, T), list of lists of tokens, or nested frame
            Sequences, of any lengths in a list. Of an array (N, T), or a frame of numbers, the columns are the steps
            of one feature. A cell of a nested frame has all steps of its column's feature.
        y : array_like (N,) or (N, K)
            Targets; of a tagger a list of as many tags as X has steps, or an array (N, T).
        sample_weight : array_like (N,), optional
            How much each sequence counts, at least 0; what counts 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument or a setting is bad, or the weights end up not finite; the estimator is as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter` epochs were too few.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _inputs(self, X: Any, *, fresh: bool) -> Sequences:
        if fresh:
            self._tokens = self.embedding_size is not None or holds_tokens(X)
            self.__dict__.pop("vocabulary_", None)
        if not self._tokens:
            values = read_numbers(self, X, fresh=fresh)
            kind = values.dtype if isinstance(values, np.ndarray) else values[0].dtype
            return Sequences(values, np.dtype((self.dtype or kind) if fresh else self._dtype))
        texts = read_tokens(X)
        if fresh:
            self.vocabulary_ = vocabulary(texts)
            for stale in ("n_features_in_", "feature_names_in_"):  # of a fit on numbers
                self.__dict__.pop(stale, None)
        return Sequences(numbered(texts, self.vocabulary_), np.dtype(self.dtype or np.float32))

    def _train(self, data: Data, settings: dict[str, Any], fresh: bool, incremental: bool) -> None:
        if fresh:
            self.mean_, self.scale_ = None, None
            if settings["standardize"] and not self._tokens:
                self.mean_, self.scale_ = data.inputs.statistics(data.weights)
        super()._train(data, settings, fresh, incremental)

    def _network(self, inputs: Sequences, random_state: np.random.RandomState) -> nn.Module:
        settings, names = checked(self, self._settings), (*RECURRENT, *BOTH_WAYS, *POOLING, *FRONT)
        given = {name: settings[name] for name in names if name in settings}
        given |= {
            "tokens": self._tokens, "embedding_size": settings["embedding_size"] or 64,
            "standardize": self.mean_ is not None, "dtype": self._dtype,
            "rng": random.Generator(int(random_state.randint(2**31))),
        }  # fmt: skip
        size = len(self.vocabulary_) + 1 if self._tokens else self._features
        made = SequenceNetwork(size, self.n_outputs_, **given)
        if made.standardization is not None:
            made.standardization.mean, made.standardization.scale = self.mean_, self.scale_
        return made

    def _outputs(self, inputs: Sequences) -> np.ndarray:
        return np.concatenate(
            [self.model_.forward(inputs.batch(slice(k, k + ROWS))) for k in range(0, len(inputs), ROWS)]
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class SequenceClassifier(
    Classifying,
    SequenceEstimator,
    positional=RECURRENT,
    by_name={**BOTH_WAYS, **POOLING, **FRONT, **TRAINING, **CLASS_WEIGHT},
):
    """A recurrent network that classifies sequences of any lengths (docs/estimators-sequences.md).

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    model_ : SequenceNetwork
        The network; its outputs are logits.
    classes_ : ndarray
        The classes that ``fit`` saw.
    n_features_in_ : int
        Features of a step; of a table (N, T) its columns. Not of tokens.
    feature_names_in_ : ndarray of str
        The names of a frame's columns.
    vocabulary_ : dict
        Of tokens: the number of each, from 1 on.
    mean_, scale_ : ndarray (F,)
        By which numbers were standardised.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, out_activation_
        As of :class:`MLPClassifier`.

    Raises
    ------
    TypeError
        If there is no setting of a name. What they are is asked in ``fit``.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> X = [np.array(values, np.float32) for values in ([1, 0, 0], [0, 0, 1], [1, 0], [0, 1, 0, 0], [0, 1], [1, 1])]
    >>> y = ["first", "later", "first", "later", "later", "first"]
    >>> model = fd.estimators.SequenceClassifier("gru", 8, learning_rate_init=0.02, random_state=0).fit(X, y)
    >>> model.predict([np.array([1.0, 0, 0, 0]), np.array([0, 0, 1.0, 0])]).tolist(), model.score(X, y)
    (['first', 'later'], 1.0)

    Words, some of which it has never seen:

    >>> texts = [text.split() for text in ("so good", "good stuff", "really bad", "bad bad stuff", "all bad")]
    >>> judge = fd.estimators.SequenceClassifier(hidden_size=8, pooling="mean", learning_rate_init=0.02, random_state=0)
    >>> judge.fit(texts, [1, 1, 0, 0, 0]).predict(["truly good".split(), "bad idea".split()])
    array([1, 0])
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class SequenceRegressor(
    Regressing,
    SequenceEstimator,
    positional=RECURRENT,
    by_name={**LOSS, **BOTH_WAYS, **POOLING, **FRONT, **TRAINING, **QUANTILE},
):
    """A recurrent network that predicts numbers for sequences of any lengths (docs/estimators-sequences.md).

    With `standardize` the targets are standardised too, but for the loss "poisson" and functions: a loss is then one of
    standardised targets. Predictions are on the scale of `y`.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    model_ : SequenceNetwork
        The network; its outputs are standardised.
    target_mean_, target_scale_ : ndarray (K,)
        By which targets were standardised.
    n_features_in_, feature_names_in_, vocabulary_, mean_, scale_
        As of :class:`SequenceClassifier`.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, out_activation_
        As of :class:`MLPRegressor`.

    Raises
    ------
    TypeError
        If there is no setting of a name. What they are is asked in ``fit``.

    Examples
    --------
    How far does a walk get?

    >>> import numpy as np, fastdl as fd
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((n, 2)).astype(np.float32) for n in rng.integers(3, 9, 60)]
    >>> y = [100 + one[:, 0].sum() for one in X]
    >>> model = fd.estimators.SequenceRegressor(hidden_size=16, learning_rate_init=0.02, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    def _train(self, data: Data, settings: dict[str, Any], fresh: bool, incremental: bool) -> None:
        if fresh:
            self.target_mean_, self.target_scale_ = np.zeros(self.n_outputs_), np.ones(self.n_outputs_)
            if settings["standardize"] and settings["loss"] != "poisson" and not callable(settings["loss"]):
                self.target_mean_, self.target_scale_ = moments(data.targets.astype(np.float64), data.weights)
        scaled = (data.targets - self.target_mean_) / self.target_scale_
        super()._train(data._replace(targets=scaled.astype(self._dtype)), settings, fresh, incremental)

    def _decided(self, outputs: np.ndarray) -> np.ndarray:
        return super()._decided((outputs * self.target_scale_ + self.target_mean_).astype(outputs.dtype, copy=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
