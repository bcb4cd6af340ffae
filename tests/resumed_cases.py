"""What can take part in a resumed run: one table a kind; and the check that a stop and a resume leave no trace.

A new model, layer, optimizer, schedule or callback that is not in its table fails tests/faults/test_resumed_runs.py.
"""

import random
import signal
import zlib

import numpy as np
import pytest
from optim_cases import FOR_MODELS, optimizers

import fastdl as fd
from fastdl._trees import flatten
from fastdl.optim import schedules
from fastdl.training import Callback, EarlyStopping, SaveBest, fit

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
        options = {"loss": loss} | common | options
        callbacks = [*options.pop("callbacks", []), StopAt(at)]
        work = lambda: fit(  # noqa: E731
            model, optimizer, data, epochs=EPOCHS, checkpoint=folder / path, resume=resume,
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


FURTHER = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "AdamW": {"clip_norm": 0.5},
    "ASGD": {"t0": 2.0},
    "RMSProp": {"momentum": 0.5, "centered": True},
}
OPTIMIZERS = {one.__name__: FOR_MODELS.get(one.__name__, {}) | FURTHER.get(one.__name__, {}) for one in optimizers()}
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
    "BatchNorm1d": lambda width, seed: fd.nn.BatchNorm1d(width),
    "Dropout": lambda width, seed: fd.nn.Dropout(0.4, rng=seed),
    "AlphaDropout": lambda width, seed: fd.nn.AlphaDropout(0.4, rng=seed),
    "GaussianDropout": lambda width, seed: fd.nn.GaussianDropout(0.4, rng=seed),
    "GaussianNoise": lambda width, seed: fd.nn.GaussianNoise(0.4, rng=seed),
    "Zoneout": lambda width, seed: Mixed(fd.nn.Zoneout(0.4, rng=seed)),
    "EmbeddingDropout": None,  # has a test of its own: it takes tokens
    "LinearCrossEntropy": None,  # likewise: it has the loss
    "DropConnect": lambda width, seed: fd.nn.DropConnect(fd.nn.Linear(width, width, rng=seed), 0.4, rng=seed),
    "LSTM": lambda width, seed: fd.nn.LSTM(
        width, width, num_layers=2, dropout=0.2, input_dropout=0.1, state_dropout=0.1, candidate_dropout=0.1,
        weight_dropout=0.1, zoneout=0.1, zoneout_cell=0.1, rng=seed,
    ),
    "GRU": lambda width, seed: fd.nn.GRU(width, width, num_layers=2, dropout=0.2, state_dropout=0.2, rng=seed),
    "IndRNN": lambda width, seed: fd.nn.IndRNN(width, width, num_layers=2, dropout=0.2, state_dropout=0.2, rng=seed),
    "MinGRU": lambda width, seed: fd.nn.MinGRU(width, width, num_layers=2, dropout=0.2, zoneout=0.2, rng=seed),
    "MinLSTM": lambda width, seed: fd.nn.MinLSTM(width, width, num_layers=2, dropout=0.2, zoneout=0.2, rng=seed),
    "sLSTM": lambda width, seed: fd.nn.sLSTM(
        width, width, num_layers=2, dropout=0.2, heads=2, state_dropout=0.2, candidate_dropout=0.1, zoneout=0.2,
        rng=seed,
    ),
    "RNN": lambda width, seed: fd.nn.RNN(width, width, num_layers=2, dropout=0.2, state_dropout=0.2, rng=seed),
}  # fmt: skip
WITHOUT_STATE = {
    "AdaptiveLogSoftmaxWithLoss", "AdditiveAttention", "AvgPool1d", "Conv1d", "DotAttention", "Embedding", "Flatten",
    "Identity", "LayerNorm", "Linear", "MaxPool1d", "ModuleDict", "ModuleList", "Residual", "Sequential",
    *fd.nn._activations.__all__,
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
CALLBACKS = {
    "EarlyStopping": lambda folder: EarlyStopping(2),
    "SaveBest": lambda folder: SaveBest(folder / "best"),
    "CSVLogger": lambda folder: fd.training.CSVLogger(folder / "log.csv"),
    "LambdaCallback": lambda folder: fd.training.LambdaCallback(on_epoch_end=lambda run: None),
    "StopAtTarget": lambda folder: fd.training.StopAtTarget(-1.0),
    "TensorBoard": lambda folder: fd.training.TensorBoard(folder / "events"),
    "TimeLimit": lambda folder: fd.training.TimeLimit(1e6),
}
OF_TEXT = {"SampleText"}  # callbacks that a model of characters alone can serve


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
