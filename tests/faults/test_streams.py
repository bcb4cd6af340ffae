"""stdin, stdout and stderr that are closed, full, gone, or cannot show a character."""

import io
import os
import subprocess
import sys

import pytest

import fastdl as fd
from fastdl.cli import _streams, main

TEXT = "It was the best of times, it was the worst of times.\n" * 60
TINY = ["--embedding", "5", "--hidden", "8", "--seq-len", "16", "--batch", "4", "--epochs", "1"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT)
    fd.models.CharLM(fd.text.Vocabulary(TEXT), 5, 8, rng=0).save("model")
    return "model"


def shell(line, **environment):
    """`line` with $F for the program, by a shell."""
    program = f"{sys.executable} -m fastdl"
    return subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"F": program, "PYTHONPATH": os.path.dirname(os.path.dirname(fd.__file__))} | environment,
    )


# ---- processes --------------------------------------------------------------------------------------
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "0<&- >&- 2>&-"])
def test_training_needs_no_stream(model, closed):
    done = shell(f"$F train text a.txt --out R {' '.join(TINY)} {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "characters to learn" not in done.stdout
    assert set(os.listdir("R")) >= {"model.safetensors", "checkpoint.safetensors", "history.csv"}
    assert fd.models.CharLM.load("R/model.safetensors").settings["hidden"] == 8


def test_output_that_nobody_takes_is_no_error(model):
    done = shell(f"$F generate {model} >&- && $F evaluate {model} a.txt >&- && $F show-config >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_progress_that_cannot_be_written_is_dropped(model):
    done = shell(f"$F train text a.txt --out R {' '.join(TINY)} 2>/dev/full")
    assert done.returncode == 0
    assert "model in R/model.safetensors" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_help_that_cannot_be_written_is_an_error():
    for unbuffered in ("", "1"):
        done = shell("$F --help >/dev/full", PYTHONUNBUFFERED=unbuffered)
        assert (done.returncode, done.stderr) == (1, "fastdl: error: stdout: No space left on device\n")


def test_a_reader_that_goes_away_ends_it_quietly(model):
    done = shell(f"($F generate {model} --length 1000000; echo $? >&2) | head -c 5")
    assert done.stderr == "141\n"
    done = shell(f"($F train text a.txt --out R {' '.join(TINY)} 3>&1 1>&2 2>&3; echo $? >status) | true")
    with open("status") as file:
        assert file.read() == "0\n"
    assert fd.models.CharLM.load("R/model.safetensors").settings["hidden"] == 8


def test_text_comes_from_stdin(model):
    line = "cat a.txt | $F train text - --out R " + " ".join(TINY) + " --quiet"
    line += f" && cat a.txt | $F evaluate {model} -"
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert "3,168 characters" in done.stdout
    assert fd.models.CharLM.load("R/model.safetensors").vocabulary.characters == fd.text.Vocabulary(TEXT).characters


def test_names_that_the_output_cannot_show(model):
    done = shell(f"$F train text a.txt --out модель {' '.join(TINY)} --quiet", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "model in \\u043c\\u043e\\u0434\\u0435\\u043b\\u044c/model.safetensors" in done.stdout
    assert os.path.exists("модель/model.safetensors")


def test_a_bad_build_in_the_environment_is_one_line():
    done = shell("$F show-config", FASTDL_ISA="avx1024")
    assert done.returncode == 2
    assert done.stderr == "fastdl: error: FASTDL_ISA: got 'avx1024', expected one of baseline, avx2, avx512\n"


def test_warnings_as_errors_do_not_show_a_traceback(model):
    done = shell(f"$F train text a.txt --out R {' '.join(TINY)} --quiet", PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# ---- in this process --------------------------------------------------------------------------------
def test_streams_that_are_none_or_closed(model, monkeypatch, capsys):
    closed = io.StringIO()
    closed.close()
    for out, err in ((None, None), (closed, closed)):
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert main(["train", "text", "a.txt", "--out", "R", *TINY]) == 0
        assert main(["generate", "R"]) == 0
        assert main(["generate", "missing"]) == 2
        with pytest.raises(SystemExit):
            main(["--help"])
        assert (sys.stdout, sys.stderr) == (out, err)  # the caller's come back
    monkeypatch.setattr(sys, "stdout", None)
    fd.show_config()
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")


def test_a_stderr_that_is_no_file(model, monkeypatch, capsys):
    class Shim:
        def write(self, text):
            raise OSError(5, "Input/output error")

        def flush(self):
            raise ValueError("gone")

    monkeypatch.setattr(sys, "stderr", Shim())
    assert main(["train", "text", "a.txt", "--out", "R", *TINY]) == 0
    assert "model in R" in capsys.readouterr().out


def test_stdin_that_is_closed_or_empty(model, monkeypatch, capsys):
    for stdin, message in ((None, "stdin: is closed, expected text"), (io.StringIO(""), "stdin: is empty")):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["evaluate", model, "-"]) == 2
        assert message in capsys.readouterr().err


def test_a_run_that_read_stdin_is_given_it_again(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert main(["train", "text", "-", "--out", "R", *TINY]) == 0
    assert main(["train", "text", "--out", "R", "--resume", "--epochs", "2"]) == 2
    assert "the run read its text from stdin; give it again" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert main(["train", "text", "-", "--out", "R", "--resume", "--epochs", "2"]) == 0


def test_a_terminal_is_not_steered_by_a_model(tmp_path, monkeypatch, capsys):
    letters = "\x1b\x07\x9b\u202ea\n\t"
    fd.models.CharLM(fd.text.Vocabulary(letters), 4, 8, rng=0).save(tmp_path / "model")
    command = ["generate", str(tmp_path / "model"), "--length", "300", "--temperature", "9", "--prompt", "\x1b[2J"]
    assert main([*command, "--seed", "0"]) == 0
    raw = capsys.readouterr().out
    assert set(letters) <= set(raw)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main([*command, "--seed", "0"]) == 0
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert shown.startswith("\\x1b[2J")
    assert {"\n", "\t"} <= set(shown)
    assert shown.encode("latin-1").decode("unicode_escape") == raw
    assert _streams.for_terminal("é 読 ش\u200c\xa0") == "é 読 ش\u200c\xa0"
