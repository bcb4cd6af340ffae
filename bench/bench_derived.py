"""What it costs that a backward is derived: beside the same layers in a Sequential, and by recorded operation.

``pytest bench/bench_derived.py --benchmark-enable --benchmark-only -s``.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._tracing import recording
from fastdl.cli._bench._clock import alternate
from fastdl.nn._trace import Trace
from fastdl.nn._traced import Traced

T, B, I, H = 64, 32, 64, 256  # noqa: E741
COUNT = 200  # operations in one record
X, Y = np.ones((4, 4)), np.full((4, 4), 2.0)

# The forward, and what its backward computes by NumPy: of dy, x, y and the result.
Back = Callable[[Any, Any, Any, Any], Any]
OPERATIONS: dict[str, tuple[Callable[..., Any], Back]] = {
    "x + y": (lambda x, y: x + y, lambda d, x, y, z: (d, d)),
    "x * y": (lambda x, y: x * y, lambda d, x, y, z: (d * y, d * x)),
    "x / 2": (lambda x, y: x / 2, lambda d, x, y, z: d / 2),
    "x ** 2": (lambda x, y: x**2, lambda d, x, y, z: d * (2 * x)),
    "x @ y": (
        lambda x, y: x @ y,
        lambda d, x, y, z: (d @ y.swapaxes(-1, -2), x.reshape(-1, 4).T @ d.reshape(-1, 4)),
    ),
    "np.tanh": (lambda x, y: np.tanh(x), lambda d, x, y, z: d * (1 - z * z)),
    "np.exp": (lambda x, y: np.exp(x), lambda d, x, y, z: d * z),
    "np.maximum": (lambda x, y: np.maximum(x, 0.0), lambda d, x, y, z: (np.where(x == z, d, 0), (x == 0.0).any())),
    "np.sum": (
        lambda x, y: np.sum(x, 0),
        lambda d, x, y, z: np.broadcast_to(np.reshape(d, (1, 4)), (4, 4)),
    ),
    "np.mean": (
        lambda x, y: np.mean(x, axis=-1, keepdims=True),
        lambda d, x, y, z: np.broadcast_to(d / 4.0, (4, 4)),
    ),
    "np.concatenate": (lambda x, y: np.concatenate([x, y], -1), lambda d, x, y, z: (d[:, :4], d[:, 4:])),
    "np.stack": (lambda x, y: np.stack([x, y]), lambda d, x, y, z: (d[0], d[1])),
    "np.where": (
        lambda x, y: np.where(True, x, y),
        lambda d, x, y, z: (np.where(True, d, 0), np.where(True, 0, d)),
    ),
    "x.reshape": (lambda x, y: x.reshape(2, 8), lambda d, x, y, z: d.reshape(4, 4)),
    "x.T": (lambda x, y: x.T, lambda d, x, y, z: d.T),
    "x[0]": (lambda x, y: x[0], lambda d, x, y, z: np.zeros((4, 4))[0].__iadd__(d)),
    "x[:, 1:3]": (lambda x, y: x[:, 1:3], lambda d, x, y, z: np.zeros((4, 4))[:, 1:3].__iadd__(d)),
    "np.einsum": (
        lambda x, y: np.einsum("ij,jk->ik", x, y),
        lambda d, x, y, z: (np.einsum("ik,jk->ij", d, y), np.einsum("ik,ij->jk", d, x)),
    ),
    "fd.tanh": (lambda x, y: fd.tanh(x), lambda d, x, y, z: fd.tanh_backward(d, z)),
    "fd.gelu": (lambda x, y: fd.gelu(x), lambda d, x, y, z: fd.gelu_backward(d, x)),
    "fd.linear_forward": (
        lambda x, y: fd.linear_forward(x, y, None),
        lambda d, x, y, z: fd.linear_backward(d, x, y),
    ),
    "fd.mse_loss": (lambda x, y: fd.mse_loss(x, Y)[0], lambda d, x, y, z: d * y),
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


def trained(model: fd.nn.Module) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-1, 1, (T, B, size)).astype(np.float32) for size in (I, 16))
    model.parameters()

    def run() -> np.ndarray:
        model.zero_grad()
        model(x)
        return model.backward(dy)

    return run


def test_beside_a_sequential(benchmark: Any) -> None:
    runs = {"Sequential": trained(fd.nn.Sequential(*layers())), "derived": trained(Written())}
    np.testing.assert_array_equal(runs["derived"](), runs["Sequential"]())
    clock = time.process_time if fd.get_num_threads() == 1 else time.perf_counter
    taken = alternate(runs, seconds=3.0, clock=clock)
    ratio = taken["derived"].median / taken["Sequential"].median
    print(f"\nLSTM and two linear layers at ({T}, {B}, {I}, {H}), {kernels.level}: derived {ratio:.3f} x", end="")
    benchmark.extra_info["ratio"] = ratio
    benchmark.pedantic(runs["derived"], rounds=1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark: Any, name: str) -> None:
    """Beyond NumPy's own: the record beside one that holds the inputs alone, less the functions that it calls."""
    function, back = OPERATIONS[name]
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
