"""Modules, the arena and state dicts."""

import copy

import numpy as np
import pytest

import fastdl as fd


def model(dtype=np.float32, dropout=0.0):
    return fd.nn.Sequential(
        fd.nn.Embedding(7, 5, rng=0, dtype=dtype),
        fd.nn.LSTM(5, 6, num_layers=2, dropout=dropout, rng=1, dtype=dtype),
        fd.nn.Linear(6, 7, rng=2, dtype=dtype),
        fd.nn.Tanh(),
    )


X = np.arange(12).reshape(4, 3) % 7


def test_the_arena_holds_values_and_gradients_side_by_side():
    net = model()
    before = [parameter.data.copy() for _, parameter in net.named_parameters()]
    arena = net.parameters()
    assert net.parameters() is arena
    for (name, parameter), values, known in zip(net.named_parameters(), before, arena.names, strict=True):
        assert name == known
        np.testing.assert_array_equal(parameter.data, values)
        assert np.may_share_memory(parameter.data, arena.data)
        assert np.may_share_memory(parameter.grad, arena.grad)
        assert parameter.data.ctypes.data % 64 == 0
        assert parameter.grad.ctypes.data % 64 == 0
    assert arena.data.sum(dtype=np.float64) == pytest.approx(sum(v.sum(dtype=np.float64) for v in before), rel=1e-6)
    assert arena.size == sum(v.size for v in before)


def test_assignment_copies_in_and_refuses_other_shapes():
    net = model()
    arena = net.parameters()
    net[2].bias = np.arange(7)
    np.testing.assert_array_equal(net[2].bias.data, np.arange(7))
    assert np.may_share_memory(net[2].bias.data, arena.data)
    with pytest.raises(ValueError, match=r"bias.data: got shape \(6,\), expected \(7,\)"):
        net[2].bias = np.zeros(6)
    with pytest.raises(TypeError, match="bias.data: got dtype"):
        net[2].bias = np.array(["a"] * 7)


def test_a_layer_that_joins_a_larger_model_moves():
    inner = model()
    old = inner.parameters()
    values = old.data.copy()
    outer = fd.nn.Sequential(inner, fd.nn.Linear(7, 2, rng=3))
    new = outer.parameters()
    assert not old.is_current()
    assert new.is_current()
    np.testing.assert_array_equal(new.data[: values.size], values)


def test_two_dtypes_in_one_model_are_refused():
    mixed = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0), fd.nn.Linear(2, 2, rng=0, dtype=np.float64))
    with pytest.raises(TypeError, match="parameters: got dtypes float32 and float64"):
        mixed.parameters()


def test_the_first_gradient_overwrites_and_later_ones_add():
    net = model(np.float64)
    arena = net.parameters()

    def once():
        y = net.forward(X)
        net.backward(np.ones_like(y))

    once()
    first = arena.grad.copy()
    once()
    np.testing.assert_allclose(arena.grad, 2 * first, rtol=1e-12, atol=1e-14)
    net.zero_grad()
    once()
    np.testing.assert_allclose(arena.grad, first, rtol=1e-12, atol=1e-14)
    net.zero_grad()
    arena.settle_gradients()
    assert not arena.grad.any()


def test_gradients_of_the_whole_model_against_finite_differences(level):
    net = model(np.float64)
    dy = np.random.default_rng(0).standard_normal((4, 3, 7))
    net.forward(X)
    net.backward(dy)
    arena = net.parameters()
    for parameter in arena:
        flat, gradient = parameter.data.reshape(-1), parameter.grad.reshape(-1)
        for at in range(0, flat.size, max(1, flat.size // 7)):
            values = []
            for step in (1e-6, -2e-6):
                flat[at] += step
                values.append((net.eval().forward(X) * dy).sum())
            flat[at] += 1e-6
            np.testing.assert_allclose(gradient[at], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_layer_may_run_several_times_before_its_backward():
    layer = fd.nn.Linear(3, 2, rng=0, dtype=np.float64)
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((2, 5, 3))
    layer.forward(x1)
    layer.forward(x2)
    d1, d2 = rng.standard_normal((2, 5, 2))
    layer.backward(d2)
    layer.backward(d1)
    np.testing.assert_allclose(layer.weight.grad, x1.T @ d1 + x2.T @ d2, rtol=1e-12)
    with pytest.raises(RuntimeError, match=r"Linear.backward: no forward to undo"):
        layer.backward(d1)


def test_evaluation_keeps_nothing_and_dropout_is_the_identity():
    net = model(dropout=0.5)
    net.eval()
    np.testing.assert_array_equal(net.forward(X), net.forward(X))
    assert all(not module._tape for module in net.modules())
    net.train()
    assert (net.forward(X) != net.forward(X)).any()


def test_state_is_carried_through_a_chain():
    net = model(np.float64).eval()
    whole = net.forward(X)
    first, state = net.forward(X[:2], return_state=True)
    second = net.forward(X[2:], state)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    with pytest.raises(ValueError, match="state: got 1 entries, expected 4"):
        net.forward(X, [None])


def test_batch_first_turns_the_axes():
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 3, 4)), rng.standard_normal((5, 3, 6))
    one = fd.nn.LSTM(4, 6, rng=0, dtype=np.float64)
    two = fd.nn.LSTM(4, 6, batch_first=True, rng=0, dtype=np.float64)
    np.testing.assert_array_equal(two.forward(x.swapaxes(0, 1)), one.forward(x).swapaxes(0, 1))
    np.testing.assert_array_equal(two.backward(dy.swapaxes(0, 1)), one.backward(dy).swapaxes(0, 1))


def test_state_dict_round_trip_in_torch_layout():
    net, other = model(), model()
    other.parameters().data[:] = 0
    state = net.state_dict()
    assert state["1.weight_ih_l0"].shape == (24, 5)
    assert state["2.weight"].shape == (7, 6)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.parameters().data, net.parameters().data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("2.bias"), ValueError, r"missing \['2.bias'\]"),
        (lambda s: s.update(extra=np.zeros(1)), ValueError, r"unknown \['extra'\]"),
        (lambda s: s.update({"2.bias": np.zeros(8)}), ValueError, r"state\['2.bias'\]: got shape \(8,\)"),
        (
            lambda s: s.update({"2.bias": np.array(list("abcdefg"))}),
            TypeError,
            r"state\['2.bias'\]: got dtype",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    net = model()
    before, state = (
        net.parameters().data.copy(),
        {name: array * 0 for name, array in net.state_dict().items()},
    )
    change(state)
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    np.testing.assert_array_equal(net.parameters().data, before)


def test_repr_counts_parameters():
    text = repr(model())
    assert "(1) LSTM(5, 6, num_layers=2)" in text
    assert text.splitlines()[-1].split() == ["total", f"{model().parameters().size:,}"]
    assert repr(fd.nn.Linear(2, 3, bias=False, rng=0)) == "Linear(2, 3, bias=False)  # 6 parameters"


def test_a_copied_model_is_independent():
    net = model()
    net.parameters()
    twin = copy.deepcopy(net)
    twin.parameters().data[:] = 0
    assert net.parameters().data.any()
    assert not twin.forward(X).any()  # its layers see what its arena holds
    net.parameters().data[:] = 1
    assert not twin.parameters().data.any()


def test_constructors_refuse_what_makes_no_layer():
    for build, error in [
        (lambda: fd.nn.Linear(0, 3), ValueError),
        (lambda: fd.nn.Linear(2.5, 3), TypeError),
        (lambda: fd.nn.LSTM(2, 3, dropout=1.5), ValueError),
        (lambda: fd.nn.LSTM(2, 3, num_layers=0), ValueError),
        (lambda: fd.nn.Embedding(3, 2, dtype=np.float16), TypeError),
        (lambda: fd.nn.Sequential(3), TypeError),
    ]:
        with pytest.raises(error):
            build()
