"""Subclasses of ndarray are arrays; np.matrix and masked arrays are refused by name."""

import numpy as np
import pytest

import fastdl as fd


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
