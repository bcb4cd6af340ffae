"""How wide a register of this build is, and the multiply-add on it: see _registers.h."""
cimport cython


cdef extern from "_registers.h" nogil:
    enum:
        FD_NR_FLOAT
        FD_NR_DOUBLE
    ctypedef void in_line "FD_IN_LINE void"
    float fd_madd_float(float a, float b, float c)
    double fd_madd_double(double a, double b, double c)


cdef inline Py_ssize_t panel_width(const cython.floating* unused) noexcept nogil:
    """NR of this build and type; the argument only says which type."""
    if cython.floating is float:
        return FD_NR_FLOAT
    else:
        return FD_NR_DOUBLE


cdef inline cython.floating madd(cython.floating a, cython.floating b, cython.floating c) noexcept nogil:
    """a * b + c, fused where the build can."""
    if cython.floating is float:
        return fd_madd_float(a, b, c)
    else:
        return fd_madd_double(a, b, c)
