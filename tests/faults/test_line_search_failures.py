"""A step that fails half-way leaves the optimizer and the parameters at the start; so does a refused state."""

import copy

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature import LBFGS, AdaHessian, FunctionPoint, LevenbergMarquardt, LossPoint, Newton, NewtonCG

KINDS = [LBFGS, LevenbergMarquardt, Newton, NewtonCG, AdaHessian]


class Stop(Exception):
    pass


def made(kind):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 6, 2)), rng.standard_normal((3, 6, 1))
    model = fd.nn.Sequential(
        fd.nn.LSTM(2, 2, bias="single", rng=0, dtype=np.float64), fd.nn.Linear(2, 1, rng=1, dtype=np.float64)
    )
    optimizer = kind(model.parameters(), **({"rng": 0} if kind is AdaHessian else {}))

    def closure():
        if kind is LBFGS:
            loss, dz = fd.mse_loss(model.forward(x), y)
            model.backward(dz)
            return loss
        point = LossPoint(model, fd.mse_loss, (x, y))
        return point.residuals() if kind is LevenbergMarquardt else point

    return model, optimizer, closure


def flat(state):
    return {name: copy.deepcopy(value) for name, value in state.items()}


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_closure_that_raises_leaves_everything_at_the_start(kind, at, error):
    if kind is AdaHessian and at == 2:
        pytest.skip("it calls its closure once")
    model, optimizer, closure = made(kind)
    optimizer.step(closure)
    optimizer.step(closure)
    before, state = model.parameters().data.copy(), flat(optimizer.state_dict())
    calls = 0

    def failing():
        nonlocal calls
        calls += 1
        if calls == at:
            raise error("in the closure")
        return closure()

    with pytest.raises(error):
        optimizer.step(failing)
    np.testing.assert_array_equal(model.parameters().data, before)
    np.testing.assert_equal(optimizer.state_dict(), state)
    other_model, other, other_closure = made(kind)
    for _ in range(2):
        other.step(other_closure)
    assert [optimizer.step(closure) for _ in range(3)] == [other.step(other_closure) for _ in range(3)]
    np.testing.assert_array_equal(model.parameters().data, other_model.parameters().data)


def test_a_product_that_raises_does_not_use_up_random_signs():
    x = np.ones(3)

    class Failing(FunctionPoint):
        def hvp(self, v):
            raise Stop

    def point(kind):
        return kind(lambda z: (z**2).sum(), x, lambda z: 2 * z, lambda z: 2 * np.eye(3))

    optimizer, other = AdaHessian([(x, np.empty(3))], rng=5), AdaHessian([(x, np.empty(3))], rng=5)
    with pytest.raises(Stop):
        optimizer.step(lambda: point(Failing))
    np.testing.assert_equal(optimizer.state_dict(), other.state_dict())


def test_parameters_of_float32_come_back_to_the_bit():
    x = np.array([0.1, 1 / 3], np.float32)
    before, calls = x.copy(), []

    def closure():
        calls.append(x.copy())
        if len(calls) == 2:
            raise Stop
        return FunctionPoint(lambda z: ((z - 1) ** 4).sum(), x.astype(np.float64))

    with pytest.raises(Stop):
        Newton([(x, np.empty(2, np.float32))]).step(closure)
    assert not np.array_equal(calls[1], before)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", KINDS)
def test_states_fit_or_are_refused_and_nothing_changes(kind):
    _, optimizer, closure = made(kind)
    for _ in range(3):
        optimizer.step(closure)
    good = optimizer.state_dict()
    bad = [
        ("steps", -1), ("steps", 1.5), ("lr", np.nan), ("lr", np.inf), ("rule", "SGD"), ("shapes", [[2]]),
        ("damping", -1.0), ("damping", np.nan), ("damping", "x"), ("_growth", 0.0), ("_scale", np.ones(2)),
        ("_scale", None), ("_scale", np.full(optimizer.size, np.nan)), ("_s", np.ones((2, 3))), ("_s", 3.0),
        ("_s", np.ones((7, optimizer.size))), ("_y", np.ones((1, optimizer.size))),
        ("_y", -np.ones((2, optimizer.size))),
        ("_m", np.ones((2, optimizer.size))), ("_v", np.full(optimizer.size, np.inf)), ("random", {}),
    ]  # fmt: skip
    for name, value in bad:
        if name in good:
            with pytest.raises((ValueError, TypeError), match="state|generator|seed"):
                optimizer.load_state_dict(good | {name: value})
            np.testing.assert_equal(optimizer.state_dict(), good)
    for state in (None, 5, [], {}, {"lr": 1.0}, {name: good[name] for name in list(good)[1:]}):
        with pytest.raises((ValueError, TypeError), match="state"):
            optimizer.load_state_dict(state)
    optimizer.load_state_dict(good)
    np.testing.assert_equal(optimizer.state_dict(), good)


def test_the_state_of_another_rule_or_of_other_shapes_is_refused():
    x, y = np.ones((2, 3)), np.ones((3, 2))
    state = Newton([(x, np.empty_like(x))]).state_dict()
    with pytest.raises(ValueError, match=r"state\['rule'\]: got 'Newton', expected 'NewtonCG'"):
        NewtonCG([(x, np.empty_like(x))]).load_state_dict(state)
    with pytest.raises(ValueError, match=r"state\['shapes'\]: got \[\[2, 3\]\], expected \[\[3, 2\]\]"):
        Newton([(y, np.empty_like(y))]).load_state_dict(state)
