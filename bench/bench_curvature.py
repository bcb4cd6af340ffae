"""Curvature against one gradient and against JAX: products, gradients per sample, a full Hessian, the bound on lr.

Ratios are to one gradient of the same model by its own forward and backward. JAX runs `jvp` of `grad`, compiled for the
shape; what compiling takes is shown beside it. Every row asserts its result first.
"""

import functools
import time

import numpy as np
import pytest
from alternate import alternate, geometric_mean

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl.curvature import LossPoint

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None

VOCABULARY = 32
SHAPES = [  # T, B, H, layers
    (16, 8, 64, 1),
    (64, 16, 64, 1),
    (32, 16, 64, 2),
    (32, 32, 128, 1),
    (64, 16, 128, 2),
    (50, 32, 256, 1),
]
ratios: dict[str, list[float]] = {"gradient": [], "jax": [], "samples": [], "again": []}


def model_and_data(shape):
    T, B, H, layers = shape
    model = fd.nn.Sequential(
        fd.nn.Embedding(VOCABULARY, H, rng=0), fd.nn.LSTM(H, H, layers, rng=1), fd.nn.Linear(H, VOCABULARY, rng=2)
    )
    x, y = np.random.default_rng(0).integers(0, VOCABULARY, (2, T, B))
    return model, (x, y)


def gradient(model, data):
    _, dz = fd.softmax_cross_entropy(model.forward(data[0]), data[1])
    model.zero_grad()
    model.backward(dz)


def jax_product(point, model, data):
    """(product, gradient), compiled, and the seconds that took; the LSTM is one scan a layer."""
    views = list(point.layout.views(point.layout.values()).values())

    def loss(values):
        table, *cells, W, b = values
        h = table[data[0]]
        for k in range(model[1].num_layers):
            W_x, W_h, bias = cells[3 * k : 3 * k + 3]
            projected = h @ W_x + bias
            zeros = jnp.zeros((h.shape[1], W_h.shape[0]), h.dtype)

            def step(state, a, W_h=W_h):
                i, f, g, o = jnp.split(a + state[0] @ W_h, 4, axis=1)
                c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
                out = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (out, c), out

            h = jax.lax.scan(step, (zeros, zeros), projected)[1]
        logs = jax.nn.log_softmax(h @ W + b)
        return -jnp.take_along_axis(logs, data[1][..., None], -1).mean()

    start = time.perf_counter()
    product = jax.jit(lambda at, along: jax.jvp(jax.grad(loss), (at,), (along,))[1])
    product = product.lower(views, views).compile()
    compiled = time.perf_counter() - start
    return product, jax.jit(jax.grad(loss)).lower(views).compile(), views, compiled


def milliseconds(sample):
    return f"{sample.median * 1e3:.3f} ms ({sample.low * 1e3:.3f} to {sample.high * 1e3:.3f})"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hessian_product(benchmark, shape):
    model, data = model_and_data(shape)
    point = LossPoint(model, fd.softmax_cross_entropy, data)
    v = np.random.default_rng(1).standard_normal(point.size).astype(np.float32)

    def product():
        return LossPoint(model, fd.softmax_cross_entropy, data).hvp(v)

    def samples():
        return LossPoint(model, fd.softmax_cross_entropy, data).sample_gradients(1)

    np.testing.assert_allclose(samples().sum(0), point.gradient, atol=1e-5)
    contenders = {
        "gradient": lambda: gradient(model, data),
        "product": product,
        "again": lambda: point.hvp(v),
        "samples": samples,
    }
    text = ""
    if jax is not None:
        theirs, their_gradient, at, compiled = jax_product(point, model, data)
        along = list(point.layout.views(v).values())
        expected = np.concatenate([np.asarray(one).reshape(-1) for one in theirs(at, along)])
        np.testing.assert_allclose(product(), expected, rtol=0, atol=2e-4 * np.abs(expected).max())
        contenders["jax"] = lambda: jax.block_until_ready(theirs(at, along))
        contenders["jax gradient"] = lambda: jax.block_until_ready(their_gradient(at))
    taken = alternate(contenders, seconds=3.0)
    mine = taken["product"].median
    for name, ratio in (("gradient", mine), ("again", taken["again"].median), ("samples", taken["samples"].median)):
        ratios[name].append(ratio / taken["gradient"].median)
    if jax is not None:
        ratios["jax"].append(taken["jax"].median / mine)
        text = f"; jax {milliseconds(taken['jax'])}, {ratios['jax'][-1]:.2f} x ours"
        text += (
            f", {taken['jax'].median / taken['jax gradient'].median:.2f} of its gradients, compiling {compiled:.1f} s"
        )
    print(
        f"\nH v {shape!s:18} {kernels.level}, {fd.get_num_threads()} threads: gradient "
        f"{milliseconds(taken['gradient'])}, product {milliseconds(taken['product'])}, {ratios['gradient'][-1]:.2f} "
        f"gradients, at the same point again {ratios['again'][-1]:.2f}; per sample {ratios['samples'][-1]:.2f}{text}"
    )
    if shape == SHAPES[-1]:
        for name, values in ratios.items():
            if len(values) == len(SHAPES):
                print(f"  geometric mean over {len(values)} shapes: {name} {geometric_mean(values):.2f}")
    benchmark.extra_info.update(shape=shape, ratios={name: values[-1] for name, values in ratios.items() if values})
    benchmark.pedantic(product, rounds=3)


def test_full_hessian_of_500_parameters(benchmark):
    rng = np.random.default_rng(0)
    model = fd.nn.Sequential(fd.nn.LSTM(3, 9, rng=0, dtype=np.float64), fd.nn.Linear(9, 3, rng=1, dtype=np.float64))
    x, y = rng.standard_normal((2, 20, 8, 3))
    point = LossPoint(model, fd.mse_loss, (x, y))
    H = point.hessian()
    np.testing.assert_allclose(H, H.T, rtol=0, atol=1e-14)
    taken = alternate({"hessian": point.hessian}, seconds=3.0)["hessian"]
    print(f"\nfull Hessian of {point.size} parameters, T 20, B 8: {milliseconds(taken)}")
    benchmark.extra_info.update(parameters=point.size, seconds=taken.median)
    benchmark.pedantic(point.hessian, rounds=1)


def test_the_learning_rate_bound_on_digits(benchmark):
    """A small network trained to a minimum of the digits' loss; gradient descent on the quadratic model around it."""
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("scipy")
    images, targets = datasets.load_digits(return_X_y=True)
    x, y = images[:400] / 16.0, targets[:400]
    model = fd.nn.Sequential(
        fd.nn.Linear(64, 8, rng=0, dtype=np.float64), fd.nn.Tanh(), fd.nn.Linear(8, 10, rng=1, dtype=np.float64)
    )
    optimizer = fd.curvature.LBFGS(model.parameters())

    def closure():
        loss, dz = fd.softmax_cross_entropy(model.forward(x), y, label_smoothing=0.1)
        model.backward(dz)
        return loss

    for _ in range(300):
        optimizer.step(closure)
    loss = functools.partial(fd.softmax_cross_entropy, label_smoothing=0.1)
    found = fd.curvature.landscape(model, loss, (x, y))
    point = LossPoint(model, loss, (x, y))
    print(f"\ndigits, 400 images, {point.size} parameters: {found!r}")
    start = fd.curvature.eigenpairs(point).vectors[:, 0] + 0.1 * np.random.default_rng(0).standard_normal(point.size)
    for factor in (0.9, 1.2):
        offset, lr = start.copy(), factor * found.max_stable_lr
        values = []
        for _ in range(60):
            along = point.hvp(offset)
            values.append(0.5 * offset @ along)  # the quadratic model, from the minimum
            offset -= lr * along
        print(f"  lr {factor} x the bound: quadratic model {values[0]:.3g} to {values[-1]:.3g} in {len(values)} steps")
        assert (values[-1] < values[0]) == (factor < 1)
        assert factor < 1 or values[-1] > 1e6 * values[0]
    benchmark.extra_info.update(bound=found.max_stable_lr)
    benchmark.pedantic(lambda: fd.curvature.landscape(model, loss, (x, y)), rounds=1)


def test_complex_steps_for_comparison(benchmark):
    """The other way to an exact product, on the NumPy reference: real against complex arithmetic."""
    from fastdl.reference import recurrent as reference

    rng = np.random.default_rng(0)
    T, B, H = 64, 16, 64
    arrays = [rng.standard_normal(shape) / 8 for shape in [(T, B, H), (B, H), (B, H), (H, 4 * H), (H, 4 * H), (4 * H,)]]
    dy = rng.standard_normal((T, B, H))

    def passes(arguments, dy):
        return reference.lstm_backward(dy, None, reference.lstm_forward(*arguments)[2])

    bent = [array + 1e-30j * rng.standard_normal(array.shape) for array in arrays]
    np.testing.assert_allclose(passes(bent, dy + 0j)[3].real, passes(arrays, dy)[3], rtol=1e-9, atol=1e-12)
    taken = alternate({"real": lambda: passes(arrays, dy), "complex": lambda: passes(bent, dy + 0j)}, seconds=2.0)
    print(f"\nLSTM gradient in NumPy, complex against real: {taken['complex'].median / taken['real'].median:.2f} x")
    benchmark.pedantic(lambda: passes(bent, dy + 0j), rounds=1)
