"""What a recurrent layer is given to learn, to see from which first values it does: three tasks of memory and a text.

A lesson says all that a run depends on but the library, the cell, the first values and the seed. Data are NumPy's, so
every library is given the same batches for a seed.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
    """Of pairs (number, mark) add the two marked numbers, one in each half (Hochreiter and Schmidhuber 1997)."""
    x, every = np.zeros((T, B, 2), np.float32), np.arange(B)
    x[..., 0] = rng.random((T, B))
    first, second = rng.integers(0, T // 2, B), rng.integers(T // 2, T, B)
    x[first, every, 1] = x[second, every, 1] = 1
    return x, (x[first, every, :1] + x[second, every, :1])[None]


def temporal_order(rng: np.random.Generator, T: int, B: int) -> Batch:
    """Which of X and Y came first, and which second (the same, 6a): T to T + 10 symbols, four classes."""
    symbols = rng.integers(4, 8, (T + rng.integers(0, 11), B))  # distractors
    symbols[0], symbols[-1] = 0, 1  # begin and end; 2 and 3 are X and Y
    kinds, every = rng.integers(0, 2, (2, B)), np.arange(B)
    for kind, early in zip(kinds, (T // 10, T // 2), strict=True):
        symbols[rng.integers(early, early + T // 10 + 1, B), every] = 2 + kind
    return np.eye(8, dtype=np.float32)[symbols], np.eye(4, dtype=np.float32)[None, 2 * kinds[0] + kinds[1]]


def copying(rng: np.random.Generator, T: int, B: int, length: int = 4, alphabet: int = 4) -> Batch:
    """Repeat some symbols after T blanks, the last of which says so (the same task as Arjovsky 2016)."""
    told = rng.integers(0, alphabet, (length, B))
    symbols = np.full((2 * length + T, B), alphabet)
    symbols[:length] = told
    symbols[length + T - 1] = alphabet + 1
    return np.eye(alphabet + 2, dtype=np.float32)[symbols], told


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
    lesson: Lesson, step: Callable[[np.ndarray, np.ndarray], float], seed: int, seconds: float = np.inf
) -> dict[str, Any] | None:
    """Steps until the lesson is learnt, or all of them, and the mean loss of the last ones; None where time is up."""
    rng, losses, end = np.random.default_rng(seed), [], time.monotonic() + seconds
    for taken in range(1, lesson.limit + 1):
        if time.monotonic() > end:
            return None
        losses.append(step(*lesson.draw(rng, lesson.T, lesson.B)))
        mean = float(np.mean(losses[-RECENT:]))
        learnt = taken >= RECENT and mean < lesson.goal
        if learnt or not np.isfinite(mean):
            break
    return {"steps": taken, "learnt": learnt, "loss": mean}
