"""Arrays as pointers, for the kernels that small models call all the time.

A typed memoryview costs some 1,200 instructions, and a step of a small model would need forty. These ask only what
keeps memory safe: whether an array has the type and lies contiguous. That the shapes fit is for the caller, who has
refused or made every array that comes here. Modules that use them call `import_array`.
"""
cimport numpy as cnp


cdef inline object _unfit(object array, str wanted):
    return TypeError(f"kernel: got {getattr(array, 'dtype', type(array))}, expected {wanted}")


cdef inline const void* reads(object array, int kind) except? NULL:
    """Where an array of NumPy's type `kind` begins; NULL for None."""
    if array is None:
        return NULL
    if not (cnp.PyArray_Check(array) and cnp.PyArray_TYPE(<cnp.ndarray> array) == kind
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> array)):
        raise _unfit(array, f"a contiguous array of {cnp.PyArray_DescrFromType(kind)}")
    return cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline void* writes(object array, int kind) except? NULL:
    """The same of an array that is written to."""
    cdef const void* start = reads(array, kind)
    if array is not None and not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> array):
        raise _unfit(array, "an array that can be written")
    return <void*> start


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
