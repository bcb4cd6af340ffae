"""The gradients that a window's da gives: of x, and of the parameters in blocks of at most BLOCK_ROWS rows.

Products and sums over rows are split by columns, so each element is one thread's.
"""
cimport cython
from libc.string cimport memcpy

from ..ground._build cimport fd_barrier
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..ground._vec cimport every, shift, vdouble, vec, vfloat
from ..product._tile cimport FD_MR, offset, pack_panel, pack_rows, product, strided
from ._backward_work cimport Backward, Block, narrow, plain_row_of, plain_row_size, Sums
from ._call cimport numbers
from ._gate_norm cimport plain_block
from ._pack cimport transposed_product
from ._walk cimport (
    before, BLOCK_ROWS, count, DIAGONAL, head, pairs, Part, plain_blocks, Side, start, state_strips, strips, up, Walk,
)


# ---- Packing ------------------------------------------------------------------------------------------------------


cdef inline void pack_inputs(
    const Walk* w, const cython.floating* x, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t width,
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
    cython.floating* work, const Backward* f, const Block* block, Py_ssize_t at, cython.floating* strip,
) noexcept nogil:
    """strip[rows, MR]: the `at`-th strip of the h that a block's rows multiplied by W_h; each head begins with one."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t p, i, sequence, t = f.t0, first = block.row, rows = block.rows
    cdef Py_ssize_t D = head(&w.of_h), within = at % strips(D) * FD_MR, width = min(FD_MR, D - within)
    cdef Py_ssize_t column = at // strips(D) * D + within
    h, state_mask = numbers(work, f.k.h), numbers(work, f.k.state_mask)
    if w.places is NULL:
        pack_rows[cython.floating](h + first * w.outputs + column, w.outputs, rows, width, strip)
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
        _pack_row[cython.floating](h + before(w, t, sequence) * w.outputs + column, width, strip + p * FD_MR)
        if state_mask is not NULL:
            for i in range(width):
                strip[p * FD_MR + i] = strip[p * FD_MR + i] * state_mask[sequence * w.outputs + column + i]


cdef inline void _pack_strips(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """A block's rows of x, h and what is projected, transposed into strips: every thread packs some, all use them."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t i, of_x = strips(w.inputs), of_h = of_x + state_strips(w), strip = BLOCK_ROWS * FD_MR
    cdef Py_ssize_t u, of_m = of_h + (strips(w.hidden) if w.projected else 0)
    if narrow(w, f.k):
        return
    for i in range(of_m * f.me // f.team, of_m * (f.me + 1) // f.team):
        if i < of_x:
            u = i * FD_MR
            pack_inputs[cython.floating](w, numbers(work, f.k.x) + u, block.row, block.rows, min(FD_MR, w.inputs - u),
                                         work + f.at.strips_x + i * strip)
        elif i < of_h:
            u = i - of_x
            pack_states(work, f, block, u, work + f.at.strips_h + u * strip)
        else:
            u = (i - of_h) * FD_MR
            pack_rows[cython.floating](numbers(work, f.k.m) + block.row * w.hidden + u, w.hidden, block.rows,
                                       min(FD_MR, w.hidden - u), work + f.at.strips_m + (i - of_h) * strip)


cdef inline void _pack_resets(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """r h, which comes of the steps, not of forward."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t i, u, resets = strips(w.hidden)
    for i in range(resets * f.me // f.team, resets * (f.me + 1) // f.team):
        u = i * FD_MR
        pack_rows[cython.floating](work + f.at.rh + block.slot * w.padded + u, w.padded, block.rows,
                                   min(FD_MR, w.hidden - u), work + f.at.strips_rh + i * BLOCK_ROWS * FD_MR)
    fd_barrier(f.k.barrier, f.team)


# ---- Sums over rows -------------------------------------------------------------------------------------------------


cdef inline void _put(cython.floating* to, const cython.floating* sums, Py_ssize_t width, bint add) noexcept nogil:
    cdef Py_ssize_t v
    for v in range(width):
        to[v] = to[v] + sums[v] if add else sums[v]


cdef inline void _row_sums(const vec* column, Py_ssize_t rows, Py_ssize_t row, vec* sums, int many) noexcept nogil:
    """Sums over rows of one register, or of four side by side, which do not wait for each other."""
    cdef vec a = every(column[0], 0), b = a, c = a, d = a
    cdef const vec* one
    cdef Py_ssize_t r
    for r in range(rows):
        one = shift(column, r * row)
        a = a + one[0]
        if many == 4:
            b, c, d = b + one[1], c + one[2], d + one[3]
    sums[0] = a
    if many == 4:
        sums[1], sums[2], sums[3] = b, c, d


cdef inline void row_sums(
    const cython.floating* column, Py_ssize_t rows, Py_ssize_t row, cython.floating* sums, int many,
) noexcept nogil:
    if cython.floating is float:
        _row_sums[vfloat](<const vfloat*> column, rows, row, <vfloat*> sums, many)
    else:
        _row_sums[vdouble](<const vdouble*> column, rows, row, <vdouble*> sums, many)


cdef inline void parameter_sums(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """db, dpeepholes and what a diagonal recurrence has, from gradients of pre-activations by plain blocks."""
    cdef const Walk* w = f.w
    cdef cython.floating sums[2 * FD_NR_FLOAT]
    cdef Py_ssize_t j = plain_blocks(w) * w.wide * f.me // f.team, end = plain_blocks(w) * w.wide * (f.me + 1) // f.team
    cdef Py_ssize_t i, b, u, many
    db = numbers(work, f.k.db)
    while j < end:
        column = plain_row_of(work, f, block.slot) + j * w.lanes
        many = 4 if end - j >= 4 else 1
        if many == 4:
            row_sums[cython.floating](column, block.rows, plain_row_size(w), sums, 4)
        else:
            row_sums[cython.floating](column, block.rows, plain_row_size(w), sums, 1)
        for i in range(many):
            b, u = (j + i) // w.wide, (j + i) % w.wide * w.lanes
            _put[cython.floating](db + w.cell.bias[b] * w.hidden + u, sums + i * w.lanes, min(w.lanes, w.hidden - u),
                                  block.add)
            if f.k.dpeepholes is not NULL and w.cell.peephole[b] >= 0:
                _peephole_sums[cython.floating](work, f, block, b, u, column + i * w.lanes)
            if w.cell.recurrence == DIAGONAL and w.cell.h_gate[b] >= 0:
                _diagonal_sums[cython.floating](work, f, block, b, u, column + i * w.lanes)
        j += many


cdef inline void _peephole_sums(
    cython.floating* work, const Backward* f, const Block* block, Py_ssize_t b, Py_ssize_t u,
    const cython.floating* column,
) noexcept nogil:
    """dpeepholes of one register: input and forget gate read c_{t-1}, the output gate c_t."""
    cdef const Walk* w = f.w
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef Py_ssize_t r, v, t = f.t0, gate = w.cell.peephole[b], width = min(w.lanes, w.hidden - u)
    cdef const cython.floating* state
    cdef Py_ssize_t row = plain_row_size(w)
    c = numbers(work, f.k.c)
    for v in range(width):
        sums[v] = 0
    for r in range(block.rows):
        if gate == 2:
            state = work + f.at.fresh + (block.slot + r) * w.padded + u
        else:
            while block.row + r >= start(w, t) + count(w, t):
                t += 1
            state = c + before(w, t, block.row + r - start(w, t)) * w.hidden + u
        for v in range(width):
            sums[v] = sums[v] + column[r * row + v] * state[v]
    _put[cython.floating](numbers(work, f.k.dpeepholes) + gate * w.hidden + u, sums, width, block.add)


cdef inline void _diagonal_sums(
    cython.floating* work, const Backward* f, const Block* block, Py_ssize_t b, Py_ssize_t u,
    const cython.floating* column,
) noexcept nogil:
    """One register of the gradient of a diagonal recurrence's vector: sum of da h_{t-1}, and of its mask."""
    cdef const Walk* w = f.w
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef Py_ssize_t r, v, sequence, t = f.t0, width = min(w.lanes, w.hidden - u), row = plain_row_size(w)
    h, mask = numbers(work, f.k.h), numbers(work, f.k.state_mask)
    for v in range(width):
        sums[v] = 0
    for r in range(block.rows):
        while block.row + r >= start(w, t) + count(w, t):
            t += 1
        sequence = block.row + r - start(w, t)
        state = h + before(w, t, sequence) * w.hidden + u
        for v in range(width):
            if mask is NULL:
                sums[v] = sums[v] + column[r * row + v] * state[v]
            else:
                sums[v] = sums[v] + column[r * row + v] * (state[v] * mask[sequence * w.hidden + u + v])
    _put[cython.floating](numbers(work, f.k.dW_h) + w.cell.h_gate[b] * w.hidden + u, sums, width, block.add)


cdef inline void gain_sums(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """dgains = sum over rows of (gradient of the pre-activation) v^.

    Eight registers of a block at a time: rows lie kilobytes apart, and one register of each would be all that is used
    of what the processor reads ahead.
    """
    cdef const Walk* w = f.w
    cdef cython.floating sums[4 * FD_NR_FLOAT]
    cdef Py_ssize_t j = w.blocks * w.wide * f.me // f.team, end = w.blocks * w.wide * (f.me + 1) // f.team
    cdef Py_ssize_t b, q, u, r, v, beside, row = plain_row_size(w)
    dgains = numbers(work, f.k.dgains)
    while j < end:
        b, q = j // w.wide, j % w.wide
        beside, u = min(8, min(end - j, w.wide - q)) * w.lanes, q * w.lanes
        column = plain_row_of(work, f, block.slot) + plain_block(w, b) * w.padded + u
        v_hat = numbers(work, f.k.gates) + block.row * w.row + b * w.padded + u
        for v in range(beside):
            sums[v] = 0
        for r in range(block.rows):
            for v in range(beside):
                sums[v] = sums[v] + column[r * row + v] * v_hat[r * w.row + v]
        _put[cython.floating](dgains + b * w.hidden + u, sums, min(beside, w.hidden - u), block.add)
        j += beside // w.lanes


# ---- Products -----------------------------------------------------------------------------------------------------


cdef inline void weight_products(
    const cython.floating* packed, Py_ssize_t height, const cython.floating* panels, Py_ssize_t rows,
    cython.floating* dW, Py_ssize_t dW_row, Py_ssize_t width, bint add,
) noexcept nogil:
    """dW[height, width] (+)= rows^T @ panels: `packed` has the rows in strips, BLOCK_ROWS * MR apart."""
    cdef Py_ssize_t i = 0, nr = panel_width(packed)
    cdef const cython.floating* from_ = NULL
    if add:
        from_ = dW
    while i < height:
        product(dW + i * dW_row, dW_row, strided(packed + i * BLOCK_ROWS, 1, FD_MR),
                strided(panels, nr, BLOCK_ROWS * nr), strided(offset(from_, i * dW_row), dW_row, 1),
                min(FD_MR, height - i), rows, width)
        i += FD_MR


cdef inline Py_ssize_t _column_share(const Walk* w, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """The first panel of gates of a part, so that all parts multiply as much: a block may be of x, of h, or of both."""
    cdef Py_ssize_t b, height, panels = up(w.wide, 2), outputs = w.outputs if w.of_h.heads == 1 else 0
    cdef Py_ssize_t wanted = panels * (w.gates * w.inputs + w.of_h.blocks * outputs) * part // parts
    for b in range(w.blocks):
        height = (w.inputs if w.of_x.gate[b] >= 0 else 0) + (outputs if w.of_h.gate[b] >= 0 else 0)
        if wanted < panels * height:
            return b * panels + wanted // height
        wanted -= panels * height
    return w.blocks * panels


cdef inline void _weight_gradients(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """dW_x and, but for heads, dW_h from a block, this thread's panels of gates."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t i, b, u, beside, width, of_block = up(w.wide, 2), row = w.gates * w.hidden
    cdef Py_ssize_t j = _column_share(w, f.me, f.team), end = _column_share(w, f.me + 1, f.team)
    dW_x, dW_h = numbers(work, f.k.dW_x), numbers(work, f.k.dW_h)
    panels, states = work + f.at.members + f.me * f.at.member, work + f.at.strips_h
    while j < end:
        b, u = j // of_block, (j % of_block) * w.nr
        beside = 2 if j + 1 < end and (j + 1) // of_block == b else 1  # neighbours, for the tile two panels wide
        width = min(beside * w.nr, w.hidden - u)
        for i in range(beside):
            pack_panel[cython.floating](work + f.at.da + block.slot * w.row + b * w.padded + u + i * w.nr, w.row,
                                        block.rows, min(w.nr, w.padded - u - i * w.nr), panels + i * BLOCK_ROWS * w.nr)
        if w.of_x.gate[b] >= 0:
            weight_products[cython.floating](work + f.at.strips_x, w.inputs, panels, block.rows,
                                             dW_x + w.of_x.gate[b] * w.hidden + u, row, width, block.add)
        if w.of_h.gate[b] >= 0 and w.of_h.heads == 1:
            states = work + (f.at.strips_rh if w.of_h.gate[b] >= w.gates - w.cell.late else f.at.strips_h)
            weight_products[cython.floating](states, w.outputs, panels, block.rows,
                                             dW_h + w.of_h.gate[b] * w.hidden + u, row, width, block.add)
        j += beside


# Of a narrow layer da, x and h are operands as they lie, and the sums of all gates stay in one place, in whole
# registers, from the first window to the last.
cdef inline void _narrow_gradients(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """dW_x and dW_h from a block of a narrow layer, this thread's registers of gates."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t q0 = pairs(w.blocks * w.wide, f.me, f.team), q1 = pairs(w.blocks * w.wide, f.me + 1, f.team)
    cdef Py_ssize_t end = start(w, f.t1 - 1) + count(w, f.t1 - 1)
    cdef Sums of_x, of_h
    of_x.first, of_x.height, of_x.q0, of_x.q1 = 0, w.inputs, q0, min(q1, w.of_x.blocks * w.wide)
    of_h.first, of_h.height, of_h.q0, of_h.q1 = w.inputs, w.outputs, max(q0, w.of_h.first * w.wide), q1
    if w.of_h.blocks == 0:
        of_h.q0 = q1
    if block.add and end == w.rows and block.slot == 0:
        _carry(work, f, &w.of_x, numbers(work, f.k.dW_x), &of_x, False)
        _carry(work, f, &w.of_h, numbers(work, f.k.dW_h), &of_h, False)
    _narrow_product(work, f, block, numbers(work, f.k.x), &of_x)
    _narrow_product(work, f, block, numbers(work, f.k.h), &of_h)
    if f.t0 == 0 and block.row + block.rows == end:
        _carry(work, f, &w.of_x, numbers(work, f.k.dW_x), &of_x, True)
        _carry(work, f, &w.of_h, numbers(work, f.k.dW_h), &of_h, True)


cdef inline void _narrow_product(
    cython.floating* work, const Backward* f, const Block* block, const cython.floating* a, const Sums* sums,
) noexcept nogil:
    """sums (+)= a[rows]^T @ da[rows]."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t row = w.blocks * w.padded
    cdef cython.floating* to = work + f.at.sums + sums.first * row + sums.q0 * w.lanes
    if sums.q1 > sums.q0:
        da = work + f.at.da + block.slot * w.row + sums.q0 * w.lanes
        product(to, row, strided(a + block.row * sums.height, 1, sums.height), strided(da, w.row, w.nr),
                strided(to if block.add else NULL, row, 1), sums.height, block.rows, (sums.q1 - sums.q0) * w.lanes)


cdef inline void _carry(
    cython.floating* work, const Backward* f, const Side* side, cython.floating* dW, const Sums* sums, bint out,
) noexcept nogil:
    """Between the sums and dW, to it or from it."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t i, q, u
    cdef size_t size
    cdef cython.floating* sum_
    cdef cython.floating* gate
    for i in range(sums.height):
        for q in range(sums.q0, sums.q1):
            u = q % w.wide * w.lanes
            size = min(w.lanes, w.hidden - u) * sizeof(cython.floating)
            sum_ = work + f.at.sums + ((sums.first + i) * w.blocks * w.wide + q) * w.lanes
            gate = dW + (i * w.gates + side.gate[q // w.wide]) * w.hidden + u
            if out:
                memcpy(gate, sum_, size)
            else:
                memcpy(sum_, gate, size)


cdef inline void _head_gradients(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """dW_h by heads from a block, this thread's panels: of head j those columns of da and of h alone."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t i, j, b, u, width, D = head(&w.of_h), panels = up(D, w.nr), all_ = w.gates * panels
    cdef Py_ssize_t row = w.gates * D, count_ = w.of_h.heads * all_
    dW_h, panel = numbers(work, f.k.dW_h), work + f.at.members + f.me * f.at.member
    for i in range(count_ * f.me // f.team, count_ * (f.me + 1) // f.team):
        j, b, u = i // all_, i // panels % w.gates, i % panels * w.nr
        width = min(w.nr, D - u)
        pack_panel[cython.floating](work + f.at.da + block.slot * w.row + b * w.padded + j * D + u, w.row, block.rows,
                                    width, panel)
        weight_products[cython.floating](work + f.at.strips_h + j * strips(D) * BLOCK_ROWS * FD_MR, D, panel,
                                         block.rows, dW_h + j * D * row + w.of_h.gate[b] * D + u, row, width, block.add)


cdef inline void _projection_gradient(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    cdef const Walk* w = f.w
    cdef Py_ssize_t j, panels = up(w.outputs, w.nr)
    dout, panel = work + f.at.dout + block.slot * w.out_padded, work + f.at.members + f.me * f.at.member
    for j in range(panels * f.me // f.team, panels * (f.me + 1) // f.team):
        pack_panel[cython.floating](dout + j * w.nr, w.out_padded, block.rows, min(w.nr, w.outputs - j * w.nr), panel)
        weight_products[cython.floating](work + f.at.strips_m, w.hidden, panel, block.rows,
                                         numbers(work, f.k.dW_r) + j * w.nr, w.outputs,
                                         min(w.nr, w.outputs - j * w.nr), block.add)


cdef inline void _block(cython.floating* work, const Backward* f, const Block* block) noexcept nogil:
    """Gradients of the parameters from a block of rows, which is packed into strips."""
    cdef const Walk* w = f.w
    if w.cell.late > 0:
        _pack_resets(work, f, block)
    if narrow(w, f.k):
        _narrow_gradients(work, f, block)
    else:
        _weight_gradients(work, f, block)
    if w.of_h.heads > 1:
        _head_gradients(work, f, block)
    if w.projected:
        _projection_gradient(work, f, block)
    parameter_sums(work, f, block)
    if w.normed:
        gain_sums(work, f, block)
    fd_barrier(f.k.barrier, f.team)  # the strips and da may be overwritten


cdef inline void _input_gradient(cython.floating* work, const Backward* f, Py_ssize_t rows) noexcept nogil:
    """dx of this thread's part of the window's rows."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t r, row0 = rows * f.me // f.team, row1 = rows * (f.me + 1) // f.team
    cdef const cython.floating* W_x = work + f.at.W_x
    cdef Part part
    dx = numbers(work, f.k.dx)
    to = dx + (f.first + row0) * w.inputs
    if w.places is not NULL:
        to = work + f.at.dx + row0 * w.inputs
    if not w.packed:
        W_x = numbers(work, f.k.W_x)
    part.b0, part.b1, part.q0, part.q1 = 0, w.of_x.blocks, 0, up(w.inputs, w.lanes)
    transposed_product[cython.floating](w, &w.of_x, work + f.at.da + row0 * w.row, row1 - row0, W_x, part, to, False)
    if w.places is not NULL:
        for r in range(row1 - row0):
            memcpy(dx + w.places[f.first + row0 + r] * w.inputs, to + r * w.inputs, w.inputs * sizeof(cython.floating))


cdef inline void window_products(cython.floating* work, const Backward* f, bint add) noexcept nogil:
    """The gradients that a window's da gives."""
    cdef const Walk* w = f.w
    cdef Py_ssize_t rows = start(w, f.t1 - 1) + count(w, f.t1 - 1) - f.first
    cdef Block block
    block.row, block.slot, block.rows, block.add = f.first, 0, min(rows, BLOCK_ROWS), add
    _pack_strips(work, f, &block)
    fd_barrier(f.k.barrier, f.team)  # the window's da is complete, and the first strips
    if f.k.dx is not NULL:
        _input_gradient(work, f, rows)
    while block.slot < rows:
        if block.slot > 0:
            block.rows = min(rows - block.slot, BLOCK_ROWS)
            _pack_strips(work, f, &block)
            fd_barrier(f.k.barrier, f.team)
        _block(work, f, &block)
        block.row, block.slot, block.add = block.row + block.rows, block.slot + block.rows, True
