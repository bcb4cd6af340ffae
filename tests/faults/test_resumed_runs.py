"""A run that was stopped at a random step and resumed is the run that was not, bit for bit: whatever takes part in it.

One table a kind. A new model, layer, optimizer, schedule or callback that is not in its table fails the test.
"""

import contextlib
import inspect
import random
import signal
import zlib

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import schedules
from fastdl.training import Callback, EarlyStopping, SaveBest, fit
from fastdl.training._tree import flatten

STEPS, EPOCHS = 6, 3
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 5, (STEPS, 4, 3))
LAST = CODES[:, 0]
VECTORS = RNG.standard_normal((STEPS, 4, 3, 2)).astype(np.float32)
LENGTHS = np.array([4, 1, 3])
REAL = np.arange(4)[:, None] < LENGTHS
PADDED = [(codes, np.where(REAL, codes, -1)) for codes in CODES]


def ignoring(z, y):
    return fd.softmax_cross_entropy(z, y, ignore_index=-1)


class StopAt(Callback):
    """Ctrl-C after a step."""

    def __init__(self, at):
        self.at = at

    def on_step_end(self, run):
        if run.step == self.at:
            signal.raise_signal(signal.SIGINT)


def interrupted(work):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGINT, before)


def network(seed, *, width=4, layer=None):
    """Tokens (T, B) to logits of five classes; `layer` keeps the width."""
    middle = [] if layer is None else [layer(width, seed + 1)]
    return fd.nn.Sequential(
        fd.nn.Embedding(5, width, rng=seed),
        *middle,
        fd.nn.LSTM(width, width, rng=seed + 2),
        fd.nn.Linear(width, 5, rng=seed + 3),
    )


def check(make, name, folder, data=None, loss=fd.softmax_cross_entropy, **common):
    """`make(seed)` gives model, optimizer and further options of a run; seeds differ, the result may not."""
    data = [(codes, codes[::-1].copy()) for codes in CODES] if data is None else data
    stops = random.Random(zlib.crc32(name.encode())).sample(range(1, STEPS * EPOCHS), 2)

    def run(path, seed, at=None, resume=False):
        model, optimizer, options = make(seed)
        options = common | options
        callbacks = [*options.pop("callbacks", []), StopAt(at)]
        work = lambda: fit(  # noqa: E731
            model, optimizer, data, epochs=EPOCHS, loss=loss, checkpoint=folder / path, resume=resume,
            callbacks=callbacks, progress=False, **options,
        )  # fmt: skip
        return model, optimizer, callbacks, work

    def result(model, optimizer, callbacks, history):
        arrays = {}
        state = [
            model.state_dict(),
            model.random_state(),
            optimizer.state_dict(),
            [one.state_dict() for one in callbacks],
            history.losses,
            [{key: value for key, value in row.items() if key != "seconds"} for row in history.epochs],
        ]
        return repr(flatten(state, "", arrays)), {key: one.tobytes() for key, one in arrays.items()}

    *parts, work = run("whole", 0)
    expected = result(*parts, work())
    for index, at in enumerate(stops):
        path = f"parts {index}"
        interrupted(run(path, 0, at)[-1])
        *parts, work = run(path, 7, resume=True)
        assert result(*parts, work()) == expected, f"{name}, stopped at step {at}"


def plain(seed, optimizer=fd.optim.SGD, **options):
    model = network(seed)
    return model, optimizer(model.parameters(), lr=0.05), options


# ---- the tables -------------------------------------------------------------------------------------
def public(module, base):
    found = {name: getattr(module, name) for name in module.__all__}
    return {name for name, one in found.items() if inspect.isclass(one) and issubclass(one, base) and one is not base}


OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "AMSGrad": {},
    "AdaDelta": {},
    "AdaGrad": {},
    "Adam": {},
    "AdamW": {"clip_norm": 0.5},
    "Adamax": {},
    "Lion": {},
    "NAdam": {},
    "RAdam": {},
    "RMSProp": {"momentum": 0.5, "centered": True},
}
GATHERING = {"Adam": {"accumulate": 4}, "SGD": {"accumulate": 5}}  # in the middle of an optimizer's own group
SCHEDULES = {
    "constant": lambda: schedules.constant(0.5),
    "step_decay": lambda: schedules.step_decay(5, 0.5),
    "multistep": lambda: schedules.multistep([3, 9], 0.5),
    "exponential": lambda: schedules.exponential(0.9),
    "polynomial": lambda: schedules.polynomial(18),
    "cosine": lambda: schedules.cosine(18),
    "warm_restarts": lambda: schedules.warm_restarts(4, 2),
    "one_cycle": lambda: schedules.one_cycle(18),
    "cyclic": lambda: schedules.cyclic(0.2, 4),
    "inverse_sqrt": lambda: schedules.inverse_sqrt(4),
    "warm_up": lambda: schedules.warm_up(schedules.cosine(14), 4),
    "sequence": lambda: schedules.sequence([schedules.constant(), schedules.exponential(0.8)], [7]),
}
LAYERS = {
    "Dropout": lambda width, seed: fd.nn.Dropout(0.4, rng=seed),
    "AlphaDropout": lambda width, seed: fd.nn.AlphaDropout(0.4, rng=seed),
    "GaussianDropout": lambda width, seed: fd.nn.GaussianDropout(0.4, rng=seed),
    "GaussianNoise": lambda width, seed: fd.nn.GaussianNoise(0.4, rng=seed),
    "Zoneout": lambda width, seed: Mixed(fd.nn.Zoneout(0.4, rng=seed)),
    "EmbeddingDropout": None,  # has a test of its own: it takes tokens
    "DropConnect": lambda width, seed: fd.nn.DropConnect(fd.nn.Linear(width, width, rng=seed), 0.4, rng=seed),
    "LSTM": lambda width, seed: fd.nn.LSTM(
        width, width, num_layers=2, dropout=0.2, input_dropout=0.1, state_dropout=0.1, candidate_dropout=0.1,
        weight_dropout=0.1, zoneout=0.1, zoneout_cell=0.1, rng=seed,
    ),
    "GRU": lambda width, seed: fd.nn.GRU(width, width, num_layers=2, dropout=0.2, state_dropout=0.2, rng=seed),
    "RNN": lambda width, seed: fd.nn.RNN(width, width, num_layers=2, dropout=0.2, state_dropout=0.2, rng=seed),
}  # fmt: skip
WITHOUT_STATE = {
    "AdditiveAttention", "DotAttention", "Embedding", "Linear", "ReLU", "Sequential", "Sigmoid", "Tanh",
}  # fmt: skip
MODELS = {
    "CharLM": (
        lambda seed: fd.models.CharLM(fd.text.Vocabulary("abcd"), 4, 4, 2, 0.3, rng=seed),
        [(codes, codes[::-1].copy()) for codes in CODES],
    ),
    "Classifier": (
        lambda seed: fd.models.Classifier(2, 5, 4, dropout=0.3, noise=0.2, rng=seed),
        [(x[0], y[0]) for x, y in zip(VECTORS, CODES, strict=True)],
    ),
    "Forecaster": (
        lambda seed: fd.models.Forecaster(4, 4, 0.3, rng=seed),
        [(x[..., 0].T.copy(), x[0, :, :1].copy()) for x in VECTORS],
    ),
    "Seq2Seq": (
        lambda seed: fd.models.Seq2Seq(5, 4, 4, 4, "additive", teacher_forcing=0.5, dropout=0.3, rng=seed),
        [((codes, LENGTHS, codes), wanted) for codes, wanted in PADDED],
    ),
    "SequenceClassifier": (
        lambda seed: fd.models.SequenceClassifier(2, 5, 4, 0.3, noise=0.2, rng=seed),
        [((x, LENGTHS), y) for x, y in zip(VECTORS, LAST, strict=True)],
    ),
    "SequenceGenerator": (
        lambda seed: fd.models.SequenceGenerator(5, 4, 2, 3, 4, 0.3, rng=seed),
        [((y, np.zeros((4, 3, 2), np.int64)), RNG.integers(0, 3, (4, 3, 2))) for y in LAST],
    ),
    "Tagger": (
        lambda seed: fd.models.Tagger(5, 5, 4, 4, 0.3, unknown=0.3, rng=seed),
        [((codes, LENGTHS), wanted) for codes, wanted in PADDED],
    ),
}
CALLBACKS = {"EarlyStopping": lambda folder: EarlyStopping(2), "SaveBest": lambda folder: SaveBest(folder / "best")}


class Mixed(fd.nn.Module):
    """Zoneout between its input and the negative of it."""

    def __init__(self, zoneout):
        super().__init__()
        self.zoneout = zoneout

    def forward(self, x):
        return self.zoneout.forward(x, -x)

    def backward(self, dy):
        dnew, dold = self.zoneout.backward(dy)
        return dnew - dold


class Average(Callback):
    """An average of the parameters, with a state, as the documentation says."""

    def __init__(self, average):
        self.average = average

    def on_step_end(self, run):
        self.average.update()

    def state_dict(self):
        return self.average.state_dict()

    def load_state_dict(self, state):
        self.average.load_state_dict(state)


AVERAGES = {
    "ExponentialAverage": lambda parameters: fd.optim.ExponentialAverage(parameters, 0.8, warm_up=True),
    "StochasticAverage": fd.optim.StochasticAverage,
}


def test_the_tables_are_complete():
    assert public(fd.optim, fd.optim.Optimizer) == OPTIMIZERS.keys()
    names = {name for name, one in vars(schedules).items() if inspect.isfunction(one) and not name.startswith("_")}
    names = {name for name in names if vars(schedules)[name].__module__ == schedules.__name__}
    assert names == SCHEDULES.keys()
    assert public(fd.nn, fd.nn.Module) == LAYERS.keys() | WITHOUT_STATE
    assert public(fd.models, fd.nn.Module) == MODELS.keys()
    assert public(fd.training, Callback) == CALLBACKS.keys()
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
    check(lambda seed: plain(seed, callbacks=[CALLBACKS[name](tmp_path)]), name, tmp_path)


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


# ---- early stopping ---------------------------------------------------------------------------------
def stopping(folder, patience, epochs, **options):
    model, optimizer, _ = plain(options.pop("seed", 0))
    options = {"progress": False, "callbacks": [EarlyStopping(patience, min_delta=1.0)]} | options
    data = [(codes, codes[::-1].copy()) for codes in CODES]
    return model, fit(model, optimizer, data, epochs=epochs, checkpoint=folder / "stop", **options)


def test_a_run_stopped_early_goes_on_with_more_patience(tmp_path, capsys):
    (tmp_path / "whole").mkdir()
    whole, expected = stopping(tmp_path / "whole", 50, 7)
    _, history = stopping(tmp_path, 2, 30)
    assert len(history.epochs) == 3
    with pytest.warns(UserWarning, match="stopped early after epoch 3"):
        _, history = stopping(tmp_path, 2, 30, resume=True)
    assert len(history.epochs) == 3
    stopping(tmp_path, 2, 30, resume=True, progress=True)
    assert "stopped early after epoch 3, and nothing is left to do; it goes on with more patience" in (
        capsys.readouterr().err
    )
    model, history = stopping(tmp_path, 50, 7, resume=True, seed=5)
    assert history.losses == expected.losses
    assert model.parameters().data.tobytes() == whole.parameters().data.tobytes()


def test_a_run_stopped_by_another_callback_stays_so(tmp_path):
    class Stop(Callback):
        def on_step_end(self, run):
            if run.step == 8:
                run.stop()

    for resume in (False, True):
        callbacks = [EarlyStopping(50 if resume else 5), Stop()]
        with (
            pytest.warns(UserWarning, match="stopped early in epoch 2, at step 8")
            if resume
            else contextlib.nullcontext()
        ):
            _, history = stopping(tmp_path, 5, 9, callbacks=callbacks, resume=resume)
        assert len(history.losses) == 8


def test_one_object_serves_several_runs(tmp_path):
    once = EarlyStopping(2, min_delta=1.0)
    for _ in range(2):
        _, history = stopping(tmp_path, 2, 30, callbacks=[once, SaveBest(tmp_path / "best")])
        assert len(history.epochs) == 3


# ---- what the checkpoint would not hold -------------------------------------------------------------
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


# ---- schedule= --------------------------------------------------------------------------------------
class Watch(Callback):
    """Notes the rates, after it has moved a scheduler on."""

    def __init__(self, scheduler):
        self.scheduler, self.rates = scheduler, []

    def on_step_end(self, run):
        if self.scheduler:
            self.scheduler.step()
        self.rates.append(run.optimizer.lr)


def test_a_schedule_is_the_scheduler_moved_on_by_hand():
    results = []
    for by_hand in (False, True):
        model, optimizer, _ = plain(0, fd.optim.Adam)
        scheduler = fd.optim.Scheduler(optimizer, schedules.cosine(6)) if by_hand else None
        watch = Watch(scheduler)
        options = {} if by_hand else {"schedule": schedules.cosine(6)}
        data = [(codes, codes[::-1].copy()) for codes in CODES]
        fit(model, optimizer, data, callbacks=[watch], progress=False, **options)
        results.append((model.parameters().data.tobytes(), watch.rates))
    assert results[0] == results[1]
    assert results[0][1][-1] == 0.0


def test_schedules_that_do_not_fit_are_refused():
    model, optimizer, _ = plain(0)
    other = fd.optim.SGD(fd.nn.Linear(1, 1).parameters())
    for schedule, kind, reason in (
        (fd.optim.Scheduler(other, schedules.constant()), ValueError, "Scheduler over another optimizer"),
        (fd.optim.ReduceOnPlateau(other), ValueError, "ReduceOnPlateau over another optimizer"),
        (0.1, TypeError, "got float"),
        (fd.optim.Scheduler, TypeError, "got the class Scheduler"),
        (lambda step: -1, ValueError, r"\(0\): got -1"),
    ):
        with pytest.raises(kind, match=rf"^schedule.*{reason}"):
            fit(model, optimizer, [(CODES[0], CODES[1])], schedule=schedule, progress=False)
    optimizer.lr = 0.0
    with pytest.raises(ValueError, match="schedule: got an optimizer whose learning rates are all 0"):
        fit(model, optimizer, [(CODES[0], CODES[1])], schedule=schedules.cosine(3), progress=False)
