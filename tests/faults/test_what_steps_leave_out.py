"""No step leaves something out in silence: layers that came later, micro-batches that were zeroed, frozen arrays."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd

f32 = np.float32
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(8, 3)).astype(f32), rng.normal(size=(8, 2)).astype(f32)
HALVES = [(X[:4], Y[:4]), (X[4:], Y[4:])]


class Net(fd.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = fd.nn.Linear(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1)

    def forward(self, x):
        return self.head(self.body(x))

    def backward(self, dy):
        return self.body.backward(self.head.backward(dy))


def backward(model, x=X, y=Y):
    model.backward(fd.mse_loss(model(x), y)[1])


# ---- layers that came after the optimizer -------------------------------------------------------------------------
def test_a_step_after_a_layer_was_replaced_is_refused():
    model = Net()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    model.head = fd.nn.Linear(4, 2, rng=7)
    backward(model)
    before = model.body.weight.data.copy()
    with pytest.raises(ValueError, match=r"parameters: head\.weight, head\.bias joined the model since"):
        optimizer.step()
    assert np.array_equal(model.body.weight.data, before)
    assert optimizer.steps == 0
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    optimizer.step()
    assert not np.array_equal(model.body.weight.data, before)


def test_a_callback_cannot_replace_a_layer_or_the_model_unnoticed():
    class Head(fd.training.Callback):
        def on_epoch_end(self, run):
            run.model.head = fd.nn.Linear(4, 2, rng=7)

    class Whole(fd.training.Callback):
        def on_epoch_end(self, run):
            setattr(run, self.name, copy.deepcopy(getattr(run, self.name)))

    options = {"loss": fd.mse_loss, "epochs": 2, "progress": False}
    model = Net()
    with pytest.raises(ValueError, match="joined the model since"):
        fd.training.fit(model, fd.optim.SGD(model.parameters(), lr=0.1), HALVES, callbacks=[Head()], **options)
    for name in ("model", "optimizer"):
        model, callback = Net(), Whole()
        callback.name = name
        with pytest.raises(ValueError, match=f"run.{name}: cannot be another"):
            fd.training.fit(model, fd.optim.SGD(model.parameters(), lr=0.1), HALVES, callbacks=[callback], **options)


def test_layers_that_left_or_are_frozen_or_trained_elsewhere_are_no_hindrance():
    model = Net()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    model.extra = fd.nn.Linear(2, 2, rng=0).freeze()
    backward(model)
    optimizer.step()
    model.head = fd.nn.Linear(4, 2, rng=7)
    second = fd.optim.SGD(model.head.parameters(), lr=0.1)
    before = model.head.weight.data.copy()
    backward(model)
    optimizer.step()
    second.step()
    assert not np.array_equal(model.head.weight.data, before)
    del model.extra
    backward(model)
    optimizer.step()


def test_zero_grad_of_a_whole_leaves_the_optimizers_of_its_parts_valid():
    model = Net()
    parts = [fd.optim.SGD(part.parameters(), lr=0.1) for part in (model.body, model.head)]
    backward(model)
    model.zero_grad()
    assert not model.body.weight.grad.any()
    assert not model.head.bias.grad.any()
    whole = Net()
    optimizer = fd.optim.SGD(whole.parameters(), lr=0.1)
    for _ in range(2):
        for one, owners in ((model, parts), (whole, [optimizer])):
            one.zero_grad()
            backward(one)
            for owner in owners:
                owner.step()
    assert np.array_equal(model.body.weight.data, whole.body.weight.data)


# ---- gradients that an optimizer gathers --------------------------------------------------------------------------
@pytest.mark.parametrize("whose", ["optimizer", "model"])
@pytest.mark.parametrize("copied", [lambda pair: pair, copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_zeroing_what_was_gathered_is_refused_once(whose, copied):
    model = Net()
    model, optimizer = copied((model, fd.optim.SGD(model.parameters(), lr=0.1, accumulate=2)))
    zeroing = {"optimizer": optimizer, "model": model}[whose]
    for k in range(2):  # at the start of each whole step it is right
        zeroing.zero_grad()
        for x, y in HALVES:
            backward(model, x, y)
            optimizer.step()
        assert optimizer.steps == k + 1
    backward(model)
    optimizer.step()
    model, optimizer = copied((model, optimizer))
    zeroing = {"optimizer": optimizer, "model": model}[whose]
    before = model.body.weight.data.copy()
    zeroing.zero_grad()
    backward(model)
    with pytest.raises(ValueError, match=r"gradients: those of 1 of 2 calls of step were zeroed"):
        optimizer.step()
    assert np.array_equal(model.body.weight.data, before)
    optimizer.zero_grad()
    for _ in range(2):
        backward(model)
        optimizer.step()
    assert optimizer.steps == 3


def test_zeroing_gathered_arrays_is_refused():
    arrays = [(np.ones(2), np.ones(2))]
    optimizer = fd.optim.SGD(arrays, lr=0.1, accumulate=2)
    optimizer.step()
    optimizer.zero_grad()
    with pytest.raises(ValueError, match="were zeroed"):
        optimizer.step()
    assert np.array_equal(arrays[0][0], np.ones(2))


@pytest.mark.parametrize("max_norm", [0.05, 0.5, 50.0])
def test_max_norm_clips_what_an_optimizer_gathers_once(max_norm):
    found = []
    for of_fit, of_optimizer in ((2, 1), (1, 2)):
        model = Net()
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1, accumulate=of_optimizer)
        options = {"loss": fd.mse_loss, "epochs": 3, "progress": False, "max_norm": max_norm}
        fd.training.fit(model, optimizer, HALVES, accumulate=of_fit, **options)
        found.append(model.parameters().data.copy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_failed_run_gives_up_what_was_gathered():
    model = Net()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1, accumulate=2)
    bad = [HALVES[0], (X[:4], np.full((4, 2), np.nan, f32))]
    with pytest.raises(FloatingPointError):
        fd.training.fit(model, optimizer, bad, loss=fd.mse_loss, progress=False)
    fd.training.fit(model, optimizer, HALVES, loss=fd.mse_loss, progress=False)
    other = Net()
    second = fd.optim.SGD(other.parameters(), lr=0.1, accumulate=2)
    fd.training.fit(other, second, HALVES, loss=fd.mse_loss, progress=False)
    assert np.array_equal(model.parameters().data, other.parameters().data)


# ---- freezing -----------------------------------------------------------------------------------------------------
def test_fit_refuses_an_optimizer_that_cannot_know_of_freezing():
    model = Net()
    model.body.freeze()
    pairs = [(one.data, one.grad) for one in model.parameters()]
    with pytest.raises(ValueError, match=r"optimizer: got one over arrays, which cannot tell that body\.weight"):
        fd.training.fit(model, fd.optim.SGD(pairs, lr=0.1, weight_decay=0.1), HALVES, loss=fd.mse_loss, progress=False)
