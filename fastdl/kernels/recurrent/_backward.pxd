"""A recurrent layer backward through time: windows from the last to the first, their steps, then their products.

A step is the mirror of forward's: the gradient with respect to h is split (absorb), goes back through the projection,
the point functions and the norm into da, the gradient with respect to the gates' products, and through W_h to the step
before. The window's da then gives dx and the gradients of the parameters, summed over blocks of at most BLOCK_ROWS
rows whose bounds depend on the shape alone, each column by one thread: so the team changes no bit.
"""
cimport cython
from libc.stdint cimport uint64_t

from ..ground._build cimport fd_barrier, fd_flush_subnormals, fd_restore_subnormals
from ..product._tile cimport offset, pack_panel_transposed, product, strided
from ._backward_work cimport Backward, backward_work, plain_row_of, window_of
from ._call cimport Call, numbers
from ._pack cimport pack_gates_transposed, pack_parameters, transposed_product
from ._rows cimport absorb_row, backward_row, normed_backward_row, plain_row, reset_backward_row
from ._sums cimport window_products
from ._walk cimport (
    after, before, BLOCK_ROWS, carries, clear_padding_rows, count, Part, plain_blocks, Row, share, start, up, Walk,
    window_begin,
)


# ---- A step -----------------------------------------------------------------------------------------------------


cdef inline void _set_row(
    cython.floating* work, const Backward* f, Py_ssize_t t, Py_ssize_t sequence, Py_ssize_t slot, Row* row,
) noexcept nogil:
    """A sequence's row of step t; `slot` is that of the window. Filled where it lies, as forward's."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t old = before(w, t, sequence), new = after(w, t, sequence), there = new - w.batch
    h, c = numbers(work, f.k.h), numbers(work, f.k.c)
    row.at, row.out_at = there * w.hidden, there * w.outputs
    row.peepholes = work + f.at.parameters + plain_blocks(w) * w.padded
    row.state_mask = offset(numbers(work, f.k.state_mask), sequence * w.outputs)
    row.h_before = h + old * w.outputs
    row.dy = numbers(work, f.k.dy) + row.out_at
    row.dh = numbers(work, f.k.dh) + sequence * w.outputs
    row.value = work + f.at.dm + sequence * w.padded
    row.reset = work + f.at.rh + slot * w.padded
    row.fresh = NULL
    if c is not NULL:
        row.c_before, row.c = c + old * w.beside, c + new * w.beside
        row.dc = numbers(work, f.k.dc) + sequence * w.beside
        row.dc_above = offset(numbers(work, f.k.dc_above), row.at)
    if w.peepholes:
        row.fresh = work + f.at.fresh + slot * w.padded


cdef inline const cython.floating* _values(cython.floating* work, const Backward* f, const Row* row,
                                           Py_ssize_t here) noexcept nogil:
    """A row's gate values. Of a layer-normed row forward kept v^ alone: they are made again, beside the row."""
    if f.w.normed:
        return _values_again(work, f, row, here)
    return numbers(work, f.k.gates) + here * f.w.row


cdef inline const cython.floating* _values_again(cython.floating* work, const Backward* f, const Row* row,
                                                 Py_ssize_t here) noexcept nogil:
    cdef const Walk* w = f.w
    cdef cython.floating* again = work + f.at.members + f.me * f.at.member + 2 * BLOCK_ROWS * w.nr
    cdef Row scratch = row[0]
    scratch.reset, scratch.c = again + plain_blocks(w) * w.padded, again + (plain_blocks(w) + 1) * w.padded
    plain_row[cython.floating](w, &scratch, numbers(work, f.k.gates) + here * w.row, work + f.at.parameters, again)
    return again


cdef inline void _through_projection(
    cython.floating* work, const Backward* f, Py_ssize_t t, Py_ssize_t rows,
) noexcept nogil:
    """dout, the gradient with respect to the projected h before zoneout, and dm = dout @ W_r^T of this thread's
    units."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, row0 = f.mine.row0, slot = start(w, t) + row0 - f.first, column = f.mine.q0 * w.lanes
    cdef Row row
    dout = work + f.at.dout + slot * w.out_padded
    for r in range(rows):
        _set_row(work, f, t, row0 + r, slot + r, &row)
        absorb_row(w, &row, dout + r * w.out_padded, f.mine.out_q0, f.mine.out_q1)
    if f.mine.by_units:
        fd_barrier(f.k.barrier, f.team)
    product[cython.floating](work + f.at.dm + row0 * w.padded + column, w.padded, strided(dout, w.out_padded, 1),
                             strided(work + f.at.W_r + column * w.outputs, w.nr, w.outputs * w.nr),
                             strided(NULL, 0, 1), rows, w.outputs, f.mine.q1 * w.lanes - column)


cdef inline void _points(cython.floating* work, const Backward* f, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    """da of this thread's rows and units."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, here, slot, first = 0
    cdef Row row
    if w.cell.late > 0:  # the first phase's come later, as do all of x
        first = w.blocks - w.cell.late
    for r in range(rows):
        here = start(w, t) + f.mine.row0 + r
        slot = here - f.first
        _set_row(work, f, t, f.mine.row0 + r, slot, &row)
        values, point = _values(work, f, &row, here), plain_row_of(work, f, slot)
        backward_row(w, &row, values, point, f.mine.q0, f.mine.q1)
        if w.normed:
            normed_backward_row[cython.floating](
                w, numbers(work, f.k.gates) + here * w.row, point, work + f.at.parameters, first, w.blocks,
                work + f.at.da + slot * w.row)


cdef inline const cython.floating* _state_weights(cython.floating* work, const Backward* f) noexcept nogil:
    if f.w.packed:
        return work
    return numbers(work, f.k.W_h)


cdef inline void _reset_points(cython.floating* work, const Backward* f, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    """da of r of a GRU with the reset before the product, through W_hn."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, here, slot
    cdef Part part
    cdef Row row
    part.b0, part.b1 = w.of_h.first + w.gates - w.cell.late, w.of_h.first + w.gates
    part.q0, part.q1 = f.mine.q0, f.mine.q1
    da, drh = work + f.at.da + (start(w, t) + f.mine.row0 - f.first) * w.row, work + f.at.drh + f.mine.row0 * w.outputs
    transposed_product[cython.floating](w, &w.of_h, da, rows, _state_weights(work, f), part, drh, False)
    for r in range(rows):
        here = start(w, t) + f.mine.row0 + r
        slot = here - f.first
        _set_row(work, f, t, f.mine.row0 + r, slot, &row)
        values, point = _values(work, f, &row, here), plain_row_of(work, f, slot)
        reset_backward_row[cython.floating](w, &row, values, drh + r * w.outputs, point, f.mine.q0, f.mine.q1)
        if w.normed:
            normed_backward_row[cython.floating](
                w, numbers(work, f.k.gates) + here * w.row, point, work + f.at.parameters, 0, w.blocks - w.cell.late,
                work + f.at.da + slot * w.row)
    if f.mine.by_units:
        fd_barrier(f.k.barrier, f.team)


cdef inline void _state_product(cython.floating* work, const Backward* f, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    """dh = what passed the product by + (da @ W_h^T) * mask, of this thread's units."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, u, at, row0 = f.mine.row0
    cdef Part part
    da = work + f.at.da + (start(w, t) + row0 - f.first) * w.row
    dh, mask = numbers(work, f.k.dh), numbers(work, f.k.state_mask)
    before_mask = work + f.at.part
    part.b0, part.b1 = w.of_h.first, w.of_h.first + w.gates - w.cell.late
    part.q0, part.q1 = f.mine.out_q0, f.mine.out_q1
    if mask is NULL:
        transposed_product[cython.floating](w, &w.of_h, da, rows, _state_weights(work, f), part, dh + row0 * w.outputs,
                                            carries(w))
        return
    transposed_product[cython.floating](w, &w.of_h, da, rows, _state_weights(work, f), part,
                                        before_mask + row0 * w.outputs, False)
    for r in range(row0, row0 + rows):
        for u in range(part.q0 * w.lanes, min(part.q1 * w.lanes, w.outputs)):
            at = r * w.outputs + u
            dh[at] = (dh[at] if carries(w) else 0) + before_mask[at] * mask[at]


cdef inline void _step(cython.floating* work, const Backward* f, Py_ssize_t t) noexcept nogil:
    """Step t: da of this thread's share; dh and dc become those of t - 1."""
    cdef Py_ssize_t rows = max(min(f.mine.row1, count(f.w, t)) - f.mine.row0, 0)
    if f.w.projected:
        _through_projection(work, f, t, rows)
    _points(work, f, t, rows)
    if f.w.of_h.blocks == 0:
        return
    if f.mine.by_units:
        fd_barrier(f.k.barrier, f.team)  # da of all units, before any thread multiplies by it
    if f.w.cell.late > 0:
        _reset_points(work, f, t, rows)
    _state_product(work, f, t, rows)


# ---- A thread -----------------------------------------------------------------------------------------------------


cdef inline void _pack(cython.floating* work, const Backward* f) noexcept nogil:
    """This thread's part of the transposed weights in panels."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t q, panels = up(w.hidden, w.nr)
    dx, W_r = numbers(work, f.k.dx), numbers(work, f.k.W_r)
    if w.packed:
        pack_gates_transposed[cython.floating](w, &w.of_h, numbers(work, f.k.W_h), work, f.me, f.team)
        if dx is not NULL:
            pack_gates_transposed[cython.floating](w, &w.of_x, numbers(work, f.k.W_x), work + f.at.W_x, f.me, f.team)
    if w.projected:
        for q in range(panels * f.me // f.team, panels * (f.me + 1) // f.team):
            pack_panel_transposed[cython.floating](W_r + q * w.nr * w.outputs, w.outputs, w.outputs,
                                                   min(w.nr, w.hidden - q * w.nr),
                                                   work + f.at.W_r + q * w.nr * w.outputs)
    if f.me == 0:
        pack_parameters[cython.floating](w, f.k, work + f.at.parameters)
    if dx is not NULL:
        clear_padding_rows(w, dx, w.inputs, f.me, f.team)


cdef inline void backward_member(
    cython.floating* work, const Walk* w, const Call* k, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """What each thread of the team does: pack, then windows from the last to the first: steps, then products."""
    cdef Backward f
    cdef Py_ssize_t t
    cdef bint add = k.add
    cdef uint64_t mode = fd_flush_subnormals()
    f.w, f.k, f.me, f.team, f.t0 = w, k, me, team, w.steps
    f.at = backward_work(w, team)
    _pack(work, &f)
    fd_barrier(k.barrier, team)
    while f.t0 > 0:
        f.t1 = f.t0
        f.t0 = window_begin(w, f.t1, window_of(w))
        f.mine, f.first = share(w, f.t0, f.t1, me, team), start(w, f.t0)
        for t in range(f.t1 - 1, f.t0 - 1, -1):
            _step(work, &f, t)
        window_products(work, &f, add)
        add = True
    fd_restore_subnormals(mode)
