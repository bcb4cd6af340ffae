"""Recurrent layers backward through time: windows from the last to the first, their steps, then their products.

A step is the mirror of forward's: the gradient by h is split (absorb), goes back through the projection, the point
functions and the norm into da, the gradient by the gates' products, and through W_h to the step before. The window's
da then gives dx and the gradients of the parameters, summed over blocks of at most BLOCK_ROWS rows whose bounds depend
on the shape alone, each column by one thread: so the team changes no bit.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from ._arrays cimport fits, may_read, may_write, reads, writes
from ._build cimport (
    FD_BARRIER_WORDS,
    FD_LEVEL,
    fd_barrier,
    fd_flush_subnormals,
    fd_restore_subnormals,
    fd_team_size,
)
from ._operands cimport Operands, take
from ._rows cimport absorb_row, backward_row, normed_backward_row, plain_row, reset_backward_row
from ._sums cimport gain_sums, pack_inputs, pack_states, parameter_sums, weight_products
from ._tile cimport FD_MR, offset, pack_panel, pack_panel_transposed, pack_rows, product
from ._walk cimport (
    after,
    before,
    BLOCK_ROWS,
    carries,
    clear_padding_rows,
    count,
    describe,
    GRU_BEFORE,
    pack_gates_transposed,
    pack_parameters,
    parameters_size,
    place,
    plain_blocks,
    Row,
    Share,
    share,
    start,
    strips,
    transposed_product,
    up,
    Walk,
    window_begin,
    window_rows,
)

cnp.import_array()
LEVEL = FD_LEVEL.decode()


cdef struct Work:  # elements before each part of the work area; the first is the transpose of W_h
    Py_ssize_t W_x, W_r, parameters, da, plain, dout, dm, drh, rh, fresh, part, strips_h, strips_rh, strips_m, members
    Py_ssize_t strips_x, dx, member, size


cdef inline Py_ssize_t _window(const Walk* w) noexcept nogil:
    """Rows of a window: its gradients stay in the second-level cache, of which layer norm takes twice as much a row."""
    return BLOCK_ROWS // 2 if w.normed else BLOCK_ROWS


cdef Work _work(const Walk* w, Py_ssize_t team) noexcept nogil:
    cdef Work k
    cdef Py_ssize_t use = 1 if w.packed else 0, window = window_rows(w, _window(w)), strip = BLOCK_ROWS * FD_MR
    cdef bint reset = w.cell == GRU_BEFORE
    k.W_x = use * up(w.outputs, w.nr) * w.nr * w.h_blocks * w.padded
    k.W_r = k.W_x + use * up(w.inputs, w.nr) * w.nr * w.x_blocks * w.padded
    k.parameters = k.W_r + (w.outputs * up(w.hidden, w.nr) * w.nr if w.projected else 0)
    k.da = k.parameters + parameters_size(w)
    k.plain = k.da + window * w.row                                               # window: gradients of plain rows
    k.dout = k.plain + (window * plain_blocks(w) * w.padded if w.normed else 0)   # window: of h before projection
    k.dm = k.dout + (window * w.out_padded if w.projected else 0)                 # step: of what is projected
    k.drh = k.dm + (w.batch * w.padded if w.projected else 0)                     # step: of r h
    k.rh = k.drh + (w.batch * w.padded if reset else 0)                           # window: r h
    k.fresh = k.rh + (window * w.padded if reset else 0)                          # window: c before zoneout
    k.part = k.fresh + (window * w.padded if w.peepholes else 0)                  # step: da W_h^T before the mask
    k.strips_x = k.part + (w.batch * w.out_padded)
    k.strips_h = k.strips_x + strip * strips(w.inputs)
    k.strips_rh = k.strips_h + strip * strips(w.outputs)
    k.strips_m = k.strips_rh + (strip * strips(w.hidden) if reset else 0)
    k.dx = k.strips_m + (strip * strips(w.hidden) if w.projected else 0)          # window: dx before it is padded
    k.members = k.dx + (window * w.inputs if w.places is not NULL else 0)
    k.member = 2 * BLOCK_ROWS * w.nr + (plain_blocks(w) + 2) * w.padded           # panels; a plain row; r h, and c
    k.size = k.members + team * k.member
    return k


def sizes(int cell, bint normed, bint peepholes, Py_ssize_t steps, Py_ssize_t batch, Py_ssize_t rows,
          Py_ssize_t inputs, Py_ssize_t hidden, Py_ssize_t projection, offsets, places, Py_ssize_t itemsize,
          Py_ssize_t num_threads):
    """Elements of `work`."""
    cdef Walk w
    describe(&w, cell, normed, steps, batch, rows, inputs, hidden, projection,
             <const int64_t*> may_read(offsets, cnp.NPY_INT64, steps + 1), itemsize)
    w.peepholes, w.places = peepholes, <const int64_t*> may_read(places, cnp.NPY_INT64, rows)
    return _work(&w, num_threads).size


cdef inline Row _row(
    const Walk* w, Py_ssize_t t, Py_ssize_t sequence, const cython.floating* parameters,
    const cython.floating* state_mask, const cython.floating* h, const cython.floating* c,
) noexcept nogil:
    """A sequence's row of step t; its gradients are for `_gradients` to say."""
    cdef Row row
    cdef Py_ssize_t old = before(w, t, sequence), new = after(w, t, sequence), there = new - w.batch
    row.at, row.out_at = there * w.hidden, there * w.outputs
    row.peepholes = parameters + plain_blocks(w) * w.padded
    row.state_mask = offset(state_mask, sequence * w.outputs)
    row.h_before = h + old * w.outputs
    if c is not NULL:
        row.c_before, row.c = c + old * w.hidden, <void*> (c + new * w.hidden)
    return row


cdef inline void _gradients(
    const Walk* w, Row* row, Py_ssize_t sequence, const cython.floating* dy, const cython.floating* dc_above,
    cython.floating* dh, cython.floating* dc,
) noexcept nogil:
    row.dy, row.dc_above = dy + row.out_at, offset(dc_above, row.at)
    row.dh, row.dc, row.fresh = dh + sequence * w.outputs, NULL, NULL
    if dc is not NULL:
        row.dc = dc + sequence * w.hidden


cdef inline void _through_projection(
    const Walk* w, const Share* mine, Py_ssize_t t, Py_ssize_t rows, const cython.floating* dy,
    const cython.floating* W_r, cython.floating* dh, cython.floating* dout, cython.floating* dm, int64_t* barrier,
    Py_ssize_t team,
) noexcept nogil:
    """dout, the gradient with respect to the projected h before zoneout, and dm = dout @ W_r^T of this thread's
    units."""
    cdef Py_ssize_t r
    cdef Row row
    for r in range(rows):
        row.out_at = place(w, start(w, t) + mine.row0 + r) * w.outputs
        row.dy, row.dh = dy + row.out_at, dh + (mine.row0 + r) * w.outputs
        absorb_row(w, &row, dout + r * w.out_padded, mine.out_q0, mine.out_q1)
    if mine.by_units:
        fd_barrier(barrier, team)
    product(<const cython.floating*> dout, w.out_padded, 1, rows, W_r + mine.q0 * w.lanes * w.outputs, w.nr,
            w.outputs * w.nr, w.outputs, dm + mine.row0 * w.padded + mine.q0 * w.lanes, w.padded,
            (mine.q1 - mine.q0) * w.lanes, <const cython.floating*> NULL, 0)


cdef inline void _state_product(
    const Walk* w, const Share* mine, Py_ssize_t rows, const cython.floating* da, const cython.floating* W_h,
    const cython.floating* state_mask, cython.floating* part, cython.floating* dh,
) noexcept nogil:
    """dh = what passed the product by + (da @ W_h^T) * mask, of this thread's units."""
    cdef Py_ssize_t r, u, blocks = w.h_blocks - 1 if w.cell == GRU_BEFORE else w.h_blocks
    cdef const cython.floating* passed = NULL
    if carries(w):
        passed = dh
    if state_mask is NULL:
        transposed_product(da, rows, W_h, w, w.h_first, w.h_blocks, w.h_gate, w.h_first, w.h_first + blocks,
                           mine.out_q0, mine.out_q1, w.outputs, dh, w.outputs, passed)
        return
    transposed_product(da, rows, W_h, w, w.h_first, w.h_blocks, w.h_gate, w.h_first, w.h_first + blocks,
                       mine.out_q0, mine.out_q1, w.outputs, part, w.out_padded, <const cython.floating*> NULL)
    for r in range(rows):
        for u in range(mine.out_q0 * w.lanes, min(mine.out_q1 * w.lanes, w.outputs)):
            dh[r * w.outputs + u] = (0 if passed is NULL else dh[r * w.outputs + u]) + (
                part[r * w.out_padded + u] * state_mask[r * w.outputs + u])


cdef inline void _again(
    const Walk* w, Row* row, const cython.floating* normed, const cython.floating* parameters, cython.floating* plain,
) noexcept nogil:
    """A layer-normed row's gate values, and behind them what it would write beside them."""
    cdef void* c = row.c
    row.reset, row.c = plain + plain_blocks(w) * w.padded, plain + (plain_blocks(w) + 1) * w.padded
    plain_row(w, row, normed, parameters, plain)
    row.c = c


cdef void _step(
    const Walk* w, const Share* mine, const Work* at, Py_ssize_t t, Py_ssize_t t0, const cython.floating* dy,
    const cython.floating* dc_above, const cython.floating* W_h, const cython.floating* W_r,
    const cython.floating* state_mask, const cython.floating* h, const cython.floating* c,
    const cython.floating* gates, cython.floating* work, cython.floating* dh, cython.floating* dc, int64_t* barrier,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """Step t of the window that begins with t0: da of this thread's share; dh and dc become those of t - 1."""
    cdef Py_ssize_t r, sequence, rows = max(min(mine.row1, count(w, t)) - mine.row0, 0)
    cdef Py_ssize_t first = start(w, t) + mine.row0, wide = plain_blocks(w) * w.padded, slot = first - start(w, t0)
    cdef const cython.floating* parameters = work + at.parameters
    cdef cython.floating* da = work + at.da + slot * w.row
    cdef cython.floating* dm = work + at.dm
    cdef cython.floating* drh = work + at.drh + mine.row0 * w.padded
    cdef cython.floating* again = work + at.members + me * at.member + 2 * BLOCK_ROWS * w.nr
    cdef const cython.floating* values
    cdef cython.floating* point
    cdef Row row
    if w.projected:
        _through_projection(w, mine, t, rows, dy, W_r, dh, work + at.dout + slot * w.out_padded, dm, barrier, team)
    for r in range(rows):
        sequence = mine.row0 + r
        values, point = gates + (first + r) * w.row, da + r * w.row
        row = _row(w, t, sequence, parameters, state_mask, h, c)
        if w.normed:
            _again(w, &row, values, parameters, again)
            values, point = again, work + at.plain + (slot + r) * wide
        _gradients(w, &row, sequence, dy, dc_above, dh, dc)
        row.value = dm + sequence * w.padded
        if w.peepholes:
            row.fresh = work + at.fresh + (slot + r) * w.padded
        backward_row(w, &row, values, point, mine.q0, mine.q1)
        if w.normed:
            if w.cell == GRU_BEFORE:
                normed_backward_row(w, gates + (first + r) * w.row, <const cython.floating*> point, parameters,
                                    w.gates + 2, w.gates + 3, da + r * w.row)
            else:
                normed_backward_row(w, gates + (first + r) * w.row, <const cython.floating*> point, parameters, 0,
                                    w.blocks, da + r * w.row)
    if mine.by_units:
        fd_barrier(barrier, team)  # da of all units, before any thread multiplies by it
    if w.cell == GRU_BEFORE:
        transposed_product(<const cython.floating*> da, rows, W_h, w, w.h_first, w.h_blocks, w.h_gate, w.h_first + 2,
                           w.h_first + 3, mine.q0, mine.q1, w.hidden, drh, w.padded, <const cython.floating*> NULL)
        for r in range(rows):
            sequence = mine.row0 + r
            values, point = gates + (first + r) * w.row, da + r * w.row
            row = _row(w, t, sequence, parameters, state_mask, h, c)
            if w.normed:
                _again(w, &row, values, parameters, again)
                values, point = again, work + at.plain + (slot + r) * wide
            _gradients(w, &row, sequence, dy, dc_above, dh, dc)
            row.reset = work + at.rh + (slot + r) * w.padded
            reset_backward_row(w, &row, values, <const cython.floating*> drh + r * w.padded, point, mine.q0, mine.q1)
            if w.normed:
                normed_backward_row(w, gates + (first + r) * w.row, <const cython.floating*> point, parameters, 0,
                                    w.gates + 2, da + r * w.row)
        if mine.by_units:
            fd_barrier(barrier, team)
    _state_product(w, mine, rows, <const cython.floating*> da, W_h,
                   offset(state_mask, mine.row0 * w.outputs), work + at.part + mine.row0 * w.out_padded,
                   dh + mine.row0 * w.outputs)


cdef Py_ssize_t _column_share(const Walk* w, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """The first panel of gates of a part, so that all parts multiply as much: a block may be of x, of h, or of both."""
    cdef Py_ssize_t b, height, panels = up(w.wide, 2), wanted = panels * w.gates * (w.inputs + w.outputs) * part // parts
    for b in range(w.blocks):
        height = (w.inputs if w.x_gate[b] >= 0 else 0) + (w.outputs if w.h_gate[b] >= 0 else 0)
        if wanted < panels * height:
            return b * panels + wanted // height
        wanted -= panels * height
    return w.blocks * panels


cdef void _pack_strips(
    const Walk* w, const Work* at, Py_ssize_t t0, Py_ssize_t first, Py_ssize_t rows, const cython.floating* x,
    const cython.floating* state_mask, const cython.floating* h, const cython.floating* m, cython.floating* work,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """Rows `first` on, of step t0 or later ones, of x, h and what is projected, transposed into strips: every thread
    packs some, all use them."""
    cdef Py_ssize_t i, u, of_x = strips(w.inputs), of_h = of_x + strips(w.outputs), strip = BLOCK_ROWS * FD_MR
    cdef Py_ssize_t of_m = of_h + (strips(w.hidden) if w.projected else 0)
    for i in range(of_m * me // team, of_m * (me + 1) // team):
        if i < of_x:
            u = i * FD_MR
            pack_inputs(x + u, w, first, rows, min(FD_MR, w.inputs - u), work + at.strips_x + i * strip)
        elif i < of_h:
            pack_states(h, state_mask, w, t0, first, rows, (i - of_x) * FD_MR, work + at.strips_h + (i - of_x) * strip)
        else:
            u = (i - of_h) * FD_MR
            pack_rows(m + first * w.hidden + u, w.hidden, rows, min(FD_MR, w.hidden - u),
                      work + at.strips_m + (i - of_h) * strip)


cdef void _block(
    const Walk* w, const Work* at, Py_ssize_t t0, Py_ssize_t first, Py_ssize_t slot, Py_ssize_t rows,
    const cython.floating* c, const cython.floating* gates, cython.floating* work, cython.floating* dW_x,
    cython.floating* dW_h, cython.floating* db, cython.floating* dW_r, cython.floating* dpeepholes,
    cython.floating* dgains, bint add, int64_t* barrier, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """Gradients of the parameters from rows `first` on, which are `slot` on in the window, and packed into strips."""
    cdef Py_ssize_t i, j, b, u, end, beside, width, resets = strips(w.hidden), of_block = up(w.wide, 2)
    cdef Py_ssize_t wide = w.gates * w.hidden
    cdef Py_ssize_t plain_row = plain_blocks(w) * w.padded if w.normed else w.row
    cdef const cython.floating* da = work + at.da + slot * w.row
    cdef const cython.floating* plain = da
    cdef const cython.floating* rh = work + at.rh + slot * w.padded
    cdef const cython.floating* dout = work + at.dout + slot * w.out_padded
    cdef const cython.floating* states
    cdef cython.floating* panels = work + at.members + me * at.member
    if w.normed:
        plain = work + at.plain + slot * plain_row
    if w.cell == GRU_BEFORE:  # r h comes of the steps, not of forward
        for i in range(resets * me // team, resets * (me + 1) // team):
            u = i * FD_MR
            pack_rows(rh + u, w.padded, rows, min(FD_MR, w.hidden - u),
                      work + at.strips_rh + i * BLOCK_ROWS * FD_MR)
        fd_barrier(barrier, team)
    j, end = _column_share(w, me, team), _column_share(w, me + 1, team)
    while j < end:
        b, u = j // of_block, (j % of_block) * w.nr
        beside = 2 if j + 1 < end and (j + 1) // of_block == b else 1  # neighbours, for the tile two panels wide
        width = min(beside * w.nr, w.hidden - u)
        for i in range(beside):
            pack_panel(da + b * w.padded + u + i * w.nr, w.row, rows, min(w.nr, w.padded - u - i * w.nr),
                       panels + i * BLOCK_ROWS * w.nr)
        if w.x_gate[b] >= 0:
            weight_products(<const cython.floating*> work + at.strips_x, w.inputs, <const cython.floating*> panels,
                            rows, dW_x + w.x_gate[b] * w.hidden + u, wide, width, w.nr, add)
        if w.h_gate[b] >= 0:
            states = work + (at.strips_rh if w.cell == GRU_BEFORE and w.h_gate[b] == 2 else at.strips_h)
            weight_products(states, w.outputs, <const cython.floating*> panels, rows,
                            dW_h + w.h_gate[b] * w.hidden + u, wide, width, w.nr, add)
        j += beside
    if w.projected:
        for j in range(up(w.outputs, w.nr) * me // team, up(w.outputs, w.nr) * (me + 1) // team):
            pack_panel(dout + j * w.nr, w.out_padded, rows, min(w.nr, w.outputs - j * w.nr), panels)
            weight_products(<const cython.floating*> work + at.strips_m, w.hidden, <const cython.floating*> panels,
                            rows, dW_r + j * w.nr, w.outputs, min(w.nr, w.outputs - j * w.nr), w.nr, add)
    parameter_sums(w, plain, plain_row, rows, t0, first, c,
                   <const cython.floating*> work + at.fresh + slot * w.padded, db, dpeepholes, add, me, team)
    if w.normed:
        gain_sums(w, gates + first * w.row, plain, plain_row, rows, dgains, add, me, team)
    fd_barrier(barrier, team)  # the strips and da may be overwritten


cdef struct Gradients:  # where they are read and written; NULL for what is not there or not wanted
    const void* dy
    const void* dc_above
    void* dx
    void* dh
    void* dc
    void* dW_x
    void* dW_h
    void* db
    void* dW_r
    void* dpeepholes
    void* dgains


cdef void _member(
    cython.floating* work, const Walk* w, const Operands* o, const Gradients* d, Py_ssize_t me, Py_ssize_t team,
    bint add, int64_t* barrier,
) noexcept nogil:
    """What each thread of the team does: pack, then windows from the last to the first: steps, then products."""
    cdef Share mine
    cdef Work at = _work(w, team)
    cdef Py_ssize_t t, t0, t1 = w.steps, q, first, rows, block, row0, row1, x_wide = up(w.inputs, w.lanes)
    cdef const cython.floating* x = <const cython.floating*> o.x
    cdef const cython.floating* W_x = <const cython.floating*> o.W_x
    cdef const cython.floating* W_h = <const cython.floating*> o.W_h
    cdef const cython.floating* W_r = <const cython.floating*> o.W_r
    cdef const cython.floating* mask = <const cython.floating*> o.state_mask
    cdef const cython.floating* h = <const cython.floating*> o.h
    cdef const cython.floating* c = <const cython.floating*> o.c
    cdef const cython.floating* gates = <const cython.floating*> o.gates
    cdef cython.floating* dx = <cython.floating*> d.dx
    cdef cython.floating* dx_rows
    cdef uint64_t mode = fd_flush_subnormals()
    if w.packed:
        pack_gates_transposed(W_h, w.outputs, w, w.h_first, w.h_blocks, w.h_gate, work, me, team)
        if dx is not NULL:
            pack_gates_transposed(W_x, w.inputs, w, 0, w.x_blocks, w.x_gate, work + at.W_x, me, team)
        W_h, W_x = work, work + at.W_x
    if w.projected:
        for q in range(up(w.hidden, w.nr) * me // team, up(w.hidden, w.nr) * (me + 1) // team):
            pack_panel_transposed(W_r + q * w.nr * w.outputs, w.outputs, w.outputs, min(w.nr, w.hidden - q * w.nr),
                                  work + at.W_r + q * w.nr * w.outputs)
    if me == 0:
        pack_parameters(<const cython.floating*> o.b, <const cython.floating*> o.peepholes,
                        <const cython.floating*> o.gains, w, work + at.parameters)
    if dx is not NULL:
        clear_padding_rows(w, dx, w.inputs, me, team)
    fd_barrier(barrier, team)
    while t1 > 0:
        t0 = window_begin(w, t1, _window(w))
        mine = share(w, t0, t1, me, team, sizeof(cython.floating))
        for t in range(t1 - 1, t0 - 1, -1):
            _step(w, &mine, &at, t, t0, <const cython.floating*> d.dy, <const cython.floating*> d.dc_above, W_h,
                  <const cython.floating*> work + at.W_r, mask, h, c, gates, work, <cython.floating*> d.dh,
                  <cython.floating*> d.dc, barrier, me, team)
        first = start(w, t0)
        rows = start(w, t1 - 1) + count(w, t1 - 1) - first
        block = min(rows, BLOCK_ROWS)
        _pack_strips(w, &at, t0, first, block, x, mask, h, <const cython.floating*> o.m, work, me, team)
        fd_barrier(barrier, team)  # the window's da is complete, and the first strips
        if dx is not NULL:
            row0, row1 = rows * me // team, rows * (me + 1) // team
            dx_rows = (dx + first * w.inputs if w.places is NULL else work + at.dx) + row0 * w.inputs
            transposed_product(<const cython.floating*> work + at.da + row0 * w.row, row1 - row0, W_x, w, 0, w.x_blocks,
                               w.x_gate, 0, w.x_blocks, 0, x_wide, w.inputs, dx_rows, w.inputs,
                               <const cython.floating*> NULL)
            if w.places is not NULL:
                for q in range(row1 - row0):
                    memcpy(dx + w.places[first + row0 + q] * w.inputs, dx_rows + q * w.inputs,
                           w.inputs * sizeof(cython.floating))
        row0 = 0
        while row0 < rows:
            if row0 > 0:
                block = min(rows - row0, BLOCK_ROWS)
                _pack_strips(w, &at, t0, first + row0, block, x, mask, h, <const cython.floating*> o.m, work, me, team)
                fd_barrier(barrier, team)
            _block(w, &at, t0, first + row0, row0, block, c, gates, work, <cython.floating*> d.dW_x,
                   <cython.floating*> d.dW_h, <cython.floating*> d.db, <cython.floating*> d.dW_r,
                   <cython.floating*> d.dpeepholes, <cython.floating*> d.dgains, add, barrier, me, team)
            add = True
            row0 += block
        t1 = t0
    fd_restore_subnormals(mode)


cdef void _run(cython.floating* work, const Walk* w, const Operands* o, const Gradients* d, bint add,
               int num_threads) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    if num_threads == 1:
        _member(work, w, o, d, 0, 1, add, barrier)
        return
    with parallel(num_threads=num_threads):
        _member(work, w, o, d, threadid(), fd_team_size(), add, barrier)


def backward(
    int cell, Py_ssize_t batch, offsets, places, dy, dc_above, x, W_x, W_h, b, h, c, gates, dx, dh, dc, dW_x, dW_h, db,
    bint add, work, int num_threads, W_r, m, peepholes, gains, state_mask, double epsilon, double clip,
    double cell_clip, candidate, double scale, zone_h, double rate_h, zone_c, double rate_c, dW_r, dpeepholes, dgains,
):
    """All gradients, from dy, that of every h, and dc_above, that of every c, or None. dh and dc come in as those of
    each sequence's last states and leave as those of its first. None stands for what is not there or not wanted.
    add: to the gradients of the parameters, instead of overwriting them."""
    cdef Walk w
    cdef Operands o
    cdef Gradients d
    take(&w, &o, cell, batch, offsets, places, x, W_x, W_h, b, h, c, W_r, m, peepholes, gains, state_mask,
         epsilon, clip, cell_clip, candidate, scale, zone_h, rate_h, zone_c, rate_c)
    fits(num_threads, 1)
    cdef Py_ssize_t padded = w.rows + w.padding, width = w.gates * w.hidden
    cdef int kind = o.kind
    o.gates, o.work = writes(gates, kind, w.rows * w.row), writes(work, kind, _work(&w, num_threads).size)
    d.dy, d.dc_above = reads(dy, kind, padded * w.outputs), may_read(dc_above, kind, padded * w.hidden)
    d.dx, d.dh = may_write(dx, kind, padded * w.inputs), writes(dh, kind, batch * w.outputs)
    d.dc = NULL if o.c is NULL else writes(dc, kind, batch * w.hidden)
    d.dW_x, d.dW_h = writes(dW_x, kind, w.inputs * width), writes(dW_h, kind, w.outputs * width)
    d.db, d.dW_r, d.dpeepholes, d.dgains = writes(db, kind, plain_blocks(&w) * w.hidden), NULL, NULL, NULL
    if w.projected:
        d.dW_r = writes(dW_r, kind, w.hidden * w.outputs)
    if w.peepholes:
        d.dpeepholes = writes(dpeepholes, kind, 3 * w.hidden)
    if w.normed:
        d.dgains = writes(dgains, kind, 2 * width)
    with nogil:
        if o.kind == cnp.NPY_FLOAT:
            _run(<float*> o.work, &w, &o, &d, add, num_threads)
        else:
            _run(<double*> o.work, &w, &o, &d, add, num_threads)
