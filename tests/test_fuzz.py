"""The argument fuzz finds what it is for, and knows a valid call of everything public."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PLANTED = """
import sys, os, signal
import fastdl as fd, fastdl.dense as dense
from fastdl.dense import sigmoid
def planted(x):
    if x is None: raise KeyError("x")
    if isinstance(x, str): raise ValueError("something is wrong")
    if isinstance(x, list): os.kill(os.getpid(), signal.SIGSEGV)
    if getattr(x, "dtype", None) == "float16": x[...] = 1
    return sigmoid(x)
planted.__module__, planted.__qualname__, planted.__name__ = "fastdl.dense", "sigmoid", "sigmoid"
fd.sigmoid = dense.sigmoid = planted
from fuzz.__main__ import main
sys.argv = ["fuzz", "--seed", "1", "--seconds", "5", "--jobs", "1", "--only", "dense.sigmoid"]
sys.exit(main())
"""


def run(*command):
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], env=os.environ | paths, capture_output=True, text=True, timeout=600, cwd=ROOT
    )


def test_every_public_callable_has_a_valid_call():
    done = run("-m", "fuzz", "--seconds", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "fuzz: 0 calls, 0 crashes, 0 hangs, 0 foreign exceptions, 0 changed inputs, 0 refusals of which 0 unnamed, "
        "seed 0"
    ]


def test_planted_faults_are_found():
    done = run("-c", PLANTED)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {line.split(":")[0] for line in done.stdout.splitlines()}
    assert {"crash", "foreign", "changed", "unnamed"} <= found, done.stdout


def test_files_and_arrays_are_mutated_alike_for_one_seed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from fuzz import arrays, files

    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    for seed in range(30):
        first, second = (arrays.mutate(random.Random(seed), np.ones((3, 2), np.float32))[0] for _ in range(2))
        assert first == second
        assert files.mutate(random.Random(seed), str(path))[0] == files.mutate(random.Random(seed), str(path))[0]


def test_a_refusal_names_the_argument_as_the_caller_writes_it(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import fastdl as fd
    from fuzz import verdict

    def named(message, name, done="str", parameters=()):
        return verdict.names_it(ValueError(message), [(name, done, None)], list(parameters))

    for message in ("x: got 1, expected 2", "x[0]: got", "x['a: b']: got", "out, x: got", "w.x: got", "x(0): no"):
        assert named(message, "x"), message
    for message in ("y: got x, expected 2", "x got 1", "the x: got 1", "xs: got 1", "x: unhashable type"):
        assert not named(message, "x"), message
    assert not named("y: got shape (2,), expected (3,)", "x", "str", ["x", "y"])
    assert named("y: got shape (2,), expected (3,)", "x", "extent 0 more", ["x", "y"])
    assert named("run.safetensors: another run's: callbacks ['A'], expected []", "callbacks", "empty", ["model"])
    assert not named("run.safetensors: damaged", "callbacks", "empty", ["model"])
    layer, wrapped = fd.nn.Zoneout(), fd.nn.DropConnect(fd.nn.DotAttention(), 0.5, names=())
    assert [verdict.written_as("nn.Zoneout.__call__", layer, "args", i) for i in range(3)] == ["new", "old", "args"]
    assert [verdict.written_as("nn.DropConnect.__call__", wrapped, "args", i) for i in (0, 2)] == ["x", "lengths"]
    assert verdict.written_as("nn.Parameter.grad", fd.nn.Linear(1, 1).weight, "values", None) == "grad"
    assert not verdict.allowed("dense.tanh", KeyError("x"))


def test_a_busy_machine_makes_no_hangs_and_moves_no_calls(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from fuzz import worker

    monkeypatch.setattr(worker, "PATIENCE", 3000.0)
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        answer = worker._alarms(0.02)
        time.sleep(0.05)
        answer(signal.SIGALRM, None)  # goes off again later: what the call did was to wait
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass
        with pytest.raises(worker.Long):
            answer(signal.SIGALRM, None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    def calls(seconds):
        sites = {"f": [worker.Site("a", 1, 0.01, 1), worker.Site("b", 1, 0.02, 1), worker.Site("c", 1, seconds, 1)]}
        found = [worker.Call(0, index, ["f"], sites, {}) for index in range(60)]
        return [(one.site.recipe, one.reference, one.rng.random()) for one in found]

    quick, slow = calls(0.049), calls(0.051)  # a site that is near enough, and on another run is not
    assert {one[0] for one in quick} == {"a", "b", "c"}
    assert all(q == s for q, s in zip(quick, slow, strict=True) if q[0] != "c")
    assert [one[1:] for one in quick] == [one[1:] for one in slow]
