"""What adapters to other libraries' time-series estimators share: settings, and the layout of sequences."""

import inspect
from typing import Any

import numpy as np


class Set:
    """An estimator of another library with the settings of one of ours."""

    _ours: type
    estimator_: Any

    def __init_subclass__(cls, *, ours: type | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ours is None:
            return
        cls._ours = ours
        signature = inspect.signature(ours.__init__)  # type: ignore[misc]

        def __init__(self: Any, *args: Any, **settings: Any) -> None:
            ours.__init__(self, *args, **settings)  # type: ignore[misc]
            super(cls, self).__init__()

        __init__.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[method-assign]


class Adapting(Set):
    """An estimator over sequences that hands its work to one of ours, ``estimator_``."""

    def _fit(self, X: Any, y: Any) -> Any:
        settings = {name: getattr(self, name) for name in list(inspect.signature(type(self)).parameters)}
        self.estimator_ = self._ours(**settings).fit(time_first(X), y)
        return self

    def _predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.estimator_.predict(time_first(X)))

    def _predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(self.estimator_.predict_proba(time_first(X)))


def time_first(X: Any) -> Any:
    """Sequences (T, F) of aeon's array (N, F, T) or list of arrays (F, T); sktime's list of frames (T, F) stays."""
    if isinstance(X, np.ndarray):
        return X.swapaxes(1, 2)
    return [one.T if isinstance(one, np.ndarray) else one for one in X]


QUICK: list[dict[str, Any]] = [  # settings for the libraries' own checks of estimators
    {"hidden_size": 4, "max_iter": 2, "random_state": 0},
    {"cell": "gru", "hidden_size": 4, "bidirectional": True, "pooling": "mean", "max_iter": 2, "random_state": 0},
]
