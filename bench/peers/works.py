"""What is compared, at which shapes: a table of problems in plain NumPy, so that a peer's process needs no fastdl.

A problem is the arguments of one function that every library's module may have (``recurrent``, ``language_model``,
``classifier``, ``optimizer``, ``dropout``, ``norm``). Weights have torch's names and layouts.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from users import USERS, User

Problem = dict[str, Any]
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
RECURRENT_SHAPES = [  # T, B, I, H
    (1, 1, 32, 32),
    (32, 1, 32, 32),
    (16, 8, 64, 64),
    (64, 16, 64, 64),
    (64, 32, 128, 128),
    (100, 64, 128, 256),
    (64, 64, 256, 512),
    (32, 128, 512, 512),
    (200, 8, 64, 128),
    (128, 1, 256, 256),
]
OPTIMIZERS = {  # settings written out, since the defaults differ between libraries
    "SGD": {"momentum": 0.9},
    "Adam": {"betas": (0.9, 0.999), "eps": 1e-8},
    "AdamW": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
    "RMSProp": {"rho": 0.9, "eps": 1e-8},
    "AdaGrad": {"eps": 1e-8},
}
ORDERS = (1, 2, 3, math.inf)


class Missing(Exception):
    """Raised by a library's function for what the library does not offer; the message names it."""


class Contender(NamedTuple):
    """How one library does a piece of work."""

    run: Callable[[], Any]  # has done the work when it returns
    arrays: Callable[[Any], dict[str, np.ndarray]]  # what `run` gave, in fastdl's layout
    note: str = ""  # where it is not quite the same work, or its result cannot be compared
    loose: tuple[str, ...] = ()  # results of which shape and finiteness alone are compared
    first: float | None = None  # seconds of the first call, where making the contender has done it

    def results(self, *names: str) -> list[np.ndarray]:
        """Some of what a call gives, for a benchmark of its own assertions."""
        arrays = self.arrays(self.run())
        return [arrays[name] for name in names]


class Work(NamedTuple):
    """A row of the comparison."""

    name: str
    function: str  # of a library's module
    problem: Callable[..., Problem]  # the arguments of that function, from a shape
    shape: dict[str, int]
    calls: int = 1  # compared before anything is timed: several where a call starts from where the last ended
    tolerance: float = 1e-4  # of the largest element


def table() -> list[Work]:
    """Every row of the comparison."""
    rows = [Work(kind, "recurrent", _recurrent(kind), _tbih(*shape)) for kind in GATES for shape in RECURRENT_SHAPES]
    rows += [Work(f"{name}, {user.kind}", "recurrent", _of_user(user), _sizes(user)) for name, user in USERS.items()]
    rows.append(Work("ragged LSTM", "recurrent", _recurrent("LSTM", ragged=True), _tbih(400, 32, 64, 128)))
    character = {"T": 64, "B": 32, "classes": 96, "embedding": 64, "H": 256}
    rows.append(Work("character model, a step", "language_model", language_model, character, 3))
    tiny = {"T": 1, "B": 1, "classes": 32, "I": 32, "H": 32}
    rows.append(Work("tiny model, a step", "language_model", language_model, tiny, 3))
    for B, H in ((128, 256), (200, 300)):
        digits = {"B": B, "I": 784, "H": H, "classes": 10}
        rows.append(Work("dense classifier, a step", "classifier", classifier, digits, 3))
    for n in (1_000_000, 1 << 24):
        rows += [Work(f"{name}, a step", "optimizer", _optimizer(name), {"n": n}, 3) for name in OPTIMIZERS]
    rows += [Work("dropout p=0.5", "dropout", dropout, {"n": n}) for n in (1_000_000, 1 << 24)]
    for shape in ({"n": 1 << 24}, {"rows": 4096, "columns": 4096}):
        rows += [Work(f"norm of order {order:g}", "norm", _norm(order), shape) for order in ORDERS]
    rows.append(Work("norm of order 2", "norm", _norm(2), {"rows": 3000, "columns": 3000}))
    return rows


def tiny() -> list[Work]:
    """One row of each name and each kind of shape, small enough for a test."""
    sizes = {"T": 5, "B": 3, "I": 6, "H": 8, "layers": 2, "classes": 4, "embedding": 7, "n": 1000}
    sizes |= {"rows": 20, "columns": 30}
    small = [row._replace(shape={key: sizes[key] for key in row.shape}) for row in table()]
    return list({(row.name, *row.shape): row for row in small}.values())


def dropped(x: np.ndarray, dy: np.ndarray, y: np.ndarray, dx: np.ndarray, p: float) -> dict[str, np.ndarray]:
    """What two libraries' dropout have in common, since their masks differ; the masks are checked here."""
    seen = (x != 0) & (dy != 0)  # where a zero tells that an element was dropped
    y, dx = y[seen] / x[seen], dx[seen] / dy[seen]
    kept = y != 0
    assert (kept == (dx != 0)).all(), "forward and backward drop different elements"
    assert abs(kept.mean() - (1 - p)) < 6 * math.sqrt(p * (1 - p) / kept.size), f"kept {kept.mean()} with p={p}"
    return {"scales": np.array([f(scales[kept]) for scales in (y, dx) for f in (np.min, np.max)])}


# ---- problems -----------------------------------------------------------------------------------------------------


def language_model(T: int, B: int, classes: int, H: int, embedding: int = 0, I: int = 0, lr: float = 1e-3) -> Problem:  # noqa: E741
    """A step of training: embedding (or none, with inputs of width `I`), LSTM, linear; cross-entropy, clip 1, Adam."""
    rng = np.random.default_rng(0)
    weights = {f"lstm.{name}": array for name, array in _cell(rng, "LSTM", embedding or I, H).items()}
    weights["lstm.bias_hh_l0"][:] = 0  # not trained: Keras and thinc have one bias
    weights |= _linear(rng, "linear", H, classes)
    if embedding:
        weights["embedding.weight"] = rng.standard_normal((classes, embedding), np.float32)
        x = rng.integers(0, classes, (T, B))
    else:
        x = rng.standard_normal((T, B, I), np.float32)
    return {"weights": weights, "x": x, "y": rng.integers(0, classes, (T, B)), "lr": lr}


def classifier(B: int, I: int, H: int, classes: int, lr: float = 1e-3) -> Problem:  # noqa: E741
    """A step of training: linear, ReLU, linear; cross-entropy, Adam."""
    rng = np.random.default_rng(0)
    weights = _linear(rng, "hidden", I, H) | _linear(rng, "output", H, classes)
    x, y = rng.standard_normal((B, I), np.float32), rng.integers(0, classes, B)
    y[:classes] = np.arange(classes)[:B]
    return {"weights": weights, "x": x, "y": y, "lr": lr}


def dropout(n: int) -> Problem:
    """Forward and backward."""
    x, dy = np.random.default_rng(0).standard_normal((2, n), np.float32)
    return {"x": x, "dy": dy, "p": 0.5}


def _recurrent(kind: str, ragged: bool = False) -> Callable[..., Problem]:
    """Forward and backward with all gradients; ragged with lengths uniform in 1 to T."""

    def problem(T: int, B: int, I: int, H: int) -> Problem:  # noqa: E741
        rng, x, dy = _batch(T, B, I, H)
        lengths = rng.integers(1, T + 1, B) if ragged else None
        if lengths is not None:
            dy *= (np.arange(T)[:, None] < lengths)[:, :, None]
        return {"kind": kind, "weights": _cell(rng, kind, I, H), "x": x, "dy": dy, "lengths": lengths}

    return problem


def _of_user(user: User) -> Callable[..., Problem]:
    """The same of several layers, or of both directions."""

    def problem(T: int, B: int, I: int, H: int, layers: int = 1) -> Problem:  # noqa: E741
        width = H * user.directions
        rng, x, dy = _batch(T, B, I, width)
        weights = {}
        for at in range(layers):
            for suffix in _suffixes(at, user.bidirectional):
                weights |= _cell(rng, user.kind, width if at else I, H, suffix)
        return {"kind": user.kind, "weights": weights, "x": x, "dy": dy}

    return problem


def stacked(weights: dict[str, np.ndarray]) -> dict[str, Any]:
    """How many layers these are the weights of, and whether they go both ways."""
    both = "weight_ih_l0_reverse" in weights
    return {"num_layers": sum(name.startswith("weight_ih") for name in weights) // (1 + both), "bidirectional": both}


def by_layer(weights: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Of every layer the weights of each direction, by the names of a single layer."""
    found = stacked(weights)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [
        [{f"{name}_l0": weights[name + suffix] for name in names} for suffix in _suffixes(at, found["bidirectional"])]
        for at in range(found["num_layers"])
    ]


def single(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights, where they are one layer's in one direction: what some libraries' modules here are written for."""
    if len(weights) != 4:
        raise Missing("several layers or directions (not written for it here)")
    return weights


def _optimizer(name: str) -> Callable[..., Problem]:
    def problem(n: int) -> Problem:
        rng = np.random.default_rng(0)
        # No gradient near zero: libraries put eps in different places, and then it does not matter.
        grad = rng.uniform(0.5, 1.5, n) * rng.choice([-1, 1], n)
        param = rng.standard_normal(n, np.float32)
        return {"name": name, "settings": OPTIMIZERS[name], "lr": 1e-3, "param": param, "grad": grad.astype(np.float32)}

    return problem


def _norm(order: float) -> Callable[..., Problem]:
    """Of a vector, or of the rows of a matrix."""

    def problem(n: int = 0, rows: int = 0, columns: int = 0) -> Problem:
        x = np.random.default_rng(0).standard_normal(n or (rows, columns), np.float32)
        return {"x": x, "order": order, "axis": None if n else 1}

    return problem


def _batch(T: int, B: int, I: int, width: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:  # noqa: E741
    """Inputs, the gradients of outputs of this width, and where more is drawn from."""
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-1, 1, (T, B, columns)).astype(np.float32) for columns in (I, width))
    return rng, x, dy


def _cell(rng: np.random.Generator, kind: str, inputs: int, hidden: int, suffix: str = "_l0") -> dict[str, np.ndarray]:
    wide = GATES[kind] * hidden
    shapes = {"weight_ih": (wide, inputs), "weight_hh": (wide, hidden), "bias_ih": (wide,), "bias_hh": (wide,)}
    return {f"{name}{suffix}": _uniform(rng, hidden, shape) for name, shape in shapes.items()}


def _linear(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {
        f"{name}.weight": _uniform(rng, inputs, (outputs, inputs)),
        f"{name}.bias": _uniform(rng, inputs, (outputs,)),
    }


def _uniform(rng: np.random.Generator, width: int, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-(width**-0.5), width**-0.5, shape).astype(np.float32)


def _tbih(T: int, B: int, I: int, H: int) -> dict[str, int]:  # noqa: E741
    return {"T": T, "B": B, "I": I, "H": H}


def _sizes(user: User) -> dict[str, int]:
    return _tbih(*user[1:5]) | ({"layers": user.layers} if user.layers > 1 else {})


def _suffixes(at: int, both: bool) -> list[str]:
    """Of a layer's weights in torch's names."""
    return [f"_l{at}", f"_l{at}_reverse"][: 1 + both]
