"""Norms, directions, balls and proximal maps of every order, at every scale."""

import math

import numpy as np
import pytest

import fastdl as fd

ORDERS = [0.3, 0.5, 1, 1 + 1e-5, 1.5, 2, 3, 10, 60, 200, 1074, 1075, 2000, 1e6, 1e17, math.inf]


@pytest.mark.parametrize("p", [1074, 1075, 2000, 1e4, 1e6, 1e17, 10**17])
def test_high_orders_are_the_largest_modulus(p, level):
    x = np.array([3.0, 4.0])
    assert fd.norm(x, p) == fd.lp(x[None], p, axis=1)[0] == fd.global_norm([x[:1], x[1:]], p) == 4.0
    assert fd.norm(x, -p) == 3.0
    np.testing.assert_allclose(fd.norm_gradient(x, p), [0, 1], atol=1e-100)


def test_dual_and_proximal_map_near_order_one(level):
    assert fd.dual_norm(np.array([3.0, 4.0]), 1 + 1e-5) == pytest.approx(4, rel=1e-12)
    np.testing.assert_allclose(fd.prox_norm(np.array([3.0, 4.0]), 1.0, 1 + 1e-5), [2, 3], rtol=1e-4)
    assert fd.prox_norm(np.array([0.01]), 0.005, 1.0001)[0] == pytest.approx(0.005, rel=1e-12)


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("exponent", [-1070, -600, 0, 600, 1020])
def test_directions_and_balls_where_the_norm_leaves_the_range(p, exponent, level):
    small = np.array([3.0, 4.0, -5.0, 0.0])
    x = np.ldexp(small, exponent)
    np.testing.assert_allclose(fd.normalize(x, p), fd.normalize(small, p), rtol=1e-12)
    np.testing.assert_allclose(fd.norm_gradient(x, p), fd.norm_gradient(small, p), rtol=1e-9)
    w = x.copy()
    fd.max_norm_(w, 1e-9, p)
    expected = x if fd.norm(x, p) <= 1e-9 else 1e-9 * fd.normalize(small, p)
    np.testing.assert_allclose(w, expected, rtol=1e-12)
    if p >= 1:
        ball = fd.project_ball(x, float(np.ldexp(2.0, exponent)), p)
        np.testing.assert_allclose(ball, np.ldexp(fd.project_ball(small, 2.0, p), exponent), rtol=1e-12, atol=1e-323)


@pytest.mark.parametrize(
    ("x", "radius", "p"),
    [([0.01], 0.005, 200), ([100.0], 50.0, 200), ([1.0], 0.001, 200), ([1e-6], 5e-7, 60), ([3.0, 4.0], 1.0, 1e4)],
)
def test_balls_of_high_order_are_reached(x, radius, p, level):
    assert fd.norm(fd.project_ball(np.array(x), radius, p), p) == pytest.approx(radius, rel=1e-12)


def test_the_ball_of_order_one_does_not_cancel(level):
    assert fd.project_ball(np.array([1e20, 0.0]), 1.0, 1).tolist() == [1, 0]
    x = np.array([1.7e308, 1e308, 1e307])
    np.testing.assert_allclose(fd.project_ball(x, 1e308, 1), [8.5e307, 1.5e307, 0], rtol=1e-12)


def test_clipping_where_the_norm_overflows(level):
    x = np.full(2, 1.7e308)
    assert fd.clip_by_global_norm_(x, 1.0) == np.inf
    np.testing.assert_allclose(x, math.sqrt(0.5), rtol=1e-12)


def test_the_root_of_float32_is_double(level):
    x = np.array([3.0], np.float32)
    assert fd.norm(x, 0.5, dtype=np.float64) == pytest.approx(3, rel=1e-15)


@pytest.mark.parametrize("ord", [2, -2, "nuc"])
def test_a_matrix_with_nan_has_the_norm_nan(ord):
    x = np.stack([np.eye(2), np.full((2, 2), np.nan)])
    norms = fd.norm(x, ord, axis=(1, 2))
    assert norms[0] == np.linalg.norm(np.eye(2), ord)
    assert np.isnan(norms[1])


@pytest.mark.parametrize(("shape", "ord"), [((3, 0), 1), ((0, 3), np.inf), ((3, 0), 2), ((0, 3), "nuc")])
def test_empty_matrices_have_the_norm_zero(shape, ord):
    assert fd.norm(np.zeros(shape), ord) == 0
    assert fd.norm(np.zeros((2, *shape)), ord, axis=(1, 2)).tolist() == [0, 0]
