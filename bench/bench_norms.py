"""Norms against NumPy, torch (where installed) and the speed at which memory can be read.

Each row alternates the libraries in one process and reports medians and quartiles, after checking that they agree.
"""

import math

import numpy as np
import pytest
from alternate import alternate

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl.reference import norms as reference

try:
    from peers import pytorch
except ImportError:
    pytorch = None
    print("torch is not installed: its columns are left out")

SIZE = 16 * 2**20
ORDERS = [0, 0.5, 1, 2, 3, 4, 5, 7, 12, 2.5, 1.5, 7.5, math.inf, -math.inf, -1, -2.5]
THREADS = 2
CALLS = 500  # of a call too short to be timed by itself


@pytest.fixture(scope="module", autouse=True)
def _two_threads():
    before = fd.get_num_threads()
    fd.set_num_threads(THREADS)
    if pytorch:
        pytorch.set_threads(THREADS)
    yield
    fd.set_num_threads(before)


@pytest.fixture(scope="module")
def flat():
    return np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)


def compare(benchmark, what, nbytes, ours, peers, want):
    assert np.allclose(ours(), want, rtol=1e-4), what
    taken = alternate({"fastdl": ours, **peers}, seconds=1.0)
    mine = taken["fastdl"]
    text = f"{mine.median * 1e3:.2f} ms ({mine.low * 1e3:.2f} to {mine.high * 1e3:.2f}), "
    text += f"{nbytes / mine.median / 1e9:.1f} GB/s"
    for name, value in taken.items():
        if name != "fastdl":
            text += f"; {name} {value.median * 1e3:.2f} ms, {value.median / mine.median:.2f} x"
    print(f"\n{what}: {text}")
    benchmark.extra_info.update({name: value.median for name, value in taken.items()})
    benchmark.pedantic(ours, rounds=3)


@pytest.mark.parametrize("ord", ORDERS)
def test_16m_float32(benchmark, flat, ord):
    words = flat.view(np.uint64)
    peers = {"reading": lambda: kernels.system.read_words(words, THREADS), "numpy": lambda: np.linalg.norm(flat, ord)}
    if pytorch:
        peers["torch"] = pytorch.norm(flat, ord, None).run
    want = np.linalg.norm(flat.astype(np.float64), ord)
    compare(benchmark, f"16 M float32, order {ord}", flat.nbytes, lambda: fd.norm(flat, ord), peers, want)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("ord", [0, 1, 2, 3, math.inf])
def test_4096_by_4096_along_an_axis(benchmark, flat, ord, axis):
    x = flat.reshape(4096, 4096)
    words = flat.view(np.uint64)
    peers = {"reading": lambda: kernels.system.read_words(words, THREADS)}
    peers["numpy"] = lambda: np.linalg.norm(x, ord, axis)
    if pytorch:
        peers["torch"] = pytorch.norm(x, ord, axis).run
    want = np.linalg.norm(x.astype(np.float64), ord, axis)
    compare(
        benchmark,
        f"4096 x 4096, order {ord}, axis {axis}",
        x.nbytes,
        lambda: fd.norm(x, ord, axis),
        peers,
        want,
    )


@pytest.mark.parametrize("function", [fd.l0, fd.l1, fd.l2, fd.linf, fd.norm, fd.global_norm])
def test_call_on_1000_elements(benchmark, flat, function):
    x = flat[:1000].copy()
    orders = {fd.l0: 0, fd.l1: 1, fd.linf: math.inf}
    ord = orders.get(function, 2)
    assert np.allclose(function(x), np.linalg.norm(x.astype(np.float64), ord))

    def repeated(call):
        def run():
            for _ in range(CALLS):
                call()

        return run

    taken = alternate(
        {"fastdl": repeated(lambda: function(x)), "numpy": repeated(lambda: np.linalg.norm(x, ord))}, seconds=0.5
    )
    ours, theirs = (taken[name].median / CALLS * 1e6 for name in ("fastdl", "numpy"))
    print(f"\n1,000 elements, {function.__name__}: {ours:.2f} us, numpy {theirs:.2f}")
    benchmark(function, x)


@pytest.mark.parametrize("name", ["prox_norm", "project_ball", "norm_gradient"])
@pytest.mark.parametrize("ord", [1, 2, math.inf])
def test_maps_of_16m(benchmark, flat, name, ord):
    arguments = {"prox_norm": (0.5,), "project_ball": (100.0,), "norm_gradient": ()}[name]
    peers = {"numpy copy": flat.copy}
    run = getattr(fd, name)
    want = getattr(reference, name)(flat[:1000], *arguments, ord)
    assert np.allclose(run(flat[:1000], *arguments, ord), want, atol=1e-5)
    compare(
        benchmark,
        f"{name}, order {ord}",
        2 * flat.nbytes,
        lambda: run(flat, *arguments, ord),
        peers,
        run(flat, *arguments, ord),
    )
