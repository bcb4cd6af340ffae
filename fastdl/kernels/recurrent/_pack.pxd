"""Weights in panels, what has one number a unit, and the products of a row of gates with them."""
cimport cython

from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, madd
from ..product._tile cimport offset, pack_panel, pack_panel_transposed, pack_register, product
from ._call cimport Call, numbers
from ._heads cimport head_product, heads_size, pack_heads, pack_heads_transposed, transposed_head_product
from ._walk cimport DIAGONAL, flat, Part, plain_blocks, Range, Side, up, Walk


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
        product(a, side.row, 1, rows, W, w.gates * w.hidden, w.nr, k, gates, w.row, (to.q1 - to.q0) * w.lanes, start,
                start_row)
        return
    if q & 1:  # the second register of a panel
        product(a, side.row, 1, rows, W + q // 2 * k * w.nr + w.lanes, w.nr, 0, k, gates, w.row, w.lanes, start,
                start_row)
        q, gates, start = q + 1, gates + w.lanes, offset(start, w.lanes)
    if q + side.first * w.wide < to.q1:
        product(a, side.row, 1, rows, W + q // 2 * k * w.nr, w.nr, k * w.nr, k, gates, w.row,
                (to.q1 - side.first * w.wide - q) * w.lanes, start, start_row)


# ---- Parameters by unit: biases by plain block, three peepholes (or a diagonal recurrence's vector), gains


cdef inline Py_ssize_t parameters_size(const Walk* w) noexcept nogil:
    return (plain_blocks(w) + 3 + 2 * w.gates) * w.padded


cdef inline void _pack_units(const cython.floating* values, const Walk* w, cython.floating* packed) noexcept nogil:
    cdef Py_ssize_t u
    for u in range(w.padded):
        packed[u] = values[u] if u < w.hidden else 0


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


cdef inline Py_ssize_t transposed_size(const Walk* w, const Side* side) noexcept nogil:
    return up(side.k, w.nr) * w.nr * side.blocks * w.padded if side.heads == 1 else heads_size(w, side)


cdef inline void pack_gates_transposed(
    const Walk* w, const Side* side, const cython.floating* W, cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W[k, G * H] transposed, into panels over k of blocks * padded rows each; this thread's part of them."""
    cdef Py_ssize_t j, b, u, at, blocks = side.blocks, all_ = up(side.k, w.nr)
    cdef cython.floating* panel
    if side.heads > 1:
        pack_heads_transposed(w, side, W, panels, me, team)
        return
    # A unit of work is one block of one panel, so that few panels still occupy the team.
    for j in range(all_ * blocks * me // team, all_ * blocks * (me + 1) // team):
        b, at = j % blocks, (j // blocks) * w.nr
        panel = panels + (at * blocks + b * w.nr) * w.padded
        pack_panel_transposed(W + (at * w.gates + side.gate[side.first + b]) * w.hidden, w.gates * w.hidden, w.hidden,
                              min(w.nr, side.k - at), panel)
        for u in range(w.hidden * w.nr, w.padded * w.nr):
            panel[u] = 0


cdef inline void transposed_product(
    const Walk* w, const Side* side, const cython.floating* da, Py_ssize_t rows, const cython.floating* W, Part part,
    cython.floating* out, bint add,
) noexcept nogil:
    """out[rows, k] (+)= da[rows] @ W[k, G * H]^T, the blocks and columns that `part` says. W: its transpose in panels;
    or, not packed and for few rows, as it lies."""
    cdef Py_ssize_t column = part.q0 * w.lanes, columns = min(part.q1 * w.lanes, side.k)
    cdef Py_ssize_t height = side.blocks * w.padded
    cdef const cython.floating* start = NULL
    if column >= columns:
        return
    if side.heads > 1:
        transposed_head_product(w, side, da, rows, W, part, out, add)
        return
    if not w.packed:
        _few_products(w, side, da, rows, W, part, out, add)
        return
    out = out + column
    if add:
        start = out
    product(da + part.b0 * w.padded, w.row, 1, rows, W + column * height + (part.b0 - side.first) * w.nr * w.padded,
            w.nr, height * w.nr, (part.b1 - part.b0) * w.padded, out, side.k, columns - column, start, side.k)


cdef inline void _few_products(
    const Walk* w, const Side* side, const cython.floating* da, Py_ssize_t rows, const cython.floating* W, Part part,
    cython.floating* out, bint add,
) noexcept nogil:
    """The same with W as it lies: H is a whole number of panels then."""
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef Py_ssize_t r, i, b, p
    cdef const cython.floating* row
    cdef const cython.floating* weights
    cdef int u, half, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for r in range(rows):
        for i in range(part.q0 * w.lanes, min(part.q1 * w.lanes, side.k)):
            for u in range(nr):
                sums[u] = 0
            for b in range(part.b0, part.b1):
                row, weights = da + r * w.row + b * w.padded, W + (i * w.gates + side.gate[b]) * w.hidden
                p = 0
                while p < w.hidden:
                    for u in range(nr):
                        sums[u] = madd(row[p + u], weights[p + u], sums[u])
                    p += nr
            half = nr // 2
            while half > 0:
                for u in range(half):
                    sums[u] = sums[u] + sums[u + half]
                half //= 2
            out[r * side.k + i] = out[r * side.k + i] + sums[0] if add else sums[0]
