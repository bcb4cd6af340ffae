"""Point functions of the recurrent cells: one row of gates, one panel of units, forward and backward.

Each works on NR lanes in local arrays, which nothing can alias, so the loops vectorize; only `count` lanes are
read and written (the last panel of a row may be narrower). Equation numbers are those of docs/recurrent.md.
"""
cimport cython

from ._math cimport sigmoid_, tanh_
from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT


cdef inline void lstm_point(
    cython.floating* gates, Py_ssize_t gate, const cython.floating* c_before, cython.floating* c,
    cython.floating* h, Py_ssize_t count,
) noexcept nogil:
    """(5.3): pre-activations in `gates` (i, f, g, o, `gate` elements apart) become gate values; writes c and h."""
    cdef cython.floating i[FD_NR_FLOAT]
    cdef cython.floating f[FD_NR_FLOAT]
    cdef cython.floating g[FD_NR_FLOAT]
    cdef cython.floating o[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    # The gates are padded to whole panels, so they are read at full width; the states are not.
    if count == nr:
        for u in range(nr):
            s[u] = c_before[u]
    else:
        for u in range(nr):
            s[u] = 0
        for u in range(count):
            s[u] = c_before[u]
    for u in range(nr):
        i[u] = sigmoid_(gates[u])
        f[u] = sigmoid_(gates[gate + u])
        g[u] = tanh_(gates[2 * gate + u])
        o[u] = sigmoid_(gates[3 * gate + u])
        s[u] = f[u] * s[u] + i[u] * g[u]
    for u in range(nr):
        gates[u] = i[u]
        gates[gate + u] = f[u]
        gates[2 * gate + u] = g[u]
        gates[3 * gate + u] = o[u]
    for u in range(nr):
        o[u] = o[u] * tanh_(s[u])
    if count == nr:
        for u in range(nr):
            c[u] = s[u]
            h[u] = o[u]
    else:
        for u in range(count):
            c[u] = s[u]
            h[u] = o[u]


cdef inline void lstm_point_backward(
    const cython.floating* gates, Py_ssize_t gate, const cython.floating* c_before, const cython.floating* c,
    const cython.floating* dy, const cython.floating* dh, const cython.floating* dc_above,
    cython.floating* dc, cython.floating* da, Py_ssize_t count,
) noexcept nogil:
    """(5.4): dh is dy (from above) + dh (from t + 1); dc becomes that of t - 1; da gets the four gates'."""
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating state[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating di[FD_NR_FLOAT]
    cdef cython.floating df[FD_NR_FLOAT]
    cdef cython.floating dg[FD_NR_FLOAT]
    cdef cython.floating do[FD_NR_FLOAT]
    cdef cython.floating i, f, g, o, th, one = 1
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if count == nr:
        for u in range(nr):
            y[u] = dy[u] + dh[u]
            before[u] = c_before[u]
            state[u] = c[u]
            s[u] = dc[u]
    else:
        for u in range(nr):
            y[u] = before[u] = state[u] = s[u] = 0
        for u in range(count):
            y[u] = dy[u] + dh[u]
            before[u] = c_before[u]
            state[u] = c[u]
            s[u] = dc[u]
    if dc_above is not NULL:
        for u in range(count):
            s[u] = s[u] + dc_above[u]
    for u in range(nr):
        i, f, g, o = gates[u], gates[gate + u], gates[2 * gate + u], gates[3 * gate + u]
        th = tanh_(state[u])
        s[u] = s[u] + y[u] * o * (one - th * th)
        di[u] = s[u] * g * (i * (one - i))
        df[u] = s[u] * before[u] * (f * (one - f))
        dg[u] = s[u] * i * (one - g * g)
        do[u] = y[u] * th * (o * (one - o))
        s[u] = s[u] * f
    # Padding lanes of da must be zero, since da is an operand of the products that follow: they are, because
    # y and s are zero there.
    for u in range(nr):
        da[u] = di[u]
        da[gate + u] = df[u]
        da[2 * gate + u] = dg[u]
        da[3 * gate + u] = do[u]
    if count == nr:
        for u in range(nr):
            dc[u] = s[u]
    else:
        for u in range(count):
            dc[u] = s[u]
