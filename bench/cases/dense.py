"""Linear maps, embeddings, activations and losses."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import (
    VECTORS,
    Work,
    call,
    case,
    drawn,
    integers,
    normals,
    of_arrays,
    sizes,
    there_and_back,
)
from fastdl.dense._pointwise import ACTIVATIONS

ROWS = sizes("rows inputs outputs", (9, 33, 37), (131, 128, 128), (2048, 512, 512))
WORDS = sizes("words vocabulary width", (35, 11, 19), (1000, 500, 67), (1 << 15, 1 << 15, 512))
ROWS_OF = sizes("rows width", (17, 37), (400, 100), (1 << 14, 1 << 10))


@there_and_back("dense", "linear", **ROWS)
def linear(dtype: np.dtype, rows: int, inputs: int, outputs: int) -> tuple[Work, Work]:
    x, W, b, dy = drawn(dtype, (rows, inputs), (inputs, outputs), (outputs,), (rows, outputs))
    product = rows * inputs * outputs
    forward = call(fd.linear_forward, x, W, b, multiply_adds=product)
    return forward, call(fd.linear_backward, dy, x, W, multiply_adds=2 * product)


@there_and_back("dense", "embedding", **WORDS)
def embedding(dtype: np.dtype, words: int, vocabulary: int, width: int) -> tuple[Work, Work]:
    index, W, dy = integers(vocabulary, words), normals(dtype, vocabulary, width), normals(dtype, words, width, seed=1)
    read = index.nbytes + dy.nbytes  # of the table the rows used
    return call(fd.embedding_forward, index, W, read=read), call(fd.embedding_backward, dy, index, W, read=read)


VOCABULARY = sizes("rows inputs classes", (9, 33, 37), (131, 64, 512), (640, 256, 16383))


@case("dense", "linear_cross_entropy", **VOCABULARY)
def linear_loss(dtype: np.dtype, rows: int, inputs: int, classes: int) -> Work:
    x, W, b = drawn(dtype, (rows, inputs), (inputs, classes), (classes,))
    return call(fd.linear_cross_entropy, x, W, b, integers(classes, rows), multiply_adds=3 * rows * inputs * classes)


def _activation(name: str, kept: str) -> None:
    forward, backward = getattr(fd, name), getattr(fd, f"{name}_backward")
    sizes = ROWS_OF if "softmax" in name else VECTORS

    of_arrays("dense", forward, sizes=sizes)

    @case("dense", f"{name}_backward", **sizes)
    def slope(dtype: np.dtype, **shape: int) -> Work:
        dy, x = normals(dtype, *shape.values()), normals(dtype, *shape.values(), seed=1)
        return call(backward, dy, x if kept == "x" else forward(x))


for _one in ACTIVATIONS.values():
    _activation(_one.name, _one.kept)


FEATURES = sizes("rows features", (9, 67), (131, 259), (1 << 15, 512))


def _norm(name: str) -> None:
    forward, backward = getattr(fd, f"{name}_forward"), getattr(fd, f"{name}_backward")

    @there_and_back("dense", name, **FEATURES)
    def build(dtype: np.dtype, rows: int, features: int) -> tuple[Work, Work]:
        given = drawn(dtype, (rows, features), (features,), (features,))
        (y, tape), dy = forward(*given), normals(dtype, rows, features, seed=3)
        there = Work(lambda: forward(*given)[0], read=y.nbytes, written=y.nbytes, tolerance=1e-4)
        return there, Work(lambda: backward(dy, tape), read=2 * dy.nbytes, written=dy.nbytes, tolerance=1e-4)


for _name in ("layer_norm", "batch_norm"):
    _norm(_name)


for _loss in (fd.mse_loss, fd.l1_loss, fd.smooth_l1_loss, fd.huber_loss, fd.quantile_loss,
              fd.binary_cross_entropy_with_logits):  # fmt: skip
    of_arrays("dense", _loss, arrays=2)


@case("dense", "mse_loss", "weights", **VECTORS)
def weighted(dtype: np.dtype, n: int) -> Work:
    x, y = normals(dtype, n), normals(dtype, n, seed=1)
    weights = np.abs(normals(dtype, n, seed=2))
    return Work(lambda: fd.mse_loss(x, y, weights=weights), read=3 * x.nbytes, written=x.nbytes)


def _of_rows(name: str, make: Callable[[np.dtype, int, int], tuple[Any, Any]], arrays: int, written: int = 1) -> None:
    """A loss of rows, or one that NumPy computes; arrays that are read and written."""

    @case("dense", name, **ROWS_OF)
    def loss(dtype: np.dtype, rows: int, width: int) -> Work:
        outputs, targets = make(dtype, rows, width)
        size = rows * width * dtype.itemsize
        return Work(lambda: getattr(fd, name)(outputs, targets), read=arrays * size, written=written * size)


def _two(dtype: np.dtype, rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return normals(dtype, rows, width), normals(dtype, rows, width, seed=1)


_of_rows("poisson_nll_loss", lambda *sizes: (_two(*sizes)[0], np.floor(np.abs(_two(*sizes)[1]))), 2)
_of_rows("gaussian_nll_loss", lambda *sizes: ((_two(*sizes)[0], 0.1 + np.abs(_two(*sizes)[1])), _two(*sizes)[1]), 3, 2)
_of_rows("kl_div", lambda *sizes: (fd.log_softmax(_two(*sizes)[0]), fd.softmax(_two(*sizes)[1])), 2)
_of_rows("nll_loss", lambda *sizes: (fd.log_softmax(_two(*sizes)[0]), integers(sizes[2], sizes[1])), 1)
_of_rows("cosine_embedding_loss", lambda *sizes: (_two(*sizes), None), 2, 2)
_of_rows("error_to_signal_ratio", _two, 2)
