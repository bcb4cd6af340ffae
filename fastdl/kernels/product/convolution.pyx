"""Convolution over time, y[t] = sum over taps of x[t stride + tap dilation - left] W[tap], as products on the tile.

The source, x or the output's gradient, is copied once into sequences (B, steps, columns) with zeros around and past
their ends. There the taps of one output step lie side by side if the dilation is 1, so that rows of A overlap: no
matrix of windows is made. Otherwise a product a tap adds to the last. Either way an element is one chain of
multiply-adds over taps and inputs, in order, whoever computes it.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, within, writes
from ..ground._build cimport fd_barrier, FD_BARRIER_WORDS, FD_LEVEL, fd_team_size
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, madd, panel_width
from ._tile cimport FD_MR, pack_panel, pack_panel_transposed, pack_rows, product, strided

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    ROWS = 96           # of a result that one thread computes at a time
    BLOCK_ROWS = 256    # rows of one block of the weights' gradient


cdef struct Conv:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t steps, batch, inputs, outputs, out_steps
    Py_ssize_t taps, groups, left, stride, dilation
    const void* x
    const void* W
    const void* b
    const void* dy
    void* y
    void* dx
    void* dW
    void* db
    const int64_t* lengths
    const int64_t* out_lengths
    bint add
    int num_threads
    int64_t* barrier


cdef struct Pass:  # result[t] = start + sum over taps of source[t stride + tap dilation] W[tap]
    Py_ssize_t steps, batch, outputs    # of the result
    Py_ssize_t padded, inputs           # of the source (batch, padded, inputs)
    Py_ssize_t taps, groups, stride, dilation
    const int64_t* lengths              # of the result, which is 0 past them; NULL for all
    const void* source
    const void* panels
    const void* start
    void* result


cdef struct Spread:  # to (batch, padded, columns): zeros, and row t of a sequence at first + t stride
    Py_ssize_t steps, batch, columns
    Py_ssize_t padded, first, stride
    const int64_t* lengths
    const void* rows
    void* to


cdef struct Piece:  # rows t to t + count of a sequence, in a block of rows that has so many already
    Py_ssize_t b, t, count, filled


cdef inline Py_ssize_t _up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    return (value + unit - 1) // unit


cdef inline bint _by_channel(const Conv* o) noexcept nogil:
    return o.inputs == o.groups and o.outputs == o.groups


# ---- what lies where in the work space --------------------------------------------------------------------------


cdef inline Py_ssize_t _padded(const Conv* o) noexcept nogil:
    """Steps that the outputs reach."""
    return (o.out_steps - 1) * o.stride + (o.taps - 1) * o.dilation + 1


cdef inline Py_ssize_t _padded_back(const Conv* o) noexcept nogil:
    """The same of the inputs' gradients, as outputs of a convolution of dy."""
    return o.steps + (o.taps - 1) * o.dilation


cdef inline Py_ssize_t _panels_size(const Conv* o, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t nr) noexcept nogil:
    """Of the weights packed, `inputs` and `outputs` of a group."""
    if _by_channel(o):
        return o.taps * o.groups
    return o.groups * _up(outputs, nr) * nr * o.taps * inputs


cdef inline Py_ssize_t _strips(const Conv* o) noexcept nogil:
    """Strips of FD_MR rows of the weights' gradient."""
    return o.groups * _runs(o) * _up(o.taps // _runs(o) * (o.inputs // o.groups), FD_MR)


cdef inline Py_ssize_t _runs(const Conv* o) noexcept nogil:
    """Pieces of taps that do not lie side by side."""
    return 1 if o.dilation == 1 and o.groups == 1 else o.taps


cdef inline Py_ssize_t _forward_size(const Conv* o, Py_ssize_t nr) noexcept nogil:
    return (_panels_size(o, o.inputs // o.groups, o.outputs // o.groups, nr)
            + o.batch * _padded(o) * o.inputs)


cdef inline Py_ssize_t _backward_size(const Conv* o, Py_ssize_t nr) noexcept nogil:
    cdef Py_ssize_t back = (_panels_size(o, o.outputs // o.groups, o.inputs // o.groups, nr)
                            + o.batch * _padded_back(o) * o.outputs)
    cdef Py_ssize_t products = BLOCK_ROWS * (_strips(o) * FD_MR + o.groups * _up(o.outputs // o.groups, nr) * nr)
    if _by_channel(o):
        products = o.taps * o.groups
    return max(back, o.batch * _padded(o) * o.inputs + products)


def work_size(x, W, tuple geometry, Py_ssize_t out_steps):
    """Elements of work space that the kernels want: of the forward, and of the backward."""
    cdef Conv o
    cdef int kind = float_kind(x)
    cdef Py_ssize_t nr = FD_NR_FLOAT if kind == cnp.NPY_FLOAT else FD_NR_DOUBLE
    _describe(&o, x, W, geometry, 1)
    o.out_steps = out_steps
    return _forward_size(&o, nr), _backward_size(&o, nr)


# ---- doors ------------------------------------------------------------------------------------------------------


cdef inline int _describe(Conv* o, object x, object W, tuple geometry, int num_threads) except -1:
    """The arrays and sizes that both passes have. geometry: (left, stride, dilation, groups)."""
    cdef int kind = float_kind(x)
    o.left, o.stride, o.dilation, o.groups = geometry
    o.steps, o.batch, o.inputs = extent(x, 0), extent(x, 1), extent(x, 2)
    o.taps, o.outputs, o.num_threads = extent(W, 0), extent(W, 2), num_threads
    for one in (o.batch, o.inputs, o.outputs, o.taps, o.stride, o.dilation, o.groups, num_threads, o.left + 1):
        fits(one, 1)
    if o.inputs % o.groups or o.outputs % o.groups or extent(W, 1) != o.inputs // o.groups:
        raise ValueError(f"kernel: got {o.groups} groups, expected W to have them")
    o.x = reads(x, kind, o.steps * o.batch * o.inputs)
    o.W = reads(W, kind, o.taps * (o.inputs // o.groups) * o.outputs)
    return 0


cdef inline int _take_lengths(Conv* o, object lengths) except -1:
    """None, or those of x and of y."""
    fits(o.out_steps, 1)
    o.lengths = o.out_lengths = NULL
    if lengths is not None:
        before, after = lengths
        o.lengths = <const int64_t*> reads(before, cnp.NPY_INT64, o.batch)
        o.out_lengths = <const int64_t*> reads(after, cnp.NPY_INT64, o.batch)
        within(o.lengths, o.batch, o.steps + 1)
        within(o.out_lengths, o.batch, o.out_steps + 1)
    return 0


def conv1d_forward(x, W, b, tuple geometry, lengths, y, work, int num_threads):
    """y (out_steps, B, outputs) of x (steps, B, inputs) and W (taps, inputs of a group, outputs); None for no b."""
    cdef Conv o
    cdef int kind = float_kind(x)
    _describe(&o, x, W, geometry, num_threads)
    o.out_steps = extent(y, 0)
    _take_lengths(&o, lengths)
    o.b, o.y = may_read(b, kind, o.outputs), writes(y, kind, o.out_steps * o.batch * o.outputs)
    cdef Py_ssize_t nr = FD_NR_FLOAT if kind == cnp.NPY_FLOAT else FD_NR_DOUBLE
    cdef void* work_ = writes(work, kind, _forward_size(&o, nr))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _walk(<float*> work_, &o, False)
        else:
            _walk(<double*> work_, &o, False)


def conv1d_backward(dy, tuple operands, tuple gradients, tuple geometry, lengths, bint add, work, int num_threads):
    """operands: (x, W). gradients: (dx, dW, db), None for what is not wanted; without dW db is not written."""
    cdef Conv o
    x, W = operands
    dx, dW, db = gradients
    cdef int kind = float_kind(x)
    _describe(&o, x, W, geometry, num_threads)
    o.out_steps, o.add = extent(dy, 0), add
    _take_lengths(&o, lengths)
    o.dy, o.dx = reads(dy, kind, o.out_steps * o.batch * o.outputs), may_write(dx, kind, o.steps * o.batch * o.inputs)
    o.dW = may_write(dW, kind, o.taps * (o.inputs // o.groups) * o.outputs)
    o.db = may_write(db, kind, o.outputs)
    cdef Py_ssize_t nr = FD_NR_FLOAT if kind == cnp.NPY_FLOAT else FD_NR_DOUBLE
    cdef void* work_ = writes(work, kind, _backward_size(&o, nr))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _walk(<float*> work_, &o, True)
        else:
            _walk(<double*> work_, &o, True)


cdef void _walk(cython.floating* work, Conv* o, bint back) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    o.barrier = barrier
    if o.num_threads == 1:
        _member(work, o, back, 0, 1)
        return
    with parallel(num_threads=o.num_threads):
        _member(work, o, back, threadid(), fd_team_size())


cdef void _member(cython.floating* work, const Conv* o, bint back, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    if not back:
        _forward(work, o, me, team)
        return
    if o.dx is not NULL:
        _input_gradient(work, o, me, team)
        fd_barrier(o.barrier, team)  # the work space may be overwritten
    if o.dW is not NULL:
        _weight_gradient(work, o, me, team)


# ---- the source -------------------------------------------------------------------------------------------------


cdef void _spread(cython.floating* to, const Spread* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """One thread's share of the rows."""
    cdef const cython.floating* rows = <const cython.floating*> o.rows
    cdef Py_ssize_t columns = o.columns, size = columns * sizeof(cython.floating)
    cdef Py_ssize_t row, b, t, end
    for row in range(o.batch * o.padded * me // team, o.batch * o.padded * (me + 1) // team):
        b, t = row // o.padded, row % o.padded - o.first
        end = o.steps if o.lengths is NULL else o.lengths[b]
        if t >= 0 and (o.stride == 1 or t % o.stride == 0) and t // o.stride < end:
            memcpy(to + row * columns, rows + (t // o.stride * o.batch + b) * columns, size)
        else:
            memset(to + row * columns, 0, size)


cdef inline Spread _of_x(const Conv* o) noexcept nogil:
    cdef Spread s
    s.steps, s.batch, s.columns, s.lengths, s.rows = o.steps, o.batch, o.inputs, o.lengths, o.x
    s.padded, s.first, s.stride = _padded(o), o.left, 1
    return s


# ---- forward ----------------------------------------------------------------------------------------------------


cdef void _forward(cython.floating* panels, const Conv* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(panels), inputs = o.inputs // o.groups, outputs = o.outputs // o.groups
    cdef Py_ssize_t count = _up(outputs, nr), depth = o.taps * inputs, j, column
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef cython.floating* source = panels + _panels_size(o, inputs, outputs, nr)
    cdef Spread spread = _of_x(o)
    cdef Pass p
    _spread(source, &spread, me, team)
    if _by_channel(o):
        if me == 0:
            memcpy(panels, W, depth * o.groups * sizeof(cython.floating))
    else:
        for j in range(o.groups * count * me // team, o.groups * count * (me + 1) // team):
            column = j % count * nr
            pack_panel(W + j // count * outputs + column, o.outputs, depth, min(nr, outputs - column),
                       panels + j * depth * nr)
    fd_barrier(o.barrier, team)
    p.steps, p.batch, p.outputs, p.padded, p.inputs = o.out_steps, o.batch, o.outputs, _padded(o), o.inputs
    p.taps, p.groups, p.stride, p.dilation = o.taps, o.groups, o.stride, o.dilation
    p.lengths, p.source, p.panels, p.start, p.result = o.out_lengths, source, panels, o.b, o.y
    _convolve(<cython.floating*> o.y, &p, me, team)


cdef void _convolve(cython.floating* result, const Pass* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """One thread's share of the result: rows over time of one sequence or, where these are few, one step's rows."""
    cdef const cython.floating* source = <const cython.floating*> o.source
    cdef bint by_time = o.lengths is not NULL or o.steps >= o.batch
    cdef Py_ssize_t outer = o.batch if by_time else o.steps, inner = o.steps if by_time else o.batch
    cdef Py_ssize_t blocks = _up(inner, ROWS), item, i, first, count, real, r
    cdef Py_ssize_t a_row = (o.stride if by_time else o.padded) * o.inputs
    cdef Py_ssize_t a_outer = (o.padded if by_time else o.stride) * o.inputs
    cdef Py_ssize_t c_row = (o.batch if by_time else 1) * o.outputs, c_outer = (1 if by_time else o.batch) * o.outputs
    cdef cython.floating* c
    for item in range(outer * blocks * me // team, outer * blocks * (me + 1) // team):
        i, first = item // blocks, item % blocks * ROWS
        real = count = min(ROWS, inner - first)
        if o.lengths is not NULL:
            real = max(min(o.lengths[i] - first, count), 0)
        c = result + i * c_outer + first * c_row
        if real > 0:
            _rows(c, c_row, source + i * a_outer + first * a_row, a_row, real, o)
        for r in range(real, count):
            memset(c + r * c_row, 0, o.outputs * sizeof(cython.floating))


cdef void _rows(
    cython.floating* c, Py_ssize_t c_row, const cython.floating* a, Py_ssize_t a_row, Py_ssize_t rows, const Pass* o,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(c), inputs = o.inputs // o.groups, outputs = o.outputs // o.groups, _g, run
    cdef Py_ssize_t runs = 1 if o.dilation == 1 and o.groups == 1 else o.taps, depth = o.taps // runs * inputs
    cdef Py_ssize_t panel = o.taps * inputs * nr
    cdef const cython.floating* start = <const cython.floating*> o.start
    cdef const cython.floating* W = <const cython.floating*> o.panels
    if o.inputs == o.groups and o.outputs == o.groups:
        _channels(c, c_row, a, a_row, rows, o)
        return
    for _g in range(o.groups):
        for run in range(runs):
            product(c, c_row, strided(a + run * o.dilation * o.inputs, a_row, 1),
                    strided(W + run * depth * nr, nr, panel),
                    strided(start, 0, 1) if run == 0 else strided(c, c_row, 1), rows, depth, outputs)
        a, c, W = a + inputs, c + outputs, W + _up(outputs, nr) * panel
        if start is not NULL:
            start += outputs


cdef void _channels(
    cython.floating* c, Py_ssize_t c_row, const cython.floating* a, Py_ssize_t a_row, Py_ssize_t rows, const Pass* o,
) noexcept nogil:
    """Every column by itself."""
    cdef const cython.floating* start = <const cython.floating*> o.start
    cdef const cython.floating* W = <const cython.floating*> o.panels
    cdef const cython.floating* x
    cdef Py_ssize_t columns = o.outputs, _r, k, j
    for _r in range(rows):
        for j in range(columns):
            c[j] = 0 if start is NULL else start[j]
        for k in range(o.taps):
            x = a + k * o.dilation * columns
            for j in range(columns):
                c[j] = madd(x[j], W[k * columns + j], c[j])
        a, c = a + a_row, c + c_row


# ---- backward ---------------------------------------------------------------------------------------------------


cdef void _input_gradient(cython.floating* panels, const Conv* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """dx is dy, with `stride` from row to row, convolved with the weights transposed, the last tap first."""
    cdef Py_ssize_t nr = panel_width(panels), inputs = o.inputs // o.groups, outputs = o.outputs // o.groups
    cdef Py_ssize_t count = _up(inputs, nr), last = o.taps - 1, j, k, column
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef cython.floating* source = panels + _panels_size(o, outputs, inputs, nr)
    cdef Spread s
    cdef Pass p
    s.steps, s.batch, s.columns, s.lengths, s.rows = o.out_steps, o.batch, o.outputs, o.out_lengths, o.dy
    s.padded, s.first, s.stride = _padded_back(o), last * o.dilation - o.left, o.stride
    _spread(source, &s, me, team)
    if _by_channel(o):
        for k in range(o.taps * me // team, o.taps * (me + 1) // team):
            memcpy(panels + k * o.groups, W + (last - k) * o.groups, o.groups * sizeof(cython.floating))
    else:
        for j in range(o.groups * count * me // team, o.groups * count * (me + 1) // team):
            column = j % count * nr
            for k in range(o.taps):
                pack_panel_transposed(W + ((last - k) * inputs + column) * o.outputs + j // count * outputs, o.outputs,
                                      outputs, min(nr, inputs - column), panels + (j * o.taps + k) * outputs * nr)
    fd_barrier(o.barrier, team)
    p.steps, p.batch, p.outputs, p.padded, p.inputs = o.steps, o.batch, o.inputs, s.padded, o.outputs
    p.taps, p.groups, p.stride, p.dilation = o.taps, o.groups, 1, o.dilation
    p.lengths, p.source, p.panels, p.start, p.result = o.lengths, source, panels, NULL, o.dx
    _convolve(<cython.floating*> o.dx, &p, me, team)


cdef void _weight_gradient(cython.floating* source, const Conv* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """dW[tap] (+)= x^T dy and db (+)= sum dy, over blocks of rows: the sequences, one behind the other."""
    cdef cython.floating* work = source + o.batch * _padded(o) * o.inputs
    cdef Spread spread = _of_x(o)
    cdef Piece piece
    piece.b = piece.t = piece.count = piece.filled = 0
    _spread(source, &spread, me, team)
    if not o.add:
        _clear(<cython.floating*> o.dW, o.taps * (o.inputs // o.groups) * o.outputs, me, team)
        if o.db is not NULL:
            _clear(<cython.floating*> o.db, o.outputs, me, team)
    fd_barrier(o.barrier, team)
    while piece.b < o.batch:
        if _by_channel(o):
            _channel_products(source, work, o, &piece, me, team)
        else:
            _outer_products(source, work, o, &piece, me, team)


cdef inline void _clear(cython.floating* to, Py_ssize_t size, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    cdef Py_ssize_t first = size * me // team
    memset(to + first, 0, (size * (me + 1) // team - first) * sizeof(cython.floating))


cdef inline bint _next(const Conv* o, Piece* p) noexcept nogil:
    """The next rows for which the block has room; False where it is full or no sequence has more."""
    cdef Py_ssize_t end
    p.filled, p.t, p.count = p.filled + p.count, p.t + p.count, 0
    while p.b < o.batch and p.filled < BLOCK_ROWS:
        end = o.out_steps if o.out_lengths is NULL else o.out_lengths[p.b]
        if p.t < end:
            p.count = min(BLOCK_ROWS - p.filled, end - p.t)
            return True
        p.b, p.t = p.b + 1, 0
    return False


cdef void _outer_products(
    const cython.floating* source, cython.floating* strips, const Conv* o, Piece* p, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """The next block of rows: strips of x and panels of dy are packed, and strips of dW split over the team."""
    cdef Py_ssize_t nr = panel_width(strips), outputs = o.outputs // o.groups, of_x = _strips(o)
    cdef Py_ssize_t i, j, g, at, rows, of_y = _up(outputs, nr)
    cdef cython.floating* panels = strips + of_x * BLOCK_ROWS * FD_MR
    cdef cython.floating* to
    p.filled = 0
    while _next(o, p):
        _pack(source, strips, panels, o, p, me, team)
        _add_rows(o, p, <cython.floating*> o.db, me, team)
    fd_barrier(o.barrier, team)
    for i in range(of_x * me // team, of_x * (me + 1) // team):
        g = i // (of_x // o.groups)
        to = <cython.floating*> o.dW + _row_of_strip(o, i, &at, &rows) * o.outputs + g * outputs
        for j in range(of_y):
            product(to + j * nr, o.outputs, strided(strips + i * BLOCK_ROWS * FD_MR, 1, FD_MR),
                    strided(panels + (g * of_y + j) * BLOCK_ROWS * nr, nr, BLOCK_ROWS * nr),
                    strided(to + j * nr, o.outputs, 1), rows, p.filled, min(nr, outputs - j * nr))
    fd_barrier(o.barrier, team)  # strips and panels may be overwritten


cdef inline Py_ssize_t _row_of_strip(const Conv* o, Py_ssize_t strip, Py_ssize_t* at, Py_ssize_t* rows) noexcept nogil:
    """The first row of W in a strip; how many it has, and where they lie from the source of an output step on."""
    cdef Py_ssize_t inputs = o.inputs // o.groups, runs = _runs(o), depth = o.taps // runs * inputs
    cdef Py_ssize_t each = _up(depth, FD_MR), run = strip // each % runs, first = strip % each * FD_MR
    rows[0] = min(FD_MR, depth - first)
    at[0] = run * o.dilation * o.inputs + strip // (each * runs) * inputs + first
    return run * inputs + first


cdef void _pack(
    const cython.floating* source, cython.floating* strips, cython.floating* panels, const Conv* o, const Piece* p,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """One thread's share of the strips and panels of a piece."""
    cdef Py_ssize_t nr = panel_width(strips), outputs = o.outputs // o.groups, of_y = _up(outputs, nr)
    cdef Py_ssize_t of_x = _strips(o), i, j, at, rows, column
    cdef const cython.floating* x = source + (p.b * _padded(o) + p.t * o.stride) * o.inputs
    cdef const cython.floating* dy = <const cython.floating*> o.dy + (p.t * o.batch + p.b) * o.outputs
    for i in range(of_x * me // team, of_x * (me + 1) // team):
        _row_of_strip(o, i, &at, &rows)
        pack_rows(x + at, o.stride * o.inputs, p.count, rows, strips + (i * BLOCK_ROWS + p.filled) * FD_MR)
    for j in range(o.groups * of_y * me // team, o.groups * of_y * (me + 1) // team):
        column = j % of_y * nr
        pack_panel(dy + j // of_y * outputs + column, o.batch * o.outputs, p.count, min(nr, outputs - column),
                   panels + (j * BLOCK_ROWS + p.filled) * nr)


cdef inline void _add_rows(
    const Conv* o, const Piece* p, cython.floating* db, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """db += dy, one thread's share of the columns."""
    cdef const cython.floating* dy = <const cython.floating*> o.dy + (p.t * o.batch + p.b) * o.outputs
    cdef Py_ssize_t _r, j
    if db is NULL:
        return
    for _r in range(p.count):
        for j in range(o.outputs * me // team, o.outputs * (me + 1) // team):
            db[j] = db[j] + dy[j]
        dy += o.batch * o.outputs


cdef void _channel_products(
    const cython.floating* source, cython.floating* sums, const Conv* o, Piece* p, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """The next block of rows, every column by itself: one thread's share of the columns."""
    cdef Py_ssize_t columns = o.groups, first = columns * me // team, last = columns * (me + 1) // team, r, k, j
    cdef const cython.floating* x
    cdef const cython.floating* dy
    cdef cython.floating* dW = <cython.floating*> o.dW
    for k in range(o.taps):
        for j in range(first, last):
            sums[k * columns + j] = 0
    p.filled = 0
    while _next(o, p):
        for r in range(p.count):
            x = source + (p.b * _padded(o) + (p.t + r) * o.stride) * columns
            dy = <const cython.floating*> o.dy + ((p.t + r) * o.batch + p.b) * columns
            for k in range(o.taps):
                for j in range(first, last):
                    sums[k * columns + j] = madd(x[j], dy[j], sums[k * columns + j])
                x += o.dilation * columns
        _add_rows(o, p, <cython.floating*> o.db, me, team)
    for k in range(o.taps):
        for j in range(first, last):
            dW[k * columns + j] = dW[k * columns + j] + sums[k * columns + j]
