"""What the walks over time share, forward and backward: shapes, cells, layouts, who does what, packed weights.

Rows. The sequences of a batch are sorted by falling length, and row `start(t) + r` belongs to sequence r at step t:
step t has as many rows as there are sequences longer than t, so a ragged batch costs what it holds.

Places. What has a time and a sequence for the caller, too (x, h, c, their gradients, masks) stays as it lies: row i of
the walk is row place(i) of a padded array, whose other rows are padding. In front of all h and of all c are `batch`
rows for the initial states; `before` and `after` are the rows where a step reads and writes.

Blocks. A row of gates holds one block of `padded` units per product: H rounded up to whole registers of `lanes`.
Block b takes gate x_gate[b] of x @ W_x and gate h_gate[b] of h @ W_h; -1 is none. So one table says what a cell is:

    cell                gates of W    blocks                 (x, h)
    RNN                 a             a                      (0, 0)
    LSTM                i, f, g, o    i, f, g, o             (0, 0) (1, 1) (2, 2) (3, 3)
    coupled LSTM        i, g, o       i, g, o                (0, 0) (1, 1) (2, 2)
    GRU, reset after    r, z, n       n of x, r, z, n of h   (2, -) (0, 0) (1, 1) (-, 2)
    GRU, reset before   r, z, n       r, z, n                (0, 0) (1, 1) (2, 2)
    layer-normed        as above      of x, then of h        (0, -) ... (G - 1, -), (-, 0) ... (-, G - 1)

Blocks of x come first and those of h last, each an unbroken range, because the products of backward run over them.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from ._tile cimport (
    FD_MR,
    FD_NR_DOUBLE,
    FD_NR_FLOAT,
    madd,
    offset,
    pack_panel,
    pack_panel_transposed,
    pack_register,
    product,
)
from ._vec cimport FD_VECTOR_BYTES, lanes


cdef enum:
    RNN_TANH = 0
    RNN_RELU = 1
    LSTM = 2
    LSTM_COUPLED = 3
    GRU_AFTER = 4
    GRU_BEFORE = 5

cdef enum:
    FEW_ROWS = 4             # up to so many rows in all, packing the weights would cost more than it saves
    CORE_CACHE = 768 * 1024  # bytes of recurrent weights that one thread can keep close
    FEW_EACH = 4             # sequences for each thread, below which the tile has too few rows;
    FEW_EACH_FAR = 10        # the same, where the weights come from further away
    BLOCK_ROWS = 256         # rows (time x batch) that a sum over them takes at most at a time
    MOST_BLOCKS = 8

cdef struct Walk:
    Py_ssize_t steps, batch, rows, inputs, hidden, outputs, gates  # rows: of all steps; outputs: of h, H or projected
    const int64_t* offsets                # first row of every step, and their number; NULL: `batch` each
    const int64_t* places                 # where the rows lie in padded arrays, then their padding; NULL: in order
    Py_ssize_t padding                    # rows of it
    int cell
    bint normed, projected, peepholes
    Py_ssize_t lanes, nr                  # numbers of a register, and of a panel: two of them
    Py_ssize_t wide, padded               # registers, and units, of a block
    Py_ssize_t out_wide, out_padded       # the same for what h has
    Py_ssize_t blocks, row                # of a row of gates, and elements from one to the next
    Py_ssize_t x_blocks, h_first, h_blocks
    int x_gate[MOST_BLOCKS]
    int h_gate[MOST_BLOCKS]
    bint packed                           # weights packed into panels, or read where they lie
    double epsilon                        # of layer norm
    double clip, cell_clip                # of what enters the gates, and of c; 0: none
    const uint8_t* candidate              # padded (rows, H): which candidates are kept, and by what they are scaled
    double scale
    const uint8_t* zone_h                 # padded (rows, outputs) and (rows, H): where the old h or c stays
    const uint8_t* zone_c
    double rate_h, rate_c                 # the same as an expectation, where there is no mask

cdef struct Share:                        # what one thread of the team owns: sequences, registers of units and of h
    Py_ssize_t row0, row1, q0, q1, out_q0, out_q1
    bint by_units

cdef struct Row:                          # what one sequence has at one step: where it begins, or NULL
    Py_ssize_t at, out_at                 # its first unit in a mask of candidates or c, and of h
    const void* peepholes                 # three blocks
    const void* state_mask
    const void* h_before
    const void* c_before
    void* h
    void* c
    void* value                           # what is projected, or its gradient
    void* operand                         # what the next step multiplies by W_h
    void* reset                           # r h_{t-1}
    const void* dy                        # gradients: of the output, of c from above, and of this step, which become
    const void* dc_above                  # those of the step before
    void* dh
    void* dc
    void* fresh                           # c before zoneout


cdef inline Py_ssize_t up(Py_ssize_t count, Py_ssize_t unit) noexcept nogil:
    return (count + unit - 1) // unit


cdef inline Py_ssize_t units(const Walk* w, Py_ssize_t q) noexcept nogil:
    """Units of the q-th register that exist."""
    return min(w.lanes, w.hidden - q * w.lanes)


cdef inline Py_ssize_t pitch(Py_ssize_t registers, Py_ssize_t lanes) noexcept nogil:
    """Elements from row to row of so many registers. Rows a multiple of 2 KB apart would compete for the same lines of
    the first-level cache; five lines more spread them."""
    if registers * FD_VECTOR_BYTES % 2048 == 0:
        return registers * lanes + 5 * 64 * lanes // FD_VECTOR_BYTES
    return registers * lanes


cdef inline Py_ssize_t flat(const Walk* w, Py_ssize_t blocks) noexcept nogil:
    """Columns of so many blocks in whole panels."""
    return up(blocks * w.wide, 2) * w.nr


cdef inline Py_ssize_t gates_of(int cell) noexcept nogil:
    return 1 if cell <= RNN_RELU else 4 if cell == LSTM else 3


cdef inline void describe(
    Walk* w, int cell, bint normed, Py_ssize_t steps, Py_ssize_t batch, Py_ssize_t rows, Py_ssize_t inputs,
    Py_ssize_t hidden, Py_ssize_t projection, const int64_t* offsets, Py_ssize_t itemsize,
) noexcept nogil:
    """Everything of `w` that follows from the cell and the shape; the options are set to none. projection: 0 or P."""
    cdef Py_ssize_t b
    w.steps, w.batch, w.rows, w.inputs, w.hidden = steps, batch, rows, inputs, hidden
    w.offsets, w.cell, w.normed = offsets, cell, normed
    w.projected = projection > 0
    w.outputs = projection if w.projected else hidden
    w.lanes = lanes(itemsize)
    w.nr = 2 * w.lanes
    w.wide, w.out_wide = up(hidden, w.lanes), up(w.outputs, w.lanes)
    w.padded, w.out_padded = w.wide * w.lanes, w.out_wide * w.lanes
    w.gates = gates_of(cell)
    for b in range(MOST_BLOCKS):
        w.x_gate[b] = w.h_gate[b] = -1
    w.x_blocks = w.h_blocks = w.gates
    if normed:
        w.h_first = w.gates
        for b in range(w.gates):
            w.x_gate[b] = w.h_gate[w.gates + b] = b
    elif cell == GRU_AFTER:
        w.h_first = 1
        w.x_gate[0], w.x_gate[1], w.x_gate[2] = 2, 0, 1
        w.h_gate[1], w.h_gate[2], w.h_gate[3] = 0, 1, 2
    else:
        w.h_first = 0
        for b in range(w.gates):
            w.x_gate[b] = w.h_gate[b] = b
    w.blocks = w.h_first + w.h_blocks
    w.row = pitch(w.blocks * w.wide, w.lanes)
    if normed:  # and the 1 / standard deviation of every block, behind them
        w.row += up(MOST_BLOCKS, w.lanes) * w.lanes
    w.packed = rows > FEW_ROWS or hidden % w.nr or w.outputs % w.nr or offsets is not NULL or normed
    w.peepholes, w.epsilon = False, 1e-5
    w.clip = w.cell_clip = w.rate_h = w.rate_c = 0
    w.scale = 1
    w.candidate = w.zone_h = w.zone_c = NULL
    w.places, w.padding = NULL, 0


cdef inline bint carries(const Walk* w) noexcept nogil:
    """Whether h passes to the next step by another way than the product, too."""
    return w.cell >= GRU_AFTER or w.zone_h is not NULL or w.rate_h != 0


cdef inline Py_ssize_t plain_blocks(const Walk* w) noexcept nogil:
    """Blocks of the same cell without layer norm: what the point functions work on."""
    return 4 if w.cell == GRU_AFTER else w.gates


cdef inline Py_ssize_t strips(Py_ssize_t width) noexcept nogil:
    """Strips of MR that so many columns make."""
    return (width + FD_MR - 1) // FD_MR


cdef inline Py_ssize_t start(const Walk* w, Py_ssize_t t) noexcept nogil:
    return t * w.batch if w.offsets is NULL else w.offsets[t]


cdef inline Py_ssize_t count(const Walk* w, Py_ssize_t t) noexcept nogil:
    return w.batch if w.offsets is NULL else w.offsets[t + 1] - w.offsets[t]


cdef inline Py_ssize_t place(const Walk* w, Py_ssize_t row) noexcept nogil:
    return row if w.places is NULL else w.places[row]


cdef inline Py_ssize_t before(const Walk* w, Py_ssize_t t, Py_ssize_t sequence) noexcept nogil:
    return sequence if t == 0 else w.batch + place(w, start(w, t - 1) + sequence)


cdef inline Py_ssize_t after(const Walk* w, Py_ssize_t t, Py_ssize_t sequence) noexcept nogil:
    return w.batch + place(w, start(w, t) + sequence)


cdef inline Py_ssize_t window_end(const Walk* w, Py_ssize_t t, Py_ssize_t rows) noexcept nogil:
    """The step after the last of a window of about `rows` rows that begins with step t."""
    if w.offsets is NULL:
        return min(w.steps, t + max(1, rows // max(w.batch, 1)))
    cdef Py_ssize_t end = t + 1
    while end < w.steps and w.offsets[end + 1] - w.offsets[t] <= rows:
        end += 1
    return end


cdef inline Py_ssize_t window_begin(const Walk* w, Py_ssize_t end, Py_ssize_t rows) noexcept nogil:
    """The first step of a window of about `rows` rows that ends before step `end`."""
    if w.offsets is NULL:
        return max(0, end - max(1, rows // max(w.batch, 1)))
    cdef Py_ssize_t t = end - 1
    while t > 0 and w.offsets[end] - w.offsets[t - 1] <= rows:
        t -= 1
    return t


cdef inline Py_ssize_t window_rows(const Walk* w, Py_ssize_t rows) noexcept nogil:
    """No window has more rows."""
    return min(w.rows, max(rows, w.batch))


cdef inline void clear_padding_rows(
    const Walk* w, cython.floating* padded, Py_ssize_t width, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """Zeros in this thread's part of the padding."""
    cdef Py_ssize_t i
    for i in range(w.rows + w.padding * me // team, w.rows + w.padding * (me + 1) // team):
        memset(padded + w.places[i] * width, 0, width * sizeof(cython.floating))


cdef inline Py_ssize_t _rows_of(const Walk* w, Py_ssize_t t0, Py_ssize_t t1, Py_ssize_t sequences) noexcept nogil:
    """Rows that the first of the sequences have in the steps t0 to t1."""
    cdef Py_ssize_t t, rows = 0
    for t in range(t0, t1):
        rows += min(count(w, t), sequences)
    return rows


cdef inline Py_ssize_t _row_share(
    const Walk* w, Py_ssize_t t0, Py_ssize_t t1, Py_ssize_t part, Py_ssize_t parts,
) noexcept nogil:
    """The first sequence of a part, so that parts differ as little as can be in their rows of the steps t0 to t1."""
    if w.offsets is NULL or part == 0 or part == parts:
        return w.batch * part // parts
    cdef Py_ssize_t low = 0, high = w.batch, middle, wanted = (start(w, t1) - start(w, t0)) * part // parts
    while low < high:
        middle = (low + high) // 2
        if _rows_of(w, t0, t1, middle) < wanted:
            low = middle + 1
        else:
            high = middle
    if low > 0 and wanted - _rows_of(w, t0, t1, low - 1) < _rows_of(w, t0, t1, low) - wanted:
        low -= 1
    return low


cdef inline bint splits_units(Py_ssize_t rows, Py_ssize_t steps, Py_ssize_t weights, Py_ssize_t team) noexcept nogil:
    """Whether threads share out the units of every step rather than its sequences. rows: of all steps; weights: bytes.

    Each then reads its part of the weights only, but waits for the others after every step. That pays where sequences
    are few, or not many and the weights outgrow a core's cache.
    """
    return rows < (FEW_EACH if weights <= CORE_CACHE else FEW_EACH_FAR) * team * steps


cdef inline Py_ssize_t _pairs(Py_ssize_t registers, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """The first register of a part. Parts have whole panels, but for the last."""
    return min(up(registers, 2) * part // parts * 2, registers)


cdef inline Share share(
    const Walk* w, Py_ssize_t t0, Py_ssize_t t1, Py_ssize_t me, Py_ssize_t team, Py_ssize_t itemsize,
) noexcept nogil:
    """What one thread does of the steps t0 to t1. Sequences are split, each thread walking through time on its own; or,
    where that pays (`splits_units`), units are, with a barrier a step. Layer norm needs whole rows."""
    cdef Share mine
    cdef Py_ssize_t weights = w.outputs * w.h_blocks * w.padded * itemsize
    mine.by_units = team > 1 and up(w.wide, 2) >= team and not w.normed and splits_units(
        start(w, t1) - start(w, t0), t1 - t0, weights, team)
    mine.row0, mine.row1, mine.q0, mine.q1, mine.out_q0, mine.out_q1 = 0, w.batch, 0, w.wide, 0, w.out_wide
    if mine.by_units:
        mine.q0, mine.q1 = _pairs(w.wide, me, team), _pairs(w.wide, me + 1, team)
        mine.out_q0, mine.out_q1 = _pairs(w.out_wide, me, team), _pairs(w.out_wide, me + 1, team)
    else:
        mine.row0, mine.row1 = _row_share(w, t0, t1, me, team), _row_share(w, t0, t1, me + 1, team)
    return mine


cdef inline bint side_by_side(const Walk* w, const Share* mine) noexcept nogil:
    """Whether a thread's registers of one block and of the next follow each other, in the weights as in the gates."""
    return w.packed and mine.q1 - mine.q0 == w.wide


# ---- Packed weights, forward: panels over the registers of all blocks, one block after the other ------------------


cdef inline void pack_gates(
    const cython.floating* W, Py_ssize_t k, const Walk* w, Py_ssize_t first, Py_ssize_t blocks, const int* gate,
    cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W[k, G * H] into panels of k rows each; this thread's part of them."""
    cdef Py_ssize_t j, i, u, all_ = up(blocks * w.wide, 2), width
    cdef cython.floating* panel
    for j in range(all_ * me // team, all_ * (me + 1) // team):
        panel, u = panels + j * k * w.nr, 2 * j % w.wide * w.lanes
        if u + w.nr <= w.hidden:
            pack_panel(W + gate[first + 2 * j // w.wide] * w.hidden + u, w.gates * w.hidden, k, w.nr, panel)
            continue
        for i in range(2 * j, 2 * j + 2):
            u, width = i % w.wide * w.lanes, 0
            if i < blocks * w.wide:
                width = min(w.lanes, w.hidden - u)
                pack_register(W + gate[first + i // w.wide] * w.hidden + u, w.gates * w.hidden, k, width,
                              panel + (i & 1) * w.lanes)
            else:
                pack_register(W, 0, k, 0, panel + w.lanes)


cdef inline void gate_product(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t rows, Py_ssize_t k, const cython.floating* W,
    const Walk* w, Py_ssize_t first, Py_ssize_t block, int gate, Py_ssize_t q0, Py_ssize_t q1,
    cython.floating* gates, const cython.floating* from_, Py_ssize_t from_row,
) noexcept nogil:
    """Registers q0 to q1 of one block of gates[rows] = from_ + a[rows, k] @ W. W: in panels, the first of them of block
    `first`, and q1 may lie in a later block; or, not packed, as it lies, in which `gate` is the block's."""
    cdef Py_ssize_t q = (block - first) * w.wide + q0, end = q + q1 - q0
    gates += block * w.padded + q0 * w.lanes
    if not w.packed:
        product(a, a_row, 1, rows, W + gate * w.hidden + q0 * w.lanes, w.gates * w.hidden, w.nr, k, gates, w.row,
                (q1 - q0) * w.lanes, from_, from_row)
        return
    if q & 1:  # the second register of a panel
        product(a, a_row, 1, rows, W + q // 2 * k * w.nr + w.lanes, w.nr, 0, k, gates, w.row, w.lanes, from_, from_row)
        q, gates, from_ = q + 1, gates + w.lanes, offset(from_, w.lanes)
    if q < end:
        product(a, a_row, 1, rows, W + q // 2 * k * w.nr, w.nr, k * w.nr, k, gates, w.row, (end - q) * w.lanes, from_,
                from_row)


# ---- Parameters by unit: biases by plain block, three peepholes, gains of x's gates and of h's ----------------------


cdef inline Py_ssize_t parameters_size(const Walk* w) noexcept nogil:
    return (plain_blocks(w) + 3 + 2 * w.gates) * w.padded


cdef inline void _pack_units(const cython.floating* values, const Walk* w, cython.floating* packed) noexcept nogil:
    cdef Py_ssize_t u
    for u in range(w.padded):
        packed[u] = values[u] if u < w.hidden else 0


cdef inline void pack_parameters(
    const cython.floating* b, const cython.floating* peepholes, const cython.floating* gains, const Walk* w,
    cython.floating* packed,
) noexcept nogil:
    """b: one block a gate, and for a GRU with the reset after the product one more, of n of h. NULL: none."""
    cdef Py_ssize_t g, to
    for g in range(plain_blocks(w)):
        to = (g + 1) % 3 if w.cell == GRU_AFTER and g < 3 else g
        _pack_units(b + g * w.hidden, w, packed + to * w.padded)
    packed += plain_blocks(w) * w.padded
    if peepholes is not NULL:
        for g in range(3):
            _pack_units(peepholes + g * w.hidden, w, packed + g * w.padded)
    packed += 3 * w.padded
    if gains is not NULL:
        for g in range(2 * w.gates):
            _pack_units(gains + g * w.hidden, w, packed + g * w.padded)


# ---- Packed weights, backward: the transpose, one panel per NR columns of k ---------------------------------------


cdef inline void pack_gates_transposed(
    const cython.floating* W, Py_ssize_t k, const Walk* w, Py_ssize_t first, Py_ssize_t blocks, const int* gate,
    cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W[k, G * H] transposed, into panels over k of blocks * padded rows each; this thread's part of them."""
    cdef Py_ssize_t j, b, u, at, all_ = up(k, w.nr)
    cdef cython.floating* panel
    # A unit of work is one block of one panel, so that few panels still occupy the team.
    for j in range(all_ * blocks * me // team, all_ * blocks * (me + 1) // team):
        b, at = j % blocks, (j // blocks) * w.nr
        panel = panels + (at * blocks + b * w.nr) * w.padded
        pack_panel_transposed(W + at * w.gates * w.hidden + gate[first + b] * w.hidden, w.gates * w.hidden, w.hidden,
                              min(w.nr, k - at), panel)
        for u in range(w.hidden * w.nr, w.padded * w.nr):
            panel[u] = 0


cdef inline void transposed_product(
    const cython.floating* da, Py_ssize_t rows, const cython.floating* W, const Walk* w, Py_ssize_t first,
    Py_ssize_t blocks, const int* gate, Py_ssize_t block0, Py_ssize_t block1, Py_ssize_t q0, Py_ssize_t q1,
    Py_ssize_t k, cython.floating* out, Py_ssize_t out_row, const cython.floating* from_,
) noexcept nogil:
    """out[rows, k] = from_ + da[rows, blocks block0 to block1] @ (those gates of W[k, G * H])^T, the columns of
    registers q0 to q1; q0 is the first of a panel. W: its transpose in panels of blocks `first` on; or, not packed and
    for few rows, as it lies."""
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef Py_ssize_t r, i, b, p, column = q0 * w.lanes, columns = min(q1 * w.lanes, k)
    cdef const cython.floating* row
    cdef const cython.floating* weights
    cdef int u, half, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if column >= columns:
        return
    if w.packed:
        product(da + block0 * w.padded, w.row, 1, rows,
                W + (column * blocks + (block0 - first) * w.nr) * w.padded, w.nr, blocks * w.padded * w.nr,
                (block1 - block0) * w.padded, out + column, out_row, columns - column,
                offset(from_, column), out_row)
        return
    for r in range(rows):
        for i in range(column, columns):
            for u in range(nr):
                sums[u] = 0
            for b in range(block0, block1):
                row, weights = da + r * w.row + b * w.padded, W + (i * w.gates + gate[b]) * w.hidden
                p = 0
                while p < w.hidden:  # a whole number of panels, else it would be packed
                    for u in range(nr):
                        sums[u] = madd(row[p + u], weights[p + u], sums[u])
                    p += nr
            half = nr // 2
            while half > 0:
                for u in range(half):
                    sums[u] = sums[u] + sums[u + half]
                half //= 2
            out[r * out_row + i] = sums[0] if from_ is NULL else from_[r * out_row + i] + sums[0]
