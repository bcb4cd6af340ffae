"""The tour's work by fastdl; under its other backend, by the reference."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd

Work = Callable[[], Any]


def lstm(x: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray, dh: np.ndarray) -> Work:
    zeros = np.zeros(dh.shape[1:], x.dtype)

    def work() -> np.ndarray:
        *_, tape = fd.lstm_forward(x, zeros, zeros, W_x, W_h, b)
        return fd.lstm_backward(dh, None, tape)[0]  # type: ignore[arg-type, return-value]

    return work


def character_step(codes: np.ndarray, characters: int, hidden: int) -> Work:
    layers = (
        fd.nn.Embedding(characters, 64, rng=0),
        fd.nn.LSTM(64, hidden, rng=1),
        fd.nn.Linear(hidden, characters, rng=2),
    )
    return _step(fd.nn.Sequential(*layers), codes[:-1], codes[1:], clip=True)


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Work:
    layers = (fd.nn.Linear(x.shape[1], hidden, rng=0), fd.nn.ReLU(), fd.nn.Linear(hidden, classes, rng=1))
    return _step(fd.nn.Sequential(*layers), x, y, clip=False)


def _step(model: fd.nn.Sequential, x: np.ndarray, y: np.ndarray, clip: bool) -> Work:
    optimizer = fd.optim.Adam(model.parameters(), lr=1e-4)

    def work() -> None:
        _, gradient = fd.softmax_cross_entropy(model.forward(x), y)
        model.backward(gradient)
        if clip:
            fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return work


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    return lambda: fd.softmax_cross_entropy(logits, targets)[1]


def adam(param: np.ndarray, gradient: np.ndarray) -> Work:
    return fd.optim.Adam([(param.copy(), gradient)], lr=1e-4).step


def norm(x: np.ndarray) -> Work:
    return lambda: fd.global_norm(x)


def dropout(x: np.ndarray) -> Work:
    def work() -> None:
        fd.dropout_forward(x, 0.5, seed=0, stream=0, step=0)

    return work
