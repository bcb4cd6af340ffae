"""What a walk of curvature brings: its arrays as pointers, and its `Walk`; and where a row of it begins."""
cimport numpy as cnp
from libc.string cimport memset

from ..ground._arrays cimport extent, fits, float_kind, reads, writes
from ..recurrent._call cimport take_heads
from ..recurrent._heads cimport heads_size
from ..recurrent._walk cimport (
    CELLS, describe, LSTM_COUPLED, multiplies, RNN_POINT, state_weights, table, up, Walk,
)


cdef struct Passes:           # arrays of a call, float or double as `kind` says; or where those of one step's row begin
    int kind
    const void* W_h           # of a diagonal recurrence its vector; NULL where h is multiplied by nothing
    void* work                # W_h in panels, where it is a matrix or some
    Py_ssize_t gates_row      # elements from one row of gate values to the next
    const void* gates         # values: of the GRU n, r, z and u = h W_hn + b_hn, of others in the order of W_x
    const void* h_before
    const void* h
    const void* c_before      # with n and m behind it, if the cell has such; so tc, dc and tdc, too
    const void* c
    const void* th_before     # tangents of the states and of the pre-activations; a GRU's products with h have the
    void* th                  # blocks r, z, u (ta), and those with x have r, z, n (tax)
    const void* tc_before
    void* tc
    void* ta
    void* tax
    const void* dy            # gradients: of the output, and of the states of this step, which become those before it
    void* dh
    void* dc
    void* kept_dh             # and the whole of them, as the step had them
    void* kept_dc
    void* da
    void* dax
    const void* tdy           # the tangents of those
    void* tdh
    void* tdc
    void* tda
    void* tdax


cdef inline Py_ssize_t itemsize_of(int kind) noexcept nogil:
    return 4 if kind == cnp.NPY_FLOAT else 8


cdef inline int _equal(Py_ssize_t got, Py_ssize_t expected) except -1:
    fits(got, expected)
    return fits(expected, got)


cdef inline bint apart(const Walk* w) noexcept nogil:
    """Whether a gate keeps the products of x and of h apart: it has a block for each."""
    return w.cell.blocks > w.cell.gates


cdef inline int take_shape(Walk* w, int cell, object W_h, object h, object a) except -1:
    """The walk of a plain cell. h: (steps + 1, batch, hidden); a: (steps, batch, columns of W_x)."""
    memset(w, 0, sizeof(Walk))
    fits(cell, 0)
    fits(CELLS - 1, cell)
    fits(cell != LSTM_COUPLED, 1)
    w.kind, w.cell = cell, &table[cell]
    fits(0, w.cell.late)  # a second phase has no tangents here
    w.steps, w.batch, w.hidden = extent(a, 0), extent(a, 1), extent(h, 2)
    w.rows, w.outputs = w.steps * w.batch, w.hidden
    fits(min(w.rows, w.hidden), 1)
    take_heads(w, W_h)
    describe(w, itemsize_of(float_kind(a)))
    return _equal(extent(a, 2), w.gates * w.hidden)


cdef inline int take_passes(Walk* w, Passes* p, tuple point, object a, object work) except -1:
    """point: cell, W_h (u of a diagonal recurrence, None without one), gate values (None where they are h), h, c (None
    without a cell state).

    Rows of the walk, unlike those of gate values, have no padding.
    """
    cell, W_h, gates, h, c = point
    take_shape(w, cell, W_h, h, a)
    memset(p, 0, sizeof(Passes))
    cdef int kind = float_kind(a)
    cdef Py_ssize_t nr = w.nr, wide = w.gates * w.hidden, steps = w.rows + w.batch
    p.kind, p.gates_row = kind, w.row
    w.row, w.padded, w.of_h.row = wide, w.hidden, w.hidden
    if state_weights(w) > 0:
        p.W_h = reads(W_h, kind, state_weights(w))
    if w.of_h.heads > 1:
        p.work = writes(work, kind, heads_size(w, &w.of_h))
    elif multiplies(w):  # as it is, or transposed
        p.work = writes(work, kind, max(w.hidden * up(wide, nr) * nr, wide * up(w.hidden, nr) * nr))
    if w.cell.point != RNN_POINT:
        p.gates = reads(gates, kind, w.rows * p.gates_row)
    p.h_before = reads(h, kind, steps * w.hidden)
    p.h = after(w, p.h_before, w.hidden, kind)
    if w.beside > 0:
        p.c_before = reads(c, kind, steps * w.beside)
        p.c = after(w, p.c_before, w.beside, kind)
    return 0


cdef inline void* moved(const void* p, Py_ssize_t size) noexcept nogil:
    return NULL if p is NULL else <char*> p + size


cdef inline void* after(const Walk* w, const void* before, Py_ssize_t width, int kind) noexcept nogil:
    """The states after a step, from those before it; width: numbers of a sequence."""
    return moved(before, w.batch * width * itemsize_of(kind))


cdef inline Passes row_of(
    const Walk* w, const Passes* p, Py_ssize_t t, Py_ssize_t sequence, Py_ssize_t item,
) noexcept nogil:
    """Where the row of a sequence at step t begins; item: bytes of a number."""
    cdef Passes s
    cdef Py_ssize_t row = t * w.batch + sequence, a = row * w.row * item
    cdef Py_ssize_t state = row * w.hidden * item, own = sequence * w.hidden * item
    cdef Py_ssize_t state_c = row * w.beside * item, own_c = sequence * w.beside * item
    s.W_h = p.W_h
    s.gates = moved(p.gates, row * p.gates_row * item)
    s.h_before, s.h = moved(p.h_before, state), moved(p.h, state)
    s.c_before, s.c = moved(p.c_before, state_c), moved(p.c, state_c)
    s.th_before, s.th = moved(p.th_before, state), moved(p.th, state)
    s.tc_before, s.tc = moved(p.tc_before, state_c), moved(p.tc, state_c)
    s.ta, s.tax = moved(p.ta, a), moved(p.tax, a)
    s.dy, s.dh, s.dc = moved(p.dy, state), moved(p.dh, own), moved(p.dc, own_c)
    s.kept_dh, s.kept_dc = moved(p.kept_dh, state), moved(p.kept_dc, state_c)
    s.da, s.dax = moved(p.da, a), moved(p.dax, a)
    s.tdy, s.tdh, s.tdc = moved(p.tdy, state), moved(p.tdh, own), moved(p.tdc, own_c)
    s.tda, s.tdax = moved(p.tda, a), moved(p.tdax, a)
    return s
