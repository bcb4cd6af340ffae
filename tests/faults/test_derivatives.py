"""Derivatives of functions: what comes is within its own error, or the error says that nothing is known."""

import math

import numpy as np
import pytest

from fastdl.curvature import FunctionPoint, Landscape, Newton, check_gradient, gradient, hessian

FUNCTIONS = {  # f of one number, f', f'' and where: domain edges, high frequencies, large and small arguments
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, [0.01, -0.01, 1e-4, 30.0]),
    "log": (np.log, lambda x: 1 / x, lambda x: -1 / x**2, [1e-6, 0.01, 0.05, 0.11, 2.0, 1e8]),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda x: -0.25 * x**-1.5, [1e-6, 0.01, 0.1, 3.0]),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1, lambda x: 1 / x, [0.02, 0.05, 0.93]),
    "sin": (np.sin, np.cos, lambda x: -np.sin(x), [0.0, 3.0, 100.0, 1000.0, 1e4]),
    "fast": (lambda x: np.sin(1000 * x), lambda x: 1e3 * np.cos(1000 * x), lambda x: -1e6 * np.sin(1000 * x), [0.3]),
    "peak": (
        lambda x: np.exp(-(x**2) / 1e-6), lambda x: -2e6 * x * np.exp(-(x**2) / 1e-6),
        lambda x: (4e12 * x**2 - 2e6) * np.exp(-(x**2) / 1e-6), [1e-3, 0.0, 2e-3],
    ),
    "steep": (
        lambda x: np.tanh(50 * x), lambda x: 50 / np.cosh(50 * x) ** 2,
        lambda x: -5000 * np.tanh(50 * x) / np.cosh(50 * x) ** 2, [0.02, 0.01, 0.0],
    ),
    "polynomial": (lambda x: x**5 - 3 * x, lambda x: 5 * x**4 - 3, lambda x: 20 * x**3, [0.0, 1e-30, -1.7, 1e3]),
    "offset": (lambda x: x**2 + 1e6, lambda x: 2 * x, lambda x: 2 + 0 * x, [0.5, 10.0]),
    "large": (lambda x: 1e50 * x**2, lambda x: 2e50 * x, lambda x: 2e50 + 0 * x, [0.5, 1e-5]),
    "small": (lambda x: 1e-50 * x**2, lambda x: 2e-50 * x, lambda x: 2e-50 + 0 * x, [0.5, 1e5]),
}  # fmt: skip
PLACES = [pytest.param(name, x, id=f"{name} at {x:g}") for name, row in FUNCTIONS.items() for x in row[3]]


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize(("name", "x"), PLACES)
def test_smooth_functions_are_differentiated_and_the_error_is_honest(name, x, method):
    f, first, second, _ = FUNCTIONS[name]

    def total(z):
        return f(z).sum()

    scale = abs(f(np.array(x)))
    for function, derivative, digits in ((gradient, first, 1e-6), (hessian, second, 1e-3)):
        found, error = function(total, np.array([x]), method, return_error=True)
        expected = derivative(np.array(x))
        apart = abs(found.item() - expected)
        assert apart <= error.item() + 1e-13 * abs(expected)
        assert error.item() <= digits * max(abs(expected), scale, 1e-6)


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize("distance", [1e-2, -1e-2, 1e-4, -1e-4, 1e-6, -1e-6])
def test_beside_a_kink_right_gradients_pass_and_wrong_ones_do_not(distance, method):
    x = np.array([distance, 1.0])
    relu, absolute = (lambda z: np.maximum(z, 0).sum()), (lambda z: np.abs(z).sum())
    assert check_gradient(relu, lambda z: (z > 0) * 1.0, x, method=method).passed
    assert check_gradient(absolute, np.sign, x, method=method).passed
    assert not check_gradient(relu, lambda z: (z > 0) * 1.001 + 1e-3, x, method=method).passed
    assert not check_gradient(absolute, lambda z: np.ones(2) * np.sign(-distance), x, method=method).passed


@pytest.mark.parametrize(("given", "passed"), [(0.0, True), (0.3, True), (1.0, True), (1.1, False), (-0.1, False)])
def test_at_a_kink_what_lies_between_both_slopes_passes(given, passed):
    found = check_gradient(lambda z: np.maximum(z, 0).sum(), np.array([given, 1.0, 0.0]), np.array([0.0, 1.0, -1.0]))
    assert found.passed == passed
    assert bool(found) == passed  # so that `assert check_gradient(...)` means something
    if not passed:
        assert found.kink
        assert "a kink of f" in str(found)
    slope, error = gradient(lambda z: np.maximum(z, 0).sum(), np.zeros(100), return_error=True)
    np.testing.assert_allclose(slope, 0.5)
    np.testing.assert_allclose(error, 0.5)


def test_steep_functions_of_real_parts_pass():
    def f(z):
        return float(np.tanh(50 * z.real).sum())

    assert check_gradient(f, lambda z: 50 / np.cosh(50 * z) ** 2, np.array([0.02, 0.01])).passed


@pytest.mark.parametrize(
    "f",
    [lambda x: np.sqrt(np.abs(x)).sum(), lambda x: np.sign(x).sum(), lambda x: np.floor(x).sum()],
    ids=["cusp", "jump", "stair"],
)
def test_where_there_is_no_slope_the_error_is_infinite_and_no_check_passes(f):
    assert np.isinf(gradient(f, np.zeros(1), return_error=True)[1]).all()
    assert not check_gradient(f, np.zeros(1), np.zeros(1)).passed
    assert np.isinf(hessian(np.abs, np.zeros(1), return_error=True)[1]).all()


def test_points_and_optimizers_do_not_drop_the_error():
    x = np.zeros(1)
    point = FunctionPoint(lambda z: np.abs(z).sum(), x)
    for call in (point.hessian, lambda: Landscape.at(point), lambda: Newton([(x, np.empty(1))]).step(lambda: point)):
        with pytest.raises(ValueError, match="f: its .* by differences is .* expected a function that is smooth"):
            call()
    x = np.array([0.05, 0.02, 0.93])
    np.testing.assert_allclose(np.diag(hessian(lambda z: (z * np.log(z)).sum(), x)), 1 / x, rtol=1e-6)
    found = Landscape.at(FunctionPoint(lambda z: (0.05 * z - 0.0025 * np.log(z)).sum(), np.array([0.05])))
    assert found.verdict == "minimum"
    assert found.sharpness == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, OverflowError, KeyError, AssertionError])
def test_whatever_a_function_raises_for_complex_numbers_differences_do(error):
    def f(z):
        if np.iscomplexobj(z):
            raise error
        return (z**2).sum()

    np.testing.assert_allclose(gradient(f, np.ones(2)), 2, rtol=1e-8)
    with pytest.raises(error):
        gradient(f, np.ones(2), "complex")


def test_functions_of_the_math_module_end_where_their_domain_does():
    np.testing.assert_allclose(gradient(lambda z: math.log(z[0]), np.array([0.01])), 100, rtol=1e-8)
    np.testing.assert_allclose(hessian(lambda z: math.sqrt(z[0]), np.array([0.01])), -250, rtol=1e-4)


def test_a_complex_step_that_is_wrong_in_one_small_entry_is_not_trusted():
    def f(z):
        return 1e8 * z[0] + z[1] * np.conj(z[1])

    found, error = gradient(
        lambda z: f(z) if np.iscomplexobj(z) else float(f(z)), np.array([1.0, 3.0]), return_error=True
    )
    assert (np.abs(found - [1e8, 6]) <= error + 1e-6).all()


def test_functions_that_answer_in_float32_or_compute_in_it_say_how_little_is_known():
    for f in (lambda z: np.sin(z).sum().astype(np.float32), lambda z: float(np.sin(z.astype(np.float32)).sum())):
        found, error = gradient(f, np.array([0.3]), return_error=True)
        assert abs(found[0] - math.cos(0.3)) <= error[0] < 1e-3
        assert check_gradient(f, np.cos, np.array([0.3]), rtol=1e-3).passed
        assert not check_gradient(f, lambda z: 1.1 * np.cos(z), np.array([0.3]), rtol=1e-3).passed
