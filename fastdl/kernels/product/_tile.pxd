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
    void fd_tile_float(
        int mr, int wide, int unroll, const float* a, Py_ssize_t a_row, Py_ssize_t a_k, const float* b, Py_ssize_t b_k,
        Py_ssize_t b_panel, Py_ssize_t k, float* c, Py_ssize_t c_row, const float* start, Py_ssize_t start_row)
    void fd_tile_double(
        int mr, int wide, int unroll, const double* a, Py_ssize_t a_row, Py_ssize_t a_k, const double* b,
        Py_ssize_t b_k, Py_ssize_t b_panel, Py_ssize_t k, double* c, Py_ssize_t c_row, const double* start,
        Py_ssize_t start_row)


cdef enum:
    ROW_BLOCK = 192    # rows of A at a time, all panels of B for each: so A is read from memory once
    K_BLOCK = 256      # inner dimension walked at a time, so that A's block stays in the second-level cache


cdef inline in_line _tile(
    const int mr, const int wide, const int unroll,
    const cython.floating* a, const Py_ssize_t a_row, const Py_ssize_t a_k,
    const cython.floating* b, const Py_ssize_t b_k, const Py_ssize_t b_panel, const Py_ssize_t k,
    cython.floating* c, const Py_ssize_t c_row,
    const cython.floating* start, const Py_ssize_t start_row,
) noexcept nogil:
    """mr rows x `wide` neighbouring registers: C = start + A @ B. With start_row 0 one row of start serves all."""
    if cython.floating is float:
        fd_tile_float(mr, wide, unroll, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
    else:
        fd_tile_double(mr, wide, unroll, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline in_line _packed_tile(
    const int mr, const int wide,
    const cython.floating* a, const Py_ssize_t a_row, const Py_ssize_t a_k,
    const cython.floating* b, const Py_ssize_t b_k, const Py_ssize_t b_panel, const Py_ssize_t k,
    cython.floating* c, const Py_ssize_t c_row,
    const cython.floating* start, const Py_ssize_t start_row,
) noexcept nogil:
    """The same, where A is row-major or a strip and B packed: known strides become part of the instructions, and four
    steps of k share what is left to count: 35 instructions for 24 multiply-adds instead of 44. Beside a neighbour on
    the same core, who takes half of all issue slots, a tile takes as long as it has instructions."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if a_k == 1 and b_k == nr:
        _tile(mr, wide, 4, a, a_row, 1, b, nr, b_panel, k, c, c_row, start, start_row)
    elif a_row == 1 and a_k == FD_MR and b_k == nr:
        _tile(mr, wide, 4, a, 1, FD_MR, b, nr, b_panel, k, c, c_row, start, start_row)
    else:
        _tile(mr, wide, 1, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


# The tile at its sizes. FD_MR rows of a panel or FD_PAIR_MR of two are the rule, the others take what is left; one or
# two rows alone would leave the arithmetic units waiting for each other, so they take several panels side by side.
cdef inline out_of_line _tile_full(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(FD_MR, 2, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_8(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(8 if FD_MR > 8 else FD_MR, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_5(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(5 if FD_MR >= 5 else FD_MR, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_4(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(4, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_3(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(3, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_2(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(2, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _tile_1(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(1, 2, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _pair_6(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(6 if FD_PAIR_MR >= 6 else FD_PAIR_MR, 4, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline out_of_line _pair_5(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(5 if FD_PAIR_MR >= 5 else FD_PAIR_MR, 4, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline out_of_line _pair_4(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(4 if FD_PAIR_MR >= 4 else FD_PAIR_MR, 4, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline out_of_line _pair_3(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(3 if FD_PAIR_MR >= 3 else FD_PAIR_MR, 4, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline out_of_line _pair_2(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start,
    Py_ssize_t start_row,
) noexcept nogil:
    _tile(2, 4, 1, a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)


cdef inline out_of_line _registers_1(
    int registers, const cython.floating* a, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t b_panel, Py_ssize_t k, cython.floating* c, const cython.floating* start,
) noexcept nogil:
    """One row against up to eight neighbouring registers. Fewer than four would wait for each other."""
    if registers == 8:
        _tile(1, 8, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 7:
        _tile(1, 7, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 6:
        _tile(1, 6, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 5:
        _tile(1, 5, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 4:
        _tile(1, 4, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 3:
        _tile(1, 3, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    elif registers == 2:
        _tile(1, 2, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)
    else:
        _tile(1, 1, 1, a, 0, a_k, b, b_k, b_panel, k, c, 0, start, 0)


cdef inline out_of_line _half_full(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _packed_tile(FD_MR, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _half_4(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(4, 1, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _half_2(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(2, 1, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline out_of_line _half_1(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k,
    Py_ssize_t k, cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    _tile(1, 1, 1, a, a_row, a_k, b, b_k, 0, k, c, c_row, start, start_row)


cdef inline void _panel(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """All rows against one full panel. A row alone would wait for itself: 7 are 4 and 3, and 13 are 8 and 5."""
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if left >= FD_MR and left != FD_MR + 1:
            step = FD_MR
            _tile_full(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif FD_MR > 8 and left >= 8 and left != 9:
            step = 8
            _tile_8(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif FD_MR > 5 and (left == 5 or left == 9):
            step = 5
            _tile_5(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif left >= 4 and left != 5:
            step = 4
            _tile_4(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif left >= 3:
            step = 3
            _tile_3(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif left == 2:
            step = 2
            _tile_2(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        else:
            step = 1
            _tile_1(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        left -= step
        a += step * a_row
        c += step * c_row
        start += step * start_row


cdef inline void _half_panel(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """All rows against one register of a panel."""
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if left >= FD_MR:
            step = FD_MR
            _half_full(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif left >= 4:
            step = 4
            _half_4(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        elif left >= 2:
            step = 2
            _half_2(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        else:
            step = 1
            _half_1(a, a_row, a_k, b, b_k, k, c, c_row, start, start_row)
        left -= step
        a += step * a_row
        c += step * c_row
        start += step * start_row


cdef inline void _pair(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t b_panel, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """All rows, two at least, against two neighbouring full panels. No row is left to be alone: 7 are 4 and 3."""
    cdef Py_ssize_t left = rows, step
    while left > 0:
        if FD_PAIR_MR >= 6 and left >= 6 and left != 7 and left != 8:
            step = 6
            _pair_6(a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
        elif FD_PAIR_MR >= 5 and left == 5:
            step = 5
            _pair_5(a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
        elif FD_PAIR_MR >= 4 and left >= 4:
            step = 4
            _pair_4(a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
        elif FD_PAIR_MR >= 3 and left >= 3:
            step = 3
            _pair_3(a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
        else:
            step = 2
            _pair_2(a, a_row, a_k, b, b_k, b_panel, k, c, c_row, start, start_row)
        left -= step
        a += step * a_row
        c += step * c_row
        start += step * start_row


cdef inline const cython.floating* offset(const cython.floating* start, Py_ssize_t column) noexcept nogil:
    if start is NULL:
        return NULL
    return start + column


cdef inline void _narrow_panel(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t k, Py_ssize_t width,
    cython.floating* c, Py_ssize_t c_row, const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """The last panel, with only `width` columns in C: computed beside C, MR rows at a time."""
    cdef cython.floating block[FD_MR * FD_NR_FLOAT]
    cdef Py_ssize_t nr = panel_width(a), m = 0, r, count
    while m < rows:
        count = min(rows - m, FD_MR)
        memset(block, 0, sizeof(block))
        for r in range(count):
            memcpy(block + r * nr, start + (m + r) * start_row, width * sizeof(cython.floating))
        if width <= nr // 2:
            _half_panel(a + m * a_row, a_row, a_k, count, b, b_k, k, block, nr, <const cython.floating*> block, nr)
        else:
            _panel(a + m * a_row, a_row, a_k, count, b, b_k, k, block, nr, <const cython.floating*> block, nr)
        for r in range(count):
            memcpy(c + (m + r) * c_row, block + r * nr, width * sizeof(cython.floating))
        m += count


cdef inline void _one_row(
    const cython.floating* a, Py_ssize_t a_k, const cython.floating* b, Py_ssize_t b_k, Py_ssize_t b_panel,
    Py_ssize_t k, cython.floating* c, Py_ssize_t columns, const cython.floating* start, Py_ssize_t start_step,
) noexcept nogil:
    """A row alone, eight registers at a time. The last ones, where they are not whole, are computed beside C."""
    cdef cython.floating block[4 * FD_NR_FLOAT]
    cdef Py_ssize_t j = 0, nr = panel_width(a), width, registers
    while j < columns:
        width = min(columns - j, 4 * nr)
        registers = (2 * width + nr - 1) // nr
        if 2 * width == registers * nr:
            _registers_1(registers, a, a_k, b, b_k, b_panel, k, c + j, start + j * start_step)
        else:
            memset(block, 0, registers * nr // 2 * sizeof(cython.floating))
            memcpy(block, start + j * start_step, width * sizeof(cython.floating))
            _registers_1(registers, a, a_k, b, b_k, b_panel, k, block, <const cython.floating*> block)
            memcpy(c + j, block, width * sizeof(cython.floating))
        j += width
        b += 4 * b_panel


cdef inline void _row_block(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t b_panel, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, Py_ssize_t columns,
    const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """The product for rows few enough that their part of A stays in the second-level cache."""
    cdef Py_ssize_t nr = panel_width(a), k0 = 0, depth, j
    cdef cython.floating zeros[4 * FD_NR_FLOAT]
    cdef const cython.floating* from_ = start
    cdef Py_ssize_t from_row = start_row, from_step = 1
    if start is NULL:
        # Rather than ask in every tile, start from a row of zeros that serves all rows and columns.
        memset(zeros, 0, sizeof(zeros))
        from_, from_row, from_step = zeros, 0, 0
    while k0 < k or k == 0:
        depth = min(k - k0, K_BLOCK)
        j = 0
        if rows == 1:
            _one_row(a, a_k, b + k0 * b_k, b_k, b_panel, depth, c, columns, from_, from_step)
            j = columns
        while (rows == 2 or (rows > 2 and FD_PAIR_MR > 2)) and columns - j >= 2 * nr:
            _pair(a, a_row, a_k, rows, b + (j // nr) * b_panel + k0 * b_k, b_k, b_panel, depth,
                  c + j, c_row, from_ + j * from_step, from_row)
            j += 2 * nr
        while columns - j >= nr:
            _panel(a, a_row, a_k, rows, b + (j // nr) * b_panel + k0 * b_k, b_k, depth,
                   c + j, c_row, from_ + j * from_step, from_row)
            j += nr
        if columns - j == nr // 2:
            _half_panel(a, a_row, a_k, rows, b + (j // nr) * b_panel + k0 * b_k, b_k, depth,
                        c + j, c_row, from_ + j * from_step, from_row)
        elif columns > j:
            _narrow_panel(a, a_row, a_k, rows, b + (j // nr) * b_panel + k0 * b_k, b_k, depth, columns - j,
                          c + j, c_row, from_ + j * from_step, from_row)
        if k == 0:
            return
        from_, from_row, from_step = c, c_row, 1
        a += depth * a_k
        k0 += depth


cdef inline void product(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_k, Py_ssize_t b_panel, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, Py_ssize_t columns,
    const cython.floating* start, Py_ssize_t start_row,
) noexcept nogil:
    """C[rows, columns] = start + A[rows, k] @ B[k, columns].

    b: first of the panels that cover the columns, b_panel elements apart; a last, narrower panel must be readable at
    the width of one register, or of two if it has more. start: NULL for zero, C itself to add, a bias with start_row
    0.
    """
    cdef Py_ssize_t m = 0, count
    while m < rows:
        count = min(rows - m, ROW_BLOCK)
        _row_block(a + m * a_row, a_row, a_k, count, b, b_k, b_panel, k, c + m * c_row, c_row, columns,
                   offset(start, m * start_row), start_row)
        m += count


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
