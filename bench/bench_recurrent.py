"""The LSTM against PyTorch, the NumPy reference and the arithmetic peak; every row asserts its result first.

``make bench`` prints the tables; FASTDL_ISA=avx2 (or baseline) times another build, OMP_NUM_THREADS another
number of threads. Peers are timed in turn with fastdl, in one process, where they are installed.
"""

import limits
import numpy as np
import pytest
from alternate import alternate, geometric_mean
from peers.works import RECURRENT_SHAPES

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl.reference import recurrent as reference

try:
    from peers import pytorch
except ImportError:
    pytorch = None

ratios: dict[str, list[float]] = {"torch": [], "reference": []}


def arrays(shape, dtype=np.float32):
    T, B, I, H = shape  # noqa: E741
    rng = np.random.default_rng(0)
    shapes = [(T, B, I), (B, H), (B, H), (I, 4 * H), (H, 4 * H), (4 * H,), (T, B, H)]
    scales = [1, 0, 0, H**-0.5, H**-0.5, 0.1, 1]
    return [(rng.uniform(-1, 1, s) * k).astype(dtype) for s, k in zip(shapes, scales, strict=True)]


def forward_backward(module, x, h0, c0, W_x, W_h, b, dy):
    h, _, tape = module.lstm_forward(x, h0, c0, W_x, W_h, b)
    return h, *module.lstm_backward(dy, None, tape)[:6]


def torch_forward_backward(x, h0, c0, W_x, W_h, b, dy):
    """The same in PyTorch, which starts from states of zero too."""
    weights = {"weight_ih_l0": W_x.T, "weight_hh_l0": W_h.T, "bias_ih_l0": b, "bias_hh_l0": 0 * b}
    return pytorch.recurrent("LSTM", weights, x, dy)


@pytest.mark.parametrize("shape", RECURRENT_SHAPES, ids=str)
def test_lstm_forward_and_backward(benchmark, shape):
    inputs = arrays(shape)
    ours, expected = forward_backward(fd, *inputs), forward_backward(reference, *inputs)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-5 * max(1, np.abs(other).max()))
    contenders = {
        "fastdl": lambda: forward_backward(fd, *inputs),
        "reference": lambda: forward_backward(reference, *inputs),
    }
    if pytorch is not None:
        pytorch.set_threads(fd.get_num_threads())
        theirs = torch_forward_backward(*inputs)
        contenders["torch"] = theirs.run
        for one, other in zip(ours[:2], theirs.results("y", "dx"), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=3e-5 * max(1, np.abs(other).max()))
    peak = limits.peak()
    taken = alternate(contenders | {"peak": peak})
    mine = taken["fastdl"]
    T, B, I, H = shape  # noqa: E741
    work = 3 * T * B * 4 * H * (I + H)  # multiply-adds
    share = work / mine.median / (peak() / taken["peak"].median)
    text = f"{mine.median * 1e3:9.3f} ms ({mine.low * 1e3:.3f} to {mine.high * 1e3:.3f}, {mine.runs} runs)"
    text += f" {2 * work / mine.median / 1e9:6.1f} GFLOP/s, {100 * share:3.0f} % of the peak"
    for name in ("reference", "torch"):
        if name in taken:
            ratios[name].append(taken[name].median / mine.median)
            text += f"; {name} {taken[name].median * 1e3:.3f} ms, {ratios[name][-1]:.2f} x"
    print(f"\nLSTM {shape!s:20} {kernels.level}, {fd.get_num_threads()} threads: {text}")
    if pytorch is None:
        print("  torch is not installed here, so it is not compared")
    if shape == RECURRENT_SHAPES[-1]:
        for name, values in ratios.items():
            if len(values) == len(RECURRENT_SHAPES):
                print(f"  geometric mean over the ten shapes: {geometric_mean(values):.2f} x {name}")
    benchmark.extra_info.update(shape=shape, build=kernels.level, threads=fd.get_num_threads(), of_peak=share)
    benchmark.pedantic(contenders["fastdl"], rounds=3)


LARGE = [(64, 32, 64, 256), *(shape for shape in RECURRENT_SHAPES if shape[3] >= 256 and shape[1] >= 32)]


@pytest.mark.parametrize("shape", LARGE, ids=str)  # the first is the character model's
def test_against_its_products_alone(benchmark, shape):
    """The whole layer against nothing but its matrix products, each one call of torch.mm (oneDNN or MKL).

    That is what a layer built on the best products to be had would take if gates and copies took no time: how much
    of the peak can be had on this machine, as a bound for the share that the layer reaches.
    """
    torch = pytest.importorskip("torch")
    torch.set_num_threads(fd.get_num_threads())
    T, B, I, H = shape  # noqa: E741
    inputs = arrays(shape)
    x, da = (torch.randn(T * B, n) for n in (I, 4 * H))
    W_x, W_h = torch.from_numpy(inputs[3]), torch.from_numpy(inputs[4])
    h = torch.randn(T, B, H)
    gates, dh, dx, dW_x, dW_h = (torch.empty(s) for s in [(T * B, 4 * H), (T, B, H), (T * B, I), W_x.shape, W_h.shape])

    def products():
        torch.mm(x, W_x, out=gates)
        for t in range(T):
            torch.addmm(gates[t * B : (t + 1) * B], h[t], W_h, out=gates[t * B : (t + 1) * B])
        for t in reversed(range(T)):
            torch.mm(da[t * B : (t + 1) * B], W_h.T, out=dh[t])
        torch.mm(da, W_x.T, out=dx)
        torch.mm(x.T, da, out=dW_x)
        torch.mm(h.reshape(T * B, H).T, da, out=dW_h)

    products()
    torch.testing.assert_close(dW_x, x.T @ da)
    peak = limits.peak()
    contenders = {"fastdl": lambda: forward_backward(fd, *inputs), "products": products, "peak": peak}
    taken = alternate(contenders, seconds=4)
    mine, theirs = taken["fastdl"].median, taken["products"].median
    most = 3 * T * B * 4 * H * (I + H) * taken["peak"].median / peak()
    print(
        f"\nLSTM {shape!s:20} {kernels.level}, {fd.get_num_threads()} threads: {100 * most / mine:.0f} % of the peak; "
        f"its products alone in torch.mm {100 * most / theirs:.0f} %: {theirs / mine:.2f} x the layer's speed"
    )
    benchmark.extra_info.update(shape=shape, of_peak=most / mine, products_of_peak=most / theirs)
    benchmark.pedantic(products, rounds=3)


def test_states_that_decay_into_subnormals(benchmark):
    """The same work on normal numbers and on states that decay to nothing."""
    x, h0, c0, W_x, W_h, b, dy = arrays((400, 16, 32, 64))
    quiet = [0 * x, h0, np.full_like(c0, 1e-30), W_x, 0 * W_h, 0 * b, 1e-30 * dy]
    quiet[5][64:128] = -1.0  # forget gates of about a quarter
    normal = [x, h0, np.ones_like(c0), W_x, 0 * W_h, quiet[5], dy]
    assert np.abs(forward_backward(fd, *quiet)[0][-1]).max() < 1e-30
    taken = alternate(
        {"normal": lambda: forward_backward(fd, *normal), "subnormal": lambda: forward_backward(fd, *quiet)}
    )
    ratio = taken["subnormal"].median / taken["normal"].median
    print(f"\nLSTM (400, 16, 32, 64), states into subnormals: {ratio:.3f} x the time of normal numbers")
    benchmark.extra_info.update(ratio=ratio)
    benchmark.pedantic(lambda: forward_backward(fd, *quiet), rounds=3)
