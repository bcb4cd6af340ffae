"""What holds a state that a checkpoint would lose is refused; what the checkpoint has anyway may be held."""

import random

import numpy as np
import pytest
from resumed_cases import CODES, MODELS, ignoring, plain

import fastdl as fd
from fastdl.optim import schedules
from fastdl.training import Callback, EarlyStopping, fit


class Holder(Callback):
    def __init__(self, **attributes):
        vars(self).update(attributes)


def held(optimizer):
    scheduler = fd.optim.Scheduler(optimizer, schedules.cosine(9))
    return {
        "Scheduler": {"s": scheduler},
        "ReduceOnPlateau": {"watch": [{"deep": (fd.optim.ReduceOnPlateau(optimizer),)}]},
        "Generator": {"rng": fd.random.Generator(0)},
        "a Generator": {"by_name": {"a": np.random.default_rng(0)}},
        "RandomState": {"rng": np.random.RandomState(0)},
        "Random": {"rng": random.Random(0)},
        "ExponentialAverage": {"average": fd.optim.ExponentialAverage(optimizer._memory._arena)},
        "StochasticAverage": {"average": fd.optim.StochasticAverage(optimizer._memory._arena)},
        "Adam": {"other": fd.optim.Adam([(np.zeros(1), np.zeros(1))])},
        "EarlyStopping": {"inner": EarlyStopping(3)},
        "generator": {"rates": (1.0 / k for k in range(1, 9))},
        "a Scheduler": {"advance": lambda: scheduler.step()},
        "the Scheduler": {"advance": scheduler.step},
    }


@pytest.mark.parametrize("what", held(fd.optim.SGD(fd.nn.Linear(1, 1).parameters())))
def test_a_callback_that_holds_state_and_gives_none_is_refused(what, tmp_path):
    model, optimizer, _ = plain(0)
    attributes = held(optimizer)[what]
    before, lr = model.parameters().data.copy(), optimizer.lr
    options = {"epochs": 1, "callbacks": [Callback(), Holder(**attributes)], "progress": False}
    pattern = rf"^callbacks\[1\]: got Holder, which holds an? {what.split()[-1]} \({next(iter(attributes))}.*state_dict"
    with pytest.raises(ValueError, match=pattern):
        fit(model, optimizer, [(CODES[0], CODES[1])], checkpoint=tmp_path / "file", **options)
    assert np.array_equal(model.parameters().data, before)
    assert optimizer.lr == lr
    assert not (tmp_path / "file").exists()
    fit(model, optimizer, [(CODES[0], CODES[1])], **options)  # without a checkpoint nothing is lost


def test_what_the_checkpoint_holds_anyway_may_be_held(tmp_path):
    model = fd.models.Tagger(5, 5, 4, 4, rng=0)
    optimizer = fd.optim.SGD(model.parameters())
    plateau = fd.optim.ReduceOnPlateau(optimizer)
    stop = EarlyStopping()
    options = {"loss": ignoring, "schedule": plateau, "checkpoint": tmp_path / "file", "progress": False}
    with (tmp_path / "log").open("w") as log:
        callbacks = [Holder(model=model, rng=model.rng, o=[optimizer], p=plateau, stop=stop, log=log), stop]
        fit(model, optimizer, MODELS["Tagger"][1], callbacks=callbacks, **options)
    assert (tmp_path / "file").exists()


def test_penalties_losses_and_schedules_are_looked_through_as_well(tmp_path):
    rng = np.random.default_rng(0)

    class Noisy:
        def __init__(self):
            self.rng = rng

        def add(self, parameters):
            return 0.0

        def apply(self, parameters):
            pass

    def loss(z, y):
        return fd.softmax_cross_entropy(z, y, label_smoothing=rng.uniform(0, 0.1))

    for name, option in (
        (r"penalties\[0\]", {"penalties": [Noisy()]}),
        (r"constraints\[0\]", {"constraints": [Noisy()]}),
        ("loss", {"loss": loss}),
        ("schedule", {"schedule": lambda step: rng.uniform(0, 1)}),
    ):
        model, optimizer, _ = plain(0)
        with pytest.raises(ValueError, match=rf"^{name}: got .*Generator \(rng\)"):
            fit(model, optimizer, [(CODES[0], CODES[1])], checkpoint=tmp_path / "f", progress=False, **option)
