"""What a recurrent layer is given to learn, to see from which first values it does: three tasks of memory and a text.

A lesson says all that a run depends on but the library, the cell, the first values and the seed. Data are NumPy's, so
every library is given the same batches for a seed.
"""

import functools
import importlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fastdl as fd
from fastdl.text import Vocabulary, default_corpus

Batch = tuple[np.ndarray, np.ndarray]  # inputs (T, B, ...), and the targets of the last steps
RECENT = 20  # steps whose mean loss tells whether a lesson is learnt


class Lesson(NamedTuple):
    """A task, the model that learns it, and when it counts as learnt."""

    draw: Callable[..., Batch]  # (rng, T, B)
    loss: str  # "squared", "sigmoid" (squared, of the outputs' sigmoid) or "cross-entropy"
    outputs: int
    goal: float  # mean loss of the last steps below which the lesson is learnt
    limit: int  # of steps
    lr: float
    T: int
    B: int = 64
    hidden: int = 32
    inputs: int = 0  # 0 for symbols, which are embedded
    embedding: int = 0
    cells: tuple[str, ...] = ("LSTM", "GRU")

    def told(self) -> dict[str, Any]:
        """What a run depends on, by which a record knows whether it is of this lesson."""
        return {name: value for name, value in self._asdict().items() if name not in ("draw", "cells")}


def adding(rng: np.random.Generator, T: int, B: int) -> Batch:
    """The sum after the last step."""
    x, total = fd.datasets.adding(T, B, rng)
    return x, total[None]


def temporal_order(rng: np.random.Generator, T: int, B: int) -> Batch:
    """The class after the last step, one-hot."""
    x, order = fd.datasets.temporal_order(T, B, rng)
    return x, np.eye(4, dtype=np.float32)[None, order]


def copying(rng: np.random.Generator, T: int, B: int) -> Batch:
    """Four of four symbols, which a small network learns in a thousand steps."""
    return fd.datasets.copying(T, B, rng, length=4, alphabet=4)


def text(rng: np.random.Generator, T: int, B: int) -> Batch:
    """The next character of the English that Python carries, anywhere in it: what ``fastdl train text`` learns."""
    codes = _codes()[0]
    windows = codes[rng.integers(0, len(codes) - T, B) + np.arange(T + 1)[:, None]]
    return windows[:-1], windows[1:]


@functools.cache
def _codes() -> tuple[np.ndarray, int]:
    """The corpus in codes, and how many there are."""
    corpus = default_corpus()
    vocabulary = Vocabulary(corpus)
    return np.asarray(vocabulary.encode(corpus)), len(vocabulary)


@functools.cache
def lessons() -> dict[str, Lesson]:
    """The lessons by name. All take Adam, after a clip of the gradients' norm at 1."""
    letters = _codes()[1]
    order = Lesson(temporal_order, "sigmoid", 4, 0.005, 700, 0.01, T=100, inputs=8, cells=("GRU",))
    return {
        "adding": Lesson(adding, "squared", 1, 0.01, 700, 0.01, T=40, B=32, inputs=2),
        "temporal order": order,
        "temporal order, short": order._replace(T=30, cells=("LSTM",)),  # which no LSTM learnt so fast at T = 100
        "copying": Lesson(copying, "cross-entropy", 4, 0.1, 1000, 0.01, T=12, B=32, inputs=6),
        "text": Lesson(text, "cross-entropy", letters, 2.2, 400, 0.005, T=40, B=32, hidden=64, embedding=32),
    }


def learn(
    lesson: Lesson, step: Callable[[np.ndarray, np.ndarray], float], seed: int, end: float = np.inf
) -> dict[str, Any] | None:
    """Steps until the lesson is learnt, or all of them, and the mean loss of the last ones; None where time is up."""
    rng, losses = np.random.default_rng(seed), []
    for taken in range(1, lesson.limit + 1):
        if time.time() > end:
            return None
        losses.append(step(*lesson.draw(rng, lesson.T, lesson.B)))
        mean = float(np.mean(losses[-RECENT:]))
        learnt = taken >= RECENT and mean < lesson.goal
        if learnt or not np.isfinite(mean):
            break
    return {"steps": taken, "learnt": learnt, "loss": mean}


# ---- by each library ----------------------------------------------------------------------------------
Step = Callable[[np.ndarray, np.ndarray], float]  # of training on a batch, which gives the loss


def by_fastdl(lesson: Lesson, cell: str, init: str, seed: int) -> Step:
    fd.set_num_threads(1)
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


def by_torch(lesson: Lesson, cell: str, init: str, seed: int) -> Step:
    """The first values are PyTorch's own."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
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


def run_lesson(
    library: str, task: str, cell: str, init: str, seed: int, limit: int, end: float
) -> dict[str, Any] | None:
    """What came of learning a lesson from a seed, with its seconds; None where `end`, a time of day, comes before."""
    lesson, start = lessons()[task]._replace(limit=limit), time.time()
    if start > end:
        return None
    learner = {"fastdl": by_fastdl, "PyTorch": by_torch}[library]
    found = learn(lesson, learner(lesson, cell, init, seed), seed, end)
    return found and {**found, "seconds": round(time.time() - start, 2)}
