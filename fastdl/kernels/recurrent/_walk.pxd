"""What the walks over time share, forward and backward: shapes, cells, layouts, who does what, packed weights.

Rows. The sequences of a batch are sorted by falling length, and row `start(t) + r` belongs to sequence r at step t:
step t has as many rows as there are sequences longer than t, so a ragged batch costs what it holds.

Places. What has a time and a sequence for the caller, too (x, h, c, their gradients, masks) stays as it lies: row i of
the walk is row place(i) of a padded array, whose other rows are padding. In front of all h and of all c are `batch`
rows for the initial states; `before` and `after` are the rows where a step reads and writes.

Blocks. A row of gates holds one block of `padded` units per product: H rounded up to whole registers of `lanes`. Which
product has which block is the cell's, and said by its row of the table (_table.h). Of a layer-normed row all blocks are
apart, those of x first, and the *plain* row made of it has the cell's own.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from ..ground._vec cimport FD_VECTOR_BYTES, lanes
from ..product._tile cimport FD_MR


cdef extern from "_table.h" nogil:
    enum:
        RNN_RELU "FD_RNN_RELU"
        LSTM "FD_LSTM"
        LSTM_COUPLED "FD_LSTM_COUPLED"
        GRU_AFTER "FD_GRU_AFTER"
        CELLS "FD_CELLS"
        DENSE "FD_DENSE"
        HEADS "FD_HEADS"
        DIAGONAL "FD_DIAGONAL"
        RNN_POINT "FD_RNN_POINT"
        LSTM_POINT "FD_LSTM_POINT"
        GRU_POINT "FD_GRU_POINT"
        MINGRU_POINT "FD_MINGRU_POINT"
        SLSTM_POINT "FD_SLSTM_POINT"
    ctypedef struct Cell "fd_cell":
        const char* name
        int point, form, recurrence, gates, biases, states, carries, blocks, first_of_h, late
        int x_gate[4]
        int h_gate[4]
        int bias[4]
        int peephole[4]
    const Cell* table "fd_cells"

cdef enum:
    FEW_ROWS = 4             # up to so many rows in all, packing the weights would cost more than it saves
    CORE_CACHE = 768 * 1024  # bytes of recurrent weights that one thread can keep close
    FEW_EACH = 4             # sequences for each thread, below which the tile has too few rows;
    FEW_EACH_FAR = 10        # the same, where the weights come from further away
    BLOCK_ROWS = 256         # rows (time x batch) that a sum over them takes at most at a time
    MOST_BLOCKS = 8

cdef struct Side:                         # x @ W_x, or h @ W_h
    Py_ssize_t first, blocks              # blocks of a row of gates that it has
    Py_ssize_t k, row                     # columns of x or h, and elements from row to row where they are multiplied
    Py_ssize_t heads                      # parts of them with a matrix each: 1, or of h some more (_heads.pxd)
    int gate[MOST_BLOCKS]                 # which gate each block of a row of gates takes of it; -1: none

cdef struct Walk:
    Py_ssize_t steps, batch, rows, inputs, hidden, outputs, gates  # rows: of all steps; outputs: of h, H or projected
    const int64_t* offsets                # first row of every step, and their number; NULL: `batch` each
    const int64_t* places                 # where the rows lie in padded arrays, then their padding; NULL: in order
    Py_ssize_t padding                    # rows of it
    const Cell* cell                      # its row of the table
    int kind                              # and which one that is
    bint normed, projected, peepholes
    Py_ssize_t lanes, nr                  # numbers of a register, and of a panel: two of them
    Py_ssize_t heads                      # of the recurrence, 0 counts as 1
    Py_ssize_t beside                     # numbers of a sequence beside h: of c, or of c, n and m
    Py_ssize_t wide, padded               # registers, and units, of a block
    Py_ssize_t out_wide, out_padded       # the same for what h has
    Py_ssize_t blocks, row                # of a row of gates, and elements from one to the next
    Side of_x, of_h
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

cdef struct Range:                        # registers of a row of gates
    Py_ssize_t q0, q1

cdef struct Part:                         # of a transposed product: blocks of a row of gates, registers of x or h
    Py_ssize_t b0, b1, q0, q1

cdef struct Row:                          # what one sequence has at one step: where it begins, or NULL
    Py_ssize_t at, out_at                 # its first unit in a mask of candidates or c, and of h
    const void* peepholes                 # three blocks; of a diagonal recurrence its vector
    const void* state_mask
    const void* h_before
    const void* c_before                  # with n and m behind it, if the cell has such; so c and dc, too
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


cdef inline Py_ssize_t pitch(Py_ssize_t registers, Py_ssize_t numbers) noexcept nogil:
    """Elements from row to row of so many registers, each of so many numbers. Rows a multiple of 2 KB apart would
    compete for the same lines of the first-level cache; five lines more spread them."""
    if registers * FD_VECTOR_BYTES % 2048 == 0:
        return registers * numbers + 5 * 64 * numbers // FD_VECTOR_BYTES
    return registers * numbers


cdef inline Py_ssize_t flat(const Walk* w, Py_ssize_t blocks) noexcept nogil:
    """Columns of so many blocks in whole panels."""
    return up(blocks * w.wide, 2) * w.nr


cdef inline void describe(Walk* w, Py_ssize_t itemsize) noexcept nogil:
    """Everything that follows from cell, shape and norm, which are there: `inputs`, `hidden`, `outputs` and so on."""
    w.lanes = lanes(itemsize)
    w.nr = 2 * w.lanes
    w.wide, w.out_wide = up(w.hidden, w.lanes), up(w.outputs, w.lanes)
    w.padded, w.out_padded = w.wide * w.lanes, w.out_wide * w.lanes
    w.gates, w.beside = w.cell.gates, (w.cell.states - 1) * w.hidden
    _choose_blocks(w)
    w.of_x.k = w.of_x.row = w.inputs
    w.of_h.k, w.of_h.row = w.outputs, pitch(w.out_wide, w.lanes)
    w.of_x.heads, w.of_h.heads = 1, max(w.heads, 1)
    w.blocks = w.of_h.first + w.of_h.blocks
    w.row = pitch(w.blocks * w.wide, w.lanes)
    if w.normed:  # and the 1 / standard deviation of every block, behind them
        w.row += up(MOST_BLOCKS, w.lanes) * w.lanes
    w.packed = (w.rows > FEW_ROWS or w.hidden % w.nr or w.outputs % w.nr or w.offsets is not NULL or w.normed
                or w.of_h.heads > 1)


cdef inline void _choose_blocks(Walk* w) noexcept nogil:
    """The cell's blocks, or with layer norm one for every gate of x and one for every gate of h."""
    cdef Py_ssize_t b
    for b in range(MOST_BLOCKS):
        w.of_x.gate[b] = w.of_h.gate[b] = -1
    w.of_x.first, w.of_h.first = 0, w.gates if w.normed else w.cell.first_of_h
    w.of_x.blocks, w.of_h.blocks = w.gates, w.gates if multiplies(w) else 0
    for b in range(w.gates if w.normed else w.cell.blocks):
        w.of_x.gate[b] = b if w.normed else w.cell.x_gate[b]
        if w.of_h.blocks > 0:
            w.of_h.gate[w.of_h.first + b if w.normed else b] = b if w.normed else w.cell.h_gate[b]


cdef inline bint multiplies(const Walk* w) noexcept nogil:
    """Whether h is multiplied by a matrix, or by one for each head."""
    return w.cell.recurrence == DENSE or w.cell.recurrence == HEADS


cdef inline Py_ssize_t head(const Side* side) noexcept nogil:
    """Columns of x or h that one matrix multiplies."""
    return side.k // side.heads


cdef inline bint carries(const Walk* w) noexcept nogil:
    """Whether h passes to the next step by another way than the product, too."""
    return w.cell.carries or w.zone_h is not NULL or w.rate_h != 0


cdef inline Py_ssize_t plain_blocks(const Walk* w) noexcept nogil:
    """Blocks of the same cell without layer norm: what the point functions work on."""
    return w.cell.blocks


cdef inline Py_ssize_t state_weights(const Walk* w) noexcept nogil:
    """Elements of W_h, or of what stands in its place, if anything does."""
    if multiplies(w):
        return w.gates * w.hidden * head(&w.of_h)
    return w.gates * w.hidden if w.cell.recurrence == DIAGONAL else 0


cdef inline Py_ssize_t state_strips(const Walk* w) noexcept nogil:
    """Strips of the h that is multiplied by W_h."""
    return w.of_h.heads * strips(head(&w.of_h)) if w.of_h.blocks > 0 else 0


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


cdef inline bint parts_units(const Walk* w) noexcept nogil:
    """Whether the units of a thread may begin at any panel: those of a head do if it is whole panels."""
    return w.of_h.heads == 1 or head(&w.of_h) % w.nr == 0


cdef inline Py_ssize_t pairs(Py_ssize_t registers, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """The first register of a part. Parts have whole panels, but for the last."""
    return min(up(registers, 2) * part // parts * 2, registers)


cdef inline Share share(const Walk* w, Py_ssize_t t0, Py_ssize_t t1, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """What one thread does of the steps t0 to t1. Sequences are split, each thread walking through time on its own; or,
    where that pays (`splits_units`), units are, with a barrier a step. Layer norm needs whole rows."""
    cdef Share mine
    cdef Py_ssize_t weights = head(&w.of_h) * w.of_h.blocks * w.padded * FD_VECTOR_BYTES // w.lanes
    mine.by_units = team > 1 and up(w.wide, 2) >= team and not w.normed and parts_units(w) and splits_units(
        start(w, t1) - start(w, t0), t1 - t0, weights, team)
    mine.row0, mine.row1, mine.q0, mine.q1, mine.out_q0, mine.out_q1 = 0, w.batch, 0, w.wide, 0, w.out_wide
    if mine.by_units:
        mine.q0, mine.q1 = pairs(w.wide, me, team), pairs(w.wide, me + 1, team)
        mine.out_q0, mine.out_q1 = pairs(w.out_wide, me, team), pairs(w.out_wide, me + 1, team)
    else:
        mine.row0, mine.row1 = _row_share(w, t0, t1, me, team), _row_share(w, t0, t1, me + 1, team)
    return mine


cdef inline bint side_by_side(const Walk* w, const Share* mine) noexcept nogil:
    """Whether a thread's registers of one block and of the next follow each other, in the weights as in the gates."""
    return w.packed and mine.q1 - mine.q0 == w.wide
