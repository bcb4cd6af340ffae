"""A linear layer and softmax cross-entropy in one: the logits of some rows at a time are there, of all never."""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, within, writes
from ..ground._build cimport fd_barrier, FD_BARRIER_WORDS, FD_LEVEL, fd_team_size
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..reduce._softmax cimport row_loss
from ._tile cimport FD_MR, offset, pack_panel, pack_panel_transposed, pack_rows, product, strided

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    BLOCK_ROWS = 168    # the most rows whose logits are there at a time: whole tiles of every build
    DEPTH = 512         # classes of W^T that are packed at a time


cdef struct Head:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t rows, inputs, classes
    bint by_rows  # W lies as (classes, inputs)
    const void* x
    const void* W
    const void* b
    const int64_t* targets
    const double* scales
    double smoothing
    double* losses
    void* dx
    void* dW
    void* db
    bint add
    int num_threads
    int64_t* barrier


cdef struct Work:  # where the pieces of work space begin, in elements, and their sizes
    Py_ssize_t block                # rows whose logits are there at a time: blocks of one size, since each packs W
    Py_ssize_t stride               # from one row of logits to the next
    Py_ssize_t inputs, panels, own  # x packed; W^T packed; first of the threads' own
    Py_ssize_t each                 # what a thread has of its own
    Py_ssize_t size


cdef inline Py_ssize_t _up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    return (value + unit - 1) // unit


cdef Work _lay_out(
    Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t classes, bint single, Py_ssize_t num_threads,
) noexcept nogil:
    cdef Work w
    cdef Py_ssize_t nr = FD_NR_FLOAT if single else FD_NR_DOUBLE, blocks = max(_up(rows, BLOCK_ROWS), 1)
    w.block = _up(_up(rows, blocks), FD_MR) * FD_MR
    # An odd number of panels: rows a multiple of 4,096 bytes apart would fight for the same lines of the cache.
    w.stride = (_up(classes, nr) | 1) * nr
    w.inputs = w.block * w.stride
    w.panels = w.inputs + BLOCK_ROWS * max(_up(inputs, FD_MR) * FD_MR, _up(inputs, nr) * nr)
    w.own = w.panels + DEPTH * _up(inputs, nr) * nr
    w.each = 2 * nr * max(inputs, BLOCK_ROWS)
    w.size = w.own + num_threads * w.each
    return w


def work_size(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t classes, Py_ssize_t itemsize, Py_ssize_t num_threads):
    """Elements of work space that the kernel wants."""
    return _lay_out(rows, inputs, classes, itemsize == 4, num_threads).size


def linear_cross_entropy(
    x, tuple affine, targets, double smoothing, tuple results, tuple gradients, work, int num_threads,
):
    """affine: (W, b, whether W lies as (classes, inputs)). results: (scales, losses), both by row: each row's loss is
    written, and its gradient counts times its scale. gradients: (dx, dW, db, add), None for what is not wanted; dW lies
    as W does; dW and db are added to where `add` is true."""
    cdef Head o
    cdef int kind = float_kind(x)
    W, b, o.by_rows = affine
    scales, losses = results
    dx, dW, db, o.add = gradients
    o.classes, o.inputs = extent(W, not o.by_rows), extent(W, o.by_rows)
    o.smoothing, o.num_threads = smoothing, num_threads
    fits(num_threads, 1)
    fits(o.inputs, 1)
    fits(o.classes, 1)
    o.rows = cnp.PyArray_SIZE(<cnp.ndarray?> targets)
    o.x, o.W = reads(x, kind, o.rows * o.inputs), reads(W, kind, o.inputs * o.classes)
    o.b = may_read(b, kind, o.classes)
    o.targets = <const int64_t*> reads(targets, cnp.NPY_INT64, o.rows)
    within(o.targets, o.rows, o.classes)
    o.scales = <const double*> reads(scales, cnp.NPY_DOUBLE, o.rows)
    o.losses = <double*> writes(losses, cnp.NPY_DOUBLE, o.rows)
    o.dx, o.dW = may_write(dx, kind, o.rows * o.inputs), may_write(dW, kind, o.inputs * o.classes)
    o.db = may_write(db, kind, o.classes)
    cdef Work w = _lay_out(o.rows, o.inputs, o.classes, kind == cnp.NPY_FLOAT, num_threads)
    cdef void* work_ = writes(work, kind, w.size)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _run(<float*> work_, &w, &o)
        else:
            _run(<double*> work_, &w, &o)


cdef void _run(cython.floating* work, const Work* w, Head* o) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    o.barrier = barrier
    if o.rows == 0:
        return
    if o.num_threads == 1:
        _member(work, w, o, 0, 1)
        return
    with parallel(num_threads=o.num_threads):
        _member(work, w, o, threadid(), fd_team_size())


cdef void _member(
    cython.floating* work, const Work* w, const Head* o, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """One thread's share: block of rows by block of rows, a phase for each product."""
    cdef cython.floating* own = work + w.own + me * w.each
    cdef Py_ssize_t first = 0, rows
    while first < o.rows:
        rows = min(o.rows - first, w.block)
        _logits(work, own, w, o, first, rows, me, team)
        if o.dW is not NULL:
            _pack_inputs(work + w.inputs, o, first, rows, me, team)
        fd_barrier(o.barrier, team)
        _losses(work, w, o, first, rows * me // team, rows * (me + 1) // team)
        fd_barrier(o.barrier, team)
        if o.dx is not NULL:
            _input_gradient(work, w, o, first, rows, me, team)
        if o.dW is not NULL:
            if o.by_rows:
                _table_gradient(work, own, w, o, first, rows, me, team)
            else:
                _weight_gradient(work, own, w, o, first, rows, me, team)
        if o.db is not NULL:
            _bias_gradient(work, w, o, first, rows, me, team)
        fd_barrier(o.barrier, team)  # the block may be overwritten
        first += w.block


cdef void _logits(
    cython.floating* logits, cython.floating* own, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t rows,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """x W + b: two panels of W at a time are packed, and all rows of the block multiplied by them."""
    cdef const cython.floating* x = <const cython.floating*> o.x + first * o.inputs
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef const cython.floating* b = <const cython.floating*> o.b
    cdef Py_ssize_t nr = panel_width(own), inputs = o.inputs, classes = o.classes, pairs = _up(classes, 2 * nr)
    cdef Py_ssize_t pair, j, column, end
    for pair in range(pairs * me // team, pairs * (me + 1) // team):
        column, end = pair * 2 * nr, min((pair + 1) * 2 * nr, classes)
        for j in range(_up(end - column, nr)):
            if o.by_rows:
                pack_panel_transposed(W + (column + j * nr) * inputs, inputs, inputs,
                                      min(nr, end - column - j * nr), own + j * inputs * nr)
            else:
                pack_panel(W + column + j * nr, classes, inputs, min(nr, end - column - j * nr),
                           own + j * inputs * nr)
        product(logits + column, w.stride, strided(x, inputs, 1), strided(own, nr, inputs * nr),
                strided(offset(b, column), 0, 1), rows, inputs, end - column)


cdef void _pack_inputs(
    cython.floating* to, const Head* o, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """The block's x as the product for dW wants it: panels for a table, else strips of its transpose."""
    cdef const cython.floating* x = <const cython.floating*> o.x + first * o.inputs
    cdef Py_ssize_t nr = panel_width(to), inputs = o.inputs, i, count
    if o.by_rows:
        count = _up(inputs, nr)
        for i in range(count * me // team, count * (me + 1) // team):
            pack_panel(x + i * nr, inputs, rows, min(nr, inputs - i * nr), to + i * BLOCK_ROWS * nr)
    else:
        count = _up(inputs, FD_MR)
        for i in range(count * me // team, count * (me + 1) // team):
            pack_rows(x + i * FD_MR, inputs, rows, min(FD_MR, inputs - i * FD_MR), to + i * BLOCK_ROWS * FD_MR)


cdef void _losses(
    cython.floating* logits, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """Rows of logits become rows of their gradient."""
    cdef Py_ssize_t r
    cdef cython.floating* row
    for r in range(begin, end):
        row = logits + r * w.stride
        o.losses[first + r] = row_loss(row, o.classes, o.targets[first + r], <cython.floating> o.smoothing,
                                       <cython.floating> o.scales[first + r], row)


cdef void _input_gradient(
    cython.floating* work, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t me,
    Py_ssize_t team,
) noexcept nogil:
    """dx = dz W^T: the team packs some of the classes, each thread multiplies its rows by them."""
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef cython.floating* panels = work + w.panels
    cdef Py_ssize_t nr = panel_width(work), inputs = o.inputs, classes = o.classes, count = _up(inputs, nr)
    cdef Py_ssize_t r0 = rows * me // team, r1 = rows * (me + 1) // team, k = 0, depth, i
    cdef cython.floating* dx = <cython.floating*> o.dx + (first + r0) * inputs
    while k < classes:
        depth = min(classes - k, DEPTH)
        for i in range(count * me // team, count * (me + 1) // team):
            if o.by_rows:
                pack_panel(W + k * inputs + i * nr, inputs, depth, min(nr, inputs - i * nr), panels + i * DEPTH * nr)
            else:
                pack_panel_transposed(W + i * nr * classes + k, classes, depth, min(nr, inputs - i * nr),
                                      panels + i * DEPTH * nr)
        fd_barrier(o.barrier, team)
        product(dx, inputs, strided(work + r0 * w.stride + k, w.stride, 1), strided(panels, nr, DEPTH * nr),
                strided(dx if k > 0 else NULL, inputs, 1), r1 - r0, depth, inputs)
        fd_barrier(o.barrier, team)  # the panels may be overwritten
        k += DEPTH


cdef void _weight_gradient(
    cython.floating* work, cython.floating* own, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t rows,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """dW (+)= x^T dz, two panels of dz at a time."""
    cdef Py_ssize_t nr = panel_width(own), inputs = o.inputs, classes = o.classes, pairs = _up(classes, 2 * nr)
    cdef Py_ssize_t pair, i, j, column, end
    cdef cython.floating* to
    cdef bint add = o.add or first > 0
    for pair in range(pairs * me // team, pairs * (me + 1) // team):
        column, end = pair * 2 * nr, min((pair + 1) * 2 * nr, classes)
        for j in range(_up(end - column, nr)):
            pack_panel(work + column + j * nr, w.stride, rows, min(nr, end - column - j * nr), own + j * rows * nr)
        for i in range(_up(inputs, FD_MR)):
            to = <cython.floating*> o.dW + i * FD_MR * classes + column
            product(to, classes, strided(work + w.inputs + i * BLOCK_ROWS * FD_MR, 1, FD_MR),
                    strided(own, nr, rows * nr), strided(to if add else NULL, classes, 1),
                    min(FD_MR, inputs - i * FD_MR), rows, end - column)


cdef void _table_gradient(
    cython.floating* work, cython.floating* own, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t rows,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """dW (+)= dz^T x, where W lies as (classes, inputs): strips of dz at a time."""
    cdef Py_ssize_t nr = panel_width(own), inputs = o.inputs, classes = o.classes, strips = _up(classes, FD_MR)
    cdef Py_ssize_t i, count
    cdef cython.floating* to
    cdef bint add = o.add or first > 0
    for i in range(strips * me // team, strips * (me + 1) // team):
        count = min(FD_MR, classes - i * FD_MR)
        pack_rows(work + i * FD_MR, w.stride, rows, count, own)
        to = <cython.floating*> o.dW + i * FD_MR * inputs
        product(to, inputs, strided(own, 1, FD_MR), strided(work + w.inputs, nr, BLOCK_ROWS * nr),
                strided(to if add else NULL, inputs, 1), count, rows, inputs)


cdef void _bias_gradient(
    const cython.floating* gradient, const Work* w, const Head* o, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t me,
    Py_ssize_t team,
) noexcept nogil:
    """db (+)= sum dz, in order of the rows."""
    cdef cython.floating* db = <cython.floating*> o.db
    cdef Py_ssize_t r, j, begin = o.classes * me // team, end = o.classes * (me + 1) // team
    cdef bint add = o.add or first > 0
    for r in range(rows):
        for j in range(begin, end):
            db[j] = gradient[r * w.stride + j] + (db[j] if add or r > 0 else 0)
