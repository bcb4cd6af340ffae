"""A recurrence by heads: h in `heads` parts of D = H / heads columns, of which each has a matrix of its own.

W_h is (heads, D, G D). Part j of h times W_h[j] gives the gates of the units of part j, so a head is walked as the
small dense recurrence that it is: a product for each head and gate, whose columns lie in the gate's block from j D on.
Its panels begin with the head, and the last of a head may be part of one. A panel of head j, block b, number p is the
((j * blocks + b) * panels + p)-th, forward and transposed: D rows each way.

Columns of one head alone enter a product, so a NaN stays in its head.
"""
cimport cython

from ..product._tile cimport offset, out_of_line, pack_panel, pack_panel_transposed, product, Strided, strided
from ._walk cimport head, Part, Range, Side, up, Walk


cdef inline Py_ssize_t heads_size(const Walk* w, const Side* side) noexcept nogil:
    """Elements of all panels."""
    return side.heads * side.blocks * up(head(side), w.nr) * w.nr * head(side)


cdef inline Py_ssize_t _from(
    const Walk* w, const Side* side, Py_ssize_t j, Py_ssize_t b, Py_ssize_t unit,
) noexcept nogil:
    """Where the panel begins that begins with this unit of a head."""
    return ((j * side.blocks + b) * up(head(side), w.nr) + unit // w.nr) * head(side) * w.nr


cdef inline out_of_line pack_heads(
    const Walk* w, const Side* side, const cython.floating* W, cython.floating* packed, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """This thread's part of the panels."""
    cdef Py_ssize_t i, j, b, u, D = head(side), row = w.gates * D, panels = up(D, w.nr), all_ = side.blocks * panels
    for i in range(side.heads * all_ * me // team, side.heads * all_ * (me + 1) // team):
        j, b, u = i // all_, i // panels % side.blocks, i % panels * w.nr
        pack_panel(W + j * D * row + side.gate[side.first + b] * D + u, row, D, min(w.nr, D - u), packed + i * D * w.nr)


cdef inline out_of_line pack_heads_transposed(
    const Walk* w, const Side* side, const cython.floating* W, cython.floating* packed, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """The same of the transposes."""
    cdef Py_ssize_t i, j, b, u, D = head(side), row = w.gates * D, panels = up(D, w.nr), all_ = side.blocks * panels
    for i in range(side.heads * all_ * me // team, side.heads * all_ * (me + 1) // team):
        j, b, u = i // all_, i // panels % side.blocks, i % panels * w.nr
        pack_panel_transposed(W + (j * D + u) * row + side.gate[side.first + b] * D, row, D, min(w.nr, D - u),
                              packed + i * D * w.nr)


cdef inline out_of_line head_product(
    const Walk* w, const Side* side, const cython.floating* a, Py_ssize_t rows, const cython.floating* packed, Range to,
    cython.floating* gates, const cython.floating* start,
) noexcept nogil:
    """`gate_product` by heads: registers `to` of a row of gates, all of their blocks or, of one block, some that begin
    and end with a panel."""
    cdef Py_ssize_t b, j, at, first, last, D = head(side), start_row = w.row if start == gates else 0
    cdef Strided panels
    for b in range(to.q0 // w.wide, up(to.q1, w.wide)):
        for j in range(side.heads):
            first, last = max(0, (to.q0 - b * w.wide) * w.lanes - j * D), min(D, (to.q1 - b * w.wide) * w.lanes - j * D)
            if first < last:
                at = b * w.padded + j * D + first
                panels = strided(packed + _from(w, side, j, b - side.first, first), w.nr, D * w.nr)
                product(gates + at, w.row, strided(a + j * D, side.row, 1), panels,
                        strided(offset(start, at), start_row, 1), rows, D, last - first)


cdef inline out_of_line transposed_head_product(
    const Walk* w, const Side* side, const cython.floating* da, Py_ssize_t rows, const cython.floating* packed,
    Part part, cython.floating* out, bint add,
) noexcept nogil:
    """`transposed_product` by heads: block after block."""
    cdef Py_ssize_t b, j, at, first, last, D = head(side)
    cdef const cython.floating* start
    cdef Strided panels
    for j in range(side.heads):
        first, last = max(0, part.q0 * w.lanes - j * D), min(D, part.q1 * w.lanes - j * D)
        if first < last:
            at = j * D + first
            start = out + at if add else NULL
            for b in range(part.b0, part.b1):
                panels = strided(packed + _from(w, side, j, b - side.first, first), w.nr, D * w.nr)
                product(out + at, side.k, strided(da + b * w.padded + j * D, w.row, 1), panels,
                        strided(start, side.k, 1), rows, D, last - first)
                start = out + at
