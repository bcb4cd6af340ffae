"""What leaves the range of the type: squares of gradients, settings that become 0 or infinite, long lengths."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

import fastdl.optim as O
from fastdl.optim.nadam import _mu, _mu_product
from fastdl.optim.radam import _length

MEANS = [O.Adam, O.AdamW, O.AMSGrad, O.NAdam, O.RAdam, O.RMSProp, O.AdaDelta]
SQUARES = [*MEANS, O.AdaGrad]
WITH_EPS = [*SQUARES, O.Adamax]


def pair(values, dtype=np.float32):
    grad = np.array(values, dtype)
    return np.zeros_like(grad), grad


@pytest.mark.parametrize("rule", MEANS)
def test_a_gradient_whose_square_overflows_but_not_its_part(rule, level):
    param, grad = pair([3e19, 1.0])
    optimizer = rule([(param, grad)])
    optimizer.step()
    grad[:] = 1
    for _ in range(3):
        before = param.copy()
        optimizer.step()
    assert all(np.isfinite(state).all() for state in optimizer.groups[0].runs[0].states.values())
    assert np.isfinite(param).all()
    assert (param != before).any() or rule in (O.AdaDelta, O.RMSProp)  # which have no momentum left


@pytest.mark.parametrize("rule", SQUARES)
def test_a_norm_whose_square_overflows_is_seen(rule):
    param, grad = pair([1e21, 1.0])
    raising = rule([(param, grad)], nonfinite="raise")
    with pytest.raises(FloatingPointError, match="squares within float32"):
        raising.step()
    skipping = rule([(param, grad)], nonfinite="skip")
    skipping.step()
    assert (raising.steps, skipping.steps, skipping.skipped) == (0, 0, 1)
    assert not param.any()
    clipping = rule([(param, grad)], nonfinite="raise", clip_norm=1.0)
    clipping.step()
    assert np.isfinite(param).all()


@pytest.mark.parametrize("rule", [O.SGD, O.Lion, O.Adamax])
def test_rules_without_squares_take_any_finite_gradient(rule):
    param, grad = pair([1e30, 1.0])
    rule([(param, grad)], nonfinite="raise").step()
    assert np.isfinite(param).all()


@pytest.mark.parametrize("rule", WITH_EPS)
def test_an_eps_that_becomes_0_is_refused(rule):
    with pytest.raises(ValueError, match="eps: got 1e-50"):
        rule([pair([0.0])], eps=1e-50)
    optimizer = rule([pair([0.0])])
    with pytest.raises(ValueError, match="eps: got 1e-50"):
        optimizer.groups[0].settings["eps"] = 1e-50
    state = optimizer.state_dict()
    state["groups"][0]["settings"]["eps"] = 1e-50
    with pytest.raises(ValueError, match=r"eps'\]: got 1e-50"):
        optimizer.load_state_dict(state)
    param, grad = pair([0.0])
    rule([(param, grad)], eps=2e-45).step()
    assert param[0] == 0
    rule([pair([0.0], np.float64)], eps=1e-50).step()
    states = {name: np.zeros(1, np.float32) for name in optimizer.groups[0].runs[0].states}
    with pytest.raises(ValueError, match="eps"):
        rule.update(param, grad, **states, step=1, eps=1e-50)


@pytest.mark.parametrize("name", ["lr", "weight_decay", "l1"])
@pytest.mark.parametrize("value", [math.inf, math.nan, 1e39, -1.0])
def test_settings_beyond_the_type_are_refused(name, value):
    for rule in (O.SGD, O.Adam, O.Lion):
        with pytest.raises(ValueError, match=name):
            rule([pair([1.0])], **{name: value})
    param, grad = pair([1.0])
    with pytest.raises(ValueError, match=name):
        O.sgd_update(param, grad, **{name: value})
    assert param[0] == 0


def test_products_of_settings_beyond_the_type_are_refused():
    for settings in ({"lr": 3e38}, {"lr": 1e30, "l1": 1e30}):
        with pytest.raises(ValueError, match="lr"):
            O.Adam([pair([1.0])], **settings)
        optimizer = O.Adam([pair([1.0])], l1=settings.get("l1", 0.0))
        with pytest.raises(ValueError, match="lr"):
            optimizer.lr = settings["lr"]
        assert optimizer.lr == 0.001


def test_radams_length_does_not_cancel():
    getcontext().prec = 60
    for beta2 in (0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-8, 1 - 1e-12, 1 - 2**-53):
        for step in (1, 2, 5, 6, 100, 10**6):
            power = Decimal(beta2) ** step
            exact = 2 / (1 - Decimal(beta2)) - 1 - 2 * step * power / (1 - power)
            assert _length(beta2, step) == pytest.approx(float(exact), rel=2e-15)
    assert _length(0.0, 3) == 1


def test_nadams_product_ends_for_any_step():
    for beta1, decay in ((0.9, 0.004), (0.9, 0.0), (1 - 2**-53, 1.0), (0.0, 0.004), (1 - 1e-9, 1e300)):
        assert 0 <= _mu_product(2**63 - 1, beta1, decay) <= 1
        expected = math.prod(_mu(t, beta1, decay) for t in range(1, 1501))
        assert _mu_product(1500, beta1, decay) == pytest.approx(expected, rel=1e-12)
