"""Dropout against a plain copy on the same threads, and against torch's functional dropout in one process.

Every row is checked against the reference before it is timed. The copy is the fastest to be had: NumPy's,
split over as many threads, or torch's where it is installed; where it is not, its column says so. Results are
fresh arrays, as a training step takes them.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from alternate import alternate

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._memory import aligned_empty
from fastdl.reference import dropout as reference

try:
    from peers import pytorch
except ImportError:
    pytorch = None

BIG, SMALL = 1 << 24, 1 << 14
PROBABILITIES = (0.0, 1e-6, 0.1, 0.5, 0.9, 1.0)
WHERE = {"seed": 1, "stream": 2, "step": 3}
CALLS = 50  # of a call too short to be timed by itself


def check(x, p):
    part = x[:5000]
    np.testing.assert_array_equal(fd.dropout_forward(x, p, **WHERE)[:5000], reference.dropout_forward(part, p, **WHERE))
    np.testing.assert_array_equal(
        fd.dropout_backward(x, p, **WHERE)[:5000], reference.dropout_backward(part, p, **WHERE)
    )


def copies(x, y, pool):
    """Copies of x to y on as many threads as dropout gets."""
    bounds = [x.size * part // fd.get_num_threads() for part in range(fd.get_num_threads() + 1)]
    slices = [slice(*pair) for pair in itertools.pairwise(bounds)]
    functions = {"numpy's copy": lambda: list(pool.map(lambda part: np.copyto(y[part], x[part]), slices))}
    if pytorch is not None:
        pytorch.set_threads(fd.get_num_threads())
        functions["torch's copy"] = pytorch.copy(x, y)
    return functions


def ours(x, dy, p):
    def both():
        fd.dropout_forward(x, p, **WHERE)
        fd.dropout_backward(dy, p, **WHERE)

    return {"forward": lambda: fd.dropout_forward(x, p, **WHERE), "both": both}


def peers(x, dy, p):
    """torch's dropout of x, and the same with its backward."""
    if pytorch is None:
        return {}
    return {"torch": pytorch.dropout_forward(x, p), "torch both": pytorch.dropout(x, dy, p).run}


def report(label, taken, calls=1):
    copy = min(value.median for name, value in taken.items() if name.endswith("copy"))
    forward, both = taken["forward"], taken["both"]
    text = (
        f"{forward.median / calls * 1e6:9.1f} us ({forward.low / calls * 1e6:.1f} to {forward.high / calls * 1e6:.1f})"
    )
    text += f", with backward {both.median / calls * 1e6:9.1f} us, {copy / forward.median:4.2f} of a copy"
    if "torch" in taken:
        text += f"; {taken['torch'].median / forward.median:5.1f} x torch"
        text += f", with backward {taken['torch both'].median / both.median:5.1f} x"
    else:
        text += "; torch is not installed here, so it is not compared"
    print(f"\n{label:22s} {kernels.level}, {fd.get_num_threads()} threads: {text}")
    return {"of_copy": copy / forward.median}


@pytest.mark.parametrize("p", PROBABILITIES)
def test_16m(benchmark, p):
    x, dy = np.random.default_rng(0).standard_normal((2, BIG), np.float32)
    check(x, p)
    with ThreadPoolExecutor(fd.get_num_threads()) as pool:
        contenders = {**copies(x, aligned_empty(BIG, x.dtype), pool), **ours(x, dy, p), **peers(x, dy, p)}
        taken = alternate(contenders, seconds=3.0)
    benchmark.extra_info.update(report(f"16 M float32, p = {p:g}", taken))
    benchmark.pedantic(contenders["forward"], rounds=3)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_16k(benchmark, p):
    x, dy = np.random.default_rng(0).standard_normal((2, SMALL), np.float32)
    y = np.empty_like(x)
    check(x, p)

    def repeated(call):
        def run():
            for _ in range(CALLS):
                call()

        return run

    contenders = {"copy": lambda: np.copyto(y, x), **ours(x, dy, p), **peers(x, dy, p)}
    taken = alternate({name: repeated(call) for name, call in contenders.items()}, seconds=1.0)
    benchmark.extra_info.update(report(f"16 K float32, p = {p:g}", taken, CALLS))
    benchmark(contenders["forward"])


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
    taken = alternate({"again": again, "bytes": from_bytes, "bits": from_bits})
    print(
        f"\nbackward of 16 M, mask drawn again {taken['again'].median * 1e3:.1f} ms (no memory), "
        f"bytes kept {taken['bytes'].median * 1e3:.1f} ms (16 MiB), "
        f"bits kept {taken['bits'].median * 1e3:.1f} ms (2 MiB)"
    )
    benchmark.pedantic(again, rounds=3)


@pytest.mark.parametrize("method", ["uniform", "normal"])
def test_generator(benchmark, method):
    rng, theirs = fd.random.Generator(1), np.random.Generator(np.random.Philox(1))
    name = {"uniform": "random", "normal": "standard_normal"}[method]
    taken = alternate(
        {
            "fastdl": lambda: getattr(rng, method)(size=1 << 20),
            "numpy": lambda: getattr(theirs, name)(size=1 << 20, dtype=np.float32),
        },
        seconds=1.0,
    )
    print(
        f"\n1 M {method}: {taken['fastdl'].median * 1e3:.2f} ms; "
        f"numpy's Philox generator {taken['numpy'].median * 1e3:.2f} ms"
    )
    benchmark.pedantic(lambda: getattr(rng, method)(size=1 << 20), rounds=3)
