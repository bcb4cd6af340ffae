"""The base of estimators: settings, seeds, the training run, and what is known after it."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .. import nn
from .._validate import real_values, shown
from ..nn._modes import evaluating
from ._saved import as_module
from ._settings import CLASS_WEIGHT, TRAINING, Setting, checked, constructor, described, takes_steps
from ._targets import LOSS, QUANTILE
from ._training import Data, descend, minimize

_CHANGING = (TRAINING.keys() | CLASS_WEIGHT.keys() | LOSS.keys() | QUANTILE.keys()) - {"dtype"}  # in a warm start
_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class NetworkEstimator(BaseEstimator):
    """What all estimators over a network of :mod:`fastdl.nn` share.

    A subclass names its settings (class arguments `positional` and `by_name`) and defines :meth:`_inputs` and
    :meth:`_network`; Classifying or Regressing beside it defines targets, loss and predictions.
    """

    _settings: ClassVar[Mapping[str, Setting]] = {}
    model_: nn.Module

    if TYPE_CHECKING:  # settings and the other half's methods, which no annotation lists twice

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(
        cls,
        *,
        positional: Mapping[str, Setting] | None = None,
        by_name: Mapping[str, Setting] | None = None,
        **kwargs: Any,
    ) -> None:
        if by_name is not None:
            positional = positional or {}
            cls._settings = {**positional, **by_name}
            cls.__init__ = constructor(positional, by_name)  # type: ignore[method-assign]
            cls.__doc__ = (cls.__doc__ or "").replace("{settings}", described(cls._settings).replace("\n", "\n    "))
        super().__init_subclass__(**kwargs)

    # ---- what a subclass defines ----

    def _inputs(self, X: Any, *, fresh: bool) -> Any:
        """Checked inputs with ``len()``, ``dtype``, ``part(chosen)`` and ``batch(chosen)``; sets ``n_features_in_``."""
        raise NotImplementedError

    def _network(self, inputs: Any, random_state: np.random.RandomState) -> nn.Module:
        """A network of ``self._dtype`` with ``self.n_outputs_`` outputs, its first values from `random_state`."""
        raise NotImplementedError

    def _targets(self, y: Any, inputs: Any, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """Targets as the loss takes them, and as predictions are; `how` has fresh, incremental and classes."""
        return self._encoded(y, len(inputs), **how)

    # ---- training ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on examples.

        Parameters
        ----------
        X : array_like, sparse matrix or frame (N, F)
            Inputs.
        y : array_like (N,) or (N, K)
            Targets.
        sample_weight : array_like (N,), optional
            How much each example counts, at least 0; what counts 0 is left out.

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

    @available_if(takes_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch on some examples, from where the estimator stands.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As :meth:`fit`; also with `early_stopping`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, classes: Any = None) -> Any:
        settings = checked(self, self._settings)
        if incremental and settings["early_stopping"]:
            raise ValueError("partial_fit does not support early_stopping=True")
        if settings["solver"] == "lbfgs" and settings.get("dropout"):
            raise ValueError(
                f"dropout: got {settings['dropout']}, expected 0 with solver='lbfgs', whose loss is a function"
            )
        fresh = not hasattr(self, "model_") or not (self.warm_start or incremental)
        with self._unless_it_fails(fresh):
            inputs = self._inputs(X, fresh=fresh)
            if fresh:
                self._dtype = np.dtype(settings["dtype"] or inputs.dtype)
            targets, labels = self._targets(y, inputs, fresh=fresh, incremental=incremental, classes=classes)
            weights = self._weights(sample_weight, labels, incremental)
            data = Data(inputs, targets, labels, weights)
            if weights is not None and not weights.all():
                data = data.part(np.flatnonzero(weights))
            self._train(data, settings, fresh, incremental)
        return self

    def _train(self, data: Data, settings: dict[str, Any], fresh: bool, incremental: bool) -> None:
        random_state = check_random_state(self.random_state)
        shape = {name: settings[name] for name in self._settings if name not in _CHANGING}
        if fresh:
            self.model_ = self._network(data.inputs, random_state)
            self._optimizer: Any = None
            self._shape, self.n_iter_, self.t_ = shape, 0, 0
        for name, value in shape.items():
            if value != self._shape[name]:
                raise ValueError(
                    f"{name}: got {shown(value)}, expected {shown(self._shape[name])}, since the training goes on with "
                    "the network that there is"
                )
        self._begin(settings, fresh)
        held = None
        if settings["solver"] == "lbfgs":
            minimize(self, data, settings)
        else:
            if settings["early_stopping"]:
                data, held = self._split(data, settings, random_state)
            descend(self, data, held, settings, random_state, incremental)
        self.model_.eval()
        if not np.isfinite(self.model_.parameters().data).all():
            raise ValueError(_NOT_FINITE)

    def _begin(self, settings: dict[str, Any], fresh: bool) -> None:
        """Curves to go on with: those of a training before, unless it had others."""
        early, curves = settings["early_stopping"], self.__dict__
        if fresh or settings["solver"] == "lbfgs":
            for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_", "history_"):
                curves.pop(name, None)
        if settings["solver"] == "lbfgs":
            return
        if "loss_curve_" not in curves or early != (self.validation_scores_ is not None):
            self._no_improvement_count = 0
            self.validation_scores_: list[float] | None = [] if early else None
            self.best_validation_score_: float | None = -np.inf if early else None
            self.best_loss_: float | None = None if early else np.inf
        self.loss_curve_: list[float] = curves.get("loss_curve_", [])

    def _weights(self, sample_weight: Any, labels: np.ndarray, incremental: bool) -> np.ndarray | None:
        """How much each example counts, by itself and by its class."""
        own = None
        if sample_weight is not None:
            own = real_values("sample_weight", np.asarray(sample_weight)).astype(np.float64)
            if own.shape == ():
                own = np.full(len(labels), own)
            if own.shape != (len(labels),):
                raise ValueError(f"sample_weight: got shape {own.shape}, expected ({len(labels)},)")
            if not np.isfinite(own).all() or (own < 0).any():
                raise ValueError("sample_weight: got a weight that is negative or not finite, expected at least 0")
            if not own.any():
                raise ValueError("sample_weight: got weights that are all zero, expected some above")
        by_class = self._class_weights(labels, incremental)
        if by_class is not None:
            own = by_class if own is None else own * by_class
        return None if own is None else own.astype(self._dtype)

    def _split(self, data: Data, settings: dict[str, Any], random_state: Any) -> tuple[Data, Data]:
        """Examples to train on, and those held out; of two classes in proportion, as scikit-learn does it."""
        stratify = data.targets.astype(bool) if hasattr(self, "classes_") and self.n_outputs_ == 1 else None
        train, held = train_test_split(
            np.arange(len(data.targets)), random_state=random_state, test_size=settings["validation_fraction"],
            stratify=stratify,
        )  # fmt: skip
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return data.part(train), data.part(held)

    @contextlib.contextmanager
    def _unless_it_fails(self, fresh: bool) -> Iterator[None]:
        """Training inside; what fails leaves the estimator as it was, with the network it had."""
        before = vars(self).copy()
        noted = {name: list(one) for name, one in before.items() if isinstance(one, list) and name.endswith("_")}
        model: Any = before.get("model_")
        optimizer: Any = before.get("_optimizer")
        kept = None if fresh else (model.state_dict(), model.random_state())
        steps = None if fresh or optimizer is None else copy.deepcopy(optimizer.state_dict())
        try:
            yield
        except BaseException as error:
            for name, items in noted.items():
                before[name][:] = items
            self.__dict__ = before
            if kept is not None:
                model.load_state_dict(kept[0])
                model.load_random_state(kept[1])
                model.eval()
            if steps is not None:
                optimizer.load_state_dict(steps)
            if isinstance(error, FloatingPointError):
                raise ValueError(_NOT_FINITE) from error
            raise

    def _as_module(self) -> nn.Module:
        """What fastdl.save writes."""
        return as_module(self)

    # ---- prediction ----

    def _outputs(self, inputs: Any) -> np.ndarray:
        """The network's outputs for checked inputs, so many at a time that memory stays small."""
        rows = 4096
        found = [self.model_.forward(inputs.batch(slice(k, k + rows))) for k in range(0, len(inputs), rows)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _raw(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        inputs = self._inputs(X, fresh=False)
        with evaluating(self.model_):
            return self._outputs(inputs)
