"""What one way of fastdl costs beside another: options, threads, kept masks, rows alone, products beside gradients.

Each entry gives runs by name, asserted by the entry itself; the first is what the others are told in times of.
``pytest bench/bench_ways.py --benchmark-enable --benchmark-only -s -k "layer norm"``.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cases import SINGLE, _works, table
from measure import peak

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._memory import aligned_empty
from fastdl.cli._bench._clock import alternate
from fastdl.cli._bench._fastdl import WHERE, model_of, passes
from fastdl.reference import recurrent as reference

Runs = dict[str, Callable[[], object]]
OPTIONS = {
    "all regularisers": {
        **dict.fromkeys(("input_dropout", "state_dropout", "candidate_dropout", "weight_dropout"), 0.2),
        **dict.fromkeys(("zoneout", "zoneout_cell"), 0.1),
    },
    "layer norm": {"layer_norm": True},
    "peepholes": {"peepholes": True},
    "projection to half": {"proj_size": 128},
    "checkpoints": {"checkpoint": True},
    "float64": {"dtype": np.float64},
}


def lstm(T: int, B: int, I: int, H: int, dtype: type = np.float32, **options: object) -> Callable[[], tuple]:  # noqa: E741
    """Forward and backward of a layer."""
    x, dy = (np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype) for shape in ((T, B, I), (T, B, H)))
    layer = fd.nn.LSTM(I, H, rng=0, dtype=dtype, **options)
    return passes(layer, x, np.ascontiguousarray(dy[..., : options.get("proj_size", H)]))


def option(name: str) -> Runs:
    run = lstm(64, 32, 128, 256, **OPTIONS[name])
    assert all(np.isfinite(array).all() for array in run())
    return {"plain": lstm(64, 32, 128, 256), name: run}


def threads() -> Runs:
    """The same call on 1, 2, 4, ... threads, up to as many as fastdl may use here."""
    run, most = lstm(50, 128, 256, 256), fd.get_num_threads()

    def on(count: int) -> Callable[[], tuple]:
        def call() -> tuple:
            fd.set_num_threads(count)
            found = run()
            fd.set_num_threads(most)
            return found

        return call

    runs = {f"{count} threads": on(count) for count in sorted({*(1 << k for k in range(most.bit_length())), most})}
    results = [run() for run in runs.values()]
    for one in results:
        for mine, other in zip(one, results[0], strict=True):
            np.testing.assert_array_equal(mine, other)
    return runs


def ragged() -> Runs:
    """A batch half filled, beside the same batch without lengths."""
    problem = _works.layers("LSTM", ragged=True)(SINGLE, 400, 32, 64, 128)
    layer, lengths = fd.nn.LSTM(64, 128, rng=0), problem["lengths"]
    given = layer, problem["x"], problem["dy"]
    runs = {"dense": passes(*given), f"ragged, {lengths.mean() / 4:.0f} % filled": passes(*given, lengths=lengths)}
    seen = (np.arange(400)[:, None] < lengths)[:, :, None]
    dense, other = (run()[0] for run in runs.values())
    np.testing.assert_array_equal(other, dense * seen)
    return runs


def subnormals() -> Runs:
    """The same work on normal numbers and on states that decay to nothing."""
    T, B, I, H = 400, 16, 32, 64  # noqa: E741
    rng = np.random.default_rng(0)
    x, dy, W_x = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((T, B, I), (T, B, H), (I, 4 * H)))
    h0, W_h, b = (np.zeros(shape, SINGLE) for shape in ((B, H), (H, 4 * H), 4 * H))
    c0 = np.ones((B, H), SINGLE)
    b[H : 2 * H] = -1.0  # forget gates of about a quarter

    def run(x: np.ndarray, c0: np.ndarray, dy: np.ndarray) -> np.ndarray:
        h, _, tape = fd.lstm_forward(x, h0, c0, W_x, W_h, b)
        fd.lstm_backward(dy, None, tape)
        return h

    quiet = (0 * x, 1e-30 * c0, 1e-30 * dy)
    assert np.abs(run(*quiet)[-1]).max() < 1e-30
    return {"normal": lambda: run(x, c0, dy), "subnormal": lambda: run(*quiet)}


def products() -> Runs:
    """A layer beside nothing but its matrix products, each one call of torch.mm (oneDNN or MKL), and the peak."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(fd.get_num_threads())
    T, B, I, H = 64, 64, 256, 512  # noqa: E741
    x, da, h, dh = (torch.randn(T, B, n) for n in (I, 4 * H, H, H))
    W_x, W_h, gates = torch.randn(I, 4 * H), torch.randn(H, 4 * H), torch.empty(T, B, 4 * H)

    def multiply() -> None:
        torch.mm(x.view(-1, I), W_x, out=gates.view(-1, 4 * H))
        for t in range(T):
            gates[t].addmm_(h[t], W_h)
        for t in reversed(range(T)):
            torch.mm(da[t], W_h.T, out=dh[t])
        for left, right in ((da.view(T * B, -1), W_x.T), (x.view(T * B, -1).T, da.view(T * B, -1)),
                            (h.view(T * B, -1).T, da.view(T * B, -1))):  # fmt: skip
            torch.mm(left, right)

    ideal, units = peak()
    times = round(3 * T * B * 4 * H * (I + H) / units)

    def at_peak() -> None:
        for _ in range(times):
            ideal()

    return {"fastdl": lstm(T, B, I, H), "its products in torch.mm": multiply, "its multiply-adds at the peak": at_peak}


def masks() -> Runs:
    """Backward from the counter beside backward from a kept mask (docs/dropout.md has the times by build)."""
    n = 1 << 24
    x, y = np.random.default_rng(0).standard_normal(n, np.float32), aligned_empty(n, SINGLE)
    bits = fd.dropout_mask(n, 0.1, **WHERE, form="bits")
    keep = np.unpackbits(bits, count=n, bitorder="little")

    def from_mask(mask: np.ndarray) -> None:
        shape = (64, 1, n // 64)
        kernels.dropout.apply_mask(
            x.reshape(shape), mask.reshape(64, -1), y.reshape(shape), 1 / 0.9, fd.get_num_threads()
        )

    from_mask(keep)
    np.testing.assert_array_equal(fd.dropout_backward(x, 0.1, **WHERE), y)
    return {"drawn again": lambda: fd.dropout_backward(x, 0.1, **WHERE, out=y), "bytes kept": lambda: from_mask(keep),
            "bits kept": lambda: from_mask(np.unpackbits(bits, count=n, bitorder="little")),
            "a copy": lambda: np.copyto(y, x)}  # fmt: skip


def forty() -> Runs:
    """A step of Adam on one array, beside forty that are as many numbers."""
    pairs = list(zip(*np.ones((2, 40, 3000), np.float32), strict=True))
    whole = [tuple(np.ones((2, 120_000), np.float32))]
    return {"one array": fd.optim.Adam(whole, 1e-6).step, "40 x 3,000": fd.optim.Adam(pairs, 1e-6).step,
            "clipped": fd.optim.Adam(pairs, 1e-6, clip_norm=1.0).step}  # fmt: skip


def curvature(sizes: dict[str, int]) -> Runs:
    """A Hessian product and gradients per sample, in gradients of the same model by its own forward and backward."""
    given = _works.hessian_product(SINGLE, **sizes)
    model, data = model_of(given["weights"]), (given["x"], given["y"])
    point = fd.curvature.LossPoint(model, fd.softmax_cross_entropy, data)
    v = np.random.default_rng(1).standard_normal(point.size).astype(np.float32)

    def gradient() -> None:
        _, dz = fd.softmax_cross_entropy(model.forward(data[0]), data[1])
        model.zero_grad()
        model.backward(dz)

    def fresh() -> fd.curvature.LossPoint:
        return fd.curvature.LossPoint(model, fd.softmax_cross_entropy, data)

    np.testing.assert_allclose(point.sample_gradients(1).sum(0), point.gradient, atol=1e-5)
    return {"gradient": gradient, "product": lambda: fresh().hvp(v), "again": lambda: point.hvp(v),
            "per sample": lambda: fresh().sample_gradients(1)}  # fmt: skip


def hessian() -> Runs:
    """The full Hessian of 498 parameters."""
    model = fd.nn.Sequential(
        fd.nn.LSTM(3, 9, bias="single", rng=0, dtype=np.float64), fd.nn.Linear(9, 3, rng=1, dtype=np.float64)
    )
    data = tuple(np.random.default_rng(0).standard_normal((2, 20, 8, 3)))
    point = fd.curvature.LossPoint(model, fd.mse_loss, data)
    found = point.hessian()
    np.testing.assert_allclose(found, found.T, rtol=0, atol=1e-14)
    return {"one product": lambda: point.hvp(np.ones(point.size)), "full Hessian of 500 parameters": point.hessian}


def complex_steps() -> Runs:
    """The other way to an exact product, on the NumPy reference: real beside complex arithmetic."""
    rng = np.random.default_rng(0)
    T, B, H = 64, 16, 64
    arrays = [rng.standard_normal(shape) / 8 for shape in [(T, B, H), (B, H), (B, H), (H, 4 * H), (H, 4 * H), (4 * H,)]]
    dy = rng.standard_normal((T, B, H))

    def gradient(arguments: list, dy: np.ndarray) -> list:
        return reference.lstm_backward(dy, None, reference.lstm_forward(*arguments)[2])

    bent = [array + 1e-30j * rng.standard_normal(array.shape) for array in arrays]
    np.testing.assert_allclose(gradient(bent, dy + 0j)[3].real, gradient(arrays, dy)[3], rtol=1e-9, atol=1e-12)
    return {"real": lambda: gradient(arrays, dy), "complex": lambda: gradient(bent, dy + 0j)}


def generator(method: str, numpys: str) -> Runs:
    """A million numbers, beside NumPy's generator of the same words."""
    rng, theirs = fd.random.Generator(1), np.random.Generator(np.random.Philox(1))
    draw = getattr(theirs, numpys)
    return {"fastdl": lambda: getattr(rng, method)(size=1 << 20), "NumPy": lambda: draw(1 << 20, dtype=SINGLE)}


def fitting() -> Runs:
    """200 steps of one time step of one sequence: by hand, and by fit, which also keeps the curve."""
    model = fd.nn.Sequential(fd.nn.LSTM(8, 32, rng=0), fd.nn.Linear(32, 8, rng=1))
    optimizer = fd.optim.Adam(model.parameters(), lr=1e-6)
    x, y = np.ones((200, 1, 1, 8), np.float32), np.zeros((200, 1, 1), np.int64)
    batches = list(zip(x, y, strict=True))

    def by_hand() -> None:
        for x, y in batches:
            _, dz = fd.softmax_cross_entropy(model.forward(x), y)
            model.zero_grad()
            model.backward(dz, input_gradient=False)
            optimizer.step()

    return {"by hand": by_hand, "fit": lambda: fd.training.fit(model, optimizer, batches, progress=False)}


def streaming() -> Runs:
    """One time step of one stream through an LSTM of 32 units and its head: new arrays, and the caller's."""
    model = fd.nn.Sequential(fd.nn.LSTM(8, 32, rng=0), fd.nn.Linear(32, 8, rng=1)).eval()
    x = np.ones((1, 8), np.float32)
    places = model.step(x)
    np.testing.assert_allclose(places[0], model.forward(x[None])[0], rtol=1e-6)
    return {"forward, T = 1": lambda: model.forward(x[None], places[1], return_state=True),
            "step": lambda: model.step(x, places[1]),
            "step, out=": lambda: model.step(x, places[1], out=places)}  # fmt: skip


def files() -> Runs:
    """A model of 100 MB to a file that is on the disk, and back, beside its bytes alone."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    model = fd.nn.Linear(5000, 5000, rng=0)
    fd.save(model, folder / "model.safetensors")
    raw = (folder / "model.safetensors").read_bytes()

    def write() -> None:
        with open(folder / "bytes", "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())

    write()
    return {"write": write, "save": lambda: fd.save(model, folder / "model.safetensors"),
            "read": (folder / "bytes").read_bytes, "load": lambda: fd.load(folder / "model.safetensors")}  # fmt: skip


def importing() -> Runs:
    """New interpreters, which import NumPy alone and fastdl beside it."""
    runs = {what: functools.partial(subprocess.run, [sys.executable, "-c", f"import {what}"], check=True)
            for what in ("numpy", "numpy, fastdl")}  # fmt: skip
    return {f"import {what}": run for what, run in runs.items()}


WAYS: dict[str, Callable[[], Runs]] = {
    **{name: functools.partial(option, name) for name in OPTIONS},
    "threads": threads, "ragged": ragged, "subnormals": subnormals, "products": products, "masks": masks,
    "forty": forty,
    **{f"curvature {sizes}": functools.partial(curvature, sizes)
       for case in table() if case.name == "curvature.product" for sizes in case.shapes},
    "hessian": hessian, "complex": complex_steps, "import": importing, "fit": fitting, "files": files,
    "streaming": streaming,
    "generator, uniform": functools.partial(generator, "uniform", "random"),
    "generator, normal": functools.partial(generator, "normal", "standard_normal"),
}  # fmt: skip


def told(benchmark, name: str, runs: Runs, seconds: float, waits: bool = False) -> None:
    """Time the runs in turn and print them: on one thread by its processor time, which other work disturbs less."""
    clock = time.process_time if fd.get_num_threads() == 1 and not waits else time.perf_counter
    taken = {key: one.median for key, one in alternate(runs, seconds, clock=clock).items()}
    ratios = {key: one / next(iter(taken.values())) for key, one in taken.items()}
    texts = [f"{key} {1e3 * one:.3f} ms, {ratios[key]:.2f} x" for key, one in taken.items()]
    print(f"\n{name}, {kernels.level}, {fd.get_num_threads()} threads: {'; '.join(texts)}", end="")
    benchmark.extra_info.update(ratios)
    benchmark.pedantic(list(runs.values())[-1], rounds=1)


@pytest.mark.parametrize("name", WAYS)
def test_way(benchmark, name):
    runs = WAYS[name]()
    told(benchmark, name, runs, 0.5 * len(runs), waits=name in ("import", "files"))
