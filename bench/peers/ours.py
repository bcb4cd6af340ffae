"""The works in fastdl."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd

from .lessons import Lesson
from .works import Contender, dropped, stacked


def set_threads(threads: int) -> None:
    fd.set_num_threads(threads)


def passes(layer: Any, x: np.ndarray, dy: np.ndarray, **given: Any) -> Any:
    """Forward and backward of a layer, with all gradients."""

    def run() -> tuple[np.ndarray, np.ndarray]:
        layer.zero_grad()
        y = layer.forward(x, **given)
        return y, layer.backward(dy)

    return run


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Contender:
    layer = getattr(fd.nn, kind)(x.shape[2], weights["weight_hh_l0"].shape[1], **stacked(weights))
    layer.load_state_dict(weights)
    return Contender(
        passes(layer, x, dy, lengths=lengths),
        lambda out: {"y": out[0], "dx": out[1], "dW": layer.weight_ih_l0.grad.T},
    )


def learner(lesson: Lesson, cell: str, init: str, seed: int) -> Callable[[np.ndarray, np.ndarray], float]:
    """A step of training on a batch, which gives the loss."""
    rng = fd.random.Generator(seed)
    layer = getattr(fd.nn, cell)(lesson.embedding or lesson.inputs, lesson.hidden, init=init, rng=rng)
    layers = [layer, fd.nn.Linear(lesson.hidden, lesson.outputs, rng=rng)]
    if lesson.embedding:
        layers.insert(0, fd.nn.Embedding(lesson.outputs, lesson.embedding, rng=rng))
    if lesson.loss == "sigmoid":
        layers.append(fd.nn.Sigmoid())
    model = fd.nn.Sequential(*layers)
    optimizer = fd.optim.Adam(model.parameters(), lr=lesson.lr)
    loss_of = fd.softmax_cross_entropy if lesson.loss == "cross-entropy" else fd.mse_loss

    def step(x: np.ndarray, target: np.ndarray) -> float:
        y = model.forward(x)
        loss, gradient = loss_of(y[-len(target) :], target)
        whole = np.zeros_like(y)
        whole[-len(target) :] = gradient
        model.backward(whole, input_gradient=False)
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def language_model(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Contender:
    """One bias, as in Keras and thinc."""
    classes, hidden = weights["linear.weight"].shape
    layers = {
        "lstm": fd.nn.LSTM(weights["lstm.weight_ih_l0"].shape[1], hidden, bias="single"),
        "linear": fd.nn.Linear(hidden, classes),
    }
    if "embedding.weight" in weights:
        layers = {"embedding": fd.nn.Embedding(*weights["embedding.weight"].shape), **layers}
    model = _loaded(layers, weights)
    optimizer = fd.optim.Adam(model.parameters(), lr=lr)
    state = None

    def run() -> float:
        nonlocal state
        logits, state = model.forward(x, state, return_state=True)
        loss, gradient = fd.softmax_cross_entropy(logits, y)
        model.backward(gradient, input_gradient=False)  # as a peer leaves it out for inputs that are data
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    return Contender(run, _loss)


def classifier(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Contender:
    hidden, output = weights["hidden.weight"], weights["output.weight"]
    layers = {
        "hidden": fd.nn.Linear(*hidden.shape[::-1]),
        "relu": fd.nn.ReLU(),
        "output": fd.nn.Linear(*output.shape[::-1]),
    }
    model = _loaded(layers, weights)
    optimizer = fd.optim.Adam(model.parameters(), lr=lr)

    def run() -> float:
        loss, gradient = fd.softmax_cross_entropy(model.forward(x), y)
        model.backward(gradient, input_gradient=False)  # as a peer leaves it out for inputs that are data
        optimizer.step()
        return loss

    return Contender(run, _loss)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Contender:
    param = param.copy()
    step = getattr(fd.optim, name)([(param, grad)], lr, **settings).step
    return Contender(step, lambda _: {"param": param})


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Contender:
    where = {"seed": 1, "stream": 2, "step": 3}
    return Contender(
        lambda: (fd.dropout_forward(x, p, **where), fd.dropout_backward(dy, p, **where)),
        lambda out: dropped(x, dy, *out, p),
    )


def norm(x: np.ndarray, order: float, axis: int | None) -> Contender:
    return Contender(lambda: fd.norm(x, order, axis), lambda out: {"norm": np.asarray(out)})


def _loaded(layers: dict[str, Any], weights: dict) -> Any:
    for name, layer in layers.items():
        prefix = f"{name}."
        layer.load_state_dict(
            {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        )
    return fd.nn.Sequential(*layers.values())


def _loss(out: float) -> dict[str, np.ndarray]:
    return {"loss": np.asarray(out)}
