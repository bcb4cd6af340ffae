"""The command line, as a shell sees it: output, errors, exit status, signals."""

import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors
from fastdl.cli import main
from fastdl.cli._bench import _fastdl, _table, _tour
from fastdl.cli._bench._peers import PEERS

SENTENCES = "It was the best of times, it was the worst of times.\n" * 60
TINY = ["--embedding", "5", "--hidden", "8", "--seq-len", "16", "--batch", "4", "--quiet"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(SENTENCES)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a tiny trained model."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "corpus.txt").write_text(SENTENCES)
    out = str(folder / "run")
    assert main(["train", "text", str(folder / "corpus.txt"), "--out", out, *TINY, "--epochs", "2"]) == 0
    return out


def fails(capsys, *argv):
    """The message of a command that ends with status 2."""
    try:
        status = main(argv)
    except SystemExit as end:  # argparse's way
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("fastdl: error: ")
    return err.removeprefix("fastdl: error: ")


def start(*argv, **options):
    """`python -m fastdl` in a process of its own, with Ctrl-C working even if it is ignored here."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastdl", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


# ---- what a stranger tries first --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--help"], ["train", "generate", "evaluate", "show-config", "bench"]),
        (["train", "text", "--help"], ["--hidden", "(256)", "--resume", "model.safetensors", "Ctrl-C"]),
        (["generate", "--help"], ["--temperature", "--top-k", "--top-p", "--prompt", "--seed", "(0.8)"]),
        (["evaluate", "--help"], ["--held-out", "bits per character"]),
        (["bench", "--help"], ["about a minute"]),
        (["--version"], [fd.__version__]),
    ],
)
def test_help(capsys, argv, words):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(word.split()) in out for word in words)


def test_show_config(capsys):
    assert main(["show-config"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^build +{fd.show_config(mode='dicts')['build']}$", out, re.MULTILINE)
    assert re.search(rf"^threads +{fd.get_num_threads()}$", out, re.MULTILINE)
    assert re.search(rf"^NumPy +{re.escape(np.__version__)}$", out, re.MULTILINE)


# ---- training and using -----------------------------------------------------------------------------
def test_train_writes_its_files_and_reports(corpus, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    assert main(["train", "text", corpus, "--out", str(out), *TINY, "--epochs", "2"]) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    bits = float(re.match(r"([\d.]+) bits per character on the held-out tenth, after epoch 2 of 2\n", printed)[1])
    assert re.search(r"[\d,]+ characters/s", printed)
    files = {"checkpoint.safetensors", "history.csv", "learning_curve.png", "model.safetensors"}
    assert set(os.listdir(out)) == files
    with open(out / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["validation_loss"]) / np.log(2) == pytest.approx(bits, abs=1e-4)
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    # The same text, measured again from the file, gives the same number.
    assert main(["evaluate", str(out), corpus, "--held-out"]) == 0
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx(bits, abs=1e-4)


def test_metrics_and_logs_of_a_run_and_of_the_run_that_goes_on(corpus, tmp_path, capsys):
    def train(*options):
        return main(["train", "text", corpus, "--out", str(tmp_path / "run"), *options])

    def rows(file):
        with open(file) as opened:
            return list(csv.DictReader(opened))

    log = tmp_path / "log.csv"
    given = ("--metric", "accuracy", "--metric", "bits_per_character")
    assert train(*TINY, "--epochs", "1", *given, "--log-csv", str(log), "--tensorboard", str(tmp_path / "events")) == 0
    assert rows(log) == rows(tmp_path / "run" / "history.csv")
    row = rows(log)[0]
    assert 0 < float(row["validation_accuracy"]) < 1
    assert float(row["validation_bits_per_character"]) == pytest.approx(float(row["validation_loss"]) / np.log(2))
    assert [one.name.split(".")[0] for one in (tmp_path / "events").iterdir()] == ["events"]
    assert train("--resume", "--epochs", "2") == 0  # the metrics are the run's, logs may come and go
    assert [len(rows(log)), len(rows(tmp_path / "run" / "history.csv"))] == [1, 2]
    assert train("--resume", "--epochs", "3", "--log-csv", str(log)) == 0
    assert ["validation_accuracy" in row for row in rows(log)] == [True] * 3
    capsys.readouterr()
    kept = sorted(os.listdir(tmp_path / "run"))
    for options, message in (
        (("--metric", "acuracy"), "metrics[0]: got 'acuracy'"),
        (("--log-csv", str(tmp_path / "no" / "log.csv")), "no/log.csv: No such file"),
    ):
        assert train(*TINY, *options) == 2
        assert message in capsys.readouterr().err
        assert sorted(os.listdir(tmp_path / "run")) == kept


def test_a_model_that_was_saved_by_hand(trained, tmp_path, capsys):
    model = fd.load(os.path.join(trained, "model.safetensors"))
    fd.save(model, tmp_path / "own.safetensors")
    outputs = []
    for place in (trained, str(tmp_path / "own.safetensors")):
        assert main(["generate", place, "--length", "20", "--seed", "1"]) == 0
        outputs.append(capsys.readouterr().out)
        assert main(["evaluate", place]) == 0
        outputs[-1] += capsys.readouterr().out.splitlines()[0]
    assert outputs[0] == outputs[1]
    fd.save(fd.nn.Linear(2, 3, rng=0), tmp_path / "other.safetensors")
    assert main(["evaluate", str(tmp_path / "other.safetensors")]) == 2
    assert "other.safetensors: is a Linear, expected a model of characters" in capsys.readouterr().err
    assert main(["info", os.path.join(trained, "model.safetensors")]) == 0
    assert "model.safetensors: fastdl CharLM" in capsys.readouterr().out


def test_progress_goes_to_stderr(corpus, tmp_path, capsys):
    argv = [option for option in TINY if option != "--quiet"]
    assert main(["train", "text", corpus, "--out", str(tmp_path / "run"), *argv, "--epochs", "1"]) == 0
    out, err = capsys.readouterr()
    assert "CharLM(" in err
    assert re.search(r"epoch 1/1: loss [\d.]+ bits, validation loss [\d.]+ bits, ", err)
    assert out.count("\n") == 3


def test_without_matplotlib_there_is_no_picture(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["train", "text", corpus, "--out", str(tmp_path / "run"), *TINY, "--epochs", "1"]) == 0
    assert "matplotlib is not installed" in capsys.readouterr().err
    assert not (tmp_path / "run" / "learning_curve.png").exists()
    assert (tmp_path / "run" / "history.csv").exists()


def test_any_alphabet(tmp_path, capsys):
    (tmp_path / "jp").write_text("いろはにほへと ちりぬるを わかよたれそ つねならむ\n" * 40, encoding="utf-8")
    out = str(tmp_path / "run")
    assert main(["train", "text", str(tmp_path / "jp"), "--out", out, *TINY, "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["generate", out, "--length", "30", "--prompt", "いろ", "--seed", "1"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("いろ")
    assert len(written) == 2 + 30 + 1


def test_generate(trained, capsys):
    def write(*options):
        assert main(["generate", trained, "--length", "50", *options]) == 0
        return capsys.readouterr()

    assert write("--seed", "3").out == write("--seed", "3").out
    assert write("--seed", "3").out != write("--seed", "4").out
    assert write("--temperature", "0").out == write("--top-k", "1").out == write("--top-p", "1e-9").out
    assert write("--prompt", "It was ").out.startswith("It was ")
    assert len(write().out) == 51
    assert r"does not know '\xfc' in the prompt" in write("--prompt", "It wüs").err
    assert write("--length", "0", "--prompt", "x").out == "x\n"


def test_evaluate(trained, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("It was the age of wisdom; Σ ")
    assert main(["evaluate", trained, str(tmp_path / "other.txt")]) == 0
    out = capsys.readouterr().out
    assert re.match(r"[\d.]+ bits per character \(perplexity [\d.]+\) over 27 characters\n", out)
    assert "characters are not in the model's vocabulary" in out
    assert "characters/s" in out
    assert main(["evaluate", os.path.join(trained, "checkpoint.safetensors")]) == 0
    assert "over 4" in capsys.readouterr().out


@pytest.fixture
def short_tour(monkeypatch):
    """The tour at the small sizes; its peers are what the test puts there."""
    monkeypatch.setattr(_tour, "SECONDS", 0.0)
    monkeypatch.setattr("fastdl.cli._bench._clock.TURN", 0.001)
    rows = [
        (case, case.sizes["small"] | ({"B": at + 1} if "T" in sizes else {}))
        for at, (case, sizes) in enumerate(_tour.tour())
    ]
    monkeypatch.setattr(_tour, "tour", lambda: rows)

    def with_peers(*peers):
        monkeypatch.setattr(_tour, "installed", lambda threads: list(peers))

    return with_peers


def test_bench(capsys, short_tour):
    short_tour()
    assert main(["bench", "--threads", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ", 2 threads, " in lines[0]
    assert lines[2] == "Not installed: PyTorch, JAX, Keras, thinc, scikit-learn"
    assert all(re.search(r" [\d.]+ +[\d.]+ +[\d.]+[< ]$", line) for line in lines[6:15])
    assert re.match(r"reference: [\d.]+ x as long in geometric mean of 9 rows; fastdl loses \d", lines[17])


def test_bench_shows_what_a_peer_wins_and_what_it_gets_wrong(capsys, short_tour, tmp_path):
    def like_ours(kind, run):
        return lambda **problem: (work := getattr(_fastdl, kind)(**problem))._replace(run=run(work.run))

    adapter = SimpleNamespace(
        norm=like_ours("norm", lambda run: lambda: 2 * run()),
        dropout=like_ours("dropout", lambda run: functools.cache(run)),
        optimizer=like_ours("optimizer", lambda run: lambda: (time.sleep(0.01), run())),
    )
    short_tour(SimpleNamespace(title="JAX", version="1.2.3", note="threads of its own", adapter=adapter))
    assert main(["bench", "--json", str(tmp_path / "bench.json")]) == 0
    out = capsys.readouterr().out
    assert "JAX 1.2.3" in out
    assert "Not installed: PyTorch, Keras, thinc, scikit-learn" in out
    assert re.search(r"norm of order 2.* differs +\n", out)
    assert re.search(r"dropout.* 0\.\d+<\n", out)
    assert re.search(r"Adam.* \d+\.\d+ \n", out)
    assert re.search(r"softmax.* - +\n", out)
    assert re.search(
        r"JAX: [\d.]+ x as long in geometric mean of 2 rows; fastdl loses 1\.\nJAX: threads of its own", out
    )
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["peers"] == {"JAX": "1.2.3"}
    seconds = {row["work"].split(" (")[0]: row["seconds"] for row in found["rows"]}
    assert len(found["rows"]) == 9
    assert seconds["Adam, a step"]["JAX"] > seconds["Adam, a step"]["fastdl"] > 0
    assert seconds["norm of order 2"]["JAX"] is None


def test_bench_fails_where_fastdl_is_wrong(capsys, short_tour, monkeypatch):
    short_tour()
    wrong = _table.Work(lambda: 1.0 if fd.get_backend() == "compiled" else 2.0)
    monkeypatch.setattr(_fastdl, "norm", lambda **_: wrong)
    assert main(["bench"]) == 1
    assert re.search(r"norm of order 2 .*differs", capsys.readouterr().out)


@pytest.mark.peer
@pytest.mark.parametrize("name", PEERS)
def test_bench_runs_with_a_peer(name):
    """In a process of its own: peers bring threads, warnings and, together, a minute of imports."""
    peer = PEERS[name]
    pytest.importorskip(peer.imports[0], exc_type=ImportError)
    script = f"""
from fastdl.cli import main
from fastdl.cli._bench import _tour
_tour.SECONDS, rows = 0.0, [(case, case.sizes["small"]) for case, _ in _tour.tour()]
_tour.tour, _tour.PEERS = lambda: rows, {{"{name}": _tour.PEERS["{name}"]}}
main(["bench", "--threads", "1"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert re.search(rf"\n{peer.title}: [\d.]+ x as long in geometric mean of \d rows", done.stdout), done.stderr
    assert "differs" not in done.stdout


# ---- errors -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["train"], "the following arguments are required: DATA"),
        (["dance"], "invalid choice: 'dance'"),
        (["train", "text", "--epochs", "0"], "argument --epochs: got 0, expected at least 1"),
        (["train", "text", "--epochs", "many"], "argument --epochs: got 'many', expected a whole number"),
        (["train", "text", "--lr", "0"], "argument --lr: got 0, expected more than 0"),
        (["train", "text", "--lr", "nan"], "argument --lr: got nan"),
        (
            ["train", "text", "--dropout", "1"],
            "argument --dropout: got 1, expected at least 0 and less than 1",
        ),
        (["train", "text", "--epoch", "3"], "unrecognized arguments: --epoch"),
        (["generate"], "the following arguments are required: MODEL"),
        (["generate", "x", "--temperature", "-1"], "argument --temperature: got -1, expected at least 0"),
        (["generate", "x", "--top-k", "0"], "argument --top-k: got 0"),
        (["generate", "x", "--top-p", "1.5"], "argument --top-p: got 1.5, expected more than 0 and at most 1"),
        (["bench", "--threads", "0"], "argument --threads: got 0"),
    ],
)
def test_bad_usage(capsys, argv, message):
    assert message in fails(capsys, *argv)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "No such file or directory"),
        (b"", "is empty, expected text"),
        (b"\x7fELF\0\0\0", "is not a text file: byte 4 is NUL"),
        (b"gar\xe7on" * 1000, "is not UTF-8: byte 3 is 0xe7"),
        (
            b"short",
            "the text is too short: 5 characters, expected at least 2,277 for --batch 32 and --seq-len 64",
        ),
    ],
)
def test_bad_text(capsys, tmp_path, raw, message):
    path = tmp_path / "bad.txt"
    if raw is not None:
        path.write_bytes(raw)
    error = fails(capsys, "train", "text", str(path), "--out", str(tmp_path / "run"))
    assert message in error
    assert not (tmp_path / "run").exists()


def test_other_bad_input(capsys, tmp_path, corpus, trained):
    assert "No such file" in fails(capsys, "generate", str(tmp_path / "nowhere"))
    assert "has neither model.safetensors" in fails(capsys, "generate", str(tmp_path))
    assert "not a safetensors file" in fails(capsys, "evaluate", corpus)
    assert "Is a directory" in fails(capsys, "evaluate", trained, str(tmp_path))
    (tmp_path / "one").write_text("x")
    assert "has 1 characters" in fails(capsys, "evaluate", trained, str(tmp_path / "one"))
    assert "File exists" in fails(capsys, "train", "text", corpus, "--out", corpus, *TINY)


def test_resume_refuses(capsys, tmp_path, corpus, trained):
    assert "there is no checkpoint to resume" in fails(capsys, "train", "text", "--resume", "--out", str(tmp_path))
    resume = ["train", "text", "--resume", "--quiet", "--out", trained]
    assert "--hidden 9: the run to resume has 8" in fails(capsys, *resume, "--hidden", "9")
    other = tmp_path / "other.txt"
    other.write_text(SENTENCES.replace("best", "vest"))
    assert "other data: crc32 " in fails(capsys, *resume, str(other))
    (tmp_path / "broken").mkdir()
    whole = (Path(trained) / "checkpoint.safetensors").read_bytes()
    (tmp_path / "broken" / "checkpoint.safetensors").write_bytes(whole[:-10])
    assert "truncated" in fails(capsys, "train", "text", "--resume", "--out", str(tmp_path / "broken"))
    model = (Path(trained) / "model.safetensors").read_bytes()
    (tmp_path / "broken" / "checkpoint.safetensors").write_bytes(model)
    assert "is not a checkpoint of 'fastdl train text'" in fails(
        capsys, "train", "text", "--resume", "--out", str(tmp_path / "broken")
    )


def test_a_learning_rate_that_is_too_high_is_an_error_with_a_hint(corpus, tmp_path, capsys):
    argv = ["train", "text", corpus, "--out", str(tmp_path / "run"), *TINY, "--lr", "3e37", "--clip", "0"]
    with np.errstate(all="ignore"):
        assert main(argv) == 1
    err = capsys.readouterr().err
    assert err.startswith("fastdl: error: the training loss became ")
    assert "lower learning rate" in err


# ---- processes --------------------------------------------------------------------------------------
def contents(path):
    """Arrays of a checkpoint, as bytes."""
    tensors, _ = _safetensors.load(path)
    return {name: array.tobytes() for name, array in tensors.items()}


def long_run(corpus, out, *more):
    options = ["--epochs", "40", "--dropout", "0.2", "--layers", "2", "--checkpoint-every", "3"]
    return ["train", "text", corpus, "--out", str(out), *TINY, *options, *more]


def wait_for(path, process):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "corpus.txt").write_text(SENTENCES)
    assert main(long_run(str(folder / "corpus.txt"), folder / "run")) == 0
    return contents(folder / "run" / "checkpoint.safetensors")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_resumes_to_the_same_bits(corpus, tmp_path, uninterrupted, signum, status):
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    process = start(*long_run(corpus, tmp_path / "run"))
    wait_for(checkpoint, process)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == ""
    assert f"'fastdl train text --out {tmp_path / 'run'} --resume' goes on" in err
    assert "Traceback" not in err
    assert contents(checkpoint)["history.losses"] != uninterrupted["history.losses"]
    assert main(["train", "text", "--resume", "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert contents(checkpoint) == uninterrupted


def test_killed_runs_resume_to_the_same_bits(corpus, tmp_path, uninterrupted):
    """kill -9 at arbitrary moments: the file is whole each time, and the end is the same."""
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    process = start(*long_run(corpus, tmp_path / "run"))
    wait_for(checkpoint, process)
    rng = fd.random.Generator(0)
    for _ in range(5):
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
        steps = len(contents(checkpoint)["history.losses"])
        process = start(
            "train", "text", "--resume", "--quiet", "--out", str(tmp_path / "run"), "--checkpoint-every", "1"
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and len(contents(checkpoint)["history.losses"]) == steps:
            assert time.monotonic() < deadline
    process.kill()
    process.communicate()
    assert main(["train", "text", "--resume", "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert contents(checkpoint) == uninterrupted


def test_a_closed_pipe_ends_quietly(trained):
    process = start("generate", trained, "--length", "1000000")
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_output_that_cannot_show_a_character(tmp_path, trained):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    process = start("generate", trained, "--length", "5", "--prompt", "é", env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("?")


@pytest.mark.parametrize("unbuffered", ["", "1"])  # where the write fails: at exit, or at once
def test_a_missing_output_device(unbuffered):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastdl", "show-config"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr == "fastdl: error: stdout: No space left on device\n"


def test_import_is_light():
    """Nothing that only some need is imported with fastdl."""
    code = "import sys, numpy; before = set(sys.modules); import fastdl; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"argparse", "tqdm", "matplotlib", "hashlib", "pydoc_data.topics", "safetensors"}
    assert not {name for name in loaded if name.startswith(("fastdl.cli", "fastdl.training", "fastdl.models"))}
