"""Weights in panels, what has one number a unit, and the products of a row of gates with them."""
cimport cython
from libc.string cimport memcpy, memset

from ..ground._vec cimport every, lane, set_lane, shift, total, vdouble, vec, vfloat
from ..product._tile cimport offset, pack_panel, pack_panel_transposed, pack_register, product, strided
from ._call cimport Call, numbers
from ._heads cimport head_product, heads_size, pack_heads, pack_heads_transposed, transposed_head_product
from ._walk cimport DIAGONAL, flat, Part, plain_blocks, Range, Side, up, Walk


cdef enum:
    FEW_COLUMNS = 4  # of x or h: up to so many, a gradient with respect to them is dot products


cdef inline void _pack_units(const cython.floating* values, const Walk* w, cython.floating* packed) noexcept nogil:
    memcpy(packed, values, w.hidden * sizeof(cython.floating))
    memset(packed + w.hidden, 0, (w.padded - w.hidden) * sizeof(cython.floating))


# ---- Forward: panels over the registers of all blocks, one block after the other --------------------------------


cdef inline Py_ssize_t packed_size(const Walk* w, const Side* side) noexcept nogil:
    return side.k * flat(w, side.blocks) if side.heads == 1 else heads_size(w, side)


cdef inline void pack_gates(
    const Walk* w, const Side* side, const cython.floating* W, cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W[k, G * H] into panels of k rows each; this thread's part of them."""
    cdef Py_ssize_t j, i, u, k = side.k, all_ = up(side.blocks * w.wide, 2), width
    cdef cython.floating* panel
    if side.heads > 1:
        pack_heads(w, side, W, panels, me, team)
        return
    for j in range(all_ * me // team, all_ * (me + 1) // team):
        panel, u = panels + j * k * w.nr, 2 * j % w.wide * w.lanes
        if u + w.nr <= w.hidden:
            pack_panel(W + side.gate[side.first + 2 * j // w.wide] * w.hidden + u, w.gates * w.hidden, k, w.nr, panel)
            continue
        for i in range(2 * j, 2 * j + 2):
            u, width = i % w.wide * w.lanes, 0
            if i < side.blocks * w.wide:
                width = min(w.lanes, w.hidden - u)
                pack_register(W + side.gate[side.first + i // w.wide] * w.hidden + u, w.gates * w.hidden, k, width,
                              panel + (i & 1) * w.lanes)
            else:
                pack_register(W, 0, k, 0, panel + w.lanes)


cdef inline void gate_product(
    const Walk* w, const Side* side, const cython.floating* a, Py_ssize_t rows, const cython.floating* W, Range to,
    cython.floating* gates, const cython.floating* start,
) noexcept nogil:
    """Registers `to` of a row of gates: gates[rows] = start + a[rows, k] @ W. W is in panels, and the registers may be
    of several blocks; or W is as it lies. start: the gates themselves, one row of a bias, or NULL."""
    cdef Py_ssize_t k = side.k, q = to.q0 - side.first * w.wide, start_row = w.row if start == gates else 0
    if side.heads > 1:
        head_product(w, side, a, rows, W, to, gates, start)
        return
    gates, start = gates + to.q0 * w.lanes, offset(start, to.q0 * w.lanes)
    if not w.packed:
        W = W + side.gate[to.q0 // w.wide] * w.hidden + to.q0 % w.wide * w.lanes
        product(gates, w.row, strided(a, side.row, 1), strided(W, w.gates * w.hidden, w.nr),
                strided(start, start_row, 1), rows, k, (to.q1 - to.q0) * w.lanes)
        return
    if q & 1:  # the second register of a panel
        product(gates, w.row, strided(a, side.row, 1), strided(W + q // 2 * k * w.nr + w.lanes, w.nr, 0),
                strided(start, start_row, 1), rows, k, w.lanes)
        q, gates, start = q + 1, gates + w.lanes, offset(start, w.lanes)
    if q + side.first * w.wide < to.q1:
        product(gates, w.row, strided(a, side.row, 1), strided(W + q // 2 * k * w.nr, w.nr, k * w.nr),
                strided(start, start_row, 1), rows, k, (to.q1 - side.first * w.wide - q) * w.lanes)


# ---- Parameters by unit: biases by plain block, three peepholes (or a diagonal recurrence's vector), gains


cdef inline Py_ssize_t parameters_size(const Walk* w) noexcept nogil:
    return (plain_blocks(w) + 3 + 2 * w.gates) * w.padded


cdef inline void pack_parameters(const Walk* w, const Call* k, cython.floating* packed) noexcept nogil:
    cdef Py_ssize_t g
    b, peepholes, gains = numbers(packed, k.b), numbers(packed, k.peepholes), numbers(packed, k.gains)
    W_h = numbers(packed, k.W_h)
    for g in range(plain_blocks(w)):
        _pack_units[cython.floating](b + w.cell.bias[g] * w.hidden, w, packed + g * w.padded)
    packed += plain_blocks(w) * w.padded
    if peepholes is not NULL:
        for g in range(3):
            _pack_units[cython.floating](peepholes + g * w.hidden, w, packed + g * w.padded)
    if w.cell.recurrence == DIAGONAL:
        for g in range(w.gates):
            _pack_units[cython.floating](W_h + g * w.hidden, w, packed + g * w.padded)
    packed += 3 * w.padded
    if gains is not NULL:
        for g in range(2 * w.gates):
            _pack_units[cython.floating](gains + g * w.hidden, w, packed + g * w.padded)


# ---- Backward: the transpose, one panel per NR columns of x or h --------------------------------------------------


cdef inline bint by_dots(const Walk* w, const Side* side) noexcept nogil:
    """Whether the transposed product is one dot product an element: with the weights as they lie, or of a few columns,
    which would use little of a panel."""
    return not w.packed or side.k <= FEW_COLUMNS


cdef inline Py_ssize_t transposed_size(const Walk* w, const Side* side) noexcept nogil:
    return up(side.k, w.nr) * w.nr * side.blocks * w.padded if side.heads == 1 else heads_size(w, side)


cdef inline void pack_gates_transposed(
    const Walk* w, const Side* side, const cython.floating* W, cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W[k, G * H] transposed, into panels over k of blocks * padded rows each; this thread's part of them. For dot
    products its rows, in whole registers."""
    cdef Py_ssize_t j, b, at, blocks = side.blocks, all_ = up(side.k, w.nr)
    cdef cython.floating* panel
    if side.heads > 1:
        pack_heads_transposed(w, side, W, panels, me, team)
        return
    if by_dots(w, side):
        for j in range(side.k * blocks * me // team, side.k * blocks * (me + 1) // team):
            at = (j // blocks * w.gates + side.gate[side.first + j % blocks]) * w.hidden
            _pack_units(W + at, w, panels + j * w.padded)
        return
    # A unit of work is one block of one panel, so that few panels still occupy the team.
    for j in range(all_ * blocks * me // team, all_ * blocks * (me + 1) // team):
        b, at = j % blocks, (j // blocks) * w.nr
        panel = panels + (at * blocks + b * w.nr) * w.padded
        pack_panel_transposed(W + (at * w.gates + side.gate[side.first + b]) * w.hidden, w.gates * w.hidden, w.hidden,
                              min(w.nr, side.k - at), panel)
        memset(panel + w.hidden * w.nr, 0, (w.padded - w.hidden) * w.nr * sizeof(cython.floating))


cdef inline void transposed_product(
    const Walk* w, const Side* side, const cython.floating* da, Py_ssize_t rows, const cython.floating* W, Part part,
    cython.floating* out, bint add,
) noexcept nogil:
    """out[rows, k] (+)= da[rows] @ W[k, G * H]^T, the blocks and columns that `part` says. W: its transpose in panels;
    or, for dot products, its rows: packed, or as they lie."""
    cdef Py_ssize_t column = part.q0 * w.lanes, columns = min(part.q1 * w.lanes, side.k)
    cdef Py_ssize_t height = side.blocks * w.padded
    cdef const cython.floating* start = NULL
    if column >= columns:
        return
    if side.heads > 1:
        transposed_head_product(w, side, da, rows, W, part, out, add)
        return
    if by_dots(w, side):
        if cython.floating is float:
            _dots[vfloat](w, side, <const vfloat*> da, rows, <const vfloat*> W, part, <vfloat*> out, add)
        else:
            _dots[vdouble](w, side, <const vdouble*> da, rows, <const vdouble*> W, part, <vdouble*> out, add)
        return
    out = out + column
    if add:
        start = out
    W = W + column * height + (part.b0 - side.first) * w.nr * w.padded
    product(out, side.k, strided(da + part.b0 * w.padded, w.row, 1), strided(W, w.nr, height * w.nr),
            strided(start, side.k, 1), rows, (part.b1 - part.b0) * w.padded, columns - column)


cdef inline double _dot(
    const Walk* w, const Side* side, const vec* da, const vec* weights, Part part,
) noexcept nogil:
    """A row of gates times one of W: registers with even numbers, those with odd ones, their sum, all lanes."""
    cdef Py_ssize_t b, q
    cdef vec even = every(da[0], 0), odd = even
    cdef const vec* a
    cdef const vec* of
    for b in range(part.b0, part.b1):
        a, of = da + b * w.wide, weights + (b - side.first if w.packed else side.gate[b]) * w.wide
        for q in range(0, w.wide - 1, 2):
            even = even + a[q] * of[q]
            odd = odd + a[q + 1] * of[q + 1]
        if w.wide & 1:
            even = even + a[w.wide - 1] * of[w.wide - 1]
    return total(even + odd)


cdef inline void _dots(
    const Walk* w, const Side* side, const vec* da, Py_ssize_t rows, const vec* W, Part part, vec* out, bint add,
) noexcept nogil:
    """The transposed product with the rows of W. Those that lie as the caller has them are whole registers long."""
    cdef Py_ssize_t r, i, row = (side.blocks if w.packed else w.gates) * w.wide
    cdef double sum_
    cdef const vec* gates
    for r in range(rows):
        gates = <const vec*> shift(da, r * w.row)
        for i in range(part.q0 * w.lanes, min(part.q1 * w.lanes, side.k)):
            sum_ = _dot(w, side, gates, W + i * row, part)
            set_lane(out, r * side.k + i, lane(<const vec*> out, r * side.k + i) + sum_ if add else sum_)
