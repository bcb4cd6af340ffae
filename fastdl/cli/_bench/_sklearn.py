"""The one work that scikit-learn has: a step of its multi-layer perceptron."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from ._peers import limit_blas
from ._table import Missing, Work


def set_threads(threads: int) -> str:
    """It works through the BLAS of NumPy and SciPy."""
    return limit_blas(threads)


def training(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    if "hidden.weight" not in weights:
        raise Missing("recurrent layers")
    hidden, classes = weights["hidden.weight"].shape[0], np.arange(len(weights["output.weight"]))
    model = MLPClassifier(hidden, alpha=0, batch_size=len(x), learning_rate_init=lr, shuffle=False, epsilon=1e-8)
    model.partial_fit(x, y, classes=classes)  # makes the weights
    for ours, theirs in zip(("hidden", "output"), (0, 1), strict=True):
        model.coefs_[theirs][:] = weights[f"{ours}.weight"].T
        model.intercepts_[theirs][:] = weights[f"{ours}.bias"]
    del model._optimizer  # the next step starts a new one
    return Work(lambda: {"loss": model.partial_fit(x, y).loss_})
