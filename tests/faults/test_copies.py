"""Copies and pickles train as the original does, to the bit, and are independent of it."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 11, (2, 8, 5, 3))
WAYS = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda one, p=p: pickle.loads(pickle.dumps(one, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}
OPTIMIZERS = [
    ("Adam", {}),
    ("Adam", {"lazy": True}),
    ("SGD", {"momentum": 0.9, "accumulate": 2}),
    ("AdamW", {"groups": [{"params": lambda name, one: one.ndim == 1, "lr": 0.1}]}),
    ("RMSProp", {"clip_norm": 0.5}),
]


@pytest.fixture(params=list(WAYS))
def duplicate(request):
    return WAYS[request.param]


def language_model(dtype=np.float32, tied=True):
    words = fd.nn.Embedding(11, 6, rng=0, dtype=dtype)
    cells = fd.nn.LSTM(6, 6, num_layers=2, dropout=0.3, state_dropout=0.1, rng=1, dtype=dtype)
    return fd.nn.Sequential(words, cells, fd.nn.Linear(6, 11, rng=2, tied=words if tied else None, dtype=dtype))


def train(model, optimizer, first, last):
    for k in range(first, last):
        _, gradient = fd.softmax_cross_entropy(model(X[k]), Y[k])
        model.backward(gradient)
        fd.optim.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def values(model):
    return np.concatenate([one.data.ravel() for _, one in model.named_parameters()])


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_model_and_optimizer_go_on_as_the_original(name, settings, duplicate):
    model = language_model()
    optimizer = getattr(fd.optim, name)(model.parameters(), **{"lr": 0.05, **settings})
    train(model, optimizer, 0, 3)
    _, gradient = fd.softmax_cross_entropy(model(X[7]), Y[7])
    model.backward(gradient)  # written, not yet stepped on
    twin, follower = duplicate((model, optimizer))
    before = values(model)
    train(twin, follower, 3, 6)
    np.testing.assert_array_equal(values(model), before)
    train(model, optimizer, 3, 6)
    np.testing.assert_array_equal(values(twin), values(model))
    assert (values(model) != before).any()


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_alone_trains_in_fit(gathered, dtype, duplicate):
    layer = fd.nn.Linear(3, 2, rng=0, dtype=dtype)
    if gathered:
        layer.parameters()
    twin = duplicate(layer)
    batches = [(np.ones((4, 3), dtype), np.zeros((4, 2), dtype))] * 20
    curves = [
        fd.training.fit(one, fd.optim.SGD(one.parameters(), lr=0.1), batches, loss=fd.mse_loss, progress=False).losses
        for one in (twin, layer)
    ]
    assert [float(one) for one in curves[0]] == [float(one) for one in curves[1]]
    assert curves[0][-1] < 1e-6


def test_every_model_trains_after_a_copy(duplicate):
    model = fd.models.Classifier(2, 2, hidden=8, dropout=0.0, rng=0)
    x = RNG.normal(size=(60, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    model.fit(x, y, epochs=1)
    twin = duplicate(model)
    before = values(twin)
    model.fit(x, y, epochs=2)
    twin.fit(x, y, epochs=2)
    np.testing.assert_array_equal(values(twin), values(model))
    assert (values(twin) != before).any()


def test_norms_and_views_are_those_of_the_copy(duplicate):
    model = language_model(np.float64)
    model.parameters()
    twin = duplicate(model)
    _, gradient = fd.softmax_cross_entropy(twin(X[0]), Y[0])
    twin.backward(gradient)
    flat = np.concatenate([one.grad.ravel() for one in twin.parameters()])
    assert fd.optim.clip_grad_norm_(twin.parameters(), 1e9) == pytest.approx(np.linalg.norm(flat), rel=1e-12)
    for one, original in zip(twin.parameters(), model.parameters(), strict=True):
        assert np.may_share_memory(one.data, twin.parameters().data)
        assert np.may_share_memory(one.grad, twin.parameters().grad)
        assert not np.may_share_memory(one.data, original.data)
    assert twin[0].weight is twin[2].weight


def test_a_child_copied_alone_takes_its_own_arrays_only(duplicate):
    model = fd.nn.Sequential(fd.nn.Linear(500, 500, rng=0), fd.nn.Linear(2, 2, rng=0))
    model.parameters()
    assert len(pickle.dumps(model[1])) < 5000
    child = duplicate(model[1])
    child.parameters().data[:] = 0
    assert model[1].weight.data.all()
    assert model.parameters().is_current()
    parameter = duplicate(model[1].weight)
    parameter.data = 0 * parameter.data
    assert model[1].weight.data.all()


def test_a_larger_models_copy_is_not_disturbed_by_its_parts(duplicate):
    inner = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0))
    inner.parameters()
    outer = fd.nn.Sequential(inner, fd.nn.Linear(2, 1, rng=1))
    optimizer = fd.optim.SGD(outer.parameters(), lr=0.1)
    twin, follower = duplicate((outer, optimizer))
    twin(np.ones((1, 2), np.float32))
    twin.backward(np.ones((1, 1), np.float32))
    before = values(twin)
    follower.step()
    assert (values(twin) != before).any()


def test_averages_and_closure_optimizers_follow(duplicate):
    layer = fd.nn.Linear(3, 2, rng=0, dtype=np.float64)
    x, y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    optimizer, average = fd.curvature.LBFGS(layer.parameters()), fd.optim.ExponentialAverage(layer.parameters(), 0.5)

    def closure(model):
        loss, gradient = fd.mse_loss(model(x), y)
        model.backward(gradient)
        return loss

    def run(model, optimizer, average):
        for _ in range(2):
            optimizer.step(lambda: closure(model))
            average.update()
        average.apply()

    run(layer, optimizer, average)
    copied = duplicate((layer, optimizer, average))
    run(*copied)
    assert (values(copied[0]) != values(layer)).any()
    run(layer, optimizer, average)
    np.testing.assert_array_equal(values(copied[0]), values(layer))


def test_an_average_of_parameters_that_moved_is_refused():
    layer = fd.nn.Linear(3, 2, rng=0)
    average = fd.optim.ExponentialAverage(layer.parameters())
    fd.nn.Sequential(layer, fd.nn.Tanh()).parameters()
    with pytest.raises(ValueError, match="parameters: these moved into a larger model"):
        average.update()


def test_an_optimizer_over_a_list_follows_the_arrays_copied_with_it(duplicate):
    w, g = np.ones((2, 2)), np.ones((2, 2))
    optimizer = fd.optim.SGD([(w, g)], lr=0.1, momentum=0.9)
    optimizer.step()
    twin, gradient, follower = duplicate((w, g, optimizer))
    gradient[:] = 2
    follower.step()
    np.testing.assert_allclose(twin, 1 - 0.1 - 0.1 * (0.9 + 2))
    np.testing.assert_allclose(w, 0.9)


def test_frozen_stays_frozen(duplicate):
    model = language_model()
    model[1].freeze()
    model.parameters()
    twin = duplicate(model)
    assert [one.frozen for one in twin.parameters()] == [one.frozen for one in model.parameters()]
    assert twin[1].weight_ih_l0.frozen and not twin[0].weight.frozen  # noqa: PT018


def test_a_shallow_copy_is_another_module_over_the_same_parameters():
    model = language_model()
    arena = model.parameters()
    other = copy.copy(model)
    assert other.parameters() is copy.copy(arena) is arena
    setattr(other, "3", fd.nn.Tanh())
    assert (len(model), len(other)) == (3, 4)
    model.train()(X[0])
    assert not other._tape
    single = copy.copy(model[0].weight)
    single.data = 0 * single.data
    assert model[0].weight.data.any()


def test_tapes_stay_behind(duplicate):
    model = language_model()
    empty = len(pickle.dumps(model))
    for _ in range(10):
        model(X[0])
    assert len(pickle.dumps(model)) <= empty + 100
    twin = duplicate(model)
    with pytest.raises(RuntimeError, match="no forward to undo"):
        twin.backward(np.zeros((5, 3, 11), np.float32))
