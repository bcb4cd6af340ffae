"""Layer normalisation of the gates (Ba, Kiros and Hinton 2016): each gate of x @ W_x and of h @ W_h by itself.

    v^ = (v - mean v) / sqrt(var v + epsilon) over the H units,    a = gain_x x^ + gain_h h^ + bias

A row keeps the v^ of all blocks, x's and then h's, and behind them 1 / sqrt(var + epsilon) of each. The *plain* row,
on which the point functions work, has the blocks that the cell would have without the norm.
"""
cimport cython
from libc.math cimport sqrt

from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT
from ._walk cimport GRU_AFTER, Walk


cdef inline cython.floating _total(cython.floating* lanes) noexcept nogil:
    """Sum of NR lanes, by halves: the order is fixed and the loops vectorize."""
    cdef int u, half = (FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE) // 2
    while half > 0:
        for u in range(half):
            lanes[u] = lanes[u] + lanes[u + half]
        half //= 2
    return lanes[0]


cdef inline void normalise(cython.floating* row, const Walk* w, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Blocks first to last of a row of products become v^."""
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating* v
    cdef cython.floating mean, scale, d
    cdef Py_ssize_t b, q, p, whole = w.hidden // w.nr
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for b in range(first, last):
        v = row + b * w.padded
        for u in range(nr):
            lanes[u] = 0
        for q in range(w.panels):  # products are zero beyond H, so they may be summed too
            for u in range(nr):
                lanes[u] = lanes[u] + v[q * nr + u]
        mean = _total(<cython.floating*> lanes) / w.hidden
        for u in range(nr):
            lanes[u] = 0
        for q in range(whole):
            for u in range(nr):
                d = v[q * nr + u] - mean
                lanes[u] = lanes[u] + d * d
        for p in range(whole * nr, w.hidden):
            d = v[p] - mean
            lanes[0] = lanes[0] + d * d
        scale = <cython.floating> (1 / sqrt(_total(<cython.floating*> lanes) / w.hidden + w.epsilon))
        for q in range(whole):
            for u in range(nr):
                v[q * nr + u] = (v[q * nr + u] - mean) * scale
        for p in range(whole * nr, w.hidden):
            v[p] = (v[p] - mean) * scale
        row[w.blocks * w.padded + b] = scale


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
    cdef cython.floating sums[FD_NR_FLOAT]
    cdef cython.floating alongs[FD_NR_FLOAT]
    cdef const cython.floating* v
    cdef const cython.floating* gain
    cdef const cython.floating* from_
    cdef cython.floating* to
    cdef cython.floating mean, along, scale, d
    cdef Py_ssize_t b, q, p
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for b in range(first, last):
        v, gain, from_, to = row + b * w.padded, gains + b * w.padded, plain_gradient(plain, w, b), da + b * w.padded
        scale = row[w.blocks * w.padded + b]
        for u in range(nr):
            sums[u] = alongs[u] = 0
        for q in range(w.panels):  # gains are zero beyond H
            for u in range(nr):
                d = gain[q * nr + u] * from_[q * nr + u]
                sums[u] = sums[u] + d
                alongs[u] = alongs[u] + d * v[q * nr + u]
        mean = _total(<cython.floating*> sums) / w.hidden
        along = _total(<cython.floating*> alongs) / w.hidden
        for q in range(w.panels):
            for u in range(nr):
                d = gain[q * nr + u] * from_[q * nr + u]
                to[q * nr + u] = scale * (d - mean - v[q * nr + u] * along)
        for p in range(w.hidden, w.padded):
            to[p] = 0
