"""Linear maps, embeddings, activations and losses."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import VECTORS, Work, call, case, drawn, integers, normals, of_arrays
from fastdl.dense._pointwise import ACTIVATIONS

ROWS = {
    "small": {"rows": 9, "inputs": 33, "outputs": 37},
    "medium": {"rows": 131, "inputs": 128, "outputs": 128},
    "large": {"rows": 2048, "inputs": 512, "outputs": 512},
}
WORDS = {
    "small": {"words": 35, "vocabulary": 11, "width": 19},
    "medium": {"words": 1000, "vocabulary": 500, "width": 67},
    "large": {"words": 1 << 15, "vocabulary": 1 << 15, "width": 512},
}
ROWS_OF = {
    "small": {"rows": 17, "width": 37},
    "medium": {"rows": 400, "width": 100},
    "large": {"rows": 1 << 14, "width": 1 << 10},
}


@case("dense", "linear_forward", **ROWS)
def linear_forward(dtype: np.dtype, rows: int, inputs: int, outputs: int) -> Work:
    given = drawn(dtype, (rows, inputs), (inputs, outputs), (outputs,))
    return call(fd.linear_forward, *given, multiply_adds=rows * inputs * outputs)


@case("dense", "linear_backward", **ROWS)
def linear_backward(dtype: np.dtype, rows: int, inputs: int, outputs: int) -> Work:
    given = drawn(dtype, (rows, outputs), (rows, inputs), (inputs, outputs))
    return call(fd.linear_backward, *given, multiply_adds=2 * rows * inputs * outputs)


@case("dense", "embedding_forward", **WORDS)
def embedding_forward(dtype: np.dtype, words: int, vocabulary: int, width: int) -> Work:
    index, W = integers(vocabulary, words), normals(dtype, vocabulary, width)
    return call(fd.embedding_forward, index, W, read=index.nbytes + words * width * W.itemsize)  # of the rows used


@case("dense", "embedding_backward", **WORDS)
def embedding_backward(dtype: np.dtype, words: int, vocabulary: int, width: int) -> Work:
    index, W, dy = integers(vocabulary, words), normals(dtype, vocabulary, width), normals(dtype, words, width, seed=1)
    return call(fd.embedding_backward, dy, index, W, read=index.nbytes + dy.nbytes)


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


FEATURES = {
    "small": {"rows": 9, "features": 67},
    "medium": {"rows": 131, "features": 259},
    "large": {"rows": 1 << 15, "features": 512},
}


def _norm(name: str) -> None:
    forward, backward = getattr(fd, f"{name}_forward"), getattr(fd, f"{name}_backward")

    def arguments(dtype: np.dtype, rows: int, features: int) -> list[np.ndarray]:
        weight, bias = (normals(dtype, features, seed=seed) for seed in (1, 2))
        return [normals(dtype, rows, features), weight, bias]

    @case("dense", f"{name}_forward", **FEATURES)
    def run_forward(dtype: np.dtype, rows: int, features: int) -> Work:
        given = arguments(dtype, rows, features)
        return Work(lambda: forward(*given)[0], read=given[0].nbytes, written=given[0].nbytes, tolerance=1e-4)

    @case("dense", f"{name}_backward", **FEATURES)
    def run_backward(dtype: np.dtype, rows: int, features: int) -> Work:
        given = arguments(dtype, rows, features)
        tape, dy = forward(*given)[1], normals(dtype, rows, features, seed=3)
        return Work(lambda: backward(dy, tape), read=2 * dy.nbytes, written=dy.nbytes, tolerance=1e-4)


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
