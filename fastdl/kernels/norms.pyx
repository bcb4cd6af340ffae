"""Reductions behind the norms (MATH 1.1 to 1.7), and the loops that scale what they measured.

A row is cut into blocks of BLOCK elements. Within a block, LANES running sums take every LANES-th element and
are folded in halves; the blocks' results are combined in order, by a compensated sum. So the bits depend on
the length alone, not on the threads or the build, and the error does not grow with the length: terms and
sums are double for both types, in which a float32's square is exact and can neither overflow nor vanish.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport NAN, fabs, pow

from ._build cimport FD_LEVEL

LEVEL = FD_LEVEL.decode()

cdef enum:
    BLOCK = 8192  # 32 KB of float32: long enough to hide the fold, short enough to share out
    LANES = 32
    WIDE = 64    # lanes of the reductions in the type itself
    COUNT = 0    # entries that are not 0
    ABS = 1      # |x|
    SQUARE = 2   # x^2
    POWER = 3    # |x|^p
    LARGEST = 4  # max |x|, NaN if there is one

BLOCK_SIZE = BLOCK


# ---- A point ------------------------------------------------------------------------------------------
cdef inline double term(double x, int kind, double p) noexcept nogil:
    if kind == COUNT:
        return 1.0 if x != 0.0 else 0.0
    if kind == ABS:
        return fabs(x)
    if kind == SQUARE:
        return x * x
    return pow(fabs(x), p)


# ---- A block ------------------------------------------------------------------------------------------
cdef inline double lanes_of(const floating* x, Py_ssize_t n, int kind, double p) noexcept nogil:
    cdef double total[LANES]
    cdef Py_ssize_t i, j, whole = n // LANES * LANES, width
    for j in range(LANES):
        total[j] = 0.0
    for i in range(n // LANES):
        for j in range(LANES):
            total[j] += term(x[i * LANES + j], kind, p)
    for j in range(n - whole):
        total[j] += term(x[whole + j], kind, p)
    width = LANES // 2
    while width:
        for j in range(width):
            total[j] += total[j + width]
        width //= 2
    return total[0]


cdef inline double largest_of(const floating* x, Py_ssize_t n) noexcept nogil:
    # A comparison with NaN is false, so the maximum passes NaNs by: they are counted beside it.
    cdef floating top[WIDE]
    cdef floating strange[WIDE]
    cdef floating one
    cdef Py_ssize_t i, j, whole = n // WIDE * WIDE
    for j in range(WIDE):
        top[j] = 0
        strange[j] = 0
    for i in range(n // WIDE):
        for j in range(WIDE):
            one = -x[i * WIDE + j] if x[i * WIDE + j] < 0 else x[i * WIDE + j]
            top[j] = one if one > top[j] else top[j]
            strange[j] = <floating> 1 if one != one else strange[j]
    for j in range(n - whole):
        one = -x[whole + j] if x[whole + j] < 0 else x[whole + j]
        top[j] = one if one > top[j] else top[j]
        strange[j] = <floating> 1 if one != one else strange[j]
    for j in range(1, WIDE):
        top[0] = top[j] if top[j] > top[0] else top[0]
        strange[0] = strange[0] + strange[j]
    return <double> top[0] if strange[0] == 0 else <double> NAN


cdef inline double block_of(const floating* x, Py_ssize_t n, int kind, double p) noexcept nogil:
    # One call per kind: with the kind a constant, the choice inside the loop folds away.
    if kind == LARGEST:
        return largest_of(x, n)
    if kind == COUNT:
        return lanes_of(x, n, COUNT, p)
    if kind == ABS:
        return lanes_of(x, n, ABS, p)
    if kind == SQUARE:
        return lanes_of(x, n, SQUARE, p)
    return lanes_of(x, n, POWER, p)


cdef inline double combined(const double* part, Py_ssize_t n, int kind) noexcept nogil:
    # Neumaier's compensated sum: what an addition rounds away is kept, and added at the end.
    cdef double total = part[0], lost = 0.0, new
    cdef Py_ssize_t i
    if kind == LARGEST:
        for i in range(1, n):
            total = part[i] if part[i] > total or part[i] != part[i] else total
        return total
    for i in range(1, n):
        new = total + part[i]
        lost += (total - new) + part[i] if total >= part[i] else (part[i] - new) + total
        total = new
    # An infinite total makes `lost` NaN, and a sum that overflowed must stay an infinity.
    return total + lost if lost == lost else total


# ---- Loops --------------------------------------------------------------------------------------------
def reduce_block(const floating[::1] x, int kind, double p):
    """The sum (or the largest) over at most BLOCK elements; 0 for none."""
    cdef double result
    if x.shape[0] == 0:
        return 0.0
    with nogil:
        result = block_of(&x[0], x.shape[0], kind, p)
    return result


def reduce_rows(const floating[:, ::1] x, int kind, double p, double[:, ::1] parts, double[::1] out, int num_threads):
    """out[r] = the sum (or the largest) over row r; parts (rows, ceil(n / BLOCK)) is scratch."""
    cdef Py_ssize_t n = x.shape[1], pieces = parts.shape[1], jobs = parts.shape[0] * pieces, job, row, start
    for job in prange(jobs, num_threads=num_threads, schedule="static", nogil=True):
        row = job // pieces
        start = (job - row * pieces) * BLOCK
        parts[row, job - row * pieces] = block_of(&x[row, start], min(<Py_ssize_t> BLOCK, n - start), kind, p)
    with nogil:
        for row in range(parts.shape[0]):
            out[row] = combined(&parts[row, 0], pieces, kind)


def scale(floating[::1] x, double factor, int num_threads):
    """x *= factor, in place."""
    cdef Py_ssize_t i, n = x.shape[0]
    cdef floating by = <floating> factor
    if num_threads == 1:  # a parallel region costs more than a small array
        with nogil:
            for i in range(n):
                x[i] *= by
        return
    for i in prange(n, num_threads=num_threads, schedule="static", nogil=True):
        x[i] *= by
