"""The works in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .lessons import Lesson
from .works import Contender, dropped, stacked

# Fused where PyTorch has it and not slower, else its default on CPUs, a loop.
FUSED = {"SGD", "Adam", "AdamW", "AdaGrad"}
NAMES = {"RMSProp": "RMSprop", "AdaGrad": "Adagrad"}


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Contender:
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

    return Contender(
        run,
        lambda y: {"y": y.detach().numpy(), "dx": tensor.grad.numpy(), "dW": layer.weight_ih_l0.grad.numpy()},
    )


def learner(lesson: Lesson, cell: str, init: str, seed: int) -> Callable[[np.ndarray, np.ndarray], float]:
    """A step of training on a batch, which gives the loss. The first values are PyTorch's own."""
    torch.manual_seed(seed)
    layer = getattr(torch.nn, cell)(lesson.embedding or lesson.inputs, lesson.hidden)
    linear = torch.nn.Linear(lesson.hidden, lesson.outputs)
    embed = torch.nn.Embedding(lesson.outputs, lesson.embedding) if lesson.embedding else torch.nn.Identity()
    parameters = [*layer.parameters(), *linear.parameters(), *embed.parameters()]
    adam = torch.optim.Adam(parameters, lr=lesson.lr, fused=True)

    def loss_of(y: Any, target: Any) -> Any:
        if lesson.loss == "cross-entropy":
            return torch.nn.functional.cross_entropy(y.flatten(0, 1), target.flatten())
        return torch.nn.functional.mse_loss(torch.sigmoid(y) if lesson.loss == "sigmoid" else y, target)

    def step(x: np.ndarray, target: np.ndarray) -> float:
        adam.zero_grad(set_to_none=True)
        h, _ = layer(embed(torch.from_numpy(x)))
        loss = loss_of(linear(h[-len(target) :]), torch.from_numpy(target))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        return loss.item()

    return step


def language_model(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Contender:
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
        loss = torch.nn.functional.cross_entropy(model["linear"](h).flatten(0, 1), torch.from_numpy(y).flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        return loss.item()

    return Contender(run, _loss)


def classifier(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Contender:
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
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        adam.step()
        return loss.item()

    return Contender(run, _loss)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Contender:
    theirs = {"alpha" if key == "rho" else key: value for key, value in settings.items()}
    form = {"fused": True} if name in FUSED else {}
    step = optimizer_step(NAMES.get(name, name), [(param, grad)], lr, **theirs, **form)
    (tensor,) = step.__self__.param_groups[0]["params"]
    return Contender(step, lambda _: {"param": tensor.detach().numpy()})


def optimizer_step(name: str, pairs: list, lr: float, **settings: Any) -> Callable[[], Any]:
    """The bound ``step`` of one of torch's optimizers, by torch's name and settings, on copies of these arrays."""
    params = [torch.nn.Parameter(torch.from_numpy(param.copy())) for param, _ in pairs]
    for param, (_, grad) in zip(params, pairs, strict=True):
        param.grad = torch.from_numpy(grad.copy())
    return getattr(torch.optim, name)(params, lr=lr, **settings).step


def clipped(step: Callable[[], Any]) -> Callable[[], Any]:
    """An optimizer's bound step after a clip at 1.

    Torch multiplies the gradients whatever their norm, so every run does the same work.
    """

    def run() -> None:
        torch.nn.utils.clip_grad_norm_(step.__self__.param_groups[0]["params"], 1.0)
        step()

    return run


def copy(source: np.ndarray, target: np.ndarray) -> Callable[[], Any]:
    to, of = torch.from_numpy(target), torch.from_numpy(source)
    return lambda: to.copy_(of)


def dropout_forward(x: np.ndarray, p: float) -> Callable[[], Any]:
    tensor = torch.from_numpy(x)
    return lambda: torch.nn.functional.dropout(tensor, p, True)


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Contender:
    tensor, slope = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)

    def run() -> Any:
        tensor.grad = None
        y = torch.nn.functional.dropout(tensor, p, True)
        y.backward(slope)
        return y

    return Contender(run, lambda y: dropped(x, dy, y.detach().numpy(), tensor.grad.numpy(), p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Contender:
    tensor = torch.from_numpy(x)
    note = "PyTorch's sums of so many float32 are up to some per cent off, so they are not compared"
    doubtful = {"note": note, "loose": ("norm",)} if axis is None and x.size > 1 << 20 and np.isfinite(order) else {}
    return Contender(
        lambda: torch.linalg.vector_norm(tensor, order, axis), lambda out: {"norm": out.numpy()}, **doubtful
    )


def _tensors(arrays: dict) -> dict:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _loss(out: float) -> dict[str, np.ndarray]:
    return {"loss": np.asarray(out)}
