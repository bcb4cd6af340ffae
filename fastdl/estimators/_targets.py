"""Targets: how classes and numbers become arrays that a loss takes, and outputs become predictions again."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_array, column_or_1d

from .. import dense
from .._validate import number
from ..reference._loss_value import LossValue
from ._settings import CLASS_WEIGHT, Setting, takes_steps


def checked_y(estimator: Any, y: Any, count: int, *, numeric: bool) -> np.ndarray:
    """Targets as an array (N,) or (N, K) of finite numbers or of labels."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    kind = "numeric" if numeric else None
    y = check_array(y, accept_sparse=True, ensure_2d=False, dtype=kind, input_name="y", estimator=estimator)
    if hasattr(y, "toarray"):
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if y.ndim not in (1, 2):
        raise ValueError(f"y: got shape {y.shape}, y should be a 1d array, or (N, K) for K outputs")
    if len(y) != count:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: X has {count}, y has {len(y)}")
    if numeric and y.dtype.kind not in "fiub":
        y = y.astype(np.float64)
    return y


class Outputs:
    """Loss and gradient of outputs (N, K), summed over K and averaged over N, as scikit-learn's gradient is."""

    def __init__(self, loss: Any, outputs: int) -> None:
        self.loss, self.outputs = loss, outputs

    def __call__(self, outputs: np.ndarray, targets: np.ndarray, weights: Any = None) -> tuple[Any, np.ndarray]:
        given = {} if weights is None else {"weights": weights if targets.ndim == 1 else weights[:, None]}
        value, gradient = self.loss(outputs, targets, **given)
        total = float(len(targets) if weights is None else weights.sum())
        if self.outputs > 1:  # the mean was over the outputs too
            gradient *= gradient.dtype.type(self.outputs)
        return LossValue(float(value) * self.outputs, total), gradient


class Classifying(ClassifierMixin):
    """What classifiers share: classes, their weights, probabilities. One logit for two classes, softmax for more."""

    _target_settings: ClassVar[Mapping[str, Setting]] = CLASS_WEIGHT

    def _encoded(
        self, y: Any, count: int, *, fresh: bool, incremental: bool, classes: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Targets as the loss takes them, and as they were checked; `fresh` ones say which classes there are."""
        y = checked_y(self, y, count, numeric=False)
        check_classification_targets(y)
        if fresh:
            self._learn_classes(y, classes)
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes: got {classes}, expected {self.classes_}, as in the first call to partial_fit")
        self._check_known(y, exact=not fresh and not incremental)
        if self._multilabel:
            return y.astype(self._dtype), y
        places = np.searchsorted(self.classes_, y)
        return (places if self.out_activation_ == "softmax" else places[:, None].astype(self._dtype)), y

    def _learn_classes(self, y: np.ndarray, classes: Any) -> None:
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y: got several outputs of more than two classes, expected classes (N,) or labels of 0 and 1 (N, K):"
                " sklearn.multioutput.MultiOutputClassifier fits an estimator for each"
            )
        self._multilabel = kind == "multilabel-indicator"
        self.classes_ = np.arange(y.shape[1]) if self._multilabel else unique_labels(y if classes is None else classes)
        several = self._multilabel or len(self.classes_) > 2
        self.n_outputs_ = len(self.classes_) if several else 1
        self.out_activation_ = "logistic" if self._multilabel or not several else "softmax"

    def _check_known(self, y: np.ndarray, exact: bool) -> None:
        """Refuse classes that were not there before; with `exact`, a warm start, also fewer of them."""
        if (y.ndim == 2) != self._multilabel:
            got, wanted = ("classes (N,)", "labels (N, K)") if self._multilabel else ("labels (N, K)", "classes (N,)")
            raise ValueError(f"y: got {got}, expected {wanted}, as before")
        found = np.arange(y.shape[1]) if self._multilabel else unique_labels(y)
        if exact and not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        if len(unknown := np.setdiff1d(found, self.classes_)):
            raise ValueError(f"`y` has classes not in `self.classes_`: {unknown}. `self.classes_` has {self.classes_}.")

    def _class_weights(self, y: np.ndarray, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight: got {self.class_weight!r}, expected a mapping or None, since partial_fit does not see "
                "all examples"
            )
        return compute_sample_weight(self.class_weight, y)

    def _loss(self) -> Any:
        if self.out_activation_ == "softmax":
            return Outputs(dense.softmax_cross_entropy, 1)
        return Outputs(dense.binary_cross_entropy_with_logits, self.n_outputs_)

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return np.asarray(dense.softmax(logits))
        found = np.asarray(dense.sigmoid(logits))
        if self._multilabel:
            return found
        return np.ones_like(found) if len(self.classes_) == 1 else np.concatenate([1 - found, found], axis=1)

    def _decided(self, logits: np.ndarray) -> np.ndarray:
        if self._multilabel:
            return (logits > 0).astype(int)
        if self.out_activation_ == "softmax":
            return self.classes_[logits.argmax(1)]
        return self.classes_[np.minimum((logits[:, 0] > 0).astype(int), len(self.classes_) - 1)]

    def _rated(self, outputs: np.ndarray, y: np.ndarray, weights: Any) -> float:
        return float(accuracy_score(y, self._decided(outputs), sample_weight=weights))

    @available_if(takes_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch on some examples, from where the estimator stands.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes : array_like, optional
            All classes that may come, in the first call.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As :meth:`fit`; also with `early_stopping`, and for a class that `classes` had not.
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each example.

        Parameters
        ----------
        X : as for fit
            Examples.

        Returns
        -------
        ndarray (N,)
            Of the labels that ``fit`` saw; of several labels (N, K), 0 and 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        return self._decided(self._raw(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, for each example.

        Parameters
        ----------
        X : as for fit
            Examples.

        Returns
        -------
        ndarray (N, classes)
            In the order of ``classes_``. Rows sum to 1, but of several labels.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        return self._probabilities(self._raw(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : as for fit
            Examples.

        Returns
        -------
        ndarray (N, classes)
            In the order of ``classes_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
            return np.log(self.predict_proba(X))


def _squared(outputs: np.ndarray, targets: np.ndarray, weights: Any = None) -> tuple[Any, np.ndarray]:
    """Half of the squared error, as scikit-learn has it."""
    value, gradient = dense.mse_loss(outputs, targets, weights=weights)
    gradient *= gradient.dtype.type(0.5)
    return 0.5 * value, gradient


def _poisson(outputs: np.ndarray, targets: np.ndarray, weights: Any = None) -> tuple[Any, np.ndarray]:
    """Half of the Poisson deviance of the logarithm of a rate."""
    value, gradient = dense.poisson_nll_loss(outputs, targets, weights=weights)
    own = np.where(targets > 0, targets * np.log(np.maximum(targets, np.finfo(targets.dtype).tiny)) - targets, 0)
    each = None if weights is None else np.broadcast_to(weights, own.shape)
    return float(value) + float(np.average(own, weights=each)), gradient


# scikit-learn's words, and further losses of single numbers by their names.
LOSSES: dict[str, Any] = {"squared_error": _squared, "absolute_error": dense.l1_loss, "poisson": _poisson} | {
    name.removesuffix("_loss"): getattr(dense, name)
    for name in dense._losses.__all__
    if name.endswith("_loss") and "nll" not in name and name not in ("l1_loss", "mse_loss")
}


def _loss(name: str, value: Any) -> Any:
    if callable(value) or (isinstance(value, str) and value in LOSSES):
        return value
    raise ValueError(f"{name}: got {value!r:.80}, expected one of {', '.join(map(repr, LOSSES))}, or a function")


LOSS = {
    "loss": Setting(
        "squared_error", _loss, "str or callable",
        'What is least: "squared_error" (half of it), "absolute_error", "poisson" (of counts; the prediction is the '
        'rate), "quantile", or another of the losses of numbers without its "_loss"; or '
        "``loss(outputs, targets) -> (value, gradient)``, as of "
        ":func:`fastdl.training.fit`.",
    ),
}  # fmt: skip
QUANTILE = {
    "quantile": Setting(
        0.5, lambda name, value: number(name, value, 0, 1, open_low=True, open_high=True), "float in (0, 1)",
        'Which one, of the loss "quantile".',
    ),
}  # fmt: skip


class Regressing(RegressorMixin):
    """What regressors share: numbers, one or several to an example, and the loss by name."""

    _target_settings: ClassVar[Mapping[str, Setting]] = QUANTILE

    n_outputs_: int

    def _encoded(
        self, y: Any, count: int, *, fresh: bool, incremental: bool, classes: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Targets as the loss takes them, and as they were checked."""
        y = checked_y(self, y, count, numeric=True)
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f'y: got {y.min()}, expected counts of at least 0 for loss="poisson"')
        if not fresh and outputs != self.n_outputs_:
            raise ValueError(f"y: got {outputs} outputs, expected {self.n_outputs_}, as before")
        self.n_outputs_ = outputs
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        return np.ascontiguousarray(y.reshape(count, outputs), self._dtype), y

    def _class_weights(self, y: np.ndarray, incremental: bool) -> np.ndarray | None:
        return None  # numbers have no classes

    def _loss(self) -> Any:
        if callable(self.loss):
            return self.loss
        loss = LOSSES[self.loss]
        return Outputs(partial(loss, quantiles=self.quantile) if self.loss == "quantile" else loss, self.n_outputs_)

    def _decided(self, outputs: np.ndarray) -> np.ndarray:
        found = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return found[:, 0] if found.shape[1] == 1 else found

    def _rated(self, outputs: np.ndarray, y: np.ndarray, weights: Any) -> float:
        return float(r2_score(y, self._decided(outputs), sample_weight=weights))

    def predict(self, X: Any) -> np.ndarray:
        """The prediction for each example.

        Parameters
        ----------
        X : as for fit
            Examples.

        Returns
        -------
        ndarray (N,), or (N, K) for K outputs

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        return self._decided(self._raw(X))
