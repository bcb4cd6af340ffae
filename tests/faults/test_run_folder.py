"""A run folder is one run: what an earlier one left is gone when a new one begins, and nothing else is."""

import json
import math
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors, training
from fastdl.cli import _train_text, main

A = "It was the best of times, it was the worst of times.\n" * 60
B = A.translate({ord("a") + i: ord("A") + i for i in range(26)})
TINY = ["--embedding", "5", "--hidden", "8", "--seq-len", "16", "--batch", "4", "--quiet"]
OURS = {"checkpoint.safetensors", "history.csv", "learning_curve.png", "model.safetensors"}


@pytest.fixture(autouse=True)
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(A)
    (tmp_path / "b.txt").write_text(B)


def train(text, *options, out="R"):
    return main(["train", "text", *([text] if text else []), "--out", out, *TINY, *options])


@pytest.fixture
def old(texts):
    """A folder with a finished run over a.txt."""
    assert train("a.txt", "--epochs", "1") == 0


def die(monkeypatch, error, step=3):
    """The next run ends in its first epoch, by an error or a signal."""
    update = training.Run._update

    def broken(run, *arguments):
        if run.step == step:
            if isinstance(error, int):
                signal.raise_signal(error)
            else:
                raise error
        return update(run, *arguments)

    monkeypatch.setattr(training.Run, "_update", broken)


class Killed(BaseException):
    """As kill -9: nobody tidies up."""


def test_after_a_kill_in_the_first_epoch_nothing_of_the_old_run_is_left(old, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        die(patch, Killed())
        with pytest.raises(Killed):
            train("b.txt")
    assert OURS.isdisjoint(os.listdir("R"))
    assert train(None, "--resume") == 2
    assert main(["generate", "R"]) == 2
    err = capsys.readouterr().err
    assert "there is no checkpoint to resume" in err
    assert "has neither model.safetensors nor checkpoint.safetensors" in err


def test_after_an_interruption_all_there_is_belongs_to_the_new_run(old, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        die(patch, signal.SIGINT)
        assert train("b.txt") == 130
    assert "'fastdl train text --out R --resume' goes on" in capsys.readouterr().err
    assert not os.path.exists("R/model.safetensors")
    assert main(["generate", "R", "--length", "50", "--seed", "0"]) == 0
    assert set(capsys.readouterr().out) <= set(B)
    assert train(None, "--resume", "--epochs", "1") == 0
    assert set(os.listdir("R")) >= OURS
    assert fd.models.CharLM.load("R/model.safetensors").vocabulary.characters == fd.text.Vocabulary(B).characters


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_leave_a_checkpoint_that_goes_on_to_the_same_bits(monkeypatch, name):
    signum = getattr(signal, name)
    assert train("a.txt", "--epochs", "2", out="straight") == 0
    with monkeypatch.context() as patch:
        die(patch, signum, step=20)
        assert train("a.txt", "--epochs", "2") == 128 + signum
    assert train(None, "--resume") == 0
    ends = [_safetensors.load(f"{out}/checkpoint.safetensors")[0] for out in ("R", "straight")]
    assert all((ends[0][key] == ends[1][key]).all() for key in ends[1])
    assert signal.getsignal(signum) == signal.SIG_DFL


def test_a_run_that_is_refused_leaves_the_old_one(old, capsys):
    before = {name: Path("R", name).read_bytes() for name in OURS}
    assert train("missing.txt") == 2
    assert train("a.txt", "--batch", "4000") == 2
    assert train("a.txt", "--hidden", "2000000") == 2
    assert train("b.txt", "--resume") == 2
    Path("b.txt").write_text("\ufffd" * 3000)
    assert train("b.txt") == 2
    assert {name: Path("R", name).read_bytes() for name in OURS} == before
    assert "Traceback" not in capsys.readouterr().err


def test_files_of_others_are_left_alone(old, capsys):
    others = {"notes.txt": "mine", "model.bin": "x", ".hidden": "y"}
    for name, content in others.items():
        Path("R", name).write_text(content)
    assert train("b.txt", "--epochs", "1") == 0
    assert set(os.listdir("R")) == OURS | others.keys()
    assert {name: Path("R", name).read_text() for name in others} == others


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.safetensors"])
def test_another_programs_model_is_not_replaced(name, capsys):
    os.mkdir("R")
    _safetensors.save(f"R/{name}", {"a": np.ones(2)}, {"format": "pt"})
    assert train("a.txt") == 2
    assert f"R/{name}: is another program's" in capsys.readouterr().err
    assert os.listdir("R") == [name]
    Path("R", name).write_bytes(b"half a mod")  # a damaged file is nobody's
    assert train("a.txt", "--epochs", "1") == 0


def test_links_are_written_through(old):
    os.mkdir("disk")
    os.rename("R/model.safetensors", "disk/old")
    os.symlink("../disk/old", "R/model.safetensors")
    assert train("b.txt", "--epochs", "1") == 0
    assert os.path.islink("R/model.safetensors")
    assert fd.models.CharLM.load("disk/old").vocabulary.characters == fd.text.Vocabulary(B).characters
    os.symlink("R", "other name")
    assert train("a.txt", "--epochs", "1", out="other name") == 0
    assert os.path.islink("other name")


def test_two_runs_do_not_share_a_folder(old, monkeypatch, capsys):
    inner = []

    def nested(run, *arguments):
        if not inner:
            inner.append(None)
            inner.append(train("b.txt"))
        raise Killed

    monkeypatch.setattr(training.Run, "_update", nested)
    with pytest.raises(Killed):
        train("a.txt")
    assert inner[1] == 2
    assert "R: another run is writing there" in capsys.readouterr().err


def test_the_same_codes_of_other_characters_are_other_data(capsys):
    Path("b.txt").write_text(A.translate({ord("I"): "J"}))
    assert train("a.txt", "--epochs", "1") == 0
    assert train("b.txt", "--epochs", "2", "--resume") == 2
    assert "other data: the run to resume learnt other characters" in capsys.readouterr().err


# ---- its end ----------------------------------------------------------------------------------------
def test_a_finished_run_says_so(old, capsys):
    assert "finished" not in capsys.readouterr().out
    assert train(None, "--resume") == 0
    assert "the run was finished after epoch 1; --resume with more --epochs goes on" in capsys.readouterr().out
    assert train(None, "--resume", "--epochs", "2") == 0
    assert "finished" not in capsys.readouterr().out


def test_a_run_stopped_early_says_so_and_goes_on_with_more_patience(capsys, monkeypatch):
    monkeypatch.setattr("fastdl.training._callbacks.watched", lambda run: run.epoch)  # worse every epoch
    assert train("a.txt", "--epochs", "6", "--patience", "1") == 0
    assert "stopped early after epoch 2 of 6: no improvement for 1" in capsys.readouterr().out
    assert train(None, "--resume") == 0
    assert "stopped early after epoch 2 of 6" in capsys.readouterr().out
    assert train(None, "--resume", "--patience", "3") == 0
    assert "stopped early after epoch 4 of 6" in capsys.readouterr().out
    assert train(None, "--resume", "--patience", "0") == 0
    out = capsys.readouterr().out
    assert "after epoch" in out
    assert "of 6" in out
    assert "stopped" not in out
    assert len(Path("R/history.csv").read_text().splitlines()) == 7


def not_finite(monkeypatch):
    monkeypatch.setattr("fastdl.training._fit.mean_loss", lambda *args: math.nan)


def test_a_validation_loss_that_is_not_finite_is_an_error(old, monkeypatch, capsys):
    capsys.readouterr()
    not_finite(monkeypatch)
    assert train("b.txt", "--epochs", "1") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "loss" in err
    assert "nan" in err
    assert not os.path.exists("R/model.safetensors")


def test_a_rate_that_no_parameter_holds_ends_with_status_2(old, capsys):
    capsys.readouterr()
    assert train("b.txt", "--epochs", "1", "--lr", "1e39", "--batch", "100") == 2
    assert capsys.readouterr().err.startswith("fastdl: error: lr: got ")


def test_a_rate_that_is_too_high_ends_with_status_1(old, capsys):
    options = ["--epochs", "9", "--lr", "3e37", "--batch", "100"]
    capsys.readouterr()
    with np.errstate(all="ignore"):
        assert train("b.txt", *options) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastdl: error: the ")


# ---- what cannot be written -------------------------------------------------------------------------
def full(monkeypatch, *names):
    """Files of these names find the disk full."""
    replacing = training._history.replacing

    def refuse(path):
        if os.path.basename(path) in names:
            raise OSError(28, "No space left on device", os.fspath(path))
        return replacing(path)

    monkeypatch.setattr("fastdl.training._history.replacing", refuse)
    monkeypatch.setattr("fastdl._files.replacing", refuse)


@pytest.mark.parametrize("name", ["history.csv", "learning_curve.png"])
def test_a_run_is_reported_where_only_its_curve_cannot_be_written(monkeypatch, capsys, name):
    full(monkeypatch, name)
    assert train("a.txt", "--epochs", "2") == 1
    out, err = capsys.readouterr()
    assert "bits per character on the held-out tenth, after epoch 2 of 2" in out
    assert "model in R/model.safetensors" in out
    assert err == f"fastdl: error: R/{name}: No space left on device\n"


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.safetensors"])
def test_a_full_disk_is_a_failure_that_names_the_file(monkeypatch, capsys, name):
    full(monkeypatch, name)
    assert train("a.txt", "--epochs", "2") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"fastdl: error: R/{name}: No space left on device\n"


def test_a_broken_matplotlib_costs_the_picture_alone(monkeypatch, capsys):
    monkeypatch.setattr(training.History, "plot", lambda *args, **more: 1 / 0)
    assert train("a.txt", "--epochs", "1") == 0
    out, err = capsys.readouterr()
    assert "model in R/model.safetensors" in out
    assert err == "fastdl: no learning_curve.png: ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize("name", ["model.safetensors", "history.csv"])
def test_the_folder_is_tried_before_the_first_epoch(monkeypatch, capsys, name):
    monkeypatch.setattr(training, "fit", None)
    os.makedirs(f"R/{name}")
    assert train("a.txt") == 2
    assert f"fastdl: error: R/{name}: Is a directory\n" in capsys.readouterr().err
    if os.getuid():  # root may write anywhere
        os.mkdir("closed", 0o500)
        assert train("a.txt", out="closed") == 2
        assert "Permission denied" in capsys.readouterr().err


# ---- hostile checkpoints ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings",
    [
        {"layers": 10**7},
        {"layers": 999},
        {"hidden": 10**9},
        {"hidden": 10**400},
        {"hidden": 8.0},
        {"embedding": True},
        {"dropout": 0.5},
        {"dropout": math.nan},
        {"lr": math.inf},
        {"lr": "x" * 10**6},
        {"clip": [[[]]]},
        {"seed": -1},
        {"patience": {"a": "\x1b[2J"}},
        {"batch": 0},
        {"batch": 10**9},
        {"epochs": None},
        {"more": 1},
    ],
    ids=lambda settings: f"{settings!s:.30}",
)
def test_hostile_settings_are_one_line(old, capsys, monkeypatch, settings):
    monkeypatch.setattr(_train_text.models.CharLM, "__init__", refuse_large(_train_text.models.CharLM.__init__))
    tensors, metadata = _safetensors.load("R/checkpoint.safetensors")
    command = json.loads(metadata["command"])
    command["settings"].update(settings)
    metadata["command"] = json.dumps(command)
    _safetensors.save("R/checkpoint.safetensors", tensors, metadata)
    capsys.readouterr()
    assert train(None, "--resume") == 2
    err = capsys.readouterr().err
    assert err.startswith("fastdl: error: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert len(err) < 2500


def refuse_large(init):
    def checked(self, vocabulary, embedding, hidden, layers, *more, **options):
        assert (embedding, hidden, layers) == (5, 8, 1)
        init(self, vocabulary, embedding, hidden, layers, *more, **options)

    return checked


@pytest.mark.parametrize("command", ["[" * 100_000, "null", '{"settings": 5}', '{"settings": {}, "files": 5}', ""])
def test_hostile_commands_are_one_line(old, capsys, command):
    tensors, metadata = _safetensors.load("R/checkpoint.safetensors")
    _safetensors.save("R/checkpoint.safetensors", tensors, metadata | {"command": command})
    capsys.readouterr()
    assert train(None, "--resume") == 2
    assert "is not a checkpoint of 'fastdl train text'\n" in capsys.readouterr().err


def test_nothing_of_a_run_needs_matplotlib(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train("a.txt", "--epochs", "1") == 0
    assert "matplotlib is not installed" in capsys.readouterr().err
