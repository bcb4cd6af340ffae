"""The doors of curvature's kernels (see _arrays.pxd): an array that is empty counts nothing where None might stand."""
cimport cython

from ._arrays cimport fits
from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT

cdef enum:               # the cells, as the callers number them
    RNN_TANH = 0
    RNN_RELU = 1
    LSTM = 2
    GRU = 3


cdef inline Py_ssize_t area(const cython.floating[:, ::1] a) noexcept nogil:
    return a.shape[0] * a.shape[1]


cdef inline Py_ssize_t volume(const cython.floating[:, :, ::1] a) noexcept nogil:
    return a.shape[0] * a.shape[1] * a.shape[2]


cdef inline int fits_term(
    const cython.floating[:, ::1] a, const cython.floating[:, ::1] W, Py_ssize_t rows, Py_ssize_t columns,
) except -1:
    """A factor of so many rows, and its matrix of so many columns, or the transpose."""
    if a.shape[0] == 0:
        return 0
    fits(a.shape[0], rows)
    return fits(area[cython.floating](W), a.shape[1] * columns)


cdef inline int fits_affine(
    const cython.floating[:, ::1] a1, const cython.floating[:, ::1] W1, const cython.floating[:, ::1] a2,
    const cython.floating[:, ::1] W2, const cython.floating[:, ::1] a3, const cython.floating[:, ::1] W3,
    const cython.floating[:, ::1] start, const cython.floating[:, ::1] y,
) except -1:
    fits(min(area[cython.floating](y), area[cython.floating](a1)), 1)
    fits_term[cython.floating](a1, W1, y.shape[0], y.shape[1])
    fits_term[cython.floating](a2, W2, y.shape[0], y.shape[1])
    fits_term[cython.floating](a3, W3, y.shape[0], y.shape[1])
    if start.shape[0] == 0:
        return 0
    return fits(start.shape[0] * start.shape[1], y.shape[0] * y.shape[1] if start.shape[0] > 1 else y.shape[1])


cdef inline int fits_walk(
    int cell, const cython.floating[:, ::1] W_h, const cython.floating[:, ::1] gates, Py_ssize_t value_gate,
    const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c, const cython.floating[:, :, ::1] a,
    const cython.floating[:, :, ::1] ax, Py_ssize_t work,
) except -1:
    """What all walks over time touch. a, ax: (time, batch, gates of W_h), ax of the GRU alone."""
    cdef Py_ssize_t hidden = h.shape[2], wide = a.shape[2], rows = a.shape[0] * a.shape[1]
    cdef Py_ssize_t nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    fits(min(rows, hidden), 1)
    fits(cell, RNN_TANH)
    fits(GRU, cell)
    fits(-abs(wide - hidden * (4 if cell == LSTM else 3 if cell == GRU else 1)), 0)
    fits(area[cython.floating](W_h), hidden * wide)
    fits(work, max(hidden * ((wide + nr - 1) // nr) * nr, wide * ((hidden + nr - 1) // nr) * nr))
    if cell >= LSTM:
        fits(value_gate, 0)
        fits(gates.shape[0], rows)
        fits(gates.shape[1], 3 * value_gate + hidden)
    if cell == GRU:
        fits(volume[cython.floating](ax), rows * wide)
    return fits_states[cython.floating](cell, h, c, (a.shape[0] + 1) * a.shape[1] * hidden)


cdef inline int fits_states(
    int cell, const cython.floating[:, :, ::1] h, const cython.floating[:, :, ::1] c, Py_ssize_t needed,
) except -1:
    """Something of every h, and of every c where the cell has such."""
    fits(volume[cython.floating](c) if cell == LSTM else needed, needed)
    return fits(volume[cython.floating](h), needed)


cdef inline int fits_last(
    const cython.floating[:, ::1] dh, const cython.floating[:, ::1] dc, Py_ssize_t needed,
) except -1:
    """Something of the last h and c."""
    return fits(min(area[cython.floating](dh), area[cython.floating](dc)), needed)


cdef inline int fits_samples(
    const cython.floating[:, :, ::1] x, const cython.floating[:, :, ::1] da, const cython.floating[:, ::1] out,
    Py_ssize_t start, const cython.floating[:, ::1] work, Py_ssize_t panel, int num_threads,
) except -1:
    """(time, samples, any) twice, and a row of `out` for every sample, from column `start` on."""
    fits(min(volume[cython.floating](x), volume[cython.floating](da)), 1)
    fits(da.shape[0], x.shape[0])
    fits(-abs(da.shape[1] - x.shape[1]), 0)
    fits(out.shape[0], x.shape[1])
    fits(start, 0)
    fits(out.shape[1], start + x.shape[2] * da.shape[2])
    fits(work.shape[0], num_threads)
    return fits(work.shape[1], panel)
