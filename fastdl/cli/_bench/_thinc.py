"""The works in thinc, on the kernels it brings (its wrapped PyTorch layers would be PyTorch)."""

from typing import Any

import numpy as np
from thinc import api
from thinc.types import Padded

from ._common import dropped, single, under
from ._peers import limit_blas
from ._table import Arrays, Missing, Work

GATES = (1, 0, 3, 2)  # where thinc's f, i, o, g stand in torch's i, f, g, o

ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "L2": 0.0, "use_averages": False}
FIRST_STEP = "thinc's backward leaves out the first time step, so its gradients are not compared"


def set_threads(threads: int) -> str:
    """Of BLAS; its products come from BLIS, which the environment bounds."""
    return limit_blas(threads)


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    if kind != "LSTM":
        raise Missing(kind)
    layer = _lstm(single(weights))
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
    order = np.argsort(-lengths, kind="stable")
    inputs, slopes = _padded(x[:, order], lengths[order]), _padded(dy[:, order], lengths[order])
    back = np.argsort(order)

    def run() -> Any:
        layer.set_grad("LSTM", np.zeros_like(layer.get_param("LSTM")))
        y, backward = layer.begin_update(inputs)
        return {"y": y.data, "dx": backward(slopes).data}

    def arrays(out: Arrays) -> Arrays:
        """With zeros after the longest sequence, which thinc cuts off."""
        return {name: np.concatenate([part[:, back], np.zeros((len(x) - len(part), *part.shape[1:]), part.dtype)])
                for name, part in out.items()}  # fmt: skip

    return Work(run, arrays=arrays, note=FIRST_STEP, loose=("dx",))


def training(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    return _language_model(weights, x, y, lr, clip) if clip else _classifier(weights, x, y, lr)


def _language_model(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float) -> Work:
    layer, out = _lstm(single(under("lstm", weights))), _dense(api.Softmax, weights, "linear")
    embed: Any = api.Embed(*weights["embedding.weight"].shape[::-1]) if "embedding.weight" in weights else None
    if embed:
        embed.set_param("E", weights["embedding.weight"].copy())
    T, B = x.shape[:2]
    lengths, targets = np.full(B, T), y.ravel().astype("i")
    loss, adam = api.CategoricalCrossentropy(), api.Adam(lr, grad_clip=clip, **ADAM)

    def run() -> Any:
        vectors, embed_backward = embed.begin_update(x.ravel()) if embed else (x, None)
        h, backward = layer.begin_update(_padded(vectors.reshape(T, B, -1), lengths))
        guesses, out_backward = out.begin_update(h.data.reshape(T * B, -1))
        dh = out_backward(loss.get_grad(guesses, targets))
        dx = backward(_padded(dh.reshape(T, B, -1), lengths)).data
        if embed_backward:
            embed_backward(dx.reshape(T * B, -1))
            embed.finish_update(adam)
        layer.finish_update(adam)
        out.finish_update(adam)
        return guesses

    note = f"{FIRST_STEP}; every step starts from a state of zero, and each array's gradient is clipped by itself"
    return Work(run, arrays=lambda guesses: _loss(guesses, targets), note=note, loose=("loss",))


def _classifier(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Work:
    model = api.chain(_dense(api.Relu, weights, "hidden"), _dense(api.Softmax, weights, "output"))
    targets, loss, adam = y.astype("i"), api.CategoricalCrossentropy(), api.Adam(lr, grad_clip=0.0, **ADAM)

    def run() -> Any:
        guesses, backward = model.begin_update(x)
        backward(loss.get_grad(guesses, targets))
        model.finish_update(adam)
        return guesses

    return Work(run, arrays=lambda guesses: _loss(guesses, targets))


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    if name not in ("Adam", "AdamW"):
        raise Missing(name)
    decay = {"L2": settings.get("weight_decay", 0.0), "L2_is_weight_decay": True}
    adam = api.Adam(lr, grad_clip=0.0, **(ADAM | decay))
    param = param.copy()

    def run() -> Any:
        return {"param": adam((0, "param"), param, grad.copy())[0]}

    return Work(run, note="counts a copy of the gradient, which its step sets to zero")


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    layer = api.Dropout(p)

    def run() -> Any:
        y, backward = layer.begin_update(x)
        return {"y": y, "dx": backward(dy)}

    return Work(run, arrays=lambda out: dropped(x, dy, out, p))


def _lstm(weights: list[np.ndarray]) -> Any:
    W, R, b, c = weights
    hidden = R.shape[1]
    layer = api.LSTM(hidden, W.shape[1])
    layer.initialize()
    parts = [np.concatenate([np.split(part, 4)[gate].ravel() for gate in GATES]) for part in (W, b, R, c)]
    layer.set_param("LSTM", np.concatenate(parts))
    return layer


def _dense(kind: Any, weights: dict, name: str) -> Any:
    layer = kind(*weights[f"{name}.weight"].shape)
    layer.initialize()
    layer.set_param("W", weights[f"{name}.weight"].copy())
    layer.set_param("b", weights[f"{name}.bias"].copy())
    return layer


def _padded(x: np.ndarray, lengths: np.ndarray) -> Padded:
    """Time first, the longest sequence first."""
    size_at_t = (np.arange(lengths.max())[:, None] < lengths).sum(1)
    return Padded(x[: lengths.max()], size_at_t.astype("i"), lengths.astype("i"), np.arange(len(lengths), dtype="i"))


def _loss(guesses: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """The cross-entropy, which thinc's training does not need and so does not take."""
    return {"loss": -np.log(guesses[np.arange(len(targets)), targets]).mean()}
