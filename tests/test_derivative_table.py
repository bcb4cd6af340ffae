"""Every row of the table of derivatives: <dy, df(x; v)> = <rule(dy), v> in float64, df by differences."""

import derivative_cases as cases
import numpy as np
import pytest

import fastdl as fd
from fastdl.nn._traced import TABLE


def check(function, arrays, rtol=1e-6):
    """The gradient with respect to all arrays at once against differences along a direction, in two steps."""
    rng = np.random.default_rng(0)
    out = np.asarray(function(*arrays))
    dy = rng.normal(size=out.shape)
    direction = [rng.normal(size=np.shape(one)) for one in arrays]

    def weighted(parts):
        return np.sum(function(*parts) * dy)

    value, gradient = fd.nn.value_and_grad(weighted)([np.asarray(one, np.float64) for one in arrays])
    assert value == pytest.approx(np.sum(out * dy), rel=1e-14)

    def moved(h):
        return np.sum(np.asarray(function(*[a + h * v for a, v in zip(arrays, direction, strict=True)])) * dy)

    h = 1e-4
    first, second = (moved(h) - moved(-h)) / (2 * h), (moved(h / 2) - moved(-h / 2)) / h
    expected = (4 * second - first) / 3
    given = sum(float((g * v).sum()) for g, v in zip(gradient, direction, strict=True))
    assert given == pytest.approx(expected, rel=rtol, abs=1e-8 * (1 + np.abs(dy).sum()))
    for one, g in zip(arrays, gradient, strict=True):
        assert g.shape == np.shape(one)
        assert g.dtype == np.float64


@pytest.mark.parametrize("function", cases.UFUNCS, ids=lambda one: one.__name__)
def test_ufuncs(function):
    for arguments in cases.UFUNCS[function]:
        for place, one in enumerate(arguments):  # each argument alone, with the others as constants, then all
            if isinstance(one, np.ndarray) and not (function is np.power and np.min(arguments[0]) <= 0 and place):
                check(lambda x, a=arguments, k=place: function(*a[:k], x, *a[k + 1 :]), [one])
        if all(isinstance(one, np.ndarray) for one in arguments) and function is not np.power:
            check(function, list(arguments))


@pytest.mark.parametrize("function", cases.CALLS, ids=lambda one: one.__name__)
def test_functions_of_arrays(function):
    for call in cases.CALLS[function]:
        check(call, [cases.T])


@pytest.mark.parametrize("function", cases.MATRICES, ids=lambda one: one.__name__)
def test_functions_of_matrices(function):
    for call in cases.MATRICES[function]:
        check(call, [cases.SPD])


@pytest.mark.parametrize("method", cases.METHODS, ids=lambda one: f"{one[0].__name__}.{one[1]}")
def test_methods_of_ufuncs(method):
    for call in cases.METHODS[method]:
        check(call, [cases.T])


@pytest.mark.parametrize("function", cases.FUNCTIONS, ids=lambda one: one.__name__)
def test_functions_of_this_library(function):
    for arrays, call in cases.FUNCTIONS[function]:
        for place in range(len(arrays)):
            check(lambda x, a=arrays, k=place, f=call: f(*a[:k], x, *a[k + 1 :]), [arrays[place]])
        check(call, arrays)


def test_every_row_has_a_case():
    constants = {key for key, row in TABLE.items() if getattr(row, "func", None).__class__.__name__ == "function"}
    tried = {*cases.UFUNCS, *cases.CALLS, *cases.MATRICES, *cases.METHODS, *cases.FUNCTIONS}
    own = {key for key in TABLE if key not in constants and not str(getattr(key, "__module__", "")).startswith("test")}
    assert {str(one) for one in own - tried} == set()


def test_every_function_with_a_backward_has_a_row():
    topics = (fd.dense, fd.dropout, fd.recurrent, fd.sequence)
    public = {name: getattr(topic, name) for topic in topics for name in topic.__all__}
    differentiable = [name.removesuffix("_backward") for name in public if name.endswith("_backward")]
    missing = [name for name in differentiable if public.get(f"{name}_forward", public.get(name)) not in TABLE]
    losses = [name for name in public if "loss" in name.lower() and callable(public[name]) and name != "LossValue"]
    missing += [name for name in [*losses, "softmax_cross_entropy"] if public[name] not in TABLE]
    assert missing == []


@pytest.mark.parametrize("function", [np.max, np.min, np.maximum, np.abs, np.clip])
def test_ties_share_the_gradient(function):
    x = cases.TIES
    if function in (np.max, np.min):
        gradient = fd.nn.value_and_grad(lambda x: function(x, axis=1).sum())(x)[1]
        at = x == function(x, axis=1, keepdims=True)
        assert (gradient == at / at.sum(1, keepdims=True)).all()
    elif function is np.maximum:
        assert (fd.nn.value_and_grad(lambda x: np.maximum(x, 3.0).sum())(x)[1] == (x > 3) + 0.5 * (x == 3)).all()
    elif function is np.abs:
        assert (fd.nn.value_and_grad(lambda x: np.abs(x - 3).sum())(x)[1] == np.sign(x - 3)).all()
    else:
        assert (fd.nn.value_and_grad(lambda x: np.clip(x, 1, 3).sum())(x)[1] == ((x >= 1) & (x <= 3))).all()


def test_at_the_edges_of_a_domain():
    def gradient(f, x):
        return fd.nn.value_and_grad(lambda x: f(x).sum())(np.array(x))[1]

    with np.errstate(all="ignore"):
        assert (gradient(lambda x: x**2, [0.0, -1.0]) == [0, -2]).all()
        assert (gradient(lambda x: x**0, [0.0, 2.0]) == 0).all()
        assert (gradient(lambda x: np.power(0.0, x), [2.0]) == 0).all()
        assert (gradient(lambda x: np.linalg.norm(x), [0.0, 0.0]) == 0).all()
        assert (gradient(lambda x: np.prod(x), [0.0, 2.0, 3.0]) == [6, 0, 0]).all()
        assert (gradient(lambda x: np.prod(x), [0.0, 0.0, 3.0]) == 0).all()
        assert (gradient(lambda x: np.sinc(x), [0.0]) == 0).all()
        assert np.isinf(gradient(np.sqrt, [0.0])).all()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,), (1, 1)])
def test_empty_and_single(shape):
    x = np.zeros(shape)
    for f in (
        lambda x: x.sum(),
        lambda x: (x * x).sum(),
        lambda x: np.concatenate([x, x]).sum(),
        lambda x: x[:0].sum(),
    ):
        assert fd.nn.value_and_grad(f)(x)[1].shape == shape


def test_a_row_of_ones_own():
    def softsign(x):
        return np.asarray(x) / (1 + np.abs(np.asarray(x)))

    own = fd.nn.derivative(softsign, lambda dy, y, x: dy * (1 - np.abs(y)) ** 2)
    check(lambda x: own(2 * x), [cases.X])
    assert (own(cases.X) == softsign(cases.X)).all()
    with pytest.raises(TypeError, match="function: got int"):
        fd.nn.derivative(3, abs)
    with pytest.raises(ValueError, match="rules: got none"):
        fd.nn.derivative(np.i0)
    with pytest.raises(TypeError, match=r"rules\[0\]: got str"):
        fd.nn.derivative(np.i0, "x")
    with pytest.raises(TypeError, match="i0: not in the table of derivatives.*fd.nn.derivative"):
        fd.nn.value_and_grad(lambda x: np.i0(x).sum())(cases.X)
