"""Curvature against one gradient and against JAX: products, gradients per sample, a full Hessian, the bound on lr.

Ratios are to one gradient of the same model by its own forward and backward. JAX runs `jvp` of `grad`, compiled for the
shape; what compiling takes is shown beside it. Every row asserts its result first.
"""

import functools
import statistics
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
on_the_clock: dict[str, list[float]] = {}
in_processor_time: dict[str, list[float]] = {}


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
            W_x, W_h, first, second = cells[4 * k : 4 * k + 4]
            projected = h @ W_x + first + second
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


def contenders_for(shape):
    """(functions to time, text on JAX's compilation), after checking that they agree."""
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
    if jax is None:
        return contenders, "jax is not installed, so it is not compared"
    theirs, their_gradient, at, compiled = jax_product(point, model, data)
    along = list(point.layout.views(v).values())
    expected = np.concatenate([np.asarray(one).reshape(-1) for one in theirs(at, along)])
    np.testing.assert_allclose(product(), expected, rtol=0, atol=2e-4 * np.abs(expected).max())
    contenders["jax"] = lambda: jax.block_until_ready(theirs(at, along))
    contenders["jax gradient"] = lambda: jax.block_until_ready(their_gradient(at))
    return contenders, f"compiling {compiled:.1f} s"


def report(title, shape, median, compiling, ratios):
    """One row: the product in gradients, and JAX's beside it; `ratios` gathers them over the shapes."""
    for name in ("product", "again", "samples"):
        ratios.setdefault(name, []).append(median[name] / median["gradient"])
    text = f"gradient {median['gradient'] * 1e3:.3f} ms, product {median['product'] * 1e3:.3f} ms"
    text += f", {ratios['product'][-1]:.2f} gradients, again at the same point {ratios['again'][-1]:.2f}"
    text += f", per sample {ratios['samples'][-1]:.2f}"
    if "jax" in median:
        ratios.setdefault("jax", []).append(median["jax"] / median["product"])
        text += f"; jax {median['jax'] * 1e3:.3f} ms, {ratios['jax'][-1]:.2f} x ours"
        text += f", {median['jax'] / median['jax gradient']:.2f} of its gradients"
    print(f"\n{title} {shape!s:18} {kernels.level}: {text}; {compiling}")
    if shape == SHAPES[-1] and len(ratios["product"]) == len(SHAPES):
        means = ", ".join(f"{name} {geometric_mean(values):.2f}" for name, values in ratios.items())
        print(f"  geometric means over {len(SHAPES)} shapes: {means}")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hessian_product(benchmark, shape):
    contenders, compiling = contenders_for(shape)
    taken = alternate(contenders, seconds=3.0)
    median = {name: sample.median for name, sample in taken.items()}
    report(f"H v, {fd.get_num_threads()} threads", shape, median, compiling, on_the_clock)
    benchmark.extra_info.update(shape=shape, seconds=median)
    benchmark.pedantic(contenders["product"], rounds=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hessian_product_in_processor_time(benchmark, shape):
    """The same on one thread by the processor's clock, which other work on the machine disturbs less."""
    before = fd.get_num_threads()
    fd.set_num_threads(1)
    contenders, compiling = contenders_for(shape)
    times = {name: [] for name in contenders}
    end = time.perf_counter() + 6.0
    while time.perf_counter() < end:
        for name, function in contenders.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    report("H v, processor time", shape, median, compiling, in_processor_time)
    benchmark.extra_info.update(shape=shape, seconds=median)
    benchmark.pedantic(contenders["product"], rounds=3)
    fd.set_num_threads(before)


def test_full_hessian_of_500_parameters(benchmark):
    rng = np.random.default_rng(0)
    lstm = fd.nn.LSTM(3, 9, bias="single", rng=0, dtype=np.float64)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(9, 3, rng=1, dtype=np.float64))
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
