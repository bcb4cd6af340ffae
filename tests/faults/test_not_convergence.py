"""NaN and infinities never count as convergence, and never get into parameters or state."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature import LBFGS, AdaHessian, FunctionPoint, LevenbergMarquardt, Newton, NewtonCG, Residuals

BAD = [np.nan, np.inf, -np.inf]


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_equal(one[name], two[name])


def assert_refused(optimizer, closure, x, message):
    before, state, stationary = x.copy(), optimizer.state_dict(), optimizer.stationary
    with pytest.raises(ValueError, match=message):
        optimizer.step(closure)
    np.testing.assert_array_equal(x, before)
    same(optimizer.state_dict(), state)
    assert optimizer.stationary == stationary is False


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("what", ["loss", "gradient", "hessian"])
@pytest.mark.parametrize("kind", [Newton, NewtonCG, AdaHessian])
def test_points_that_are_not_finite(kind, what, bad):
    x = np.ones(2)

    class Point(FunctionPoint):
        pass

    def closure():
        point = Point(lambda z: (z**2).sum(), x, lambda z: 2 * z, lambda z: 2 * np.eye(2))
        if what == "loss":
            point.value = bad
        elif what == "gradient":
            point.gradient = np.array([1.0, bad])
        else:
            point._matrix = np.array([[1.0, bad], [bad, 1.0]])
        return point

    assert_refused(kind([(x, np.empty(2))]), closure, x, "closure: got a .* expected (a )?finite number")


@pytest.mark.parametrize("bad", BAD)
def test_derivatives_of_a_function_point_that_are_not_finite(bad):
    x = np.ones(2)
    for kind in (Newton, NewtonCG):
        assert_refused(
            kind([(x, np.empty(2))]),
            lambda: FunctionPoint(lambda z: (z**2).sum(), x, lambda z: np.full(2, bad), lambda z: np.eye(2)),
            x,
            "grad: got",
        )
        assert_refused(
            kind([(x, np.empty(2))]),
            lambda: FunctionPoint(lambda z: (z**2).sum(), x, lambda z: z, lambda z: np.full((2, 2), bad)),
            x,
            "hess: got",
        )


@pytest.mark.parametrize("bad", BAD)
def test_lbfgs_refuses_a_loss_or_gradient_that_is_not_finite(bad):
    x, g = np.ones(2), np.empty(2)
    optimizer = LBFGS([(x, g)])

    def closure():
        g[:] = 1.0, bad
        return 1.0

    assert_refused(optimizer, closure, x, "closure: got a gradient with")
    g[:] = 1

    def loss():
        g[:] = 1.0
        return bad

    assert_refused(optimizer, loss, x, "closure: got a loss of")


@pytest.mark.parametrize("beyond", [(0.5, np.nan), (-np.inf, 1.0), (np.nan, np.nan), (0.5, np.inf)])
def test_a_trial_whose_loss_or_gradient_is_not_finite_is_too_long(beyond):
    x, g = np.array([3.0]), np.empty(1)
    optimizer = LBFGS([(x, g)], lr=10.0)

    def closure():
        value, g[:] = (x[0] ** 2, 2 * x[0]) if x[0] > 1 else beyond
        return value

    optimizer.step(closure)
    assert 1 < x[0] < 3
    assert not optimizer.stationary

    y = np.array([3.0])

    def point():
        inside = y[0] > 1
        one = FunctionPoint(lambda z: (z**2).sum(), y, lambda z: 2 * z, lambda z: 2 * np.eye(1))
        if not inside:
            one.value, one.gradient = beyond[0], np.array([beyond[1]])
        return one

    for kind in (Newton, NewtonCG):
        y[:] = 3.0
        optimizer = kind([(y, np.empty(1))])
        optimizer.step(point)
        assert 1 < y[0] < 3
        assert not optimizer.stationary


def test_no_finite_trial_at_all_is_no_convergence():
    x, g, calls = np.array([3.0]), np.empty(1), []

    def closure():
        g[:] = 6.0
        return 9.0 if x[0] == 3 else np.nan

    assert_refused(LBFGS([(x, g)]), closure, x, "closure: got no finite loss and gradient in 25 trials")

    def residuals():  # the step's damping ends where it moves nothing, so no trial may be at the start
        calls.append(1)
        return Residuals(np.array([3.0 if len(calls) == 1 else np.nan]), np.ones((1, 1)))

    assert_refused(
        LevenbergMarquardt([(x, g)]), residuals, x, "closure: got residuals that are not finite at every trial"
    )

    def point():
        found = FunctionPoint(lambda z: (z**2).sum(), x, lambda z: 2 * z, lambda z: 2 * np.eye(1))
        found.value = 9.0 if x[0] == 3 else np.nan
        return found

    for kind in (Newton, NewtonCG):
        assert_refused(kind([(x, g)]), point, x, "closure: got no finite loss anywhere")


@pytest.mark.parametrize("bad", BAD)
def test_levenberg_marquardt_checks_the_jacobian_first(bad, capfd):
    x = np.ones(2)
    optimizer = LevenbergMarquardt([(x, np.empty(2))])
    J = np.array([[1.0, 2.0], [bad, 1.0]])
    assert_refused(optimizer, lambda: Residuals(x, J), x, "closure's jacobian: got an array with")
    assert_refused(
        optimizer, lambda: Residuals(x, np.full((2, 2), 1e200)), x, "closure's jacobian: got columns' norms with inf"
    )
    assert_refused(optimizer, lambda: Residuals(np.array([1.0, bad]), np.eye(2)), x, "closure: got residuals with")
    assert_refused(
        optimizer, lambda: Residuals(np.full(2, 1e200), np.eye(2)), x, "half a sum of squared residuals of inf"
    )
    assert capfd.readouterr() == ("", "")
    optimizer.step(lambda: Residuals(x, np.eye(2)))
    assert np.isfinite(optimizer.state_dict()["_scale"]).all()


def test_a_model_whose_output_overflows_at_a_trial_shortens_the_step():
    model = fd.nn.Linear(1, 1, bias=False, rng=0)
    model.weight = np.array([[1.0]], np.float32)
    data = (np.full((1, 1), 1e18, np.float32), np.full((1, 1), 1e18, np.float32))
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:  # the first trial
            model.weight = np.array([[1e30]], np.float32)
        return fd.curvature.LossPoint(model, fd.mse_loss, data).residuals()

    model.weight = np.array([[0.5]], np.float32)
    optimizer = LevenbergMarquardt(model.parameters())
    with np.errstate(all="ignore"):
        optimizer.step(closure)
    assert model.weight.data == pytest.approx(1, rel=1e-2)


def test_pairs_that_lead_uphill_are_forgotten_not_taken_for_convergence():
    x, g = np.array([3.0, 1.0]), np.empty(2)
    optimizer = LBFGS([(x, g)])
    optimizer._s, optimizer._y = np.array([[1e-200, 0.0]]), np.array([[1e-100, 0.0]])

    def closure():
        g[:] = 2 * x
        return float((x**2).sum())

    with np.errstate(all="ignore"):
        optimizer.step(closure)
    assert not optimizer.stationary
    assert optimizer._s.shape[0] <= 1


def test_a_function_without_curvature_is_descended():
    x = np.ones(2)
    optimizer = Newton([(x, np.empty(2))])
    optimizer.step(lambda: FunctionPoint(lambda z: z.sum(), x, lambda z: np.ones(2), lambda z: np.zeros((2, 2))))
    assert not optimizer.stationary
    assert x.sum() < 2


def test_adahessian_writes_no_number_that_is_not_finite():
    x = np.ones(2, np.float32)
    pairs = [(x, np.empty_like(x))]
    for eps in (0, 0.0, 1e-50, np.inf, np.nan):
        with pytest.raises(ValueError, match="eps: got"):
            AdaHessian(pairs, eps=eps)
    huge = FunctionPoint(lambda z: (z**2).sum(), np.ones(2), lambda z: z, lambda z: 1e200 * np.eye(2))
    assert_refused(AdaHessian(pairs, rng=0), lambda: huge, x, "closure: got a Hessian product whose squares")
    flat = FunctionPoint(lambda z: z.sum(), np.ones(2), lambda z: np.full(2, 1e30), lambda z: np.zeros((2, 2)))
    assert_refused(AdaHessian(pairs, eps=1e-30), lambda: flat, x, "closure: got a step to an array with -inf")
    wide = np.ones(2)
    optimizer = AdaHessian([(wide, np.empty(2))], rng=0)
    large = FunctionPoint(lambda z: (z**2).sum(), wide, lambda z: 2e160 * z, lambda z: 2e155 * np.eye(2))
    optimizer.step(lambda: large)  # (1 - beta2) D^2 is a number, though D^2 is none
    assert np.isfinite(wide).all()
