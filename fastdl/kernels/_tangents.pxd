"""Point functions of the tangents of recurrent cells: one row, one panel of units.

For each cell three: how a direction passes a step forward; the step's backward, which keeps what the third needs;
and how the direction passes that backward. A name with `d` before it is a gradient, with `t` before it a tangent
(the derivative along the direction), so `tds` is the tangent of the gradient of s. Work is on NR lanes in local
arrays, which nothing can alias, so the loops vectorize. Equation numbers are those of docs/curvature.md.
"""
cimport cython

from ._math cimport tanh_
from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT


cdef inline void load(cython.floating* lanes, const cython.floating* source, Py_ssize_t count) noexcept nogil:
    """`count` lanes of the source, zero behind them."""
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if count == nr:
        for u in range(nr):
            lanes[u] = source[u]
    else:
        for u in range(nr):
            lanes[u] = 0
        for u in range(count):
            lanes[u] = source[u]


cdef inline void store(cython.floating* target, const cython.floating* lanes, Py_ssize_t count) noexcept nogil:
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if count == nr:
        for u in range(nr):
            target[u] = lanes[u]
    else:
        for u in range(count):
            target[u] = lanes[u]


# ---- RNN: h = f(a) --------------------------------------------------------------------------------------------


cdef inline void rnn_tangent(
    bint relu, const cython.floating* h, const cython.floating* ta, cython.floating* th, Py_ssize_t count,
) noexcept nogil:
    """th = f'(a) ta, f' in terms of h: 1 - h^2 for tanh, 1 where h > 0 for relu."""
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating t[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(y, h, count)
    load(t, ta, count)
    if relu:
        for u in range(nr):
            t[u] = t[u] if y[u] > 0 else 0
    else:
        for u in range(nr):
            t[u] = t[u] * (one - y[u] * y[u])
    store(th, <const cython.floating*> t, count)


cdef inline void rnn_adjoint(
    bint relu, const cython.floating* h, const cython.floating* dy, cython.floating* dh, cython.floating* total,
    cython.floating* da, Py_ssize_t count,
) noexcept nogil:
    """total = dy + dh, da = f'(a) total."""
    cdef cython.floating d[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    cdef cython.floating e[FD_NR_FLOAT]
    load(d, dy, count)
    load(e, <const cython.floating*> dh, count)
    for u in range(nr):
        d[u] = d[u] + e[u]
    store(total, <const cython.floating*> d, count)
    rnn_tangent(relu, h, <const cython.floating*> total, da, count)  # f'(a) is diagonal: its own transpose


cdef inline void rnn_adjoint_tangent(
    bint relu, const cython.floating* h, const cython.floating* th, const cython.floating* total,
    const cython.floating* tdy, cython.floating* tdh, cython.floating* tda, Py_ssize_t count,
) noexcept nogil:
    """tda = f'(a) tdh + f''(a) ta dh; for tanh f'' ta = -2 h th."""
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating ty[FD_NR_FLOAT]
    cdef cython.floating d[FD_NR_FLOAT]
    cdef cython.floating td[FD_NR_FLOAT]
    cdef cython.floating e[FD_NR_FLOAT]
    cdef cython.floating one = 1, two = 2
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(y, h, count)
    load(ty, th, count)
    load(d, total, count)
    load(td, tdy, count)
    load(e, <const cython.floating*> tdh, count)
    if relu:
        for u in range(nr):
            td[u] = td[u] + e[u] if y[u] > 0 else 0
    else:
        for u in range(nr):
            td[u] = (td[u] + e[u]) * (one - y[u] * y[u]) - two * d[u] * y[u] * ty[u]
    store(tda, <const cython.floating*> td, count)


# ---- LSTM, gates i, f, g, o: their values `value_gate` elements apart, everything else `gate` ------------------------


cdef inline void lstm_tangent(
    const cython.floating* gates, Py_ssize_t value_gate, Py_ssize_t gate, const cython.floating* c_before,
    const cython.floating* c, const cython.floating* tc_before, cython.floating* ta, cython.floating* tc,
    cython.floating* th, Py_ssize_t count,
) noexcept nogil:
    """Tangents of the pre-activations in `ta` become those of the gate values; writes tc and th."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating t[4][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating state[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating y, one = 1
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for g in range(4):
        load(v[g], gates + g * value_gate, count)
        load(t[g], <const cython.floating*> ta + g * gate, count)
    load(before, c_before, count)
    load(state, c, count)
    load(s, tc_before, count)
    for u in range(nr):
        t[0][u] = t[0][u] * (v[0][u] * (one - v[0][u]))
        t[1][u] = t[1][u] * (v[1][u] * (one - v[1][u]))
        t[2][u] = t[2][u] * (one - v[2][u] * v[2][u])
        t[3][u] = t[3][u] * (v[3][u] * (one - v[3][u]))
        s[u] = v[1][u] * s[u] + t[1][u] * before[u] + v[0][u] * t[2][u] + t[0][u] * v[2][u]
    for g in range(4):
        store(ta + g * gate, <const cython.floating*> t[g], count)
    store(tc, <const cython.floating*> s, count)
    for u in range(nr):
        y = tanh_(state[u])
        s[u] = t[3][u] * y + v[3][u] * (one - y * y) * s[u]
    store(th, <const cython.floating*> s, count)


cdef inline void lstm_adjoint(
    const cython.floating* gates, Py_ssize_t value_gate, Py_ssize_t gate, const cython.floating* c_before,
    const cython.floating* c, const cython.floating* dy, const cython.floating* dh, cython.floating* dc,
    cython.floating* total, cython.floating* total_c, cython.floating* da, Py_ssize_t count,
) noexcept nogil:
    """(5.4), keeping the gradients by h and c of this step in `total` and `total_c`; dc becomes that of t - 1."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating d[4][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating state[FD_NR_FLOAT]
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating e[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating z, one = 1
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for g in range(4):
        load(v[g], gates + g * value_gate, count)
    load(before, c_before, count)
    load(state, c, count)
    load(y, dy, count)
    load(e, dh, count)
    load(s, <const cython.floating*> dc, count)
    for u in range(nr):
        z = tanh_(state[u])
        y[u] = y[u] + e[u]
        s[u] = s[u] + y[u] * v[3][u] * (one - z * z)
        d[0][u] = s[u] * v[2][u] * (v[0][u] * (one - v[0][u]))
        d[1][u] = s[u] * before[u] * (v[1][u] * (one - v[1][u]))
        d[2][u] = s[u] * v[0][u] * (one - v[2][u] * v[2][u])
        d[3][u] = y[u] * z * (v[3][u] * (one - v[3][u]))
        e[u] = s[u] * v[1][u]
    for g in range(4):
        store(da + g * gate, <const cython.floating*> d[g], count)
    store(total, <const cython.floating*> y, count)
    store(total_c, <const cython.floating*> s, count)
    store(dc, <const cython.floating*> e, count)


cdef inline void lstm_adjoint_tangent(
    const cython.floating* gates, Py_ssize_t value_gate, const cython.floating* tgates, Py_ssize_t gate,
    const cython.floating* c_before, const cython.floating* c, const cython.floating* tc_before,
    const cython.floating* tc, const cython.floating* total, const cython.floating* total_c,
    const cython.floating* tdy, const cython.floating* tdh, cython.floating* tdc, cython.floating* tda,
    Py_ssize_t count,
) noexcept nogil:
    """The tangent of every line of `lstm_adjoint`."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating t[4][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating state[FD_NR_FLOAT]
    cdef cython.floating tbefore[FD_NR_FLOAT]
    cdef cython.floating tstate[FD_NR_FLOAT]
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating s[FD_NR_FLOAT]
    cdef cython.floating ty[FD_NR_FLOAT]
    cdef cython.floating e[FD_NR_FLOAT]
    cdef cython.floating ts[FD_NR_FLOAT]
    cdef cython.floating i, f, c_, o, ti, tf, tg, to, z, tz, slope, one = 1, two = 2
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for g in range(4):
        load(v[g], gates + g * value_gate, count)
        load(t[g], tgates + g * gate, count)
    load(before, c_before, count)
    load(state, c, count)
    load(tbefore, tc_before, count)
    load(tstate, tc, count)
    load(y, total, count)
    load(s, total_c, count)
    load(ty, tdy, count)
    load(e, tdh, count)
    load(ts, <const cython.floating*> tdc, count)
    for u in range(nr):
        i, f, c_, o = v[0][u], v[1][u], v[2][u], v[3][u]
        ti, tf, tg, to = t[0][u], t[1][u], t[2][u], t[3][u]
        z = tanh_(state[u])
        slope = one - z * z
        tz = slope * tstate[u]
        ty[u] = ty[u] + e[u]
        ts[u] = ts[u] + (ty[u] * o + y[u] * to) * slope - two * y[u] * o * z * tz
        t[0][u] = (ts[u] * c_ + s[u] * tg) * (i * (one - i)) + s[u] * c_ * (one - two * i) * ti
        t[1][u] = (ts[u] * before[u] + s[u] * tbefore[u]) * (f * (one - f)) + s[u] * before[u] * (one - two * f) * tf
        t[2][u] = (ts[u] * i + s[u] * ti) * (one - c_ * c_) - two * s[u] * i * c_ * tg
        t[3][u] = (ty[u] * z + y[u] * tz) * (o * (one - o)) + y[u] * z * (one - two * o) * to
        e[u] = ts[u] * f + s[u] * tf
    for g in range(4):
        store(tda + g * gate, <const cython.floating*> t[g], count)
    store(tdc, <const cython.floating*> e, count)


# ---- GRU, values n, r, z and q = h W_hn + b_hn; the state's products in blocks r, z, q, the input's in r, z, n -------
# Within these functions the order is r, z, n, q.


cdef inline void gru_tangent(
    const cython.floating* gates, Py_ssize_t value_gate, Py_ssize_t gate, const cython.floating* h_before,
    const cython.floating* th_before, cython.floating* ta, cython.floating* tax, cython.floating* th,
    Py_ssize_t count,
) noexcept nogil:
    """Tangents of the two products become those of r, z, q (in `ta`) and n (third of `tax`); writes th."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating t[3][FD_NR_FLOAT]
    cdef cython.floating x[3][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating tbefore[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(v[0], gates + value_gate, count)
    load(v[1], gates + 2 * value_gate, count)
    load(v[2], gates, count)
    load(v[3], gates + 3 * value_gate, count)
    for g in range(3):
        load(t[g], <const cython.floating*> ta + g * gate, count)
        load(x[g], <const cython.floating*> tax + g * gate, count)
    load(before, h_before, count)
    load(tbefore, th_before, count)
    for u in range(nr):
        t[0][u] = (t[0][u] + x[0][u]) * (v[0][u] * (one - v[0][u]))
        t[1][u] = (t[1][u] + x[1][u]) * (v[1][u] * (one - v[1][u]))
        x[2][u] = (x[2][u] + t[0][u] * v[3][u] + v[0][u] * t[2][u]) * (one - v[2][u] * v[2][u])
        tbefore[u] = ((one - v[1][u]) * x[2][u] + v[1][u] * tbefore[u]) + t[1][u] * (before[u] - v[2][u])
    for g in range(3):
        store(ta + g * gate, <const cython.floating*> t[g], count)
    store(tax + 2 * gate, <const cython.floating*> x[2], count)
    store(th, <const cython.floating*> tbefore, count)


cdef inline void gru_adjoint(
    const cython.floating* gates, Py_ssize_t value_gate, Py_ssize_t gate, const cython.floating* h_before,
    const cython.floating* dy, cython.floating* dh, cython.floating* total, cython.floating* da,
    cython.floating* dax, Py_ssize_t count,
) noexcept nogil:
    """Gradients by the two products; dh becomes the part of the next one that passes by the products, dh z."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating d[4][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating e[FD_NR_FLOAT]
    cdef cython.floating one = 1
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(v[0], gates + value_gate, count)
    load(v[1], gates + 2 * value_gate, count)
    load(v[2], gates, count)
    load(v[3], gates + 3 * value_gate, count)
    load(before, h_before, count)
    load(y, dy, count)
    load(e, <const cython.floating*> dh, count)
    for u in range(nr):
        y[u] = y[u] + e[u]
        d[2][u] = y[u] * (one - v[1][u]) * (one - v[2][u] * v[2][u])
        d[3][u] = d[2][u] * v[0][u]
        d[0][u] = d[2][u] * v[3][u] * (v[0][u] * (one - v[0][u]))
        d[1][u] = y[u] * (before[u] - v[2][u]) * (v[1][u] * (one - v[1][u]))
        e[u] = y[u] * v[1][u]
    for g in range(2):
        store(da + g * gate, <const cython.floating*> d[g], count)
    store(da + 2 * gate, <const cython.floating*> d[3], count)
    for g in range(3):
        store(dax + g * gate, <const cython.floating*> d[g], count)
    store(total, <const cython.floating*> y, count)
    store(dh, <const cython.floating*> e, count)


cdef inline void gru_adjoint_tangent(
    const cython.floating* gates, Py_ssize_t value_gate, const cython.floating* ta, const cython.floating* tax,
    Py_ssize_t gate,
    const cython.floating* h_before, const cython.floating* th_before, const cython.floating* total,
    const cython.floating* tdy, cython.floating* tdh, cython.floating* tda, cython.floating* tdax,
    Py_ssize_t count,
) noexcept nogil:
    """The tangent of every line of `gru_adjoint`."""
    cdef cython.floating v[4][FD_NR_FLOAT]
    cdef cython.floating t[4][FD_NR_FLOAT]
    cdef cython.floating before[FD_NR_FLOAT]
    cdef cython.floating tbefore[FD_NR_FLOAT]
    cdef cython.floating y[FD_NR_FLOAT]
    cdef cython.floating ty[FD_NR_FLOAT]
    cdef cython.floating e[FD_NR_FLOAT]
    cdef cython.floating r, z, n, q, tr, tz, tn, tq, slope, dn, dz, one = 1, two = 2
    cdef int g, u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(v[0], gates + value_gate, count)
    load(v[1], gates + 2 * value_gate, count)
    load(v[2], gates, count)
    load(v[3], gates + 3 * value_gate, count)
    for g in range(2):
        load(t[g], ta + g * gate, count)
    load(t[2], tax + 2 * gate, count)
    load(t[3], ta + 2 * gate, count)
    load(before, h_before, count)
    load(tbefore, th_before, count)
    load(y, total, count)
    load(ty, tdy, count)
    load(e, <const cython.floating*> tdh, count)
    for u in range(nr):
        r, z, n, q = v[0][u], v[1][u], v[2][u], v[3][u]
        tr, tz, tn, tq = t[0][u], t[1][u], t[2][u], t[3][u]
        ty[u] = ty[u] + e[u]
        slope = one - n * n
        dn = y[u] * (one - z) * slope
        dz = y[u] * (before[u] - n)
        t[2][u] = (ty[u] * (one - z) - y[u] * tz) * slope - two * y[u] * (one - z) * n * tn
        t[3][u] = t[2][u] * r + dn * tr
        t[0][u] = (t[2][u] * q + dn * tq) * (r * (one - r)) + dn * q * (one - two * r) * tr
        t[1][u] = (ty[u] * (before[u] - n) + y[u] * (tbefore[u] - tn)) * (z * (one - z)) + dz * (one - two * z) * tz
        e[u] = ty[u] * z + y[u] * tz
    for g in range(2):
        store(tda + g * gate, <const cython.floating*> t[g], count)
    store(tda + 2 * gate, <const cython.floating*> t[3], count)
    for g in range(3):
        store(tdax + g * gate, <const cython.floating*> t[g], count)
    store(tdh, <const cython.floating*> e, count)
