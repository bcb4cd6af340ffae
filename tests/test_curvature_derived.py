"""Curvature of modules whose backward is derived: as of the same model from ready layers, or refused by name."""

import numpy as np
import pytest
from derived_cases import Derived, linear

import fastdl as fd

RNG = np.random.default_rng(3)


def pair(dtype):
    first, second = fd.nn.Linear(4, 5, rng=0, dtype=dtype), fd.nn.Linear(5, 3, rng=1, dtype=dtype)
    derived = Derived(lambda m, x: m.b(np.tanh(m.a(x))), a=first, b=second)
    del derived.w
    chain = fd.nn.Sequential(*[fd.nn.Linear(4, 5, dtype=dtype), fd.nn.Tanh(), fd.nn.Linear(5, 3, dtype=dtype)])
    chain.parameters().data = derived.parameters().data
    return derived, chain


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("within", [False, True])
def test_products_are_those_of_the_same_model_of_ready_layers(dtype, within):
    derived, chain = pair(dtype)
    if within:  # a derived module as one layer of several
        last = [fd.nn.Linear(3, 3, rng=5, dtype=dtype) for _ in range(2)]
        derived, chain = fd.nn.Sequential(derived, last[0]), fd.nn.Sequential(*chain, last[1])
    x, targets = RNG.normal(size=(6, 4)).astype(dtype), RNG.integers(0, 3, 6)
    tolerance = {"rtol": 2e-3, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-6, "atol": 1e-8}
    own, other = (fd.curvature.LossPoint(one, fd.softmax_cross_entropy, (x, targets)) for one in (derived, chain))
    v, u = RNG.normal(size=own.size).astype(dtype), RNG.normal(size=own.output.shape).astype(dtype)
    along = RNG.normal(size=x.shape).astype(dtype)
    assert own.value == pytest.approx(other.value, rel=1e-6)
    for product in (
        lambda point: point.gradient,
        lambda point: point.hvp(v),
        lambda point: point.gauss_newton_product(v),
        lambda point: point.jvp(v),
        lambda point: point.jvp(along, "input"),
        lambda point: point.vjp(u),
        lambda point: point.vjp(u, "input"),
        lambda point: fd.curvature.eigenpairs(point, 1).values,
    ):
        found = product(own)
        assert found.dtype == product(other).dtype
        np.testing.assert_allclose(found, product(other), **tolerance)
    assert all(not one._tape for one in derived.modules())


def test_what_has_no_products_is_refused_by_name():
    x = RNG.normal(size=(6, 4))
    model = Derived(lambda m, x: m.drop(m.a(x)), a=linear(), drop=fd.nn.Dropout(0.5, rng=0))
    with pytest.raises(TypeError, match="model: Derived has no jvp: its backward is derived, and Dropout in it"):
        fd.curvature.ModelPoint(model, x)
    model = Derived(lambda m, x: {"y": m.a(x)}, a=linear())
    with pytest.raises(TypeError, match="model: Derived returns dict, expected one array"):
        fd.curvature.ModelPoint(model, x)
    point = fd.curvature.LossPoint(pair(np.float64)[0], fd.softmax_cross_entropy, (x, np.zeros(6, int)))
    with pytest.raises(TypeError, match="model: Derived has no gradients by sample"):
        point.sample_gradients(0)
