"""Modules that write only forward: their gradients, what they leave behind, and what they refuse."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(4)
F64 = np.float64


def normal(*shape):
    return RNG.normal(size=shape)


class Derived(fd.nn.Module):
    """A forward given as a function of the module and its inputs, over some layers and an array."""

    def __init__(self, function, size=4, **layers):
        super().__init__()
        object.__setattr__(self, "function", function)
        self.w = fd.nn.Parameter("w", np.random.default_rng(0).normal(size=(size, size)))
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def linear(inputs=4, outputs=4, rng=1):
    return fd.nn.Linear(inputs, outputs, rng=rng, dtype=F64)


X = normal(5, 4)


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
        assert type(one) is type(other) and one.dtype == other.dtype
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
    assert not model.a.weight.written and model.b.weight.written


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
    assert all(not one._tape for one in model.modules()) and not model.a.weight.written
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
    assert not model.a._tape and not model.a.weight.written


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
    assert not model.w.written and model.a.weight.written
    model.w.unfreeze()
    other = Derived(lambda m, x: x @ m.w.data)
    other.w = model.w
    both = fd.nn.Sequential(other, model)
    checks = both.check_gradients(X)
    assert checks and list(checks) == ["0.w", "1.a.weight", "1.a.bias", "x"], f"\n{checks}"


# ---- what would silently be a constant ----------------------------------------------------------------------------
def item_write(m, x):
    buffer = np.zeros(x.shape)
    buffer[0] = x[0]
    return buffer


def own_item_write(m, x):
    x[0] = 1
    return x


def adds_in_place(m, x):
    x += 1
    return x


def adds_to_plain(m, x):
    total = np.zeros(x.shape)
    total += x
    return total


REFUSED = {
    "asarray": (lambda m, x: np.asarray(x), "fd.nn.detach"),
    "array of a list": (lambda m, x: np.array([x[0], x[1]]), "fd.nn.detach"),
    "ascontiguousarray": (lambda m, x: np.ascontiguousarray(x), "fd.nn.detach"),
    "float": (lambda m, x: x * float(x.sum()), "float.*fd.nn.detach"),
    "math": (lambda m, x: x * math.exp(x[0, 0]), "float.*fd.nn.detach"),
    "item": (lambda m, x: x * x.sum().item(), "fd.nn.detach"),
    "out": (lambda m, x: np.add(x, 1, out=np.zeros(x.shape)), "out=.*fd.nn.detach"),
    "item write": (item_write, "fd.nn.detach"),
    "own item write": (own_item_write, r"x\[...\] = y.*np.where"),
    "adds in place": (adds_in_place, r"x \+= y.*x = x \+ y"),
    "adds to plain": (adds_to_plain, "out=.*x = x \\+ y"),
    "a function without a row": (lambda m, x: np.fft.rfft(x), "numpy.fft.rfft: not in the table.*fd.nn.derivative"),
    "a ufunc without a row": (lambda m, x: np.ldexp(x, 2), "np.ldexp: not in the table.*fd.nn.derivative"),
    "a method without a row": (lambda m, x: x.cumprod(), "ndarray.cumprod: not in the table"),
    "an option without a row": (lambda m, x: np.mean(x, where=x > 0), "where=.*not in the table"),
    "a function of this library": (lambda m, x: fd.prox_norm(x, 1.0), "fd.prox_norm: not in the table"),
    "complex numbers": (lambda m, x: x * 1j, "complex128.*expected real"),
    "an index": (lambda m, x: m.w.data[x], "index"),
    "a layer in evaluation": (lambda m, x: m.a.eval()(x), "evaluation mode.*train"),
    "attention's weights": (lambda m, x: m.look(x[None], x[None], return_weights=True)[1], "are for reading"),
    "an sLSTM's cells": (lambda m, x: m.cell(x[:, None], return_state=True)[1][1] * 2, "mean nothing by themselves"),
    "a buffer": (lambda m, x: setattr(m, "mean", x.mean(0)) or x, "fd.nn.detach"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_a_constant_raises_and_names_the_way(name):
    function, message = REFUSED[name]
    model = Derived(function, a=linear(), look=fd.nn.DotAttention(), cell=fd.nn.sLSTM(4, 4, rng=0, dtype=F64))
    model.register_buffer("mean", np.zeros(4))
    with pytest.raises(TypeError, match=message):
        model.backward(np.ones_like(model(X)))
    model.train()
    assert all(not one._tape for one in model.modules())


def test_a_number_written_into_an_array_raises():
    """NumPy's own words for it: it asks for a float and says what it could not do."""

    def forward(m, x):
        out = np.zeros(3)
        out[0] = x[0, 0]
        return out

    with pytest.raises((TypeError, ValueError)):
        Derived(forward)(X)


def test_stand_ins_do_not_outlive_their_forward():
    model = Derived(lambda m, x: x * 2 if not hasattr(m, "seen") else m.seen[0] + x)
    kept = []
    object.__setattr__(model, "function", lambda m, x: kept.append(x) or x * 2)
    model(X)
    with pytest.raises(TypeError, match="after that forward has ended.*fd.nn.detach"):
        kept[0] + 1
    object.__setattr__(model, "function", lambda m, x: kept[0] * x)
    with pytest.raises(TypeError, match="Derived.forward.*ended"):
        model(X)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(kept[0])


def test_a_closure_over_the_outer_forwards_arrays_is_refused():
    held = {}

    def outer(m, x):
        held["x"] = x
        return m.inner(x)

    model = Derived(outer, inner=Derived(lambda m, x: x * held["x"]))
    with pytest.raises(TypeError, match="two forwards.*arguments"):
        model(X)


def test_a_constant_that_is_filled_anew():
    def forward(m, x):
        mask, total = np.zeros(4), 0
        for k in range(4):
            mask[:] = 0
            mask[k] = k + 1
            total = total + np.tanh(x * mask)
        return total

    assert Derived(forward).check_gradients(X)


def test_questions_are_answered():
    def forward(m, x):
        assert len(x) == 5 and x.shape == (5, 4) and x.ndim == 2 and x.size == 20 and x.dtype == F64
        assert x.max() > x.min() and bool(x.sum() == x.sum()) and not np.isnan(x).any()
        assert isinstance(x > 0, np.ndarray) and isinstance(np.argmax(x, 1), np.ndarray) and x.argmin() < 20
        assert np.zeros_like(x).shape == x.shape and type(np.sign(x)) is np.ndarray and np.shape(x) == (5, 4)
        assert "traced" in repr(x) and f"{x[0, 0]:.1f}" and str(x) and x[0, 0] in x
        return x

    Derived(forward)(X)


# ---- a user's day -------------------------------------------------------------------------------------------------
class Recurrent(fd.nn.Module):
    def __init__(self, rng=0):
        super().__init__()
        self.lstm = fd.nn.LSTM(3, 8, rng=rng)
        self.drop = fd.nn.Dropout(0.2, rng=rng)
        self.head = fd.nn.Linear(8, 1, rng=rng)
        self.scale = fd.nn.Parameter("scale", np.ones(1, np.float32))

    def forward(self, x):
        h = self.lstm(x)
        return self.head(self.drop(np.tanh(h.mean(0)) * self.scale.data + h[-1]))


def trained(model, steps=5, optimizer=None):
    rng = np.random.default_rng(1)
    optimizer = optimizer or fd.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = rng.normal(size=(7, 4, 3)).astype(np.float32)
        loss, dy = fd.mse_loss(model(x), x.sum((0, 2))[:, None])
        model.backward(dy, input_gradient=False)
        optimizer.step()
    return model.parameters().data.copy()


def test_copies_and_pickles_train_alike():
    expected = trained(Recurrent())
    for one in (copy.deepcopy(Recurrent()), pickle.loads(pickle.dumps(Recurrent()))):
        np.testing.assert_array_equal(trained(one), expected)
    model, other = Recurrent(), Recurrent(rng=5)
    other.load_state_dict(model.state_dict())
    other.load_random_state(model.random_state())
    np.testing.assert_array_equal(trained(other), expected)


def test_float32_stays_float32():
    model = Recurrent()
    y = model(np.ones((7, 4, 3), np.float32))
    assert y.dtype == np.float32
    assert model.backward(np.ones_like(y)).dtype == np.float32


def test_in_threads_and_beside_hand_written_layers():
    models = [Recurrent() for _ in range(4)]
    results = [None] * 4

    def run(k):
        results[k] = trained(models[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    for one in results:
        np.testing.assert_array_equal(one, trained(Recurrent()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork():
    os = pytest.importorskip("os")
    expected = trained(Recurrent())
    child = os.fork()
    if child == 0:
        os._exit(0 if (trained(Recurrent()) == expected).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_fit_with_a_derived_model_and_a_derived_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    y = x.sum(1, keepdims=True)

    def fit(loss):
        model = Derived(lambda m, x: m.b(np.tanh(m.a(x))), a=fd.nn.Linear(3, 8, rng=0), b=fd.nn.Linear(8, 1, rng=1))
        del model.w
        optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        data = fd.training.ArrayBatches(x, y, batch_size=16)
        history = fd.training.fit(
            model, optimizer, data, loss=loss, epochs=3, progress=False, validation=[(x, y)], accumulate=2
        )
        return history["loss"], history["validation_loss"]

    by_hand = fit(fd.mse_loss)
    for loss in (
        lambda outputs, targets: ((outputs - targets) ** 2).mean(),
        lambda outputs, targets: np.mean(np.square(outputs - targets)),
        lambda outputs, targets: fd.mse_loss(outputs, targets)[0],
    ):
        np.testing.assert_allclose(fit(loss), by_hand, rtol=1e-5)


def test_a_loss_that_counts_some_targets_keeps_its_count():
    x, y = np.ones((6, 4), np.float32), np.array([0, 0, 1, 2, 3, 0])

    def fit(loss):
        model = fd.nn.Linear(4, 4, rng=0)
        data = [(x[:4], y[:4]), (x[4:], y[4:])]
        history = fd.training.fit(model, fd.optim.SGD(model.parameters()), data, loss=loss, progress=False)
        return history["loss"], history["tokens"]

    def pair(outputs, targets):
        return fd.softmax_cross_entropy(outputs, targets, ignore_index=0)

    np.testing.assert_allclose(fit(lambda z, y: pair(z, y)[0] * 1.0), fit(pair), rtol=1e-6)


def test_check_gradients_finds_a_fault_and_leaves_the_model_as_it_was():
    class Wrong(fd.nn.Linear):
        def backward(self, dy, *, input_gradient=True):
            dx = super().backward(dy, input_gradient=input_gradient)
            self.bias.grad *= 1.001
            return dx

    model = fd.nn.Sequential(fd.nn.Dropout(0.3, rng=0), Wrong(4, 4, rng=0))
    model.parameters()[0].freeze()
    before, state = model.parameters().data.copy(), model.random_state()
    checks = model.check_gradients(X.astype(np.float32))
    assert not checks
    assert [name for name, one in checks.items() if not one.passed] == ["1.bias"]
    assert "FAILED" in repr(checks)
    assert (model.parameters().data == before).all() and model.random_state() == state and model.parameters()[0].frozen
    assert model.parameters().dtype == np.float32 and not model.parameters()[1].written
    assert all(not one._tape for one in model.modules())


def test_value_and_grad_adds_to_what_it_reads():
    model = fd.nn.Linear(4, 2, rng=0, dtype=F64)

    def loss(outputs, weight):
        return (outputs**2).sum() + weight * (model.weight.data**2).sum()

    outputs = model(X)
    value, dy = fd.nn.value_and_grad(loss)(outputs, 0.5)
    assert value == loss(outputs, 0.5)
    np.testing.assert_allclose(dy, 2 * outputs)
    np.testing.assert_allclose(model.weight.grad, model.weight.data)
    model.backward(dy)
    np.testing.assert_allclose(model.weight.grad, model.weight.data + X.T @ dy)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: x * 2, ValueError, r"<lambda>: got values of shape \(5, 4\), expected one number"),
        (lambda x: 3.0, TypeError, "does not depend on x"),
        (lambda x: None, (TypeError, ValueError), "NoneType"),
        (3, TypeError, "function: got int"),
    ],
)
def test_value_and_grad_refuses(function, error, message):
    with pytest.raises(error, match=message):
        fd.nn.value_and_grad(function)(X)
