"""The works in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ._common import as_loss, dropped, stacked
from ._table import Work

# Fused where PyTorch has it and not slower, else its default on CPUs, a loop.
FUSED = {"SGD", "Adam", "AdamW", "AMSGrad", "AdaGrad"}
NAMES = {"RMSProp": "RMSprop", "AdaGrad": "Adagrad", "AdaDelta": "Adadelta", "AMSGrad": "Adam"}


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    layer = getattr(torch.nn, kind)(x.shape[2], weights["weight_hh_l0"].shape[1], **stacked(weights))
    layer.load_state_dict(_tensors(weights))
    tensor, gradient = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(dy)

    def run() -> Any:
        layer.zero_grad(set_to_none=True)
        tensor.grad = None
        if lengths is None:
            y, _ = layer(tensor)
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(tensor, torch.from_numpy(lengths), enforce_sorted=False)
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], total_length=len(x))
        y.backward(gradient)
        return y

    return Work(
        run,
        arrays=lambda y: {"y": y.detach().numpy(), "dx": tensor.grad.numpy(), "dW": layer.weight_ih_l0.grad.numpy()},
    )


def language_model(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Work:
    """bias_hh stays at zero, since Keras and thinc have one bias."""
    classes, hidden = weights["linear.weight"].shape
    layers = {
        "lstm": torch.nn.LSTM(weights["lstm.weight_ih_l0"].shape[1], hidden),
        "linear": torch.nn.Linear(hidden, classes),
    }
    if "embedding.weight" in weights:
        layers["embedding"] = torch.nn.Embedding(*weights["embedding.weight"].shape)
    model = torch.nn.ModuleDict(layers)
    model.load_state_dict(_tensors(weights))
    model["lstm"].bias_hh_l0.requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(parameters, lr=lr, fused=True)
    embed = model["embedding"] if "embedding" in model else torch.nn.Identity()
    state = None

    def run() -> float:
        nonlocal state
        adam.zero_grad(set_to_none=True)
        h, after = model["lstm"](embed(torch.from_numpy(x)), state)
        state = tuple(part.detach() for part in after)
        loss = functional.cross_entropy(model["linear"](h).flatten(0, 1), torch.from_numpy(y).flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        return loss.item()

    return Work(run, arrays=as_loss)


def classifier(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Work:
    hidden, output = weights["hidden.weight"], weights["output.weight"]
    model = torch.nn.Sequential()
    model.add_module("hidden", torch.nn.Linear(*hidden.shape[::-1]))
    model.add_module("relu", torch.nn.ReLU())
    model.add_module("output", torch.nn.Linear(*output.shape[::-1]))
    model.load_state_dict(_tensors(weights))
    adam = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def run() -> float:
        adam.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()
        adam.step()
        return loss.item()

    return Work(run, arrays=as_loss)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    form: dict[str, Any] = {"amsgrad": True} if name == "AMSGrad" else {}
    form |= {"fused": True} if name in FUSED else {}
    theirs = {{"rho": "alpha"}.get(key, key) if name == "RMSProp" else key: value for key, value in settings.items()}
    tensor = torch.nn.Parameter(torch.from_numpy(param.copy()))
    tensor.grad = torch.from_numpy(grad.copy())
    step = getattr(torch.optim, NAMES.get(name, name))([tensor], lr=lr, **theirs, **form).step
    return Work(step, arrays=lambda _: {"param": tensor.detach().numpy()})


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    tensor, slope = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)

    def run() -> Any:
        tensor.grad = None
        y = functional.dropout(tensor, p, True)
        y.backward(slope)
        return y

    return Work(run, arrays=lambda y: dropped(x, dy, (y.detach().numpy(), tensor.grad.numpy()), p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    tensor = torch.from_numpy(x)
    note = "PyTorch's sums of so many float32 are up to some per cent off, so they are not compared"
    doubtful: dict[str, Any] = {"note": note, "loose": ("norm",)} if axis is None and x.size > 1 << 20 else {}
    return Work(
        lambda: torch.linalg.vector_norm(tensor, order, axis), arrays=lambda out: {"norm": out.numpy()},
        **(doubtful if np.isfinite(order) else {}),
    )  # fmt: skip


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    inputs, classes = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(targets)
    return _differentiated(lambda: functional.cross_entropy(inputs, classes), inputs)


def ctc(logits: np.ndarray, targets: np.ndarray, lengths: np.ndarray, target_lengths: np.ndarray) -> Work:
    inputs = torch.from_numpy(logits).requires_grad_()
    fixed = [torch.from_numpy(array) for array in (targets, lengths, target_lengths)]
    work = _differentiated(lambda: functional.ctc_loss(inputs.log_softmax(-1), *fixed), inputs)
    return work._replace(note="PyTorch's float32 gradient is off by a thousandth of itself, so it is not compared",
                         loose=("gradient",))  # fmt: skip


def _differentiated(loss_of: Callable[[], Any], inputs: Any) -> Work:
    def run() -> Any:
        inputs.grad = None
        found = loss_of()
        found.backward()
        return found.item(), inputs.grad

    return Work(run, arrays=lambda out: {"loss": np.asarray(out[0]), "gradient": out[1].numpy()})


def attention(
    kind: str, query: np.ndarray, source: np.ndarray, v: np.ndarray, lengths: np.ndarray, dy: np.ndarray
) -> Work:
    q, k, vector = (torch.from_numpy(array).requires_grad_() for array in (query, source, v))
    slope, seen = torch.from_numpy(dy), (torch.arange(len(source)) < torch.from_numpy(lengths)[:, None])[:, None]

    def run() -> Any:
        q.grad = k.grad = vector.grad = None
        q_, k_ = q.transpose(0, 1), k.transpose(0, 1)
        if kind == "dot":
            context = functional.scaled_dot_product_attention(q_, k_, k_, attn_mask=seen)
        else:
            scores = torch.tanh(q_[:, :, None] + k_[:, None]) @ vector
            context = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ k_
        context.transpose(0, 1).backward(slope)
        return context

    return Work(run, arrays=lambda out: {"y": out.detach().transpose(0, 1).numpy(), "dx": q.grad.numpy()})


def _tensors(arrays: dict) -> dict:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
