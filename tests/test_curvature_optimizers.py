"""Second-order optimizers: published problems, published step counts, saddles, models."""

import numpy as np
import pytest
from curvature_cases import rosenbrock

import fastdl as fd
from fastdl.curvature import (
    LBFGS,
    AdaHessian,
    FunctionPoint,
    LevenbergMarquardt,
    LossPoint,
    Newton,
    NewtonCG,
    Residuals,
    jacobian,
)

# NIST StRD, nonlinear regression: data, both starts, certified parameters and residual sum of squares.
MISRA1A = np.array(
    [[10.07, 77.6], [14.73, 114.9], [17.94, 141.1], [23.93, 190.8], [29.61, 239.9], [35.18, 289.0], [40.02, 332.8],
     [44.82, 378.4], [50.76, 434.8], [55.05, 477.3], [61.01, 536.8], [66.40, 593.1], [75.47, 689.1], [81.78, 760.0]]
).T  # fmt: skip
MGH09 = np.array(
    [[0.1957, 4], [0.1947, 2], [0.1735, 1], [0.16, 0.5], [0.0844, 0.25], [0.0627, 0.167], [0.0456, 0.125],
     [0.0342, 0.1], [0.0323, 0.0833], [0.0235, 0.0714], [0.0246, 0.0625]]
).T  # fmt: skip
THURBER = np.array(
    [[80.574, -3.067], [84.248, -2.981], [87.264, -2.921], [87.195, -2.912], [89.076, -2.840], [89.608, -2.797],
     [89.868, -2.702], [90.101, -2.699], [92.405, -2.633], [95.854, -2.481], [100.696, -2.363], [101.060, -2.322],
     [401.672, -1.501], [390.724, -1.460], [567.534, -1.274], [635.316, -1.212], [733.054, -1.100],
     [759.087, -1.046], [894.206, -0.915], [990.785, -0.714], [1090.109, -0.566], [1080.914, -0.545],
     [1122.643, -0.400], [1178.351, -0.309], [1260.531, -0.109], [1273.514, -0.103], [1288.339, 0.010],
     [1327.543, 0.119], [1353.863, 0.377], [1414.509, 0.790], [1425.208, 0.963], [1421.384, 1.006],
     [1442.962, 1.115], [1464.350, 1.572], [1468.705, 1.841], [1447.894, 2.047], [1457.628, 2.200]]
).T  # fmt: skip


def cubic_ratio(b, x):
    return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1 + x * (b[4] + x * (b[5] + x * b[6])))


NIST = {
    "Misra1a": (
        MISRA1A, lambda b, x: b[0] * (1 - np.exp(-b[1] * x)), [(500, 1e-4), (250, 5e-4)],
        (2.3894212918e2, 5.5015643181e-4), 1.2455138894e-1,
    ),
    "MGH09": (
        MGH09, lambda b, x: b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]),
        [(25, 39, 41.5, 39), (0.25, 0.39, 0.415, 0.39)],
        (1.9280693458e-1, 1.9128232873e-1, 1.2305650693e-1, 1.3606233068e-1), 3.0750560385e-4,
    ),
    "Thurber": (
        THURBER, cubic_ratio, [(1000, 1000, 400, 40, 0.7, 0.3, 0.03), (1300, 1500, 500, 75, 1, 0.4, 0.05)],
        (1.2881396800e3, 1.4910792535e3, 5.8323836877e2, 7.5416644291e1, 9.6629502864e-1, 3.9797285797e-1,
         4.9727297349e-2), 5.6427082397e3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", NIST)
def test_levenberg_marquardt_on_nist_problems(name, start):
    (y, x), model, starts, certified, sum_of_squares = NIST[name]
    b = np.array(starts[start], np.float64)

    def residuals(b):
        return model(b, x) - y

    optimizer = LevenbergMarquardt([(b, np.empty_like(b))])
    while not optimizer.stationary:
        optimizer.step(lambda: Residuals(residuals(b), lambda: jacobian(residuals, b, "complex")))
        assert optimizer.steps < 100
    np.testing.assert_allclose(b, certified, rtol=1e-6)
    assert (residuals(b) ** 2).sum() == pytest.approx(sum_of_squares, rel=1e-9)


def test_least_squares_to_machine_precision():
    """Rosenbrock's function as two residuals: Levenberg-Marquardt ends at the exact solution."""
    x = np.array([-1.2, 1.0])
    optimizer = LevenbergMarquardt([(x, np.empty(2))])

    def closure():
        return Residuals(np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), np.array([[-20 * x[0], 10.0], [-1.0, 0.0]]))

    while not optimizer.stationary:
        optimizer.step(closure)
        assert optimizer.steps < 40
    np.testing.assert_allclose(x, 1, rtol=0, atol=4e-16)


def test_newton_solves_a_quadratic_in_one_step_and_rosenbrock_in_the_known_number():
    A = np.diag([1.0, 10.0, 1000.0])
    x = np.array([3.0, -2.0, 1.0])
    optimizer = Newton([(x, np.empty(3))])
    optimizer.step(lambda: FunctionPoint(lambda x: 0.5 * x @ A @ x, x, lambda x: A @ x, lambda x: A))
    np.testing.assert_allclose(x, 0, atol=1e-12)
    x = np.array([-1.2, 1.0])
    optimizer = Newton([(x, np.empty(2))])
    while np.abs(x - 1).max() > 1e-8:
        optimizer.step(lambda: FunctionPoint(rosenbrock, x))
    assert optimizer.steps <= 22  # with backtracking 21 (Dennis and Schnabel 1983, appendix B)


@pytest.mark.parametrize("kind", [Newton, NewtonCG])
def test_saddles_are_left(kind):
    x = np.array([1e-3, 0.5])
    optimizer = kind([(x, np.empty(2))])
    for _ in range(30):
        optimizer.step(lambda: FunctionPoint(lambda x: x[0] ** 4 - x[0] ** 2 + x[1] ** 2, x))
    np.testing.assert_allclose(np.abs(x), [0.5**0.5, 0], atol=1e-7)


def test_newton_cg_stops_on_negative_curvature_and_else_converges_fast():
    x = np.array([0.5, 0.1])
    optimizer = NewtonCG([(x, np.empty(2))])
    optimizer.step(lambda: FunctionPoint(lambda x: x[1] ** 2 - x[0] ** 2, x))
    assert optimizer.negative_curvature
    x = np.full(10, -1.0)
    optimizer = NewtonCG([(x, np.empty(10))])
    while not optimizer.stationary:
        optimizer.step(lambda: FunctionPoint(rosenbrock, x, hess=None))
        assert optimizer.steps < 80
    np.testing.assert_allclose(x, 1, atol=1e-7)


def test_newton_cg_on_rosenbrock():
    # Some forty steps creep along the valley, where the inner loop meets negative curvature in its second direction and
    # takes the first alone. SciPy's Newton-CG does the same, and needs 85 steps.
    x = np.array([-1.2, 1.0])
    optimizer = NewtonCG([(x, np.empty(2))])
    while rosenbrock(x) > 1e-20:
        optimizer.step(lambda: FunctionPoint(rosenbrock, x))
    assert optimizer.steps <= 65


def test_lbfgs_on_rosenbrock_and_its_line_search():
    x, grad, calls = np.tile([-1.2, 1.0], 10), np.empty(20), []

    def closure():
        calls.append(x.copy())
        grad[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        grad[-1] = 0
        grad[1:] += 200 * (x[1:] - x[:-1] ** 2)
        return rosenbrock(x)

    optimizer, values = LBFGS([(x, grad)]), []
    while not optimizer.stationary:
        before = x.copy()
        values.append(optimizer.step(closure))
        assert optimizer.steps < 200
        if not optimizer.stationary and len(values) < 30:
            after = rosenbrock(x)
            closure()
            gradient_after = grad.copy()
            p, kept = x - before, x.copy()
            x[:] = before
            closure()
            gradient_before = grad.copy()
            x[:] = kept
            assert after <= values[-1] + 1e-4 * gradient_before @ p + 1e-15  # both strong Wolfe conditions
            assert abs(gradient_after @ p) <= 0.9 * abs(gradient_before @ p) + 1e-15
    np.testing.assert_allclose(x, 1, atol=1e-8)
    assert np.all(np.diff(values) <= 0)
    assert len(calls) < 700


def small_model(dtype, bias=True):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 6, 2)), rng.standard_normal((3, 6, 1))
    model = fd.nn.Sequential(fd.nn.LSTM(2, 2, bias=bias, rng=0, dtype=dtype), fd.nn.Linear(2, 1, rng=1, dtype=dtype))
    return model, (x.astype(dtype), y.astype(dtype))


@pytest.mark.parametrize("kind", [Newton, NewtonCG, AdaHessian, LBFGS, LevenbergMarquardt])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_models_train_and_resume_exactly(kind, dtype):
    def run(steps, resumed):
        model, data = small_model(dtype, "single" if kind is Newton else True)
        optimizer = kind(model.parameters(), **({"rng": 0} if kind is AdaHessian else {}))

        def point():
            return LossPoint(model, fd.mse_loss, data)

        def loss_and_gradient():
            loss, dz = fd.mse_loss(model.forward(data[0]), data[1])
            model.backward(dz)
            return loss

        closures = {LBFGS: loss_and_gradient, LevenbergMarquardt: lambda: point().residuals()}
        losses = []
        for step in range(steps):
            if resumed and step == steps // 2:
                state = optimizer.state_dict()
                optimizer = kind(model.parameters())
                optimizer.load_state_dict(state)
            losses.append(optimizer.step(closures.get(kind, point)))
        return losses

    losses = run(8, False)
    assert losses == run(8, True)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("kind", [fd.nn.RNN, fd.nn.LSTM, fd.nn.GRU])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_undamped_newton_refuses_two_biases_whose_sum_alone_counts(kind, dtype):
    """Along (d, -d) nothing changes, so the Hessian is singular there; a GRU's last parts are apart."""
    model, data = small_model(dtype)
    model = fd.nn.Sequential(kind(2, 2, rng=0, dtype=dtype), *list(model)[1:])
    point = LossPoint(model, fd.mse_loss, data)
    first, second = np.zeros((2, point.size), dtype)
    point.layout.views(first)[model[0].bias_ih_l0][:4] = 1
    point.layout.views(second)[model[0].bias_hh_l0][:4] = 1
    np.testing.assert_array_equal(point.hvp(first), point.hvp(second))
    before, optimizer = model.parameters().data.copy(), Newton(model.parameters())
    with pytest.raises(ValueError, match=r"^damping: got 0 with 0.bias_ih_l0 and 0.bias_hh_l0, .*bias='single'"):
        optimizer.step(lambda: LossPoint(model, fd.mse_loss, data))
    assert (optimizer.steps, model.parameters().data.tobytes()) == (0, before.tobytes())
    loss = Newton(model.parameters(), damping=1e-3).step(lambda: LossPoint(model, fd.mse_loss, data))
    assert LossPoint(model, fd.mse_loss, data).value < loss
    model[0].bias_hh_l0.freeze()  # of a sum with one that stays there is one
    optimizer.step(lambda: LossPoint(model, fd.mse_loss, data))
    assert LossPoint(model, fd.mse_loss, data).value < loss


def test_wrong_use_is_refused():
    x = np.ones(2)
    pairs = [(x, np.empty(2))]
    for build, message in [
        (lambda: Newton(pairs, damping=-1), "damping: got -1"),
        (lambda: LBFGS(pairs, c1=0.5, c2=0.1), "c2: got 0.1"),
        (lambda: AdaHessian(pairs, betas=(0.9, 1.0)), r"betas\[1\]: got 1.0"),
        (lambda: LBFGS(pairs).step(lambda: np.nan), "closure: got a loss of nan"),
        (lambda: LBFGS(pairs).load_state_dict({}), "state: got"),
        (
            lambda: LevenbergMarquardt(pairs).step(lambda: Residuals(np.ones(3), np.ones((2, 2)))),
            r"closure's jacobian: got shape \(2, 2\), expected \(3, 2\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            build()
    np.testing.assert_array_equal(x, 1)
