"""The layers that draw: masks per step, resume, backward's pairing, evaluation, and Monte Carlo."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn

X = np.linspace(1, 2, 3000, dtype=np.float32).reshape(30, 100)
LAYERS = (
    lambda: nn.Dropout(0.4, rng=1),
    lambda: nn.Dropout(0.4, rng=1, broadcast_axes=0),
    lambda: nn.Dropout(0.4, rng=1, scaling="classic"),
    lambda: nn.AlphaDropout(0.4, rng=1),
    lambda: nn.GaussianDropout(0.4, rng=1),
    lambda: nn.GaussianNoise(0.4, rng=1),
)


class Product(nn.Module):
    """x @ weight, with the accumulating gradient of a real layer."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter("weight", weight)

    def forward(self, x):
        if self.training:
            self._tape.append(x)
        return x @ self.weight.data

    def backward(self, dy):
        grad, accumulate = self.weight.claim_grad()
        grad[...] = (grad if accumulate else 0) + self._pop().T @ dy
        return dy @ self.weight.data.T


class Lookup(Product):
    def forward(self, x):
        if self.training:
            self._tape.append(x)
        return self.weight.data[x]

    def backward(self, dy):
        grad, accumulate = self.weight.claim_grad()
        grad[...] = grad if accumulate else 0
        np.add.at(grad, self._pop(), dy)


@pytest.mark.parametrize("make", LAYERS)
def test_masks_change_by_step_and_repeat_on_resume(make):
    layer = make()
    first, second = layer.forward(X), layer.forward(X)
    assert (first != second).any()
    state = layer.random_state()
    third = layer.forward(X)
    other = type(layer)(rng=9) if not isinstance(layer, nn.Dropout) else make()
    for name in ("p", "std"):
        if hasattr(layer, name):
            setattr(other, name, getattr(layer, name))
    other.load_random_state(state)
    np.testing.assert_array_equal(other.forward(X), third)
    np.testing.assert_array_equal(make().forward(X), first)


@pytest.mark.parametrize("make", LAYERS)
def test_backward_undoes_the_last_forward_first(make):
    layer = make()
    u = np.cos(np.arange(3000.0)).reshape(30, 100)
    v, w = np.sin(u) + 2, np.cos(u) * 3
    run = [layer.random_state()["step"], layer.forward(v) - 0, layer.forward(w)]
    grads = [layer.backward(u), layer.backward(u)]
    with pytest.raises(RuntimeError, match="no forward to undo"):
        layer.backward(u)
    for step, x, y, grad in ((run[0], v, run[1], grads[1]), (run[0] + 1, w, run[2], grads[0])):
        layer.load_random_state({"seed": layer.seed, "step": step})
        base = layer.forward(np.zeros_like(x))
        assert np.vdot(u, y - base) == pytest.approx(np.vdot(grad, x), rel=1e-9)


@pytest.mark.parametrize("make", LAYERS)
def test_evaluation_is_the_identity_and_draws_nothing(make):
    layer = make().eval()
    state = layer.random_state()
    expected = X * np.float32(0.6) if getattr(layer, "scaling", "") == "classic" else X
    np.testing.assert_array_equal(layer.forward(X), expected)
    assert layer.random_state() == state
    assert not layer._tape


def test_no_dropout_at_p_zero():
    layer = nn.Dropout(0.0)
    assert layer.forward(X) is X
    assert layer.backward(X) is X


def test_a_model_gathers_and_restores_random_states():
    rng = fd.random.Generator(4)
    model = nn.Sequential(nn.Dropout(0.3, rng=rng), Product(np.eye(100)), nn.GaussianNoise(0.3, rng=rng))
    assert model[0].seed != model[2].seed
    model.forward(X)
    state = model.random_state()
    assert state == {"0": model[0].random_state(), "2": model[2].random_state()}
    first = model.forward(X)
    model.load_random_state(state)
    np.testing.assert_array_equal(model.forward(X), first)
    with pytest.raises(ValueError, match="state: got"):
        model.load_random_state({"0": state["0"]})


def test_zoneout():
    layer = nn.Zoneout(0.3, rng=2)
    y = layer.forward(X, -X)
    new, old = layer.backward(X)
    np.testing.assert_array_equal(y, new - old)
    assert 0.2 < (y < 0).mean() < 0.4
    np.testing.assert_allclose(layer.eval().forward(X, -X), 0.4 * X, rtol=1e-5)


def test_embedding_dropout():
    index = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    layer = nn.EmbeddingDropout(Lookup(np.arange(1.0, 13).reshape(4, 3)), 4, 0.5, rng=3)
    y = layer.forward(index)
    np.testing.assert_array_equal(y[0], y[1, ::-1])
    keep = fd.dropout_mask(4, 0.5, seed=layer.seed)
    assert 0 < keep.sum() < 4
    np.testing.assert_array_equal(y[0], 2 * keep[:, None] * layer.embedding.weight.data)
    layer.backward(np.ones((2, 4, 3)))
    np.testing.assert_array_equal(layer.embedding.weight.grad, 4.0 * keep[:, None] * np.ones((4, 3)))
    np.testing.assert_array_equal(layer.eval().forward(index), layer.embedding.weight.data[index])


def test_drop_connect():
    rng = np.random.default_rng(6)
    weight, x, dy = rng.normal(1, 1, (20, 30)), rng.normal(1, 1, (5, 20)), rng.normal(1, 1, (5, 30))
    layer = nn.DropConnect(Product(weight), 0.3, rng=5)
    masks = [fd.dropout_mask((20, 30), 0.3, seed=layer.seed, step=k) / 0.7 for k in (0, 1)]
    for mask in masks:
        np.testing.assert_allclose(layer.forward(x), x @ (weight * mask), rtol=1e-12)
    np.testing.assert_array_equal(layer.layer.weight.data, weight)
    for mask in reversed(masks):
        np.testing.assert_allclose(layer.backward(dy), dy @ (weight * mask).T, rtol=1e-12)
    np.testing.assert_array_equal(layer.layer.weight.data, weight)
    np.testing.assert_allclose(layer.layer.weight.grad, x.T @ dy * (masks[0] + masks[1]), rtol=1e-12)
    np.testing.assert_array_equal(layer.eval().forward(x), x @ weight)
    with pytest.raises(ValueError, match="names: got 'bias'"):
        nn.DropConnect(Product(weight), names=("bias",))


def test_monte_carlo_leaves_no_trace():
    model = nn.Sequential(nn.Dropout(0.5, rng=7), Product(np.eye(100, dtype=np.float32)))
    model.forward(X)
    state, tapes = model.random_state(), [len(module._tape) for module in model.modules()]
    mean, variance = nn.monte_carlo(model, X, draws=400)
    assert model.training
    assert model.random_state() == state
    assert [len(module._tape) for module in model.modules()] == tapes
    assert abs((mean / X).mean() - 1) < 5 / np.sqrt(400 * X.size)
    assert abs((variance / X**2).mean() - 1) < 0.02
    again, _ = nn.monte_carlo(model, X, draws=400)
    np.testing.assert_array_equal(mean, again)
    with pytest.raises(ValueError, match="draws: got 1"):
        nn.monte_carlo(model, X, draws=1)
    assert model.training


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Dropout(1.2), ValueError, "p: got 1.2"),
        (lambda: nn.GaussianDropout(1.0), ValueError, "p: got 1.0"),
        (lambda: nn.GaussianNoise(-1.0), ValueError, "std: got -1.0"),
        (lambda: nn.Dropout(0.5, scaling="x"), ValueError, "scaling: got 'x'"),
        (lambda: nn.Dropout(0.5, rng="x"), TypeError, "rng: got str"),
        (lambda: nn.Dropout(0.5).load_random_state({"step": 1}), ValueError, "state: got keys"),
        (lambda: nn.Dropout(0.5).load_random_state({"seed": 1, "step": -1}), ValueError, "step"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
