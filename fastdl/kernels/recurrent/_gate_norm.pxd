"""Layer normalisation of the gates (Ba, Kiros and Hinton 2016): each gate of x @ W_x and of h @ W_h by itself.

    v^ = (v - mean v) / sqrt(var v + epsilon) over the H units,    a = gain_x x^ + gain_h h^ + bias

A row keeps the v^ of all blocks, x's and then h's, and behind them 1 / sqrt(var + epsilon) of each. The *plain* row,
on which the point functions work, has the blocks that the cell would have without the norm. Both are whole registers,
as are biases and gains, which are zero beyond H.
"""
from libc.math cimport sqrt

from ..ground._vec cimport every, lane, mean_of, part, set_lane, vdouble, vec, vfloat
from ._walk cimport plain_blocks, units, Walk


cdef inline void normalise(const Walk* w, vec* row, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Blocks first to last of a row of products become v^."""
    cdef vec* v
    cdef vec mean, scale
    cdef vec sums[2]
    cdef Py_ssize_t b, q
    cdef double variance
    for b in range(first, last):
        v = row + b * w.wide
        sums[0] = sums[1] = every(row[0], 0)  # two, so that one need not wait for the other
        for q in range(w.wide):  # products are zero beyond H, so they may be summed too
            sums[q & 1] = sums[q & 1] + v[q]
        mean = every(row[0], mean_of(sums[0] + sums[1], w.hidden))
        sums[0] = sums[1] = every(row[0], 0)
        for q in range(w.wide):
            v[q] = part(v[q] - mean, units(w, q))
            sums[q & 1] = sums[q & 1] + v[q] * v[q]
        variance = mean_of(sums[0] + sums[1], w.hidden)
        set_lane(row + w.blocks * w.wide, b, 1 / sqrt(variance + w.epsilon))
        scale = every(row[0], lane(row + w.blocks * w.wide, b))
        for q in range(w.wide):
            v[q] = v[q] * scale


cdef inline Py_ssize_t plain_block(const Walk* w, Py_ssize_t block) noexcept nogil:
    """The block of the plain row that a block of the normed row is part of: that of its gate of x, or of h."""
    cdef Py_ssize_t b = 0, gate = block % w.gates
    while (w.cell.x_gate[b] if block < w.gates else w.cell.h_gate[b]) != gate:
        b += 1
    return b


cdef inline void plain_gate(
    const Walk* w, const vec* row, const vec* parameters, Py_ssize_t gate, vec* plain,
) noexcept nogil:
    """Pre-activations of one gate from its v^. parameters: as `pack_parameters` lays them out."""
    cdef Py_ssize_t q, x_block = plain_block(w, gate), h_block = plain_block(w, w.gates + gate)
    cdef const vec* gain_x = parameters + (plain_blocks(w) + 3 + gate) * w.wide
    cdef const vec* gain_h = gain_x + w.gates * w.wide
    cdef const vec* of_x = row + gate * w.wide
    cdef const vec* of_h = of_x + w.gates * w.wide
    cdef const vec* bias_x = parameters + x_block * w.wide
    cdef const vec* bias_h = parameters + h_block * w.wide
    for q in range(w.wide):
        if x_block == h_block:
            plain[x_block * w.wide + q] = gain_x[q] * of_x[q] + gain_h[q] * of_h[q] + bias_x[q]
        else:  # the two parts stay apart
            plain[x_block * w.wide + q] = gain_x[q] * of_x[q] + bias_x[q]
            plain[h_block * w.wide + q] = gain_h[q] * of_h[q] + bias_h[q]


cdef inline void normalise_backward(
    const Walk* w, const vec* row, const vec* plain, const vec* parameters, Py_ssize_t first, Py_ssize_t last, vec* da,
) noexcept nogil:
    """da of blocks first to last from the plain row's: scale (d - mean d - v^ mean (d v^)) with d = gain da."""
    cdef const vec* v
    cdef const vec* gain
    cdef const vec* from_
    cdef vec mean, along, scale, d, sums, alongs
    cdef Py_ssize_t b, q
    for b in range(first, last):
        v, from_ = row + b * w.wide, plain + plain_block(w, b) * w.wide
        gain = parameters + (plain_blocks(w) + 3 + b) * w.wide
        scale = every(row[0], lane(row + w.blocks * w.wide, b))
        sums = alongs = every(row[0], 0)
        for q in range(w.wide):  # gains are zero beyond H
            d = gain[q] * from_[q]
            sums = sums + d
            alongs = alongs + d * v[q]
        mean = every(sums, mean_of(sums, w.hidden))
        along = every(alongs, mean_of(alongs, w.hidden))
        for q in range(w.wide):
            d = gain[q] * from_[q]
            da[b * w.wide + q] = part(scale * (d - mean - v[q] * along), units(w, q))
