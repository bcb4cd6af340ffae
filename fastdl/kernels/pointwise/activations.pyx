"""Activations and their gradients, an element each or, for softmax, a row.

Elements come in fixed chunks, so that their bits do not depend on the thread that has them.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport log

from ..ground._arrays cimport fits, float_kind, reads, writes
from ..ground._build cimport FD_LEVEL
from ..ground._math cimport exp_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT
from ..reduce._softmax cimport exponentials

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef extern from "_activations.h" nogil:
    const char* fd_activations[]
    void fd_activate_float(int row, const float* x, float* y, Py_ssize_t n, float a, float b)
    void fd_activate_double(int row, const double* x, double* y, Py_ssize_t n, double a, double b)
    void fd_undo_float(int row, const float* dy, const float* kept, float* dx, Py_ssize_t n, float a, float b)
    void fd_undo_double(int row, const double* dy, const double* kept, double* dx, Py_ssize_t n, double a, double b)

cdef enum:
    CHUNK = 1024  # elements that one thread takes at a time

ROWS = {}  # a row's name -> its number
while fd_activations[len(ROWS)] != NULL:
    ROWS[fd_activations[len(ROWS)].decode()] = len(ROWS)
cdef int COUNT = len(ROWS)


cdef struct Elements:  # of either type; NULL for what a forward has not
    Py_ssize_t size
    const void* dy
    const void* kept
    void* to
    int row
    double a, b
    int num_threads


cdef inline int _describe(Elements* o, int row, double a, double b, int num_threads) except -1:
    fits(row, 0)
    fits(COUNT, row + 1)
    fits(num_threads, 1)
    o.row, o.a, o.b, o.num_threads = row, a, b, num_threads
    return 0


def forward(int row, x, y, double a, double b, int num_threads):
    """y = f(x), f being a row of the table with settings a and b."""
    cdef Elements o
    cdef int kind = float_kind(x)
    _describe(&o, row, a, b, num_threads)
    o.size, o.dy = cnp.PyArray_SIZE(<cnp.ndarray> x), NULL
    o.kept, o.to = reads(x, kind, o.size), writes(y, kind, o.size)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _elements(&o, <float> o.a, <float> o.b)
        else:
            _elements(&o, o.a, o.b)


def backward(int row, dy, kept, dx, double a, double b, int num_threads):
    """dx = dy f'(x); kept: x or f(x), which the row says."""
    cdef Elements o
    cdef int kind = float_kind(dy)
    _describe(&o, row, a, b, num_threads)
    o.size = cnp.PyArray_SIZE(<cnp.ndarray> dy)
    o.dy, o.kept, o.to = reads(dy, kind, o.size), reads(kept, kind, o.size), writes(dx, kind, o.size)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _elements(&o, <float> o.a, <float> o.b)
        else:
            _elements(&o, o.a, o.b)


cdef void _elements(const Elements* o, cython.floating a, cython.floating b) noexcept nogil:
    cdef Py_ssize_t chunk, chunks = (o.size + CHUNK - 1) // CHUNK
    if o.num_threads == 1:
        for chunk in range(chunks):
            _chunk(o, chunk * CHUNK, a, b)
        return
    for chunk in prange(chunks, num_threads=o.num_threads, schedule="static"):
        _chunk(o, chunk * CHUNK, a, b)


cdef inline void _chunk(const Elements* o, Py_ssize_t at, cython.floating a, cython.floating b) noexcept nogil:
    cdef Py_ssize_t n = min(o.size - at, CHUNK)
    cdef const cython.floating* kept = <const cython.floating*> o.kept + at
    cdef const cython.floating* dy = <const cython.floating*> o.dy
    cdef cython.floating* to = <cython.floating*> o.to + at
    if cython.floating is float:
        if dy is NULL:
            fd_activate_float(o.row, kept, to, n, a, b)
        else:
            fd_undo_float(o.row, dy + at, kept, to, n, a, b)
    else:
        if dy is NULL:
            fd_activate_double(o.row, kept, to, n, a, b)
        else:
            fd_undo_double(o.row, dy + at, kept, to, n, a, b)


# ---- softmax ------------------------------------------------------------------------------------------------


def softmax(x, y, Py_ssize_t width, bint logarithm, int num_threads):
    """y = e^x / sum e^x over rows of `width`, or its logarithm."""
    cdef int kind = float_kind(x)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray> x)
    fits(width, 1)
    fits(num_threads, 1)
    cdef const void* x_ = reads(x, kind, size)
    cdef void* y_ = writes(y, kind, size)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _softmax_rows(<const float*> x_, <float*> y_, size // width, width, logarithm, num_threads)
        else:
            _softmax_rows(<const double*> x_, <double*> y_, size // width, width, logarithm, num_threads)


cdef void _softmax_rows(const cython.floating* x, cython.floating* y, Py_ssize_t rows, Py_ssize_t width,
                        bint logarithm, int num_threads) noexcept nogil:
    cdef Py_ssize_t r
    if num_threads == 1:  # starting a team of one would take longer than a few rows
        for r in range(rows):
            _softmax_row(x + r * width, y + r * width, width, logarithm)
        return
    for r in prange(rows, num_threads=num_threads, schedule="static"):
        _softmax_row(x + r * width, y + r * width, width, logarithm)


cdef void _softmax_row(const cython.floating* x, cython.floating* y, Py_ssize_t width, bint logarithm) noexcept nogil:
    cdef cython.floating top, share
    cdef Py_ssize_t j
    cdef cython.floating total = exponentials(x, width, y, &top)
    if logarithm:
        share = <cython.floating> log(<double> total)
        for j in range(width):
            y[j] = (x[j] - top) - share
    else:
        share = 1 / total
        for j in range(width):
            y[j] = y[j] * share


def softmax_backward(dy, y, dx, Py_ssize_t width, bint logarithm, int num_threads):
    """dx = y (dy - sum dy y) over rows of `width`; of the logarithm dy - e^y sum dy."""
    cdef int kind = float_kind(dy)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray> dy)
    fits(width, 1)
    fits(num_threads, 1)
    cdef const void* dy_ = reads(dy, kind, size)
    cdef const void* y_ = reads(y, kind, size)
    cdef void* dx_ = writes(dx, kind, size)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _slope_rows(<const float*> dy_, <const float*> y_, <float*> dx_, size // width, width, logarithm,
                        num_threads)
        else:
            _slope_rows(<const double*> dy_, <const double*> y_, <double*> dx_, size // width, width, logarithm,
                        num_threads)


cdef void _slope_rows(const cython.floating* dy, const cython.floating* y, cython.floating* dx, Py_ssize_t rows,
                      Py_ssize_t width, bint logarithm, int num_threads) noexcept nogil:
    cdef Py_ssize_t r
    if num_threads == 1:
        for r in range(rows):
            _slope_row(dy + r * width, y + r * width, dx + r * width, width, logarithm)
        return
    for r in prange(rows, num_threads=num_threads, schedule="static"):
        _slope_row(dy + r * width, y + r * width, dx + r * width, width, logarithm)


cdef void _slope_row(const cython.floating* dy, const cython.floating* y, cython.floating* dx, Py_ssize_t width,
                     bint logarithm) noexcept nogil:
    cdef cython.floating total
    cdef Py_ssize_t j
    if logarithm:
        total = _sum(dy, NULL, width)
        for j in range(width):
            dx[j] = dy[j] - exp_(y[j]) * total
    else:
        total = _sum(dy, y, width)
        for j in range(width):
            dx[j] = y[j] * (dy[j] - total)


cdef cython.floating _sum(const cython.floating* u, const cython.floating* v, Py_ssize_t size) noexcept nogil:
    """The sum of u v, or of u where v is NULL, in NR lanes that are combined in order."""
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating total = 0
    cdef Py_ssize_t j = 0
    cdef int k, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for k in range(nr):
        lanes[k] = 0
    while j + nr <= size:
        if v is NULL:
            for k in range(nr):
                lanes[k] = lanes[k] + u[j + k]
        else:
            for k in range(nr):
                lanes[k] = lanes[k] + u[j + k] * v[j + k]
        j += nr
    for k in range(nr):
        total = total + lanes[k]
    while j < size:
        total = total + (u[j] if v is NULL else u[j] * v[j])
        j += 1
    return total
