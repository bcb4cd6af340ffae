"""Gradients of the parameters from one block of rows: products and sums over rows, split by columns.

`add` says whether they are added to what is there. A block has at most BLOCK_ROWS rows.
"""
cimport cython
from libc.string cimport memcpy

from ._gate_norm cimport plain_block
from ._tile cimport FD_MR, FD_NR_DOUBLE, FD_NR_FLOAT, offset, pack_panel, pack_rows, product
from ._walk cimport before, BLOCK_ROWS, count, GRU_AFTER, LSTM_COUPLED, plain_blocks, start, Walk


cdef inline void pack_inputs(
    const cython.floating* x, const Walk* w, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t width,
    cython.floating* strip,
) noexcept nogil:
    """strip[rows, MR]: `width` columns of x from rows `first` on."""
    cdef Py_ssize_t p
    if w.places is NULL:
        pack_rows(x + first * w.inputs, w.inputs, rows, width, strip)
    else:
        for p in range(rows):
            _pack_row(x + w.places[first + p] * w.inputs, width, strip + p * FD_MR)


cdef inline void _pack_row(const cython.floating* row, Py_ssize_t width, cython.floating* to) noexcept nogil:
    cdef Py_ssize_t i
    if width == FD_MR:
        memcpy(to, row, FD_MR * sizeof(cython.floating))  # a few moves: a constant size
    else:
        for i in range(width):
            to[i] = row[i]


cdef inline void pack_states(
    const cython.floating* h, const cython.floating* state_mask, const Walk* w, Py_ssize_t t, Py_ssize_t first,
    Py_ssize_t rows, Py_ssize_t column, cython.floating* strip,
) noexcept nogil:
    """strip[rows, MR]: columns `column` on of the h that rows `first` on, of step t or later, multiplied by W_h."""
    cdef Py_ssize_t p, i, sequence, width = min(FD_MR, w.outputs - column)
    if w.places is NULL:
        pack_rows(h + first * w.outputs + column, w.outputs, rows, width, strip)
        if state_mask is not NULL:
            for p in range(rows):
                sequence = (first + p) % w.batch
                for i in range(width):
                    strip[p * FD_MR + i] = strip[p * FD_MR + i] * state_mask[sequence * w.outputs + column + i]
        return
    for p in range(rows):
        while first + p >= start(w, t + 1):
            t += 1
        sequence = first + p - start(w, t)
        _pack_row(h + before(w, t, sequence) * w.outputs + column, width, strip + p * FD_MR)
        if state_mask is not NULL:
            for i in range(width):
                strip[p * FD_MR + i] = strip[p * FD_MR + i] * state_mask[sequence * w.outputs + column + i]


cdef inline void weight_products(
    const cython.floating* packed, Py_ssize_t height, const cython.floating* panels, Py_ssize_t rows,
    cython.floating* dW, Py_ssize_t dW_row, Py_ssize_t width, Py_ssize_t nr, bint add,
) noexcept nogil:
    """dW[height, width] (+)= rows^T @ panels: `packed` has the rows in strips, BLOCK_ROWS * MR apart."""
    cdef Py_ssize_t i = 0
    cdef const cython.floating* from_ = NULL
    if add:
        from_ = dW
    while i < height:
        product(packed + i * BLOCK_ROWS, 1, FD_MR, min(FD_MR, height - i), panels, nr, BLOCK_ROWS * nr, rows,
                dW + i * dW_row, dW_row, width, offset(from_, i * dW_row), dW_row)
        i += FD_MR


cdef inline void _put(cython.floating* to, const cython.floating* sums, Py_ssize_t width, bint add) noexcept nogil:
    cdef Py_ssize_t v
    for v in range(width):
        to[v] = to[v] + sums[v] if add else sums[v]


cdef inline void parameter_sums(
    const Walk* w, const cython.floating* plain, Py_ssize_t plain_row, Py_ssize_t rows, Py_ssize_t t0, Py_ssize_t first,
    const cython.floating* c, const cython.floating* fresh, cython.floating* db, cython.floating* dpeepholes, bint add,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """db, and dpeepholes if there are any, from gradients of pre-activations by plain blocks, in rows `first` on, of
    step t0 or later ones."""
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef const cython.floating* column
    cdef const cython.floating* state
    cdef Py_ssize_t j, b, u, r, t, gate, width, blocks = plain_blocks(w)
    cdef int v, lanes = (FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE) // 2
    for j in range(blocks * w.wide * me // team, blocks * w.wide * (me + 1) // team):
        b, u = j // w.wide, (j % w.wide) * w.lanes
        width, column = min(w.lanes, w.hidden - u), plain + j * w.lanes
        gate = (b + 2) % 3 if w.cell == GRU_AFTER and b < 3 else b
        for v in range(lanes):
            sums[v] = 0
        for r in range(rows):
            for v in range(lanes):
                sums[v] = sums[v] + column[r * plain_row + v]
        _put(db + gate * w.hidden + u, <const cython.floating*> sums, width, add)
        if dpeepholes is NULL or b == (1 if w.cell == LSTM_COUPLED else 2):
            continue
        # Input and forget gate read c_{t-1}, the output gate c_t.
        gate = 2 if b == blocks - 1 else b
        for v in range(lanes):
            sums[v] = 0
        t = t0
        for r in range(rows):
            if gate == 2:
                state = fresh + r * w.padded + u
            else:
                while first + r >= start(w, t) + count(w, t):
                    t += 1
                state = c + before(w, t, first + r - start(w, t)) * w.hidden + u
            for v in range(width):
                sums[v] = sums[v] + column[r * plain_row + v] * state[v]
        _put(dpeepholes + gate * w.hidden + u, <const cython.floating*> sums, width, add)


cdef inline void gain_sums(
    const Walk* w, const cython.floating* gates, const cython.floating* plain, Py_ssize_t plain_row, Py_ssize_t rows,
    cython.floating* dgains, bint add, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """dgains = sum over rows of (gradient of the pre-activation) v^.

    Eight registers of a block at a time: rows lie kilobytes apart, and one register of each would be all that is used
    of what the processor reads ahead.
    """
    cdef cython.floating sums[4 * FD_NR_FLOAT]
    cdef const cython.floating* column
    cdef const cython.floating* v_hat
    cdef Py_ssize_t j = w.blocks * w.wide * me // team, end = w.blocks * w.wide * (me + 1) // team, b, q, u, r, v
    cdef Py_ssize_t beside, lanes = (FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE) // 2
    while j < end:
        b, q = j // w.wide, j % w.wide
        beside, u = min(8, min(end - j, w.wide - q)), q * w.lanes
        column, v_hat = plain + plain_block(w, b) * w.padded + u, gates + b * w.padded + u
        for v in range(beside * lanes):
            sums[v] = 0
        for r in range(rows):
            for v in range(beside * lanes):
                sums[v] = sums[v] + column[r * plain_row + v] * v_hat[r * w.row + v]
        _put(dgains + b * w.hidden + u, <const cython.floating*> sums, min(beside * w.lanes, w.hidden - u), add)
        j += beside
