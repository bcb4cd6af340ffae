"""The tour's work by thinc, on the kernels it brings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from thinc import api
from thinc.types import Padded

from ._peers import limit_blas

DISTRIBUTION = "thinc"
Work = Callable[[], Any]
GATES = (1, 0, 3, 2)  # where its f, i, o, g stand in i, f, g, o


def set_threads(threads: int) -> str:
    return limit_blas(threads)


def lstm(x: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray, dh: np.ndarray) -> Work:
    """Its backward leaves out the first step, so that what it returns is not compared."""
    layer = api.LSTM(W_h.shape[0], W_x.shape[0])
    layer.initialize()
    parts = [np.concatenate([np.split(part.T, 4)[gate].ravel() for gate in GATES])
             for part in (W_x, b, W_h, np.zeros_like(b))]  # fmt: skip
    layer.set_param("LSTM", np.concatenate(parts))
    inputs, slopes = _padded(x), _padded(dh)

    def work() -> None:
        layer.set_grad("LSTM", np.zeros_like(layer.get_param("LSTM")))
        _, backward = layer.begin_update(inputs)
        backward(slopes)

    return work


def _padded(x: np.ndarray) -> Padded:
    steps, batch = x.shape[:2]
    return Padded(x, np.full(steps, batch, "i"), np.full(batch, steps, "i"), np.arange(batch, dtype="i"))


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Work:
    model = api.chain(api.Relu(hidden, x.shape[1]), api.Softmax(classes, hidden))
    model.initialize()
    targets, loss = y.astype("i"), api.CategoricalCrossentropy()
    optimizer = api.Adam(1e-4, L2=0.0, grad_clip=0.0, use_averages=False)

    def work() -> None:
        guesses, backward = model.begin_update(x)
        backward(loss.get_grad(guesses, targets))
        model.finish_update(optimizer)

    return work


def dropout(x: np.ndarray) -> Work:
    layer = api.Dropout(0.5)

    def work() -> None:
        layer.begin_update(x)

    return work
