"""Whole training steps against PyTorch and JAX, in turn in one process, where they are installed.

Each contender starts from the same weights, and the losses are compared before anything is timed.
"""

import subprocess
import sys

import numpy as np
import pytest
from alternate import alternate
from peers import ours, works

import fastdl as fd
from fastdl._dispatch import kernels

try:
    from peers import pytorch
except ImportError:
    pytorch = None
try:
    from peers import jax_
except ImportError:
    jax_ = None


def report(name, taken):
    mine = taken["fastdl"]
    text = f"{mine.median * 1e6:.0f} us ({mine.low * 1e6:.0f} to {mine.high * 1e6:.0f}, {mine.runs} runs)"
    for peer, module in (("torch", pytorch), ("jax", jax_)):
        if peer in taken:
            text += f"; {peer} {taken[peer].median * 1e6:.0f} us, {taken[peer].median / mine.median:.2f} x"
        elif module is None:
            text += f"; {peer} is not installed here"
    print(f"\n{name}, {kernels.level}, {fd.get_num_threads()} threads: {text}")


def contenders_of(problem, names):
    """A step function of each library, after the losses of some steps from the same weights have been compared."""
    modules = {"fastdl": ours, "torch": pytorch, "jax": jax_}
    found = {name: modules[name].language_model(**problem) for name in names if modules[name] is not None}
    for name, contender in found.items():
        if name != "fastdl":
            modules[name].set_threads(fd.get_num_threads())
            mine = ours.language_model(**problem)
            for _ in range(5):
                np.testing.assert_allclose(mine.results("loss"), contender.results("loss"), rtol=2e-5)
    return {name: contender.run for name, contender in found.items()}


def test_character_model_step(benchmark):
    """The training run of `fastdl train text`: T 64, B 32, embedding 64, LSTM 256, Adam, clip 1."""
    problem = works.language_model(T=64, B=32, classes=96, embedding=64, H=256, lr=2e-3)
    problem["y"] = (problem["x"] * 7 + 3) % 96  # which can be learned
    contenders = contenders_of(problem, ["fastdl", "torch"])
    first = contenders["fastdl"]()
    taken = alternate(contenders, seconds=8)
    assert contenders["fastdl"]() < first
    report("character model, a training step", taken)
    benchmark.pedantic(contenders["fastdl"], rounds=3)


def test_tiny_step(benchmark):
    """Forward, loss, backward, clip, Adam at T 1, B 1, I = H = 32: what is not arithmetic."""
    problem = works.language_model(T=1, B=1, classes=32, I=32, H=32, lr=1e-4)
    contenders = contenders_of(problem, ["fastdl", "torch", "jax"])
    taken = alternate(contenders, seconds=3)
    report("a training step at T=1, B=1, I=H=32", taken)
    benchmark.pedantic(contenders["fastdl"], rounds=50)


def seconds_of(code):
    """Seconds that `code` takes in a new interpreter, as it measures itself."""
    script = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def test_import(benchmark):
    """What `import fastdl` takes beyond `import numpy`, in new interpreters, in turn."""
    beyond = [seconds_of("import numpy, fastdl") - seconds_of("import numpy") for _ in range(9)]
    middle, low, high = (1e3 * f(beyond) for f in (np.median, min, max))
    print(f"\nimport fastdl: {middle:.0f} ms beyond import numpy ({low:.0f} to {high:.0f}, {len(beyond)} runs)")
    benchmark.pedantic(lambda: seconds_of("import fastdl"), rounds=3)


@pytest.mark.parametrize("rows", [32, 2048])
def test_cross_entropy(benchmark, rows):
    from fastdl.reference import dense as reference

    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((rows, 96)).astype(np.float32), rng.integers(0, 96, rows)
    loss, gradient = fd.softmax_cross_entropy(logits, targets)
    expected = reference.softmax_cross_entropy(logits, targets)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-7)
    benchmark(fd.softmax_cross_entropy, logits, targets)
