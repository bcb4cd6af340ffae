"""What it costs that a backward is derived: beside the same layers in a Sequential, and by recorded operation.

``pytest bench/bench_derived.py --benchmark-enable --benchmark-only -s``.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bench_ways import Runs, told

import fastdl as fd
from fastdl._tracing import recording
from fastdl.cli._bench._clock import alternate
from fastdl.cli._bench._fastdl import passes
from fastdl.nn._trace import Trace
from fastdl.nn._traced import Traced

T, B, I, H = 64, 32, 64, 256  # noqa: E741
COUNT = 200  # operations in one record
X, Y = np.ones((4, 4)), np.full((4, 4), 2.0)
OPERATIONS = {  # the forward, and what its backward computes by NumPy: of dy, x, y and the result
    "x + y": "(dy, dy)",
    "x * y": "(dy * y, dy * x)",
    "x / 2": "dy / 2",
    "x ** 2": "dy * (2 * x)",
    "x @ y": "(dy @ y.swapaxes(-1, -2), x.reshape(-1, 4).T @ dy.reshape(-1, 4))",
    "np.tanh(x)": "dy * (1 - result * result)",
    "np.exp(x)": "dy * result",
    "np.maximum(x, 0.0)": "(np.where(x == result, dy, 0), (x == 0.0).any())",
    "np.sum(x, 0)": "np.broadcast_to(np.reshape(dy, (1, 4)), (4, 4))",
    "np.mean(x, axis=-1, keepdims=True)": "np.broadcast_to(dy / 4.0, (4, 4))",
    "np.concatenate([x, y], -1)": "(dy[:, :4], dy[:, 4:])",
    "np.stack([x, y])": "(dy[0], dy[1])",
    "np.where(True, x, y)": "(np.where(True, dy, 0), np.where(True, 0, dy))",
    "x.reshape(2, 8)": "dy.reshape(4, 4)",
    "x.T": "dy.T",
    "x[0]": "np.zeros((4, 4))[0].__iadd__(dy)",
    "x[:, 1:3]": "np.zeros((4, 4))[:, 1:3].__iadd__(dy)",
    "np.einsum('ij,jk->ik', x, y)": "(np.einsum('ik,jk->ij', dy, y), np.einsum('ik,ij->jk', dy, x))",
    "fd.tanh(x)": "fd.tanh_backward(dy, result)",
    "fd.gelu(x)": "fd.gelu_backward(dy, x)",
    "fd.linear_forward(x, y, None)": "fd.linear_backward(dy, x, y)",
    "fd.mse_loss(x, Y)[0]": "dy * y",
}


class Written(fd.nn.Module):
    """An LSTM and two linear layers, forward alone."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.a, self.b = layers()

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.b(self.a(self.lstm(x)))


def layers() -> tuple[fd.nn.Module, ...]:
    return fd.nn.LSTM(I, H, rng=0), fd.nn.Linear(H, H, rng=1), fd.nn.Linear(H, 16, rng=2)


def record(function: Callable[..., Any], pairs: list[tuple[np.ndarray, np.ndarray]], dys: list[np.ndarray]) -> None:
    """The same operation on many pairs of arrays, there and back."""
    trace = Trace(None, "bench")
    given = [[Traced(trace, trace.number(one, True), one) for one in pair] for pair in pairs]
    with recording(trace):
        results = [function(*pair) for pair in given]
    trace.close()
    trace.backward([(one._at, dy) for one, dy in zip(results, dys, strict=True)], True)


def test_beside_a_sequential(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-1, 1, (T, B, size)).astype(np.float32) for size in (I, 16))
    models = {"Sequential": fd.nn.Sequential(*layers()), "derived": Written()}
    runs: Runs = {name: passes(model, x, dy) for name, model in models.items()}
    for ours, theirs in zip(runs["derived"](), runs["Sequential"](), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    told(benchmark, f"LSTM and two linear layers at ({T}, {B}, {I}, {H})", runs, seconds=3.0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark: Any, name: str) -> None:
    """Beyond NumPy's own: the record beside one that holds the inputs alone, less the functions that it calls."""
    function, back = eval(f"lambda x, y: {name}"), eval(f"lambda dy, x, y, result: {OPERATIONS[name]}")
    pairs = [(X.copy(), Y.copy()) for _ in range(COUNT)]
    dys = [np.ones(np.shape(function(X, Y)))] * COUNT

    def plain() -> None:
        results = [function(x, y) for x, y in pairs]
        for (x, y), dy, z in zip(pairs, dys, results, strict=True):
            back(dy, x, y, z)

    runs = {
        "inputs alone": functools.partial(record, lambda x, y: x, pairs, [X] * COUNT),
        "recorded": functools.partial(record, function, pairs, dys),
        "NumPy": plain,
    }
    taken = {key: one.median for key, one in alternate(runs, seconds=1.5, clock=time.process_time).items()}
    beyond = 1e6 * (taken["recorded"] - taken["inputs alone"] - taken["NumPy"]) / COUNT
    print(f"\n{name}: {beyond:.2f} microseconds beyond NumPy's {1e6 * taken['NumPy'] / COUNT:.2f}", end="")
    benchmark.extra_info["microseconds"] = beyond
    benchmark.pedantic(runs["recorded"], rounds=1)
