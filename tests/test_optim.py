"""Update rules against the reference, bit for bit, on every build, thread count and type."""

import numpy as np
import pytest
from optim_cases import CASES, OPTIONS, WITH_VARIANTS, arrays, identify

import fastdl as fd
from fastdl.optim import _rule

DTYPES = [np.float32, np.float64]


def same_bits(one, other):
    """Equal, NaN with NaN, and zeros of the same sign."""
    return np.array_equal(one, other, equal_nan=True) and np.array_equal(
        np.signbit(one), np.signbit(other) | (np.isnan(other) & np.signbit(one))
    )


def both(case, n, dtype, options, steps=4, lr=0.05, gradient=None):
    """The kernel's and the reference's arrays after some steps on the same gradients."""
    rng = np.random.default_rng(1)
    ours, states = arrays(case, n, dtype)
    theirs, twins = arrays(case, n, dtype)
    settings = {"lr": lr} | case.settings | options
    for t in range(1, steps + 1):
        g = rng.standard_normal(n).astype(dtype) if gradient is None else gradient.astype(dtype)
        case.update(ours, g, **states, step=t, **settings)
        case.twin(theirs, g, **twins, step=t, **settings)
    return {"param": ours, **states}, {"param": theirs, **twins}


def assert_same(ours, theirs):
    for name, array in ours.items():
        assert same_bits(array, theirs[name]), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS, ids=identify)
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_same_bits_as_reference(level, case, options, dtype):
    for n in (0, 1, 15, 16, 17, 1000):
        assert_same(*both(case, n, dtype, options))


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_same_bits_for_any_number_of_threads(level, case, monkeypatch):
    monkeypatch.setattr(_rule, "GRAIN", 256)  # so that small arrays are shared out too
    for dtype in DTYPES:
        for threads in (1, 2, 3, 8):
            fd.set_num_threads(threads)
            for n in (513, 4099):
                assert_same(*both(case, n, dtype, OPTIONS[-1], steps=2))


@pytest.mark.parametrize(("case", "variant"), WITH_VARIANTS, ids=identify)
def test_same_bits_in_every_variant(level, case, variant):
    for dtype in DTYPES:
        assert_same(*both(case, 100, dtype, {"variant": variant}, steps=12))


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_special_values(level, case):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 3e38, 1e-20, -1.0, 1e30] * 3)
    for dtype in DTYPES:
        for options in OPTIONS:
            with np.errstate(all="ignore"):
                ours, theirs = both(case, special.size, dtype, options, gradient=special)
            assert_same(ours, theirs)
            assert np.isfinite(ours["param"][special == -1.0]).all()


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_class_is_its_function(level, case):
    rng = np.random.default_rng(2)
    for backend in ("compiled", "reference"):
        param, states = arrays(case, 37, np.float32)
        mine, grad = param.copy(), np.empty(37, np.float32)
        optimizer = case.optimizer([(mine, grad)], case.lr, **case.settings)
        for t in range(1, 9):
            grad[:] = rng.standard_normal(37)
            case.update(param, grad, **states, step=t, lr=case.lr, **case.settings)
            with fd.backend(backend):
                optimizer.step()
        assert np.array_equal(param, mine)
        for name, state in states.items():
            assert np.array_equal(state, optimizer.groups[0].runs[0].states[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_parabola_and_rosenbrock(case, dtype):
    # Rosenbrock's valley is narrow: a constant rate that is safe on its walls, or a decaying one.
    x, grad = np.array([3.0, -2.0], dtype), np.empty(2, dtype)
    optimizer = case.optimizer([(x, grad)], case.lr, **case.settings)
    for _ in range(10_000):
        grad[:] = 2 * x
        optimizer.step()
    assert np.abs(x).max() < 3e-2

    x, grad = np.array([-1.2, 1.0], dtype), np.empty(2, dtype)
    rates = {"sgd": 0.002, "momentum": 2e-4, "dampening": 3e-4, "nesterov": 2e-4, "radam": 0.001, "asgd": 0.002}
    lr = rates.get(case.name.split()[0], case.lr)
    optimizer = case.optimizer([(x, grad)], lr, **case.settings)
    for t in range(10_000):
        a, b = float(x[0]), float(x[1])
        grad[:] = [-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)]
        if case.name.startswith("rmsprop") or case.name in ("lion", "adadelta"):
            optimizer.lr = lr * (1 - t / 10_000)
        optimizer.step()
    assert np.abs(x - 1).max() < 3e-2


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_trains_a_network(case):
    # Two inputs, 16 tanh units, a logistic output; the classes are the quadrants, like exclusive or.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2)).astype(np.float32)
    target = (x[:, :1] * x[:, 1:] > 0).astype(np.float32)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 16), (16,), (16, 1), (1,))]
    grads = [np.zeros_like(value) for value in values]
    optimizer = case.optimizer(list(zip(values, grads, strict=True)), case.lr, **case.settings)
    lengths = {"sgd": 40.0, "asgd": 40.0, "momentum": 8.0, "dampening": 8.0, "nesterov": 8.0}
    optimizer.lr = case.lr * lengths.get(case.name.split()[0], 1.0)
    losses = []
    for _ in range(600):
        w, b, u, c = values
        h = np.tanh(x @ w + b)
        p = 1 / (1 + np.exp(-(h @ u + c)))
        with np.errstate(divide="ignore"):  # where the other class is impossible
            losses.append(-np.mean(np.where(target == 1, np.log(p), np.log1p(-p))))
        dz = (p - target) / len(x)
        dh = dz @ u.T * (1 - h * h)
        for grad, new in zip(grads, (x.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0)), strict=True):
            grad[...] = new
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]


def test_centered_variance_stays_positive():
    # Constant gradients: rho s - m^2, the usual form, goes negative in float32.
    grad = np.random.default_rng(0).uniform(0, 3, 400).astype(np.float32)
    param, square_avg, grad_avg = np.zeros((3, 400), np.float32)
    for _ in range(400):
        fd.optim.rmsprop_update(param, grad, square_avg, grad_avg, rho=0.9, centered=True)
        assert (square_avg >= 0).all()
    assert np.isfinite(param).all()


def test_centered_equals_float64_within_rounding():
    rng = np.random.default_rng(0)
    narrow, wide = np.zeros((3, 400), np.float32), np.zeros((3, 400))
    for _ in range(200):
        grad = rng.standard_normal(400).astype(np.float32)
        for param, square_avg, grad_avg in (narrow, wide):
            fd.optim.rmsprop_update(
                param, grad.astype(param.dtype), square_avg, grad_avg, rho=0.9, centered=True, lr=1e-3
            )
    assert np.abs(narrow - wide).max() < 2e-6 * np.abs(wide).max()


@pytest.mark.compiled_only("memory")
def test_no_array_is_made_in_a_step():
    import tracemalloc

    param, grad = np.ones((2, 50_000), np.float32)
    optimizer = fd.optim.Adam([(param, grad)])
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000
