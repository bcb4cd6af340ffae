"""Pooling over time: the largest or the mean of a window of steps, feature by feature.

A thread takes features of one sequence or several: so what overlapping windows add to a gradient is added in order.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, within, writes
from ..ground._build cimport FD_LEVEL

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    WIDE = 256   # features that a thread takes at a time


cdef struct Pool:  # of either type
    Py_ssize_t steps, batch, features, out_steps
    Py_ssize_t size, stride, padding, dilation
    bint padding_counts         # in a mean
    const int64_t* lengths      # NULL for all steps
    const int64_t* out_lengths
    const void* x               # of the forward
    void* y
    const void* dy              # of the backward
    void* dx
    int32_t* best               # which of the window's steps is the largest, -1 for none; NULL for a mean
    int num_threads


cdef inline int _describe(Pool* o, tuple geometry, object lengths, int num_threads) except -1:
    """geometry: (size, stride, padding, dilation, padding_counts). lengths: None, or those of x and of y."""
    o.size, o.stride, o.padding, o.dilation, o.padding_counts = geometry
    o.num_threads = num_threads
    fits(min(o.size, o.stride, o.dilation, o.padding + 1, num_threads), 1)
    o.lengths = o.out_lengths = NULL
    if lengths is not None:
        before, after = lengths
        o.lengths = <const int64_t*> reads(before, cnp.NPY_INT64, o.batch)
        o.out_lengths = <const int64_t*> reads(after, cnp.NPY_INT64, o.batch)
        within(o.lengths, o.batch, o.steps + 1)
        within(o.out_lengths, o.batch, o.out_steps + 1)
    return 0


def pool_forward(x, best, tuple geometry, lengths, y, int num_threads):
    """y (out_steps, B, features) of x (steps, B, features): the largest, and which it is, or with best None the mean.
    """
    cdef Pool o
    cdef int kind = float_kind(x)
    o.steps, o.batch, o.features, o.out_steps = extent(x, 0), extent(x, 1), extent(x, 2), extent(y, 0)
    _describe(&o, geometry, lengths, num_threads)
    o.x, o.y = reads(x, kind, o.steps * o.batch * o.features), writes(y, kind, o.out_steps * o.batch * o.features)
    o.best = <int32_t*> may_write(best, cnp.NPY_INT32, o.out_steps * o.batch * o.features)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _walk(<float*> o.y, &o, False)
        else:
            _walk(<double*> o.y, &o, False)


def pool_backward(dy, best, tuple geometry, lengths, dx, int num_threads):
    """dx of dy and `best` of the forward."""
    cdef Pool o
    cdef int kind = float_kind(dy)
    o.steps, o.batch, o.features, o.out_steps = extent(dx, 0), extent(dx, 1), extent(dx, 2), extent(dy, 0)
    _describe(&o, geometry, lengths, num_threads)
    o.dy, o.dx = reads(dy, kind, o.out_steps * o.batch * o.features), writes(dx, kind, o.steps * o.batch * o.features)
    o.best = <int32_t*> may_read(best, cnp.NPY_INT32, o.out_steps * o.batch * o.features)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _walk(<float*> o.dx, &o, True)
        else:
            _walk(<double*> o.dx, &o, True)


cdef void _walk(const cython.floating* unused, const Pool* o, bint back) noexcept nogil:
    """By sequence and WIDE features of it."""
    cdef Py_ssize_t item, each = (o.features + WIDE - 1) // WIDE
    for item in prange(o.batch * each, num_threads=o.num_threads, schedule="static"):
        _piece(unused, o, item // each, item % each * WIDE, back)


cdef void _piece(
    const cython.floating* unused, const Pool* o, Py_ssize_t b, Py_ssize_t first, bint back,
) noexcept nogil:
    cdef Py_ssize_t t, j, row = o.batch * o.features, at = b * o.features + first, n = min(WIDE, o.features - first)
    cdef Py_ssize_t end = o.steps if o.lengths is NULL else o.lengths[b]
    cdef Py_ssize_t out_end = o.out_steps if o.out_lengths is NULL else o.out_lengths[b]
    cdef cython.floating* y = <cython.floating*> o.y
    cdef cython.floating* dx = <cython.floating*> o.dx
    if back:
        for t in range(o.steps):
            for j in range(n):
                dx[t * row + at + j] = 0
    for t in range(o.out_steps):
        if t < out_end and back:
            _spread(dx + at, o, t, end, n, at)
        elif t < out_end:
            if o.best is NULL:
                _mean(y + t * row + at, o, t, end, n, at)
            else:
                _largest(y + t * row + at, o, t, end, n, at)
        elif not back:
            for j in range(n):
                y[t * row + at + j] = 0
                if o.best is not NULL:
                    o.best[t * row + at + j] = -1


cdef inline void _window(const Pool* o, Py_ssize_t t, Py_ssize_t end, Py_ssize_t* low, Py_ssize_t* high) noexcept nogil:
    """Which of the window's steps lie within the sequence."""
    cdef Py_ssize_t begin = t * o.stride - o.padding
    low[0] = 0 if begin >= 0 else (-begin + o.dilation - 1) // o.dilation
    high[0] = max(low[0], min(o.size, (end - begin + o.dilation - 1) // o.dilation if end > begin else 0))


cdef void _largest(
    cython.floating* y, const Pool* o, Py_ssize_t t, Py_ssize_t end, Py_ssize_t n, Py_ssize_t at,
) noexcept nogil:
    """The first of the largest; NaN where there is one."""
    cdef Py_ssize_t low, high, k, j, row = o.batch * o.features
    cdef const cython.floating* x
    cdef int32_t* best = o.best + t * row + at
    cdef int32_t which, old, keeps
    cdef cython.floating most, value
    _window(o, t, end, &low, &high)
    x = <const cython.floating*> o.x + (t * o.stride - o.padding + low * o.dilation) * row + at
    for j in range(n):
        best[j] = <int32_t> low if low < high else -1
    for j in range(n):
        y[j] = 0
    if low < high:
        for j in range(n):
            y[j] = x[j]
    for k in range(low + 1, high):
        x += o.dilation * row
        which = <int32_t> k
        for j in range(n):  # what is chosen from is loaded before, so that the loop becomes vectors
            value, most, old = x[j], y[j], best[j]
            keeps = (value <= most) | ((most != most) & (value == value))
            best[j] = old if keeps else which
            y[j] = most if keeps else value


cdef inline Py_ssize_t _divisor(const Pool* o, Py_ssize_t t, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t low, high, begin = t * o.stride - o.padding
    _window(o, t, end, &low, &high)
    return max(min(begin + o.size, end + o.padding) - begin if o.padding_counts else high - low, 1)


cdef void _mean(
    cython.floating* y, const Pool* o, Py_ssize_t t, Py_ssize_t end, Py_ssize_t n, Py_ssize_t at,
) noexcept nogil:
    cdef Py_ssize_t low, high, k, j, row = o.batch * o.features
    cdef cython.floating divisor = <cython.floating> _divisor(o, t, end)
    cdef const cython.floating* x
    _window(o, t, end, &low, &high)
    for j in range(n):
        y[j] = 0
    for k in range(low, high):
        x = <const cython.floating*> o.x + (t * o.stride - o.padding + k) * row + at
        for j in range(n):
            y[j] = y[j] + x[j]
    for j in range(n):
        y[j] = y[j] / divisor


cdef void _spread(
    cython.floating* dx, const Pool* o, Py_ssize_t t, Py_ssize_t end, Py_ssize_t n, Py_ssize_t at,
) noexcept nogil:
    """The gradient of step t, to the largest of its window, or to all."""
    cdef Py_ssize_t low, high, k, j, row = o.batch * o.features
    cdef const cython.floating* dy = <const cython.floating*> o.dy + t * row + at
    cdef const int32_t* best = o.best + t * row + at
    cdef int32_t which
    cdef cython.floating value
    cdef cython.floating divisor = <cython.floating> _divisor(o, t, end)
    cdef cython.floating* to
    _window(o, t, end, &low, &high)
    for k in range(low, high):
        to = dx + (t * o.stride - o.padding + k * o.dilation) * row
        if o.best is NULL:
            for j in range(n):
                to[j] = to[j] + dy[j] / divisor
        else:
            which = <int32_t> k
            for j in range(n):
                value = dy[j]
                to[j] = to[j] + (value if best[j] == which else 0)
