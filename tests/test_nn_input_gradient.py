"""Backward without the gradient with respect to the input: same gradients otherwise, less work, nothing left behind."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn

X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


def mlp():
    return nn.Sequential(nn.Linear(4, 5, rng=0), nn.ReLU(), nn.Linear(5, 3, rng=1))


def noisy():
    front = nn.Sequential(nn.GaussianNoise(0.1, rng=2), nn.Dropout(0.3, rng=3))
    return nn.Sequential(front, nn.Tanh(), nn.Sigmoid(), nn.Linear(4, 5, rng=0), nn.Tanh(), nn.Linear(5, 3, rng=1))


def connected():
    return nn.Sequential(nn.DropConnect(nn.Linear(4, 5, rng=0), rng=1), nn.DropConnect(nn.Tanh(), names=()))


def tied():
    table = nn.Embedding(5, 4, rng=0)
    return nn.Sequential(nn.Linear(4, 5, tied=table, rng=1), nn.Linear(5, 2, rng=2))


def recurrent():
    return nn.Sequential(nn.LSTM(4, 5, rng=0), nn.Linear(5, 3, rng=1))


def both_ways():
    return nn.Sequential(nn.GRU(4, 5, num_layers=2, bidirectional=True, rng=0), nn.Linear(10, 3, rng=1))


def cut():
    return nn.Sequential(nn.LSTM(4, 5, truncate=2, output="last", rng=0), nn.Linear(5, 3, rng=1))


def dropped_words():
    return nn.Sequential(nn.EmbeddingDropout(nn.Embedding(9, 4, rng=0), 9, 0.4, rng=2), nn.Linear(4, 3, rng=1))


def words():
    return nn.Sequential(nn.Embedding(9, 4, rng=0), nn.Linear(4, 3, rng=1))


MODELS = [mlp, noisy, connected, tied, recurrent, both_ways, cut, words, dropped_words]


def inputs(make):
    steps = dict.fromkeys((recurrent, both_ways, cut), X.reshape(3, 2, 4))
    return {**steps, words: np.arange(6), dropped_words: np.arange(6)}.get(make, X)


class Half(nn.Module):
    """A layer of somebody's own, without parameters and without the keyword."""

    def forward(self, x):
        self._tape.append(x.shape)
        return x / 2

    def backward(self, dy):
        assert dy.shape == self._pop()
        return dy / 2


class Clipped(nn.Linear):
    """Overrides backward and needs what it inherits to return a gradient."""

    def backward(self, dy):
        return np.clip(super().backward(dy), -1, 1)


class Passing(nn.Linear):
    def backward(self, *args, **kwargs):
        return 2 * super().backward(*args, **kwargs)


class Doubled(nn.Module):
    """Knows the keyword, and has no parameters."""

    def forward(self, x):
        self._tape.append(None)
        return 2 * x

    def backward(self, dy, *, input_gradient=True):
        self._pop()
        assert input_gradient or dy is None
        return 2 * dy if input_gradient else None


def gradients(model, x, **given):
    for one in (x, x[::-1].copy()):  # two forwards before the first backward
        y = model.forward(one)
    results = [model.backward(np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape), **given) for _ in range(2)]
    assert not any(module._tape for module in model.modules())
    return results, model.parameters().grad.copy()


@pytest.mark.parametrize("make", MODELS)
def test_every_other_gradient_has_the_same_bits(make, level):
    _, expected = gradients(make(), inputs(make))
    results, found = gradients(make(), inputs(make), input_gradient=False)
    assert results == [None, None]
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "front", [Half, lambda: Clipped(4, 4, rng=5), lambda: Passing(4, 4, rng=5), Doubled, lambda: nn.Sequential(Half())]
)
def test_layers_of_ones_own_are_given_what_they_ask_for(front):
    def make():
        return nn.Sequential(nn.Dropout(0.2, rng=4), front(), nn.Linear(4, 3, rng=1))

    _, expected = gradients(make(), X)
    results, found = gradients(make(), X, input_gradient=False)
    assert results == [None, None]
    np.testing.assert_array_equal(found, expected)


def test_a_backward_put_on_one_layer_is_called_as_before():
    seen, model = [], mlp()
    inherited = model[0].backward
    model[0].backward = lambda dy: seen.append(inherited(dy).shape)
    gradients(model, X, input_gradient=False)
    assert seen == [X.shape, X.shape]


def test_pairs_of_forward_and_backward_may_differ_in_it():
    model, plain = noisy(), noisy()
    first, second = X, X + 1
    for one in (model, plain):
        one.forward(first)
        one.forward(second)
    dy = np.ones((6, 3), np.float32)
    assert model.backward(dy, input_gradient=False) is None
    plain.backward(dy)
    np.testing.assert_array_equal(model.backward(dy), plain.backward(dy))
    np.testing.assert_array_equal(model.parameters().grad, plain.parameters().grad)


@pytest.fixture
def asked(monkeypatch):
    """The width of the input, and whether its gradient was asked for, of every linear backward."""
    calls, inner = [], fd.dense.linear_backward

    def spy(dy, x, W, out, accumulate, input_gradient):
        calls.append((x.shape[-1], input_gradient))
        return inner(dy, x, W, out, accumulate, input_gradient)

    monkeypatch.setattr(fd.dense, "linear_backward", spy)
    return calls


@pytest.mark.parametrize("make", [mlp, noisy])
def test_the_first_product_is_left_out(make, asked):
    gradients(make(), X, input_gradient=False)
    assert asked == [(5, True), (4, False)] * 2


def test_fit_leaves_it_out_by_itself(asked):
    model, y = noisy(), np.arange(6) % 3
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    fd.training.fit(model, optimizer, [(X, y)], loss=fd.softmax_cross_entropy, epochs=2, progress=False)
    assert asked == [(5, True), (4, False)] * 2
    twin = noisy()
    optimizer = fd.optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(2):
        twin.backward(fd.softmax_cross_entropy(twin.forward(X), y)[1])
        optimizer.step()
    np.testing.assert_array_equal(model.parameters().data, twin.parameters().data)


def test_a_classifier_leaves_it_out_by_itself(asked):
    model = fd.models.Classifier(4, 3, hidden=5, layers=1, noise=0.1, rng=0)
    model.fit(X, np.arange(6) % 3, epochs=1)
    assert asked == [(5, True), (4, False)]
    model.train()
    assert model.backward(np.ones_like(model.forward(X))).shape == X.shape


@pytest.mark.parametrize("make", [mlp, noisy, lambda: nn.Linear(4, 3), nn.Tanh, nn.Dropout, lambda: connected()[0]])
def test_the_keyword_takes_true_or_false_alone(make):
    model = make()
    y = model.forward(X)
    with pytest.raises(TypeError, match=r"^input_gradient: got 'no', expected True or False"):
        model.backward(np.ones_like(y), input_gradient="no")
    assert model.backward(np.ones_like(y)).shape == X.shape  # the forward still waits


def test_zoneout_has_two_gradients_or_none():
    layer = nn.Zoneout(0.3, rng=0)
    layer.forward(X, X)
    layer.forward(X, X)
    assert layer.backward(X, input_gradient=False) is None
    assert [one.shape for one in layer.backward(X)] == [X.shape, X.shape]


def test_sequence_classifiers_pass_it_on():
    model = fd.models.SequenceClassifier(4, 3, hidden=5, noise=0.1, rng=0)
    given = (X.reshape(3, 2, 4), np.array([3, 2]))
    dy = np.ones_like(model.forward(given))
    assert model.backward(dy).shape == (3, 2, 4)
    model.forward(given)
    assert model.backward(dy, input_gradient=False) is None
    assert not any(module._tape for module in model.modules())


OVER_TIME = np.random.default_rng(1).standard_normal((6, 2, 4)).astype(np.float32)
WITHOUT_PARAMETERS = [
    nn.Flatten(), nn.Identity(), nn.MaxPool1d(2), nn.AvgPool1d(2), nn.Softmax(), nn.LogSoftmax(), nn.GELU(), nn.SiLU(),
    nn.ELU(), nn.LeakyReLU(), nn.Softplus(), nn.Hardtanh(), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Dropout(0.5, rng=0),
    nn.GaussianDropout(0.5, rng=0), nn.GaussianNoise(0.5, rng=0), nn.AlphaDropout(0.5, rng=0), nn.Residual(nn.ReLU()),
    nn.LayerNorm(4, elementwise_affine=False), nn.BatchNorm1d(4, affine=False), nn.Sequential(nn.Flatten()),
]  # fmt: skip


@pytest.mark.parametrize("layer", WITHOUT_PARAMETERS, ids=lambda one: type(one).__name__)
def test_a_first_layer_without_parameters_only_takes_its_forward_off_the_tape(layer):
    layer.forward(OVER_TIME)
    assert layer.backward(None, input_gradient=False) is None
    assert all(not one._tape for one in layer.modules())
