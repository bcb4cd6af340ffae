"""Layer normalisation of the gates (Ba, Kiros and Hinton 2016): each gate of x @ W_x and of h @ W_h by itself.

    v^ = (v - mean v) / sqrt(var v + epsilon) over the H units,    a = gain_x x^ + gain_h h^ + bias

A row keeps the v^ of all blocks, x's and then h's, and behind them 1 / sqrt(var + epsilon) of each. The *plain* row,
on which the point functions work, has the blocks that the cell would have without the norm.
"""
cimport cython
from libc.math cimport sqrt

from ._walk cimport GRU_AFTER, Walk


cdef inline void normalise(cython.floating* row, const Walk* w, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Blocks first to last of a row of products become v^."""
    cdef Py_ssize_t b, u
    cdef cython.floating* v
    cdef double mean, square, scale
    for b in range(first, last):
        v = row + b * w.padded
        mean = square = 0
        for u in range(w.hidden):
            mean += v[u]
        mean /= w.hidden
        for u in range(w.hidden):
            square += (v[u] - mean) * (v[u] - mean)
        scale = 1 / sqrt(square / w.hidden + w.epsilon)
        for u in range(w.hidden):
            v[u] = <cython.floating> ((v[u] - mean) * scale)
        row[w.blocks * w.padded + b] = <cython.floating> scale


cdef inline void plain_gate(
    const cython.floating* row, cython.floating* plain, const cython.floating* bias, const cython.floating* gains,
    const Walk* w, Py_ssize_t gate,
) noexcept nogil:
    """Pre-activations of one gate from its v^. gains: of x's gates, then of h's; bias: by plain blocks."""
    cdef Py_ssize_t u, to
    cdef const cython.floating* of_x = row + gate * w.padded
    cdef const cython.floating* of_h = row + (w.gates + gate) * w.padded
    cdef const cython.floating* gain_x = gains + gate * w.padded
    cdef const cython.floating* gain_h = gains + (w.gates + gate) * w.padded
    if w.cell == GRU_AFTER and gate == 2:  # the two parts of n stay apart
        for u in range(w.padded):
            plain[u] = gain_x[u] * of_x[u] + bias[u]
            plain[3 * w.padded + u] = gain_h[u] * of_h[u] + bias[3 * w.padded + u]
        return
    to = (gate + 1 if w.cell == GRU_AFTER else gate) * w.padded
    for u in range(w.padded):
        plain[to + u] = gain_x[u] * of_x[u] + gain_h[u] * of_h[u] + bias[to + u]


cdef inline const cython.floating* plain_gradient(const cython.floating* plain, const Walk* w,
                                                  Py_ssize_t block) noexcept nogil:
    """Where the plain row of gradients has that of a block of the normed row."""
    cdef Py_ssize_t gate = block % w.gates
    if w.cell != GRU_AFTER:
        return plain + gate * w.padded
    if gate == 2:
        return plain if block < w.gates else plain + 3 * w.padded
    return plain + (gate + 1) * w.padded


cdef inline void normalise_backward(
    const cython.floating* row, const cython.floating* plain, const cython.floating* gains, const Walk* w,
    Py_ssize_t first, Py_ssize_t last, cython.floating* da,
) noexcept nogil:
    """da of blocks first to last from the plain row's: scale (d - mean d - v^ mean (d v^)) with d = gain da."""
    cdef Py_ssize_t b, u
    cdef const cython.floating* v
    cdef const cython.floating* gain
    cdef const cython.floating* from_
    cdef double mean, along, scale, d
    for b in range(first, last):
        v, gain, from_ = row + b * w.padded, gains + b * w.padded, plain_gradient(plain, w, b)
        scale = row[w.blocks * w.padded + b]
        mean = along = 0
        for u in range(w.hidden):
            d = gain[u] * from_[u]
            mean += d
            along += d * v[u]
        mean /= w.hidden
        along /= w.hidden
        for u in range(w.hidden):
            d = gain[u] * from_[u]
            da[b * w.padded + u] = <cython.floating> (scale * (d - mean - v[u] * along))
        for u in range(w.hidden, w.padded):
            da[b * w.padded + u] = 0
