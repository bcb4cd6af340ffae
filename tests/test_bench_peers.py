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

from fastdl.cli._bench import _fastdl, _peers, _tour, _works
from fastdl.cli._bench._clock import Sample
from fastdl.cli._bench._common import by_layer, dropped, single, stacked
from fastdl.cli._bench._peers import PEERS, agree
from fastdl.cli._bench._table import Missing, Work, label

COMPARED = [case for case in cases.table() if case.shapes]
NAMED = {case.name: case for case in COMPARED}


def test_a_loss_stands_out_in_its_row_and_in_the_foot(capsys):
    times = {"LSTM": {"fastdl": 1e-3, "PyTorch": 3e-3}, "GRU": {"fastdl": 4e-3, "PyTorch": 1e-3, "JAX": None}}
    told = [" ".join(_tour.line(name, row, ["PyTorch", "JAX"]).split()) for name, row in times.items()]
    assert told == ["LSTM 1.000 3.000 3.00 -", "GRU 4.000 1.000 0.25< differs"]
    assert "73.1" in _tour.line("installed size, MB", {"fastdl": 73.1e6}, [], 1e6)
    _tour.print_foot(times, [PEERS["pytorch"]._replace(note="threads of its own")])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "PyTorch: 0.87 x as long in geometric mean of 2 rows; fastdl loses 1.",
        "PyTorch: threads of its own",
        "  PyTorch takes 0.25 x  GRU",
    ]


def test_a_record_says_what_was_compared_and_where(monkeypatch):
    monkeypatch.setattr(_peers.Peer, "version", "2.0")
    taken = {"fastdl": Sample(1.0, 0.9, 1.1, 9), "PyTorch": Sample(2.0, 1.8, 2.2, 9)}
    made = compare.record(PEERS["pytorch"], "some.case", "LSTM", {"T": 4, "n": 1 << 24}, taken, note="odd")
    found = json.loads(json.dumps(made))
    named = {"peer": "PyTorch", "version": "2.0", "shape": "T 4, n 16,777,216", "note": "odd"}
    assert {"ratio": 2, "seconds": 1, **named}.items() <= found.items()
    assert found["of"] == found["commit"]


def test_every_row_has_its_own_label():
    labels = [label(case.title, sizes) for case in COMPARED for sizes in case.shapes]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) < _tour.WIDTH


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
            assert len(single(weights)) == 4
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
    np.testing.assert_array_equal(dropped(x, dy, {"y": y, "dx": dx}, 0.5)["scales"], [2, 2, 2, 2])
    with pytest.raises(AssertionError, match="different elements"):
        dropped(x, dy, {"y": y, "dx": dx[::-1]}, 0.5)
    with pytest.raises(AssertionError, match="kept"):
        dropped(x, dy, {"y": 2 * x, "dx": 2 * dy}, 0.5)


def test_who_fails_or_differs_is_not_timed_and_the_others_are():
    class Adapter:
        def __init__(self, make):
            self.norm = lambda **problem: make(_fastdl.norm(**problem))

    def missing(work):
        raise Missing("norm")

    adapters = {
        "fastdl": _fastdl,
        "right": _fastdl,
        "broken": Adapter(lambda work: 1 / 0),
        "failing": Adapter(lambda work: work._replace(run=lambda: 1 / 0)),
        "wrong": Adapter(lambda work: work._replace(run=lambda: 2 * work.run())),
        "none": Adapter(missing),
    }
    found = _peers.compare(NAMED["norms.norm[ord=2]"], {"n": 9}, adapters, 0.0, reference=True)
    assert found.taken.keys() == {"fastdl", "right", "reference"}
    assert found.wrong["broken"] == found.wrong["failing"] == "ZeroDivisionError: division by zero"
    assert "apart" in found.wrong["wrong"]
    assert found.missing == {"none": "norm"}
    assert {name for name, seconds in found.seconds.items() if seconds is None} == found.wrong.keys()


def test_a_peer_that_cannot_be_installed_gives_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    monkeypatch.setattr(__main__, "ENVIRONMENTS", tmp_path / "peers")

    installer = tmp_path / "installer"
    installer.write_text(f"#!{sys.executable}\nimport sys; sys.exit('begun\\nERROR: no such thing\\n')\n")
    installer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(installer))
    assert __main__.run("keras", 0.1, 1) == "not compared, since it could not be installed: ERROR: no such thing"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    assert "No such file" in __main__.run("keras", 0.1, 1)


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
    command = [sys.executable, "-m", "peers.processes", "fastdl", "training.classifier", "1"]
    done = subprocess.run(command, env=__main__.variables(1), capture_output=True, text=True)
    assert 10e6 < float(done.stdout.split()[-1]) < 1e12, done.stderr
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
