"""Whole training steps against PyTorch and JAX, in turn in one process, where they are installed.

Each contender starts from the same weights, and the losses are compared before anything is timed.
"""

import subprocess
import sys

import numpy as np
import pytest
from alternate import alternate

import fastdl as fd
from fastdl._dispatch import kernels

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None


class Fastdl:
    """Embedding (or none), LSTM, Linear; cross-entropy, clipping at 1, Adam."""

    def __init__(self, classes, embedding, hidden, lr):
        layers = [fd.nn.Embedding(classes, embedding, rng=1)] if embedding else []
        layers += [fd.nn.LSTM(embedding or hidden, hidden, rng=2), fd.nn.Linear(hidden, classes, rng=3)]
        self.model = fd.nn.Sequential(*layers)
        self.optimizer = fd.optim.Adam(self.model.parameters(), lr=lr)
        self.state = None

    def step(self, x, y):
        logits, self.state = self.model.forward(x, self.state, return_state=True)
        loss, gradient = fd.softmax_cross_entropy(logits, y)
        self.model.backward(gradient)
        fd.optim.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss


class Torch:
    """The same in PyTorch; bias_hh stays at zero, since fastdl has one bias."""

    def __init__(self, twin, classes, embedding, hidden, lr):
        torch.set_num_threads(fd.get_num_threads())
        self.embedding = torch.nn.Embedding(classes, embedding) if embedding else torch.nn.Identity()
        self.lstm = torch.nn.LSTM(embedding or hidden, hidden)
        self.linear = torch.nn.Linear(hidden, classes)
        modules = torch.nn.Sequential(*([self.embedding] if embedding else []), self.lstm, self.linear)
        modules.load_state_dict({k: torch.from_numpy(v) for k, v in twin.model.state_dict().items()})
        self.lstm.bias_hh_l0.requires_grad_(False)
        self.parameters = [p for p in modules.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr, fused=True)
        self.state = None

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        h, state = self.lstm(self.embedding(torch.from_numpy(x)), self.state)
        self.state = tuple(s.detach() for s in state)
        logits = self.linear(h)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y).flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return loss.item()


def jax_step(twin, lr):
    """One compiled step of the same model (no embedding, state from zero) with Adam and clipping."""
    from jax import numpy as jnp

    lstm, linear = twin.model[0], twin.model[1]
    parameters = (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0, linear.weight, linear.bias)
    weights = [jnp.array(p.data) for p in parameters]

    def loss_of(weights, x, y):
        W_x, W_h, b, W, c = weights
        start = jnp.zeros((x.shape[1], W_h.shape[0]), x.dtype)

        def cell(carry, x_t):
            h, s = carry
            i, f, g, o = jnp.split(x_t @ W_x + h @ W_h + b, 4, axis=1)
            s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(s)
            return (h, s), h

        _, h = jax.lax.scan(cell, (start, start), x)
        z = jax.nn.log_softmax(h @ W + c)
        return -jnp.take_along_axis(z, y[..., None], axis=-1).mean()

    @jax.jit
    def step(weights, m, v, t, x, y):
        loss, grads = jax.value_and_grad(loss_of)(weights, x, y)
        norm = jnp.sqrt(sum((g * g).sum() for g in grads))
        grads = [g * jnp.minimum(1.0, 1.0 / (norm + 1e-6)) for g in grads]
        m = [0.9 * a + 0.1 * g for a, g in zip(m, grads, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, grads, strict=True)]
        rate = lr * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = [w - rate * a / (jnp.sqrt(b) + 1e-8) for w, a, b in zip(weights, m, v, strict=True)]
        return weights, m, v, t + 1, loss

    zeros = [jnp.zeros_like(w) for w in weights]
    held = [weights, zeros, zeros, 1.0]

    def run(x, y):
        *held[:], loss = step(*held, x, y)
        return float(loss)

    return run


def report(name, taken):
    mine = taken["fastdl"]
    text = f"{mine.median * 1e6:.0f} us ({mine.low * 1e6:.0f} to {mine.high * 1e6:.0f}, {mine.runs} runs)"
    for peer, module in (("torch", torch), ("jax", jax)):
        if peer in taken:
            text += f"; {peer} {taken[peer].median * 1e6:.0f} us, {taken[peer].median / mine.median:.2f} x"
        elif module is None:
            text += f"; {peer} is not installed here"
    print(f"\n{name}, {kernels.level}, {fd.get_num_threads()} threads: {text}")


def test_character_model_step(benchmark):
    """The training run of `fastdl train text`: T 64, B 32, embedding 64, LSTM 256, Adam, clip 1."""
    settings = (96, 64, 256, 2e-3)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 96, (64, 32))
    y = (x * 7 + 3) % 96
    ours = Fastdl(*settings)
    contenders = {"fastdl": lambda: ours.step(x, y)}
    if torch is not None:
        theirs = Torch(ours, *settings)
        for _ in range(5):
            np.testing.assert_allclose(ours.step(x, y), theirs.step(x, y), rtol=2e-5)
        contenders["torch"] = lambda: theirs.step(x, y)
    first = ours.step(x, y)
    taken = alternate(contenders, seconds=8)
    assert ours.step(x, y) < first
    report("character model, a training step", taken)
    benchmark.pedantic(contenders["fastdl"], rounds=3)


def test_tiny_step(benchmark):
    """Forward, loss, backward, clip, Adam at T 1, B 1, I = H = 32: what is not arithmetic."""
    settings = (32, 0, 32, 1e-4)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 1, 32)).astype(np.float32), np.array([[3]])
    ours = Fastdl(*settings)
    contenders = {"fastdl": lambda: ours.step(x, y)}
    if torch is not None:
        theirs = Torch(ours, *settings)
        np.testing.assert_allclose(ours.step(x, y), theirs.step(x, y), rtol=2e-5)
        contenders["torch"] = lambda: theirs.step(x, y)
    if jax is not None:
        run = jax_step(Fastdl(*settings), settings[-1])
        np.testing.assert_allclose(run(x, y), Fastdl(*settings).step(x, y), rtol=2e-5)
        contenders["jax"] = lambda: run(x, y)
    ours.step(x, y)
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
