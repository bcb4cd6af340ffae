"""Each build is what its name says; the choice of one, threads, forks, and what an import costs."""

import ast
import importlib
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import _threads, recurrent
from fastdl._dispatch import _system, kernels

TOPICS = sorted(
    module.name for module in pkgutil.iter_modules(importlib.import_module("fastdl.kernels.baseline").__path__)
)


def test_each_module_of_each_build_reports_its_own_level(level):
    assert len(TOPICS) >= 5
    for topic in TOPICS:
        assert level == importlib.import_module(f"fastdl.kernels.{level}.{topic}").LEVEL


@pytest.mark.parametrize("topic", TOPICS)
def test_the_stub_names_what_the_module_has(topic):
    module = importlib.import_module(f"fastdl.kernels.baseline.{topic}")
    stub = Path(module.__file__).parent / f"{topic}.pyi"
    named = {
        node.name for node in ast.parse(stub.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    compiled = {"cython_function_or_method", "fused_cython_function", "type"}
    has = {name for name, value in vars(module).items() if type(value).__name__ in compiled}
    has = {name for name in has if not name.startswith("_")}
    if "__getattr__" in named:  # for the update rules, which are all of one type
        arguments = "(tuple arrays, places, tuple scalars, tuple options, int num_threads)"
        rules = {name for name in has if arguments in getattr(module, name).__doc__.splitlines()[0]}
        named = named - {"__getattr__", "Update"} | rules
        assert rules
    assert named == has


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("level", _system.supported_levels())
def test_the_environment_forces_a_level(level):
    done = python("import fastdl; print(fastdl.show_config(mode='dicts'))", FASTDL_ISA=level)
    assert done.returncode == 0, done.stderr
    assert f"'{level}'" in done.stdout


def test_an_unknown_level_is_refused():
    done = python("import fastdl", FASTDL_ISA="mmx")
    assert done.returncode != 0
    assert "FASTDL_ISA: got 'mmx', expected one of baseline, avx2, avx512" in done.stderr


def test_a_build_under_a_wrong_name_is_refused(monkeypatch):
    module = importlib.import_module(f"fastdl.kernels.{kernels.level}.dense")
    monkeypatch.setattr(module, "LEVEL", "other")
    monkeypatch.delitem(kernels.__dict__, "dense", raising=False)
    with pytest.raises(ImportError, match="was compiled as 'other'"):
        _ = kernels.dense


def test_importing_fastdl_imports_no_extra():
    done = python(
        "import sys, fastdl; heavy = {'tqdm', 'matplotlib', 'torch', 'argparse', 'multiprocessing', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_threads_are_set_and_refused():
    fd.set_num_threads(3)
    assert fd.get_num_threads() == 3
    for bad, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="num_threads: got"):
            fd.set_num_threads(bad)
    assert fd.get_num_threads() == 3


def test_the_environment_sets_threads():
    done = python("import fastdl; print(fastdl.get_num_threads())", OMP_NUM_THREADS="1")
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.skipif(_threads._openmp_default < 2, reason="one core, or a build without OpenMP: nothing to limit")
def test_threadpool_limits_are_respected():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    fd.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1):
        assert fd.get_num_threads() == 1
    assert fd.get_num_threads() == 2


def step():
    rng = np.random.default_rng(0)
    shapes = [(20, 16, 64), (16, 64), (16, 64), (64, 256), (64, 256), (256,)]
    arguments = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    h, _, tape = recurrent.lstm_forward(*arguments)
    return [h, *recurrent.lstm_backward(h, None, tape)[:6]]


def _child(queue):
    queue.put(float(sum(np.abs(array).sum() for array in step())))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_after_a_step_trains(monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)
    fd.set_num_threads(2)
    expected = float(sum(np.abs(array).sum() for array in step()))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
    assert float(sum(np.abs(array).sum() for array in step())) == expected  # the parent goes on


def test_threads_of_the_caller_may_run_at_once(monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)
    fd.set_num_threads(2)
    expected, results = step(), []
    workers = [threading.Thread(target=lambda: results.append(step())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    for result in results:
        for one, other in zip(result, expected, strict=True):
            np.testing.assert_array_equal(one, other)
