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

cdef struct Block:  # of rows of one matrix
    Py_ssize_t height, width
    double rate, least  # what the change is multiplied by, and the least variance
    Settings settings


cdef inline Block block_of(Py_ssize_t rows, Py_ssize_t width, Py_ssize_t number, const Settings* s) noexcept nogil:
    cdef Block block
    block.height, block.width = min(ROWS, rows - number * ROWS), width
    block.rate = block.least = 0
    block.settings = s[0]
    return block


cdef inline Settings settings_of(tuple options) except *:
    cdef Settings s
    s.scale, s.l2, s.keep, s.shrink = options
    return s


cdef inline double total(const double* lanes) noexcept nogil:
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))


cdef double sums_of(
    const floating* p, const floating* grad, const Block* block, double* rows, double* columns,
) noexcept nogil:
    """Sums of squares: of g along rows and columns, of p altogether."""
    cdef double[LANES] lanes
    cdef double[LANES] sizes
    cdef double g
    cdef Py_ssize_t i, j, k, at, width = block.width, even = width // LANES * LANES
    for k in range(LANES):
        sizes[k] = 0
    for j in range(width):
        columns[j] = 0
    for i in range(block.height):
        for k in range(LANES):
            lanes[k] = 0
        for j in range(width // LANES):
            for k in range(LANES):
                at = i * width + j * LANES + k
                g = gradient(grad[at], p[at], &block.settings, False)
                lanes[k] += g * g
                columns[j * LANES + k] += g * g
                sizes[k] += <double> p[at] * p[at]
        for j in range(even, width):
            at = i * width + j
            g = gradient(grad[at], p[at], &block.settings, False)
            lanes[0] += g * g
            columns[j] += g * g
            sizes[0] += <double> p[at] * p[at]
        rows[i] = total(lanes)
    return total(sizes)


def factored_sums(const floating[:, ::1] param, const floating[:, ::1] grad, tuple sums, tuple options, int num_threads):
    """sums: rows (R), columns (blocks, C) and sizes (blocks), of the squares of g, of g, of p; all overwritten."""
    cdef double[::1] rows = sums[0]
    cdef double[:, ::1] columns = sums[1]
    cdef double[::1] sizes = sums[2]
    cdef Settings s = settings_of(options)
    cdef Block block
    cdef Py_ssize_t n, height = param.shape[0], width = param.shape[1], count = (height + ROWS - 1) // ROWS
    fits(min(grad.shape[0], rows.shape[0]), height)
    fits(min(grad.shape[1], columns.shape[1]), width)
    fits(min(columns.shape[0], sizes.shape[0]), count if width > 0 else sizes.shape[0] + 1)
    for n in prange(count, nogil=True, schedule="static", num_threads=num_threads, use_threads_if=num_threads > 1):
        block = block_of(height, width, n, &s)
        sizes[n] = sums_of(&param[n * ROWS, 0], &grad[n * ROWS, 0], &block, &rows[n * ROWS], &columns[n, 0])


cdef double change_of(
    const floating* p, const floating* grad, const Block* block, const floating* rows, const floating* columns,
) noexcept nogil:
    """The sum of squares of u = g / sqrt(max(rows columns, least))."""
    cdef double[LANES] lanes
    cdef floating g, least = <floating> block.least
    cdef double u
    cdef Py_ssize_t i, j, k, at, width = block.width, even = width // LANES * LANES
    for k in range(LANES):
        lanes[k] = 0
    for i in range(block.height):
        for j in range(width // LANES):
            for k in range(LANES):
                at = i * width + j * LANES + k
                g = gradient(grad[at], p[at], &block.settings, False)
                u = g / root(larger(rows[i] * columns[j * LANES + k], least))
                lanes[k] += u * u
        for j in range(even, width):
            at = i * width + j
            g = gradient(grad[at], p[at], &block.settings, False)
            u = g / root(larger(rows[i] * columns[j], least))
            lanes[0] += u * u
    return total(lanes)


cdef void move_of(
    floating* p, const floating* grad, const Block* block, const floating* rows, const floating* columns,
) noexcept nogil:
    """p = prox(keep p - rate u)."""
    cdef floating g, rate = <floating> block.rate, least = <floating> block.least
    cdef Settings s = block.settings
    cdef Py_ssize_t i, j, at, width = block.width
    for i in range(block.height):
        for j in range(width):
            at = i * width + j
            g = gradient(grad[at], p[at], &s, False)
            p[at] = moved(p[at], rate * (g / root(larger(rows[i] * columns[j], least))), &s, False)


def factored_change(
    const floating[:, ::1] param, const floating[:, ::1] grad, const floating[::1] rows, const floating[::1] columns,
    double[::1] sums, double least, tuple options, int num_threads,
):
    """sums: for each block of rows the sum of squares of u = g / sqrt(max(rows columns, least)); overwritten."""
    cdef Settings s = settings_of(options)
    cdef Block block
    cdef Py_ssize_t n, height = param.shape[0], width = param.shape[1], count = (height + ROWS - 1) // ROWS
    fits(min(grad.shape[0], rows.shape[0]), height)
    fits(min(grad.shape[1], columns.shape[0]), width)
    fits(sums.shape[0], count if width > 0 else sums.shape[0] + 1)
    for n in prange(count, nogil=True, schedule="static", num_threads=num_threads, use_threads_if=num_threads > 1):
        block = block_of(height, width, n, &s)
        block.least = least
        sums[n] = change_of(&param[n * ROWS, 0], &grad[n * ROWS, 0], &block, &rows[n * ROWS], &columns[0])


def factored(
    floating[:, ::1] param, const floating[:, ::1] grad, const floating[::1] rows, const floating[::1] columns,
    tuple scalars, tuple options, int num_threads,
):
    """p = prox(keep p - rate u), u = g / sqrt(max(rows columns, least))"""
    cdef Settings s = settings_of(options)
    cdef Block block
    cdef double rate, least
    cdef Py_ssize_t n, height = param.shape[0], width = param.shape[1], count = (height + ROWS - 1) // ROWS
    rate, least = scalars
    fits(min(grad.shape[0], rows.shape[0]), height)
    fits(min(grad.shape[1], columns.shape[0]), width)
    fits(width, 1)
    for n in prange(count, nogil=True, schedule="static", num_threads=num_threads, use_threads_if=num_threads > 1):
        block = block_of(height, width, n, &s)
        block.rate, block.least = rate, least
        move_of(&param[n * ROWS, 0], &grad[n * ROWS, 0], &block, &rows[n * ROWS], &columns[0])
