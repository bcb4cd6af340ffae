"""Optimizers as objects: groups, state, clipping, accumulation, non-finite steps, averages, and refusals."""

import copy
import itertools
import math

import numpy as np
import pytest
from optim_cases import CASES, identify

import fastdl as fd
from fastdl.nn import Arena, Parameter
from fastdl.optim import AdaGrad, Adam, AdamW, RMSProp


def arena_of(*shapes, dtype=np.float32):
    return Arena([(f"p{i}", Parameter("p", np.zeros(shape, dtype))) for i, shape in enumerate(shapes)])


def write(arena, rng):
    for one in arena:
        one.grad = rng.standard_normal(one.shape)


def claimed(one):
    """Whether the next write to the gradient would add to it."""
    accumulate = one.claim_grad()[1]
    one.written = accumulate
    return accumulate


def pair(n=8, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_arena_is_its_arrays(case):
    arena = arena_of((3, 5), (), (7,), (0,))
    write(arena, np.random.default_rng(1))
    pairs = [(np.zeros_like(one.data), np.empty_like(one.data)) for one in arena]
    optimizer = case.optimizer(arena, case.lr, **case.settings)
    other = case.optimizer(pairs, case.lr, **case.settings)
    assert len(optimizer.groups[0].runs) == 1
    rng = np.random.default_rng(2)
    for _ in range(5):
        write(arena, rng)
        for one, (_, grad) in zip(arena, pairs, strict=True):
            grad[...] = one.grad
        optimizer.step()
        other.step()
        assert not any(claimed(one) for one in arena)
    for one, (param, _) in zip(arena, pairs, strict=True):
        assert np.array_equal(one.data, param)
    inside = np.zeros(arena.data.size, bool)
    for start, one in zip(arena.starts, arena, strict=True):
        inside[start : start + one.size] = True
    assert not arena.data[~inside].any()  # the padding


def test_a_copied_optimizer_leaves_the_first_ones_arrays_alone():
    pairs = [(np.zeros(3, np.float32), np.ones(3, np.float32)) for _ in range(3)]
    copy.deepcopy(Adam(pairs, 0.1)).step()
    assert not any(param.any() for param, _ in pairs)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_every_rule_trains_a_model(case):
    """A recurrent net that learns to name the second of four symbols, from a loss of log 4."""
    model = fd.nn.Sequential(fd.nn.Embedding(4, 8, rng=0), fd.nn.LSTM(8, 16, rng=1), fd.nn.Linear(16, 4, rng=2))
    x = np.array(list(itertools.product(range(4), repeat=3))).T
    y = np.broadcast_to(x[1], x.shape).copy()
    rate = {"SGD": 2.0, "ASGD": 2.0, "AdaDelta": 10.0, "AdaGrad": 0.1, "RMSProp": 0.01, "Lion": 0.005}
    optimizer = case.optimizer(model.parameters(), rate.get(case.optimizer.__name__, 0.02), **case.settings)
    for _ in range(150):
        _, slope = fd.softmax_cross_entropy(model.forward(x)[1:], y[1:])
        model.backward(np.concatenate([np.zeros_like(slope[:1]), slope]))
        optimizer.step()
    assert fd.softmax_cross_entropy(model.forward(x)[1:], y[1:])[0] < 0.1


def test_gradients_nobody_wrote_count_as_zero():
    arena = arena_of((4,), (4,))
    arena[1]._grad[...] = np.nan
    arena[0].grad = np.ones(4)
    fd.optim.SGD(arena, 0.5).step()
    assert np.array_equal(arena[0].data, np.full(4, -0.5, np.float32))
    assert not arena[1].data.any()


def test_parameters_that_moved_are_refused():
    arena = arena_of((4,), (4,))
    optimizer = fd.optim.SGD(arena, 0.5)
    arena_of((1,))  # another model is nothing to this one
    optimizer.step()
    Arena([("inner", arena[0]), ("inner", arena[1])])
    with pytest.raises(ValueError, match="larger model"):
        optimizer.step()
    with pytest.raises(ValueError, match="larger model"):
        fd.optim.SGD(arena, 0.5)
    assert optimizer.steps == 1


@pytest.mark.parametrize("choice", [lambda name, one: name in ("p1", "p3"), ["p1", "p3"], [1, 3], {"p1", 3}])
def test_groups_join_neighbours(choice):
    arena = arena_of((5,), (2,), (4,), (3,), (2, 2))
    arena.data[...] = 1
    optimizer = fd.optim.SGD(arena, 0.5, weight_decay=1.0, groups=[{"params": choice, "weight_decay": 0.0}])
    assert [len(group.runs) for group in optimizer.groups] == [3, 2]
    optimizer.step()
    for i, one in enumerate(arena):
        assert (one.data == (1.0 if i in (1, 3) else 0.5)).all()
    neighbours = fd.optim.SGD(arena, 0.5, groups=[{"params": [1, 2, 3], "lr": 0.1}])
    assert [len(group.runs) for group in neighbours.groups] == [2, 1]
    assert [group.lr for group in neighbours.groups] == [0.5, 0.1]
    neighbours.lr = 0.3
    assert [group.lr for group in neighbours.groups] == [0.3, 0.3]


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_exact_resume(case):
    def go(optimizer, pairs, start, stop):
        for t in range(start, stop):
            rng = np.random.default_rng(t)
            for _, grad in pairs:
                grad[...] = rng.standard_normal(grad.shape)
            optimizer.lr = case.lr / (t + 1)
            optimizer.step()

    straight, broken = ([pair(5), pair((2, 3), np.float32, 1)] for _ in range(2))
    one = case.optimizer(straight, case.lr, **case.settings)
    go(one, straight, 0, 9)
    two = case.optimizer(broken, case.lr, **case.settings)
    go(two, broken, 0, 4)
    saved = two.state_dict()
    go(two, broken, 4, 6)  # what was saved are copies
    resumed = [pair(5), pair((2, 3), np.float32, 1)]
    fresh = case.optimizer(resumed, case.lr, **case.settings)
    go(fresh, resumed, 0, 4)
    three = case.optimizer(resumed, 1.0, **case.settings)
    three.load_state_dict(saved)
    assert three.lr == case.lr / 4
    go(three, resumed, 4, 9)
    for (param, _), (other, _) in zip(straight, resumed, strict=True):
        assert np.array_equal(param, other)


def test_new_values_keep_the_state():
    param, grad = pair()
    optimizer = Adam([(param, grad)])
    optimizer.step()
    m = optimizer.groups[0].runs[0].states["m"].copy()
    param[...] = 5.0
    optimizer.step()
    assert np.array_equal(optimizer.groups[0].runs[0].states["m"], 0.9 * m + (1 - 0.9) * grad)
    assert np.abs(param - 5).max() < 0.01


# ---- Clipping and non-finite gradients ------------------------------------------------------------------
@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_fused_clipping_is_clip_then_step(order):
    for limit in (0.5, 100.0):
        fused, apart = [pair(5), pair(7, seed=1)], [pair(5), pair(7, seed=1)]
        one, two = Adam(fused, clip_norm=limit, clip_order=order), Adam(apart)
        one.step()
        norm = fd.optim.clip_grad_norm_(apart, limit, order)
        two.step()
        assert one.norm == norm == fd.global_norm([grad for _, grad in fused], order)
        for (param, grad), (other, clipped) in zip(fused, apart, strict=True):
            assert np.allclose(param, other, rtol=1e-14)
            assert np.array_equal(grad, clipped) == (limit == 100.0)


def test_clip_grad_norm_of_an_arena():
    arena = arena_of((3, 5), (7,))
    write(arena, np.random.default_rng(0))
    arena.renew_gradients()
    arena[0].grad = np.ones((3, 5))
    assert fd.optim.clip_grad_norm_(arena, 0.25) == pytest.approx(math.sqrt(15), rel=1e-12)
    assert not arena[1].grad.any()
    assert np.linalg.norm(arena.grad) == pytest.approx(0.25, rel=1e-5)


def test_clip_each_and_value():
    pairs = [(np.zeros(2), np.array([3.0, 4.0])), (np.zeros(2), np.array([0.3, np.nan]))]
    assert fd.optim.clip_each_grad_norm_(pairs[:1], 1.0) == [5.0]
    assert np.linalg.norm(pairs[0][1]) == pytest.approx(1.0, rel=1e-5)
    fd.optim.clip_grad_value_(pairs, 0.2)
    assert np.array_equal(pairs[0][1], [0.2, 0.2])
    assert np.array_equal(pairs[1][1], [0.2, np.nan], equal_nan=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_steps_that_are_not_finite(bad):
    param, grad = pair()
    before = param.copy()
    grad[3] = bad
    raising = Adam([(param, grad)], nonfinite="raise")
    with pytest.raises(FloatingPointError, match="finite gradients"):
        raising.step()
    skipping = Adam([(param, grad)], nonfinite="skip", clip_norm=1.0)
    skipping.step()
    skipping.step()
    assert (raising.steps, skipping.steps, skipping.skipped) == (0, 0, 2)
    assert not math.isfinite(skipping.norm)
    assert np.array_equal(param, before)
    assert not skipping.groups[0].runs[0].states["m"].any()
    grad[3] = 1.0
    skipping.step()
    assert (skipping.steps, skipping.skipped) == (1, 2)
    grad[3] = bad
    Adam([(param, grad)]).step()  # "allow": only where the gradient was bad
    assert np.isnan(param[3])
    assert np.isfinite(np.delete(param, 3)).all()


def test_accumulation_is_the_mean():
    arena, whole = arena_of((6,)), arena_of((6,))
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(6).astype(np.float32) for _ in range(4)]
    slow, fast = fd.optim.SGD(arena, 0.5, accumulate=4), fd.optim.SGD(whole, 0.5)
    for part in parts:
        grad, accumulate = arena[0].claim_grad()
        grad[...] = grad + part if accumulate else part
        assert slow.steps == 0
        assert not arena.data.any()
        slow.step()
    whole[0].grad = (parts[0] + parts[1] + parts[2] + parts[3]) / 4
    fast.step()
    assert slow.steps == 1
    assert np.array_equal(arena.data, whole.data)
    assert not claimed(arena[0])


def test_zero_grad():
    arena, pairs = arena_of((3,)), [pair()]
    write(arena, np.random.default_rng(0))
    fd.optim.SGD(arena).zero_grad()
    assert not claimed(arena[0])
    fd.optim.SGD(pairs).zero_grad()
    assert not pairs[0][1].any()


# ---- Averages ------------------------------------------------------------------------------------------
def test_averages(level):
    param, grad = pair(33, np.float32)
    exponential = fd.optim.ExponentialAverage([(param, grad)], 0.9)
    warm = fd.optim.ExponentialAverage([(param, grad)], 0.9, warm_up=True)
    uniform = fd.optim.StochasticAverage([(param, grad)])
    expected, quick, seen = param.astype(float), param.astype(float), []
    rng = np.random.default_rng(0)
    for t in range(6):
        param += rng.standard_normal(33).astype(np.float32)
        seen.append(param.copy())
        for one in (exponential, warm, uniform):
            one.update()
        expected = 0.9 * expected + (1 - 0.9) * param
        decay = min(0.9, (1 + t) / (10 + t))
        quick = decay * quick + (1 - decay) * param
    assert np.allclose(exponential.arrays[0], expected, atol=1e-6)
    assert np.allclose(warm.arrays[0], quick, atol=1e-6)
    assert np.allclose(uniform.arrays[0], np.mean(seen, 0), atol=1e-6)

    kept = param.copy()
    with uniform.applied():
        assert np.array_equal(param, uniform.arrays[0])
    assert np.array_equal(param, kept)
    other = fd.optim.StochasticAverage([(param, grad)])
    other.load_state_dict(uniform.state_dict())
    other.update()
    uniform.update()
    assert other.updates == uniform.updates == 7
    assert np.array_equal(other.arrays[0], uniform.arrays[0])
    uniform.apply()
    assert np.array_equal(param, uniform.arrays[0])
    with pytest.raises(ValueError, match="state"):
        fd.optim.StochasticAverage([pair(3)]).load_state_dict(uniform.state_dict())


def test_average_update_has_the_reference_bits(level):
    for dtype in (np.float32, np.float64):
        average, param = pair(1000, dtype)
        twin = average.copy()
        fd.optim.average_update(average, param, 0.3)
        with fd.backend("reference"):
            fd.optim.average_update(twin, param, 0.3)
        assert np.array_equal(average, twin)


# ---- What is refused, before anything is written -------------------------------------------------------
BAD_SETTINGS = [
    (Adam, {"lr": -1}, ValueError, "lr"),
    (Adam, {"lr": float("nan")}, ValueError, "lr"),
    (Adam, {"lr": "fast"}, TypeError, "lr"),
    (Adam, {"betas": (1.0, 0.9)}, ValueError, r"betas\[0\]"),
    (Adam, {"betas": (0.9, -0.1)}, ValueError, r"betas\[1\]"),
    (Adam, {"betas": 0.9}, TypeError, "betas"),
    (Adam, {"eps": 0.0}, ValueError, "eps"),
    (Adam, {"weight_decay": -0.1}, ValueError, "weight_decay"),
    (Adam, {"l1": -0.1}, ValueError, "l1"),
    (Adam, {"variant": "jax"}, ValueError, "variant"),
    (Adam, {"maximize": 2}, ValueError, "maximize"),
    (Adam, {"momentum": 0.9}, TypeError, "momentum"),
    (Adam, {"clip_norm": -1.0}, ValueError, "clip_norm"),
    (Adam, {"clip_order": 0.0}, ValueError, "clip_order"),
    (Adam, {"nonfinite": "fix"}, ValueError, "nonfinite"),
    (Adam, {"accumulate": 0}, ValueError, "accumulate"),
    (AdamW, {"groups": [{"params": [0], "beta": 1}]}, TypeError, "beta"),
    (AdamW, {"groups": [{"params": [7]}]}, ValueError, "params"),
    (AdamW, {"groups": [{"params": "weight"}]}, ValueError, "params.*begins no name"),
    (fd.optim.SGD, {"momentum": -0.5}, ValueError, "momentum"),
    (fd.optim.SGD, {"nesterov": True}, ValueError, "nesterov"),
    (fd.optim.SGD, {"momentum": 0.9, "dampening": 0.5, "variant": "keras"}, ValueError, "dampening"),
    (fd.optim.SGD, {"momentum": 0.9, "dampening": 0.5, "nesterov": True}, ValueError, "nesterov"),
    (AdaGrad, {"lr_decay": -1.0}, ValueError, "lr_decay"),
    (AdaGrad, {"initial_accumulator": -1.0}, ValueError, "initial_accumulator"),
    (RMSProp, {"rho": 1.0}, ValueError, "rho"),
    (fd.optim.RAdam, {"variant": "keras"}, ValueError, "variant"),
    (fd.optim.NAdam, {"variant": "optax", "momentum_decay": 0.1}, ValueError, "momentum_decay"),
]


@pytest.mark.parametrize(("optimizer", "settings", "error", "match"), BAD_SETTINGS)
def test_bad_settings(optimizer, settings, error, match):
    with pytest.raises(error, match=match):
        optimizer([pair()], **settings)


def read_only(array):
    array.flags.writeable = False
    return array


SHARED = np.zeros(16)
BAD_ARRAYS = [
    ([np.zeros(3)], TypeError, "pair|parameter"),
    ([(np.zeros(3), np.zeros(4))], ValueError, "shape"),
    ([(np.zeros(3), np.zeros(3, np.float32))], TypeError, "dtype"),
    ([(np.zeros(3, int), np.zeros(3, int))], TypeError, "dtype"),
    ([([0.0], [0.0])], TypeError, "numpy array"),
    ([(np.zeros(6)[::2], np.zeros(3))], ValueError, "contiguous"),
    ([(np.zeros(3), np.zeros(6)[::2])], ValueError, "contiguous"),
    ([(read_only(np.zeros(3)), np.zeros(3))], ValueError, "read-only"),
    ([(np.zeros(3, ">f8"), np.zeros(3, ">f8"))], TypeError, "native"),
    ([(SHARED[:8], SHARED[4:12])], ValueError, "overlaps"),
    ([(SHARED[:4], SHARED[4:8]), (SHARED[3:7], SHARED[8:12])], ValueError, "overlaps"),
]


@pytest.mark.parametrize(("parameters", "error", "match"), BAD_ARRAYS)
def test_bad_arrays(parameters, error, match):
    for make in (fd.optim.SGD, lambda parameters: fd.optim.clip_grad_norm_(parameters, 1.0)):
        with pytest.raises(error, match=match):
            make(parameters)


def test_refused_calls_write_nothing():
    param, grad = pair()
    m, v = np.zeros((2, 8))
    kept = param.copy()
    calls = [
        {"step": 0},
        {"step": 1, "lr": -1.0},
        {"step": 1, "betas": (0.9, 1.0)},
        {"step": 1, "grad_scale": float("nan")},
        {"step": 1.5},
    ]
    for wrong in calls:
        with pytest.raises((TypeError, ValueError)):
            fd.optim.adam_update(param, grad, m, v, **wrong)
    for arrays in (
        (grad, m, v[:7]),
        (grad, m, m),
        (param, m, v),
        (grad.astype(np.float32), m, v),
        (grad, m, None),
    ):
        with pytest.raises((TypeError, ValueError)):
            fd.optim.adam_update(param, *arrays, step=1)
    with pytest.raises(ValueError, match="velocity"):
        fd.optim.sgd_update(param, grad, v)
    with pytest.raises(TypeError, match="velocity"):
        fd.optim.sgd_update(param, grad, momentum=0.9)
    assert np.array_equal(param, kept)
    assert not m.any()
    assert not v.any()


def test_gradients_of_any_layout_are_read_right():
    param, twin = np.zeros((2, 3, 4))
    grad = np.arange(24.0).reshape(4, 6)[:, ::2].T
    fd.optim.sgd_update(param, grad, lr=1.0)
    fd.optim.sgd_update(twin, grad.astype(">f8"), lr=1.0)
    assert np.array_equal(param, -grad)
    assert np.array_equal(twin, -grad)


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = Adam([pair()])
    optimizer.step()
    good = optimizer.state_dict()
    for spoil in (
        lambda state: state["groups"].clear(),
        lambda state: state.pop("groups"),
        lambda state: state["groups"][0].pop("runs"),
        lambda state: state["groups"][0]["runs"].clear(),
        lambda state: state["groups"][0]["runs"][0].pop("m"),
        lambda state: state["groups"][0]["runs"][0].update(m=np.zeros(3)),
        lambda state: state["groups"][0]["settings"].update(lr=-1.0),
        lambda state: state.update(steps=-1),
    ):
        bad = optimizer.state_dict()
        spoil(bad)
        bad["skipped"] = 17
        with pytest.raises(ValueError):
            optimizer.load_state_dict(bad)
        assert optimizer.skipped == 0
        now = optimizer.state_dict()["groups"][0]["runs"][0]
        assert all(np.array_equal(now[name], good["groups"][0]["runs"][0][name]) for name in now)
