"""Gradients, proximal maps, projections, constraints, penalties (docs/norms.md 1.1 to 1.5, 1.8 to 1.11)."""

import math

import awkward
import numpy as np
import pytest

import fastdl as fd
from fastdl.reference import norms as reference

DTYPES = [np.float32, np.float64]
CONVEX = [1, 1.3, 2, 3, math.inf]
AXES = [None, 0, 1]


def assert_close(got, want, dtype, scale=1.0):
    assert got.dtype == dtype
    assert got.shape == want.shape
    tolerance = scale * (2e-6 if dtype is np.float32 else 1e-12)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def sample(dtype=np.float64, shape=(7, 40), seed=0):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    x.flat[3] = 0
    return x


# ---- Gradients ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("ord", [0, 0.5, 1, 1.3, 2, 3, math.inf])
def test_gradients_agree_with_the_reference(level, dtype, axis, ord):
    for shape in [(7, 40), (3, 9001), (40, 7)]:
        x = sample(dtype, shape)
        assert_close(fd.norm_gradient(x, ord, axis), reference.norm_gradient(x, ord, axis), dtype, 5)


@pytest.mark.parametrize("ord", [0.5, 1, 1.3, 2, 3, math.inf])
def test_gradients_by_finite_differences(ord):
    x = np.random.default_rng(1).standard_normal((4, 5)) + 0.1
    g = fd.norm_gradient(x, ord, axis=1)
    step = 1e-6
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        slope = (fd.lp(up, ord, 1) - fd.lp(down, ord, 1)).sum() / (2 * step)
        assert g[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("ord", CONVEX)
def test_subgradient_inequality_at_kinks(ord):
    rng = np.random.default_rng(2)
    for x in (np.zeros(5), np.array([1.0, 0, -1, 0, 0.5]), np.array([2.0, -2, 2, 1, 0]), np.ones(5)):
        g = fd.norm_gradient(x, ord)
        for y in x + rng.standard_normal((200, 5)) * 10.0 ** rng.integers(-6, 3, (200, 1)):
            assert fd.lp(y, ord) >= fd.lp(x, ord) + g @ (y - x) - 1e-12


def test_gradient_of_tied_maxima_is_shared():
    assert fd.norm_gradient(np.array([2.0, -2, 1, 2]), math.inf).tolist() == [1 / 3, -1 / 3, 0, 1 / 3]
    assert fd.norm_gradient(np.zeros((2, 2)), math.inf).tolist() == [[0, 0], [0, 0]]


def test_gradients_do_not_overflow(level):
    for p in (1.5, 2, 3):
        want = fd.norm_gradient(np.array([3.0, -4.0]), p)
        for scale in (1e300, 1e-300):
            np.testing.assert_allclose(fd.norm_gradient(np.array([3.0, -4.0]) * scale, p), want, rtol=1e-13)


# ---- Proximal maps and projections ----------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("ord", [0, *CONVEX])
def test_maps_agree_with_the_reference(level, dtype, axis, ord):
    x = sample(dtype, (6, 33) if ord in {0, 1, 2, math.inf} else (2, 4))  # the reference bisects, slowly
    for step in (0.0, 0.3, 5.0, 1e3):
        assert_close(fd.prox_norm(x, step, ord, axis), reference.prox_norm(x, step, ord, axis), dtype, 10)
    for radius in (0, 1, 4, 1000):
        assert_close(fd.project_ball(x, radius, ord, axis), reference.project_ball(x, radius, ord, axis), dtype, 10)


@pytest.mark.compiled_only("the reference computes the one by the other")
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("ord", CONVEX)
@pytest.mark.parametrize("step", [1e-3, 0.4, 3.0, 50.0])
def test_moreau(axis, ord, step):
    x = sample()
    dual = 1 if ord == math.inf else math.inf if ord == 1 else ord / (ord - 1)
    whole = fd.prox_norm(x, step, ord, axis) + fd.project_ball(x, step, dual, axis)
    np.testing.assert_allclose(whole, x, atol=1e-13)


@pytest.mark.parametrize("ord", [0, *CONVEX])
def test_prox_minimizes(ord):
    rng = np.random.default_rng(3)
    x, step = sample(shape=(12,)), 0.7
    u = fd.prox_norm(x, step, ord)

    def objective(v):
        return fd.lp(v, ord) + ((v - x) ** 2).sum() / (2 * step)

    best = objective(u)
    for _ in range(500):
        other = u + rng.standard_normal(12) * rng.choice([0, 1], 12) * 10.0 ** rng.integers(-6, 1)
        assert objective(other) >= best - 1e-12


@pytest.mark.parametrize("ord", CONVEX)
def test_prox_optimality_condition(ord):
    # (x - u) / step is a subgradient of the norm at u: <., u> = norm(u), dual norm at most 1.
    x, step = sample(shape=(5, 30)), 0.7
    u = fd.prox_norm(x, step, ord, axis=1)
    g = (x - u) / step
    np.testing.assert_allclose((g * u).sum(axis=1), fd.lp(u, ord, axis=1), rtol=1e-10)
    assert (fd.dual_norm(g, ord, axis=1) <= 1 + 1e-10).all()


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("ord", CONVEX)
def test_projections(axis, ord):
    x, radius = sample() * 3, 1.7
    u = fd.project_ball(x, radius, ord, axis)
    assert (fd.lp(u, ord, axis) <= radius * (1 + 1e-12)).all()
    np.testing.assert_allclose(fd.project_ball(u, radius, ord, axis), u, atol=1e-12)
    inside = x * 1e-3
    np.testing.assert_array_equal(fd.project_ball(inside, radius, ord, axis), inside)
    # Variational inequality: <x - u, v - u> <= 0 for every v in the ball.
    rng = np.random.default_rng(5)
    for _ in range(100):
        v = rng.standard_normal(x.shape)
        v = v * (radius / fd.lp(v, ord, axis, keepdims=True))
        assert (((x - u) * (v - u)).sum(axis=axis) <= 1e-10).all()


def test_projection_on_l0_keeps_the_first_of_equals():
    x = np.array([1.0, -3, 2, -2, 0])
    assert fd.project_ball(x, 2, 0).tolist() == [0, -3, 2, 0, 0]
    assert fd.project_ball(x, 0, 0).tolist() == [0] * 5
    with pytest.raises(TypeError, match=r"radius, of ord 0: got 2\.5, expected an int"):
        fd.project_ball(x, 2.5, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projection_of_one_long_vector_has_the_same_bits_on_any_threads(level, dtype):
    x = np.random.default_rng(3).standard_normal(300_001).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        results.append(fd.project_ball(x, 50.0, ord=1))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert_close(results[0], reference.project_ball(x, 50.0, ord=1), dtype)


def test_thresholds_known_by_hand():
    x = np.array([3.0, 1.0, -1.0, -0.5])
    assert fd.prox_norm(x, 0.5, 0).tolist() == [3, 0, 0, 0]
    assert fd.prox_norm(x, 1.0, 1).tolist() == [2, 0, 0, 0]
    assert fd.prox_norm(x, 2.0, math.inf).tolist() == [1, 1, -1, -0.5]
    assert fd.prox_half_squared_l2(x, 1.0).tolist() == [1.5, 0.5, -0.5, -0.25]
    with pytest.raises(ValueError, match=r"ord: got 0\.5"):
        fd.prox_norm(x, 1.0, 0.5)
    with pytest.raises(ValueError, match="step: got -1"):
        fd.prox_norm(x, -1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_maps_take_every_layout(dtype):
    for name, x in awkward.layouts(dtype):
        for axis in [None, *range(x.ndim)]:
            for ord in (1, 2, math.inf):
                got = fd.prox_norm(x, 0.3, ord, axis)
                assert got.shape == x.shape, name
                assert got.dtype == dtype, name
                if x.size:
                    want = reference.prox_norm(x, 0.3, ord, axis)
                    np.testing.assert_allclose(got, want, atol=1e-6, err_msg=name)
            assert fd.normalize(x, axis=axis).shape == x.shape


def test_nan_stays_visible():
    x = np.array([1.0, math.nan, 3.0])
    for ord in (1, 1.5, 2, math.inf):
        assert np.isnan(fd.prox_norm(x, 0.5, ord)[1])
        assert np.isnan(fd.project_ball(x, 0.5, ord)[1])
        assert np.isnan(fd.norm_gradient(x, ord)[1])


# ---- Constraints --------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("ord", [1, 2, 3, math.inf])
def test_constraints(level, dtype, axis, ord):
    for shape in [(7, 40), (40, 7), (9, 9001)]:
        x = sample(dtype, shape)
        x[:, 0] *= 100
        for function, args in [
            ("max_norm_", (5.0, ord, axis)),
            ("unit_norm_", (ord, axis)),
            ("non_negative_", ()),
        ]:
            ours, theirs = x.copy(), x.copy()
            getattr(fd, function)(ours, *args)
            getattr(reference, function)(theirs, *args)
            assert_close(ours, theirs, dtype)
        np.testing.assert_allclose(fd.lp(fd.normalize(x, ord, axis), ord, axis), 1, rtol=1e-6)
    zeros = np.zeros((2, 3), dtype)
    fd.unit_norm_(zeros)
    assert (zeros == 0).all()


def test_constraint_objects_take_parameters_and_arrays():
    class Parameter:
        data = np.array([3.0, -4.0])

    w = np.array([[3.0, -4.0]])
    fd.norms.MaxNorm(1.0).apply([Parameter(), w])
    fd.norms.NonNegative().apply([w])
    np.testing.assert_allclose(Parameter.data, [0.6, -0.8])
    fd.norms.UnitNorm(1).apply([w])
    np.testing.assert_allclose(w, [[1, 0]])
    w.flags.writeable = False
    with pytest.raises(ValueError, match="w: got a read-only"):
        fd.non_negative_(w)
    with pytest.raises(ValueError, match="ord: got 0"):
        fd.norms.UnitNorm(0)


# ---- Penalties ----------------------------------------------------------------------------------------
PENALTIES = [
    (fd.norms.L1(0.3), lambda w, g: reference.add_elastic_net_(w, g, l1=0.3)),
    (fd.norms.L2(0.3), lambda w, g: reference.add_elastic_net_(w, g, l2=0.3)),
    (fd.norms.ElasticNet(0.2, 0.7), lambda w, g: reference.add_elastic_net_(w, g, 0.2, 0.7)),
    (fd.norms.GroupLasso(0.4, axis=0), lambda w, g: reference.add_group_lasso_(w, g, 0.4, 0)),
    (fd.norms.GroupLasso(0.4, axis=1), lambda w, g: reference.add_group_lasso_(w, g, 0.4, 1)),
    (fd.norms.GroupLasso(0.4), lambda w, g: reference.add_group_lasso_(w, g, 0.4)),
    (fd.norms.Orthogonal(0.4), lambda w, g: reference.add_orthogonal_(w, g, 0.4)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("penalty", "twin"), PENALTIES)
def test_penalties_add_value_and_gradient(level, dtype, penalty, twin):
    for shape in [(7, 40), (40, 7), (1, 1), (300, 301)]:
        w = sample(dtype, shape) if min(shape) > 1 else np.array([[-0.7]], dtype)
        ours, theirs = np.full(shape, 0.5, dtype), np.full(shape, 0.5, dtype)
        assert penalty.add([(w, ours)]) == pytest.approx(twin(w, theirs), rel=1e-5)
        orthogonal = isinstance(penalty, fd.norms.Orthogonal) and dtype is np.float32
        assert_close(ours, theirs, dtype, 200 if orthogonal else 50)  # sums of 300 products of either order


def test_the_orthogonal_penalty_is_near_the_truth_in_float32(level):
    w = sample(np.float32, (300, 301))
    ours, truth = np.zeros(w.shape, np.float32), np.zeros(w.shape)
    fd.norms.Orthogonal(0.4).add([(w, ours)])
    reference.add_orthogonal_(w.astype(np.float64), truth, 0.4)
    assert np.abs(ours - truth).max() <= 3e-6 * np.abs(truth).max()


@pytest.mark.parametrize(("penalty", "twin"), PENALTIES)
def test_penalty_gradients_by_finite_differences(penalty, twin):
    w = np.random.default_rng(7).standard_normal((4, 3)) + 0.05
    grad, scratch = np.zeros((4, 3)), np.zeros((4, 3))
    penalty.add([(w, grad)])
    for i in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        slope = (penalty.add([(up, scratch)]) - penalty.add([(down, scratch)])) / 2e-6
        assert grad[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_penalties_refuse_before_writing():
    w, grad = np.ones((2, 3)), np.full((2, 3), 7.0)
    for call in (
        lambda: fd.add_elastic_net_(w, grad, l1=-1),
        lambda: fd.add_group_lasso_(w, grad, math.nan),
        lambda: fd.add_group_lasso_(w, grad, 1.0, axis=2),
        lambda: fd.add_orthogonal_(w, grad, -1),
        lambda: fd.add_orthogonal_(np.ones((1, 2, 3)), np.ones((1, 2, 3)), 1.0),
        lambda: fd.add_elastic_net_(w, grad[0], 1.0),
        lambda: fd.add_elastic_net_(grad, grad, 1.0),
    ):
        with pytest.raises(ValueError):
            call()
    assert (grad == 7).all()


def test_sparsity_report():
    report = fd.norms.sparsity_report([("a", np.array([0.0, 1, 0, 0])), ("b", np.ones((2, 3), np.float32))])
    assert [(line.name, line.size, line.nonzero, line.sparsity) for line in report] == [
        ("a", 4, 1, 0.75),
        ("b", 6, 6, 0),
    ]
    assert report.total == ("total", 10, 7)
    assert "75.00% zeros" in str(report)
