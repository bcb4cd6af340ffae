"""Layer and batch normalisation: a row to mean 0 and variance 1, or a column.

A row is one thread's, and of the sums over rows so is a column, or a block of rows whose size depends on the shape
alone: no result depends on how many threads there are.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport uint8_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, writes
from ..ground._build cimport FD_LEVEL
from ..ground._vec cimport every, lane, lanes, load, mean_of, part, set_lane, shift, store, vdouble, vec, vfloat

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    BLOCKS = 64       # of rows, at most, whose sums are kept apart
    BLOCK_ROWS = 16   # rows of a block, at least
    WIDE = 128        # columns that a thread takes at a time
    LINE = 16         # columns, at least
    TURN = 32         # rows that are summed in the arrays' own type, and found in the cache once more


# ---- Layer normalisation (6.20) -------------------------------------------------------------------------------


cdef struct Rows:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t rows, size, wide  # wide: numbers of a register
    const void* x
    const void* weight
    const void* bias
    const void* dy
    void* mean
    void* rstd
    void* to  # y, or dx
    void* sums  # dweight and dbias of each block of rows
    double eps
    int num_threads


cdef inline Py_ssize_t _block_rows(Py_ssize_t rows) noexcept nogil:
    return max(BLOCK_ROWS, (rows + BLOCKS - 1) // BLOCKS)


cdef inline Py_ssize_t _block_count(Py_ssize_t rows) noexcept nogil:
    return (rows + _block_rows(rows) - 1) // _block_rows(rows)


def work_size(Py_ssize_t rows, Py_ssize_t size):
    """Elements of work space that `layer_norm_backward` wants."""
    return 2 * size * _block_count(rows)


cdef inline int _describe(Rows* o, int kind, object x, object weight, tuple statistics, int num_threads) except -1:
    """What both passes have. The statistics have a number for each row of x, whatever its axes are."""
    mean, rstd = statistics
    o.rows, o.num_threads = cnp.PyArray_SIZE(<cnp.ndarray?> mean), num_threads
    fits(num_threads, 1)
    fits(o.rows, 1)
    o.size = cnp.PyArray_SIZE(<cnp.ndarray> x) // o.rows
    fits(o.size, 1)
    o.wide = lanes(sizeof(float) if kind == cnp.NPY_FLOAT else sizeof(double))
    o.x, o.weight = reads(x, kind, o.rows * o.size), may_read(weight, kind, o.size)
    o.mean, o.rstd = writes(mean, kind, o.rows), writes(rstd, kind, o.rows)
    return 0


def layer_norm_forward(x, tuple affine, double eps, y, tuple statistics, int num_threads):
    """affine: (weight, bias), None for what is not there. statistics: (mean, rstd), which are written."""
    cdef Rows o
    cdef int kind = float_kind(x)
    weight, bias = affine
    _describe(&o, kind, x, weight, statistics, num_threads)
    o.bias, o.to, o.eps = may_read(bias, kind, o.size), writes(y, kind, o.rows * o.size), eps
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _forward(<const vfloat*> o.x, &o)
        else:
            _forward(<const vdouble*> o.x, &o)


cdef void _forward(const vec* x, const Rows* o) noexcept nogil:
    cdef Py_ssize_t r
    if o.num_threads == 1:  # starting a team of one would take longer than a few rows
        for r in range(o.rows):
            _forward_row(shift(x, r * o.size), o, r)
        return
    for r in prange(o.rows, num_threads=o.num_threads, schedule="static"):
        _forward_row(shift(x, r * o.size), o, r)


cdef inline vec _sum(const vec* x, const Rows* o, vec centre, bint squares) noexcept nogil:
    """Sums of a row's x, or (x - centre)^2, lane by lane: four side by side, so that none waits for another."""
    cdef vec sums[4]
    cdef vec v
    cdef Py_ssize_t q = 0, u, whole = o.size // o.wide, rest = o.size % o.wide
    for u in range(4):
        sums[u] = every(centre, 0)
    while q + 4 <= whole:
        for u in range(4):
            v = x[q + u] - centre if squares else x[q + u]
            sums[u] = sums[u] + v * v if squares else sums[u] + v
        q += 4
    while q < whole:
        v = x[q] - centre if squares else x[q]
        sums[0] = sums[0] + v * v if squares else sums[0] + v
        q += 1
    if rest:
        v = load(x + q, rest)
        v = part(v - centre, rest) if squares else v
        sums[1] = sums[1] + v * v if squares else sums[1] + v
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef void _forward_row(const vec* x, const Rows* o, Py_ssize_t r) noexcept nogil:
    cdef vec* y = shift(<const vec*> o.to, r * o.size)
    cdef vec* means = <vec*> o.mean
    cdef vec* rstds = <vec*> o.rstd
    cdef vec zero = every(load(x, min(o.size, o.wide)), 0), mean, rstd, v
    cdef Py_ssize_t q, left = o.size
    set_lane(means, r, mean_of(_sum(x, o, zero, False), o.size))
    mean = every(zero, lane(means, r))
    set_lane(rstds, r, 1 / sqrt(mean_of(_sum(x, o, mean, True), o.size) + o.eps))
    rstd = every(zero, lane(rstds, r))
    for q in range((o.size + o.wide - 1) // o.wide):
        v = (load(x + q, left) - mean) * rstd
        if o.weight is not NULL:
            v = v * load(<const vec*> o.weight + q, left)
        if o.bias is not NULL:
            v = v + load(<const vec*> o.bias + q, left)
        store(y + q, v, left)
        left -= o.wide


def layer_norm_backward(dy, x, weight, tuple statistics, tuple gradients, bint add, work, int num_threads):
    """gradients: (dx, dweight, dbias), None for what is not wanted; dweight and dbias are there both, or neither."""
    cdef Rows o
    cdef int kind = float_kind(x)
    dx, dweight, dbias = gradients
    _describe(&o, kind, x, weight, statistics, num_threads)
    o.dy, o.to = reads(dy, kind, o.rows * o.size), may_write(dx, kind, o.rows * o.size)
    o.sums = may_write(None if dweight is None else work, kind, 2 * o.size * _block_count(o.rows))
    cdef void* dweight_ = may_write(dweight, kind, o.size)
    cdef void* dbias_ = may_write(dbias, kind, o.size)
    fits(dbias_ is not NULL, dweight_ is not NULL)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _backward(<const vfloat*> o.x, &o)
            if o.sums is not NULL:
                _gather(<float*> dweight_, <float*> dbias_, &o, add)
        else:
            _backward(<const vdouble*> o.x, &o)
            if o.sums is not NULL:
                _gather(<double*> dweight_, <double*> dbias_, &o, add)


cdef void _backward(const vec* x, const Rows* o) noexcept nogil:
    cdef Py_ssize_t block
    if o.num_threads == 1:
        for block in range(_block_count(o.rows)):
            _backward_block(x, o, block)
        return
    for block in prange(_block_count(o.rows), num_threads=o.num_threads, schedule="static"):
        _backward_block(x, o, block)


cdef void _backward_block(const vec* x, const Rows* o, Py_ssize_t block) noexcept nogil:
    cdef vec* dweight = NULL
    cdef vec* dbias = NULL
    cdef vec zero = every(load(x, min(o.size, o.wide)), 0)
    cdef Py_ssize_t q, r, count = _block_rows(o.rows)
    if o.sums is not NULL:
        dweight = shift(<const vec*> o.sums, 2 * block * o.size)
        dbias = shift(dweight, o.size)
        for q in range((2 * o.size + o.wide - 1) // o.wide):
            store(dweight + q, zero, 2 * o.size - q * o.wide)
    for r in range(block * count, min(o.rows, (block + 1) * count)):
        if o.to is not NULL:
            _input_gradient(shift(x, r * o.size), o, r)
        if o.sums is not NULL:
            _add_row(shift(x, r * o.size), o, r, dweight, dbias)


cdef inline vec _slope(const vec* dy, const Rows* o, Py_ssize_t q, Py_ssize_t left) noexcept nogil:
    """weight dy, of a register."""
    if o.weight is NULL:
        return load(dy + q, left)
    return load(dy + q, left) * load(<const vec*> o.weight + q, left)


cdef inline void _input_gradient(const vec* x, const Rows* o, Py_ssize_t r) noexcept nogil:
    """dx = rstd (d - mean d - v mean (d v)) with d = weight dy and v = (x - mean) rstd."""
    cdef const vec* dy = shift(<const vec*> o.dy, r * o.size)
    cdef vec* dx = shift(<const vec*> o.to, r * o.size)
    cdef vec zero = every(load(x, min(o.size, o.wide)), 0)
    cdef vec mean = every(zero, lane(<const vec*> o.mean, r)), rstd = every(zero, lane(<const vec*> o.rstd, r))
    cdef vec sums = zero, alongs = zero, d, v
    cdef Py_ssize_t q, left = o.size, registers = (o.size + o.wide - 1) // o.wide
    for q in range(registers):
        d = _slope(dy, o, q, left)  # zero beyond the row
        v = part((load(x + q, left) - mean) * rstd, left)
        sums, alongs, left = sums + d, alongs + d * v, left - o.wide
    sums, alongs, left = every(zero, mean_of(sums, o.size)), every(zero, mean_of(alongs, o.size)), o.size
    for q in range(registers):
        v = (load(x + q, left) - mean) * rstd
        store(dx + q, rstd * (_slope(dy, o, q, left) - sums - v * alongs), left)
        left -= o.wide


cdef inline void _add_row(const vec* x, const Rows* o, Py_ssize_t r, vec* dweight, vec* dbias) noexcept nogil:
    """dweight += dy v and dbias += dy."""
    cdef const vec* dy = shift(<const vec*> o.dy, r * o.size)
    cdef vec zero = every(load(x, min(o.size, o.wide)), 0), d
    cdef vec mean = every(zero, lane(<const vec*> o.mean, r)), rstd = every(zero, lane(<const vec*> o.rstd, r))
    cdef Py_ssize_t q, left = o.size
    for q in range((o.size + o.wide - 1) // o.wide):
        d = load(dy + q, left)
        store(dweight + q, load(dweight + q, left) + d * ((load(x + q, left) - mean) * rstd), left)
        store(dbias + q, load(dbias + q, left) + d, left)
        left -= o.wide


cdef void _gather(cython.floating* dweight, cython.floating* dbias, const Rows* o, bint add) noexcept nogil:
    """The sums of all blocks, in order."""
    cdef Py_ssize_t block, j, size = o.size
    cdef const cython.floating* sums = <const cython.floating*> o.sums
    for block in range(_block_count(o.rows)):
        for j in range(size):
            dweight[j] = sums[j] + (dweight[j] if add or block > 0 else 0)
            dbias[j] = sums[size + j] + (dbias[j] if add or block > 0 else 0)
        sums += 2 * size


# ---- Batch normalisation (6.21): a thread takes columns, so that each is summed in the order of its rows -------


cdef struct Columns:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t rows, size, count  # count: rows that count
    const uint8_t* real  # which rows those are; NULL for all
    const void* x
    const void* weight
    const void* bias
    const void* dy
    void* mean
    void* variance
    void* rstd
    void* to  # y, or dx
    void* dweight
    void* dbias
    double eps
    bint given  # whether mean and variance are
    bint add
    int num_threads


cdef inline int _describe_columns(
    Columns* o, int kind, object x, object real, Py_ssize_t count, int num_threads,
) except -1:
    """What both passes have. x is (rows, columns), whatever its axes are."""
    o.size = extent(x, cnp.PyArray_NDIM(<cnp.ndarray?> x) - 1)
    o.count, o.num_threads = count, num_threads
    fits(num_threads, 1)
    fits(o.size, 1)
    fits(count, 1)
    o.rows = cnp.PyArray_SIZE(<cnp.ndarray> x) // o.size
    o.x = reads(x, kind, o.rows * o.size)
    o.real = <const uint8_t*> may_read(real, cnp.NPY_BOOL, o.rows)
    return 0


def batch_norm_forward(x, tuple rows, tuple affine, tuple statistics, bint given, double eps, y, int num_threads):
    """rows: (real, count), which rows count, None for all, and how many. affine: (weight, bias). statistics: (mean,
    variance, rstd), of which the first two are read if they are given; else they are written."""
    cdef Columns o
    cdef int kind = float_kind(x)
    real, count = rows
    weight, bias = affine
    mean, variance, rstd = statistics
    _describe_columns(&o, kind, x, real, count, num_threads)
    o.weight, o.bias = may_read(weight, kind, o.size), may_read(bias, kind, o.size)
    o.mean, o.variance, o.rstd = writes(mean, kind, o.size), writes(variance, kind, o.size), writes(rstd, kind, o.size)
    o.to, o.eps, o.given = writes(y, kind, o.rows * o.size), eps, given
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _by_columns(<const float*> o.x, &o, False)
        else:
            _by_columns(<const double*> o.x, &o, False)


def batch_norm_backward(dy, x, tuple rows, weight, tuple statistics, tuple gradients, bint add, int num_threads):
    """statistics: (mean, rstd). gradients: (dx, dweight, dbias), None for what is not wanted."""
    cdef Columns o
    cdef int kind = float_kind(x)
    real, count = rows
    mean, rstd = statistics
    dx, dweight, dbias = gradients
    _describe_columns(&o, kind, x, real, count, num_threads)
    o.weight, o.mean, o.rstd = may_read(weight, kind, o.size), writes(mean, kind, o.size), writes(rstd, kind, o.size)
    o.dy, o.to = reads(dy, kind, o.rows * o.size), may_write(dx, kind, o.rows * o.size)
    o.dweight, o.dbias, o.add = may_write(dweight, kind, o.size), may_write(dbias, kind, o.size), add
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _by_columns(<const float*> o.x, &o, True)
        else:
            _by_columns(<const double*> o.x, &o, True)


cdef void _by_columns(const cython.floating* x, const Columns* o, bint back) noexcept nogil:
    """As many columns at a time as leave each thread some, whole cache lines of them."""
    cdef Py_ssize_t at, wide = (o.size + o.num_threads - 1) // o.num_threads
    wide = min(WIDE, (wide + LINE - 1) // LINE * LINE)
    for at in prange((o.size + wide - 1) // wide, num_threads=o.num_threads, schedule="static"):
        if back:
            _backward_columns(x, o, at * wide, min(wide, o.size - at * wide))
        else:
            _forward_columns(x, o, at * wide, min(wide, o.size - at * wide))


cdef void _forward_columns(const cython.floating* x, const Columns* o, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    cdef cython.floating scale[WIDE]
    cdef cython.floating add[WIDE]
    cdef Py_ssize_t j, r
    cdef cython.floating* mean = <cython.floating*> o.mean + first
    cdef cython.floating* variance = <cython.floating*> o.variance + first
    cdef cython.floating* rstd = <cython.floating*> o.rstd + first
    cdef cython.floating* y = <cython.floating*> o.to + first
    x += first
    if not o.given:
        _measure(x, o, n, mean, variance)
    for j in range(n):
        rstd[j] = <cython.floating> (1 / sqrt(<double> variance[j] + o.eps))
        scale[j] = rstd[j] * (1 if o.weight is NULL else (<const cython.floating*> o.weight)[first + j])
        add[j] = 0 if o.bias is NULL else (<const cython.floating*> o.bias)[first + j]
    for r in range(o.rows):
        if o.real is NULL or o.real[r]:
            for j in range(n):
                y[r * o.size + j] = (x[r * o.size + j] - mean[j]) * scale[j] + add[j]
        else:
            for j in range(n):
                y[r * o.size + j] = 0


cdef inline void _measure(
    const cython.floating* x, const Columns* o, Py_ssize_t n, cython.floating* mean, cython.floating* variance,
) noexcept nogil:
    """Mean and variance over the rows that count: of TURN rows in the arrays' type, these joined in double (Chan, Golub
    and LeVeque 1983)."""
    cdef double middle[WIDE]
    cdef double squares[WIDE]
    cdef cython.floating some[WIDE]
    cdef cython.floating apart[WIDE]
    cdef Py_ssize_t j, r = 0, count, before = 0
    cdef double away, share
    for j in range(n):
        middle[j] = squares[j] = 0
    while r < o.rows:
        count = _of_turn(x + r * o.size, o, r, n, some, apart)
        if count > 0:
            share = <double> count / (before + count)
            for j in range(n):
                away = some[j] - middle[j]
                middle[j] = middle[j] + away * share
                squares[j] = squares[j] + apart[j] + away * away * share * before
            before += count
        r += TURN
    for j in range(n):
        mean[j] = <cython.floating> middle[j]
        variance[j] = <cython.floating> (squares[j] / o.count)


cdef inline Py_ssize_t _of_turn(
    const cython.floating* x, const Columns* o, Py_ssize_t first, Py_ssize_t n, cython.floating* mean,
    cython.floating* squares,
) noexcept nogil:
    """How many rows of TURN count; their mean, and the sum of (x - mean)^2."""
    cdef Py_ssize_t r, j, count = 0, rows = min(TURN, o.rows - first), size = o.size
    cdef cython.floating each
    for j in range(n):
        mean[j] = squares[j] = 0
    for r in range(rows):
        if o.real is NULL or o.real[first + r]:
            count += 1
            for j in range(n):
                mean[j] = mean[j] + x[r * size + j]
    for j in range(n):
        mean[j] = mean[j] / max(count, 1)
    for r in range(rows):
        if o.real is NULL or o.real[first + r]:
            for j in range(n):
                each = x[r * size + j] - mean[j]
                squares[j] = squares[j] + each * each
    return count


cdef void _backward_columns(const cython.floating* x, const Columns* o, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """dweight = sum dy v, dbias = sum dy, dx = weight rstd (dy - mean dy - v mean (dy v)) with v = (x - mean) rstd."""
    cdef double sums[WIDE]
    cdef double alongs[WIDE]
    cdef Py_ssize_t j
    cdef cython.floating* dweight = <cython.floating*> o.dweight + first
    cdef cython.floating* dbias = <cython.floating*> o.dbias + first
    _slopes(x + first, o, first, n, sums, alongs)
    if o.dweight is not NULL:
        for j in range(n):
            dweight[j] = <cython.floating> alongs[j] + (dweight[j] if o.add else 0)
    if o.dbias is not NULL:
        for j in range(n):
            dbias[j] = <cython.floating> sums[j] + (dbias[j] if o.add else 0)
    if o.to is not NULL:
        _slope_of_columns(x + first, o, first, n, sums, alongs)


cdef inline void _slopes(
    const cython.floating* x, const Columns* o, Py_ssize_t first, Py_ssize_t n, double* sums, double* alongs,
) noexcept nogil:
    cdef cython.floating some[WIDE]
    cdef cython.floating along[WIDE]
    cdef const cython.floating* dy = <const cython.floating*> o.dy + first
    cdef const cython.floating* mean = <const cython.floating*> o.mean + first
    cdef const cython.floating* rstd = <const cython.floating*> o.rstd + first
    cdef Py_ssize_t j, r, size = o.size
    for j in range(WIDE):
        some[j] = along[j] = 0
        sums[j] = alongs[j] = 0
    for r in range(o.rows):
        if o.real is NULL or o.real[r]:
            for j in range(n):
                some[j] = some[j] + dy[r * size + j]
                along[j] = along[j] + dy[r * size + j] * ((x[r * size + j] - mean[j]) * rstd[j])
        if r % TURN == TURN - 1 or r == o.rows - 1:
            for j in range(n):
                sums[j] += some[j]
                alongs[j] += along[j]
                some[j] = along[j] = 0


cdef inline void _slope_of_columns(
    const cython.floating* x, const Columns* o, Py_ssize_t first, Py_ssize_t n, const double* sums,
    const double* alongs,
) noexcept nogil:
    cdef cython.floating scale[WIDE]
    cdef cython.floating level[WIDE]
    cdef cython.floating slope[WIDE]
    cdef const cython.floating* dy = <const cython.floating*> o.dy + first
    cdef const cython.floating* mean = <const cython.floating*> o.mean + first
    cdef const cython.floating* rstd = <const cython.floating*> o.rstd + first
    cdef cython.floating* dx = <cython.floating*> o.to + first
    cdef Py_ssize_t j, r, size = o.size
    for j in range(n):
        scale[j] = rstd[j] * (1 if o.weight is NULL else (<const cython.floating*> o.weight)[first + j])
        level[j] = <cython.floating> (sums[j] / o.count)
        slope[j] = <cython.floating> (alongs[j] / o.count * rstd[j])
    for r in range(o.rows):
        if o.real is NULL or o.real[r]:
            for j in range(n):
                dx[r * size + j] = scale[j] * (dy[r * size + j] - level[j] - (x[r * size + j] - mean[j]) * slope[j])
        else:
            for j in range(n):
                dx[r * size + j] = 0
