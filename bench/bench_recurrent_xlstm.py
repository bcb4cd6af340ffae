"""sLSTM beside the same equations in PyTorch, a loop over time, and in JAX, a compiled scan: forward and backward.

Neither library has the cell, so both run it as a user would write it. Every row asserts its result first.
"""

import numpy as np
import pytest
from alternate import alternate
from peers.ours import passes

import fastdl as fd
from fastdl._dispatch import kernels

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
    from jax import numpy as jnp
except ImportError:
    jax = None

SHAPES = [(64, 16, 64, 64, 1), (64, 32, 128, 128, 4), (100, 64, 128, 256, 4)]  # T, B, I, H, heads


def in_torch(weights, x, dy, heads):
    """A loop over time, with products by heads as a batch of them."""
    leaves = [torch.from_numpy(one.copy()).requires_grad_() for one in (x, *weights)]
    given, W_x, W_h, b = leaves
    zero, slope = torch.zeros(x.shape[1], W_x.shape[1] // 4), torch.from_numpy(dy)

    def run():
        for one in leaves:
            one.grad = None
        h = c = n = m = zero
        outputs = []
        for a in given @ W_x + b:
            of_h = torch.bmm(h.view(len(h), heads, -1).transpose(0, 1), W_h.view(heads, W_h.shape[-2], -1))
            of_h = of_h.view(heads, len(h), 4, -1).permute(1, 2, 0, 3).reshape(a.shape)
            a_i, a_f, a_z, a_o = (a + of_h).chunk(4, 1)
            seen = torch.nn.functional.logsigmoid(a_f) + m
            m = torch.where(n > 0, torch.maximum(seen, a_i), a_i).detach()
            i, f = torch.exp(a_i - m), torch.where(n > 0, torch.exp(seen - m), 0)
            c, n = f * c + i * torch.tanh(a_z), f * n + i
            h = torch.sigmoid(a_o) * c / n
            outputs.append(h)
        y = torch.stack(outputs)
        y.backward(slope)
        return y.detach().numpy(), given.grad.numpy()

    return run


def in_jax(weights, x, dy, heads):
    """A scan, compiled as one function with its gradient."""

    def layer(x, W_x, W_h, b):
        def step(state, a):
            h, c, n, m = state
            of_h = jnp.einsum("bjd,jdk->bjk", h.reshape(len(h), heads, -1), W_h.reshape(heads, W_h.shape[-2], -1))
            of_h = of_h.reshape(len(h), heads, 4, -1).swapaxes(1, 2).reshape(a.shape)
            a_i, a_f, a_z, a_o = jnp.split(a + of_h, 4, axis=1)
            seen = jax.nn.log_sigmoid(a_f) + m
            m = jax.lax.stop_gradient(jnp.where(n > 0, jnp.maximum(seen, a_i), a_i))
            i, f = jnp.exp(a_i - m), jnp.exp(jnp.where(n > 0, seen - m, -jnp.inf))
            c, n = f * c + i * jnp.tanh(a_z), f * n + i
            h = jax.nn.sigmoid(a_o) * c / n
            return (h, c, n, m), h

        zero = jnp.zeros((x.shape[1], W_x.shape[1] // 4), x.dtype)
        return jax.lax.scan(step, (zero,) * 4, x @ W_x + b)[1]

    @jax.jit
    def both(dy, *given):
        y, pull = jax.vjp(layer, *given)
        return y, *pull(dy)

    arrays = [jnp.asarray(one) for one in (dy, x, *weights)]
    return lambda: jax.block_until_ready(both(*arrays))[:2]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_slstm(benchmark, shape):
    T, B, I, H, heads = shape  # noqa: E741
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-1, 1, one).astype(np.float32) for one in ((T, B, I), (T, B, H)))
    layer = fd.nn.sLSTM(I, H, heads=heads, init="torch", rng=0)
    weights = [getattr(layer, f"{name}_l0").data for name in ("weight_ih", "weight_hh", "bias")]
    contenders = {"fastdl": passes(layer, x, dy)}
    if torch is not None:
        torch.set_num_threads(fd.get_num_threads())
        contenders["torch"] = in_torch(weights, x, dy, heads)
    if jax is not None:
        contenders["jax"] = in_jax(weights, x, dy, heads)
    expected = contenders["fastdl"]()
    for run in contenders.values():
        for one, other in zip(run(), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(1, np.abs(other).max()))
    taken = alternate(contenders)
    text = ", ".join(
        f"{name} {one.median * 1e3:.2f} ms, {one.median / taken['fastdl'].median:.2f} x" for name, one in taken.items()
    )
    print(f"\nsLSTM {shape!s:24} {kernels.level}, {fd.get_num_threads()} threads: {text}")
    benchmark.extra_info.update(shape=shape, build=kernels.level, threads=fd.get_num_threads())
    benchmark.pedantic(contenders["fastdl"], rounds=3)
