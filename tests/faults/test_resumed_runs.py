"""A run that was stopped at a random step and resumed is the run that was not, bit for bit: whatever takes part in it.

The tables are in tests/resumed_cases.py. What is new and in none of them fails the test.
"""

import inspect

import numpy as np
import pytest
from resumed_cases import (
    AVERAGES,
    CALLBACKS,
    CODES,
    EPOCHS,
    GATHERING,
    LAYERS,
    MODELS,
    OF_TEXT,
    OPTIMIZERS,
    PADDED,
    SCHEDULES,
    STEPS,
    WITHOUT_STATE,
    Average,
    check,
    ignoring,
    network,
    plain,
)  # fmt: skip

import fastdl as fd
from fastdl.optim import schedules
from fastdl.training import Callback, fit


def public(module, base):
    found = {name: getattr(module, name) for name in module.__all__}
    return {name for name, one in found.items() if inspect.isclass(one) and issubclass(one, base) and one is not base}


def test_the_tables_are_complete():
    assert public(fd.optim, fd.optim.Optimizer) == OPTIMIZERS.keys()
    names = {name for name, one in vars(schedules).items() if inspect.isfunction(one) and not name.startswith("_")}
    names = {name for name in names if vars(schedules)[name].__module__ == schedules.__name__}
    assert names == SCHEDULES.keys()
    assert public(fd.nn, fd.nn.Module) == LAYERS.keys() | WITHOUT_STATE
    assert public(fd.models, fd.nn.Module) == MODELS.keys()
    assert public(fd.training, Callback) == CALLBACKS.keys() | OF_TEXT
    others = public(fd.optim, object) - OPTIMIZERS.keys() - {"Optimizer"}
    assert others == AVERAGES.keys() | {"Scheduler", "ReduceOnPlateau"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, tmp_path):
    kind = getattr(fd.optim, name)
    check(lambda seed: plain(seed, lambda p, lr: kind(p, lr=lr, **OPTIMIZERS[name])), name, tmp_path)


@pytest.mark.parametrize("name", GATHERING)
def test_optimizers_that_take_several_batches_a_step(name, tmp_path):
    kind = getattr(fd.optim, name)
    check(lambda seed: plain(seed, lambda p, lr: kind(p, lr=lr, **GATHERING[name])), name, tmp_path)


@pytest.mark.parametrize("name", ["SGD", "AdaGrad", "Adam", "AdamW"])
def test_optimizers_that_update_rows(name, tmp_path):
    kind = getattr(fd.optim, name)
    data = [(codes % 2, codes) for codes in CODES]  # three rows of the table are never named
    check(lambda seed: plain(seed, lambda p, lr: kind(p, lr=lr, lazy=True)), name, tmp_path, data)
    model, optimizer, _ = plain(0, lambda p, lr: kind(p, lr=lr, lazy=True))
    before = model.state_dict()["0.weight"][2:]
    fit(model, optimizer, data, progress=False)
    assert np.array_equal(model.state_dict()["0.weight"][2:], before)
    assert not any(array[2:].any() for run in optimizer.groups[0].runs[:1] for array in rows_of(run))


def rows_of(run):
    return [array.reshape(5, 4) for array in run.states.values()]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name, tmp_path):
    check(lambda seed: plain(seed, schedule=SCHEDULES[name]()), name, tmp_path)


def test_scheduler_and_plateau(tmp_path):
    def scheduler(seed):
        model, optimizer, _ = plain(seed, fd.optim.Adam)
        return model, optimizer, {"schedule": fd.optim.Scheduler(optimizer, schedules.cosine(18))}

    def plateau(seed):
        model, optimizer, _ = plain(seed)
        made = fd.optim.ReduceOnPlateau(optimizer, factor=0.5, patience=0, threshold=0.5, cooldown=1)
        return model, optimizer, {"schedule": made}

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    check(scheduler, "Scheduler", tmp_path / "a")
    check(plateau, "ReduceOnPlateau", tmp_path / "b")


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer])
def test_layers(name, tmp_path):
    def make(seed):
        model = network(seed, layer=LAYERS[name])
        return model, fd.optim.Adam(model.parameters(), lr=0.05), {}

    check(make, name, tmp_path)


def test_embedding_dropout(tmp_path):
    def make(seed):
        embedding = fd.nn.Embedding(5, 4, rng=seed)
        model = fd.nn.Sequential(fd.nn.EmbeddingDropout(embedding, 5, 0.3, rng=seed), fd.nn.Linear(4, 5, rng=seed))
        return model, fd.optim.Adam(model.parameters(), lr=0.05, lazy=False), {}

    check(make, "EmbeddingDropout", tmp_path)


def test_heads_that_draw(tmp_path):
    def make(seed):
        head = fd.nn.LinearCrossEntropy(4, 5, samples=2, rng=seed)
        model = fd.nn.Sequential(fd.nn.Embedding(5, 4, rng=seed), head)
        return model, fd.optim.SGD(model.parameters(), lr=0.05), {"loss": head.loss}

    check(make, "LinearCrossEntropy", tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_models(name, tmp_path):
    build, data = MODELS[name]

    def make(seed):
        model = build(seed)
        schedule = schedules.one_cycle(STEPS * EPOCHS)
        return model, fd.optim.AdamW(model.parameters(), lr=0.05), {"schedule": schedule, "max_norm": 1.0}

    check(make, name, tmp_path, data, fd.mse_loss if name == "Forecaster" else ignoring)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(name, tmp_path):
    if name == "TensorBoard":
        pytest.importorskip("tensorboardX")
    check(lambda seed: plain(seed, callbacks=[CALLBACKS[name](tmp_path)]), name, tmp_path)


def test_sampled_text(tmp_path):
    def make(seed):
        model = fd.models.CharLM(fd.text.Vocabulary("abc "), 4, 6, rng=seed)
        shown = []
        return (
            model,
            fd.optim.Adam(model.parameters()),
            {"callbacks": [fd.training.SampleText("ab", 9, show=shown.append)]},
        )

    codes = [(np.array([[1, 2], [2, 3], [3, 1]]), np.array([[2, 3], [3, 1], [1, 2]]))] * STEPS
    check(make, "text", tmp_path, codes, fd.softmax_cross_entropy)


@pytest.mark.parametrize("name", AVERAGES)
def test_a_mean_of_the_weights_in_fit(name, tmp_path):
    def make(seed):
        model, optimizer, options = plain(seed)
        return model, optimizer, options | {"average": AVERAGES[name](model.parameters()), "restore_best": True}

    check(make, name, tmp_path)


def test_metrics_and_what_is_monitored(tmp_path):
    def make(seed):
        model, optimizer, options = plain(seed)
        more = {"metrics": ["accuracy", mean_output], "monitor": "accuracy", "restore_best": True}
        return model, optimizer, options | more

    check(make, "metrics", tmp_path)


class Smoothed:
    """A metric of one's own that remembers: the mean output, of which each batch moves a tenth."""

    __name__ = "smoothed"

    def __init__(self):
        self.value = 0.0

    def __call__(self, outputs, targets):
        self.value += 0.1 * (float(outputs.mean()) - self.value)
        return self.value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_metrics_of_ones_own_with_a_state(tmp_path):
    def make(seed):
        model, optimizer, options = plain(seed)
        return model, optimizer, options | {"metrics": [Smoothed(), fd.metrics.Metric("top_k_accuracy", k=2)]}

    check(make, "smoothed", tmp_path)


def mean_output(outputs, targets):
    return float(outputs.mean())


@pytest.mark.parametrize("name", AVERAGES)
def test_averages(name, tmp_path):
    def make(seed):
        model, optimizer, _ = plain(seed)
        return model, optimizer, {"callbacks": [Average(AVERAGES[name](model.parameters()))]}

    check(make, name, tmp_path)


def test_carried_state_groups_and_padding(tmp_path):
    def make(seed):
        return plain(seed, fd.optim.Adam, carry_state=True, max_norm=0.5, validation=PADDED[:2])

    check(make, "carried", tmp_path, PADDED, ignoring)


def test_penalties_with_a_state(tmp_path):
    class Growing:
        def __init__(self):
            self.weight = 0.0

        def add(self, parameters):
            self.weight += 0.01
            return fd.norms.L2(self.weight).add(parameters)

        def state_dict(self):
            return {"weight": self.weight}

        def load_state_dict(self, state):
            self.weight = state["weight"]

    check(lambda seed: plain(seed, penalties=[Growing()]), "penalty", tmp_path)
