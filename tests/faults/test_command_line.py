"""What a user gets wrong on the command line is one line and status 2, whatever it is."""

import os
import sys

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors, _threads
from fastdl.cli import main
from fastdl.cli._bench import _peers, _tour

TEXT = "It was the best of times, it was the worst of times.\n" * 60
HUGE = "9" * 30


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT)
    fd.models.CharLM(fd.text.Vocabulary(TEXT), 5, 8, rng=0).save("model")
    return "model"


def fails(capsys, *argv, status=2):
    try:
        found = main(argv)
    except SystemExit as end:
        found = end.code
    _, err = capsys.readouterr()
    assert found == status
    assert err.startswith("fastdl: error: ")
    assert err.replace("\n", "").isprintable()
    assert len(err) < 2500
    return err


# ---- numbers and names ------------------------------------------------------------------------------
NUMBERS = [
    *(["train", "text", f"--{name}"] for name in ("embedding", "hidden", "layers", "seq-len", "batch")),
    *(["train", "text", f"--{name}"] for name in ("epochs", "patience", "seed", "checkpoint-every", "threads")),
    *(["generate", "model", f"--{name}"] for name in ("length", "top-k", "seed", "threads")),
    ["evaluate", "model", "--threads"],
    ["bench", "--threads"],
]


@pytest.mark.parametrize("argv", NUMBERS, ids=" ".join)
def test_huge_numbers_are_refused_by_name(capsys, argv):
    assert f"argument {argv[-1]}: got {HUGE}, expected at least" in fails(capsys, *argv, HUGE)
    for word in ("9" * 5000, "1e5", "-1", "nan", "", "\x1b[2J", "0x10"):
        assert f"argument {argv[-1]}: got " in fails(capsys, *argv, word)


@pytest.mark.parametrize("argv", [["train", "text", "--lr"], ["train", "text", "--clip"], ["generate", "m", "--top-p"]])
def test_numbers_that_are_not_finite_are_refused(capsys, argv):
    for word in ("1e400", "inf", "nan", "-1"):
        assert f"argument {argv[-1]}: got {word}, expected" in fails(capsys, *argv, word)


def test_sizes_that_no_memory_holds_are_refused_before_they_are_asked_for(model, capsys):
    for option in ("--embedding", "--hidden"):
        err = fails(capsys, "train", "text", "a.txt", "--batch", "4", "--seq-len", "16", option, "2000000000")
        assert "GiB of memory, this machine has" in err
    assert "too short" in fails(capsys, "train", "text", "a.txt", "--batch", "2000000000", "--seq-len", "2000000000")
    assert not os.path.exists("runs")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_no_file_has_are_refused(model, capsys, name):
    for argv in (
        ["train", "text", name],
        ["train", "text", "--out", name],
        ["generate", name],
        ["evaluate", model, name],
        ["bench", "--json", name],
    ):
        assert f"got {name!r}, expected the name of a file" in fails(capsys, *argv)


def test_control_characters_in_arguments_are_shown_escaped(model, capsys):
    bad = "\x1b]0;pwn\x07"
    for argv in (
        [bad],
        ["train", bad],
        ["show-config", bad],
        ["show-config", f"--{bad}"],
        ["generate", bad],
        ["evaluate", model, bad],
    ):
        assert "\\x1b" in fails(capsys, *argv)
    assert len(fails(capsys, "generate", "x" * 100_000)) < 2500


def test_two_dashes_end_the_options(model, capsys):
    os.rename("a.txt", "-a.txt")
    assert main(["evaluate", "--", model, "-a.txt"]) == 0
    assert main(["evaluate", model, "--held-out", "--", "-a.txt", "-a.txt"]) == 0
    os.rename("-a.txt", "a.txt")
    assert main(["evaluate", "--threads", "1", model, "--held-out", "a.txt", "--threads", "2", "a.txt"]) == 0
    capsys.readouterr()
    assert "/-x: No such file" in fails(capsys, "train", "text", "--", "-x")
    assert "-m: No such file" in fails(capsys, "generate", "--", "-m")


# ---- files ------------------------------------------------------------------------------------------
def test_files_that_are_none_are_refused_at_once(model, capsys):
    os.mkfifo("fifo")
    with open("sparse", "w"):
        os.truncate("sparse", 200 << 30)
    for name, message in (("fifo", "is a FIFO"), ("/dev/zero", "is a character device"), (".", "has neither")):
        assert message in fails(capsys, "generate", name)
        assert name in fails(capsys, "evaluate", name)
    for name, message in (("fifo", "is a FIFO"), ("/dev/zero", "is a character device"), (".", "Is a directory")):
        assert message in fails(capsys, "train", "text", name)
        assert message in fails(capsys, "evaluate", model, name)
    assert "does not start with '{'" in fails(capsys, "generate", "sparse")
    assert "byte 0 is NUL" in fails(capsys, "train", "text", "sparse")
    assert "Not a directory" in fails(capsys, "generate", "a.txt/model")
    assert "Not a directory" in fails(capsys, "train", "text", "a.txt", "--out", "a.txt/R", "--batch", "4")


def test_a_text_of_replacement_characters_only(model, capsys):
    with open("b.txt", "w", encoding="utf-8") as file:
        file.write("\ufffd" * 5000)
    assert "no character but U+FFFD" in fails(capsys, "train", "text", "b.txt")
    assert main(["evaluate", model, "b.txt"]) == 0


def test_an_open_stream_may_be_named(model, capsys):
    with open("a.txt", "rb") as file:
        assert main(["evaluate", model, f"/dev/fd/{file.fileno()}"]) == 0


def test_what_train_writes_and_its_names_may_hold_anything(model, capsys):
    out = "a b\n\x1b[2J'"
    tiny = ["--embedding", "5", "--hidden", "8", "--seq-len", "16", "--batch", "4", "--epochs", "1"]
    assert main(["train", "text", "a.txt", "--out", out, *tiny, "--quiet"]) == 0
    assert os.path.exists(os.path.join(out, "model.safetensors"))
    fails(capsys, "train", "text", "a.txt", "--out", out, "--resume", "--hidden", "9")


# ---- models that are not finite ---------------------------------------------------------------------
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_whose_weights_are_not_finite_is_refused(model, capsys, value):
    tensors, metadata = _safetensors.load(model)
    tensors = {name: array.copy() for name, array in tensors.items()}
    tensors["model.linear.bias"][0] = value
    _safetensors.save(model, tensors, metadata)
    for command in ("generate", "evaluate"):
        assert "model: the model's weights are not finite (linear.bias)" in fails(capsys, command, model)


def test_a_model_whose_outputs_are_not_finite_is_a_failure(model, capsys):
    tensors, metadata = _safetensors.load(model)
    tensors = {name: np.full_like(array, 1e38) for name, array in tensors.items()}
    _safetensors.save(model, tensors, metadata)
    for argv in (["generate", model], ["evaluate", model, "a.txt"]):
        err = fails(capsys, *argv, status=1)
        assert "model: " in err
        assert "nan" in err or "inf" in err or "finite" in err


def test_a_bad_model_still_has_a_perplexity(model, capsys):
    tensors, metadata = _safetensors.load(model)
    tensors = {name: array * np.float32(1e6) for name, array in tensors.items()}
    _safetensors.save(model, tensors, metadata)
    assert main(["evaluate", model, "a.txt"]) == 0
    assert "(perplexity inf)" in capsys.readouterr().out


# ---- threads ----------------------------------------------------------------------------------------
def test_threads_are_bounded(model, capsys, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert main(["generate", model, "--threads", "2000", "--length", "3"]) == 0
    assert "fastdl: --threads 2000: 8 are used, the most on this machine\n" in capsys.readouterr().err
    assert fd.get_num_threads() == 8
    with pytest.warns(RuntimeWarning, match="num_threads: got 2000, 8 are used, the most on this machine"):
        fd.set_num_threads(2000)
    assert fd.get_num_threads() == _threads.most_threads() == 8
    for huge in (2**31, 10**5000):
        with pytest.raises(ValueError, match="num_threads: got 0x"):
            fd.set_num_threads(huge)


# ---- bench ------------------------------------------------------------------------------------------
def test_bench_tries_its_file_first(model, capsys, monkeypatch):
    monkeypatch.setattr(_tour, "installed", None)
    os.mkfifo("fifo")
    assert "nowhere/x: No such file" in fails(capsys, "bench", "--json", "nowhere/x")
    assert "fifo: is a FIFO" in fails(capsys, "bench", "--json", "fifo")
    assert "Is a directory" in fails(capsys, "bench", "--json", ".")


def test_a_broken_peer_is_left_out(capsys, monkeypatch):
    monkeypatch.setattr(_tour, "PEERS", {"broken": _peers.Peer("Broken", "_missing", ("json",), ("json",))})
    assert _tour.installed(1) == []
    assert capsys.readouterr().err.startswith("fastdl: Broken is left out: ModuleNotFoundError: ")


def test_the_callers_state_comes_back(model):
    before = sys.stdout, sys.stderr, getattr(sys.stdout, "errors", None)
    main(["generate", model, "--length", "3"])
    assert (sys.stdout, sys.stderr, getattr(sys.stdout, "errors", None)) == before
