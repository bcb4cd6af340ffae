"""Recurrent layers forward: one walk over time for every cell (_walk.pxd) and its point functions (_cells.pxd).

Time goes in windows: a window's input products are done at once (many rows), then its steps. A step is one phase of
(product, points), or two where a second product needs the first's result: the projection, and the GRU with the reset
before the product.

Each thread keeps its sequences, or units, from the first step to the last: those that share out sequences wait for
nobody.

Results do not depend on the team: see _tile.pxd for the products.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from ._arrays cimport fits, may_read, reads, within, writes
from ._build cimport (
    FD_BARRIER_WORDS,
    FD_LEVEL,
    fd_barrier,
    fd_flush_subnormals,
    fd_restore_subnormals,
    fd_team_size,
)
from ._operands cimport Operands, take
from ._rows cimport emit_row, forward_row, normed_row, reset_row
from ._tile cimport offset, pack_panel, product
from ._walk cimport (
    after,
    before,
    clear_padding_rows,
    count,
    describe,
    flat,
    gate_product,
    GRU_BEFORE,
    pack_gates,
    pack_parameters,
    parameters_size,
    pitch,
    place,
    plain_blocks,
    Row,
    Share,
    share,
    side_by_side,
    start,
    up,
    Walk,
    window_end,
)

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    FORWARD_ROWS = 128  # rows of a window: its gates stay in the second-level cache


cdef struct Work:  # elements before each part of the work area
    Py_ssize_t W_x, W_r, parameters, operands, resets, plain, inputs, size


cdef inline Py_ssize_t _window_slots(const Walk* w, Py_ssize_t team) noexcept nogil:
    """Room for the rows that all threads of the team have in their windows of the moment, which need not be the same: a
    window has FORWARD_ROWS, or it is a single step. So a thread's begins with its rank times FORWARD_ROWS + row0."""
    return team * FORWARD_ROWS + w.batch


cdef Work _work(const Walk* w, Py_ssize_t team) noexcept nogil:
    cdef Work k
    cdef Py_ssize_t use = 1 if w.packed else 0
    k.W_x = use * w.outputs * flat(w, w.h_blocks)  # W_h is first
    k.W_r = k.W_x + use * w.inputs * flat(w, w.x_blocks)
    k.parameters = k.W_r + (w.hidden * up(w.outputs, w.nr) * w.nr if w.projected else 0)
    k.operands = k.parameters + parameters_size(w)
    k.resets = k.operands + 2 * w.batch * pitch(w.out_wide, w.lanes)
    k.plain = k.resets + (w.batch * pitch(w.wide, w.lanes) if w.cell == GRU_BEFORE else 0)
    k.inputs = k.plain + (w.batch * plain_blocks(w) * w.padded if w.normed else 0)
    k.size = k.inputs + (_window_slots(w, team) * w.inputs if w.places is not NULL else 0)
    return k


def sizes(int cell, bint normed, Py_ssize_t steps, Py_ssize_t batch, Py_ssize_t rows, Py_ssize_t inputs,
          Py_ssize_t hidden, Py_ssize_t projection, offsets, places, Py_ssize_t itemsize, Py_ssize_t num_threads):
    """Elements: of a row of gates; rows of gates that are needed if they are not kept; of `work`."""
    cdef Walk w
    describe(&w, cell, normed, steps, batch, rows, inputs, hidden, projection,
             <const int64_t*> may_read(offsets, cnp.NPY_INT64, steps + 1), itemsize)
    w.places = <const int64_t*> may_read(places, cnp.NPY_INT64, rows)
    return w.row, _window_slots(&w, num_threads), _work(&w, num_threads).size


cdef inline Row _row(
    const Walk* w, Py_ssize_t t, Py_ssize_t sequence, const cython.floating* peepholes,
    const cython.floating* state_mask, cython.floating* h, cython.floating* c, cython.floating* m,
) noexcept nogil:
    """A sequence's row of step t."""
    cdef Row row
    cdef Py_ssize_t old = before(w, t, sequence), new = after(w, t, sequence), here = start(w, t) + sequence
    row.at, row.out_at = place(w, here) * w.hidden, place(w, here) * w.outputs
    row.peepholes, row.state_mask = peepholes, offset(state_mask, sequence * w.outputs)
    row.h_before, row.h = h + old * w.outputs, h + new * w.outputs
    if c is not NULL:
        row.c_before, row.c = c + old * w.hidden, c + new * w.hidden
    if w.projected:
        row.value = m + here * w.hidden
    return row


cdef inline void _recurrent_products(
    const Walk* w, const Share* mine, Py_ssize_t rows, Py_ssize_t block0, Py_ssize_t block1, const cython.floating* a,
    Py_ssize_t a_row, const cython.floating* W_h, const cython.floating* parameters, cython.floating* now,
) noexcept nogil:
    """Blocks block0 to block1 of a step's gates: what is there of x, or a bias, or nothing, + a @ W_h."""
    cdef Py_ssize_t b = block0, end, column, from_row
    cdef const cython.floating* from_
    while b < block1:
        end = b + 1
        while side_by_side(w, mine) and end < block1 and (w.x_gate[end] >= 0) == (w.x_gate[b] >= 0):
            end += 1
        column = b * w.padded + mine.q0 * w.lanes
        if w.x_gate[b] >= 0:
            from_, from_row = now + column, w.row
        elif w.normed:
            from_, from_row = NULL, 0
        else:
            from_, from_row = parameters + column, 0
        gate_product(a, a_row, rows, w.outputs, W_h, w, w.h_first, b, w.h_gate[b], mine.q0,
                     mine.q1 + (end - b - 1) * w.wide, now, from_, from_row)
        b = end


cdef inline void _take_inputs(
    const Walk* w, const Share* mine, Py_ssize_t t0, Py_ssize_t t1, const cython.floating* x, cython.floating* window,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """x of a window's rows from their places: of this thread's own, one after the other, or its part of all."""
    cdef Py_ssize_t t, row, slot = 0, first = start(w, t0), rows = start(w, t1 - 1) + count(w, t1 - 1) - first
    cdef size_t size = w.inputs * sizeof(cython.floating)
    if mine.by_units:
        for slot in range(rows * me // team, rows * (me + 1) // team):
            memcpy(window + slot * w.inputs, x + w.places[first + slot] * w.inputs, size)
        return
    for t in range(t0, t1):
        for row in range(start(w, t) + mine.row0, start(w, t) + min(mine.row1, count(w, t))):
            memcpy(window + slot * w.inputs, x + w.places[row] * w.inputs, size)
            slot += 1


cdef inline void _input_products(
    const Walk* w, const Share* mine, Py_ssize_t t0, Py_ssize_t t1, const cython.floating* x,
    const cython.floating* W_x, const cython.floating* parameters, cython.floating* gates, bint keep,
) noexcept nogil:
    """Blocks of x of a window's gates, bias + x @ W_x: one product if all rows are owned, else one a step. x has all
    rows, or those that _take_inputs brought; gates has all (keep), or the window's own."""
    cdef Py_ssize_t b = 0, blocks = w.x_blocks if side_by_side(w, mine) else 1, q, t, row = start(w, t0), rows, slot
    cdef Py_ssize_t end = mine.q1 + (blocks - 1) * w.wide
    cdef const cython.floating* bias
    while b < w.x_blocks:
        bias = offset(parameters, b * w.padded)
        if w.normed:
            bias = NULL
        if mine.row1 - mine.row0 == w.batch:
            gate_product(x + (row if w.places is NULL else 0) * w.inputs, w.inputs,
                         start(w, t1 - 1) + count(w, t1 - 1) - row, w.inputs, W_x, w, 0, b, w.x_gate[b], mine.q0,
                         end, gates + (row if keep else 0) * w.row, offset(bias, mine.q0 * w.lanes), 0)
        else:
            for q in range(mine.q0, end, 4):  # two panels of weights are used for all steps at once
                slot = 0
                for t in range(t0, t1):
                    row, rows = start(w, t) + mine.row0, min(mine.row1, count(w, t)) - mine.row0
                    if rows > 0:
                        gate_product(x + (row if w.places is NULL else slot) * w.inputs, w.inputs, rows, w.inputs, W_x,
                                     w, 0, b, w.x_gate[b], q, min(q + 4, end), gates + (row if keep else slot) * w.row,
                                     offset(bias, q * w.lanes), 0)
                        slot += rows
        b += blocks


cdef inline void _normed_rows(
    const Walk* w, Py_ssize_t rows, Py_ssize_t gate0, Py_ssize_t gate1, cython.floating* now,
    const cython.floating* parameters, cython.floating* plain,
) noexcept nogil:
    """Norms gates gate0 to gate1 of a step's rows and writes the plain rows from them."""
    cdef Py_ssize_t r
    for r in range(rows):
        normed_row(w, now + r * w.row, parameters, gate0, gate1, plain + r * plain_blocks(w) * w.padded)


cdef void _walk(
    const Walk* w, Py_ssize_t me, const cython.floating* x, const cython.floating* W_x,
    const cython.floating* W_h, const cython.floating* W_r, const cython.floating* parameters,
    const cython.floating* state_mask, cython.floating* h, cython.floating* c, cython.floating* m,
    cython.floating* gates, cython.floating* operands, cython.floating* resets, cython.floating* plain,
    cython.floating* inputs, bint keep, int64_t* barrier, Py_ssize_t team,
) noexcept nogil:
    """All time steps of one thread's share. keep: gates has every step's rows, else one window's."""
    cdef Py_ssize_t t0, t1 = 0, t, r, rows, row, slot, resets_row = pitch(w.wide, w.lanes), point_row = w.row
    cdef Py_ssize_t operand_row = pitch(w.out_wide, w.lanes)
    cdef Py_ssize_t first = 2 if w.cell == GRU_BEFORE else w.h_blocks  # blocks of h in the first phase
    cdef Share mine = share(w, 0, w.steps, me, team, sizeof(cython.floating))
    cdef Py_ssize_t own = 0 if mine.by_units else me * FORWARD_ROWS + mine.row0
    cdef Row one
    cdef cython.floating* now
    cdef cython.floating* point
    cdef const cython.floating* peepholes = parameters + plain_blocks(w) * w.padded
    cdef const cython.floating* read
    cdef cython.floating* write
    if w.normed:
        point_row = plain_blocks(w) * w.padded
    while t1 < w.steps:
        t0 = t1
        t1 = window_end(w, t0, FORWARD_ROWS)
        slot = own
        if w.places is NULL:
            _input_products(w, &mine, t0, t1, x, W_x, parameters, gates if keep else gates + own * w.row, keep)
        else:
            _take_inputs(w, &mine, t0, t1, x, inputs + own * w.inputs, me, team)
            if mine.by_units:
                fd_barrier(barrier, team)
            _input_products(w, &mine, t0, t1, <const cython.floating*> inputs + own * w.inputs, W_x, parameters,
                            gates if keep else gates + own * w.row, keep)
        for t in range(t0, t1):
            rows = max(min(mine.row1, count(w, t)) - mine.row0, 0)
            row = start(w, t) + mine.row0
            now = gates + (row if keep else slot) * w.row
            slot += rows
            read = operands + ((t & 1) * w.batch + mine.row0) * operand_row
            write = operands + ((t + 1) & 1) * w.batch * operand_row
            point = plain + mine.row0 * point_row if w.normed else now
            _recurrent_products(w, &mine, rows, w.h_first, w.h_first + first, read, operand_row, W_h, parameters, now)
            if w.normed:
                _normed_rows(w, rows, 0, first, now, parameters, point)
            if w.cell == GRU_BEFORE:
                for r in range(rows):
                    one = _row(w, t, mine.row0 + r, peepholes, state_mask, h, c, m)
                    one.reset = resets + (mine.row0 + r) * resets_row
                    reset_row(w, &one, point + r * point_row, mine.q0, mine.q1)
                if mine.by_units:
                    fd_barrier(barrier, team)
                _recurrent_products(w, &mine, rows, w.h_first + 2, w.h_first + 3,
                                    <const cython.floating*> resets + mine.row0 * resets_row, resets_row, W_h,
                                    parameters, now)
                if w.normed:
                    _normed_rows(w, rows, 2, 3, now, parameters, point)
            for r in range(rows):
                one = _row(w, t, mine.row0 + r, peepholes, state_mask, h, c, m)
                one.operand = write + (mine.row0 + r) * operand_row
                forward_row(w, &one, point + r * point_row, mine.q0, mine.q1)
            if w.projected:
                if mine.by_units:
                    fd_barrier(barrier, team)
                product(<const cython.floating*> m + row * w.hidden, w.hidden, 1, rows,
                        W_r + mine.out_q0 * w.lanes * w.hidden, w.nr, w.hidden * w.nr, w.hidden,
                        write + mine.row0 * operand_row + mine.out_q0 * w.lanes, operand_row,
                        min(mine.out_q1 * w.lanes, w.outputs) - mine.out_q0 * w.lanes,
                        <const cython.floating*> NULL, 0)
                for r in range(rows):
                    one = _row(w, t, mine.row0 + r, peepholes, state_mask, h, c, m)
                    one.operand = write + (mine.row0 + r) * operand_row
                    emit_row(w, &one, <const cython.floating*> write + (mine.row0 + r) * operand_row, mine.out_q0,
                             mine.out_q1)
            if mine.by_units:
                fd_barrier(barrier, team)


cdef void _first_operand(const Walk* w, Py_ssize_t row0, Py_ssize_t row1, const cython.floating* h,
                         const cython.floating* state_mask, cython.floating* operand) noexcept nogil:
    """The initial h as the first step multiplies it."""
    cdef Py_ssize_t r, u, pitch_ = pitch(w.out_wide, w.lanes)
    for r in range(row0, row1):
        for u in range(w.outputs):
            operand[r * pitch_ + u] = h[r * w.outputs + u]
        if state_mask is not NULL:
            for u in range(w.outputs):
                operand[r * pitch_ + u] = operand[r * pitch_ + u] * state_mask[r * w.outputs + u]


cdef void _member(
    cython.floating* work, const Walk* w, const Operands* o, const void* h0, const void* c0, Py_ssize_t me,
    Py_ssize_t team, bint keep, bint all_c, int64_t* barrier,
) noexcept nogil:
    """What each thread of the team does: pack its part of the weights, then walk its share."""
    cdef Work at = _work(w, team)
    cdef Py_ssize_t q, panels = up(w.outputs, w.nr), row0 = w.batch * me // team, row1 = w.batch * (me + 1) // team
    cdef const cython.floating* W_x = <const cython.floating*> o.W_x
    cdef const cython.floating* W_h = <const cython.floating*> o.W_h
    cdef const cython.floating* W_r = <const cython.floating*> o.W_r
    cdef const cython.floating* mask = <const cython.floating*> o.state_mask
    cdef cython.floating* h = <cython.floating*> o.h
    cdef cython.floating* c = <cython.floating*> o.c
    cdef uint64_t mode = fd_flush_subnormals()
    if w.packed:
        pack_gates(W_h, w.outputs, w, w.h_first, w.h_blocks, w.h_gate, work, me, team)
        pack_gates(W_x, w.inputs, w, 0, w.x_blocks, w.x_gate, work + at.W_x, me, team)
        W_h, W_x = work, work + at.W_x
    if w.projected:
        for q in range(panels * me // team, panels * (me + 1) // team):
            pack_panel(W_r + q * w.nr, w.outputs, w.hidden, min(w.nr, w.outputs - q * w.nr),
                       work + at.W_r + q * w.nr * w.hidden)
    if me == 0:
        pack_parameters(<const cython.floating*> o.b, <const cython.floating*> o.peepholes,
                        <const cython.floating*> o.gains, w, work + at.parameters)
    _begin(h, <const cython.floating*> h0, row0, row1, w.outputs)
    clear_padding_rows(w, h + w.batch * w.outputs, w.outputs, me, team)
    if c is not NULL:
        _begin(c, <const cython.floating*> c0, row0, row1, w.hidden)
    if all_c:
        clear_padding_rows(w, c + w.batch * w.hidden, w.hidden, me, team)
    _first_operand(w, row0, row1, <const cython.floating*> h, mask, work + at.operands)
    fd_barrier(barrier, team)
    _walk(w, me, <const cython.floating*> o.x, W_x, W_h, <const cython.floating*> work + at.W_r,
          <const cython.floating*> work + at.parameters, mask, h, c, <cython.floating*> o.m, <cython.floating*> o.gates,
          work + at.operands, work + at.resets, work + at.plain, work + at.inputs, keep, barrier, team)
    fd_restore_subnormals(mode)


cdef inline void _begin(cython.floating* states, const cython.floating* initial, Py_ssize_t row0, Py_ssize_t row1,
                        Py_ssize_t width) noexcept nogil:
    memcpy(states + row0 * width, initial + row0 * width, (row1 - row0) * width * sizeof(cython.floating))


cdef void _run(cython.floating* work, const Walk* w, const Operands* o, const void* h0, const void* c0, bint keep,
               bint all_c, int num_threads) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    if num_threads == 1:
        _member(work, w, o, h0, c0, 0, 1, keep, all_c, barrier)
        return
    with parallel(num_threads=num_threads):
        _member(work, w, o, h0, c0, threadid(), fd_team_size(), keep, all_c, barrier)


def forward(
    int cell, Py_ssize_t batch, offsets, places, x, W_x, W_h, b, h0, c0, h, c, gates, work, bint keep, bint all_c,
    int num_threads, W_r, m, peepholes, gains, state_mask, double epsilon, double clip, double cell_clip, candidate,
    double scale, zone_h, double rate_h, zone_c, double rate_c,
):
    """h and c, (batch + rows of x, ...), which begin with h0 and c0, and the gate values of every step (keep). all_c:
    whether c, too, is to be zero where there is padding.

    offsets, places: as `lay_out` makes them, or None. None stands for every array that the cell or its options do not
    have. `work`, rows of gates: as `sizes` says.
    """
    cdef Walk w
    cdef Operands o
    take(&w, &o, cell, batch, offsets, places, x, W_x, W_h, b, h, c, W_r, m, peepholes, gains, state_mask,
         epsilon, clip, cell_clip, candidate, scale, zone_h, rate_h, zone_c, rate_c)
    fits(num_threads, 1)
    cdef const void* h0_ = reads(h0, o.kind, batch * w.outputs)
    cdef const void* c0_ = reads(c0, o.kind, batch * w.hidden) if o.c is not NULL else NULL
    o.gates = writes(gates, o.kind, (w.rows if keep else _window_slots(&w, num_threads)) * w.row)
    o.work = writes(work, o.kind, _work(&w, num_threads).size)
    fits(o.c is not NULL, all_c)
    with nogil:
        if o.kind == cnp.NPY_FLOAT:
            _run(<float*> o.work, &w, &o, h0_, c0_, keep, all_c, num_threads)
        else:
            _run(<double*> o.work, &w, &o, h0_, c0_, keep, all_c, num_threads)


def lay_out(const int64_t[::1] lengths, const int64_t[::1] order, Py_ssize_t steps, bint backwards,
            int64_t[::1] offsets, int64_t[::1] places):
    """The walk over a ragged batch of places.size / lengths.size padded steps, of which `steps` have any rows.

    order: the sequences by falling length. offsets: the first row of every step, and their number; places: where the
    rows lie in the padded batch, time and sequence flattened, then where padding does. backwards: from each sequence's
    true end.
    """
    cdef Py_ssize_t batch = order.shape[0], t, r, rows = batch, i = 0
    fits(batch, 1)
    fits(lengths.shape[0], batch)
    fits(offsets.shape[0], steps + 1)
    within(&order[0], batch, batch)
    within(&lengths[0], batch, places.shape[0] // batch + 1)
    for t in range(steps):
        offsets[t] = i
        while rows > 0 and lengths[order[rows - 1]] <= t:
            rows -= 1
        for r in range(rows):
            places[i] = (lengths[order[r]] - 1 - t if backwards else t) * batch + order[r]
            i += 1
    offsets[steps] = i
    for t in range(places.shape[0] // batch):
        for r in range(batch):
            if lengths[r] <= t:
                places[i] = t * batch + r
                i += 1
