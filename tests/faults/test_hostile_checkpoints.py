"""Whatever a checkpoint's training state holds: ValueError with the file's name, and nothing half-loaded."""

import json

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors
from fastdl.training import Callback, EarlyStopping, fit


class Counter(Callback):
    def __init__(self):
        self.count = 0

    def on_step_end(self, run):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


X = np.ones((4, 3), np.float32)


def parts(seed):
    model = fd.nn.Sequential(fd.nn.Linear(3, 2, rng=seed), fd.nn.Dropout(0.5, rng=seed))
    optimizer = fd.optim.Adam(model.parameters(), lr=0.1 + seed)
    return model, optimizer, [Counter(), EarlyStopping(5)], fd.optim.schedules.cosine(50)


def run(path, seed, **options):
    model, optimizer, callbacks, schedule = parts(seed)
    work = lambda: fit(  # noqa: E731
        model, optimizer, [(X, X[:, :2])] * 3, loss=fd.mse_loss, epochs=4, schedule=schedule, callbacks=callbacks,
        checkpoint=path, progress=False, **options,
    )  # fmt: skip
    return (model, optimizer, callbacks), work


def snapshot(model, optimizer, callbacks):
    return repr(
        [model.state_dict(), model.random_state(), optimizer.state_dict(), [one.state_dict() for one in callbacks]]
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "file"
    run(path, 0)[1]()
    return _safetensors.load(path)


def deep(levels):
    return "[" * levels + "]" * levels


WORDS = {
    "nested": deep(100_000),
    "nested dicts": '{"dict": ' * 50_000 + "1" + "}" * 50_000,
    "infinity": "Infinity",
    "nan": "NaN",
    "negative": "-1",
    "huge": "1" + "0" * 400,
    "long": "1" + "0" * 5000,
    "beyond int64": str(2**64),
    "string": '"x"',
    "escape": '"\\u001b]0;pwn\\u0007"',
    "list": "[]",
    "dict": "{}",
    "null": "null",
    "true": "true",
    "fraction": "0.5",
    "wrapped": '{"list": [1, 2, 3]}',
    "array": '{"array": "history.losses"}',
    "deep dict": '{"dict": {"count": {"list": [{"dict": {}}]}}}',
}
FIELDS = [
    "epoch", "batch", "step", "tokens", "sums", "seconds", "stopped", "epochs", "optimizer", "random", "callbacks",
    "callback_classes", "schedule", "schedule_class", "parts", "part_classes", "gradients", "state", "fingerprint",
    "accumulate", "carry_state", "optimizer_class", "frozen",
]  # fmt: skip
HARMLESS = {  # where it is what stood there, or as good
    ("accumulate", "true"), ("frozen", "list"), ("gradients", "null"), ("state", "null"), ("fingerprint", "dict"),
    ("part_classes", "list"),
}  # fmt: skip


def store(path, saved, field, word):
    tensors, metadata = saved
    training = json.loads(metadata["training"])
    assert field in training
    training[field] = "@@"
    text = json.dumps(training).replace('"@@"', word)
    _safetensors.save(path, tensors, metadata | {"training": text})


@pytest.mark.parametrize("word", WORDS)
def test_hostile_training_state(word, saved, tmp_path):
    path = tmp_path / "file"
    for field in FIELDS:
        store(path, saved, field, WORDS[word])
        objects, work = run(path, 1, resume=True)
        before = snapshot(*objects)
        failure = raised(work)
        if failure is None:
            harmless = {"tokens": ("fraction",), "seconds": ("fraction", "beyond int64")}.get(field, ())
            assert (field, word) in HARMLESS or word in harmless, (field, word)
        elif isinstance(failure, UserWarning):
            assert (field, word) == ("stopped", "true"), failure
        else:
            assert type(failure) is ValueError, (field, failure)
            message = str(failure)
            assert message.startswith(f"{path}: "), (field, message[:200])
            assert len(message) < 1000
            assert message.isprintable()
            assert snapshot(*objects) == before, (field, word)


def raised(work):
    try:
        work()
    except Exception as error:
        return error
    return None


def test_whole_metadata(saved, tmp_path):
    path = tmp_path / "file"
    tensors, metadata = saved
    for word in WORDS.values():
        _safetensors.save(path, tensors, metadata | {"training": word})
        objects, work = run(path, 1, resume=True)
        before = snapshot(*objects)
        with pytest.raises(ValueError) as caught:
            work()
        assert str(path) in str(caught.value)
        assert snapshot(*objects) == before


@pytest.mark.parametrize(
    "change",
    [
        {"sums": {"loss": float("inf"), "penalty": 0.0, "targets": 3}},
        {"sums": {"loss": 0.0, "penalty": 0.0, "targets": -3}},
        {"sums": {"loss": 0.0, "penalty": 0.0, "targets": float("inf")}},
        {"sums": {"loss": "a", "penalty": 0.0, "targets": 0}},
        {"sums": [1, 2, 3]},
        {"epochs": [{"epoch": 1}]},
        {"epochs": [1, 2, 3, 4]},
        {"epochs": "abcd"},
        {"step": 3},
        {"epoch": 2},
        {"callbacks": {"list": [{"dict": {"count": 1}}]}},
        {"callbacks": {"list": [{"dict": {"count": 1}}, {"dict": {"best": "x", "waited": 1, "patience": 1}}]}},
        {"callbacks": {"list": [{"dict": {"count": 1}}, {"dict": {"best": 1.0, "waited": -1, "patience": 1}}]}},
        {"schedule": {"dict": {"step_number": -1, "base": {"list": [0.1]}}}},
        {"schedule": {"dict": {"step_number": 1, "base": {"list": [0.1, 0.2]}}}},
        {"random": {"dict": {}}},
        {"optimizer": {"dict": {}}},
        {"gradients": {"dict": {}}},
    ],
    ids=str,
)
def test_numbers_that_fit_nothing(change, saved, tmp_path):
    path = tmp_path / "file"
    tensors, metadata = saved
    training = json.loads(metadata["training"]) | change
    _safetensors.save(path, tensors, metadata | {"training": json.dumps(training)})
    objects, work = run(path, 1, resume=True)
    before = snapshot(*objects)
    with pytest.raises(ValueError) as caught:
        work()
    assert str(caught.value).startswith(f"{path}: ")
    assert snapshot(*objects) == before


def test_a_curve_that_is_no_curve(saved, tmp_path):
    path = tmp_path / "file"
    tensors, metadata = saved
    for losses in (np.ones(3), np.ones((4, 3)), np.ones(12, np.int64)):
        _safetensors.save(path, {**tensors, "history.losses": losses}, metadata)
        objects, work = run(path, 1, resume=True)
        before = snapshot(*objects)
        with pytest.raises(ValueError, match="losses of shape"):
            work()
        assert snapshot(*objects) == before
