"""Second-order passes of recurrent layers: three walks over time, and sums that keep the samples apart.

What needs no recurrence is done outside, as large products over all steps at once; a walk adds the one product a
step that does, and the equations of _tangents.pxd. Rows of pre-activations hold the G gates of H units each, without
padding; gate values lie as the forward kernel keeps them (_walk.pxd). States are (T + 1, B, H), slot 0 the initial
state.

Threads own batch rows, each walking alone; or, where rows are few or the weights outgrow one core's cache, panels of
units, with a barrier a step. Every element is computed by one thread in one order, so the team does not matter.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint64_t

from ..ground._arrays cimport extent, fits, float_kind, may_write, reads, writes
from ..ground._build cimport (
    fd_barrier, FD_BARRIER_WORDS, fd_flush_subnormals, FD_LEVEL, fd_restore_subnormals, fd_team_size,
)
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..product._tile cimport FD_MR, offset, pack_panel, pack_rows, product, strided
from ..recurrent._call cimport numbers
from ..recurrent._walk cimport multiplies, parts_units, Share, splits_units, state_weights, up, Walk
from ._passes cimport after, apart, itemsize_of, moved, Passes, row_of, take_passes
from ._products cimport add_state_products, pack_matrix, pack_state_weights, state_gradient
from ._rows cimport adjoint_row, adjoint_tangent_row, tangent_row

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    AFFINE_ROWS = 96   # rows of a block of `affine`
    OUTER_ROWS = 256   # rows of a block of the sums over time and batch

cdef enum:             # the walks
    TANGENT
    ADJOINT
    ADJOINT_TANGENT

cdef struct Affine:    # y = start + the sum of a W
    int terms
    const void* a[3]
    const void* W[3]
    Py_ssize_t inputs[3]
    bint transposed
    const void* start
    Py_ssize_t start_row
    void* y
    Py_ssize_t rows, columns

cdef struct Outer:     # dW += a^T d, db += the sum of d; NULL for a db that is not wanted
    int terms
    const void* a[2]
    void* dW[2]
    Py_ssize_t inputs[2]
    const void* d
    void* db
    Py_ssize_t rows, columns

cdef struct Samples:   # out (+)= x^T da, sample by sample
    const void* x
    const void* da
    void* out
    Py_ssize_t time, samples, inputs, wide, out_row
    bint add


def packed_size(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t itemsize):
    """Elements that a matrix takes in panels of columns."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE
    return rows * up(columns, nr) * nr


# ---- Products that need no recurrence ---------------------------------------------------------------------------


def affine(list terms, bint transposed, start, y, work, int num_threads):
    """y = start + the sum of a W, or with every W transposed, over one to three terms (a, W).

    start: None for zero, one row for a bias, or a row for each of y. work: all matrices in panels.
    """
    cdef Affine s
    cdef int kind = float_kind(y), i
    cdef Py_ssize_t inner = 0
    s.rows, s.columns, s.transposed = extent(y, 0), extent(y, 1), transposed
    fits(min(s.rows, s.columns), 1)
    s.y = writes(y, kind, s.rows * s.columns)
    s.terms = len(terms)
    fits(s.terms, 1)
    fits(3, s.terms)
    for i, (a, W) in enumerate(terms):
        s.inputs[i] = extent(a, 1)
        s.a[i], s.W[i] = reads(a, kind, s.rows * s.inputs[i]), reads(W, kind, s.inputs[i] * s.columns)
        inner += s.inputs[i]
    s.start, s.start_row = NULL, 0
    if start is not None:
        s.start_row = s.columns if extent(start, 0) > 1 else 0
        s.start = reads(start, kind, s.rows * s.columns if s.start_row > 0 else s.columns)
    cdef void* panels = writes(work, kind, packed_size(inner, s.columns, itemsize_of(kind)))
    fits(num_threads, 1)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _affine(<float*> panels, &s, num_threads)
        else:
            _affine(<double*> panels, &s, num_threads)


cdef void _affine(cython.floating* panels, const Affine* s, int num_threads) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    with parallel(num_threads=num_threads):
        _affine_member(panels, s, threadid(), fd_team_size(), barrier)


cdef void _affine_member(
    cython.floating* panels, const Affine* s, Py_ssize_t me, Py_ssize_t team, int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(panels), padded = up(s.columns, nr) * nr, k, from_row, rows
    cdef Py_ssize_t m = s.rows * me // team, end = s.rows * (me + 1) // team
    cdef cython.floating* packed[3]
    cdef cython.floating* y
    cdef const cython.floating* from_
    cdef int i
    for i in range(s.terms):
        packed[i] = panels
        pack_matrix[cython.floating](numbers(panels, s.W[i]), s.inputs[i], s.columns, s.transposed, panels, me, team)
        panels += s.inputs[i] * padded
    fd_barrier(barrier, team)
    while m < end:  # rows few enough that y's stay in the second-level cache from one matrix to the next
        rows, y = min(end - m, AFFINE_ROWS), numbers(panels, s.y) + m * s.columns
        from_, from_row = offset(numbers(panels, s.start), m * s.start_row), s.start_row
        for i in range(s.terms):
            k = s.inputs[i]
            product[cython.floating](y, s.columns, strided(numbers(panels, s.a[i]) + m * k, k, 1),
                                     strided(packed[i], nr, k * nr), strided(from_, from_row, 1), rows, k, s.columns)
            from_, from_row = y, s.columns
        m += rows


def outer_size(list inputs, Py_ssize_t itemsize, int num_threads):
    """Elements of work space that `add_outer` wants: strips of the left factors, of so many inputs each, and two panels
    a thread of the right one."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE, count, strips = 0
    for count in inputs:
        strips += up(count, FD_MR)
    return OUTER_ROWS * (FD_MR * strips + 2 * nr * num_threads)


def add_outer(list terms, d, db, work, int num_threads):
    """dW += a^T d over up to two terms (a, dW); db, or None, += the sum of d's rows."""
    cdef Outer o
    cdef int kind = float_kind(d), i
    o.rows, o.columns = extent(d, 0), extent(d, 1)
    fits(min(o.rows, o.columns), 1)
    o.d, o.db = reads(d, kind, o.rows * o.columns), may_write(db, kind, o.columns)
    o.terms = len(terms)
    o.inputs[0] = o.inputs[1] = 0
    fits(2, o.terms)
    for i, (a, dW) in enumerate(terms):
        o.inputs[i] = extent(a, 1)
        o.a[i], o.dW[i] = reads(a, kind, o.rows * o.inputs[i]), writes(dW, kind, o.inputs[i] * o.columns)
    fits(num_threads, 1)
    cdef void* strips = writes(work, kind, outer_size([extent(a, 1) for a, _ in terms], itemsize_of(kind), num_threads))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _outer(<float*> strips, &o, num_threads)
        else:
            _outer(<double*> strips, &o, num_threads)


cdef void _outer(cython.floating* strips, const Outer* o, int num_threads) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    with parallel(num_threads=num_threads):
        _outer_member(strips, o, threadid(), fd_team_size(), barrier)


cdef void _outer_member(
    cython.floating* strips, const Outer* o, Py_ssize_t me, Py_ssize_t team, int64_t* barrier,
) noexcept nogil:
    """Columns are split over the team; rows go in blocks, so sums do not depend on it."""
    cdef Py_ssize_t nr = panel_width(strips), first = up(o.inputs[0], FD_MR), all_ = first + up(o.inputs[1], FD_MR)
    cdef Py_ssize_t strip = OUTER_ROWS * FD_MR, of_d = up(o.columns, nr), end = of_d * (me + 1) // team
    cdef Py_ssize_t row = 0, rows, i, j, q, width, column
    cdef cython.floating* panels = strips + all_ * strip + me * 2 * OUTER_ROWS * nr
    while row < o.rows:
        rows = min(o.rows - row, OUTER_ROWS)
        for i in range(all_ * me // team, all_ * (me + 1) // team):
            q = 0 if i < first else 1
            column = (i - q * first) * FD_MR
            pack_rows[cython.floating](numbers(strips, o.a[q]) + row * o.inputs[q] + column, o.inputs[q], rows,
                                       min(FD_MR, o.inputs[q] - column), strips + i * strip)
        fd_barrier(barrier, team)
        for j in range(of_d * me // team, end, 2):  # neighbours, for the tile two panels wide
            for q in range(j, min(j + 2, end)):
                _outer_right(o, row, rows, q * nr, panels + (q - j) * OUTER_ROWS * nr)
            width = min(min(2, end - j) * nr, o.columns - j * nr)
            for q in range(o.terms):
                _outer_panels[cython.floating](strips + q * first * strip, o.inputs[q], panels, rows,
                                               numbers(strips, o.dW[q]) + j * nr, o.columns, width)
        fd_barrier(barrier, team)  # the strips may be overwritten
        row += rows


cdef inline void _outer_right(
    const Outer* o, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column, cython.floating* panel,
) noexcept nogil:
    """A panel of d from a column on, and its sums."""
    cdef Py_ssize_t nr = panel_width(panel), width = min(nr, o.columns - column), r, v
    cdef cython.floating* db = numbers(panel, o.db)
    pack_panel[cython.floating](numbers(panel, o.d) + row * o.columns + column, o.columns, rows, width, panel)
    if db is not NULL:
        for r in range(rows):
            for v in range(width):
                db[column + v] = db[column + v] + panel[r * nr + v]


cdef inline void _outer_panels(
    const cython.floating* strips, Py_ssize_t inputs, const cython.floating* panels, Py_ssize_t rows,
    cython.floating* dW, Py_ssize_t dW_row, Py_ssize_t columns,
) noexcept nogil:
    """dW += a^T d, a in strips of MR columns and d in one panel or two."""
    cdef Py_ssize_t i, nr = panel_width(strips)
    cdef cython.floating* at
    for i in range(up(inputs, FD_MR)):
        at = dW + i * FD_MR * dW_row
        product[cython.floating](at, dW_row, strided(strips + i * OUTER_ROWS * FD_MR, 1, FD_MR),
                                 strided(panels, nr, OUTER_ROWS * nr), strided(at, dW_row, 1),
                                 min(FD_MR, inputs - i * FD_MR), rows, columns)


# ---- What the walks have in common ------------------------------------------------------------------------------


cdef inline Share _share(const Walk* w, Py_ssize_t me, Py_ssize_t team, Py_ssize_t item) noexcept nogil:
    cdef Share mine
    cdef Py_ssize_t panels = w.hidden // w.nr
    mine.row0, mine.row1, mine.q0, mine.q1 = 0, w.batch, 0, w.wide
    mine.by_units = team > 1 and w.hidden % w.nr == 0 and panels >= team and parts_units(w) and splits_units(
        w.batch, 1, state_weights(w) * item, team)
    if mine.by_units:
        mine.q0, mine.q1 = panels * me // team * 2, panels * (me + 1) // team * 2
    else:
        mine.row0, mine.row1 = w.batch * me // team, w.batch * (me + 1) // team
    return mine


cdef int _run(const Walk* w, const Passes* p, int walk, int num_threads) except -1:
    fits(num_threads, 1)
    with nogil:
        if p.kind == cnp.NPY_FLOAT:
            _walk(<float*> p.work, w, p, walk, num_threads)
        else:
            _walk(<double*> p.work, w, p, walk, num_threads)
    return 0


cdef void _walk(cython.floating* panels, const Walk* w, const Passes* p, int walk, int num_threads) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    with parallel(num_threads=num_threads):
        if walk == TANGENT:
            _forward_member(panels, w, p, threadid(), fd_team_size(), barrier)
        else:
            _backward_member(panels, w, p, walk == ADJOINT_TANGENT, threadid(), fd_team_size(), barrier)


# ---- The direction through the forward pass ---------------------------------------------------------------------


def tangent_walk(tuple point, tuple tangents, work, int num_threads):
    """th[1:], tc[1:] from th[0], tc[0] and ta, which comes in without th W_h and leaves as what the tangent of
    backward reads: tangents of the gates' values, of the MinLSTM's and the sLSTM's f and i as it came.

    point: as `take_passes`. tangents: th, tc (None without a cell state), ta, and tax, for the GRU the products of the
    input, which stay apart; else None.
    """
    th, tc, ta, tax = tangents
    cdef Walk w
    cdef Passes p
    take_passes(&w, &p, point, ta, work)
    cdef Py_ssize_t steps = w.rows + w.batch, wide = w.rows * w.row
    p.ta, p.th_before = writes(ta, p.kind, wide), writes(th, p.kind, steps * w.hidden)
    p.th = after(&w, p.th_before, w.hidden, p.kind)
    if w.beside > 0:
        p.tc_before = writes(tc, p.kind, steps * w.beside)
        p.tc = after(&w, p.tc_before, w.beside, p.kind)
    if apart(&w):
        p.tax = writes(tax, p.kind, wide)
    _run(&w, &p, TANGENT, num_threads)


cdef void _forward_member(
    cython.floating* panels, const Walk* w, const Passes* p, Py_ssize_t me, Py_ssize_t team, int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t t, r
    cdef bint product_first = multiplies(w)
    cdef Share mine = _share(w, me, team, sizeof(cython.floating))
    cdef Passes row
    cdef uint64_t mode = fd_flush_subnormals()
    if product_first:
        pack_state_weights[cython.floating](w, numbers(panels, p.W_h), False, panels, me, team)
        fd_barrier(barrier, team)
    for t in range(w.steps):
        if product_first:
            add_state_products[cython.floating](w, &mine, numbers(panels, p.th_before) + t * w.batch * w.hidden,
                                                panels, numbers(panels, p.ta) + t * w.batch * w.row)
        for r in range(mine.row0, mine.row1):
            row = row_of(w, p, t, r, sizeof(cython.floating))
            tangent_row(w, &row, numbers(panels, row.ta), mine.q0, mine.q1)
        if product_first and mine.by_units:
            fd_barrier(barrier, team)  # th of all units, before any thread multiplies by it
    fd_restore_subnormals(mode)


# ---- The backward pass, keeping what its tangent needs, and the direction through it ----------------------------


def adjoint_walk(tuple point, dy, tuple last, tuple gradients, work, int num_threads):
    """da of every step, and the gradients with respect to every h and c, from dy, those that come to h from above.

    last: dh, dc, of the last states as they come in, of the first as they leave. gradients: dh and dc of every step
    (None without a cell state), da, and dax, of the GRU that of the input's products, else None.
    """
    dh, dc = last
    kept_dh, kept_dc, da, dax = gradients
    cdef Walk w
    cdef Passes p
    take_passes(&w, &p, point, da, work)
    cdef Py_ssize_t states = w.rows * w.hidden, wide = w.rows * w.row
    p.dy, p.dh, p.da = reads(dy, p.kind, states), writes(dh, p.kind, w.batch * w.hidden), writes(da, p.kind, wide)
    p.kept_dh = writes(kept_dh, p.kind, states)
    if w.beside > 0:
        p.dc, p.kept_dc = writes(dc, p.kind, w.batch * w.beside), writes(kept_dc, p.kind, w.rows * w.beside)
    if apart(&w):
        p.dax = writes(dax, p.kind, wide)
    _run(&w, &p, ADJOINT, num_threads)


def adjoint_tangent_walk(
    tuple point, tuple tangents, tuple gradients, tdy, tuple last, tuple out, work, int num_threads,
):
    """tda of every step, and tdax, into `out`, from what the two walks before it left; tdy has all that adds to tdh but
    tda W_h^T."""
    th, tc, ta, tax = tangents
    kept_dh, kept_dc, _, _ = gradients
    (tdh, tdc), (tda, tdax) = last, out
    cdef Walk w
    cdef Passes p
    take_passes(&w, &p, point, tda, work)
    cdef Py_ssize_t H = w.hidden, steps = w.rows + w.batch, wide = w.rows * w.row
    p.ta, p.th_before = writes(ta, p.kind, wide), writes(th, p.kind, steps * H)
    p.th, p.kept_dh = after(&w, p.th_before, H, p.kind), writes(kept_dh, p.kind, w.rows * H)
    p.tdy, p.tdh, p.tda = reads(tdy, p.kind, w.rows * H), writes(tdh, p.kind, w.batch * H), writes(tda, p.kind, wide)
    if w.beside > 0:
        p.tc_before, p.kept_dc = writes(tc, p.kind, steps * w.beside), writes(kept_dc, p.kind, w.rows * w.beside)
        p.tc, p.tdc = after(&w, p.tc_before, w.beside, p.kind), writes(tdc, p.kind, w.batch * w.beside)
    if apart(&w):
        p.tax, p.tdax = writes(tax, p.kind, wide), writes(tdax, p.kind, wide)
    _run(&w, &p, ADJOINT_TANGENT, num_threads)


cdef void _backward_member(
    cython.floating* panels, const Walk* w, const Passes* p, bint tangent, Py_ssize_t me, Py_ssize_t team,
    int64_t* barrier,
) noexcept nogil:
    """tangent: of the backward pass, else the backward pass itself."""
    cdef Py_ssize_t t, r
    cdef bint product_last = multiplies(w)
    cdef Share mine = _share(w, me, team, sizeof(cython.floating))
    cdef cython.floating* da = numbers(panels, p.tda if tangent else p.da)
    cdef cython.floating* dh = numbers(panels, p.tdh if tangent else p.dh)
    cdef Passes row
    cdef uint64_t mode = fd_flush_subnormals()
    if product_last:
        pack_state_weights[cython.floating](w, numbers(panels, p.W_h), True, panels, me, team)
        fd_barrier(barrier, team)
    for t in range(w.steps - 1, -1, -1):
        for r in range(mine.row0, mine.row1):
            row = row_of(w, p, t, r, sizeof(cython.floating))
            if tangent:
                adjoint_tangent_row(w, &row, numbers(panels, row.tda), mine.q0, mine.q1)
            else:
                adjoint_row(w, &row, numbers(panels, row.da), mine.q0, mine.q1)
        if product_last:
            if mine.by_units:
                fd_barrier(barrier, team)  # da of all units, before any thread multiplies by it
            state_gradient[cython.floating](w, &mine, da + t * w.batch * w.row, panels, dh)
    fd_restore_subnormals(mode)


# ---- Gradients of every sample ----------------------------------------------------------------------------------


def sample_products(x, da, out, Py_ssize_t start, bint add, work, int num_threads):
    """out[b, start:] (+)= sum over t of x[t, b]^T da[t, b], row-major (I, G); work: a panel (T, NR) a thread."""
    cdef Samples s
    cdef int kind = float_kind(x)
    s.time, s.samples, s.inputs, s.wide = extent(x, 0), extent(x, 1), extent(x, 2), extent(da, 2)
    s.out_row, s.add = extent(out, 1), add
    fits(min(s.time * s.samples * s.inputs, s.wide), 1)
    s.x, s.da = reads(x, kind, s.time * s.samples * s.inputs), reads(da, kind, s.time * s.samples * s.wide)
    fits(start, 0)
    fits(s.out_row, start + s.inputs * s.wide)
    s.out = writes(out, kind, s.samples * s.out_row)
    s.out = moved(s.out, start * itemsize_of(kind))
    fits(num_threads, 1)
    cdef void* panels = writes(work, kind, num_threads * packed_size(s.time, 1, itemsize_of(kind)))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _samples(<float*> panels, &s, num_threads)
        else:
            _samples(<double*> panels, &s, num_threads)


cdef void _samples(cython.floating* panels, const Samples* s, int num_threads) noexcept nogil:
    cdef Py_ssize_t b, me
    with parallel(num_threads=num_threads):
        me = threadid()
        for b in range(s.samples * me // fd_team_size(), s.samples * (me + 1) // fd_team_size()):
            _sample_product(panels + me * s.time * panel_width(panels), s, b)


cdef void _sample_product(cython.floating* panel, const Samples* s, Py_ssize_t b) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(panel), j = 0, width
    cdef const cython.floating* x = numbers(panel, s.x) + b * s.inputs
    cdef const cython.floating* da = numbers(panel, s.da) + b * s.wide
    cdef cython.floating* out = numbers(panel, s.out) + b * s.out_row
    while j < s.wide:
        width = min(nr, s.wide - j)
        pack_panel[cython.floating](da + j, s.samples * s.wide, s.time, width, panel)
        product[cython.floating](out + j, s.wide, strided(x, 1, s.samples * s.inputs), strided(panel, nr, 0),
                                 strided(out + j if s.add else NULL, s.wide, 1), s.inputs, s.time, width)
        j += nr
