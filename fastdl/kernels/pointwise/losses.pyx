"""Losses that are a sum over elements: terms and slopes of a chunk first, then what all losses share."""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange

from ..ground._arrays cimport fits, float_kind, may_read, may_write, reads, writes
from ..ground._build cimport FD_LEVEL

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef extern from "_losses.h" nogil:
    const char* fd_losses[]
    void fd_terms_float(int row, const float* p, const float* t, const float* each, float a, double* terms,
                        float* slopes, Py_ssize_t n)
    void fd_terms_double(int row, const double* p, const double* t, const double* each, double a, double* terms,
                         double* slopes, Py_ssize_t n)
    double fd_sum_float(int row, const float* p, const float* t, float a, float scale, float* gradient, Py_ssize_t n)
    double fd_sum_double(int row, const double* p, const double* t, double a, double scale, double* gradient,
                         Py_ssize_t n)
    enum:
        FD_SUMS  # side by side

cdef enum:
    CHUNK = 1024  # elements that one thread takes at a time

CHUNK_SIZE = CHUNK
ROWS = {}  # a row's name -> its number
while fd_losses[len(ROWS)] != NULL:
    ROWS[fd_losses[len(ROWS)].decode()] = len(ROWS)
cdef int COUNT = len(ROWS)


cdef struct Terms:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t size
    const void* p
    const void* t
    const void* each
    const void* weights
    void* gradient
    void* losses
    double* sums
    int row
    double a, scale
    int num_threads


def elementwise(int row, tuple arrays, double a, double scale, sums, gradient, losses, int num_threads):
    """arrays: (prediction, target, settings, weights), the last two None where there is one setting `a`, or no weights.
    sums: of the weighted terms of every CHUNK; gradient = scale weight slope; losses: the weighted terms, or None.
    What has weight 0 counts nothing, NaN neither."""
    cdef Terms o
    prediction, target, each, weights = arrays
    cdef int kind = float_kind(prediction)
    fits(row, 0)
    fits(COUNT, row + 1)
    fits(num_threads, 1)
    o.size = cnp.PyArray_SIZE(<cnp.ndarray> prediction)
    o.p, o.t = reads(prediction, kind, o.size), reads(target, kind, o.size)
    o.each, o.weights = may_read(each, kind, o.size), may_read(weights, kind, o.size)
    o.gradient, o.losses = writes(gradient, kind, o.size), may_write(losses, kind, o.size)
    o.sums = <double*> writes(sums, cnp.NPY_DOUBLE, (o.size + CHUNK - 1) // CHUNK)
    o.row, o.a, o.scale, o.num_threads = row, a, scale, num_threads
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _chunks(&o, <float> scale)
        else:
            _chunks(&o, scale)


cdef void _chunks(const Terms* o, cython.floating scale) noexcept nogil:
    cdef Py_ssize_t chunk, chunks = (o.size + CHUNK - 1) // CHUNK
    if o.num_threads == 1:
        for chunk in range(chunks):
            o.sums[chunk] = _chunk(o, chunk * CHUNK, scale)
        return
    for chunk in prange(chunks, num_threads=o.num_threads, schedule="static"):
        o.sums[chunk] = _chunk(o, chunk * CHUNK, scale)


cdef double _chunk(const Terms* o, Py_ssize_t at, cython.floating scale) noexcept nogil:
    cdef double[CHUNK] terms
    cdef Py_ssize_t i, n = min(o.size - at, CHUNK)
    cdef const cython.floating* p = <const cython.floating*> o.p + at
    cdef const cython.floating* t = <const cython.floating*> o.t + at
    cdef const cython.floating* each = NULL
    cdef const cython.floating* weights = <const cython.floating*> o.weights
    cdef cython.floating* gradient = <cython.floating*> o.gradient + at
    cdef cython.floating* losses = <cython.floating*> o.losses
    if o.each is NULL and weights is NULL and losses is NULL:
        if cython.floating is float:
            return fd_sum_float(o.row, p, t, <float> o.a, scale, gradient, n)
        else:
            return fd_sum_double(o.row, p, t, o.a, scale, gradient, n)
    if o.each is not NULL:
        each = <const cython.floating*> o.each + at
    if cython.floating is float:
        fd_terms_float(o.row, p, t, each, <float> o.a, terms, gradient, n)
    else:
        fd_terms_double(o.row, p, t, each, o.a, terms, gradient, n)
    if weights is not NULL:
        weights += at
        for i in range(n):
            terms[i] = terms[i] * weights[i] if weights[i] > 0 else 0
            gradient[i] = gradient[i] * weights[i] if weights[i] > 0 else 0
    for i in range(n):
        gradient[i] = gradient[i] * scale
    if losses is not NULL:
        losses += at
        for i in range(n):
            losses[i] = <cython.floating> terms[i]
    return _sum(terms, n)


cdef double _sum(const double* terms, Py_ssize_t n) noexcept nogil:
    cdef double[FD_SUMS] sums
    cdef double total = 0
    cdef Py_ssize_t i = 0, lane
    for lane in range(FD_SUMS):
        sums[lane] = 0
    while i + FD_SUMS <= n:
        for lane in range(FD_SUMS):
            sums[lane] += terms[i + lane]
        i += FD_SUMS
    while i < n:
        total += terms[i]
        i += 1
    for lane in range(FD_SUMS):
        total += sums[lane]
    return total
