"""Derivatives of NumPy functions, the check of gradients, and the surroundings of a point."""

import math

import numpy as np
import pytest
from curvature_cases import rosenbrock

import fastdl as fd
from fastdl.curvature import FunctionPoint, Landscape, check_gradient, gradient, hessian, jacobian


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


X = np.array([1.3, 0.7, 0.8, 1.9, 1.2])


@pytest.mark.parametrize(("method", "digits"), [("auto", 12), ("complex", 12), ("central", 9)])
def test_gradient_and_its_estimated_error(method, digits):
    found, error = gradient(rosenbrock, X, method, return_error=True)
    expected = rosenbrock_gradient(X)
    np.testing.assert_allclose(found, expected, rtol=10.0**-digits)
    assert (np.abs(found - expected) <= error + 1e-15 * np.abs(expected)).all()
    assert (error <= 10.0**-digits * np.abs(expected).max()).all()


def test_differences_survive_large_and_small_arguments_and_the_edge_of_a_domain():
    x = np.array([1e-3, 1e6, 5.0])
    found, error = jacobian(
        lambda x: np.array([np.log(x[0]), x[1] ** 2, np.exp(x[2])]), x, "central", return_error=True
    )
    expected = np.diag([1e3, 2e6, math.exp(5)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert (np.abs(found - expected) <= 10 * error + 1e-12).all()


def test_complex_steps_are_not_trusted_where_they_are_wrong():
    for f in (lambda x: np.abs(x).sum(), lambda x: (x * np.conj(x)).real.sum(), lambda x: np.real(x[0] * x[1])):
        np.testing.assert_allclose(gradient(f, X), gradient(f, X, "central"), rtol=0, atol=0)
    with pytest.raises(TypeError, match="f: got a real value for a complex argument"):
        gradient(lambda x: np.real(x).sum(), X, "complex")


def test_a_value_of_one_element_will_do():
    np.testing.assert_allclose(gradient(lambda x: (x**2).sum(keepdims=True), X), 2 * X)


def test_jacobian_has_the_shape_of_value_and_argument():
    x = np.arange(6.0).reshape(2, 3)
    found, error = jacobian(lambda x: np.stack([x.sum(0), (x**2).prod(0)]), x, return_error=True)
    assert found.shape == error.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(found[0], np.eye(3)[:, None] * np.ones((2, 1)), atol=1e-12)
    np.testing.assert_allclose(found[1, 2, 0, 2], 2 * 2 * 25, rtol=1e-12)


@pytest.mark.parametrize(("method", "tolerance"), [("complex", 1e-10), ("central", 1e-7)])
def test_hessian(method, tolerance):
    expected = jacobian(rosenbrock_gradient, X, "complex")
    found, error = hessian(rosenbrock, X, method, return_error=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert (np.abs(found - expected) <= 10 * error + 1e-10).all()
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("method", ["complex", "central"])
def test_a_gradient_wrong_by_a_thousandth_is_caught_at_its_entry(method):
    assert check_gradient(rosenbrock, rosenbrock_gradient, X, method=method).passed
    for k in range(X.size):
        wrong = rosenbrock_gradient(X)
        wrong[k] *= 1.001
        report = check_gradient(rosenbrock, wrong, X, method=method)
        assert not report.passed
        assert report.where == (k,)
        assert report.difference == pytest.approx(0.001, rel=0.01)
    assert "FAILED: worst entry [4]" in str(report)
    wrong[2] = np.nan
    assert check_gradient(rosenbrock, wrong, X).where == (2,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradient(lambda x: x, X), ValueError, r"f: got a value of shape \(5,\), expected one number"),
        (lambda: gradient(lambda x: np.nan, X), ValueError, "f: its value at x is not finite"),
        (lambda: gradient(lambda x: 0.0 if (x == X).all() else np.nan, X), ValueError, "f: its values near x are not"),
        (lambda: gradient(np.sum, [1.0]), TypeError, "x: got list, expected an array"),
        (lambda: gradient(3, X), TypeError, "f: got int, expected a function"),
        (lambda: gradient(np.sum, X, "forward"), ValueError, "method: got 'forward'"),
        (lambda: check_gradient(np.sum, np.ones(4), X), ValueError, r"grad: got shape \(4,\), expected \(5,\)"),
    ],
)
def test_wrong_use_is_refused(call, error, message):
    with np.errstate(all="ignore"), pytest.raises(error, match=message):
        call()


# ---- Known landscapes -----------------------------------------------------------------------------------------


def quadratic(eigenvalues):
    """A point of x^T A x / 2 at zero, A with the given spectrum."""
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = (Q * eigenvalues) @ Q.T
    return FunctionPoint(lambda x: 0.5 * x @ A @ x, np.zeros(n), lambda x: A @ x, lambda x: A), A


@pytest.mark.parametrize(
    ("f", "x", "verdict"),
    [
        (lambda x: x[0] ** 2 + 3 * x[1] ** 2, (0, 0), "minimum"),
        (lambda x: -(x[0] ** 2) - 3 * x[1] ** 2, (0, 0), "maximum"),
        (lambda x: x[0] ** 2 - 3 * x[1] ** 2, (0, 0), "saddle"),
        (lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2, (0, 0), "undecided"),  # the monkey saddle: H = 0
        (lambda x: x[0] ** 2 + x[1] ** 4, (0, 0), "undecided"),  # a minimum, but a zero eigenvalue decides nothing
        (lambda x: x[0] ** 2 - x[1] ** 2 + 0 * x[2], (0, 0, 0), "saddle"),  # zeros notwithstanding
        (rosenbrock, (1, 1, 1), "minimum"),
        (rosenbrock, (1.1, 1, 1), "undecided"),  # not stationary
    ],
)
def test_verdicts(f, x, verdict):
    assert Landscape.at(FunctionPoint(f, np.array(x, np.float64))).verdict == verdict


def test_a_deep_linear_network_has_a_saddle_at_zero():
    model = fd.nn.Sequential(
        fd.nn.Linear(2, 2, bias=False, rng=0, dtype=np.float64), fd.nn.Linear(2, 2, bias=False, rng=1, dtype=np.float64)
    )
    model.parameters().data[:] = 0
    x = np.random.default_rng(0).standard_normal((20, 2))
    found = fd.curvature.landscape(model, fd.mse_loss, (x, x))
    assert found.verdict == "saddle"
    assert found.smallest == pytest.approx(-found.largest)  # H couples the layers alone
    assert found.gradient_norm == 0


def test_spectra_of_quadratics():
    eigenvalues = np.linspace(-3, 10, 220)
    point, A = quadratic(eigenvalues)
    for which, expected in [
        ("largest", eigenvalues[-3:]),
        ("smallest", eigenvalues[:3]),
        ("both", np.r_[eigenvalues[:3], eigenvalues[-3:]]),
    ]:
        found = fd.curvature.eigenpairs(point, 3, which)
        np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(A @ found.vectors, found.vectors * found.values, rtol=0, atol=1e-7)
    assert fd.curvature.trace(point).value == pytest.approx(eigenvalues.sum())
    np.testing.assert_allclose(fd.curvature.diagonal(point).value, np.diag(A), atol=1e-12)
    estimate = fd.curvature.trace(point, 200, rng=0)
    assert abs(estimate.value - eigenvalues.sum()) < 4 * estimate.error
    estimate = fd.curvature.diagonal(point, 400, rng=0)
    assert (np.abs(estimate.value - np.diag(A)) < 5 * estimate.error).all()
    density = fd.curvature.spectral_density(point, probes=30, steps=40, rng=0)
    assert density.weights.sum() == pytest.approx(1)
    assert density.moment(1) == pytest.approx(eigenvalues.mean(), abs=0.15)
    assert density.moment(2) == pytest.approx((eigenvalues**2).mean(), rel=0.05)
    grid = np.linspace(-5, 12, 500)
    assert density.density(grid, 0.3).sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-3)
    assert fd.curvature.eigenpairs(quadratic([5.0])[0]).values == [5.0]
    with pytest.raises(ValueError, match="k: got 3, but there are 2 eigenvalues"):
        fd.curvature.eigenpairs(quadratic([1.0, 2.0])[0], 3)


@pytest.mark.parametrize(("factor", "stable"), [(0.9, True), (1.2, False)])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_bound_on_the_learning_rate_holds(factor, stable, momentum):
    point, A = quadratic([0.5, 1.0, 4.0])
    lr = factor * Landscape.at(point).max_stable_momentum_lr(momentum)
    x, grad = np.ones(3), np.empty(3)
    optimizer = fd.optim.SGD([(x, grad)], lr=lr, momentum=momentum)
    for _ in range(300):
        grad[:] = A @ x
        optimizer.step()
    assert (np.abs(x).max() < 1e-2) if stable else (np.abs(x).max() > 1e3)


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    model = fd.nn.Sequential(fd.nn.LSTM(2, 3, rng=0), fd.nn.Linear(3, 2, rng=1))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 4, 3, 2)).astype(np.float32)
    before = model.parameters().data.copy()
    fd.curvature.landscape(model, fd.mse_loss, (x, y)).plot(tmp_path / "landscape.png", points=3)
    np.testing.assert_array_equal(model.parameters().data, before)
    flow = fd.curvature.gradient_flow(model, x)
    flow.plot(tmp_path / "flow.png", {"again": flow})
    assert (tmp_path / "landscape.png").stat().st_size > 1000
    assert (tmp_path / "flow.png").stat().st_size > 1000


# ---- Gradients through time -----------------------------------------------------------------------------------


def test_gradient_flow_against_differences():
    rng = np.random.default_rng(0)
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, num_layers=2, rng=0, dtype=np.float64), fd.nn.Linear(4, 1, rng=1))
    lstm, x = model[0], rng.standard_normal((6, 2, 3))
    h0 = np.zeros((2, 2, 4))
    flow = fd.curvature.gradient_flow(model[0], x, layer=1, samples=(1,), starts=(0,))

    def states(h):  # of the second layer, second sequence
        moved = h0.copy()
        moved[1, 1] = h
        return lstm.eval().forward(x, (moved, np.zeros_like(h0)))[:, 1]

    J = jacobian(states, np.zeros(4), "central")
    expected = [np.linalg.svd(one, compute_uv=False) for one in J]
    np.testing.assert_allclose(flow.values[0, 0], expected, rtol=1e-8, atol=1e-10)
    later = fd.curvature.gradient_flow(lstm, x, layer=1, starts=(0, 2), lags=3)
    assert later.values.shape == (1, 2, 3, 4)
    for bad in ({"layer": 2}, {"lags": 7}, {"starts": (6,)}, {"samples": (2,)}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            fd.curvature.gradient_flow(lstm, x, **bad)


@pytest.mark.parametrize("kind", ["IndRNN", "MinGRU", "MinLSTM"])
def test_gradient_flow_where_each_unit_goes_by_itself(kind):
    """d h_t / d h_s is diagonal: its singular values are the sizes of its entries."""
    layer = getattr(fd.nn, kind)(3, 4, rng=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((6, 2, 3))
    flow = fd.curvature.gradient_flow(layer, x, samples=(1,))
    J = jacobian(lambda h: layer.eval().forward(x, np.stack([np.zeros(4), h])[None])[:, 1], np.zeros(4), "central")
    expected = np.sort(np.abs(np.diagonal(J, axis1=1, axis2=2)))[:, ::-1]
    np.testing.assert_allclose(flow.values[0, 0], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("heads", [1, 2])
def test_gradient_flow_of_a_recurrence_by_heads(heads):
    layer = fd.nn.sLSTM(3, 4, heads=heads, init="torch", rng=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((6, 2, 3))
    flow = fd.curvature.gradient_flow(layer, x, samples=(1,))
    rest = [np.zeros((1, 2, 4))] * 3

    def states(h):
        return layer.eval().forward(x, (np.stack([np.zeros(4), h])[None], *rest))[:, 1]

    J = jacobian(states, np.zeros(4), "central")
    expected = [np.linalg.svd(one, compute_uv=False) for one in J]
    np.testing.assert_allclose(flow.values[0, 0], expected, rtol=1e-8, atol=1e-10)


def test_a_forget_gate_near_one_keeps_the_gradient():
    x = np.random.default_rng(0).standard_normal((40, 1, 3)).astype(np.float32)
    rates = []
    for bias in (-2.0, 0.0, 4.0):
        lstm = fd.nn.LSTM(3, 16, rng=0)
        lstm.bias_ih_l0.data[16:32], lstm.bias_hh_l0.data[16:32] = bias, 0
        rates.append(fd.curvature.gradient_flow(lstm, x).rate)
    assert rates[0] < rates[1] < rates[2] < 1.05


def test_gradients_vanish_in_an_rnn_and_last_in_an_lstm_that_remembers():
    x = np.random.default_rng(0).standard_normal((60, 2, 8))
    rnn = fd.curvature.gradient_flow(fd.nn.RNN(8, 32, rng=0, dtype=np.float64), x)
    lstm = fd.curvature.gradient_flow(fd.nn.LSTM(8, 32, forget_bias=2.0, rng=0, dtype=np.float64), x)
    assert rnn.largest[49] < 1e-12
    assert lstm.largest[49] > 1e-2
    assert rnn.rate < 0.6 < 0.95 < lstm.rate < 1
