"""W_h in panels, and the products of a step with it: by one matrix or, by heads, by so many.

Rows have no padding, so all gates of one matrix are one product.
"""
cimport cython

from ..ground._registers cimport panel_width
from ..product._tile cimport pack_panel, pack_panel_transposed, product, strided
from ..recurrent._heads cimport head_product, pack_heads, pack_heads_transposed, transposed_head_product
from ..recurrent._walk cimport Part, Range, Share, up, Walk


cdef inline void pack_matrix(
    const cython.floating* W, Py_ssize_t k, Py_ssize_t columns, bint transposed, cython.floating* panels,
    Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """W (k, columns), or transposed from (columns, k), into panels; this thread's share of them."""
    cdef Py_ssize_t nr = panel_width(W), j, count = up(columns, nr), width
    for j in range(count * me // team, count * (me + 1) // team):
        width = min(nr, columns - j * nr)
        if transposed:
            pack_panel_transposed(W + j * nr * k, k, k, width, panels + j * k * nr)
        else:
            pack_panel[cython.floating](W + j * nr, columns, k, width, panels + j * k * nr)


cdef inline void pack_state_weights(
    const Walk* w, const cython.floating* W_h, bint transposed, cython.floating* panels, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """This thread's share of them."""
    cdef Py_ssize_t wide = w.gates * w.hidden
    if w.of_h.heads == 1 and transposed:
        pack_matrix[cython.floating](W_h, wide, w.hidden, True, panels, me, team)
    elif w.of_h.heads == 1:
        pack_matrix[cython.floating](W_h, w.hidden, wide, False, panels, me, team)
    elif transposed:
        pack_heads_transposed(w, &w.of_h, W_h, panels, me, team)
    else:
        pack_heads(w, &w.of_h, W_h, panels, me, team)


cdef inline void add_state_products(
    const Walk* w, const Share* mine, const cython.floating* th, const cython.floating* panels, cython.floating* ta,
) noexcept nogil:
    """ta of a step += th W_h, for own rows and units."""
    cdef Py_ssize_t g, column, H = w.hidden, wide = w.row
    if w.of_h.heads > 1:
        _add_head_products[cython.floating](w, mine, th, panels, ta)
        return
    if not mine.by_units:
        ta += mine.row0 * wide
        product[cython.floating](ta, wide, strided(th + mine.row0 * H, H, 1), strided(panels, w.nr, H * w.nr),
                                 strided(ta, wide, 1), mine.row1 - mine.row0, H, wide)
        return
    for g in range(w.gates):
        column = g * H + mine.q0 * w.lanes
        product[cython.floating](ta + column, wide, strided(th, H, 1), strided(panels + column * H, w.nr, H * w.nr),
                                 strided(ta + column, wide, 1), w.batch, H, (mine.q1 - mine.q0) * w.lanes)


cdef inline void _add_head_products(
    const Walk* w, const Share* mine, const cython.floating* th, const cython.floating* panels, cython.floating* ta,
) noexcept nogil:
    """The same by heads."""
    cdef Range to
    cdef Py_ssize_t g, rows = mine.row1 - mine.row0
    th, ta = th + mine.row0 * w.hidden, ta + mine.row0 * w.row
    for g in range(w.gates):
        to.q0, to.q1 = g * w.wide + mine.q0, g * w.wide + mine.q1
        head_product[cython.floating](w, &w.of_h, th, rows, panels, to, ta, ta)


cdef inline void state_gradient(
    const Walk* w, const Share* mine, const cython.floating* da, const cython.floating* panels, cython.floating* dh,
) noexcept nogil:
    """dh of t - 1 = da W_h^T for own rows and units, added to what passes the product by, which is there."""
    cdef Py_ssize_t column = mine.q0 * w.lanes, wide = w.row
    cdef cython.floating* own = dh + mine.row0 * w.hidden + column
    cdef Part part
    if w.of_h.heads > 1:
        part.b0, part.b1, part.q0, part.q1 = 0, w.gates, mine.q0, mine.q1
        transposed_head_product(w, &w.of_h, da + mine.row0 * wide, mine.row1 - mine.row0, panels, part, own - column,
                                w.cell.carries)
        return
    product[cython.floating](own, w.hidden, strided(da + mine.row0 * wide, wide, 1),
                             strided(panels + column * wide, w.nr, wide * w.nr),
                             strided(own if w.cell.carries else NULL, w.hidden, 1),
                             mine.row1 - mine.row0, wide, min(mine.q1 * w.lanes, w.hidden) - column)
