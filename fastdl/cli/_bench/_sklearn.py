"""The one work of the tour that scikit-learn has."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from ._peers import limit_blas

DISTRIBUTION = "scikit-learn"


def set_threads(threads: int) -> str:
    return limit_blas(threads)


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Callable[[], Any]:
    """One batch of the 200 rows, which is its batch size: one step of Adam."""
    model = MLPClassifier((hidden,), alpha=0.0, learning_rate_init=1e-4, batch_size=len(x))
    model.partial_fit(x, y, classes=np.arange(classes))

    def work() -> None:
        model.partial_fit(x, y)

    return work
