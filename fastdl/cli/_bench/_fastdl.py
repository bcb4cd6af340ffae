"""The works in fastdl; under its other backend, in the reference."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd

from ._common import GATES, dropped, parts, stacked, under
from ._table import Arrays, Work, call

WHERE: dict[str, Any] = {"seed": 1, "stream": 2, "step": 3}


def set_threads(threads: int) -> None:
    fd.set_num_threads(threads)


def passes(layer: Any, x: np.ndarray, dy: np.ndarray, **given: Any) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Forward and backward of a layer, with all gradients."""

    def run() -> tuple[np.ndarray, np.ndarray]:
        layer.zero_grad()
        y = layer.forward(x, **given)
        return y, layer.backward(dy)

    return run


def recurrent(kind: str, weights: Arrays, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    T, B, inputs = x.shape
    hidden = len(weights["weight_ih_l0"]) // GATES[kind]
    options = {"heads": math.prod(weights["weight_hh_l0"].shape[:-2])} if kind == "sLSTM" else stacked(weights)
    layer = getattr(fd.nn, kind)(inputs, hidden, **options, dtype=x.dtype)
    layer.load_state_dict(weights)
    parameters = layer.parameters()
    products = sum(array.size for name, array in weights.items() if name.startswith("weight"))
    states = {"LSTM": 2, "sLSTM": 4}.get(kind, 1)
    kept = (GATES[kind] + states) * dy.nbytes * stacked(weights)["num_layers"]  # the gates and states of every layer
    return Work(
        passes(layer, x, dy, lengths=lengths),
        read=2 * (x.nbytes + parameters.data.nbytes) + dy.nbytes + kept,
        written=x.nbytes + parameters.data.nbytes + kept,
        multiply_adds=3 * (T * B if lengths is None else int(lengths.sum())) * products,
        tolerance=1e-4,
        arrays=lambda out: {"y": out[0], "dx": out[1], "dW": layer.weight_ih_l0.grad.T, "all": parameters.grad},
    )


def model_of(weights: Arrays, **options: Any) -> Any:
    """The layers that the weights are of; options are the LSTM's."""
    layers: list[Any] = []
    for name in parts(weights):
        own = under(name, weights)
        if name == "lstm":
            wide, inputs = own["weight_ih_l0"].shape
            layers.append(fd.nn.LSTM(inputs, wide // 4, stacked(own)["num_layers"], **options))
        else:
            shape = own["weight"].shape
            layers.append(fd.nn.Embedding(*shape) if name == "embedding" else fd.nn.Linear(*shape[::-1]))
        layers[-1].load_state_dict(own)
        layers += [fd.nn.ReLU()] if name == "hidden" else []
    return fd.nn.Sequential(*layers)


def training(weights: Arrays, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    """One bias, as in Keras and thinc."""
    model = model_of(weights, bias="single")
    adam = fd.optim.Adam(model.parameters(), lr=lr)
    state = None

    def run() -> dict[str, float]:
        nonlocal state
        logits, state = model.forward(x, state, return_state=True)
        loss, gradient = fd.softmax_cross_entropy(logits, y)
        model.backward(gradient, input_gradient=False)  # as a peer leaves it out for inputs that are data
        if clip:
            fd.optim.clip_grad_norm_(model.parameters(), clip)
        adam.step()
        return {"loss": loss}

    return Work(run, tolerance=1e-4)


def optimizer(name: str, settings: dict[str, Any], lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    param = param.copy()
    step = getattr(fd.optim, name)([(param, grad)], lr, **settings).step
    return Work(step, arrays=lambda _: {"param": param}, tolerance=1e-4)


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    return Work(
        lambda: {"y": fd.dropout_forward(x, p, **WHERE), "dx": fd.dropout_backward(dy, p, **WHERE)},
        arrays=lambda out: dropped(x, dy, out, p),
    )


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    return call(fd.norm, x, order, axis=axis, arrays=lambda out: {"norm": out})


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    return call(fd.softmax_cross_entropy, logits, targets, arrays=_pair)


def ctc(logits: np.ndarray, targets: np.ndarray, lengths: np.ndarray, target_lengths: np.ndarray) -> Work:
    return call(fd.ctc_loss, logits, targets, lengths, target_lengths, arrays=_pair, tolerance=1e-4)


def attention(
    kind: str, query: np.ndarray, source: np.ndarray, v: np.ndarray, lengths: np.ndarray, dy: np.ndarray
) -> Work:
    forward: Callable[..., Any] = getattr(fd, f"{kind}_attention_forward")
    backward: Callable[..., Any] = getattr(fd, f"{kind}_attention_backward")
    given = (query, source, source, lengths, True) if kind == "dot" else (query, source, source, v, lengths)

    def run() -> Arrays:
        context, weights = forward(*given)
        return {"y": context, "dx": backward(dy, weights, *given)[0]}

    return Work(run, tolerance=1e-4)


def hessian_product(weights: Arrays, along: Arrays, x: np.ndarray, y: np.ndarray) -> Work:
    """At a new point each time, as a step of training has it."""
    model, other = model_of(weights), model_of(along)
    v = np.concatenate([one.data.reshape(-1) for one in other.parameters()])

    def run() -> Arrays:
        return {"product": fd.curvature.LossPoint(model, fd.softmax_cross_entropy, (x, y)).hvp(v)}

    return Work(run, tolerance=2e-4)


def _pair(out: Any) -> Arrays:
    return {"loss": out[0], "gradient": out[1]}
