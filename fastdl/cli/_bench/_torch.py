"""The tour's work by PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

DISTRIBUTION = "torch"
Work = Callable[[], Any]


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def lstm(x: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray, dh: np.ndarray) -> Work:
    layer = torch.nn.LSTM(x.shape[2], W_h.shape[0])
    values = (W_x.T, W_h.T, b, np.zeros_like(b))
    for parameter, value in zip(layer.parameters(), values, strict=True):
        parameter.data = torch.from_numpy(value.copy())
    inputs, slope = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dh)

    def work() -> np.ndarray:
        layer.zero_grad()
        inputs.grad = None
        layer(inputs)[0].backward(slope)
        return inputs.grad.numpy()

    return work


def character_step(codes: np.ndarray, characters: int, hidden: int) -> Work:
    embedding, cell, linear = (
        torch.nn.Embedding(characters, 64), torch.nn.LSTM(64, hidden), torch.nn.Linear(hidden, characters)
    )  # fmt: skip
    parameters = [p for layer in (embedding, cell, linear) for p in layer.parameters()]
    return _step(lambda x: linear(cell(embedding(x))[0]).flatten(0, 1), parameters, codes[:-1], codes[1:], clip=True)


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Work:
    model = torch.nn.Sequential(torch.nn.Linear(x.shape[1], hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
    return _step(model, list(model.parameters()), x, y, clip=False)


def _step(model: Callable[[Any], Any], parameters: list[Any], x: np.ndarray, y: np.ndarray, clip: bool) -> Work:
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y).flatten()

    def work() -> None:
        functional.cross_entropy(model(inputs), targets).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return work


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    inputs, classes = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(targets)

    def work() -> np.ndarray:
        inputs.grad = None
        functional.cross_entropy(inputs, classes).backward()
        return inputs.grad.numpy()

    return work


def adam(param: np.ndarray, gradient: np.ndarray) -> Work:
    tensor = torch.from_numpy(param.copy()).requires_grad_()
    tensor.grad = torch.from_numpy(gradient.copy())
    return torch.optim.Adam([tensor], lr=1e-4, fused=True).step


def norm(x: np.ndarray) -> Work:
    tensor = torch.from_numpy(x)
    return lambda: torch.linalg.vector_norm(tensor)


def dropout(x: np.ndarray) -> Work:
    tensor = torch.from_numpy(x)

    def work() -> None:
        functional.dropout(tensor, 0.5)

    return work
