"""CTC and attention against PyTorch, forward and backward; every row asserts its result first."""

import numpy as np
import pytest
from alternate import alternate

import fastdl as fd
from fastdl._dispatch import kernels

torch = pytest.importorskip("torch")

CTC = [(50, 1, 30, 10), (100, 16, 30, 20), (400, 32, 64, 60), (200, 64, 1000, 40)]  # T, B, C, S
ATTENTION = [(1, 32, 30, 128), (12, 32, 30, 128), (50, 32, 50, 256)]  # T, B, S, H


@pytest.fixture(autouse=True)
def _same_threads():
    torch.set_num_threads(fd.get_num_threads())


def report(benchmark, name, ours, theirs):
    taken = alternate({"fastdl": ours, "torch": theirs})
    mine, other = taken["fastdl"], taken["torch"]
    spread = f"({mine.low * 1e3:.3f} to {mine.high * 1e3:.3f})"
    print(
        f"\n{name} {kernels.level}, {fd.get_num_threads()} threads: {mine.median * 1e3:.3f} ms {spread}, "
        f"torch {other.median * 1e3:.3f} ms, {other.median / mine.median:.2f} x"
    )
    benchmark.extra_info.update(ratio=other.median / mine.median, build=kernels.level)
    benchmark.pedantic(ours, rounds=3)


def tensors(*arrays):
    return [torch.from_numpy(array).requires_grad_(array.dtype.kind == "f") for array in arrays]


@pytest.mark.parametrize("shape", CTC, ids=str)
def test_ctc(benchmark, shape):
    T, B, C, S = shape
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((T, B, C)).astype(np.float32), rng.integers(1, C, (B, S))
    lengths = rng.integers(T // 2, T + 1, B), rng.integers(1, S + 1, B)
    fixed = tensors(targets, *lengths)

    def ours():
        return fd.ctc_loss(logits, targets, *lengths)

    def theirs(dtype=np.float32):
        (z,) = tensors(logits.astype(dtype))
        loss = torch.nn.functional.ctc_loss(z.log_softmax(-1), *fixed)
        loss.backward()
        return loss.item(), z.grad.numpy()

    # Against torch in double: its float32 gradient is off by 1e-3 of itself in the last row.
    for one, other in zip(ours(), theirs(np.float64), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    report(benchmark, f"CTC {shape!s:20}", ours, theirs)


@pytest.mark.parametrize("shape", ATTENTION, ids=str)
@pytest.mark.parametrize("kind", ["dot", "additive"])
def test_attention(benchmark, kind, shape):
    T, B, S, H = shape
    rng = np.random.default_rng(0)
    query, source, v = (rng.standard_normal(s).astype(np.float32) for s in [(T, B, H), (S, B, H), (H,)])
    lengths = rng.integers(1, S + 1, B)
    mask = (torch.arange(S) < torch.from_numpy(lengths)[:, None])[:, None]

    def ours():
        if kind == "dot":
            context, weights = fd.dot_attention_forward(query, source, source, lengths, True)
            return context, fd.dot_attention_backward(context, weights, query, source, source, lengths, True)[0]
        context, weights = fd.additive_attention_forward(query, source, source, v, lengths)
        return context, fd.additive_attention_backward(context, weights, query, source, source, v, lengths)[0]

    def theirs():
        q, k, vector = tensors(query, source, v)
        q_, k_ = q.transpose(0, 1), k.transpose(0, 1)
        if kind == "dot":
            context = torch.nn.functional.scaled_dot_product_attention(q_, k_, k_, attn_mask=mask)
        else:
            scores = torch.tanh(q_[:, :, None] + k_[:, None]) @ vector
            context = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ k_
        context.backward(context.detach())
        return context.detach().transpose(0, 1).numpy(), q.grad.numpy()

    for one, other in zip(ours(), theirs(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(other).max())
    report(benchmark, f"attention, {kind}, {shape!s:20}", ours, theirs)
