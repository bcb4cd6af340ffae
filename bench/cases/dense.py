"""Linear maps, embeddings, activations and losses."""

import numpy as np

import fastdl as fd

from ._case import Work, case, random

ROWS = {
    "small": {"rows": 8, "inputs": 32, "outputs": 32},
    "medium": {"rows": 128, "inputs": 128, "outputs": 128},
    "large": {"rows": 2048, "inputs": 512, "outputs": 512},
}
VECTORS = {"small": {"n": 1000}, "medium": {"n": 100_000}, "large": {"n": 1 << 24}}


@case("dense", "linear_forward", **ROWS)
def linear_forward(dtype: np.dtype, rows: int, inputs: int, outputs: int) -> Work:
    x, W, b = random(dtype, rows, inputs), random(dtype, inputs, outputs, seed=1), random(dtype, outputs, seed=2)
    return Work(
        lambda: fd.linear_forward(x, W, b),
        read=x.nbytes + W.nbytes + b.nbytes,
        written=rows * outputs * x.itemsize,
        multiply_adds=rows * inputs * outputs,
    )


@case("dense", "tanh", **VECTORS)
def tanh(dtype: np.dtype, n: int) -> Work:
    x = random(dtype, n)
    return Work(lambda: fd.tanh(x), read=x.nbytes, written=x.nbytes)
