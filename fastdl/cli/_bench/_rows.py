"""What the tour measures: kinds of work with their arguments, the same for every contender."""

from typing import Any, NamedTuple

import numpy as np

import fastdl as fd

LSTM_SHAPES = ((64, 32, 64, 256), (32, 16, 64, 64), (64, 1, 128, 128))  # T, B, I, H
HIDDEN = 256  # of the character model, as `train text` has it
CHARACTERS = 104
ELEMENTS = 1_000_000


class Row(NamedTuple):
    """`kind` names the function that builds the work, in ``_fastdl.py`` and in every peer that has it."""

    name: str
    kind: str
    arguments: tuple[Any, ...]


def rows() -> list[Row]:
    rng = fd.random.Generator(1)
    x, gradient = rng.normal(size=ELEMENTS), rng.normal(size=ELEMENTS)
    codes, logits = rng.integers(0, CHARACTERS, (65, 32)), rng.normal(size=(2048, CHARACTERS))
    images, digits = rng.normal(size=(200, 64)), rng.integers(0, 10, 200)
    return [
        *(Row(f"LSTM forward + backward, T={t} B={b} I={i} H={h}", "lstm", _lstm(t, b, i, h))
          for t, b, i, h in LSTM_SHAPES),
        Row(f"character model, a training step, T=64 B=32 H={HIDDEN}", "character_step", (codes, CHARACTERS, HIDDEN)),
        Row("dense classifier 64-256-10, a training step, B=200", "dense_step", (images, digits, 256, 10)),
        Row(f"softmax cross-entropy + gradient, 2048 x {CHARACTERS}", "cross_entropy",
            (logits, rng.integers(0, CHARACTERS, 2048))),
        Row(f"Adam, {ELEMENTS:,} parameters", "adam", (x, gradient)),
        Row(f"global norm, {ELEMENTS:,} elements", "norm", (x,)),
        Row(f"dropout p=0.5, {ELEMENTS:,} elements", "dropout", (x,)),
    ]  # fmt: skip


def _lstm(t: int, b: int, i: int, h: int) -> tuple[np.ndarray, ...]:
    """x, W_x, W_h, the bias, and the gradient with respect to the outputs; states begin at 0."""
    rng = fd.random.Generator(0)
    weights = [0.1 * rng.normal(size=shape) for shape in [(i, 4 * h), (h, 4 * h), (4 * h,)]]
    return rng.normal(size=(t, b, i)), *weights, rng.normal(size=(t, b, h))
