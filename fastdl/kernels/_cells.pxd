"""Point functions of the recurrent cells: one row, one panel of units, forward and backward, on lanes (_lanes.pxd).

Equations: docs/recurrent.md, from which the numbers come.
"""
cimport cython

from ._lanes cimport (
    bound,
    keep,
    load,
    sigmoid_gate,
    store,
    tanh_gate,
    unmark_sigmoid,
    unmark_tanh,
    unzone,
    zone,
)
from ._math cimport tanh_
from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT, madd
from ._walk cimport GRU_AFTER, LSTM_COUPLED, RNN_RELU, Walk


# ---- RNN ------------------------------------------------------------------------------------------------------


cdef inline void rnn_point(const Walk* w, cython.floating* gates, cython.floating* value) noexcept nogil:
    """(5.1): value = f(a)."""
    cdef cython.floating a[FD_NR_FLOAT]
    cdef cython.floating clip = <cython.floating> w.clip
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        a[u] = gates[u]
    if w.cell == RNN_RELU:
        for u in range(nr):
            gates[u] = value[u] = a[u] if a[u] > 0 or a[u] != a[u] else 0  # NaN passes
        if clip != 0:
            for u in range(nr):
                if a[u] > clip:
                    value[u], gates[u] = clip, -1  # a mark that no relu returns
    else:
        tanh_gate(value, gates, <cython.floating*> a, w)


cdef inline void clear_padding(cython.floating* da, const Walk* w, Py_ssize_t blocks, Py_ssize_t width) noexcept nogil:
    """Zero the lanes of a panel of da beyond the units: da is an operand of products over whole panels."""
    cdef Py_ssize_t b, u
    for b in range(blocks):
        for u in range(width, w.nr):
            da[b * w.padded + u] = 0


cdef inline void rnn_point_backward(const Walk* w, const cython.floating* gates, const cython.floating* y,
                                    cython.floating* da) noexcept nogil:
    cdef cython.floating value[FD_NR_FLOAT]
    cdef cython.floating slope[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if w.cell == RNN_RELU:
        for u in range(nr):
            slope[u] = 1 if gates[u] > 0 else 0
    else:
        unmark_tanh(<cython.floating*> value, <cython.floating*> slope, gates, w)
    for u in range(nr):
        da[u] = y[u] * slope[u]


# ---- LSTM -----------------------------------------------------------------------------------------------------


cdef inline void lstm_point(
    const Walk* w, cython.floating* gates, const cython.floating* peephole, const cython.floating* c_before,
    cython.floating* c, cython.floating* value, Py_ssize_t at, Py_ssize_t width,
) noexcept nogil:
    """(5.3): pre-activations in `gates` become gate values; writes c, and h's new value to `value`."""
    cdef cython.floating a[FD_NR_FLOAT]
    cdef cython.floating i[FD_NR_FLOAT]
    cdef cython.floating f[FD_NR_FLOAT]
    cdef cython.floating g[FD_NR_FLOAT]
    cdef cython.floating o[FD_NR_FLOAT]
    cdef cython.floating old[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef Py_ssize_t to_g = w.padded if w.cell == LSTM_COUPLED else 2 * w.padded, to_o = to_g + w.padded
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(<cython.floating*> old, c_before, width)
    for u in range(nr):
        a[u] = gates[u]
    if w.peepholes:
        for u in range(nr):
            a[u] = a[u] + peephole[u] * old[u]
    sigmoid_gate(<cython.floating*> i, gates, <cython.floating*> a, w)
    if w.cell == LSTM_COUPLED:
        for u in range(nr):
            f[u] = one - i[u]
    else:
        for u in range(nr):
            a[u] = gates[w.padded + u]
        if w.peepholes:
            for u in range(nr):
                a[u] = a[u] + peephole[w.padded + u] * old[u]
        sigmoid_gate(<cython.floating*> f, gates + w.padded, <cython.floating*> a, w)
    for u in range(nr):
        a[u] = gates[to_g + u]
    tanh_gate(<cython.floating*> g, gates + to_g, <cython.floating*> a, w)
    keep(<cython.floating*> g, w, at, width)
    for u in range(nr):
        s[u] = madd(f[u], old[u], i[u] * g[u])
    if w.cell_clip != 0:
        bound(<cython.floating*> s, w.cell_clip)
    for u in range(nr):
        a[u] = gates[to_o + u]
    if w.peepholes:
        for u in range(nr):
            a[u] = a[u] + peephole[2 * w.padded + u] * s[u]
    sigmoid_gate(<cython.floating*> o, gates + to_o, <cython.floating*> a, w)
    for u in range(nr):
        value[u] = o[u] * tanh_(s[u])
    zone(<cython.floating*> s, <const cython.floating*> old, w.zone_c, at, w.rate_c, width)
    store(c, <cython.floating*> s, width)


cdef inline void lstm_point_backward(
    const Walk* w, const cython.floating* gates, const cython.floating* peephole, const cython.floating* c_before,
    const cython.floating* c, const cython.floating* y, const cython.floating* dc_above, cython.floating* dc,
    cython.floating* da, cython.floating* fresh, Py_ssize_t at, Py_ssize_t width,
) noexcept nogil:
    """(5.4), from y, the gradient by h's new value; dc becomes that of t - 1, da gets the gates'. fresh, if anything:
    what c was before zoneout, of which the output gate's peephole reads.

    Padding lanes of da are no numbers to rely on: clear_padding sets them to zero.
    """
    cdef cython.floating i[FD_NR_FLOAT]
    cdef cython.floating f[FD_NR_FLOAT]
    cdef cython.floating g[FD_NR_FLOAT]
    cdef cython.floating o[FD_NR_FLOAT]
    cdef cython.floating slope_i[FD_NR_FLOAT]
    cdef cython.floating slope_f[FD_NR_FLOAT]
    cdef cython.floating slope_g[FD_NR_FLOAT]
    cdef cython.floating slope_o[FD_NR_FLOAT]
    cdef cython.floating old[FD_NR_FLOAT]
    cdef cython.floating new[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating past[FD_NR_FLOAT]
    cdef cython.floating inside[FD_NR_FLOAT]
    cdef cython.floating th, one = 1, limit = <cython.floating> w.cell_clip
    cdef bint coupled = w.cell == LSTM_COUPLED
    cdef Py_ssize_t to_g = w.padded if coupled else 2 * w.padded, to_o = to_g + w.padded
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(<cython.floating*> old, c_before, width)
    load(<cython.floating*> s, dc, width)
    if dc_above is not NULL:
        for u in range(width):
            s[u] = s[u] + dc_above[u]
    unmark_sigmoid(<cython.floating*> i, <cython.floating*> slope_i, gates, w)
    if coupled:
        for u in range(nr):
            f[u] = one - i[u]
    else:
        unmark_sigmoid(<cython.floating*> f, <cython.floating*> slope_f, gates + w.padded, w)
    unmark_tanh(<cython.floating*> g, <cython.floating*> slope_g, gates + to_g, w)
    keep(<cython.floating*> g, w, at, width)
    unmark_sigmoid(<cython.floating*> o, <cython.floating*> slope_o, gates + to_o, w)
    load(<cython.floating*> new, c, width)
    if w.zone_c is not NULL or w.rate_c != 0 or limit != 0:  # what c was before the clip and zoneout
        for u in range(nr):
            new[u] = madd(f[u], old[u], i[u] * g[u])
            inside[u] = 1 if limit == 0 or (new[u] <= limit and new[u] >= -limit) else 0
        if limit != 0:
            bound(<cython.floating*> new, w.cell_clip)
    else:
        for u in range(nr):
            inside[u] = 1
    if fresh is not NULL:
        for u in range(nr):
            fresh[u] = new[u]
    unzone(<cython.floating*> s, <cython.floating*> past, w.zone_c, at, w.rate_c, width)
    for u in range(nr):
        th = tanh_(new[u])
        slope_o[u] = y[u] * th * slope_o[u]
        s[u] = s[u] + y[u] * o[u] * (one - th * th)
    if w.peepholes:
        for u in range(nr):
            s[u] = s[u] + peephole[2 * w.padded + u] * slope_o[u]
    for u in range(nr):
        s[u] = s[u] * inside[u]
    for u in range(nr):
        slope_i[u] = s[u] * ((g[u] - old[u]) if coupled else g[u]) * slope_i[u]
        inside[u] = s[u] * i[u]
        past[u] = past[u] + s[u] * f[u]
    keep(<cython.floating*> inside, w, at, width)
    if not coupled:
        for u in range(nr):
            slope_f[u] = s[u] * old[u] * slope_f[u]
    if w.peepholes:
        for u in range(nr):
            past[u] = past[u] + peephole[u] * slope_i[u]
        if not coupled:
            for u in range(nr):
                past[u] = past[u] + peephole[w.padded + u] * slope_f[u]
    for u in range(nr):
        da[u] = slope_i[u]
        da[to_g + u] = inside[u] * slope_g[u]
        da[to_o + u] = slope_o[u]
    if not coupled:
        for u in range(nr):
            da[w.padded + u] = slope_f[u]
    store(dc, <cython.floating*> past, width)


# ---- GRU ------------------------------------------------------------------------------------------------------


cdef inline void gru_reset(
    const Walk* w, cython.floating* gates, const cython.floating* h_before, const cython.floating* state_mask,
    cython.floating* operand, Py_ssize_t width,
) noexcept nogil:
    """Reset before the product, first phase: r and z, and r h_{t-1}, which W_hn multiplies."""
    cdef cython.floating a[FD_NR_FLOAT]
    cdef cython.floating r[FD_NR_FLOAT]
    cdef cython.floating z[FD_NR_FLOAT]
    cdef cython.floating h[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        a[u] = gates[u]
    sigmoid_gate(<cython.floating*> r, gates, <cython.floating*> a, w)
    for u in range(nr):
        a[u] = gates[w.padded + u]
    sigmoid_gate(<cython.floating*> z, gates + w.padded, <cython.floating*> a, w)
    load(<cython.floating*> h, h_before, width)
    if state_mask is not NULL:
        for u in range(width):
            h[u] = h[u] * state_mask[u]
    for u in range(nr):
        operand[u] = r[u] * h[u]


cdef inline void gru_point(
    const Walk* w, cython.floating* gates, const cython.floating* h_before, cython.floating* value, Py_ssize_t at,
    Py_ssize_t width,
) noexcept nogil:
    """(5.5): h's new value. Reset before the product: the second phase, r and z are there already."""
    cdef cython.floating a[FD_NR_FLOAT]
    cdef cython.floating r[FD_NR_FLOAT]
    cdef cython.floating z[FD_NR_FLOAT]
    cdef cython.floating n[FD_NR_FLOAT]
    cdef cython.floating old[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(<cython.floating*> old, h_before, width)
    if w.cell == GRU_AFTER:
        for u in range(nr):
            a[u] = gates[w.padded + u]
        sigmoid_gate(<cython.floating*> r, gates + w.padded, <cython.floating*> a, w)
        for u in range(nr):
            a[u] = gates[2 * w.padded + u]
        sigmoid_gate(<cython.floating*> z, gates + 2 * w.padded, <cython.floating*> a, w)
        for u in range(nr):
            a[u] = gates[u] + r[u] * gates[3 * w.padded + u]
        tanh_gate(<cython.floating*> n, gates, <cython.floating*> a, w)
    else:
        unmark_sigmoid(<cython.floating*> z, <cython.floating*> r, gates + w.padded, w)
        for u in range(nr):
            a[u] = gates[2 * w.padded + u]
        tanh_gate(<cython.floating*> n, gates + 2 * w.padded, <cython.floating*> a, w)
    keep(<cython.floating*> n, w, at, width)
    for u in range(nr):
        value[u] = (one - z[u]) * n[u] + z[u] * old[u]


cdef inline void gru_point_backward(
    const Walk* w, const cython.floating* gates, const cython.floating* h_before, const cython.floating* y,
    cython.floating* dh, cython.floating* da, Py_ssize_t at, Py_ssize_t width,
) noexcept nogil:
    """da of n and z, and of r too with the reset after the product (else gru_reset_backward does r). dh, what passes
    the new value by, gains what passes by z."""
    cdef cython.floating r[FD_NR_FLOAT]
    cdef cython.floating z[FD_NR_FLOAT]
    cdef cython.floating n[FD_NR_FLOAT]
    cdef cython.floating slope_r[FD_NR_FLOAT]
    cdef cython.floating slope_z[FD_NR_FLOAT]
    cdef cython.floating slope_n[FD_NR_FLOAT]
    cdef cython.floating old[FD_NR_FLOAT]
    cdef cython.floating dn[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef bint after = w.cell == GRU_AFTER
    cdef Py_ssize_t to_z = 2 * w.padded if after else w.padded, to_n = 0 if after else 2 * w.padded
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(<cython.floating*> old, h_before, width)
    unmark_sigmoid(<cython.floating*> z, <cython.floating*> slope_z, gates + to_z, w)
    unmark_tanh(<cython.floating*> n, <cython.floating*> slope_n, gates + to_n, w)
    keep(<cython.floating*> n, w, at, width)
    for u in range(nr):
        dn[u] = y[u] * (one - z[u])
    keep(<cython.floating*> dn, w, at, width)
    for u in range(nr):
        dn[u] = dn[u] * slope_n[u]
        da[to_n + u] = dn[u]
        da[to_z + u] = y[u] * (old[u] - n[u]) * slope_z[u]
    if after:
        unmark_sigmoid(<cython.floating*> r, <cython.floating*> slope_r, gates + w.padded, w)
        for u in range(nr):
            da[w.padded + u] = dn[u] * gates[3 * w.padded + u] * slope_r[u]
            da[3 * w.padded + u] = dn[u] * r[u]
    for u in range(width):
        dh[u] = dh[u] + y[u] * z[u]


cdef inline void gru_reset_backward(
    const Walk* w, const cython.floating* gates, const cython.floating* h_before, const cython.floating* state_mask,
    const cython.floating* drh, cython.floating* dh, cython.floating* da, cython.floating* rh, Py_ssize_t width,
) noexcept nogil:
    """Reset before the product: da of r, and dh, from drh, the gradient by r h_{t-1}; and that product, rh, again."""
    cdef cython.floating r[FD_NR_FLOAT]
    cdef cython.floating slope[FD_NR_FLOAT]
    cdef cython.floating old[FD_NR_FLOAT]
    cdef cython.floating d[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    unmark_sigmoid(<cython.floating*> r, <cython.floating*> slope, gates, w)
    load(<cython.floating*> old, h_before, width)
    load(<cython.floating*> d, drh, width)
    if state_mask is not NULL:
        for u in range(width):
            d[u] = d[u] * state_mask[u]
    for u in range(nr):
        rh[u] = r[u] * old[u]
        da[u] = d[u] * old[u] * slope[u]
    if state_mask is not NULL:
        for u in range(width):
            rh[u] = rh[u] * state_mask[u]
    for u in range(width):
        dh[u] = dh[u] + d[u] * r[u]
