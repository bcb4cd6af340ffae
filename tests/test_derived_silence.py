"""What would train wrongly without a word: each is derived rightly, or refused in words that name the way."""

import collections
import dataclasses
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from derived_cases import F64, Derived, X, linear, normal

import fastdl as fd


@dataclasses.dataclass
class Pair:
    a: typing.Any
    b: typing.Any


class Bag:
    """Something that holds arrays out of sight."""


class Two(fd.nn.Module):
    """Two inputs, a backward by hand."""

    def forward(self, x, y):
        self._tape.append((x, y))
        return x * x * y

    def backward(self, dy):
        x, y = self._pop()
        return 2 * x * y * dy, x * x * dy


class Loss(fd.nn.Module):
    """A number of Python, a backward by hand."""

    def forward(self, x):
        self._tape.append(x)
        return float((x * x).sum())

    def backward(self, dy):
        return 2 * self._pop() * dy


class Pairs(fd.nn.Module):
    """A dataclass, a backward by hand."""

    def forward(self, x):
        self._tape.append(x)
        return Pair(2 * x, 3 * x)

    def backward(self, dy):
        return 2 * dy.a + 3 * dy.b


def filled_anew(buffer, view=None):
    def forward(m, x):
        total = 0
        for k in range(3):
            buffer[:] = k + 1
            total = total + np.tanh(x * (buffer if view is None else view))
        return total

    return forward


def weights_filled_anew(m, x):
    w, total = np.zeros((4, 4)), 0
    for k in range(3):
        w[:], w[k] = 0, k + 1
        total = total + fd.tanh(fd.linear_forward(x, w))
    return total


def index_filled_anew(m, x):
    at, total = np.array([0, 1]), 0
    for k in range(2):
        at[0] = k
        total = total + x[at] * np.take(x, at, 0)
    return total


BUFFER = np.zeros(4)
RIGHT = {
    "a number from a layer": (lambda m, x: m.i(x) * x, {"i": Derived(lambda m, x: (x @ m.w.data).sum())}),
    "a number of Python from a layer": (lambda m, x: m.i(x @ m.w.data) * x, {"i": Loss()}),
    "a number into a layer": (lambda m, x: m.i(x, x.mean()), {"i": Derived(lambda m, x, s: x @ m.w.data * s)}),
    "a number comes out": (lambda m, x: (x @ m.w.data).sum(), {}),
    "arguments by name": (lambda m, x: m.t(y=x @ m.w.data, x=np.tanh(x)), {"t": Two()}),
    "np.full_like": (lambda m, x: np.full_like(x, x[0, 0]) * m.w.data[0], {}),
    "np.unique": (lambda m, x: np.unique(x) * m.w.data[0, 0], {}),
    "lists": (lambda m, x: x * [1.0, 2, 3, 4] + [1, 2, 3, 4] @ m.w.data + (x @ [1.0, 2, 3, 4])[:, None], {}),
    "exponents in a list": (lambda m, x: np.abs(x) ** [1.0, 2, 3, 0] + np.power([1.0, 2, 3, 0.5], x), {}),
    "two lists": (lambda m, x: np.arctan2(x, [1.0, 2, 3, 4]), {}),
    "a buffer": (filled_anew(BUFFER), {}),
    "a view that cannot be written to": (filled_anew(BUFFER, np.broadcast_to(BUFFER, X.shape)), {}),
    "weights of a function": (weights_filled_anew, {}),
    "an index": (index_filled_anew, {}),
    "an OrderedDict": (
        lambda m, x: m.i(collections.OrderedDict(a=2 * x, b=x))["y"],
        {"i": Derived(lambda m, d: collections.OrderedDict(y=d["a"] @ m.w.data * d["b"]))},
    ),
    "where, of what is infinite elsewhere": (lambda m, x: np.where(x > 0, np.log(np.abs(x)), x) * x, {}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_gradients(name):
    function, layers = RIGHT[name]
    checks = Derived(function, **layers).check_gradients(X)
    assert checks, f"\n{checks}"
    assert all(one.passed for one in checks.values())


def test_a_memmap_that_is_filled_anew(tmp_path):
    buffer = np.memmap(tmp_path / "m", F64, "w+", shape=(4,))
    assert Derived(filled_anew(buffer)).check_gradients(X)


def test_a_wrong_gradient_of_a_number_does_not_pass():
    wrong = fd.nn.derivative(lambda x: x * 1.0, lambda dy, y, x: 1.01 * dy)
    assert not Derived(lambda m, x: wrong(x @ m.w.data).sum()).check_gradients(X)


HELD: dict[str, typing.Any] = {}


def holding(m, x):
    HELD["x"] = 2 * x
    return m.i(x)


def in_a_bag(m, x):
    bag = Bag()
    bag.x = x
    return m.i(bag)


def in_threads(m, x):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda s: np.tanh(s * x @ m.w.data), [1.0, 2.0])
    return first + second


def assigned(m, x):
    y = x @ m.w.data
    m.w.data = np.zeros((4, 4))
    return y


def written(m, x):
    buffer = np.zeros(x.shape)
    fd.dropout_forward(x, 0.5, seed=1, step=1, out=buffer)
    return buffer * x


REFUSED = {
    "Fortran's order": (lambda m, x: np.ravel(x, "F"), {}, "order: got 'F'"),
    "Fortran's order, a method": (lambda m, x: x.flatten(order="F"), {}, "order: got 'F'"),
    "complex numbers": (lambda m, x: np.abs(x.astype(complex)), {}, "complex128.*real numbers"),
    "weights of a histogram": (lambda m, x: np.histogram(X, weights=x)[0] * 1.0, {}, "np.histogram: not in the table"),
    "an outer array, computed with": (holding, {"i": Derived(lambda m, x: HELD["x"] * 3)}, "used within.*argument"),
    "an outer array, returned": (holding, {"i": Derived(lambda m, x: HELD["x"])}, "used within.*argument"),
    "an outer array, indexed": (holding, {"i": Derived(lambda m, x: HELD["x"][0])}, "used within.*argument"),
    "an outer array, joined": (holding, {"i": Derived(lambda m, x: np.stack([x, HELD["x"]]))}, "used within"),
    "an outer array, chosen": (holding, {"i": Derived(lambda m, x: np.where(x > 0, x, HELD["x"]))}, "used within"),
    "an outer array, in a layer": (holding, {"i": Derived(lambda m, x: m.a(HELD["x"]), a=linear())}, "used within"),
    "an outer array, in a function": (holding, {"i": Derived(lambda m, x: fd.tanh(HELD["x"]))}, "used within"),
    "out of sight": (in_a_bag, {"i": Derived(lambda m, bag: bag.x * 2)}, "tuples, lists and dicts"),
    "a dataclass from a layer": (lambda m, x: m.i(x).a, {"i": Pairs()}, "Pairs.forward: gave Pair.*dataclass"),
    "another thread": (in_threads, {}, "in another thread"),
    "all parameters at once": (lambda m, x: x * (m.parameters().data ** 2).sum(), {}, "Arena.data.*for p in"),
    "a parameter assigned": (assigned, {}, "w.data: assigned within.*before or after"),
    "an array to write into": (written, {}, "fd.dropout_forward.*out=.*fd.nn.detach"),
    "a masked array": (lambda m, x: x * np.ma.array(X, mask=X > 0), {}, "np.multiply, argument 2: got a masked array"),
    "a derivative of a derivative": (
        lambda m, x: fd.nn.value_and_grad(lambda z: (z**2).sum())(x)[1],
        {},
        "value_and_grad within.*no derivative of a derivative",
    ),
    "an option by its place": (lambda m, x: np.sum(x, 0, None, None, True), {}, r"np.sum\(..., dtype=...\): not in"),
    "an option by name": (lambda m, x: np.concatenate([x, x], dtype=F64), {}, r"np.concatenate\(..., dtype=...\)"),
    "both pairs of bounds": (lambda m, x: np.clip(x, 0, 1, min=0), {}, "np.clip: expected both a_min and a_max"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    function, layers, message = REFUSED[name]
    model = Derived(function, **layers)
    with pytest.raises((TypeError, ValueError), match=message):
        model(X)
    assert all(not one._tape for one in model.modules())


def test_gradients_come_in_the_order_of_forward():
    class Product(fd.nn.Module):
        def forward(self, x, y):
            return x * x * y

    model, x, y = Product(), normal(3), normal(3)
    model(y=y, x=x)
    dx, dy = model.backward(np.ones(3))
    np.testing.assert_allclose(dx, 2 * x * y)
    np.testing.assert_allclose(dy, x * x)


def test_thawed_between_forward_and_backward():
    model = Derived(lambda m, x: m.a(np.tanh(x @ m.w.data)), a=linear())
    grads = []
    for frozen in (False, True):
        model.zero_grad()
        if frozen:
            model.w.freeze()
        y = model(X)
        model.unfreeze()
        model.backward(np.ones_like(y), input_gradient=False)
        grads.append(model.w.grad.copy())
    np.testing.assert_array_equal(*grads)


def test_what_is_not_chosen_gets_no_gradient_however_steep_it_is():
    def gradient(f, x):
        with np.errstate(all="ignore"):
            return fd.nn.value_and_grad(lambda x: f(x).sum())(np.array(x))[1]

    assert (gradient(lambda x: np.sqrt(np.where(x > 0.5, x, 0)), [0.0, 4.0]) == [0, 0.25]).all()
    assert (gradient(lambda x: np.sqrt(np.clip(x, 0, None)), [-1.0, 4.0]) == [0, 0.25]).all()
    assert (gradient(lambda x: np.sqrt(np.maximum(x, 0)), [-1.0, 4.0]) == [0, 0.25]).all()
    assert (gradient(lambda x: np.fmax(x, [np.nan, 0.0, 2.0]), [-1.0, 1.0, 1.0]) == [1, 1, 0]).all()


def test_a_hand_written_backward_over_a_derived_one_is_told_so():
    class Base(fd.nn.Module):
        def forward(self, x):
            return 2 * x

    class Doubled(Base):
        def forward(self, x):
            return 2 * super().forward(x)

        def backward(self, dy):
            return super().backward(2 * dy)

    model = Doubled()
    model(X)
    with pytest.raises(TypeError, match="Doubled: super\\(\\).backward.*leave backward out"):
        model.backward(X)


def test_outputs_may_be_written_to():
    for forward in (
        lambda m, x: np.tanh(x @ m.w.data),
        lambda m, x: (np.tanh(x @ m.w.data).reshape(-1), np.exp(x)[0]),
        lambda m, x: (lambda y: (y, np.tanh(y)))(x + m.w.data[0]),
        lambda m, x: np.where(x > 0, x, m.w.data[0]),
    ):
        model = Derived(forward)
        found = []
        for write in (False, True):
            outputs = model(X)
            listed = outputs if isinstance(outputs, tuple) else (outputs,)
            dys = [np.ones(one.shape) for one in listed]
            for one in listed:
                one *= 0 if write else 1
            model.zero_grad()
            found.append((model.backward(tuple(dys) if isinstance(outputs, tuple) else dys[0]), model.w.grad.copy()))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_layer_that_has_run_again_since():
    model = Derived(lambda m, x: np.tanh(m.a(x)), a=linear())
    y = model(X)
    model.a(2 * X)
    with pytest.raises(RuntimeError, match="Linear.backward: the layer has run again since Derived.forward"):
        model.backward(y)
    model.backward(np.ones_like(model(X)))


# ---- in a run -----------------------------------------------------------------------------------------------------
class Tagger(fd.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1)

    def forward(self, x, state=None, return_state=False):
        h, state = self.lstm(x, state, return_state=True)
        y = self.head(np.tanh(h))
        return (y, state) if return_state else y


class TaggerByHand(Tagger):
    def forward(self, x, state=None, return_state=False):
        h, state = self.lstm(x, state, return_state=True)
        self._tape.append(np.tanh(h))
        y = self.head(self._tape[-1])
        return (y, state) if return_state else y

    def backward(self, dy, *, input_gradient=True):
        h = self._pop()
        return self.lstm.backward(self.head.backward(dy) * (1 - h * h), input_gradient=input_gradient)


DATA = [(normal(5, 2, 3).astype(np.float32), normal(5, 2, 2).astype(np.float32)) for _ in range(4)]


def fitted(model, loss=fd.mse_loss, **options):
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    fd.training.fit(model, optimizer, DATA, loss=loss, progress=False, **options)
    return model.parameters().data.copy()


def test_states_are_carried_from_batch_to_batch():
    expected = fitted(TaggerByHand(), carry_state=True, epochs=2)
    np.testing.assert_allclose(fitted(Tagger(), carry_state=True, epochs=2), expected, rtol=1e-5, atol=1e-6)


def test_parameters_that_a_loss_reads_weigh_the_same_in_groups_of_batches():
    def penalized(model):
        return lambda outputs, y: np.mean((outputs - y) ** 2) + 0.5 * (model.head.weight.data**2).sum()

    model = Tagger()
    found = fitted(model, penalized(model), accumulate=4, epochs=1)
    other = Tagger()
    optimizer = fd.optim.SGD(other.parameters(), lr=0.1)
    for x, y in DATA:
        other.backward(fd.mse_loss(other(x), y)[1] / np.float32(4), input_gradient=False)
    other.head.weight.grad += other.head.weight.data
    optimizer.step()
    np.testing.assert_allclose(found, other.parameters().data, rtol=1e-5, atol=1e-6)


def test_a_check_of_gradients_names_the_input_that_is_not_finite():
    layer, x = fd.nn.DotAttention(), np.ones((3, 2, 4))
    with pytest.raises(ValueError, match=r"^source: forward gives numbers that are not finite"):
        layer.check_gradients(x, np.full((5, 2, 4), np.nan))
    with pytest.raises(ValueError, match=r"^x: forward gives numbers that are not finite"):
        fd.nn.Linear(2, 2, rng=0).check_gradients(np.full((1, 2), np.inf))
