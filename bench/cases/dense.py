"""Linear maps, embeddings, activations and losses."""

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import VECTORS, Work, call, case, drawn, integers, normals, of_arrays

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


def _activation(name: str) -> None:
    forward, backward = getattr(fd, name), getattr(fd, f"{name}_backward")

    of_arrays("dense", forward)

    @case("dense", f"{name}_backward", **VECTORS)
    def slope(dtype: np.dtype, n: int) -> Work:
        return call(backward, normals(dtype, n), forward(normals(dtype, n, seed=1)))


for _name in ("tanh", "sigmoid", "relu"):
    _activation(_name)


of_arrays("dense", fd.mse_loss, arrays=2)
