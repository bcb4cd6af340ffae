"""The matrix tile and the products made of it: C = start + A @ B, one thread's share at a time.

A tile holds MR rows x NR columns of C in registers and walks the inner dimension once: per step it loads one
row of B (NR wide) and MR single elements of A, and does MR * NR multiply-adds: see _tile.h for its sizes, and
_tile_body.h for the loop.

B comes in *panels* of NR columns: packed ones are contiguous, k rows of NR; a plain row-major matrix is also a
panel, with a larger step from row to row. A is addressed by two strides, so it may be transposed.

Every element of C is the same chain of fused multiply-adds over k, in order, whichever tile computes it. So
results depend neither on how rows and panels are split over threads nor on where a block begins.
"""
cimport cython
from libc.string cimport memcpy, memset

from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, in_line, madd, panel_width


cdef extern from "_tile.h" nogil:
    enum:
        FD_MR
        FD_PAIR_MR
    ctypedef void out_of_line "FD_OUT_OF_LINE void"
    ctypedef struct Strided "fd_strided":
        const void* at
        Py_ssize_t row, step
    ctypedef struct Product "fd_product":
        Strided a, b, start
        Py_ssize_t c_row, k
    void fd_tile_float(int mr, int wide, int unroll, float* c, const Product* o)
    void fd_tile_double(int mr, int wide, int unroll, double* c, const Product* o)


cdef enum:
    ROW_BLOCK = 192    # rows of A at a time, all panels of B for each: so A is read from memory once
    K_BLOCK = 256      # inner dimension walked at a time, so that A's block stays in the second-level cache


cdef inline Strided strided(const void* at, Py_ssize_t row, Py_ssize_t step) noexcept nogil:
    """Where a matrix of the product lies, and its strides in elements, see `product`."""
    cdef Strided o
    o.at, o.row, o.step = at, row, step
    return o


cdef inline const cython.floating* offset(const cython.floating* start, Py_ssize_t column) noexcept nogil:
    if start is NULL:
        return NULL
    return start + column


cdef inline in_line _tile(
    const int mr, const int wide, const int unroll, cython.floating* c, const Product* o,
) noexcept nogil:
    """mr rows x `wide` neighbouring registers: C = start + A @ B. With start.row 0 one row of start serves all."""
    if cython.floating is float:
        fd_tile_float(mr, wide, unroll, c, o)
    else:
        fd_tile_double(mr, wide, unroll, c, o)


cdef inline in_line _packed_tile(const int mr, const int wide, cython.floating* c, const Product* o) noexcept nogil:
    """The same, where A is row-major or a strip and B packed: known strides become part of the instructions, and four
    steps of k share what is left to count: 35 instructions for 24 multiply-adds instead of 44. Beside a neighbour on
    the same core, who takes half of all issue slots, a tile takes as long as it has instructions."""
    cdef Product known = o[0]
    known.b.row = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if o.a.step == 1 and o.b.row == known.b.row:
        known.a.step = 1
        _tile(mr, wide, 4, c, &known)
    elif o.a.row == 1 and o.a.step == FD_MR and o.b.row == known.b.row:
        known.a.row, known.a.step = 1, FD_MR
        _tile(mr, wide, 4, c, &known)
    else:
        _tile(mr, wide, 1, c, o)


# The tile at its sizes. FD_MR rows of a panel or FD_PAIR_MR of two are the rule, the others take what is left; one or
# two rows alone would leave the arithmetic units waiting for each other, so they take several panels side by side.
cdef inline out_of_line _tile_full(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(FD_MR, 2, c, o)


cdef inline out_of_line _tile_8(cython.floating* c, const Product* o) noexcept nogil:
    _tile(8 if FD_MR > 8 else FD_MR, 2, 1, c, o)


cdef inline out_of_line _tile_5(cython.floating* c, const Product* o) noexcept nogil:
    _tile(5 if FD_MR >= 5 else FD_MR, 2, 1, c, o)


cdef inline out_of_line _tile_4(cython.floating* c, const Product* o) noexcept nogil:
    _tile(4, 2, 1, c, o)


cdef inline out_of_line _tile_3(cython.floating* c, const Product* o) noexcept nogil:
    _tile(3, 2, 1, c, o)


cdef inline out_of_line _tile_2(cython.floating* c, const Product* o) noexcept nogil:
    _tile(2, 2, 1, c, o)


cdef inline out_of_line _tile_1(cython.floating* c, const Product* o) noexcept nogil:
    _tile(1, 2, 1, c, o)


cdef inline out_of_line _pair_6(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(6 if FD_PAIR_MR >= 6 else FD_PAIR_MR, 4, c, o)


cdef inline out_of_line _pair_5(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(5 if FD_PAIR_MR >= 5 else FD_PAIR_MR, 4, c, o)


cdef inline out_of_line _pair_4(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(4 if FD_PAIR_MR >= 4 else FD_PAIR_MR, 4, c, o)


cdef inline out_of_line _pair_3(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(3 if FD_PAIR_MR >= 3 else FD_PAIR_MR, 4, c, o)


cdef inline out_of_line _pair_2(cython.floating* c, const Product* o) noexcept nogil:
    _tile(2, 4, 1, c, o)


cdef inline out_of_line _registers_1(int registers, cython.floating* c, const Product* o) noexcept nogil:
    """One row against up to eight neighbouring registers. Fewer than four would wait for each other."""
    if registers == 8:
        _tile(1, 8, 1, c, o)
    elif registers == 7:
        _tile(1, 7, 1, c, o)
    elif registers == 6:
        _tile(1, 6, 1, c, o)
    elif registers == 5:
        _tile(1, 5, 1, c, o)
    elif registers == 4:
        _tile(1, 4, 1, c, o)
    elif registers == 3:
        _tile(1, 3, 1, c, o)
    elif registers == 2:
        _tile(1, 2, 1, c, o)
    else:
        _tile(1, 1, 1, c, o)


cdef inline out_of_line _half_full(cython.floating* c, const Product* o) noexcept nogil:
    _packed_tile(FD_MR, 1, c, o)


cdef inline out_of_line _half_4(cython.floating* c, const Product* o) noexcept nogil:
    _tile(4, 1, 1, c, o)


cdef inline out_of_line _half_2(cython.floating* c, const Product* o) noexcept nogil:
    _tile(2, 1, 1, c, o)


cdef inline out_of_line _half_1(cython.floating* c, const Product* o) noexcept nogil:
    _tile(1, 1, 1, c, o)


cdef inline cython.floating* _down(cython.floating* c, Product* o, Py_ssize_t rows) noexcept nogil:
    """A and start move so many rows down, and so does C, which is returned."""
    o.a.at = <const cython.floating*> o.a.at + rows * o.a.row
    o.start.at = <const cython.floating*> o.start.at + rows * o.start.row
    return c + rows * o.c_row


cdef inline void _panel(cython.floating* c, Product* o, Py_ssize_t rows) noexcept nogil:
    """All rows against one full panel. A row alone would wait for itself: 7 are 4 and 3, and 13 are 8 and 5."""
    cdef const void* a = o.a.at
    cdef const void* start = o.start.at
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if left >= FD_MR and left != FD_MR + 1:
            step = FD_MR
            _tile_full(c, o)
        elif FD_MR > 8 and left >= 8 and left != 9:
            step = 8
            _tile_8(c, o)
        elif FD_MR > 5 and (left == 5 or left == 9):
            step = 5
            _tile_5(c, o)
        elif left >= 4 and left != 5:
            step = 4
            _tile_4(c, o)
        elif left >= 3:
            step = 3
            _tile_3(c, o)
        elif left == 2:
            step = 2
            _tile_2(c, o)
        else:
            step = 1
            _tile_1(c, o)
        left -= step
        c = _down(c, o, step)
    o.a.at, o.start.at = a, start


cdef inline void _half_panel(cython.floating* c, Product* o, Py_ssize_t rows) noexcept nogil:
    """All rows against one register of a panel."""
    cdef const void* a = o.a.at
    cdef const void* start = o.start.at
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if left >= FD_MR:
            step = FD_MR
            _half_full(c, o)
        elif left >= 4:
            step = 4
            _half_4(c, o)
        elif left >= 2:
            step = 2
            _half_2(c, o)
        else:
            step = 1
            _half_1(c, o)
        left -= step
        c = _down(c, o, step)
    o.a.at, o.start.at = a, start


cdef inline void _pair(cython.floating* c, Product* o, Py_ssize_t rows) noexcept nogil:
    """All rows, two at least, against two neighbouring full panels. No row is left to be alone: 7 are 4 and 3."""
    cdef const void* a = o.a.at
    cdef const void* start = o.start.at
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if FD_PAIR_MR >= 6 and left >= 6 and left != 7 and left != 8:
            step = 6
            _pair_6(c, o)
        elif FD_PAIR_MR >= 5 and left == 5:
            step = 5
            _pair_5(c, o)
        elif FD_PAIR_MR >= 4 and left >= 4:
            step = 4
            _pair_4(c, o)
        elif FD_PAIR_MR >= 3 and left >= 3:
            step = 3
            _pair_3(c, o)
        else:
            step = 2
            _pair_2(c, o)
        left -= step
        c = _down(c, o, step)
    o.a.at, o.start.at = a, start


cdef inline void _narrow_panel(cython.floating* c, Product* o, Py_ssize_t rows, Py_ssize_t width) noexcept nogil:
    """The last panel, with only `width` columns in C: computed beside C, MR rows at a time."""
    cdef cython.floating block[FD_MR * FD_NR_FLOAT]
    cdef Py_ssize_t nr = panel_width(c), c_row = o.c_row, start_row = o.start.row, m = 0, r, count
    cdef const cython.floating* a = <const cython.floating*> o.a.at
    cdef const cython.floating* start = <const cython.floating*> o.start.at
    o.c_row, o.start.at, o.start.row = nr, block, nr
    while m < rows:
        count = min(rows - m, FD_MR)
        memset(block, 0, sizeof(block))
        for r in range(count):
            memcpy(block + r * nr, start + (m + r) * start_row, width * sizeof(cython.floating))
        o.a.at = a + m * o.a.row
        if width <= nr // 2:
            _half_panel(block, o, count)
        else:
            _panel(block, o, count)
        for r in range(count):
            memcpy(c + (m + r) * c_row, block + r * nr, width * sizeof(cython.floating))
        m += count
    o.a.at, o.c_row = a, c_row


cdef inline cython.floating* _right(cython.floating* c, Product* o, Py_ssize_t panels) noexcept nogil:
    """B and start move so many panels to the right, and so does C, which is returned."""
    cdef Py_ssize_t columns = panels * panel_width(c)
    o.b.at = <const cython.floating*> o.b.at + panels * o.b.step
    o.start.at = <const cython.floating*> o.start.at + columns * o.start.step
    return c + columns


cdef inline void _one_row(cython.floating* c, Product* o, Py_ssize_t columns) noexcept nogil:
    """A row alone, eight registers at a time. The last ones, where they are not whole, are computed beside C."""
    cdef cython.floating block[4 * FD_NR_FLOAT]
    cdef Py_ssize_t nr = panel_width(c), left = columns, width, registers
    while left > 0:
        width = min(left, 4 * nr)
        registers = (2 * width + nr - 1) // nr
        if 2 * width == registers * nr:
            _registers_1(registers, c, o)
        else:
            memset(block, 0, registers * nr // 2 * sizeof(cython.floating))
            memcpy(block, o.start.at, width * sizeof(cython.floating))
            o.start.at = block
            _registers_1(registers, block, o)
            memcpy(c, block, width * sizeof(cython.floating))
        c, left = _right(c, o, 4), left - width


cdef inline void _columns(cython.floating* c, Product* o, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """All columns over one block of k: b, start and C go from panel to panel."""
    cdef Py_ssize_t nr = panel_width(c), left = columns
    if rows == 1:
        _one_row(c, o, columns)
        return
    while (rows == 2 or (rows > 2 and FD_PAIR_MR > 2)) and left >= 2 * nr:
        _pair(c, o, rows)
        c, left = _right(c, o, 2), left - 2 * nr
    while left >= nr:
        _panel(c, o, rows)
        c, left = _right(c, o, 1), left - nr
    if left == nr // 2:
        _half_panel(c, o, rows)
    elif left > 0:
        _narrow_panel(c, o, rows, left)


cdef inline void _row_block(cython.floating* c, Product* o, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """The product for rows few enough that their part of A stays in the second-level cache; k leaves as it was."""
    cdef cython.floating zeros[4 * FD_NR_FLOAT]
    cdef const cython.floating* a = <const cython.floating*> o.a.at
    cdef const cython.floating* b = <const cython.floating*> o.b.at
    cdef Py_ssize_t k = o.k, k0 = 0
    if o.start.at is NULL:
        # Rather than ask in every tile, start from a row of zeros that serves all rows and columns.
        memset(zeros, 0, sizeof(zeros))
        o.start.at, o.start.row, o.start.step = zeros, 0, 0
    while k0 < k or k0 == 0:
        o.k = min(k - k0, K_BLOCK)
        o.a.at, o.b.at = a + k0 * o.a.step, b + k0 * o.b.row
        _columns(c, o, rows, columns)
        o.start.at, o.start.row, o.start.step = c, o.c_row, 1
        k0 += K_BLOCK
    o.k = k


cdef inline out_of_line _row_blocks(
    cython.floating* c, Product* o, Py_ssize_t rows, Py_ssize_t columns,
) noexcept nogil:
    cdef Py_ssize_t m = 0, count, start_row = o.start.row, start_step = o.start.step
    cdef const cython.floating* a = <const cython.floating*> o.a.at
    cdef const cython.floating* start = <const cython.floating*> o.start.at
    cdef const void* b = o.b.at
    while m < rows:
        count = min(rows - m, ROW_BLOCK)
        o.a.at, o.b.at = a + m * o.a.row, b
        o.start.at, o.start.row, o.start.step = offset(start, m * start_row), start_row, start_step
        _row_block(c + m * o.c_row, o, count, columns)
        m += count


cdef inline in_line product(
    cython.floating* c, Py_ssize_t c_row, Strided a, Strided b, Strided start,
    Py_ssize_t rows, Py_ssize_t k, Py_ssize_t columns,
) noexcept nogil:
    """C[rows, columns] = start + A[rows, k] @ B[k, columns].

    a: a row is a.row elements from the last, a column a.step. b: first of the panels that cover the columns, whose rows
    are b.row apart, never 0, and which are b.step apart; a last, narrower panel must be readable at the width of one
    register, or of two if it has more. start: NULL for zero, C itself to add, a bias with row 0; its step is 1.

    In line, so that the structs are numbers in registers. What has been stored number by number is not copied as a
    whole on the way to the tile: a wide load waits until narrow stores before it have reached the cache.
    """
    cdef Product o
    o.a, o.b, o.start, o.c_row, o.k = a, b, start, c_row, k
    _row_blocks(c, &o, rows, columns)


cdef inline cython.floating dot(const cython.floating* a, const cython.floating* b, Py_ssize_t k) noexcept nogil:
    """sum of a * b: NR partial sums, then their sum in order."""
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating total = 0
    cdef Py_ssize_t p = 0
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        lanes[u] = 0
    while p + nr <= k:
        for u in range(nr):
            lanes[u] = madd(a[p + u], b[p + u], lanes[u])
        p += nr
    for u in range(nr):
        total = total + lanes[u]
    while p < k:
        total = madd(a[p], b[p], total)
        p += 1
    return total


cdef inline void pack_panel(
    const cython.floating* b, Py_ssize_t b_row, Py_ssize_t k, Py_ssize_t width, cython.floating* panel,
) noexcept nogil:
    """panel[k, NR] = B[k, width], the rest zero."""
    cdef Py_ssize_t nr = panel_width(b), p
    if width == nr:
        for p in range(k):
            memcpy(panel + p * nr, b + p * b_row, FD_NR_FLOAT * sizeof(float))  # a few moves: a constant size
        return
    for p in range(k):
        memcpy(panel + p * nr, b + p * b_row, width * sizeof(cython.floating))
        memset(panel + p * nr + width, 0, (nr - width) * sizeof(cython.floating))


cdef inline void pack_register(
    const cython.floating* b, Py_ssize_t b_row, Py_ssize_t k, Py_ssize_t width, cython.floating* half,
) noexcept nogil:
    """One register of each row of a panel = B[k, width], the rest zero."""
    cdef Py_ssize_t nr = panel_width(b), p
    for p in range(k):
        memcpy(half + p * nr, b + p * b_row, width * sizeof(cython.floating))
        memset(half + p * nr + width, 0, (nr // 2 - width) * sizeof(cython.floating))


cdef inline void pack_panel_transposed(
    const cython.floating* b, Py_ssize_t b_row, Py_ssize_t k, Py_ssize_t width, cython.floating* panel,
) noexcept nogil:
    """panel[k, NR] = B[width, k] transposed, the rest zero."""
    cdef Py_ssize_t nr = panel_width(b), p0, p, j, depth
    for p0 in range(0, k, 16):  # 16 rows of the panel at a time: they stay in the first-level cache
        depth = min(k - p0, 16)
        if width < nr:
            memset(panel + p0 * nr, 0, depth * nr * sizeof(cython.floating))
        for j in range(width):
            for p in range(p0, p0 + depth):
                panel[p * nr + j] = b[j * b_row + p]


cdef inline void pack_rows(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t k, Py_ssize_t rows, cython.floating* strip,
) noexcept nogil:
    """strip[k, MR] = the first `rows` (at most MR) columns of A[k, ...]: A transposed, ready for the tile."""
    cdef Py_ssize_t p, r
    if rows == FD_MR:
        for p in range(k):
            memcpy(strip + p * FD_MR, a + p * a_row, FD_MR * sizeof(cython.floating))  # a few moves: a constant size
    else:
        for p in range(k):
            for r in range(rows):
                strip[p * FD_MR + r] = a[p * a_row + r]
