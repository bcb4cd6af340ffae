"""Subclasses of ndarray are arrays; np.matrix and masked arrays are refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

ROOT = Path(__file__).parents[2]


class Own(np.ndarray):
    pass


CALLS = [
    lambda x: fd.norm(x),
    lambda x: fd.l0(x),
    lambda x: fd.l1(x),
    lambda x: fd.linf(x, keepdims=True),
    lambda x: fd.global_norm(x),
    lambda x: fd.dual_norm(x, 3),
    lambda x: fd.clip_by_global_norm_(x, 1.0),
    lambda x: fd.normalize(x),
    lambda x: fd.dropout_forward(x, seed=1),
    lambda x: fd.alpha_dropout_forward(x, seed=1),
    lambda x: fd.gaussian_noise(x, seed=1),
    lambda x: fd.relu(x),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_subclass_is_an_array(call, tmp_path):
    plain = np.array([3.0, 4.0])
    np.save(tmp_path / "w.npy", plain)
    expected = call(plain.copy())
    for other in (plain.copy().view(Own), np.load(tmp_path / "w.npy", mmap_mode="r+")):
        np.testing.assert_array_equal(call(other), expected)


@pytest.mark.parametrize("call", CALLS)
def test_matrices_and_masked_arrays_are_refused_by_name(call):
    with pytest.raises(TypeError, match=r"^(x|arrays): got a masked array"):
        call(np.ma.masked_array([3.0, 4.0], [True, False]))
    with pytest.warns(PendingDeprecationWarning), pytest.raises(TypeError, match=r"^(x|arrays): got np.matrix"):
        call(np.matrix([[3.0, 4.0]]))


@pytest.mark.compiled_only("the reference refuses as NumPy does")
def test_every_array_of_every_public_call():
    """Memmaps give the same, read-only ones too. Matrices and masked arrays are refused by name, and 0-d arrays are
    numbers where numbers are meant."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("subclass_audit.py")],
        env=os.environ | paths, capture_output=True, text=True, timeout=600, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["findings"], "\n".join(found["findings"])
    assert len(found["tried"]) > 1000  # (what is replaced, callable, argument)


def test_a_number_in_an_array_is_read_once():
    lr = np.array(0.5)
    optimizer = fd.optim.SGD([(np.ones(2), np.ones(2))], lr=lr)
    schedule = fd.optim.schedules.constant(lr)
    lr[...] = 7.0
    assert optimizer.lr == 0.5
    assert repr(schedule) == "constant(0.5)"
    with pytest.raises(TypeError, match="lr: got an array of shape"):
        fd.optim.SGD([(np.ones(2), np.ones(2))], lr=np.array([0.5]))
