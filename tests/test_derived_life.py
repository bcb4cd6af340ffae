"""Derived modules in a user's day: what is refused, copies, threads, fit, checks of gradients."""

import copy
import gc
import math
import pickle
import threading

import numpy as np
import pytest
from derived_cases import F64, Derived, X, linear

import fastdl as fd


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
    "a function without a row": (lambda m, x: np.fft.rfft(x), "np.fft.rfft: not in the table.*fd.nn.derivative"),
    "a ufunc without a row": (lambda m, x: np.ldexp(x, 2), "np.ldexp: not in the table.*fd.nn.derivative"),
    "a method without a row": (lambda m, x: x.choose(), "ndarray.choose: not in the table"),
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
    with pytest.raises(TypeError, match="used within .*as an argument"):
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
        assert len(x) == 5
        assert x.shape == (5, 4)
        assert x.ndim == 2
        assert x.size == 20
        assert x.dtype == F64
        assert x.max() > x.min()
        assert bool(x.sum() == x.sum())
        assert not np.isnan(x).any()
        assert isinstance(x > 0, np.ndarray)
        assert isinstance(np.argmax(x, 1), np.ndarray)
        assert x.argmin() < 20
        assert np.zeros_like(x).shape == x.shape
        assert type(np.sign(x)) is np.ndarray
        assert np.shape(x) == (5, 4)
        assert "traced" in repr(x)
        assert f"{x[0, 0]:.1f}"
        assert str(x)
        assert x[0, 0] in x
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
        _loss, dy = fd.mse_loss(model(x), x.sum((0, 2))[:, None])
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
    assert (model.parameters().data == before).all()
    assert model.random_state() == state
    assert model.parameters()[0].frozen
    assert model.parameters().dtype == np.float32
    assert not model.parameters()[1].written
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


# ---- what is left behind ------------------------------------------------------------------------------------------
def with_functions(m, x):
    y = fd.linear_forward(fd.layer_norm_forward(fd.tanh(m.lstm(x)))[0], m.w.weight.data, m.w.bias.data)
    parts = np.concatenate([y, np.where(y > 0, y, 0.0)], -1)
    loss, _ = fd.mse_loss(np.einsum("tbi->tb", parts), np.zeros(parts.shape[:2]))
    return fd.dropout_forward(parts[..., 0], 0.5, seed=1) * loss


def with_states(m, x):
    h, state = m.lstm(x, return_state=True)
    h, _ = m.lstm(h * 2, state, return_state=True)
    return m.w(h)


def with_attention(m, x):
    h = m.lstm(x)
    return m.attention(h[-1:], h)


def with_weights(m, x):
    h = m.lstm(x)
    context, weights = m.attention(h[-1:], h, return_weights=True)
    fd.nn.detach(weights)
    return context


def with_a_call_that_is_dropped(m, x):
    m.w(m.lstm(x))
    return m.lstm(x)


@pytest.mark.parametrize(
    "forward", [with_functions, with_states, with_attention, with_weights, with_a_call_that_is_dropped]
)
def test_a_step_leaves_nothing_to_the_collector(forward):
    """Its arrays go with the last reference: a cycle would keep them all until the collector comes by."""

    class Model(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.w = fd.nn.LSTM(4, 4, rng=0, dtype=F64), linear(4, 2)
            self.attention = fd.nn.DotAttention()

        def forward(self, x):
            return forward(self, x)

    model, x = Model(), np.ones((5, 2, 4))
    model.backward(np.ones_like(model(x)))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            model.backward(np.ones_like(model(x)))
        assert gc.collect() == 0
    finally:
        gc.enable()
