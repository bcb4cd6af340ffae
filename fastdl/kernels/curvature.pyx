"""Second-order passes of recurrent layers: three walks over time, and sums that keep the samples apart.

What needs no recurrence is done outside, as large products over all steps at once; a walk adds the one product a
step that does, and the point functions of _tangents.pxd. Rows of pre-activations hold the G gates of H units each,
without padding; gate values have the strides of the tape they come from: from row to row, and `value_gate` from gate
to gate. States are (T + 1, B, H), slot 0 the initial state.

Threads own batch rows, each walking alone; or, where rows are few or the weights outgrow one core's cache, panels of
units, with a barrier a step. Every element is computed by one thread in one order, so the team does not matter.
"""
cimport cython
from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int64_t, uint64_t

from ._arrays cimport fits
from ._build cimport (
    FD_BARRIER_WORDS,
    FD_LEVEL,
    fd_barrier,
    fd_flush_subnormals,
    fd_restore_subnormals,
    fd_team_size,
)
from ._extents cimport (
    area, fits_affine, fits_last, fits_samples, fits_states, fits_term, fits_walk, GRU, LSTM, RNN_RELU, volume,
)
from ._tangents cimport (
    gru_adjoint, gru_adjoint_tangent, gru_tangent, lstm_adjoint, lstm_adjoint_tangent, lstm_tangent, rnn_adjoint,
    rnn_adjoint_tangent, rnn_tangent,
)
from ._tile cimport (
    FD_MR,
    FD_NR_DOUBLE,
    FD_NR_FLOAT,
    offset,
    pack_panel,
    pack_panel_transposed,
    pack_rows,
    panel_width,
    product,
)
from ._walk cimport splits_units

LEVEL = FD_LEVEL.decode()

cdef enum:
    AFFINE_ROWS = 96   # rows of a block of `affine`
    OUTER_ROWS = 256   # rows of a block of the sums over time and batch

cdef struct Walk:
    int cell
    Py_ssize_t time, batch, hidden, wide   # wide: columns of a row of pre-activations, G * H
    Py_ssize_t nr, panels                  # panel width, and panels of units
    Py_ssize_t row0, row1, panel0, panel1  # this thread's share
    bint by_units


cdef inline Py_ssize_t _up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    return (value + unit - 1) // unit


def packed_size(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t itemsize):
    """Elements that a matrix takes in panels of columns."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE
    return rows * _up(columns, nr) * nr


cdef Walk _share(int cell, Py_ssize_t time, Py_ssize_t batch, Py_ssize_t hidden, Py_ssize_t wide, Py_ssize_t nr,
                 Py_ssize_t itemsize, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    cdef Walk w
    w.cell, w.time, w.batch, w.hidden, w.wide, w.nr = cell, time, batch, hidden, wide, nr
    w.panels = _up(hidden, nr)
    w.row0, w.row1, w.panel0, w.panel1 = 0, batch, 0, w.panels
    w.by_units = team > 1 and hidden % nr == 0 and w.panels >= team and splits_units(
        batch, 1, hidden * wide * itemsize, team)
    if w.by_units:
        w.panel0, w.panel1 = w.panels * me // team, w.panels * (me + 1) // team
    else:
        w.row0, w.row1 = batch * me // team, batch * (me + 1) // team
    return w


# ---- Products that need no recurrence ---------------------------------------------------------------------------


def affine(
    const cython.floating[:, ::1] a1, const cython.floating[:, ::1] W1, const cython.floating[:, ::1] a2,
    const cython.floating[:, ::1] W2, const cython.floating[:, ::1] a3, const cython.floating[:, ::1] W3,
    bint transposed, const cython.floating[:, ::1] start, cython.floating[:, ::1] y,
    cython.floating[::1] work, int num_threads,
):
    """y = start + a1 W1 + a2 W2 + a3 W3, or with every W transposed; empty factors count nothing.

    start: empty for zero, one row for a bias, or a row for each of y. work: all matrices in panels.
    """
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* first = &start[0, 0] if start.shape[0] > 0 else NULL
    cdef const cython.floating* x2 = &a2[0, 0] if a2.shape[0] > 0 else NULL
    cdef const cython.floating* x3 = &a3[0, 0] if a3.shape[0] > 0 else NULL
    cdef const cython.floating* V2 = &W2[0, 0] if a2.shape[0] > 0 else NULL
    cdef const cython.floating* V3 = &W3[0, 0] if a3.shape[0] > 0 else NULL
    cdef Py_ssize_t first_row = y.shape[1] if start.shape[0] > 1 else 0, columns = y.shape[1]
    fits_affine[cython.floating](a1, W1, a2, W2, a3, W3, start, y)
    fits(work.shape[0], packed_size(a1.shape[1] + a2.shape[1] + a3.shape[1], columns, sizeof(cython.floating)))
    barrier[0] = barrier[8] = 0
    with nogil, parallel(num_threads=num_threads):
        _affine_member(threadid(), fd_team_size(), &a1[0, 0], &W1[0, 0], a1.shape[1], x2, V2, a2.shape[1], x3,
                       V3, a3.shape[1], transposed, first, first_row, &y[0, 0], y.shape[0], y.shape[1], &work[0],
                       barrier)


cdef void _affine_member(
    Py_ssize_t me, Py_ssize_t team, const cython.floating* a1, const cython.floating* W1, Py_ssize_t k1,
    const cython.floating* a2, const cython.floating* W2, Py_ssize_t k2, const cython.floating* a3,
    const cython.floating* W3, Py_ssize_t k3, bint transposed, const cython.floating* start,
    Py_ssize_t start_row, cython.floating* y, Py_ssize_t rows, Py_ssize_t columns, cython.floating* panels1,
    int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t padded = _up(columns, panel_width(y)) * panel_width(y), m = rows * me // team, count
    cdef Py_ssize_t end = rows * (me + 1) // team
    cdef cython.floating* panels2 = panels1 + k1 * padded
    cdef cython.floating* panels3 = panels2 + (k2 * padded if a2 is not NULL else 0)
    _pack_matrix(W1, k1, columns, transposed, panels1, me, team)
    if a2 is not NULL:
        _pack_matrix(W2, k2, columns, transposed, panels2, me, team)
    if a3 is not NULL:
        _pack_matrix(W3, k3, columns, transposed, panels3, me, team)
    fd_barrier(barrier, team)
    while m < end:  # rows few enough that y's stay in the second-level cache from one matrix to the next
        count = min(end - m, AFFINE_ROWS)
        _times(a1 + m * k1, count, k1, panels1, offset(start, m * start_row), start_row, y + m * columns, columns)
        if a2 is not NULL:
            _times(a2 + m * k2, count, k2, panels2, y + m * columns, columns, y + m * columns, columns)
        if a3 is not NULL:
            _times(a3 + m * k3, count, k3, panels3, y + m * columns, columns, y + m * columns, columns)
        m += count


cdef inline void _times(
    const cython.floating* a, Py_ssize_t rows, Py_ssize_t k, const cython.floating* panels,
    const cython.floating* start, Py_ssize_t start_row, cython.floating* y, Py_ssize_t columns,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(a)
    product(a, k, 1, rows, panels, nr, k * nr, k, y, columns, columns, start, start_row)


cdef void _pack_matrix(
    const cython.floating* W, Py_ssize_t k, Py_ssize_t columns, bint transposed, cython.floating* panels,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W (k, columns), or transposed from (columns, k), into panels; this thread's share of them."""
    cdef Py_ssize_t nr = panel_width(W), j, count = _up(columns, nr), width
    for j in range(count * me // team, count * (me + 1) // team):
        width = min(nr, columns - j * nr)
        if transposed:
            pack_panel_transposed(W + j * nr * k, k, k, width, panels + j * k * nr)
        else:
            pack_panel(W + j * nr, columns, k, width, panels + j * k * nr)


def add_outer(
    const cython.floating[:, ::1] a1, const cython.floating[:, ::1] a2, const cython.floating[:, ::1] d,
    cython.floating[:, ::1] dW1, cython.floating[:, ::1] dW2, cython.floating[::1] db,
    cython.floating[::1] work, int num_threads,
):
    """dW1 += a1^T d, dW2 += a2^T d, db += the sum of d's rows; an empty factor or db is not wanted."""
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* x1 = &a1[0, 0] if a1.shape[0] > 0 else NULL
    cdef const cython.floating* x2 = &a2[0, 0] if a2.shape[0] > 0 else NULL
    cdef cython.floating* to1 = &dW1[0, 0] if a1.shape[0] > 0 else NULL
    cdef cython.floating* to2 = &dW2[0, 0] if a2.shape[0] > 0 else NULL
    cdef cython.floating* sums = &db[0] if db.shape[0] > 0 else NULL
    fits(area[cython.floating](d), 1)
    fits_term[cython.floating](a1, dW1, d.shape[0], d.shape[1])
    fits_term[cython.floating](a2, dW2, d.shape[0], d.shape[1])
    fits(db.shape[0], d.shape[1] if sums is not NULL else 0)
    fits(work.shape[0], outer_size(a1.shape[1], a2.shape[1], sizeof(cython.floating), num_threads))
    barrier[0] = barrier[8] = 0
    with nogil, parallel(num_threads=num_threads):
        _outer_member(threadid(), fd_team_size(), x1, a1.shape[1], x2, a2.shape[1], &d[0, 0], d.shape[0], d.shape[1],
                      to1, to2, sums, &work[0], barrier)


def outer_size(Py_ssize_t inputs1, Py_ssize_t inputs2, Py_ssize_t itemsize, int num_threads):
    """Elements of work space that `add_outer` wants: strips of the left factors, two panels a thread of the right."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE
    return OUTER_ROWS * (FD_MR * (_up(inputs1, FD_MR) + _up(inputs2, FD_MR)) + 2 * nr * num_threads)


cdef void _outer_member(
    Py_ssize_t me, Py_ssize_t team, const cython.floating* a1, Py_ssize_t k1, const cython.floating* a2,
    Py_ssize_t k2, const cython.floating* d, Py_ssize_t rows, Py_ssize_t columns, cython.floating* dW1,
    cython.floating* dW2, cython.floating* db, cython.floating* strips, int64_t* barrier,
) noexcept nogil:
    """Columns are split over the team; rows go in blocks, so sums do not depend on it."""
    cdef Py_ssize_t nr = panel_width(d), of_1 = _up(k1, FD_MR), of_2 = _up(k2, FD_MR), row = 0, count, i, j, q, r, v
    cdef Py_ssize_t width, end, of_d = _up(columns, nr), strip = OUTER_ROWS * FD_MR
    cdef cython.floating* strips2 = strips + of_1 * strip
    cdef cython.floating* panel
    cdef cython.floating* panels = strips2 + of_2 * strip + me * 2 * OUTER_ROWS * nr
    while row < rows:
        count = min(rows - row, OUTER_ROWS)
        for i in range((of_1 + of_2) * me // team, (of_1 + of_2) * (me + 1) // team):
            if i < of_1:
                pack_rows(a1 + row * k1 + i * FD_MR, k1, count, min(FD_MR, k1 - i * FD_MR), strips + i * strip)
            else:
                j = i - of_1
                pack_rows(a2 + row * k2 + j * FD_MR, k2, count, min(FD_MR, k2 - j * FD_MR), strips2 + j * strip)
        fd_barrier(barrier, team)
        end = of_d * (me + 1) // team
        for j in range(of_d * me // team, end, 2):  # neighbours, for the tile two panels wide
            for q in range(j, min(j + 2, end)):
                panel, width = panels + (q - j) * OUTER_ROWS * nr, min(nr, columns - q * nr)
                pack_panel(d + row * columns + q * nr, columns, count, width, panel)
                if db is not NULL:
                    for r in range(count):
                        for v in range(width):
                            db[q * nr + v] = db[q * nr + v] + panel[r * nr + v]
            width = min(min(2, end - j) * nr, columns - j * nr)
            _outer_panels(strips, k1, panels, count, dW1, columns, j * nr, width)
            _outer_panels(strips2, k2, panels, count, dW2, columns, j * nr, width)
        fd_barrier(barrier, team)  # the strips may be overwritten
        row += count


cdef inline void _outer_panels(
    const cython.floating* strips, Py_ssize_t k, const cython.floating* panels, Py_ssize_t rows,
    cython.floating* dW, Py_ssize_t columns, Py_ssize_t column, Py_ssize_t width,
) noexcept nogil:
    """Some columns of dW += a^T d, a in strips of MR columns and d in one panel or two."""
    cdef Py_ssize_t i, nr = panel_width(strips)
    cdef cython.floating* at
    for i in range(_up(k, FD_MR)):
        at = dW + i * FD_MR * columns + column
        product(strips + i * OUTER_ROWS * FD_MR, 1, FD_MR, min(FD_MR, k - i * FD_MR), panels, nr, OUTER_ROWS * nr,
                rows, at, columns, width, <const cython.floating*> at, columns)


# ---- The direction through the forward pass ---------------------------------------------------------------------


def tangent_walk(
    int cell, const cython.floating[:, ::1] W_h, const cython.floating[:, ::1] gates, Py_ssize_t value_gate,
    const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c, cython.floating[:, :, ::1] th,
    cython.floating[:, :, ::1] tc, cython.floating[:, :, ::1] ta, cython.floating[:, :, ::1] tax,
    cython.floating[::1] work, int num_threads,
):
    """th[1:], tc[1:] from th[0], tc[0] and ta, which comes in without th W_h and leaves as tangents of the gates.

    tax: for the GRU the products of the input, which stay apart; empty otherwise, as are c, tc without a cell state.
    """
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* v = &gates[0, 0] if gates.shape[0] > 0 else NULL
    cdef const cython.floating* cell_state = &c[0, 0, 0] if c.shape[0] > 0 else NULL
    cdef cython.floating* cell_tangent = &tc[0, 0, 0] if tc.shape[0] > 0 else NULL
    cdef cython.floating* of_input = &tax[0, 0, 0] if tax.shape[0] > 0 else NULL
    fits_walk[cython.floating](cell, W_h, gates, value_gate, h, c, ta, tax, work.shape[0])
    fits_states[cython.floating](cell, th, tc, (ta.shape[0] + 1) * ta.shape[1] * h.shape[2])
    barrier[0] = barrier[8] = 0
    with nogil, parallel(num_threads=num_threads):
        _tangent_member(cell, threadid(), fd_team_size(), ta.shape[0], ta.shape[1], h.shape[2], ta.shape[2],
                        &W_h[0, 0], v, gates.shape[1], value_gate, &h[0, 0, 0], cell_state, &th[0, 0, 0],
                        cell_tangent, &ta[0, 0, 0], of_input, &work[0], barrier)


cdef void _tangent_member(
    int cell, Py_ssize_t me, Py_ssize_t team, Py_ssize_t time, Py_ssize_t batch, Py_ssize_t hidden,
    Py_ssize_t wide, const cython.floating* W_h, const cython.floating* gates, Py_ssize_t values,
    Py_ssize_t value_gate, const cython.floating* h,
    const cython.floating* c, cython.floating* th, cython.floating* tc, cython.floating* ta,
    cython.floating* tax, cython.floating* panels, int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(ta), t, r, q, g, row, at, count, state = batch * hidden
    cdef Walk w = _share(cell, time, batch, hidden, wide, nr, sizeof(cython.floating), me, team)
    cdef cython.floating* now
    cdef uint64_t mode = fd_flush_subnormals()
    _pack_matrix(W_h, hidden, wide, False, panels, me, team)
    fd_barrier(barrier, team)
    for t in range(time):
        now = ta + (t * batch + w.row0) * wide
        if w.by_units:
            for g in range(wide // hidden):
                at = g * hidden + w.panel0 * nr
                product(<const cython.floating*> th + t * state, hidden, 1, batch,
                        <const cython.floating*> panels + at * hidden, nr, hidden * nr, hidden, now + at, wide,
                        (w.panel1 - w.panel0) * nr, <const cython.floating*> now + at, wide)
        else:
            product(<const cython.floating*> th + t * state + w.row0 * hidden, hidden, 1, w.row1 - w.row0,
                    <const cython.floating*> panels, nr, hidden * nr, hidden, now, wide, wide,
                    <const cython.floating*> now, wide)
        for r in range(w.row0, w.row1):
            for q in range(w.panel0, w.panel1):
                row = t * batch + r
                at = row * hidden + q * nr
                count = min(nr, hidden - q * nr)
                if cell == LSTM:
                    lstm_tangent(gates + row * values + q * nr, value_gate, hidden, c + at, c + state + at,
                                 <const cython.floating*> tc + at, ta + row * wide + q * nr, tc + state + at,
                                 th + state + at, count)
                elif cell == GRU:
                    gru_tangent(gates + row * values + q * nr, value_gate, hidden, h + at,
                                <const cython.floating*> th + at, ta + row * wide + q * nr,
                                tax + row * wide + q * nr, th + state + at, count)
                else:
                    rnn_tangent(cell == RNN_RELU, h + state + at,
                                <const cython.floating*> ta + row * wide + q * nr, th + state + at, count)
        if w.by_units:
            fd_barrier(barrier, team)  # th of all units, before any thread multiplies by it
    fd_restore_subnormals(mode)


# ---- The backward pass, keeping what its tangent needs ----------------------------------------------------------


def adjoint_walk(
    int cell, const cython.floating[:, ::1] W_h, const cython.floating[:, ::1] gates, Py_ssize_t value_gate,
    const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c,
    const cython.floating[:, :, ::1] dy, cython.floating[:, ::1] dh, cython.floating[:, ::1] dc,
    cython.floating[:, :, ::1] total, cython.floating[:, :, ::1] total_c, cython.floating[:, :, ::1] da,
    cython.floating[:, :, ::1] dax, cython.floating[::1] work, int num_threads,
):
    """da of every step, and the gradients by every h and c (`total`, `total_c`), which dy comes from above of.

    dh, dc: in, the gradients by the last states; out, by the first. dax: the GRU's gradient by the input's products.
    """
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* v = &gates[0, 0] if gates.shape[0] > 0 else NULL
    cdef const cython.floating* cell_state = &c[0, 0, 0] if c.shape[0] > 0 else NULL
    cdef cython.floating* all_c = &total_c[0, 0, 0] if total_c.shape[0] > 0 else NULL
    cdef cython.floating* of_input = &dax[0, 0, 0] if dax.shape[0] > 0 else NULL
    cdef Py_ssize_t states = da.shape[0] * da.shape[1] * h.shape[2]
    fits_walk[cython.floating](cell, W_h, gates, value_gate, h, c, da, dax, work.shape[0])
    fits_states[cython.floating](cell, total, total_c, states)
    fits(volume[cython.floating](dy), states)
    fits_last[cython.floating](dh, dc, da.shape[1] * h.shape[2])
    barrier[0] = barrier[8] = 0
    with nogil, parallel(num_threads=num_threads):
        _adjoint_member(cell, threadid(), fd_team_size(), da.shape[0], da.shape[1], h.shape[2], da.shape[2],
                        &W_h[0, 0], v, gates.shape[1], value_gate, &h[0, 0, 0], cell_state, &dy[0, 0, 0],
                        &dh[0, 0], &dc[0, 0], &total[0, 0, 0], all_c, &da[0, 0, 0], of_input, &work[0], barrier)


cdef void _adjoint_member(
    int cell, Py_ssize_t me, Py_ssize_t team, Py_ssize_t time, Py_ssize_t batch, Py_ssize_t hidden,
    Py_ssize_t wide, const cython.floating* W_h, const cython.floating* gates, Py_ssize_t values,
    Py_ssize_t value_gate, const cython.floating* h,
    const cython.floating* c, const cython.floating* dy, cython.floating* dh, cython.floating* dc,
    cython.floating* total, cython.floating* total_c, cython.floating* da, cython.floating* dax,
    cython.floating* panels, int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(da), t, r, q, row, at, own, count, state = batch * hidden
    cdef Walk w = _share(cell, time, batch, hidden, wide, nr, sizeof(cython.floating), me, team)
    cdef uint64_t mode = fd_flush_subnormals()
    _pack_matrix(W_h, wide, hidden, True, panels, me, team)
    fd_barrier(barrier, team)
    for t in range(time - 1, -1, -1):
        for r in range(w.row0, w.row1):
            for q in range(w.panel0, w.panel1):
                row = t * batch + r
                own = r * hidden + q * nr
                at = t * state + own
                count = min(nr, hidden - q * nr)
                if cell == LSTM:
                    lstm_adjoint(gates + row * values + q * nr, value_gate, hidden, c + at, c + state + at,
                                 dy + at, <const cython.floating*> dh + own, dc + own, total + at, total_c + at,
                                 da + row * wide + q * nr, count)
                elif cell == GRU:
                    gru_adjoint(gates + row * values + q * nr, value_gate, hidden, h + at, dy + at, dh + own,
                                total + at, da + row * wide + q * nr, dax + row * wide + q * nr, count)
                else:
                    rnn_adjoint(cell == RNN_RELU, h + state + at, dy + at, dh + own, total + at,
                                da + row * wide + q * nr, count)
        if w.by_units:
            fd_barrier(barrier, team)  # da of all units, before any thread multiplies by it
        _state_gradient(&w, da + t * batch * wide, panels, dh)
    fd_restore_subnormals(mode)


cdef inline void _state_gradient(const Walk* w, const cython.floating* da, const cython.floating* panels,
                                 cython.floating* dh) noexcept nogil:
    """dh of t - 1 = da W_h^T for own rows and units; the GRU adds it to what passes by, which is there."""
    cdef cython.floating* own = dh + w.row0 * w.hidden + w.panel0 * w.nr
    cdef const cython.floating* carried = NULL
    if w.cell == GRU:
        carried = own
    product(da + w.row0 * w.wide, w.wide, 1, w.row1 - w.row0, panels + w.panel0 * w.wide * w.nr, w.nr,
            w.wide * w.nr, w.wide, own, w.hidden, min(w.panel1 * w.nr, w.hidden) - w.panel0 * w.nr,
            carried, w.hidden)


# ---- The direction through the backward pass --------------------------------------------------------------------


def adjoint_tangent_walk(
    int cell, const cython.floating[:, ::1] W_h, const cython.floating[:, ::1] gates, Py_ssize_t value_gate,
    const cython.floating[:, :, ::1] ta, const cython.floating[:, :, ::1] tax,
    const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c,
    const cython.floating[:, :, ::1] th, const cython.floating[:, :, ::1] tc,
    const cython.floating[:, :, ::1] total, const cython.floating[:, :, ::1] total_c,
    const cython.floating[:, :, ::1] tdy, cython.floating[:, ::1] tdh, cython.floating[:, ::1] tdc,
    cython.floating[:, :, ::1] tda, cython.floating[:, :, ::1] tdax, cython.floating[::1] work, int num_threads,
):
    """tda of every step from what the two walks before it left; tdy has all that adds to tdh but tda W_h^T."""
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* v = &gates[0, 0] if gates.shape[0] > 0 else NULL
    cdef const cython.floating* cell_state = &c[0, 0, 0] if c.shape[0] > 0 else NULL
    cdef const cython.floating* cell_tangent = &tc[0, 0, 0] if tc.shape[0] > 0 else NULL
    cdef const cython.floating* all_c = &total_c[0, 0, 0] if total_c.shape[0] > 0 else NULL
    cdef const cython.floating* of_input = &tax[0, 0, 0] if tax.shape[0] > 0 else NULL
    cdef cython.floating* to_input = &tdax[0, 0, 0] if tdax.shape[0] > 0 else NULL
    cdef Py_ssize_t states = tda.shape[0] * tda.shape[1] * h.shape[2]
    fits_walk[cython.floating](cell, W_h, gates, value_gate, h, c, tda, tdax, work.shape[0])
    fits_walk[cython.floating](cell, W_h, gates, value_gate, th, tc, ta, tax, work.shape[0])
    fits(ta.shape[0], tda.shape[0])
    fits(-abs(ta.shape[1] - tda.shape[1]), 0)
    fits_states[cython.floating](cell, total, total_c, states)
    fits(volume[cython.floating](tdy), states)
    fits_last[cython.floating](tdh, tdc, tda.shape[1] * h.shape[2])
    barrier[0] = barrier[8] = 0
    with nogil, parallel(num_threads=num_threads):
        _adjoint_tangent_member(cell, threadid(), fd_team_size(), tda.shape[0], tda.shape[1], h.shape[2],
                                tda.shape[2], &W_h[0, 0], v, gates.shape[1], value_gate, &ta[0, 0, 0], of_input,
                                &h[0, 0, 0], cell_state,
                                &th[0, 0, 0], cell_tangent, &total[0, 0, 0], all_c, &tdy[0, 0, 0], &tdh[0, 0],
                                &tdc[0, 0], &tda[0, 0, 0], to_input, &work[0], barrier)


cdef void _adjoint_tangent_member(
    int cell, Py_ssize_t me, Py_ssize_t team, Py_ssize_t time, Py_ssize_t batch, Py_ssize_t hidden,
    Py_ssize_t wide, const cython.floating* W_h, const cython.floating* gates, Py_ssize_t values,
    Py_ssize_t value_gate, const cython.floating* ta,
    const cython.floating* tax, const cython.floating* h, const cython.floating* c, const cython.floating* th,
    const cython.floating* tc, const cython.floating* total, const cython.floating* total_c,
    const cython.floating* tdy, cython.floating* tdh, cython.floating* tdc, cython.floating* tda,
    cython.floating* tdax, cython.floating* panels, int64_t* barrier,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(tda), t, r, q, row, at, own, place, count, state = batch * hidden
    cdef Walk w = _share(cell, time, batch, hidden, wide, nr, sizeof(cython.floating), me, team)
    cdef uint64_t mode = fd_flush_subnormals()
    _pack_matrix(W_h, wide, hidden, True, panels, me, team)
    fd_barrier(barrier, team)
    for t in range(time - 1, -1, -1):
        for r in range(w.row0, w.row1):
            for q in range(w.panel0, w.panel1):
                row = t * batch + r
                own = r * hidden + q * nr
                at = t * state + own
                place = row * wide + q * nr
                count = min(nr, hidden - q * nr)
                if cell == LSTM:
                    lstm_adjoint_tangent(gates + row * values + q * nr, value_gate, ta + place, hidden, c + at,
                                         c + state + at, tc + at, tc + state + at, total + at, total_c + at, tdy + at,
                                         <const cython.floating*> tdh + own, tdc + own, tda + place, count)
                elif cell == GRU:
                    gru_adjoint_tangent(gates + row * values + q * nr, value_gate, ta + place, tax + place, hidden,
                                        h + at, th + at, total + at, tdy + at, tdh + own, tda + place, tdax + place,
                                        count)
                else:
                    rnn_adjoint_tangent(cell == RNN_RELU, h + state + at, th + state + at, total + at, tdy + at,
                                        tdh + own, tda + place, count)
        if w.by_units:
            fd_barrier(barrier, team)
        _state_gradient(&w, tda + t * batch * wide, panels, tdh)
    fd_restore_subnormals(mode)


# ---- Gradients of every sample ----------------------------------------------------------------------------------


def sample_products(
    const cython.floating[:, :, ::1] x, const cython.floating[:, :, ::1] da, cython.floating[:, ::1] out,
    Py_ssize_t start, bint add, cython.floating[:, ::1] work, int num_threads,
):
    """out[b, start:] (+)= sum over t of x[t, b]^T da[t, b], row-major (I, G); work: a panel (T, NR) a thread."""
    cdef Py_ssize_t b, samples = x.shape[1]
    cdef Py_ssize_t panel = packed_size(x.shape[0], 1, sizeof(cython.floating))
    fits_samples[cython.floating](x, da, out, start, work, panel, num_threads)
    for b in prange(samples, nogil=True, num_threads=num_threads, schedule="static"):
        _sample_product(&x[0, b, 0], &da[0, b, 0], x.shape[0], samples, x.shape[2], da.shape[2], add,
                        &work[threadid(), 0], &out[b, start])


cdef void _sample_product(
    const cython.floating* x, const cython.floating* da, Py_ssize_t time, Py_ssize_t samples, Py_ssize_t inputs,
    Py_ssize_t wide, bint add, cython.floating* panel, cython.floating* out,
) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(x), j, at
    cdef const cython.floating* sums = NULL
    if add:
        sums = out
    for j in range(_up(wide, nr)):
        at = j * nr
        pack_panel(da + at, samples * wide, time, min(nr, wide - at), panel)
        product(x, 1, samples * inputs, inputs, <const cython.floating*> panel, nr, 0, time, out + at, wide,
                min(nr, wide - at), offset(sums, at), wide)
