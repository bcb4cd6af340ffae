"""What a thread goes by on its way backward, and where the parts of its work area lie."""
cimport cython

from ..product._tile cimport FD_MR
from ._call cimport Call
from ._pack cimport parameters_size, transposed_size
from ._walk cimport BLOCK_ROWS, plain_blocks, Share, state_strips, strips, up, Walk, window_rows


cdef enum:
    NARROW = 8           # registers of a row of gates up to which a layer is narrow,
    NARROW_HEIGHT = 128  # and columns of x and h together


cdef struct BackwardWork:  # elements before each part of the work area; the first is the transpose of W_h
    Py_ssize_t W_x, W_r, parameters, da, plain, dout, dm, drh, rh, fresh, part, strips_h, strips_rh, strips_m, members
    Py_ssize_t strips_x, dx, sums, member, size

cdef struct Backward:      # what one thread of the team goes by
    const Walk* w
    const Call* k
    BackwardWork at
    Py_ssize_t me, team
    Share mine             # of the window from step t0 to t1, whose first row is `first`
    Py_ssize_t t0, t1, first

cdef struct Block:         # rows of a window: `row` of all, `slot` on in the window
    Py_ssize_t row, slot, rows
    bint add


cdef struct Sums:          # over rows: which of the work area's, as many as W_x or W_h has rows; registers of gates
    Py_ssize_t first, height, q0, q1


cdef inline bint few_registers(const Walk* w) noexcept nogil:
    return w.of_h.heads == 1 and w.blocks * w.wide <= NARROW and w.inputs + w.outputs <= NARROW_HEIGHT


cdef inline bint narrow(const Walk* w, const Call* k) noexcept nogil:
    """Whether a layer's rows are so narrow that packing them for the sums over rows costs more than it saves. What is
    multiplied must lie in rows one after the other."""
    return (few_registers(w) and w.places is NULL and k.state_mask is NULL and not w.normed and not w.projected
            and w.cell.late == 0)


cdef inline Py_ssize_t window_of(const Walk* w) noexcept nogil:
    """Rows of a window: its gradients stay in the second-level cache, of which layer norm takes twice as much a row."""
    return BLOCK_ROWS // 2 if w.normed else BLOCK_ROWS


cdef inline BackwardWork backward_work(const Walk* w, Py_ssize_t team) noexcept nogil:
    cdef BackwardWork at
    cdef Py_ssize_t use = 1 if w.packed else 0, window = window_rows(w, window_of(w)), strip = BLOCK_ROWS * FD_MR
    cdef bint reset = w.cell.late > 0
    at.W_x = use * transposed_size(w, &w.of_h)
    at.W_r = at.W_x + use * transposed_size(w, &w.of_x)
    at.parameters = at.W_r + (w.outputs * up(w.hidden, w.nr) * w.nr if w.projected else 0)
    at.da = at.parameters + parameters_size(w)
    at.plain = at.da + window * w.row                                               # window: gradients of plain rows
    at.dout = at.plain + (window * plain_blocks(w) * w.padded if w.normed else 0)   # window: of h before projection
    at.dm = at.dout + (window * w.out_padded if w.projected else 0)                 # step: of what is projected
    at.drh = at.dm + (w.batch * w.padded if w.projected else 0)                     # step: of r h
    at.rh = at.drh + (w.batch * w.outputs if reset else 0)                          # window: r h
    at.fresh = at.rh + (window * w.padded if reset else 0)                          # window: c before zoneout
    at.part = at.fresh + (window * w.padded if w.peepholes else 0)                  # step: da W_h^T before the mask
    at.strips_x = at.part + w.batch * w.outputs
    at.strips_h = at.strips_x + strip * strips(w.inputs)
    at.strips_rh = at.strips_h + strip * state_strips(w)
    at.strips_m = at.strips_rh + (strip * strips(w.hidden) if reset else 0)
    at.dx = at.strips_m + (strip * strips(w.hidden) if w.projected else 0)          # window: dx before it is padded
    at.sums = at.dx + (window * w.inputs if w.places is not NULL else 0)            # dW_x and dW_h of a narrow layer
    at.members = at.sums + ((w.inputs + w.outputs) * w.blocks * w.padded if few_registers(w) else 0)
    at.member = 2 * BLOCK_ROWS * w.nr + (plain_blocks(w) + 2) * w.padded            # panels; a plain row; r h, and c
    at.size = at.members + team * at.member
    return at


cdef inline Py_ssize_t plain_row_size(const Walk* w) noexcept nogil:
    return plain_blocks(w) * w.padded if w.normed else w.row


cdef inline cython.floating* plain_row_of(cython.floating* work, const Backward* f, Py_ssize_t slot) noexcept nogil:
    """Where a row of the window has the gradients of pre-activations: in da, but for a layer-normed row."""
    if f.w.normed:
        return work + f.at.plain + slot * plain_row_size(f.w)
    return work + f.at.da + slot * f.w.row
