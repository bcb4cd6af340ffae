"""Modules that write only forward: their gradients, what they leave behind, and what they refuse."""

import numpy as np
import pytest
from derived_cases import F64, Derived, X, linear, normal

import fastdl as fd


def attention(m, x):
    h, (last, c) = m.lstm(x, return_state=True)
    context = m.look(h, x)
    return np.concatenate([context * h, np.broadcast_to(last[0] + c[0], h.shape)], axis=-1)


def loop(m, x):
    h = np.zeros(x.shape[1:])
    states = []
    for x_t in x:
        h = np.tanh(x_t + h @ m.w.data)
        states.append(h)
    return np.stack(states)


def branch(m, x):
    return m.a(x) if x.sum() > 0 else -2 * m.a(x) + m.b(x)


def twice(m, x):
    return m.a(np.tanh(m.a(x))) * m.a.weight.data.sum()


def nested(m, x):
    return m.inner(m.inner(x) + 1) * m.w.data[0]


FORWARDS = {
    "a parameter": (lambda m, x: np.tanh(x @ m.w.data) * x, {}, (X,)),
    "a layer twice": (twice, {"a": linear()}, (X,)),
    "a loop over time": (loop, {}, (normal(6, 3, 4),)),
    "one step": (loop, {}, (normal(1, 3, 4),)),
    "branches, one way": (branch, {"a": linear(), "b": linear(rng=2)}, (np.abs(X),)),
    "branches, the other": (branch, {"a": linear(), "b": linear(rng=2)}, (-np.abs(X),)),
    "attention, states": (
        attention,
        {"lstm": fd.nn.LSTM(4, 4, rng=2, dtype=F64), "look": fd.nn.DotAttention()},
        (normal(5, 2, 4),),
    ),
    "several inputs": (
        lambda m, x, y, scale: m.a(x) * y + scale * (y @ m.w.data),
        {"a": linear()},
        (X, normal(5, 4), 2.0),
    ),
    "nested inputs and outputs": (
        lambda m, parts: {"sum": m.a(parts["x"]) + parts["y"][0], "both": (parts["y"][1] * 2, m.w.data.sum(0))},
        {"a": linear()},
        ({"x": X, "y": [normal(5, 4), normal(3)]},),
    ),
    "integers": (lambda m, x, at: m.a(x)[at] + m.w.data[at], {"a": linear()}, (X, np.array([1, 1, 3]))),
    "an embedding": (
        lambda m, at: m.e(at) * m.w.data[0],
        {"e": fd.nn.Embedding(7, 4, rng=0, dtype=F64)},
        (np.array([[1, 2], [1, 0]]),),
    ),
    "a derived layer twice": (
        nested,
        {"inner": Derived(lambda m, x: np.tanh(x @ m.w.data) + m.a(x), a=linear())},
        (X,),
    ),
    "a chain with states": (
        lambda m, x: (lambda first, second: first[0] + second[0] * second[1][0][0])(
            m.chain(x[:2], return_state=True),
            m.chain(x[2:4], [m.chain(x[:2], return_state=True)[1][0], None], return_state=True),
        ),
        {"chain": fd.nn.Sequential(fd.nn.LSTM(4, 4, rng=3, dtype=F64), linear())},
        (normal(4, 2, 4),),
    ),
    "gru, states in and out": (
        lambda m, x, h: (lambda y, last: y * last + h[0])(*m.gru(x, h * 2, return_state=True)),
        {"gru": fd.nn.GRU(4, 4, rng=3, dtype=F64)},
        (normal(3, 2, 4), normal(1, 2, 4)),
    ),
    "slstm, states in and out": (
        lambda m, x, h, c: (lambda y, s: m.cell(x * y, s) * s[0])(
            *m.cell(x, (h, c, np.ones((1, 2, 4)), np.zeros((1, 2, 4))), return_state=True)
        ),
        {"cell": fd.nn.sLSTM(4, 4, rng=3, dtype=F64)},
        (normal(3, 2, 4), normal(1, 2, 4), normal(1, 2, 4)),
    ),
    "cells of an lstm": (
        lambda m, x: (lambda y, s, c: y + c * s[0][0])(*m.lstm(x, return_state=True, return_cells=True)),
        {"lstm": fd.nn.LSTM(4, 4, num_layers=2, rng=3, dtype=F64)},
        (normal(3, 2, 4),),
    ),
    "masks": (lambda m, x: m.drop(m.a(x)) * m.drop(x), {"a": linear(), "drop": fd.nn.Dropout(0.5, rng=3)}, (X,)),
    "weights dropped": (lambda m, x: m.c(x) + x, {"c": fd.nn.DropConnect(linear(), 0.5, rng=3)}, (X,)),
    "detached": (lambda m, x: m.a(x) + 0.0 * fd.nn.detach(x * x).sum(), {"a": linear()}, (X,)),
    "functions of this library": (
        lambda m, x: fd.lstm_forward(x, *[np.zeros((2, 4))] * 2, m.u.data, m.u.data, fd.tanh(m.u.data[0]))[0],
        {"u": fd.nn.Parameter("u", normal(4, 16))},
        (normal(3, 2, 4),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDS)
def test_gradients(name):
    function, layers, inputs = FORWARDS[name]
    checks = Derived(function, **layers).check_gradients(*inputs)
    assert checks, f"\n{checks}"


@pytest.mark.parametrize("name", FORWARDS)
def test_the_same_in_evaluation_and_training(name):
    if name in ("masks", "weights dropped"):
        pytest.skip("drawn")
    function, layers, inputs = FORWARDS[name]
    model = Derived(function, **layers)
    trained = model(*inputs)
    model.eval()
    evaluated = model(*inputs)
    for one, other in zip(leaves(trained), leaves(evaluated), strict=True):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert all(not one._tape for one in model.modules())


def leaves(value):
    if isinstance(value, dict):
        value = tuple(value.values())
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, (tuple, list)) else [value]


# ---- which classes are derived ----------------------------------------------------------------------------------
class Louder(fd.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x) + x.sum(-1, keepdims=True)


class Loudest(Louder):
    def forward(self, x):
        return super().forward(np.tanh(x)) ** 2


class ByHand(Loudest):
    def forward(self, x):
        return fd.nn.Linear.forward(self, x)

    def backward(self, dy, *, input_gradient=True):
        return fd.nn.Linear.backward(self, dy, input_gradient=input_gradient)


class Mixin:
    def forward(self, x):
        return x * self.w.data


class Mixed(Mixin, fd.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = fd.nn.Parameter("w", normal(4))


class Recursive(fd.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = fd.nn.Parameter("w", normal(4))

    def forward(self, x, depth=2):
        return x * self.w.data if not depth else self.forward(np.tanh(x) * self.w.data, depth - 1)


MODELS = [Louder(4, 4, rng=0), Loudest(4, 4, rng=0), ByHand(4, 4, rng=0), Mixed(), Recursive()]


@pytest.mark.parametrize("model", MODELS, ids=lambda one: type(one).__name__)
def test_derived_where_forward_is_below_backward(model):
    checks = model.check_gradients(X)
    assert checks, f"\n{checks}"
    y = model.forward(X.astype(model.parameters().dtype))
    model.backward(np.ones_like(y))
    assert not model._tape


def test_a_subclass_that_keeps_the_backward_of_its_base():
    class Watched(fd.nn.Linear):
        backward = fd.nn.Linear.backward

        def forward(self, x):
            assert type(x) is np.ndarray
            return super().forward(x)

    layer, x = Watched(4, 4, rng=0), np.ones((2, 4), np.float32)
    layer.backward(layer(x))


# ---- what it leaves behind ----------------------------------------------------------------------------------------
def pair():
    return Derived(lambda m, x: m.a(np.tanh(m.a(x))) + m.b(x), a=linear(), b=linear(rng=2))


def test_a_call_without_a_gradient_leaves_nothing_on_any_tape():
    def forward(m, x):
        m.a(x)  # for its own sake
        kept = m.b(x)
        return kept * (m.a(x) > 0)

    model = Derived(forward, a=linear(), b=linear(rng=2))
    model.backward(np.ones_like(model(X)))
    assert [len(one._tape) for one in model.modules()] == [0, 0, 0]
    assert not model.a.weight.written
    assert model.b.weight.written


def test_forwards_before_their_backwards():
    model = pair()
    first, second = normal(5, 4), normal(5, 4)
    dy, dz = normal(5, 4), normal(5, 4)
    model(first)
    model(second)
    d_second, d_first = model.backward(dz), model.backward(dy)
    both = model.parameters().grad.copy()
    model.zero_grad()
    model(first)
    np.testing.assert_array_equal(model.backward(dy), d_first)
    model(second)
    np.testing.assert_array_equal(model.backward(dz), d_second)
    np.testing.assert_allclose(model.parameters().grad, both, rtol=1e-12)
    with pytest.raises(RuntimeError, match="no forward to undo"):
        model.backward(dy)


def test_a_failing_forward_leaves_nothing():
    layers = {"a": linear(), "b": linear(), "drop": fd.nn.Dropout(0.5, rng=0)}
    outside = linear()

    def forward(m, x, fail):
        outside(x)
        y = m.drop(m.b(m.a(x)))
        return y @ np.ones((3, 3)) if fail else y

    model = Derived(forward, **layers)
    state = model.random_state()
    with pytest.raises(ValueError, match="matmul"):
        model(X, True)
    assert all(not one._tape for one in (*model.modules(), outside))
    assert model.random_state() == state
    model.backward(np.ones_like(model(X, False)))


def test_a_failing_backward_forgets_gradients_and_tapes():
    class Fails(fd.nn.Module):
        def forward(self, x):
            self._tape.append(x)
            return x

        def backward(self, dy):
            raise ArithmeticError("on the way")

    model = Derived(lambda m, x: m.a(m.bad(m.a(x))), a=linear(), bad=Fails())
    model(X)
    model(X)
    with pytest.raises(ArithmeticError):
        model.backward(np.ones((5, 4)))
    assert all(not one._tape for one in model.modules())
    assert not model.a.weight.written
    assert (model.a.weight.grad == 0).all()
    model.eval()
    model(X)


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (np.ones((5, 3)), ValueError, r"dy: got shape \(5, 3\), expected \(5, 4\)"),
        (np.ones((5, 4), np.float32), TypeError, "dy: got dtype float32, expected float64"),
        ([1.0], TypeError, r"dy: got list, expected an array of shape \(5, 4\)"),
        ("x", TypeError, "dy: got str"),
        (np.ma.masked_array(np.ones((5, 4))), TypeError, "dy: got a masked array"),
    ],
)
def test_a_refused_backward_changes_nothing(dy, error, message):
    model = pair()
    model(X)
    with pytest.raises(error, match=message):
        model.backward(dy)
    model.backward(np.ones((5, 4)))


def test_gradients_of_several_outputs():
    model = Derived(lambda m, x: {"y": m.a(x), "z": (x * 2, "text", None)}, a=linear())
    model(X)
    with pytest.raises(TypeError, match="dy: got ndarray, expected a dict"):
        model.backward(np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"dy\['z'\]: got 2 gradients, expected 3"):
        model.backward({"z": (X, None)})
    with pytest.raises(ValueError, match="dy: got 'w', expected some of 'y', 'z'"):
        model.backward({"w": X})
    assert (model.backward({"z": (np.ones((5, 4)), None, None)}) == 2).all()
    assert not model.a._tape
    assert not model.a.weight.written


def test_inputs_that_nobody_wants_a_gradient_of():
    model = Derived(lambda m, x: m.a(x * m.w.data[0]), a=linear())
    model(X)
    full = model.backward(np.ones((5, 4)))
    gradient = model.parameters().grad.copy()
    model.zero_grad()
    model(X)
    assert model.backward(np.ones((5, 4)), input_gradient=False) is None
    np.testing.assert_array_equal(model.parameters().grad, gradient)
    assert full.shape == X.shape


def test_frozen_and_tied_parameters():
    model = Derived(lambda m, x: m.a(x @ m.w.data) @ m.w.data, a=linear())
    model.w.freeze()
    model(X)
    model.backward(np.ones((5, 4)))
    assert not model.w.written
    assert model.a.weight.written
    model.w.unfreeze()
    other = Derived(lambda m, x: x @ m.w.data)
    other.w = model.w
    both = fd.nn.Sequential(other, model)
    checks = both.check_gradients(X)
    assert checks, f"\n{checks}"
    assert list(checks) == ["0.w", "1.a.weight", "1.a.bias", "x"]
