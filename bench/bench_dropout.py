"""Dropout against a plain copy on the same threads, and against torch's functional dropout in one process.

Every row is checked against the reference before it is timed. The copy is the fastest to be had: NumPy's,
split over as many threads, or torch's where it is installed; where it is not, its column says so.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._memory import aligned_empty
from fastdl.reference import dropout as reference

try:
    import torch
except ImportError:
    torch = None

BIG, SMALL = 1 << 24, 1 << 14
PROBABILITIES = (0.0, 1e-6, 0.1, 0.5, 0.9, 1.0)
WHERE = {"seed": 1, "stream": 2, "step": 3}


def medians(functions, rounds, calls=1):
    """Median seconds per call of each function, called in turn."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            taken.append((time.perf_counter() - start) / calls)
    return [float(np.median(taken)) for taken in times]


def check(x, p):
    part = x[:5000]
    np.testing.assert_array_equal(fd.dropout_forward(x, p, **WHERE)[:5000], reference.dropout_forward(part, p, **WHERE))
    np.testing.assert_array_equal(
        fd.dropout_backward(x, p, **WHERE)[:5000], reference.dropout_backward(part, p, **WHERE)
    )


def copies(x, y, pool):
    """Copies of x to y on as many threads as dropout gets."""
    parts = np.array_split(np.arange(x.size + 1), fd.get_num_threads())
    slices = [slice(int(part[0]), min(int(part[-1]) + 1, x.size)) for part in parts]
    functions = [lambda: list(pool.map(lambda part: np.copyto(y[part], x[part]), slices))]
    if torch is not None:
        torch.set_num_threads(fd.get_num_threads())
        to, of = torch.from_numpy(y), torch.from_numpy(x)
        functions.append(lambda: to.copy_(of))
    return functions


def peers(x, p):
    """torch's dropout of x, and the same with its backward."""
    if torch is None:
        return []
    plain, tracked, dy = torch.from_numpy(x), torch.from_numpy(x).requires_grad_(), torch.ones(x.size)

    def both():
        tracked.grad = None
        torch.nn.functional.dropout(tracked, p, True).backward(dy)

    return [lambda: torch.nn.functional.dropout(plain, p, True), both]


def report(label, taken, copy_count):
    copy, (forward, both), theirs = min(taken[:copy_count]), taken[copy_count:][:2], taken[copy_count + 2 :]
    against = "torch: not here"
    if theirs:
        against = f"torch {theirs[0] / forward:5.1f} x, with backward {theirs[1] / both:5.1f} x"
    print(
        f"\n{label:22s} {forward * 1e6:9.1f} us, with backward {both * 1e6:9.1f} us, "
        f"{copy / forward:4.2f} of a copy   {against}   [{kernels.level}, {fd.get_num_threads()} threads]"
    )
    return {"of_copy": copy / forward}


@pytest.mark.parametrize("p", PROBABILITIES)
def test_16m(benchmark, p):
    x = np.random.default_rng(0).standard_normal(BIG, np.float32)
    y, dx = aligned_empty(BIG, x.dtype), aligned_empty(BIG, x.dtype)
    check(x, p)

    def forward():
        fd.dropout_forward(x, p, **WHERE, out=y)

    def both():
        fd.dropout_forward(x, p, **WHERE, out=y)
        fd.dropout_backward(x, p, **WHERE, out=dx)

    with ThreadPoolExecutor(fd.get_num_threads()) as pool:
        plain = copies(x, dx, pool)
        ours = medians([*plain, forward, both], rounds=9)
    theirs = medians(peers(x, p), rounds=3)
    benchmark.extra_info.update(report(f"16 M float32, p = {p:g}", ours + theirs, len(plain)))
    benchmark.pedantic(forward, rounds=3)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_16k(benchmark, p):
    x = np.random.default_rng(0).standard_normal(SMALL, np.float32)
    y = np.empty_like(x)
    check(x, p)

    def forward():
        return fd.dropout_forward(x, p, **WHERE)

    def both():
        return fd.dropout_backward(fd.dropout_forward(x, p, **WHERE), p, **WHERE)

    taken = medians([lambda: np.copyto(y, x), forward, both, *peers(x, p)], rounds=15, calls=30)
    benchmark.extra_info.update(report(f"16 K float32, p = {p:g}", taken, 1))
    benchmark(forward)


def test_drawn_again_or_kept(benchmark):
    """Backward from the counter against backward from a kept mask of bits: the reason masks are not kept."""
    x = np.random.default_rng(0).standard_normal(BIG, np.float32)
    y = aligned_empty(BIG, x.dtype)
    bits = fd.dropout_mask(BIG, 0.1, **WHERE, form="bits")
    keep = np.unpackbits(bits, count=BIG, bitorder="little")

    def again():
        fd.dropout_backward(x, 0.1, **WHERE, out=y)

    def from_bits():
        unpacked = np.unpackbits(bits, count=BIG, bitorder="little").reshape(1, BIG)
        kernels.dropout.apply_mask(x.reshape(1, 1, BIG), unpacked, y.reshape(1, 1, BIG), 1 / 0.9, fd.get_num_threads())

    def from_bytes():
        shape = (64, 1, BIG // 64)
        kernels.dropout.apply_mask(
            x.reshape(shape), keep.reshape(64, -1), y.reshape(shape), 1 / 0.9, fd.get_num_threads()
        )

    again()
    drawn = y.copy()
    from_bytes()
    np.testing.assert_array_equal(drawn, y)
    taken = medians([again, from_bytes, from_bits], rounds=5)
    print(
        f"\nbackward of 16 M, mask drawn again {taken[0] * 1e3:.1f} ms (no memory), "
        f"bytes kept {taken[1] * 1e3:.1f} ms (16 MiB), bits kept {taken[2] * 1e3:.1f} ms (2 MiB)"
    )
    benchmark.pedantic(again, rounds=3)


@pytest.mark.parametrize("method", ["uniform", "normal"])
def test_generator(benchmark, method):
    rng, theirs = fd.random.Generator(1), np.random.Generator(np.random.Philox(1))
    name = {"uniform": "random", "normal": "standard_normal"}[method]
    taken = medians(
        [
            lambda: getattr(rng, method)(size=1 << 20),
            lambda: getattr(theirs, name)(size=1 << 20, dtype=np.float32),
        ],
        rounds=7,
    )
    print(f"\n1 M {method}: {taken[0] * 1e3:.2f} ms; numpy's Philox generator {taken[1] * 1e3:.2f} ms")
    benchmark.pedantic(lambda: getattr(rng, method)(size=1 << 20), rounds=3)
