"""Parameters shared by layers: the usual head of a language model, and assignments that cannot be meant."""

import copy

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)


def tied_model(V, E, dtype=np.float64, bias=True):
    words = fd.nn.Embedding(V, E, rng=0, dtype=dtype)
    return fd.nn.Sequential(
        words, fd.nn.LSTM(E, E, rng=1, dtype=dtype), fd.nn.Linear(E, V, bias, rng=2, dtype=dtype, tied=words)
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("V", "E"), [(9, 4), (5, 5), (3, 6)])
def test_the_head_is_the_tables_transpose_and_gradients_add_up(V, E, bias, backend):
    with fd.backend(backend):
        net = tied_model(V, E, bias=bias)
        x, y = RNG.integers(0, V, (2, 5, 3))
        h = net[1].forward(net[0].forward(x))
        np.testing.assert_allclose(
            net[2].forward(h), h @ net[0].weight.data.T + (net[2].bias.data if bias else 0), rtol=1e-13
        )
        net.train()
        _, gradient = fd.softmax_cross_entropy(net(x), y)
        net.backward(gradient)
        net.eval()
        for one in net.parameters():
            flat, slope = one.data.reshape(-1), one.grad.reshape(-1)
            for at in range(0, flat.size, 7):
                values = []
                for step in (1e-6, -2e-6):
                    flat[at] += step
                    values.append(float(fd.softmax_cross_entropy(net(x), y)[0]))
                flat[at] += 1e-6
                assert slope[at] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_one_parameter_two_names():
    net = tied_model(9, 4, np.float32)
    assert net[2].weight is net[0].weight
    assert net.parameters().names.count("0.weight") == 1
    assert "2.weight" not in net.parameters().names
    assert net.parameters().size == 36 + 2 * 4 * 16 + 2 * 16 + 9
    state = net.state_dict()
    np.testing.assert_array_equal(state["0.weight"], state["2.weight"])  # torch's layout of both
    other = tied_model(9, 4, np.float32)
    other.parameters().data = 0 * other.parameters().data
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.parameters().data, net.parameters().data)
    state["2.weight"] = state["2.weight"] + 1
    before = other.parameters().data.copy()
    with pytest.raises(ValueError, match=r"state\['2.weight'\]: got other values than '0.weight', to which it is tied"):
        other.load_state_dict(state)
    np.testing.assert_array_equal(other.parameters().data, before)
    assert "Linear(4, 9, tied)" in repr(net)


@pytest.mark.parametrize("lazy", [False, True])
def test_it_trains_in_fit_also_lazily_and_after_a_copy(lazy):
    x = RNG.integers(0, 9, (30, 5, 3))
    net = tied_model(9, 4, np.float32)
    net = copy.deepcopy(net)
    optimizer = fd.optim.Adam(net.parameters(), lr=0.05, lazy=lazy)
    curve = fd.training.fit(
        net, optimizer, [(one, one) for one in x], loss=fd.softmax_cross_entropy, progress=False
    ).losses
    assert curve[-1] < 0.8 * curve[0]
    assert net[2].weight is net[0].weight


def test_its_curvature():
    net = tied_model(5, 5)
    x, y = RNG.integers(0, 5, (2, 4, 3))
    point = fd.curvature.LossPoint(net, fd.softmax_cross_entropy, (x, y))
    _, gradient = fd.softmax_cross_entropy(net(x), y)
    net.backward(gradient)
    flat = np.concatenate([one.grad.ravel() for one in net.parameters()])
    np.testing.assert_allclose(point.gradient, flat, atol=1e-12)
    np.testing.assert_allclose(point.sample_gradients(1).sum(0), point.gradient, atol=1e-12)
    direction = RNG.normal(size=flat.size)
    product = point.hvp(direction)
    start = [one.data.copy() for one in net.parameters()]
    slopes = []
    for step in (1e-5, -1e-5):
        at = 0
        for one, values in zip(net.parameters(), start, strict=True):
            one.data = values + step * direction[at : at + one.size].reshape(one.shape)
            at += one.size
        slopes.append(fd.curvature.LossPoint(net, fd.softmax_cross_entropy, (x, y)).gradient)
    np.testing.assert_allclose(product, (slopes[0] - slopes[1]) / 2e-5, atol=1e-8)


@pytest.mark.parametrize(("V", "E"), [(9, 4), (5, 5)])
def test_assigning_what_does_not_fit_is_refused_and_says_the_way(V, E):
    words, head = fd.nn.Embedding(V, E, rng=0), fd.nn.Linear(E, V, rng=0)
    own = head.weight
    with pytest.raises(ValueError, match=r"^Linear.weight: got a parameter .*expected .*tied=embedding"):
        head.weight = words.weight
    assert head.weight is own
    assert head._parameters["weight"] is own
    with pytest.raises(ValueError, match=r"^LSTM.bias_ih_l0: got a parameter of shape \(3,\), expected \(16,\)"):
        fd.nn.LSTM(3, 4, rng=0).bias_ih_l0 = fd.nn.Parameter("b", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"^Linear.bias: got a parameter of float64, expected float32"):
        head.bias = fd.nn.Parameter("b", np.zeros(V))


def test_layers_of_a_kind_may_share():
    one, two = fd.nn.Linear(3, 3, rng=0, dtype=np.float64), fd.nn.Linear(3, 3, rng=1, dtype=np.float64)
    two.weight = one.weight
    net = fd.nn.Sequential(one, two)
    assert len(net.parameters()) == 3
    x = RNG.normal(size=(4, 3))
    net(x)
    net.backward(np.ones((4, 3)))
    inner = x @ one.weight.data + one.bias.data
    d = np.ones((4, 3)) @ one.weight.data.T
    np.testing.assert_allclose(one.weight.grad, inner.T @ np.ones((4, 3)) + x.T @ d, rtol=1e-12)


@pytest.mark.parametrize(
    ("tied", "error", "message"),
    [
        (lambda: fd.nn.Embedding(9, 5), ValueError, r"tied: got a table of shape \(9, 5\), expected \(9, 4\)"),
        (lambda: fd.nn.Linear(9, 4), TypeError, "tied: got Linear, expected an Embedding or its weight"),
        (lambda: np.zeros((9, 4)), TypeError, "tied: got ndarray"),
        (lambda: fd.nn.Tanh(), TypeError, "tied: got Tanh"),
    ],
)
def test_ties_that_do_not_fit(tied, error, message):
    with pytest.raises(error, match=message):
        fd.nn.Linear(4, 9, tied=tied())
