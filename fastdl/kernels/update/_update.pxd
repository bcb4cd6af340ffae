"""Point formulas that every update rule shares.

`plain` is a constant at every call: the compiler makes one loop without the options (scale, decay, L1) and
one with them, so a plain rule pays nothing.
"""
from cython cimport floating
from libc.math cimport fabs, fabsf, sqrt, sqrtf
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, within


cdef inline int fits_piece(Py_ssize_t size, const Py_ssize_t[:, ::1] pieces, Py_ssize_t column) except -1:
    """One piece lies within its array. Several may be of several arrays, and go by distances from the first."""
    if pieces.shape[0] > 0:
        fits(pieces.shape[1], column + 1)
    if pieces.shape[0] == 1:
        fits(min(pieces[0, 0], pieces[0, column]), 0)
        fits(size, pieces[0, column] + pieces[0, 0])
    return 0


cdef inline int fits_rows(
    const floating[:, ::1] param, const int64_t[::1] rows, const floating[:, ::1] values,
) except -1:
    """Numbers of rows that there are, and a row of values for each."""
    fits(values.shape[0], rows.shape[0])
    fits(values.shape[1], param.shape[1])
    return within(&rows[0], rows.shape[0], param.shape[0]) if rows.shape[0] > 0 else 0


cdef inline floating root(floating x) noexcept nogil:
    return sqrtf(x) if floating is float else sqrt(x)


cdef inline floating magnitude(floating x) noexcept nogil:
    return fabsf(x) if floating is float else fabs(x)


cdef inline floating larger(floating x, floating y) noexcept nogil:
    """The larger of the two, NaN if either is (two selections: an `or` would not vectorize)."""
    y = x if x > y else y
    return x if x != x else y


cdef inline floating sign(floating x) noexcept nogil:
    """-1, 0 or 1; NaN stays."""
    cdef floating above = 1 if x > 0 else 0
    cdef floating below = 1 if x < 0 else 0
    return above - below if x == x else x


cdef inline floating gradient(floating g, floating p, floating scale, floating l2, bint plain) noexcept nogil:
    """scale g + l2 p: scale holds the clipping factor and, for `maximize`, the sign."""
    if plain:
        return g
    g = scale * g
    return g + l2 * p if l2 != 0 else g


cdef inline floating moved(
    floating p, floating change, floating keep, floating shrink, bint plain,
) noexcept nogil:
    """prox(keep p - change): keep = 1 - lr wd; the prox of shrink |p|, (1.9), moves p towards 0 by shrink."""
    if plain:
        return p - change
    p = keep * p - change
    # The soft threshold is p minus p clamped to [-shrink, shrink]. In this order of operands NaN stays and
    # shrink = 0 subtracts +0, which changes no bit.
    cdef floating inner = p if p > -shrink else -shrink
    return p - (inner if inner < shrink else shrink)


cdef inline bint is_plain(double scale, double l2, double keep, double shrink) noexcept nogil:
    return scale == 1 and l2 == 0 and keep == 1 and shrink == 0
