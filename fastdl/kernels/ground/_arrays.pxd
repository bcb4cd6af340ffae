"""The kernels' doors: the one place that asks whether a kernel may touch what it is given.

A typed memoryview costs some 1,200 instructions, and a step of a small model would need forty. So `reads` and `writes`
give pointers, and ask what keeps memory safe: whether an array has the type, lies contiguous, and has as many elements
as the kernel will touch. What typed memoryviews are asked beside is `fits`, and `within` where a kernel goes by numbers
that lie in an array. That the shapes are right is for the caller, who has refused or made every array that comes here.
Modules that use the first three call `import_array`.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t


cdef inline object _unfit(object array, str wanted):
    return TypeError(f"kernel: got {getattr(array, 'dtype', type(array))}, expected {wanted}")


cdef inline int fits(Py_ssize_t count, Py_ssize_t needed) except -1:
    """Refuse fewer elements (or rows, or columns) than a kernel touches."""
    if count < needed:
        raise ValueError(f"kernel: got {count} elements, expected {needed}")
    return 0


cdef inline int64_t _outside(const int64_t* values, Py_ssize_t count, uint64_t last) noexcept nogil:
    """Below 0 if any value is outside of [0, last]: its sign, and that of its distance from the last, are gathered."""
    cdef Py_ssize_t i
    cdef uint64_t signs = 0
    for i in range(count):
        signs |= <uint64_t> values[i] | (last - <uint64_t> values[i])
    return <int64_t> signs


cdef inline int within(const int64_t* values, Py_ssize_t count, int64_t upper) except -1:
    """Refuse numbers outside of [0, upper)."""
    if _outside(values, count, <uint64_t> (upper - 1)) < 0:
        raise ValueError(f"kernel: got a number outside of 0 to {upper - 1}")
    return 0


cdef inline const void* reads(object array, int kind, Py_ssize_t needed) except? NULL:
    """Where an array of NumPy's type `kind` with so many elements begins."""
    if not (cnp.PyArray_Check(array) and cnp.PyArray_TYPE(<cnp.ndarray> array) == kind
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> array)):
        raise _unfit(array, f"a contiguous array of {cnp.PyArray_DescrFromType(kind)}")
    fits(cnp.PyArray_SIZE(<cnp.ndarray> array), needed)
    return cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline void* writes(object array, int kind, Py_ssize_t needed) except? NULL:
    """The same of an array that is written to."""
    cdef const void* start = reads(array, kind, needed)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> array):
        raise _unfit(array, "an array that can be written")
    return <void*> start


cdef inline const void* may_read(object array, int kind, Py_ssize_t needed) except? NULL:
    """`reads`; NULL for None, where a kernel does without."""
    if array is None:
        return NULL
    return reads(array, kind, needed)


cdef inline void* may_write(object array, int kind, Py_ssize_t needed) except? NULL:
    if array is None:
        return NULL
    return writes(array, kind, needed)


cdef inline int float_kind(object array) except -1:
    """NPY_FLOAT or NPY_DOUBLE, which the array must be."""
    cdef int kind = cnp.PyArray_TYPE(<cnp.ndarray?> array)
    if kind != cnp.NPY_FLOAT and kind != cnp.NPY_DOUBLE:
        raise _unfit(array, "float32 or float64")
    return kind


cdef inline Py_ssize_t extent(object array, int axis) except -1:
    """The array's extent along an axis, which it must have."""
    if not 0 <= axis < cnp.PyArray_NDIM(<cnp.ndarray?> array):
        raise _unfit(array, f"more than {axis} axes")
    return cnp.PyArray_DIM(<cnp.ndarray> array, axis)
