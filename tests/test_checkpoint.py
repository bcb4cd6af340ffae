"""Checkpoints: nested state, resuming to the bit, and what is refused."""

import json
import signal

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors
from fastdl._trees import flatten, restore
from fastdl.training import ArrayBatches, Callback, EarlyStopping, fit


# ---- nested state -----------------------------------------------------------------------------------
def test_nested_state_survives_exactly():
    tree = {
        "steps": 2**63,
        "lr": 0.1 + 0.2,
        "pair": (0.9, np.float64(1e-300)),
        "groups": [{"m": np.arange(3.0), 7: None}["m"], None, True, float("inf"), ""],
        "by number": {0: np.ones(1), 1: "x"},
        "none": {},
    }
    arrays = {}
    plan = json.loads(json.dumps(flatten(tree, "root", arrays)))
    assert sorted(arrays) == ["root.by number.0", "root.groups.0"]
    back = restore(plan, arrays)
    assert back["steps"] == 2**63
    assert back["pair"] == (0.9, 1e-300)
    assert back["lr"] == tree["lr"]
    assert back["groups"][1:] == tree["groups"][1:]
    assert np.array_equal(back["groups"][0], np.arange(3.0))
    assert back["by number"].keys() == {0, 1}
    assert back["none"] == {}


def test_nested_state_refuses():
    for tree in ({1: 0, "a": 0}, {"a": object()}, {(1, 2): 0}):
        with pytest.raises(TypeError, match="root"):
            flatten(tree, "root", {})
    for plan in ([1], {"array": "x"}, {"a": 1, "b": 2}, {"dict": []}, {"surprise": {}}, {}):
        with pytest.raises(ValueError, match="damaged"):
            restore(plan, {})


# ---- resuming ---------------------------------------------------------------------------------------
class StopAt(Callback):
    """Sends this process a signal at a step, as Ctrl-C would."""

    def __init__(self, step=None, signum=signal.SIGINT):
        self.at, self.signum = step, signum

    def on_step_end(self, run):
        if run.step == self.at:
            signal.raise_signal(self.signum)


def sequence_run(
    path, at=None, *, resume=False, epochs=3, seed=0, hidden=6, corpus=0, optimizer=fd.optim.Adam, **given
):
    model = fd.nn.Sequential(
        fd.nn.Embedding(7, 5, rng=seed),
        fd.nn.LSTM(5, hidden, num_layers=2, dropout=0.3, rng=seed + 1),
        fd.nn.Dropout(0.2, rng=seed + 2),
        fd.nn.Linear(hidden, 7, rng=seed + 3),
    )
    codes = fd.random.Generator(corpus).integers(0, 7, 400)
    options = {
        "max_norm": 1.0,
        "carry_state": True,
        "callbacks": [StopAt(at), EarlyStopping(50)],
        "validation": fd.text.TextBatches(codes[:90], 8, 2),
    } | given
    run = lambda: fit(  # noqa: E731
        model,
        optimizer(model.parameters(), lr=0.01),
        fd.text.TextBatches(codes, 6, 4),
        epochs=epochs,
        checkpoint=path,
        resume=resume,
        progress=False,
        **options,
    )
    return model, run


def interrupted(run):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGINT, before)


def curve(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.epochs]


def without_seconds(path):
    tensors, metadata = _safetensors.load(path)
    training = json.loads(metadata["training"])
    training.pop("seconds")
    for row in training["epochs"]:
        row.pop("seconds")
    return {name: array.tobytes() for name, array in tensors.items()}, training


@pytest.mark.parametrize("at", [1, 7, 16, 17, 18, 34, 50])  # within, before, at and after the ends of epochs
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, at, accumulate):
    if accumulate == 2:
        at = (at + 1) // 2
    whole, run = sequence_run(tmp_path / "whole", accumulate=accumulate)
    expected = run()
    _, run = sequence_run(tmp_path / "parts", at, accumulate=accumulate)
    interrupted(run)
    parts, run = sequence_run(tmp_path / "parts", resume=True, accumulate=accumulate, seed=9)
    history = run()
    assert parts.parameters().data.tobytes() == whole.parameters().data.tobytes()
    assert history.losses == expected.losses
    assert curve(history) == curve(expected)
    assert without_seconds(tmp_path / "parts") == without_seconds(tmp_path / "whole")


def test_many_interruptions_are_no_interruption(tmp_path):
    _, run = sequence_run(tmp_path / "whole")
    expected = run()
    for at in range(1, 51, 7):
        _, run = sequence_run(tmp_path / "parts", at, resume=at > 1)
        interrupted(run)
    _, run = sequence_run(tmp_path / "parts", resume=True)
    assert run().losses == expected.losses


def test_shuffled_batches_resume_within_an_epoch(tmp_path):
    def run(path, at=None, resume=False):
        model = fd.nn.Linear(3, 2, rng=1)
        x = fd.random.Generator(0).uniform(-1, 1, (40, 3))
        data = ArrayBatches(x, x[:, :2] * 2, 4, seed=11)
        return model, lambda: fit(
            model,
            fd.optim.Adam(model.parameters(), lr=0.01),
            data,
            loss=fd.mse_loss,
            epochs=3,
            checkpoint=path,
            callbacks=[StopAt(at)],
            resume=resume,
            progress=False,
        )

    whole, work = run(tmp_path / "whole")
    work()
    interrupted(run(tmp_path / "parts", 14)[1])
    parts, work = run(tmp_path / "parts", resume=True)
    work()
    assert parts.parameters().data.tobytes() == whole.parameters().data.tobytes()


def test_a_signal_that_the_caller_handles_ends_fit_quietly(tmp_path):
    caught = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: caught.append(signum))
    try:
        _, run = sequence_run(tmp_path / "file", callbacks=[StopAt(5, signal.SIGTERM), EarlyStopping(50)])
        history = run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]
    assert len(history.losses) == 5


def test_checkpoint_every_and_more_epochs(tmp_path):
    steps = []

    class Watch(Callback):
        def on_step_end(self, run):
            if (tmp_path / "file").exists():
                steps.append(json.loads(_safetensors.load(tmp_path / "file")[1]["training"])["step"])

    _, run = sequence_run(tmp_path / "file", epochs=1, checkpoint_every=5, callbacks=[Watch()])
    run()
    assert sorted(set(steps)) == [5, 10, 15]
    _, run = sequence_run(tmp_path / "file", epochs=2, resume=True, callbacks=[Watch()])
    assert len(run().epochs) == 2
    _, run = sequence_run(tmp_path / "file", epochs=2, resume=True, callbacks=[Watch()])
    assert len(run().epochs) == 2  # nothing left to do


def edit_training(path, **changes):
    tensors, metadata = _safetensors.load(path)
    training = json.loads(metadata["training"])
    for name, value in changes.items():
        if value is None:
            del training[name]
        else:
            training[name] = value
    metadata["training"] = json.dumps(training)
    _safetensors.save(path, tensors, metadata)


REFUSED = {
    "another size": ({"hidden": 7}, None, r"another model's: 1\..* is float32 .*, expected"),
    "another optimizer": (
        {"optimizer": fd.optim.SGD},
        None,
        "another run's: optimizer class Adam, expected SGD",
    ),
    "other data": ({"corpus": 1}, None, "other data: crc32 "),
    "other callbacks": ({"callbacks": []}, None, "another run's: callbacks"),
    "other accumulation": ({"accumulate": 2}, None, "another run's: accumulate 1, expected 2"),
    "no optimizer state": ({}, {"optimizer": None}, "'optimizer' is missing"),
    "a broken optimizer state": ({}, {"optimizer": {"dict": {"steps": 3}}}, "another run's or damaged"),
    "no sums": ({}, {"sums": None}, "'sums' is missing"),
    "no position": ({}, {"batch": None}, "'batch' is missing"),
    "a broken curve": ({}, {"epochs": [{"epoch": 1}]}, "'step' is missing"),
    "a missing array": ({}, {"state": {"array": "state.9"}}, r"the array 'state\.9' is missing"),
    "broken random state": ({}, {"random": {"dict": {}}}, "another run's or damaged"),
    "broken callback state": (
        {},
        {"callbacks": {"list": [{"dict": {}}, {"dict": {}}]}},
        "another run's or damaged",
    ),
    "no format": ({}, "format", "not a checkpoint: format None"),
    "no training": ({}, "training", "the training state is missing"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_touched(tmp_path, what):
    changes, edit, reason = REFUSED[what]
    path = tmp_path / "file"
    interrupted(sequence_run(path, 8)[1])
    if isinstance(edit, dict):
        edit_training(path, **edit)
    elif edit:
        tensors, metadata = _safetensors.load(path)
        metadata.pop(edit)
        _safetensors.save(path, tensors, metadata)
    model, run = sequence_run(path, resume=True, seed=3, **changes)
    before, random_before = model.parameters().data.tobytes(), model.random_state()
    raw = path.read_bytes()
    with pytest.raises(ValueError, match=reason) as caught:
        run()
    assert str(path) in str(caught.value)
    assert model.parameters().data.tobytes() == before
    assert model.random_state() == random_before
    assert path.read_bytes() == raw


def test_a_missing_checkpoint_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sequence_run(tmp_path / "file", resume=True)[1]()
