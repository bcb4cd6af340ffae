"""A recurrent layer forward: one walk over time for every cell.

Time goes in windows: a window's input products are done at once (many rows), then its steps. A step is one phase of
(product, points), or two where a second product needs the first's result: the projection, and the GRU with the reset
before the product.

Each thread keeps its sequences, or units, from the first step to the last: those that share out sequences wait for
nobody. Results do not depend on the team: see _tile.pxd for the products.
"""
cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from ..ground._build cimport fd_barrier, fd_flush_subnormals, fd_restore_subnormals
from ..product._tile cimport offset, pack_panel, product, strided
from ._call cimport Call, numbers
from ._pack cimport gate_product, pack_gates, pack_parameters, packed_size, parameters_size
from ._rows cimport emit_row, forward_row, normed_row, reset_row
from ._walk cimport (
    after, before, clear_padding_rows, count, pitch, place, plain_blocks, Range, Row, Share, share, side_by_side,
    start, up, Walk, window_end,
)


cdef enum:
    FORWARD_ROWS = 128  # rows of a window: its gates stay in the second-level cache

cdef struct ForwardWork:  # elements before each part of the work area
    Py_ssize_t W_x, W_r, parameters, operands, resets, plain, inputs, size

cdef struct Forward:      # what one thread of the team goes by
    const Walk* w
    const Call* k
    ForwardWork at
    Py_ssize_t me, team, own  # own: first row of its part of a window that is not kept
    Share mine


cdef inline Py_ssize_t window_slots(const Walk* w, Py_ssize_t team) noexcept nogil:
    """Room for the rows that all threads of the team have in their windows of the moment, which need not be the same: a
    window has FORWARD_ROWS, or it is a single step. So a thread's begins with its rank times FORWARD_ROWS + row0."""
    return team * FORWARD_ROWS + w.batch


cdef inline ForwardWork forward_work(const Walk* w, Py_ssize_t team) noexcept nogil:
    cdef ForwardWork at
    cdef Py_ssize_t use = 1 if w.packed else 0
    at.W_x = use * packed_size(w, &w.of_h)  # W_h is first
    at.W_r = at.W_x + use * packed_size(w, &w.of_x)
    at.parameters = at.W_r + (w.hidden * up(w.outputs, w.nr) * w.nr if w.projected else 0)
    at.operands = at.parameters + parameters_size(w)
    at.resets = at.operands + 2 * w.batch * w.of_h.row
    at.plain = at.resets + (w.batch * w.of_h.row if w.cell.late else 0)
    at.inputs = at.plain + (w.batch * plain_blocks(w) * w.padded if w.normed else 0)
    at.size = at.inputs + (window_slots(w, team) * w.inputs if w.places is not NULL else 0)
    return at


cdef inline void _set_row(
    cython.floating* work, const Forward* f, Py_ssize_t t, Py_ssize_t sequence, Row* row,
) noexcept nogil:
    """A sequence's row of step t. Filled where it lies: a copy of what has just been written waits for the writes."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t old = before(w, t, sequence), new = after(w, t, sequence), here = start(w, t) + sequence
    h, c = numbers(work, f.k.h), numbers(work, f.k.c)
    row.at, row.out_at = (new - w.batch) * w.hidden, (new - w.batch) * w.outputs
    row.peepholes = work + f.at.parameters + plain_blocks(w) * w.padded
    row.state_mask = offset(numbers(work, f.k.state_mask), sequence * w.outputs)
    row.h_before, row.h = h + old * w.outputs, h + new * w.outputs
    row.operand = _operand(work, f, t + 1) + sequence * w.of_h.row
    row.reset = work + f.at.resets + sequence * w.of_h.row
    if c is not NULL:
        row.c_before, row.c = c + old * w.beside, c + new * w.beside
    if w.projected:
        row.value = numbers(work, f.k.m) + here * w.hidden


cdef inline cython.floating* _operand(cython.floating* work, const Forward* f, Py_ssize_t t) noexcept nogil:
    """What step t multiplies by W_h: one of two in turn."""
    return work + f.at.operands + (t & 1) * f.w.batch * f.w.of_h.row


cdef inline const cython.floating* _input_weights(cython.floating* work, const Forward* f) noexcept nogil:
    if f.w.packed:
        return work + f.at.W_x
    return numbers(work, f.k.W_x)


cdef inline void _take_inputs(cython.floating* work, const Forward* f, Py_ssize_t t0, Py_ssize_t t1) noexcept nogil:
    """x of a window's rows from their places: of this thread's own, one after the other, or its part of all."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t t, row, slot = 0, first = start(w, t0), rows = start(w, t1 - 1) + count(w, t1 - 1) - first
    cdef size_t size = w.inputs * sizeof(cython.floating)
    x, window = numbers(work, f.k.x), work + f.at.inputs + f.own * w.inputs
    if f.mine.by_units:
        if w.of_h.blocks == 0:  # no step made the others wait till all had read the last window
            fd_barrier(f.k.barrier, f.team)
        for slot in range(rows * f.me // f.team, rows * (f.me + 1) // f.team):
            memcpy(window + slot * w.inputs, x + w.places[first + slot] * w.inputs, size)
        fd_barrier(f.k.barrier, f.team)
        return
    for t in range(t0, t1):
        for row in range(start(w, t) + f.mine.row0, start(w, t) + min(f.mine.row1, count(w, t))):
            memcpy(window + slot * w.inputs, x + w.places[row] * w.inputs, size)
            slot += 1


cdef inline void _input_products(cython.floating* work, const Forward* f, Py_ssize_t t0, Py_ssize_t t1) noexcept nogil:
    """Blocks of x of a window's gates, bias + x @ W_x: one product if all rows are owned, else one a step."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t b = 0, blocks = w.of_x.blocks if side_by_side(w, &f.mine) else 1, q, end
    cdef Range to
    while b < w.of_x.blocks:
        to.q0, end = b * w.wide + f.mine.q0, (b + blocks - 1) * w.wide + f.mine.q1
        if f.mine.row1 - f.mine.row0 == w.batch:
            to.q1 = end
            _window_product(work, f, t0, t1, to)
        else:
            for q in range(to.q0, end, 4):  # two panels of weights are used for all steps at once
                to.q0, to.q1 = q, min(q + 4, end)
                _step_products(work, f, t0, t1, to)
        b += blocks


cdef inline void _window_product(
    cython.floating* work, const Forward* f, Py_ssize_t t0, Py_ssize_t t1, Range to,
) noexcept nogil:
    """All rows of the window at once."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t first = start(w, t0), rows = start(w, t1 - 1) + count(w, t1 - 1) - first
    cdef const cython.floating* bias = work + f.at.parameters
    cdef const cython.floating* x = work + f.at.inputs + f.own * w.inputs
    if w.normed:
        bias = NULL
    if w.places is NULL:
        x = numbers(work, f.k.x) + first * w.inputs
    gate_product[cython.floating](w, &w.of_x, x, rows, _input_weights(work, f), to, _gates(work, f, first, 0), bias)


cdef inline void _step_products(
    cython.floating* work, const Forward* f, Py_ssize_t t0, Py_ssize_t t1, Range to,
) noexcept nogil:
    """This thread's rows, step by step."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t t, row, rows, slot = 0
    cdef const cython.floating* bias = work + f.at.parameters
    cdef const cython.floating* x
    if w.normed:
        bias = NULL
    for t in range(t0, t1):
        row, rows = start(w, t) + f.mine.row0, min(f.mine.row1, count(w, t)) - f.mine.row0
        if rows > 0:
            x = work + f.at.inputs + (f.own + slot) * w.inputs
            if w.places is NULL:
                x = numbers(work, f.k.x) + row * w.inputs
            gate_product[cython.floating](w, &w.of_x, x, rows, _input_weights(work, f), to, _gates(work, f, row, slot),
                                          bias)
            slot += rows


cdef inline cython.floating* _gates(
    cython.floating* work, const Forward* f, Py_ssize_t row, Py_ssize_t slot,
) noexcept nogil:
    """A row of gates where all are kept, or in its slot of the window."""
    return numbers(work, f.k.gates) + (row if f.k.keep else f.own + slot) * f.w.row


cdef inline void _recurrent_products(
    cython.floating* work, const Forward* f, Py_ssize_t rows, Py_ssize_t block0, Py_ssize_t block1,
    const cython.floating* a, cython.floating* now,
) noexcept nogil:
    """Blocks block0 to block1 of a step's gates: what is there of x, or a bias, or nothing, + a @ W_h."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t b = block0, end
    cdef const cython.floating* from_
    cdef const cython.floating* W_h = work
    cdef Range to
    if not w.packed:
        W_h = numbers(work, f.k.W_h)
    while b < block1:
        end = b + 1
        while side_by_side(w, &f.mine) and end < block1 and (w.of_x.gate[end] >= 0) == (w.of_x.gate[b] >= 0):
            end += 1
        if w.of_x.gate[b] >= 0:
            from_ = now
        elif w.normed:
            from_ = NULL
        else:
            from_ = work + f.at.parameters
        to.q0, to.q1 = b * w.wide + f.mine.q0, (end - 1) * w.wide + f.mine.q1
        gate_product[cython.floating](w, &w.of_h, a, rows, W_h, to, now, from_)
        b = end


cdef inline void _normed_rows(
    cython.floating* work, const Forward* f, Py_ssize_t rows, Py_ssize_t gate0, Py_ssize_t gate1, cython.floating* now,
    cython.floating* plain,
) noexcept nogil:
    """Norms gates gate0 to gate1 of a step's rows and writes the plain rows from them."""
    cdef Py_ssize_t r
    for r in range(rows):
        normed_row[cython.floating](f.w, now + r * f.w.row, work + f.at.parameters, gate0, gate1,
                                    plain + r * plain_blocks(f.w) * f.w.padded)


cdef inline void _first_phase(
    cython.floating* work, const Forward* f, Py_ssize_t t, Py_ssize_t rows, cython.floating* now,
    cython.floating* point,
) noexcept nogil:
    """The points of the first phase, r, z and r h_{t-1} of a GRU with the reset before the product, and the products of
    the second, with W_hn."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, row = plain_blocks(w) * w.padded if w.normed else w.row, first = w.gates - w.cell.late
    cdef Row one
    for r in range(rows):
        _set_row(work, f, t, f.mine.row0 + r, &one)
        reset_row(w, &one, point + r * row, f.mine.q0, f.mine.q1)
    if f.mine.by_units:
        fd_barrier(f.k.barrier, f.team)
    _recurrent_products[cython.floating](work, f, rows, w.of_h.first + first, w.of_h.first + w.gates,
                                         work + f.at.resets + f.mine.row0 * w.of_h.row, now)
    if w.normed:
        _normed_rows(work, f, rows, first, w.gates, now, point)


cdef inline void _project(cython.floating* work, const Forward* f, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    """h and the next operand of what the step is to project."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, row = start(w, t) + f.mine.row0, column = f.mine.out_q0 * w.lanes
    cdef Row one
    write = _operand(work, f, t + 1) + f.mine.row0 * w.of_h.row
    if f.mine.by_units:
        fd_barrier(f.k.barrier, f.team)
    product[cython.floating](write + column, w.of_h.row, strided(numbers(work, f.k.m) + row * w.hidden, w.hidden, 1),
                             strided(work + f.at.W_r + column * w.hidden, w.nr, w.hidden * w.nr), strided(NULL, 0, 1),
                             rows, w.hidden, min(f.mine.out_q1 * w.lanes, w.outputs) - column)
    for r in range(rows):
        _set_row(work, f, t, f.mine.row0 + r, &one)
        emit_row[cython.floating](w, &one, write + r * w.of_h.row, f.mine.out_q0, f.mine.out_q1)


cdef inline void _step(cython.floating* work, const Forward* f, Py_ssize_t t, cython.floating* now) noexcept nogil:
    """Step t of this thread's rows and units, whose gates have what comes of x."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, rows = min(f.mine.row1, count(w, t)) - f.mine.row0, row = w.row
    cdef Py_ssize_t first = w.of_h.blocks - w.cell.late  # gates of the first phase
    cdef cython.floating* point = now
    cdef Row one
    _recurrent_products[cython.floating](work, f, rows, w.of_h.first, w.of_h.first + first,
                                         _operand(work, f, t) + f.mine.row0 * w.of_h.row, now)
    if w.normed:
        row = plain_blocks(w) * w.padded
        point = work + f.at.plain + f.mine.row0 * row
        _normed_rows(work, f, rows, 0, first, now, point)
    if w.cell.late > 0:
        _first_phase(work, f, t, rows, now, point)
    for r in range(rows):
        _set_row(work, f, t, f.mine.row0 + r, &one)
        forward_row(w, &one, point + r * row, f.mine.q0, f.mine.q1)
    if w.projected:
        _project(work, f, t, rows)
    if f.mine.by_units and w.of_h.blocks > 0:
        fd_barrier(f.k.barrier, f.team)


cdef inline void _walk(cython.floating* work, const Forward* f) noexcept nogil:
    """All time steps of one thread's share."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t t0, t1 = 0, t, slot
    while t1 < w.steps:
        t0 = t1
        t1 = window_end(w, t0, FORWARD_ROWS)
        slot = 0
        if w.places is not NULL:
            _take_inputs(work, f, t0, t1)
        _input_products(work, f, t0, t1)
        for t in range(t0, t1):
            _step(work, f, t, _gates(work, f, start(w, t) + f.mine.row0, slot))
            slot += max(min(f.mine.row1, count(w, t)) - f.mine.row0, 0)


cdef inline void _begin(cython.floating* work, const Forward* f) noexcept nogil:
    """This thread's part of what comes before the first step: initial states, the first operand, padding."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, u, row0 = w.batch * f.me // f.team, row1 = w.batch * (f.me + 1) // f.team
    h, c, mask = numbers(work, f.k.h), numbers(work, f.k.c), numbers(work, f.k.state_mask)
    operand = _operand(work, f, 0)
    memcpy(h + row0 * w.outputs, numbers(work, f.k.h0) + row0 * w.outputs,
           (row1 - row0) * w.outputs * sizeof(cython.floating))
    clear_padding_rows(w, h + w.batch * w.outputs, w.outputs, f.me, f.team)
    if c is not NULL:
        memcpy(c + row0 * w.beside, numbers(work, f.k.c0) + row0 * w.beside,
               (row1 - row0) * w.beside * sizeof(cython.floating))
    if f.k.all_c:
        clear_padding_rows(w, c + w.batch * w.beside, w.beside, f.me, f.team)
    for r in range(row0, row1):
        for u in range(w.outputs):
            operand[r * w.of_h.row + u] = h[r * w.outputs + u]
        if mask is not NULL:
            for u in range(w.outputs):
                operand[r * w.of_h.row + u] = operand[r * w.of_h.row + u] * mask[r * w.outputs + u]


cdef inline void _pack(cython.floating* work, const Forward* f) noexcept nogil:
    """This thread's part of the weights in panels."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t q, panels = up(w.outputs, w.nr)
    cdef const cython.floating* W_r = numbers(work, f.k.W_r)
    if w.packed:
        pack_gates[cython.floating](w, &w.of_h, numbers(work, f.k.W_h), work, f.me, f.team)
        pack_gates[cython.floating](w, &w.of_x, numbers(work, f.k.W_x), work + f.at.W_x, f.me, f.team)
    if w.projected:
        for q in range(panels * f.me // f.team, panels * (f.me + 1) // f.team):
            pack_panel[cython.floating](W_r + q * w.nr, w.outputs, w.hidden, min(w.nr, w.outputs - q * w.nr),
                                        work + f.at.W_r + q * w.nr * w.hidden)
    if f.me == 0:
        pack_parameters[cython.floating](w, f.k, work + f.at.parameters)


cdef inline void forward_member(
    cython.floating* work, const Walk* w, const Call* k, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """What each thread of the team does: its part of packing, then its share of the walk."""
    cdef Forward f
    cdef uint64_t mode = fd_flush_subnormals()
    f.w, f.k, f.me, f.team = w, k, me, team
    f.at = forward_work(w, team)
    f.mine = share(w, 0, w.steps, me, team)
    f.own = 0 if f.mine.by_units else me * FORWARD_ROWS + f.mine.row0
    _pack(work, &f)
    _begin(work, &f)
    fd_barrier(k.barrier, team)
    _walk(work, &f)
    fd_restore_subnormals(mode)
