"""The comparison with other libraries: its table and records, and that every library does the same work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from alternate import Sample
from peers import PEERS, __main__, compare, memory, ours, processes, records, works

import fastdl as fd

ABOUT = {"peer": "pytorch", "version": "2.0", "threads": 2}


def row(mine, theirs, work="LSTM", unit="s", **more):
    samples = {"fastdl": Sample(mine, 0.9 * mine, 1.1 * mine, 9), "peer": Sample(theirs, 0.9 * theirs, theirs, 9)}
    return records.record(ABOUT, work, {"T": 4, "n": 1 << 24}, unit, samples, **more)


def test_a_loss_stands_out_in_its_row_and_in_the_summary():
    won, lost = row(1e-3, 3e-3, peer_first=2.5), row(4e-3, 1e-3, "GRU")
    told = " ".join(records.line(won).split())
    assert told == "LSTM (T 4 n 16 Mi) 1 ms (0.9-1.1) 3 ms (2.7-3) 3.00 x wins 2.5 s"
    assert "0.25 x  LOSES" in records.line(lost)
    told = records.summary("PyTorch", [won, lost])
    assert "wins 1 rows and loses 1" in told
    assert "loses 0.25 x  GRU (T 4 n 16 Mi)" in told
    assert f"{(3 * 0.25) ** 0.5:.2f} x" in told
    assert "nothing" in records.summary("PyTorch", [])


def test_sizes_are_told_in_megabytes_and_notes_once():
    line = records.line(row(73.1e6, 1.46e9, "installed size", "B"))
    assert "73.1 MB" in line
    assert "1460 MB" in line
    rows = [row(1, 1, "LSTM", note="odd"), row(1, 1, "LSTM", note="odd"), row(1, 1, "GRU", note="odd"), row(1, 1)]
    assert records.notes(rows) == ["LSTM, GRU: odd"]


def test_every_row_has_its_own_label():
    labels = [records.label(work.name, work.shape) for work in works.table()]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) < records.WIDTH


@pytest.mark.parametrize("work", works.tiny(), ids=lambda work: records.label(work.name, work.shape))
def test_ours_does_every_work(work):
    contender = getattr(ours, work.function)(**work.problem(**work.shape))
    with fd.backend("reference"):
        twin = getattr(ours, work.function)(**work.problem(**work.shape))
        expected = twin.arrays(twin.run())
    found = contender.arrays(contender.run())
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5)


def test_weights_tell_layers_and_directions():
    rows = {work.name: work for work in works.table()}
    for name, shape in {"RNNoise, GRU": (3, False), "kraken, LSTM": (1, True), "AIDA-X, LSTM": (1, False)}.items():
        weights = rows[name].problem(**rows[name].shape | {"T": 1})["weights"]
        assert tuple(works.stacked(weights).values()) == shape
        layers = works.by_layer(weights)
        assert [len(directions) for directions in layers] == [1 + shape[1]] * shape[0]
        assert sum(len(own) for directions in layers for own in directions) == len(weights)
        if shape == (1, False):
            assert works.single(weights) is weights
        else:
            with pytest.raises(works.Missing, match="several layers"):
                works.single(weights)


def contender(value, **more):
    return works.Contender(lambda: value, lambda out: {"y": np.asarray(out)}, **more)


def test_results_that_differ_are_not_timed():
    work = works.table()[0]
    assert compare.agree(work, {"fastdl": contender([1.0]), "peer": contender([1.0])}).keys() == {
        "fastdl_first",
        "peer_first",
    }
    for wrong in ([1.001], [1.0, 1.0], [np.nan]):
        with pytest.raises(AssertionError, match="y: "):
            compare.agree(work, {"fastdl": contender([1.0]), "peer": contender(wrong)})
    compare.agree(work, {"fastdl": contender([1.0]), "peer": contender([2.0], loose=("y",))})
    with pytest.raises(AssertionError, match="finite"):
        compare.agree(work, {"fastdl": contender([1.0]), "peer": contender([np.inf], loose=("y",))})


def test_dropped_refuses_a_mask_that_backward_does_not_share():
    x, dy = np.ones((2, 4000), np.float32)
    x[0] = dy[2] = 0  # whatever happens to these tells nothing
    y, dx = (2 * (np.arange(4000) % 2 == 0) * array for array in (x, dy))
    np.testing.assert_array_equal(works.dropped(x, dy, y, dx, 0.5)["scales"], [2, 2, 2, 2])
    with pytest.raises(AssertionError, match="different elements"):
        works.dropped(x, dy, y, dx[::-1], 0.5)
    with pytest.raises(AssertionError, match="kept"):
        works.dropped(x, dy, 2 * x, 2 * dy, 0.5)


def test_one_failing_row_leaves_the_others(capsys):
    found = compare.Found(ABOUT, 0.1)

    def missing():
        raise works.Missing("GRU")

    found.attempt("a", lambda: 1 / 0)
    found.attempt("b", missing)
    found.attempt("c", lambda: found.add("import", {}, "s", {"fastdl": Sample(1, 1, 1, 1), "peer": Sample(2, 2, 2, 1)}))
    assert "FAILED  ZeroDivisionError" in capsys.readouterr().out
    assert [one.ratio for one in found.rows] == [2]
    written = json.loads(json.dumps(found.told()))
    assert written["records"] == [found.rows[0]._asdict()]
    assert written["records"][0] | {"unit": "s", "ratio": 2, "peer_high": 2, "fastdl_low": 1} == written["records"][0]
    assert written["commit"]
    assert written["build"] in written["machine"]["builds this processor runs"]
    assert found.gaps("thinc") == ["thinc does not offer: GRU", "1 rows FAILED"]


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
    assert 10e6 < memory.peak() < 1e12
    assert {path.suffix for path in processes._wheel_files()} >= {".py", ".so"}
    assert processes._closure(["numpy"]) == processes._closure(["numpy", "numpy"]) > 10e6


def test_every_peer_has_requirements():
    folder = Path(__main__.__file__).parent
    for name, peer in PEERS.items():
        assert (folder / f"{peer.module}.py").is_file()
        text = (folder / "requirements" / f"{name}.txt").read_text()
        assert all(f"\n{distribution}==" in text for distribution in peer.distributions)


@pytest.mark.peer
@pytest.mark.parametrize("name", PEERS)
def test_peer_agrees_with_ours(name, tmp_path):
    """In the peer's environment where ``make bench-peers`` has made it, else in this one."""
    python, file = __main__.installed(name), tmp_path / "found.json"
    if python is None:
        pytest.skip(f"{PEERS[name].title} is not installed")
    command = [python, "-m", "peers.compare", name, "--check", "--threads=1", f"--json={file}"]
    done = subprocess.run(command, env=__main__.variables(1), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " agrees" in done.stdout
    found = json.loads(file.read_text())
    assert found["failed"] == {}
