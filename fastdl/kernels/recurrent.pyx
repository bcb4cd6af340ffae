"""Recurrent layers: one walk over time, forward and backward, for cells that differ in gates and points.

Layout. A row of gates holds G gates of `padded` units each: H rounded up to whole panels of NR columns, so gate
g, panel q is column (g * panels + q) * NR, for pre-activations, weights and gradients alike. States are (T + 1,
B, H), slot 0 the initial state, so h[t] is what step t reads and h[t + 1] what it writes.

Threads. Either the batch rows are split over the team, and each thread walks through time on its own; or, when
rows are few or the recurrent weights outgrow one core's cache, the panels of units are, with a barrier a step.
Time goes in windows: a window's input products are done at once (many rows), then its steps.

Results do not depend on the team: see _tile.pxd for the products; sums over time and batch run over windows
and blocks whose size depends on the shape alone.
"""
cimport cython
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint64_t

from ._build cimport (
    FD_BARRIER_WORDS,
    FD_LEVEL,
    fd_barrier,
    fd_flush_subnormals,
    fd_restore_subnormals,
    fd_team_size,
)
from ._cells cimport lstm_point, lstm_point_backward
from ._tile cimport (
    dot,
    offset,
    FD_MR,
    FD_NR_DOUBLE,
    FD_NR_FLOAT,
    pack_panel,
    pack_panel_transposed,
    pack_rows,
    panel_width,
    product,
)

LEVEL = FD_LEVEL.decode()

cdef enum:
    FORWARD_ROWS = 128       # rows (time x batch) of a forward window: its gates stay in the second-level cache
    BACKWARD_ROWS = 256      # the same for backward, and the block of the sums over time and batch
    FEW_ROWS = 4             # up to so many rows in all, packing the weights would cost more than it saves
    CORE_CACHE = 384 * 1024  # bytes of recurrent weights that one thread can keep close

cdef struct Shape:
    Py_ssize_t time, batch, inputs, hidden, gates
    Py_ssize_t nr, panels, padded, wide   # panel width; panels, units and columns of a row of gates
    Py_ssize_t row                        # elements from one row of gates to the next
    bint packed                           # weights packed into panels, or read where they lie

cdef struct Share:                        # what one thread of the team owns
    Py_ssize_t row0, row1, panel0, panel1
    bint by_units


cdef Shape _shape(Py_ssize_t time, Py_ssize_t batch, Py_ssize_t inputs, Py_ssize_t hidden, Py_ssize_t gates,
                  Py_ssize_t nr) noexcept nogil:
    cdef Shape s
    s.time, s.batch, s.inputs, s.hidden, s.gates, s.nr = time, batch, inputs, hidden, gates, nr
    s.panels = (hidden + nr - 1) // nr
    s.padded = s.panels * nr
    s.wide = gates * s.padded
    s.row = s.wide
    # Rows a multiple of 2 KB apart compete for the same lines of the first-level cache; 5 lines more spread them.
    if s.wide // nr * 4 * FD_NR_FLOAT % 2048 == 0:
        s.row += 5 * 16 * nr // FD_NR_FLOAT
    s.packed = time * batch > FEW_ROWS or s.padded != hidden
    return s


cdef Share _share(const Shape* s, Py_ssize_t me, Py_ssize_t team, Py_ssize_t itemsize) noexcept nogil:
    cdef Share mine
    mine.by_units = team > 1 and s.panels >= team and (
        s.batch < 8 * team or s.hidden * s.wide * itemsize > CORE_CACHE)
    if mine.by_units:
        mine.row0, mine.row1 = 0, s.batch
        mine.panel0, mine.panel1 = s.panels * me // team, s.panels * (me + 1) // team
    else:
        mine.row0, mine.row1 = s.batch * me // team, s.batch * (me + 1) // team
        mine.panel0, mine.panel1 = 0, s.panels
    return mine


def sizes(Py_ssize_t time, Py_ssize_t batch, Py_ssize_t inputs, Py_ssize_t hidden, Py_ssize_t gates,
          Py_ssize_t itemsize, Py_ssize_t num_threads):
    """Elements to allocate: (columns of a row of gates, rows of an inference window, forward work, backward work)."""
    cdef Shape s = _shape(time, batch, inputs, hidden, gates, FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE)
    cdef Py_ssize_t nr = s.nr, strips = _strips(inputs) + _strips(hidden)
    cdef Py_ssize_t window = _steps(&s, BACKWARD_ROWS) * batch
    cdef Py_ssize_t input_panels = (inputs + nr - 1) // nr
    forward = s.wide if not s.packed else (inputs + hidden + 1) * s.wide
    backward = window * s.row
    if s.packed:
        backward += (input_panels * nr + s.padded) * s.wide + BACKWARD_ROWS * (FD_MR * strips + nr * num_threads)
    return s.row, _steps(&s, FORWARD_ROWS) * batch, forward, backward


cdef inline Py_ssize_t _strips(Py_ssize_t rows) noexcept nogil:
    return (rows + FD_MR - 1) // FD_MR


cdef inline Py_ssize_t _steps(const Shape* s, Py_ssize_t rows) noexcept nogil:
    """Time steps of a window of about `rows` rows."""
    return max(1, min(s.time, rows // max(s.batch, 1)))


# ---- Forward ------------------------------------------------------------------------------------------------


cdef void _pack_gates(const cython.floating* W, Py_ssize_t k, const Shape* s, cython.floating* panels,
                      Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """W[k, G * H] into panels (gate, panel) of k rows each; this thread's share of them."""
    cdef Py_ssize_t j, g, u, count = s.gates * s.panels
    for j in range(count * me // team, count * (me + 1) // team):
        g, u = j // s.panels, (j % s.panels) * s.nr
        pack_panel(W + g * s.hidden + u, s.gates * s.hidden, k, min(s.nr, s.hidden - u),
                   panels + j * k * s.nr)


cdef inline void _gate_product(
    const cython.floating* a, Py_ssize_t rows, Py_ssize_t k, const cython.floating* W, const Shape* s,
    Py_ssize_t panel0, Py_ssize_t panel1, cython.floating* gates, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    """gates[rows, own panels of every gate] = start + a[rows, k] @ W, packed or as it lies."""
    cdef Py_ssize_t g, column
    cdef Py_ssize_t b_k = s.nr if s.packed else s.wide
    cdef Py_ssize_t b_panel = k * s.nr if s.packed else s.nr
    for g in range(s.gates):
        column = g * s.padded + panel0 * s.nr
        product(a, k, 1, rows, W + (g * s.panels + panel0) * b_panel, b_k, b_panel, k,
                gates + column, s.row, (panel1 - panel0) * s.nr, start + column, start_row)


cdef void _forward_share(
    const Shape* s, const Share* mine, const cython.floating* x, const cython.floating* W_x,
    const cython.floating* W_h, const cython.floating* b, cython.floating* h, cython.floating* c,
    cython.floating* gates, bint keep, int64_t* barrier, Py_ssize_t team,
) noexcept nogil:
    """All time steps of one thread's share. keep: gates has every step's rows, else one window's."""
    cdef Py_ssize_t t0, t1 = 0, t, q, r, row, rows = mine.row1 - mine.row0, steps = _steps(s, FORWARD_ROWS)
    cdef Py_ssize_t state = s.batch * s.hidden
    cdef cython.floating* window
    cdef cython.floating* now
    while t1 < s.time:
        t0, t1 = t1, min(t1 + steps, s.time)
        window = gates + (t0 * s.batch * s.row if keep else 0)
        # The window's input products: with all rows owned they are one product, else one a step.
        if rows == s.batch:
            _gate_product(x + t0 * s.batch * s.inputs, (t1 - t0) * s.batch, s.inputs, W_x, s, mine.panel0,
                          mine.panel1, window, b, 0)
        else:
            for q in range(mine.panel0, mine.panel1):  # a panel of weights is used for all steps at once
                for t in range(t0, t1):
                    _gate_product(x + (t * s.batch + mine.row0) * s.inputs, rows, s.inputs, W_x, s, q, q + 1,
                                  window + ((t - t0) * s.batch + mine.row0) * s.row, b, 0)
        for t in range(t0, t1):
            now = window + ((t - t0) * s.batch + mine.row0) * s.row
            _gate_product(h + t * state + mine.row0 * s.hidden, rows, s.hidden, W_h, s, mine.panel0, mine.panel1, now,
                          now, s.row)
            for r in range(rows):
                for q in range(mine.panel0, mine.panel1):
                    row = t * state + (mine.row0 + r) * s.hidden + q * s.nr
                    lstm_point(now + r * s.row + q * s.nr, s.padded, c + row, c + state + row, h + state + row,
                               min(s.nr, s.hidden - q * s.nr))
            if mine.by_units:
                fd_barrier(barrier, team)


def lstm_forward(
    const cython.floating[:, :, ::1] x, const cython.floating[:, ::1] W_x, const cython.floating[:, ::1] W_h,
    const cython.floating[::1] b, cython.floating[:, :, ::1] h, cython.floating[:, :, ::1] c,
    cython.floating[:, ::1] gates, cython.floating[::1] work, bint keep, int num_threads,
):
    """h[1:], c[1:] and the gate values of every step (keep) from h[0], c[0]; `work` as `sizes` says."""
    cdef Shape s = _shape(x.shape[0], x.shape[1], x.shape[2], W_h.shape[0], 4, panel_width(&work[0]))
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    if num_threads == 1:
        with nogil:
            _forward_member(&s, 0, 1, &x[0, 0, 0], &W_x[0, 0], &W_h[0, 0], &b[0], &h[0, 0, 0], &c[0, 0, 0],
                            &gates[0, 0], keep, &work[0], barrier)
        return
    with nogil, parallel(num_threads=num_threads):
        _forward_member(&s, threadid(), fd_team_size(), &x[0, 0, 0], &W_x[0, 0], &W_h[0, 0], &b[0],
                        &h[0, 0, 0], &c[0, 0, 0], &gates[0, 0], keep, &work[0], barrier)


cdef void _forward_member(
    const Shape* s, Py_ssize_t me, Py_ssize_t team, const cython.floating* x, const cython.floating* W_x,
    const cython.floating* W_h, const cython.floating* b, cython.floating* h, cython.floating* c,
    cython.floating* gates, bint keep, cython.floating* work, int64_t* barrier,
) noexcept nogil:
    """What each thread of the team does: pack its part of the weights, then walk its share."""
    cdef Share mine = _share(s, me, team, sizeof(cython.floating))
    cdef cython.floating* packed_h = work
    cdef cython.floating* packed_x = packed_h + s.hidden * s.wide
    cdef cython.floating* packed_b = packed_x + s.inputs * s.wide
    cdef uint64_t mode = fd_flush_subnormals()
    if s.packed:
        _pack_gates(W_h, s.hidden, s, packed_h, me, team)
        _pack_gates(W_x, s.inputs, s, packed_x, me, team)
        if me == 0:
            _pack_bias(b, s, packed_b)
        fd_barrier(barrier, team)
        W_h, W_x, b = packed_h, packed_x, packed_b
    _forward_share(s, &mine, x, W_x, W_h, b, h, c, gates, keep, barrier, team)
    fd_restore_subnormals(mode)


cdef void _pack_bias(const cython.floating* b, const Shape* s, cython.floating* packed) noexcept nogil:
    cdef Py_ssize_t g, u
    for g in range(s.gates):
        for u in range(s.padded):
            packed[g * s.padded + u] = b[g * s.hidden + u] if u < s.hidden else 0


# ---- Backward -----------------------------------------------------------------------------------------------


cdef void _pack_gates_transposed(const cython.floating* W, Py_ssize_t k, const Shape* s,
                                 cython.floating* panels, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """W[k, G * H] transposed, into panels over k of `wide` rows each; this thread's share of them."""
    cdef Py_ssize_t j, g, u, width, count = (k + s.nr - 1) // s.nr
    cdef cython.floating* panel
    # A unit of work is one gate of one panel, so that few panels still occupy the team.
    for j in range(count * s.gates * me // team, count * s.gates * (me + 1) // team):
        g, width = j % s.gates, min(s.nr, k - (j // s.gates) * s.nr)
        panel = panels + (j // s.gates) * s.wide * s.nr + g * s.padded * s.nr
        pack_panel_transposed(W + (j // s.gates) * s.nr * s.gates * s.hidden + g * s.hidden,
                              s.gates * s.hidden, s.hidden, width, panel)
        for u in range(s.hidden * s.nr, s.padded * s.nr):
            panel[u] = 0


cdef void _transposed_product(
    const cython.floating* da, Py_ssize_t rows, const cython.floating* W, const Shape* s, Py_ssize_t panel0,
    Py_ssize_t panel1, Py_ssize_t k, cython.floating* out,
) noexcept nogil:
    """out[rows, k] = da[rows, wide] @ W[k, wide]^T, the columns of panels panel0 to panel1 of it.

    W: its transpose in panels; or, not packed and for a few rows, as it lies.
    """
    cdef Py_ssize_t r, i
    if s.packed:
        product(da, s.row, 1, rows, W + panel0 * s.wide * s.nr, s.nr, s.wide * s.nr, s.wide,
                out + panel0 * s.nr, k, min(panel1 * s.nr, k) - panel0 * s.nr, <const cython.floating*> NULL, 0)
        return
    for r in range(rows):
        for i in range(k):
            out[r * k + i] = dot(da + r * s.row, W + i * s.wide, s.wide)


cdef void _backward_window(
    const Shape* s, const Share* mine, Py_ssize_t t0, Py_ssize_t t1, const cython.floating* dh,
    const cython.floating* dc_above, const cython.floating* W_h, const cython.floating* c,
    const cython.floating* gates, cython.floating* da, cython.floating* dh0, cython.floating* dc0,
    int64_t* barrier, Py_ssize_t team,
) noexcept nogil:
    """Steps t1 - 1 down to t0 of one thread's share: da of the window; dh0, dc0 become those before t0.

    W_h: its transpose in panels, or W_h as it lies when not packed.
    """
    cdef Py_ssize_t t, q, r, row, at, rows = mine.row1 - mine.row0, state = s.batch * s.hidden
    for t in range(t1 - 1, t0 - 1, -1):
        for r in range(mine.row0, mine.row1):
            for q in range(mine.panel0, mine.panel1):
                row = r * s.hidden + q * s.nr
                at = t * state + row
                lstm_point_backward(
                    gates + (t * s.batch + r) * s.row + q * s.nr, s.padded, c + at, c + state + at, dh + at,
                    <const cython.floating*> dh0 + row, offset(dc_above, at),
                    dc0 + row, da + ((t - t0) * s.batch + r) * s.row + q * s.nr,
                    min(s.nr, s.hidden - q * s.nr))
        if mine.by_units:
            fd_barrier(barrier, team)  # da of all units, before any thread multiplies by it
        _transposed_product(da + ((t - t0) * s.batch + mine.row0) * s.row, rows, W_h, s, mine.panel0,
                            mine.panel1, s.hidden, dh0 + mine.row0 * s.hidden)


cdef void _weight_products(
    const Shape* s, const cython.floating* rows_x, const cython.floating* rows_h, const cython.floating* da,
    Py_ssize_t rows, bint add, cython.floating* dW_x, cython.floating* dW_h, cython.floating* db,
    cython.floating* strips, cython.floating* panel, int64_t* barrier, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """dW_x (+)= x^T da, dW_h (+)= h^T da, db (+)= sum da over at most BACKWARD_ROWS rows; columns are split."""
    cdef Py_ssize_t i, j, g, u, r, width, wide = s.gates * s.hidden
    cdef Py_ssize_t of_x = _strips(s.inputs), both = of_x + _strips(s.hidden), strip = BACKWARD_ROWS * FD_MR
    cdef const cython.floating* columns
    cdef const cython.floating* start_x = NULL
    cdef const cython.floating* start_h = NULL
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef int v, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if add:
        start_x, start_h = dW_x, dW_h
    if s.packed:
        # x and h, transposed into strips of MR rows: every thread packs some, all use them all.
        for i in range(both * me // team, both * (me + 1) // team):
            if i < of_x:
                pack_rows(rows_x + i * FD_MR, s.inputs, rows, min(FD_MR, s.inputs - i * FD_MR),
                          strips + i * strip)
            else:
                u = (i - of_x) * FD_MR
                pack_rows(rows_h + u, s.hidden, rows, min(FD_MR, s.hidden - u), strips + i * strip)
        fd_barrier(barrier, team)
    for j in range(s.gates * s.panels * me // team, s.gates * s.panels * (me + 1) // team):
        g, u = j // s.panels, (j % s.panels) * s.nr
        width = min(s.nr, s.hidden - u)
        columns = da + j * s.nr
        u += g * s.hidden
        for v in range(nr):
            sums[v] = 0
        for r in range(rows):
            for v in range(nr):
                sums[v] = sums[v] + columns[r * s.row + v]
        for v in range(width):
            db[u + v] = db[u + v] + sums[v] if add else sums[v]
        if s.packed:
            pack_panel(columns, s.row, rows, s.nr, panel)
            for i in range(of_x):
                product(<const cython.floating*> strips + i * strip, 1, FD_MR,
                        min(FD_MR, s.inputs - i * FD_MR), <const cython.floating*> panel, s.nr, 0, rows,
                        dW_x + i * FD_MR * wide + u, wide, width,
                        offset(start_x, i * FD_MR * wide + u), wide)
            for i in range(both - of_x):
                product(<const cython.floating*> strips + (of_x + i) * strip, 1, FD_MR,
                        min(FD_MR, s.hidden - i * FD_MR), <const cython.floating*> panel, s.nr, 0, rows,
                        dW_h + i * FD_MR * wide + u, wide, width,
                        offset(start_h, i * FD_MR * wide + u), wide)
        else:
            product(rows_x, 1, s.inputs, s.inputs, columns, s.row, 0, rows, dW_x + u, wide, width,
                    offset(start_x, u), wide)
            product(rows_h, 1, s.hidden, s.hidden, columns, s.row, 0, rows, dW_h + u, wide, width,
                    offset(start_h, u), wide)
    if s.packed:
        fd_barrier(barrier, team)  # the strips may be overwritten


def lstm_backward(
    const cython.floating[:, :, ::1] dh, const cython.floating[:, :, ::1] dc,
    const cython.floating[:, :, ::1] x, const cython.floating[:, ::1] W_x, const cython.floating[:, ::1] W_h,
    const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c,
    const cython.floating[:, ::1] gates, cython.floating[:, :, ::1] dx, cython.floating[:, ::1] dh0,
    cython.floating[:, ::1] dc0, cython.floating[:, ::1] dW_x, cython.floating[:, ::1] dW_h,
    cython.floating[::1] db, bint add, cython.floating[::1] work, int num_threads,
):
    """All gradients. dh0 comes in as zero and dc0 as the gradient of the last cell state; dc, of all of them, may be
    empty; so may dx, if nobody wants it. add: to the three weight gradients instead of overwriting them."""
    cdef Shape s = _shape(x.shape[0], x.shape[1], x.shape[2], W_h.shape[0], 4, panel_width(&work[0]))
    cdef int64_t barrier[FD_BARRIER_WORDS]
    cdef const cython.floating* dc_above = &dc[0, 0, 0] if dc.shape[0] > 0 else NULL
    cdef cython.floating* to_dx = &dx[0, 0, 0] if dx.shape[0] > 0 else NULL
    barrier[0] = barrier[8] = 0
    if num_threads == 1:
        with nogil:
            _backward_member(&s, 0, 1, &dh[0, 0, 0], dc_above, &x[0, 0, 0], &W_x[0, 0], &W_h[0, 0],
                             &h[0, 0, 0], &c[0, 0, 0], &gates[0, 0], to_dx, &dh0[0, 0], &dc0[0, 0],
                             &dW_x[0, 0], &dW_h[0, 0], &db[0], add, &work[0], barrier)
        return
    with nogil, parallel(num_threads=num_threads):
        _backward_member(&s, threadid(), fd_team_size(), &dh[0, 0, 0], dc_above, &x[0, 0, 0], &W_x[0, 0],
                         &W_h[0, 0], &h[0, 0, 0], &c[0, 0, 0], &gates[0, 0], to_dx, &dh0[0, 0], &dc0[0, 0],
                         &dW_x[0, 0], &dW_h[0, 0], &db[0], add, &work[0], barrier)


cdef void _backward_member(
    const Shape* s, Py_ssize_t me, Py_ssize_t team, const cython.floating* dh,
    const cython.floating* dc_above, const cython.floating* x, const cython.floating* W_x,
    const cython.floating* W_h, const cython.floating* h, const cython.floating* c,
    const cython.floating* gates, cython.floating* dx, cython.floating* dh0, cython.floating* dc0,
    cython.floating* dW_x, cython.floating* dW_h, cython.floating* db, bint add, cython.floating* work,
    int64_t* barrier,
) noexcept nogil:
    """What each thread of the team does: windows from the last to the first, steps, then products."""
    cdef Share mine = _share(s, me, team, sizeof(cython.floating))
    cdef Py_ssize_t t0, t1 = s.time, r, rows, block, row0, row1, steps = _steps(s, BACKWARD_ROWS)
    cdef Py_ssize_t input_panels = (s.inputs + s.nr - 1) // s.nr
    cdef cython.floating* da = work
    cdef cython.floating* packed_h = da + steps * s.batch * s.row
    cdef cython.floating* packed_x = packed_h + s.padded * s.wide
    cdef cython.floating* strips = packed_x + input_panels * s.nr * s.wide
    cdef cython.floating* panel = strips + BACKWARD_ROWS * (
        (_strips(s.inputs) + _strips(s.hidden)) * FD_MR + me * s.nr)
    cdef uint64_t mode = fd_flush_subnormals()
    if s.packed:
        _pack_gates_transposed(W_h, s.hidden, s, packed_h, me, team)
        if dx is not NULL:
            _pack_gates_transposed(W_x, s.inputs, s, packed_x, me, team)
        fd_barrier(barrier, team)
        W_h, W_x = packed_h, packed_x
    while t1 > 0:
        t0 = max(0, t1 - steps)
        _backward_window(s, &mine, t0, t1, dh, dc_above, W_h, c, gates, da, dh0, dc0, barrier, team)
        fd_barrier(barrier, team)  # the window's da is complete
        rows = (t1 - t0) * s.batch
        if dx is not NULL:
            row0, row1 = rows * me // team, rows * (me + 1) // team
            _transposed_product(da + row0 * s.row, row1 - row0, W_x, s, 0, input_panels, s.inputs,
                                dx + (t0 * s.batch + row0) * s.inputs)
        r = 0
        while r < rows:
            block = min(rows - r, BACKWARD_ROWS)
            _weight_products(s, x + (t0 * s.batch + r) * s.inputs, h + (t0 * s.batch + r) * s.hidden,
                             <const cython.floating*> da + r * s.row, block, add, dW_x, dW_h, db, strips, panel,
                             barrier, me, team)
            add = True
            r += block
        t1 = t0
    fd_restore_subnormals(mode)
