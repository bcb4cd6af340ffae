"""Reductions behind the norms (docs/norms.md), and the maps that use what they measured.

A row is cut into blocks of BLOCK elements. Within a block, LANES running sums take every LANES-th element and
are folded in halves; the blocks' results are combined in order, by a compensated sum. So the bits depend on
the shape alone, not on the threads or the build, and the error does not grow with the length: terms and
sums are double for both types, in which a float32's square is exact and can neither overflow nor vanish.

Shapes: rows are x (rows, n), each reduced to one number; columns are x (outer, n, inner), reduced over n.
The formulas themselves, with the kinds of sum and map, are in `_norms.pxd`, the reduction of a block in `_blocks.pxd`.
"""
cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, pow, sqrt

from ..ground._arrays cimport fits
from ..ground._build cimport FD_LEVEL
from ..ground._stream cimport fd_prefetch_apart
from ._blocks cimport BLOCK, block_of, combined, fold, LANES
from ._norms cimport (
    ABS, CLIP, COUNT, CUBE, DIVIDE, EIGHTH, FIFTH, FOURTH, further, HARD, LARGEST, mapped, plus_term, POSITIVE, POWER,
    QUICK, SEVENTH, SIGN, SIGN_AT, SIXTH, SLOPE, SMALLEST, SOFT, SQUARE, TIMES,
)

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    TILE = 1024   # columns side by side: 8 KB of sums, a page of float32
    LINE = 16     # float32 of a cache line
    FEW = 16      # blocks that the calling thread takes alone
    ABREAST = 8   # rows added to the columns' sums in one go: as many as fd_prefetch_apart asks for

BLOCK_SIZE = BLOCK
SMALL_SIZE = FEW * BLOCK


# ---- Rows ---------------------------------------------------------------------------------------------
cdef bint is_small(x) noexcept:
    """Whether x is a plain vector of 1 to FEW blocks of floats. Asked of NumPy directly: typed views would take longer
    than its reduction. All of it reads the array's struct, so nothing can raise."""
    if not cnp.PyArray_CheckExact(x):
        return False
    cdef cnp.ndarray array = <cnp.ndarray> x
    cdef int type_ = cnp.PyArray_TYPE(array)
    return (cnp.PyArray_NDIM(array) == 1 and 1 <= cnp.PyArray_SIZE(array) <= FEW * BLOCK
            and cnp.PyArray_ISCARRAY_RO(array) and (type_ == cnp.NPY_FLOAT or type_ == cnp.NPY_DOUBLE))


cdef double block(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    """`block_of`, compiled once: it is long, and inlined into each of its callers it was half of the library."""
    return block_of(x, ahead, at, n, kind, p)


cdef double blocks_of(const floating* x, Py_ssize_t n, int kind, double p) noexcept nogil:
    cdef double parts[FEW]
    cdef Py_ssize_t i, count, blocks = (n + BLOCK - 1) // BLOCK
    for i in range(blocks):
        count = min(n - i * BLOCK, <Py_ssize_t> BLOCK)
        parts[i] = block(x + i * BLOCK, x + min(i + 1, blocks - 1) * BLOCK, 0, count, kind, p)
    return combined(parts, blocks, kind)


cdef double reduction(cnp.ndarray array, int kind, double p) noexcept:
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array)
    cdef const float* floats = <const float*> cnp.PyArray_DATA(array)
    cdef const double* doubles = <const double*> cnp.PyArray_DATA(array)
    cdef double value
    if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT:
        with nogil:
            value = blocks_of(floats, n, kind, p)
    else:
        with nogil:
            value = blocks_of(doubles, n, kind, p)
    return value


def reduce_small(x, int kind, double p):
    """The reduction of x, on the calling thread; None if x is no plain vector of 1 to FEW blocks."""
    return reduction(<cnp.ndarray> x, kind, p) if is_small(x) else None


def norm_small(x, int kind, double p, double sure, bint typed):
    """The norm of x, as a scalar of its type if `typed`, else as a float; None if x is no plain vector of 1 to FEW
    blocks, or the sum is not above `sure`, or it or the norm is beyond the type's range."""
    if not is_small(x):
        return None
    cdef cnp.ndarray array = <cnp.ndarray> x
    cdef double value = reduction(array, kind, p)
    cdef float single
    if ABS < kind < LARGEST:
        if not sure < value < INFINITY:
            return None
        value = sqrt(value) if kind == SQUARE else pow(value, 1 / p)
    if not typed:
        return value
    if cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE:
        return cnp.PyArray_ToScalar(&value, array)
    if value > 3.4e38:
        return None
    single = <float> value
    return cnp.PyArray_ToScalar(&single, array)


cdef inline void reduce_piece(
    const floating[:, ::1] x, int kind, double p, double[:, ::1] parts, Py_ssize_t job
) noexcept nogil:
    cdef Py_ssize_t row = job // parts.shape[1], piece = job % parts.shape[1], start = piece * BLOCK
    cdef Py_ssize_t n = min(<Py_ssize_t> BLOCK, x.shape[1] - start)
    cdef Py_ssize_t begin = row * x.shape[1] + start, at = begin % BLOCK, next = begin - at + BLOCK
    if next + BLOCK > x.shape[0] * x.shape[1]:
        next = begin - at  # nothing is ahead; what is there already costs little
    parts[row, piece] = block(&x[0, 0] + begin, &x[0, 0] + next, at, n, kind, p)


cdef void reduce_pieces(
    const floating[:, ::1] x, int kind, double p, double[:, ::1] parts, int threads
) noexcept nogil:
    cdef Py_ssize_t jobs = parts.shape[0] * parts.shape[1], job
    if threads == 1:  # a parallel region costs more than a small array
        for job in range(jobs):
            reduce_piece(x, kind, p, parts, job)
    else:
        for job in prange(jobs, num_threads=threads, schedule="static"):
            reduce_piece(x, kind, p, parts, job)


def reduce_rows(
    const floating[:, ::1] x, int kind, double p, double[:, ::1] parts, double[::1] out, int threads
):
    """out[r] = the reduction of row r; parts (rows, ceil(n / BLOCK)) is scratch. n is at least 1."""
    fits(x.shape[1], 1)
    fits(x.shape[0], parts.shape[0])
    fits(-abs(parts.shape[1] - (x.shape[1] + BLOCK - 1) // BLOCK), 0)
    fits(out.shape[0], x.shape[0])
    cdef Py_ssize_t row
    with nogil:
        reduce_pieces(x, kind, p, parts, threads)
        for row in range(parts.shape[0]):
            out[row] = combined(&parts[row, 0], parts.shape[1], kind)


def norm_rows(
    const floating[:, ::1] x, int kind, double sure, double[:, ::1] parts, floating[::1] out, int threads
):
    """out[r] = the norm of row r, of a kind that is the norm or its square; parts as in `reduce_rows`.

    False if a sum of squares is below `sure` or not finite, so that its root may be wrong. Those of float32 never are:
    they are double, in which no such sum leaves the range.
    """
    fits(x.shape[1], 1)
    fits(x.shape[0], parts.shape[0])
    fits(-abs(parts.shape[1] - (x.shape[1] + BLOCK - 1) // BLOCK), 0)
    fits(out.shape[0], x.shape[0])
    cdef Py_ssize_t row, rows = parts.shape[0]
    cdef bint sound = True
    with nogil:
        reduce_pieces(x, kind, 0.0, parts, threads)
        if parts.shape[1] > 1:
            for row in range(rows):
                parts[row, 0] = combined(&parts[row, 0], parts.shape[1], kind)
        if kind == SQUARE:
            for row in range(rows):
                if floating is double and not sure <= parts[row, 0] < INFINITY:
                    sound = False
                out[row] = <floating> sqrt(parts[row, 0])
        else:
            for row in range(rows):
                out[row] = <floating> parts[row, 0]
    return sound


# ---- Columns ------------------------------------------------------------------------------------------
cdef inline double added(double total, floating x, int kind, double p) noexcept nogil:
    return further(total, <double> x, kind) if kind >= LARGEST else plus_term(total, x, kind, p)


cdef inline void add_rows_abreast(
    const floating* x, Py_ssize_t stride, Py_ssize_t width, int kind, double p, double* out
) noexcept nogil:
    """At most LINE columns. By way of local sums: the compiler must assume that x and out overlap."""
    cdef double totals[LINE]
    cdef double total
    cdef Py_ssize_t j, k
    for j in range(width):
        totals[j] = out[j]
    for j in range(width):
        total = totals[j]
        for k in range(ABREAST):
            total = added(total, x[k * stride + j], kind, p)
        totals[j] = total
    for j in range(width):
        out[j] = totals[j]


cdef inline void column_sums(
    const floating* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t width, int kind, double p, double* out
) noexcept nogil:
    # ABREAST rows at a time: the sums are loaded and stored once for all of them, and their pages are read at
    # once, which is faster than one after the other (see fd_prefetch_apart), like those of the rows below them.
    cdef Py_ssize_t i, j, line = 64 // sizeof(floating), full = width // line * line
    cdef const floating* rows
    for j in range(width):
        out[j] = <double> INFINITY if kind == SMALLEST else 0.0
    for i in range(n // ABREAST):
        rows = x + i * ABREAST * stride
        for j in range(full // line):
            if (i + 2) * ABREAST <= n:
                fd_prefetch_apart(rows + ABREAST * stride, j, stride * sizeof(floating))
            add_rows_abreast(rows + j * line, stride, line, kind, p, out + j * line)
        add_rows_abreast(rows + full, stride, width - full, kind, p, out + full)
    for i in range(n // ABREAST * ABREAST, n):
        for j in range(width):
            out[j] = added(out[j], x[i * stride + j], kind, p)


cdef void column_piece(
    const floating[:, :, ::1] x, int kind, double p, Py_ssize_t depth, double[:, :, ::1] parts, Py_ssize_t job
) noexcept nogil:
    cdef Py_ssize_t inner = x.shape[2], tiles = (inner + TILE - 1) // TILE
    cdef Py_ssize_t tile = job % tiles, piece = job // tiles % parts.shape[1]
    cdef Py_ssize_t outer = job // tiles // parts.shape[1]
    cdef Py_ssize_t n = min(depth, x.shape[1] - piece * depth)
    cdef Py_ssize_t width = min(<Py_ssize_t> TILE, inner - tile * TILE)
    cdef const floating* start = &x[outer, piece * depth, tile * TILE]
    cdef double* out = &parts[outer, piece, tile * TILE]
    if kind == LARGEST:
        column_sums(start, inner, n, width, LARGEST, p, out)
    elif kind == SMALLEST:
        column_sums(start, inner, n, width, SMALLEST, p, out)
    elif kind == COUNT:
        column_sums(start, inner, n, width, COUNT, p, out)
    elif kind == ABS:
        column_sums(start, inner, n, width, ABS, p, out)
    elif kind == SQUARE:
        column_sums(start, inner, n, width, SQUARE, p, out)
    elif kind == CUBE:
        column_sums(start, inner, n, width, CUBE, p, out)
    elif kind == FOURTH:
        column_sums(start, inner, n, width, FOURTH, p, out)
    elif kind == FIFTH:
        column_sums(start, inner, n, width, FIFTH, p, out)
    elif kind == SIXTH:
        column_sums(start, inner, n, width, SIXTH, p, out)
    elif kind == SEVENTH:
        column_sums(start, inner, n, width, SEVENTH, p, out)
    elif kind == EIGHTH:
        column_sums(start, inner, n, width, EIGHTH, p, out)
    elif kind == QUICK:
        column_sums(start, inner, n, width, QUICK, p, out)
    else:
        column_sums(start, inner, n, width, POWER, p, out)


def reduce_columns(
    const floating[:, :, ::1] x, int kind, double p, Py_ssize_t depth, double[:, :, ::1] parts, int threads
):
    """parts[o, b] = the reduction over rows b * depth to (b + 1) * depth of x[o]; the caller combines them.

    Kinds without a loop of their own here (WHOLE, ROOT, INVERSE) are computed as POWER."""
    cdef Py_ssize_t job, jobs = parts.shape[0] * parts.shape[1] * ((parts.shape[2] + TILE - 1) // TILE)
    fits(min(x.shape[1], depth), 1)
    fits(x.shape[0], parts.shape[0])
    fits(x.shape[1] - 1, (parts.shape[1] - 1) * depth)
    fits(-abs(x.shape[2] - parts.shape[2]), 0)
    if threads == 1:
        with nogil:
            for job in range(jobs):
                column_piece(x, kind, p, depth, parts, job)
    else:
        for job in prange(jobs, num_threads=threads, schedule="static", nogil=True):
            column_piece(x, kind, p, depth, parts, job)


# ---- Maps ---------------------------------------------------------------------------------------------
cdef inline void map_of(
    const floating* x, floating* out, Py_ssize_t n, int kind, double s, double p
) noexcept nogil:
    # By way of a local group, since the compiler must assume that x and out overlap (and they may be one).
    cdef floating group[LANES]
    cdef Py_ssize_t i, j, whole = n // LANES * LANES
    for i in range(n // LANES):
        for j in range(LANES):
            group[j] = x[i * LANES + j]
        for j in range(LANES):
            out[i * LANES + j] = mapped(group[j], kind, s, p)
    for j in range(n - whole):
        out[whole + j] = mapped(x[whole + j], kind, s, p)


cdef void map_piece(
    const floating[:, ::1] x, int kind, const double[::1] level, double p, floating[:, ::1] out,
    Py_ssize_t job,
) noexcept nogil:
    cdef Py_ssize_t pieces = (x.shape[1] + BLOCK - 1) // BLOCK
    cdef Py_ssize_t row = job // pieces, start = job % pieces * BLOCK
    cdef Py_ssize_t n = min(<Py_ssize_t> BLOCK, x.shape[1] - start)
    cdef const floating* source = &x[row, start]
    cdef floating* target = &out[row, start]
    cdef double s = level[row]
    if kind == TIMES:
        map_of(source, target, n, TIMES, s, p)
    elif kind == DIVIDE:
        map_of(source, target, n, DIVIDE, s, p)
    elif kind == SIGN:
        map_of(source, target, n, SIGN, s, p)
    elif kind == SOFT:
        map_of(source, target, n, SOFT, s, p)
    elif kind == HARD:
        map_of(source, target, n, HARD, s, p)
    elif kind == CLIP:
        map_of(source, target, n, CLIP, s, p)
    elif kind == SIGN_AT:
        map_of(source, target, n, SIGN_AT, s, p)
    elif kind == POSITIVE:
        map_of(source, target, n, POSITIVE, s, p)
    else:
        map_of(source, target, n, SLOPE, s, p)


def map_rows(
    const floating[:, ::1] x, int kind, const double[::1] level, double p, floating[:, ::1] out, int threads
):
    """out[r] = the map of row r at its level; out may be x itself. n is at least 1."""
    fits(x.shape[1], 1)
    fits(level.shape[0], x.shape[0])
    fits(out.shape[0], x.shape[0])
    fits(out.shape[1], x.shape[1])
    cdef Py_ssize_t job, jobs = x.shape[0] * ((x.shape[1] + BLOCK - 1) // BLOCK)
    if threads == 1:
        with nogil:
            for job in range(jobs):
                map_piece(x, kind, level, p, out, job)
    else:
        for job in prange(jobs, num_threads=threads, schedule="static", nogil=True):
            map_piece(x, kind, level, p, out, job)


# ---- Thresholds ---------------------------------------------------------------------------------------
cdef inline void count_above(const floating* x, Py_ssize_t n, double t, double* out) noexcept nogil:
    """out = the sum of the |x| above t, and their number; NaN counts as above."""
    cdef double above[LANES]
    cdef double number[LANES]
    cdef double one
    cdef Py_ssize_t i, j, whole = n // LANES * LANES
    for j in range(LANES):
        above[j] = 0.0
        number[j] = 0.0
    for i in range(n // LANES):
        for j in range(LANES):
            one = fabs(x[i * LANES + j])
            above[j] += 0.0 if one <= t else one
            number[j] += 0.0 if one <= t else 1.0
    for j in range(n - whole):
        one = fabs(x[whole + j])
        above[j] += 0.0 if one <= t else one
        number[j] += 0.0 if one <= t else 1.0
    out[0] = fold(above)
    out[1] = fold(number)


cdef inline double threshold_of(
    const floating* x, Py_ssize_t n, double radius, double[:, ::1] parts, int threads
) noexcept nogil:
    """The t >= 0 at which sum max(|x| - t, 0) = radius; 0 if the sum is below it already.

    Newton's method on that convex, piecewise linear function (Michelot 1986): t = (sum of the |x| above t,
    less the radius) / their number. It climbs, and ends after finitely many steps: the number only falls.
    parts (blocks, 2) is scratch."""
    cdef double t = 0.0, new, total, number
    cdef Py_ssize_t block, blocks = parts.shape[0]
    while True:
        for block in prange(blocks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            count_above(x + block * BLOCK, min(<Py_ssize_t> BLOCK, n - block * BLOCK), t, &parts[block, 0])
        total = 0.0
        number = 0.0
        for block in range(blocks):
            total += parts[block, 0]
            number += parts[block, 1]
        if number == 0.0 or total <= radius:
            return t
        new = (total - radius) / number
        if new <= t:
            return t
        t = new
        if t != t or t == INFINITY:
            return t


def thresholds(
    const floating[:, ::1] x, double radius, double[:, :, ::1] parts, double[::1] out, int threads
):
    """out[r] = the soft threshold that projects row r on the L1 ball of the radius (Duchi 2008).

    Threads share rows, or the blocks of a row where there are fewer rows than threads; parts, scratch, is
    (rows, blocks of a row, 2)."""
    fits(x.shape[1], 1)
    fits(parts.shape[0], x.shape[0])
    fits(-abs(parts.shape[1] - (x.shape[1] + BLOCK - 1) // BLOCK), 0)
    fits(parts.shape[2], 2)
    fits(out.shape[0], x.shape[0])
    cdef Py_ssize_t row, n = x.shape[1], rows = x.shape[0]
    if rows < threads:
        with nogil:
            for row in range(rows):
                out[row] = threshold_of(&x[row, 0], n, radius, parts[row], threads)
    else:
        for row in prange(rows, num_threads=threads, schedule="static", nogil=True):
            out[row] = threshold_of(&x[row, 0], n, radius, parts[row], 1)


# ---- Penalties ----------------------------------------------------------------------------------------
cdef inline void penalty_of(
    const floating* x, floating* grad, Py_ssize_t n, double l1, double l2, double* sums
) noexcept nogil:
    cdef double moduli[LANES]
    cdef double squares[LANES]
    cdef double one, slope
    cdef Py_ssize_t i, j
    for j in range(LANES):
        moduli[j] = 0.0
        squares[j] = 0.0
    for i in range((n + LANES - 1) // LANES):
        for j in range(min(<Py_ssize_t> LANES, n - i * LANES)):
            one = x[i * LANES + j]
            moduli[j] += fabs(one)
            squares[j] += one * one
            slope = l1 if one > 0.0 else 0.0
            slope = -l1 if one < 0.0 else slope
            grad[i * LANES + j] += <floating> (slope + l2 * one)
    sums[0] = fold(moduli)
    sums[1] = fold(squares)


def add_penalty(
    const floating[::1] x, floating[::1] grad, double l1, double l2, double[:, ::1] parts, int threads
):
    """grad += l1 sign(x) + l2 x; parts[b] = sum |x|, sum x^2 of block b."""
    fits(grad.shape[0], x.shape[0])
    fits(-abs(parts.shape[0] - (x.shape[0] + BLOCK - 1) // BLOCK), 0)
    fits(parts.shape[1], 2)
    cdef Py_ssize_t n = x.shape[0], job, jobs = parts.shape[0]
    if threads == 1:
        with nogil:
            for job in range(jobs):
                penalty_of(&x[job * BLOCK], &grad[job * BLOCK], min(<Py_ssize_t> BLOCK, n - job * BLOCK),
                           l1, l2, &parts[job, 0])
    else:
        for job in prange(jobs, num_threads=threads, schedule="static", nogil=True):
            penalty_of(&x[job * BLOCK], &grad[job * BLOCK], min(<Py_ssize_t> BLOCK, n - job * BLOCK),
                       l1, l2, &parts[job, 0])


def add_rows(const floating[:, ::1] x, const double[::1] factor, floating[:, ::1] out, int threads):
    """out[r] += factor[r] x[r]."""
    fits(factor.shape[0], x.shape[0])
    fits(out.shape[0], x.shape[0])
    fits(out.shape[1], x.shape[1])
    cdef Py_ssize_t row, j
    for row in prange(x.shape[0], num_threads=threads, schedule="static", nogil=True):
        for j in range(x.shape[1]):
            out[row, j] += <floating> (factor[row] * x[row, j])


def scale(floating[::1] x, double factor, int threads):
    """x *= factor, in place."""
    cdef Py_ssize_t i, n = x.shape[0]
    cdef floating by = <floating> factor
    if threads == 1:
        with nogil:
            for i in range(n):
                x[i] *= by
    else:
        for i in prange(n, num_threads=threads, schedule="static", nogil=True):
            x[i] *= by
