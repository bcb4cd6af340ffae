"""What decides the next step is in the checkpoint or refused: frozen parameters, held generators, late attributes."""

import random

import numpy as np
import pytest

import fastdl as fd

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)


class Drawing(fd.nn.Module):
    def __init__(self, held):
        super().__init__()
        self.layer, self.held = fd.nn.Linear(3, 2, rng=0), held

    def forward(self, x):
        one = self.held
        while isinstance(one, (list, tuple, dict)):
            one = one["a"] if isinstance(one, dict) else one[0]
        if isinstance(one, np.random.BitGenerator):
            one = np.random.Generator(one)
        noise = one.random() if hasattr(one, "random") else one.uniform(0.0, 1.0, (1,), np.float32)
        return self.layer(x + np.float32(noise))

    def backward(self, dy):
        return self.layer.backward(dy)


class Interrupt(fd.training.Callback):
    def __init__(self, at):
        self.at = at

    def on_step_end(self, run):
        if run.step == self.at:
            run.stop()
            raise KeyboardInterrupt


def run(make, path, at=0, callbacks=(), **options):
    model = make()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    options = {"loss": fd.mse_loss, "epochs": 3, "progress": False, "checkpoint": path, "checkpoint_every": 1} | options
    fd.training.fit(model, optimizer, [(X, Y)] * 3, callbacks=[*callbacks, Interrupt(at)], **options)
    return model


def resumed_as_straight(make, folder, at, callbacks=lambda: ()):
    straight = run(make, folder / "straight", callbacks=callbacks())
    with pytest.raises(KeyboardInterrupt):
        run(make, folder / "parts", at, callbacks=callbacks())
    parts = run(make, folder / "parts", callbacks=callbacks(), resume=True)
    return np.array_equal(straight.parameters().data, parts.parameters().data)


@pytest.mark.parametrize(
    "held",
    [
        lambda: random.Random(0),
        lambda: np.random.RandomState(0),
        lambda: np.random.PCG64(0),
        lambda: np.random.default_rng(0),
        lambda: [np.random.default_rng(0)],
        lambda: {"a": (random.Random(0),)},
        lambda: {"a": fd.random.Generator(0)},
    ],
)
def test_generators_of_every_kind_and_in_containers(held, tmp_path):
    assert resumed_as_straight(lambda: Drawing(held()), tmp_path, 5)


def test_a_bad_state_leaves_such_generators_as_they_were():
    model = Drawing([random.Random(0), np.random.RandomState(0)])
    state = model.random_state()
    assert state.keys() == {"held[0]", "held[1]"}
    want = random.Random(0).random()
    bad = state | {"held[1]": {"bit_generator": "none"}}
    model.held[0].random()
    before = model.held[0].getstate()
    with pytest.raises((TypeError, ValueError)):
        model.load_random_state(bad)
    assert model.held[0].getstate() == before
    model.load_random_state(state)
    assert model.held[0].random() == want


class FreezeLater(fd.training.Callback):
    def on_epoch_end(self, run):
        if run.epoch == 1:
            run.model[0].freeze()


@pytest.mark.parametrize("at", [2, 4, 5])
def test_what_a_callback_froze_stays_frozen(at, tmp_path):
    def make():
        return fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh(), fd.nn.Linear(4, 2, rng=1))

    assert resumed_as_straight(make, tmp_path, at, lambda: [FreezeLater()])


class Late(fd.training.Callback):
    def on_train_begin(self, run):
        self.average = fd.optim.ExponentialAverage(run.model.parameters())


class Noisy:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 2

    def __iter__(self):
        for _ in range(2):
            yield X + self.rng.normal(size=X.shape).astype(np.float32), Y


def test_what_is_made_at_the_start_of_training_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"callbacks\[0\]: got Late, which holds an ExponentialAverage \(average\)"):
        run(lambda: fd.nn.Linear(3, 2, rng=0), tmp_path / "c", callbacks=[Late()])


@pytest.mark.parametrize("name", ["batches", "validation"])
def test_batches_that_draw_are_refused_with_a_checkpoint(name, tmp_path):
    model = fd.nn.Linear(3, 2, rng=0)
    data = {"batches": [(X, Y)], name: Noisy()}
    options = {"loss": fd.mse_loss, "progress": False, "validation": data.get("validation")}
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    fd.training.fit(model, optimizer, data["batches"], **options)
    with pytest.raises(
        ValueError, match=rf"{name}: got Noisy, which holds a Generator \(rng\).*iterate\(epoch, start\)"
    ):
        fd.training.fit(model, optimizer, data["batches"], checkpoint=tmp_path / "c", **options)
