"""Adafactor (3.14): its change of one element depends on the sums of rows and columns, so there are three passes.

Sums are in double: of 8 lanes along a row, of rows in blocks of BLOCK_ROWS, which threads share out. So the bits do not
depend on their number. `options` is scale, l2, keep, shrink, as for the rules of one pass.
"""
cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange

from ..ground._arrays cimport fits
from ..ground._build cimport FD_LEVEL
from ._update cimport gradient, larger, moved, root, Settings

cnp.import_array()
LEVEL = FD_LEVEL.decode()
BLOCK_ROWS = 64

cdef enum:
    ROWS = 64  # of a block
    LANES = 8

cdef struct Work:
    Py_ssize_t height, width
    double rate, least  # what the change is multiplied by, and the least variance
    int num_threads
    Settings settings


cdef inline Work work_of(tuple extents, double rate, double least, tuple options, int num_threads) except *:
    cdef Work work
    work.height, work.width = extents
    work.rate, work.least, work.num_threads = rate, least, num_threads
    work.settings.scale, work.settings.l2, work.settings.keep, work.settings.shrink = options
    return work


cdef inline Py_ssize_t blocks(const Work* work) noexcept nogil:
    return (work.height + ROWS - 1) // ROWS if work.width > 0 else 0


cdef inline double total(const double* lanes) noexcept nogil:
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))


# ---- Sums of squares --------------------------------------------------------------------------------------

cdef double sums_of(
    const floating* p, const floating* grad, const Work* work, Py_ssize_t height, double* rows, double* columns,
) noexcept nogil:
    """Of a block of rows: of g along rows and columns, of p altogether."""
    cdef double[LANES] lanes
    cdef double[LANES] sizes
    cdef double g
    cdef Py_ssize_t i, j, k, at, width = work.width
    for k in range(LANES):
        sizes[k] = 0
    for j in range(width):
        columns[j] = 0
    for i in range(height):
        for k in range(LANES):
            lanes[k] = 0
        for j in range(width // LANES):
            for k in range(LANES):
                at = i * width + j * LANES + k
                g = gradient(grad[at], p[at], &work.settings, False)
                lanes[k] += g * g
                columns[j * LANES + k] += g * g
                sizes[k] += <double> p[at] * p[at]
        for j in range(width // LANES * LANES, width):
            at = i * width + j
            g = gradient(grad[at], p[at], &work.settings, False)
            lanes[0] += g * g
            columns[j] += g * g
            sizes[0] += <double> p[at] * p[at]
        rows[i] = total(lanes)
    return total(sizes)


cdef void each_sums(
    const floating* p, const floating* grad, const Work* work, double* rows, double* columns, double* sizes,
) noexcept nogil:
    cdef Py_ssize_t n, at, width = work.width
    for n in prange(
        blocks(work), schedule="static", num_threads=work.num_threads, use_threads_if=work.num_threads > 1,
    ):
        at = n * ROWS
        sizes[n] = sums_of(p + at * width, grad + at * width, work, min(ROWS, work.height - at), rows + at,
                           columns + n * width)


def factored_sums(
    const floating[:, ::1] param, const floating[:, ::1] grad, tuple sums, tuple options, int num_threads,
):
    """sums: rows (R), columns (blocks, C) and sizes (blocks), of the squares of g, of g, of p; all overwritten."""
    cdef double[::1] rows = sums[0]
    cdef double[:, ::1] columns = sums[1]
    cdef double[::1] sizes = sums[2]
    cdef Work work = work_of((param.shape[0], param.shape[1]), 0, 0, options, num_threads)
    if blocks(&work) == 0:
        return
    fits(min(grad.shape[0], rows.shape[0]), work.height)
    fits(min(grad.shape[1], columns.shape[1]), work.width)
    fits(min(columns.shape[0], sizes.shape[0]), blocks(&work))
    fits(work.width, columns.shape[1])
    with nogil:
        each_sums(&param[0, 0], &grad[0, 0], &work, &rows[0], &columns[0, 0], &sizes[0])


# ---- The size of the change, and the change ---------------------------------------------------------------

cdef double change_of(
    const floating* p, const floating* grad, const Work* work, Py_ssize_t height, const floating* rows,
    const floating* columns,
) noexcept nogil:
    """Of a block of rows: the sum of squares of u = g / sqrt(max(rows columns, least))."""
    cdef double[LANES] lanes
    cdef floating g, least = <floating> work.least
    cdef double u
    cdef Py_ssize_t i, j, k, at, width = work.width
    for k in range(LANES):
        lanes[k] = 0
    for i in range(height):
        for j in range(width // LANES):
            for k in range(LANES):
                at = i * width + j * LANES + k
                g = gradient(grad[at], p[at], &work.settings, False)
                u = g / root(larger(rows[i] * columns[j * LANES + k], least))
                lanes[k] += u * u
        for j in range(width // LANES * LANES, width):
            at = i * width + j
            g = gradient(grad[at], p[at], &work.settings, False)
            u = g / root(larger(rows[i] * columns[j], least))
            lanes[0] += u * u
    return total(lanes)


cdef void each_change(
    const floating* p, const floating* grad, const Work* work, const floating* rows, const floating* columns,
    double* sums,
) noexcept nogil:
    cdef Py_ssize_t n, at, width = work.width
    for n in prange(
        blocks(work), schedule="static", num_threads=work.num_threads, use_threads_if=work.num_threads > 1,
    ):
        at = n * ROWS
        sums[n] = change_of(p + at * width, grad + at * width, work, min(ROWS, work.height - at), rows + at, columns)


cdef void each_move(
    floating* p, const floating* grad, const Work* work, const floating* rows, const floating* columns,
) noexcept nogil:
    cdef Py_ssize_t i, j, at, width = work.width
    cdef floating g, rate = <floating> work.rate, least = <floating> work.least
    for i in prange(
        work.height, schedule="static", num_threads=work.num_threads, use_threads_if=work.num_threads > 1,
    ):
        for j in range(width):
            at = i * width + j
            g = gradient(grad[at], p[at], &work.settings, False)
            p[at] = moved(p[at], rate * (g / root(larger(rows[i] * columns[j], least))), &work.settings, False)


def factored_change(
    const floating[:, ::1] param, const floating[:, ::1] grad, const floating[::1] rows, const floating[::1] columns,
    double[::1] sums, double least, tuple options, int num_threads,
):
    """sums: for each block of rows the sum of squares of u = g / sqrt(max(rows columns, least)); overwritten."""
    cdef Work work = work_of((param.shape[0], param.shape[1]), 0, least, options, num_threads)
    if blocks(&work) == 0:
        return
    fits(min(grad.shape[0], rows.shape[0]), work.height)
    fits(min(grad.shape[1], columns.shape[0]), work.width)
    fits(work.width, grad.shape[1])
    fits(sums.shape[0], blocks(&work))
    with nogil:
        each_change(&param[0, 0], &grad[0, 0], &work, &rows[0], &columns[0], &sums[0])


def factored(
    floating[:, ::1] param, const floating[:, ::1] grad, const floating[::1] rows, const floating[::1] columns,
    tuple scalars, tuple options, int num_threads,
):
    """p = prox(keep p - rate u), u = g / sqrt(max(rows columns, least))"""
    cdef Work work = work_of((param.shape[0], param.shape[1]), scalars[0], scalars[1], options, num_threads)
    if blocks(&work) == 0:
        return
    fits(min(grad.shape[0], rows.shape[0]), work.height)
    fits(min(grad.shape[1], columns.shape[0]), work.width)
    fits(work.width, grad.shape[1])
    with nogil:
        each_move(&param[0, 0], &grad[0, 0], &work, &rows[0], &columns[0])
