"""The comparison with other libraries: its rows and records, and that every library does the same work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest
from peers import __main__, compare, processes

from fastdl.cli._bench import _fastdl, _works
from fastdl.cli._bench._clock import Sample
from fastdl.cli._bench._common import by_layer, dropped, single, stacked
from fastdl.cli._bench._peers import PEERS, agree
from fastdl.cli._bench._table import Missing, Work, label

COMPARED = [case for case in cases.table() if case.shapes]
NAMED = {case.name: case for case in COMPARED}
PYTORCH = PEERS["pytorch"]


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(compare.Peer, "version", "2.0")
    return compare.Found(PYTORCH, 2, 0.1)


def add(found, mine, theirs, work="LSTM", unit="seconds", **more):
    samples = {"fastdl": Sample(mine, 0.9 * mine, 1.1 * mine, 9), "peer": Sample(theirs, 0.9 * theirs, theirs, 9)}
    found.add("some.case", work, {"T": 4, "n": 1 << 24}, samples, unit, **more)
    return found.rows[-1]


def test_a_loss_stands_out_in_its_row_and_in_the_summary(found):
    won, lost = add(found, 1e-3, 3e-3, first=2.5), add(found, 4e-3, 1e-3, "GRU")
    told = " ".join(compare.line(won).split())
    assert told == "LSTM (T 4 n 16 Mi) 1.00 ms (900 µs to 1.10 ms) 3.00 ms (2.70 ms to 3.00 ms) 3.00 x wins 2.50 s"
    assert "0.25 x  LOSES" in compare.line(lost)
    told = found.summary()
    assert told[0] == f"PyTorch: fastdl wins 1 rows and loses 1; geometric mean of the times {(3 * 0.25) ** 0.5:.2f} x"
    assert told[1] == "  loses 0.25 x  GRU (T 4 n 16 Mi)"
    assert "nothing" in compare.Found(PYTORCH, 2, 0.1).summary()[0]


def test_sizes_are_told_in_megabytes_and_notes_once(found):
    line = compare.line(add(found, 73.1e6, 1.46e9, "installed size", "bytes"))
    assert "73.1 MB" in line
    assert "1460 MB" in line
    for work in ("LSTM", "LSTM", "GRU"):
        add(found, 1, 1, work, note="odd")
    assert found.summary()[0] == "LSTM, GRU: odd"


def test_every_row_has_its_own_label():
    labels = [label(case.title, sizes) for case in COMPARED for sizes in case.shapes]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) < compare.WIDTH


def test_every_kind_of_work_is_in_fastdl_s_adapter_and_in_another():
    kinds = {case.kind for case in COMPARED}
    folder = Path(_fastdl.__file__).parent
    for kind in kinds:
        assert hasattr(_fastdl, kind)
        assert any(f"def {kind}(" in (folder / f"{peer.module}.py").read_text() for peer in PEERS.values()), kind


def test_the_tour_is_of_rows_that_are_compared():
    for name, shapes in _works.TOUR:
        assert all(sizes in NAMED[name].shapes for sizes in shapes), name


def test_weights_tell_layers_and_directions():
    for name, shape in {"GRU[RNNoise]": (3, False), "LSTM[kraken]": (1, True), "LSTM[AIDA-X]": (1, False)}.items():
        case = NAMED[f"recurrent.{name}"]
        weights = case.problem(cases.SINGLE, **case.shapes[0] | {"T": 1})["weights"]
        assert tuple(stacked(weights).values()) == shape
        layers = by_layer(weights)
        assert [len(directions) for directions in layers] == [1 + shape[1]] * shape[0]
        assert sum(len(own) for directions in layers for own in directions) == len(weights)
        if shape == (1, False):
            assert single(weights) is weights
        else:
            with pytest.raises(Missing, match="several layers"):
                single(weights)


def work(value, **more):
    return Work(lambda: value, arrays=lambda out: {"y": np.asarray(out)}, tolerance=1e-4, **more)


def told(mine, theirs, **more):
    return agree(COMPARED[0], {"fastdl": work(mine), "peer": work(theirs, **more)}, "fastdl")[0]["peer"]


def test_results_that_differ_are_told():
    assert agree(COMPARED[0], {"fastdl": work([1.0]), "peer": work([1.0])}, "fastdl")[1].keys() == {"fastdl", "peer"}
    assert told([1.0], [1.0]) == told([1.0], [2.0], loose=("y",)) == ""
    assert told([1.0], [1.001]).startswith("y: 0.001 apart")
    assert told([1.0], [1.0, 1.0]).startswith("y: shape")
    assert told([1.0], [np.nan]) == told([1.0], [np.inf], loose=("y",)) == "y: not finite"


def test_dropped_refuses_a_mask_that_backward_does_not_share():
    x, dy = np.ones((2, 4000), np.float32)
    x[0] = dy[2] = 0  # whatever happens to these tells nothing
    y, dx = (2 * (np.arange(4000) % 2 == 0) * array for array in (x, dy))
    np.testing.assert_array_equal(dropped(x, dy, (y, dx), 0.5)["scales"], [2, 2, 2, 2])
    with pytest.raises(AssertionError, match="different elements"):
        dropped(x, dy, (y, dx[::-1]), 0.5)
    with pytest.raises(AssertionError, match="kept"):
        dropped(x, dy, (2 * x, 2 * dy), 0.5)


def test_one_failing_row_leaves_the_others(found, capsys):
    def missing():
        raise Missing("GRU")

    found.attempt("a", lambda: 1 / 0)
    found.attempt("b", missing)
    found.attempt("c", lambda: add(found, 1, 2))
    assert "FAILED  ZeroDivisionError" in capsys.readouterr().out
    record = json.loads(json.dumps(found.rows))[0]
    assert {
        "ratio": 2,
        "seconds": 1,
        "peer": "PyTorch",
        "version": "2.0",
        "shape": "T 4, n 16,777,216",
    }.items() <= record.items()
    assert record["of"] == record["commit"]
    assert found.summary()[:2] == ["PyTorch does not offer: GRU", "1 rows FAILED"]


def test_a_peer_that_cannot_be_installed_gives_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    monkeypatch.setattr(__main__, "ENVIRONMENTS", tmp_path / "peers")

    def refuse(command):
        raise __main__.InstallError("no matching distribution")

    monkeypatch.setattr(__main__, "_install", refuse)
    assert __main__.run("keras", 0.1, 1) == "not compared, since it could not be installed: no matching distribution"


def test_the_installer_says_why_in_one_line():
    code = "import sys; sys.exit('begun\\nERROR: no such thing\\n')"
    with pytest.raises(__main__.InstallError, match="^ERROR: no such thing$"):
        __main__._install([sys.executable, "-c", code])


def test_threads_are_bounded_in_the_environment(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = __main__.variables(3)
    assert {found[f"{pool}_NUM_THREADS"] for pool in __main__.POOLS} == {"3"}
    assert "PYTHONDONTWRITEBYTECODE" not in found  # import times are those of cached bytecode
    assert len(__main__.cores(1)) == 1
    assert __main__.cores(10_000) == os.sched_getaffinity(0)


def test_memory_and_size_are_of_what_is_there():
    assert 10e6 < processes.peak() < 1e12
    assert {path.suffix for path in processes._wheel_files()} >= {".py", ".so"}
    assert processes._closure(["numpy"]) == processes._closure(["numpy", "numpy"]) > 10e6


def test_every_peer_has_requirements():
    folder = Path(__main__.__file__).parent
    for name, peer in PEERS.items():
        assert (Path(_fastdl.__file__).parent / f"{peer.module}.py").is_file()
        text = (folder / "requirements" / f"{name}.txt").read_text()
        assert all(f"\n{distribution}==" in text for distribution in peer.distributions)


@pytest.mark.peer
@pytest.mark.parametrize("name", PEERS)
def test_peer_agrees_with_ours(name):
    """In the peer's environment where ``make bench-peers`` has made it, else in this one."""
    python = __main__.installed(name)
    if python is None:
        pytest.skip(f"{PEERS[name].title} is not installed")
    command = [python, "-m", "peers.compare", name, "--check", "--threads=1"]
    done = subprocess.run(command, env=__main__.variables(1), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " agrees" in done.stdout
