"""The works in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ._common import dropped, parts, stacked, under
from ._table import Arrays, Work

# Fused where PyTorch has it and not slower, else its default on CPUs, a loop.
FUSED = {"SGD", "Adam", "AdamW", "AMSGrad", "AdaGrad"}
NAMES = {"RMSProp": "RMSprop", "AdaGrad": "Adagrad", "AdaDelta": "Adadelta", "AMSGrad": "Adam"}


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    if kind == "sLSTM":
        forward, leaves = _slstm(weights)
    else:
        layer = getattr(torch.nn, kind)(x.shape[2], weights["weight_hh_l0"].shape[1], **stacked(weights))
        layer.load_state_dict(_tensors(weights))
        forward, leaves = lambda x: layer(x)[0], dict(layer.named_parameters())
    leaves["x"], gradient = _leaf(x), torch.from_numpy(dy)

    def run() -> Any:
        for leaf in leaves.values():
            leaf.grad = None
        if lengths is None:
            y = forward(leaves["x"])
        else:
            fixed = torch.from_numpy(lengths)
            packed = torch.nn.utils.rnn.pack_padded_sequence(leaves["x"], fixed, enforce_sorted=False)
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(forward(packed), total_length=len(x))
        y.backward(gradient)
        return {"y": y, "dx": leaves["x"].grad, "dW": leaves["weight_ih_l0"].grad}

    return Work(run, arrays=_numpy)


def _slstm(weights: dict) -> tuple[Callable[..., Any], dict[str, Any]]:
    """As a user would write it, a loop over time, with the products of the heads as a batch of them."""
    leaves = {name: _leaf(array) for name, array in weights.items()}
    W, R, b = leaves.values()

    def forward(x: Any) -> Any:
        by_head = R if R.dim() == 3 else R.T[None]
        heads, width, _ = by_head.shape
        h = c = n = m = torch.zeros(x.shape[1], heads * width)
        outputs = []
        for a in x @ W.T + b:
            of_h = torch.bmm(h.view(len(h), heads, width).transpose(0, 1), by_head)
            of_h = of_h.view(heads, len(h), 4, width).permute(1, 2, 0, 3).reshape(a.shape)
            a_i, a_f, a_z, a_o = (a + of_h).chunk(4, 1)
            seen = functional.logsigmoid(a_f) + m
            m = torch.where(n > 0, torch.maximum(seen, a_i), a_i).detach()
            i, f = torch.exp(a_i - m), torch.where(n > 0, torch.exp(seen - m), 0)
            c, n = f * c + i * torch.tanh(a_z), f * n + i
            h = torch.sigmoid(a_o) * c / n
            outputs.append(h)
        return torch.stack(outputs)

    return forward, leaves


def training(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    """bias_hh stays at zero, since Keras and thinc have one bias."""
    model = torch.nn.ModuleDict({name: _module(name, under(name, weights)) for name in parts(weights)})
    model.load_state_dict(_tensors(weights))
    parameters = [one for name, one in model.named_parameters() if name != "lstm.bias_hh_l0"]
    adam = torch.optim.Adam(parameters, lr=lr, fused=True)
    state, inputs, targets = None, torch.from_numpy(x), torch.from_numpy(y).flatten()

    def forward(h: Any) -> Any:
        nonlocal state
        for name, module in model.items():
            if name == "lstm":
                h, after = module(h, state)
                state = tuple(part.detach() for part in after)
            else:
                h = functional.relu(module(h)) if name == "hidden" else module(h)
        return h

    def run() -> dict[str, float]:
        adam.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(inputs).flatten(0, -2), targets)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        adam.step()
        return {"loss": loss.item()}

    if "lstm" in model:
        model["lstm"].bias_hh_l0.requires_grad_(False)
    return Work(run)


def _module(name: str, own: dict) -> Any:
    rows, columns = next(iter(own.values())).shape
    if name == "lstm":
        return torch.nn.LSTM(columns, rows // 4)
    return torch.nn.Embedding(rows, columns) if name == "embedding" else torch.nn.Linear(columns, rows)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    form: dict[str, Any] = {"amsgrad": True} if name == "AMSGrad" else {}
    form |= {"fused": True} if name in FUSED else {}
    theirs = {"alpha" if (name, key) == ("RMSProp", "rho") else key: value for key, value in settings.items()}
    tensor = torch.nn.Parameter(torch.from_numpy(param.copy()))
    tensor.grad = torch.from_numpy(grad.copy())
    step = getattr(torch.optim, NAMES.get(name, name))([tensor], lr=lr, **theirs, **form).step
    return Work(step, arrays=lambda _: _numpy({"param": tensor}))


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    tensor, slope = _leaf(x), torch.from_numpy(dy)

    def run() -> Any:
        tensor.grad = None
        y = functional.dropout(tensor, p, True)
        y.backward(slope)
        return {"y": y, "dx": tensor.grad}

    return Work(run, arrays=lambda out: dropped(x, dy, _numpy(out), p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    tensor = torch.from_numpy(x)
    note = "PyTorch's sums of so many float32 are up to some per cent off, so they are not compared"
    sums = axis is None and x.size > 1 << 18 and np.isfinite(order) and order != 0
    doubtful: dict[str, Any] = {"note": note, "loose": ("norm",)} if sums else {}
    return Work(lambda: {"norm": torch.linalg.vector_norm(tensor, order, axis)}, arrays=_numpy, **doubtful)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    classes = torch.from_numpy(targets)
    return _differentiated(lambda z: functional.cross_entropy(z, classes), logits)


def ctc(logits: np.ndarray, targets: np.ndarray, lengths: np.ndarray, target_lengths: np.ndarray) -> Work:
    fixed = [torch.from_numpy(array) for array in (targets, lengths, target_lengths)]
    work = _differentiated(lambda z: functional.ctc_loss(z.log_softmax(-1), *fixed), logits)
    return work._replace(note="PyTorch's float32 gradient is off by a thousandth of itself, so it is not compared",
                         loose=("gradient",))  # fmt: skip


def _differentiated(loss_of: Callable[[Any], Any], logits: np.ndarray) -> Work:
    inputs = _leaf(logits)

    def run() -> dict[str, Any]:
        inputs.grad = None
        found = loss_of(inputs)
        found.backward()
        return {"loss": found, "gradient": inputs.grad}

    return Work(run, arrays=_numpy)


def attention(
    kind: str, query: np.ndarray, source: np.ndarray, v: np.ndarray, lengths: np.ndarray, dy: np.ndarray
) -> Work:
    q, k, vector = map(_leaf, (query, source, v))
    slope, seen = torch.from_numpy(dy), (torch.arange(len(source)) < torch.from_numpy(lengths)[:, None])[:, None]

    def run() -> Any:
        q.grad = k.grad = vector.grad = None
        q_, k_ = q.transpose(0, 1), k.transpose(0, 1)
        if kind == "dot":
            context = functional.scaled_dot_product_attention(q_, k_, k_, attn_mask=seen)
        else:
            scores = torch.tanh(q_[:, :, None] + k_[:, None]) @ vector
            context = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ k_
        y = context.transpose(0, 1)
        y.backward(slope)
        return {"y": y, "dx": q.grad}

    return Work(run, arrays=_numpy)


def _leaf(array: np.ndarray) -> Any:
    return torch.from_numpy(array.copy()).requires_grad_()


def _tensors(arrays: dict) -> dict:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _numpy(tensors: dict) -> Arrays:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}
