"""What is asked of arrays in compiled code: the answers that Python's checks would give, for every layout."""

import numpy as np
import pytest

from fastdl._dispatch import _system as system
from fastdl._dispatch import kernels
from fastdl._memory import ALIGNMENT, SMALL, aligned_empty, aligned_zeros

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def unaligned(dtype):
    return np.zeros(dtype.itemsize * 4 + 1, np.uint8)[1:].view(dtype)


@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE])
def test_plain_arrays(dtype):
    x = np.zeros((2, 3), dtype)
    assert system.is_plain(x)
    assert system.is_plain(x, dtype, (2, 3))
    assert system.is_plain(x, None, (None, 3))
    assert system.is_plain(np.zeros((0, 3), dtype), dtype, (0, None))
    assert system.is_plain(np.zeros((), dtype), dtype, ())
    for shape in ((2,), (2, 3, 1), (3, 2), (None, 2)):
        assert not system.is_plain(x, dtype, shape)
    assert not system.is_plain(x, DOUBLE if dtype == FLOAT else FLOAT)
    for other in (x.T, x[:, ::2], x.astype(dtype.newbyteorder()), unaligned(dtype), x.astype(int), x.astype(np.float16),
                  x.tolist(), None, np.ma.masked_array(x), np.zeros(1, dtype)[0]):  # fmt: skip
        assert not system.is_plain(other), type(other)


def test_read_only_arrays_are_plain_unless_written_to():
    x = np.zeros(3)
    x.flags.writeable = False
    assert system.is_plain(x)
    assert not system.is_plain(x, None, None, True)
    assert system.is_plain(x.copy(), None, None, True)


def test_indices():
    assert system.is_index(np.array([[0, 4], [2, 1]]), 5)
    assert system.is_index(np.zeros((0, 3), np.int64), 0)
    for wrong in ([5], [-1], [0, 1, 7], [np.iinfo(np.int64).min]):
        assert not system.is_index(np.array(wrong), 5)
    for other in (np.arange(4)[::2], np.arange(3, dtype=np.int32), np.zeros(3), [1, 2], np.arange(3).astype(">i8")):
        assert not system.is_index(other, 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 5), (SMALL,), (33, 129), (1, 2, 3, 4, 5, 6)])
def test_new_arrays(shape, dtype):
    dtype = np.dtype(dtype)
    x, zeros = aligned_empty(shape, dtype), aligned_zeros(shape, dtype)
    for one in (x, zeros):
        assert one.shape == shape
        assert one.dtype == dtype
        assert one.flags.carray
    assert zeros.ctypes.data % ALIGNMENT == 0
    assert not zeros.any()
    if x.nbytes >= SMALL:
        assert x.ctypes.data % ALIGNMENT == 0


def test_memory_is_kept_while_a_view_lives():
    whole = aligned_empty((1 << 16,), DOUBLE)
    whole[:] = 1.0
    view = whole[5:9]
    del whole
    other = aligned_empty((1 << 16,), DOUBLE)
    other[:] = 2.0
    assert (view == 1).all()


def test_too_many_axes_and_too_much_memory_are_refused():
    with pytest.raises(ValueError, match="shape: got 33 axes"):
        aligned_empty((1,) * 33, FLOAT)
    with pytest.raises(MemoryError, match="no memory for an array of"):
        aligned_empty((1 << 60,), FLOAT)


@pytest.mark.parametrize("place", ["x", "W", "y", "work"])
def test_kernels_refuse_what_is_not_as_it_seems(level, place):
    # What reaches them has been checked; this is what stands between a slip above and somebody's memory.
    arrays = {"x": np.zeros((2, 3)), "W": np.zeros((3, 4)), "b": None, "y": np.zeros((2, 4)), "work": np.zeros(8000)}
    kernels.dense.linear_forward(**arrays, num_threads=1)
    right = arrays[place]
    read_only = right.copy()
    read_only.flags.writeable = False
    swapped = right.astype(right.dtype.newbyteorder())
    wrongs = [right.astype(int), swapped, right[..., ::2], right.tolist()]
    for wrong in wrongs + [read_only] * (place in ("y", "work")):
        with pytest.raises(TypeError, match="contiguous array of float|ndarray|float32 or float64|written"):
            kernels.dense.linear_forward(**arrays | {place: wrong}, num_threads=1)
    if place != "x":
        with pytest.raises(TypeError, match="got float32, expected a contiguous array of float64"):
            kernels.dense.linear_forward(**arrays | {place: right.astype(np.float32)}, num_threads=1)
    if place == "W":
        with pytest.raises(TypeError, match="expected more than 1 axes"):
            kernels.dense.linear_forward(**arrays | {place: right[0]}, num_threads=1)
