"""The tangents of the recurrent cells, as docs/curvature.md writes them: one sequence at one step, a register of units.

For each cell three: how a direction passes a step forward; the step's backward, which keeps what the third needs; and
how the direction passes that backward. `d` before a name is a gradient and `t` before it a tangent, the derivative
along the direction: tdh is the tangent of dh. Every line of backward names the line of forward that it undoes, and
every line of the third is the tangent of one of backward.

A step's gradient or tangent of pre-activations has no padding: its gates are w.hidden numbers apart, and all its
registers are loaded and stored by their width. Gate values have that of their tape, w.wide registers.
"""
cimport cython

from ..ground._vec cimport load, positive, shift, store, tanh, vdouble, vec, vfloat
from ..recurrent._walk cimport LSTM_POINT, RNN_POINT, RNN_RELU, units, Walk
from ._passes cimport Passes


# ---- Slopes of sigma and tanh by their values, and the tangents of the slopes ------------------------------------


cdef inline vec slope(vec s) noexcept nogil:
    return s * (1 - s)


cdef inline vec tslope(vec s, vec ts) noexcept nogil:
    return ts - 2 * s * ts


cdef inline vec tanh_slope(vec y) noexcept nogil:
    return 1 - y * y


cdef inline vec tanh_tslope(vec y, vec ty) noexcept nogil:
    return -(2 * y * ty)


# ---- RNN --------------------------------------------------------------------------------------------------------


cdef inline vec _through(const Walk* w, vec h, vec v) noexcept nogil:
    """f'(a) v, by h = f(a)."""
    if w.kind == RNN_RELU:
        return positive(v, h)
    return v * tanh_slope(h)


cdef inline void rnn_tangent(const Walk* w, const Passes* s, const vec* ta, Py_ssize_t q) noexcept nogil:
    cdef Py_ssize_t width = units(w, q)
    cdef vec h = load(<const vec*> s.h + q, width)
    store(<vec*> s.th + q, _through(w, h, load(ta, width)), width)   # h = f(a)


cdef inline void rnn_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    cdef Py_ssize_t width = units(w, q)
    cdef vec h = load(<const vec*> s.h + q, width), dh = load(<const vec*> s.dh + q, width)
    dh = load(<const vec*> s.dy + q, width) + dh
    store(<vec*> s.kept_dh + q, dh, width)
    store(da, _through(w, h, dh), width)                             # h = f(a)


cdef inline void rnn_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    cdef Py_ssize_t width = units(w, q)
    cdef vec h = load(<const vec*> s.h + q, width), th = load(<const vec*> s.th + q, width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), tdh = load(<const vec*> s.tdh + q, width), tda_
    tdh = load(<const vec*> s.tdy + q, width) + tdh
    tda_ = _through(w, h, tdh)
    if w.kind != RNN_RELU:
        tda_ = tda_ + dh * tanh_tslope(h, th)
    store(tda, tda_, width)


# ---- LSTM -------------------------------------------------------------------------------------------------------


cdef inline void lstm_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    """ta become the tangents of the gate values; writes tc and th."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec i = v[0], f = v[w.wide], g = v[2 * w.wide], o = v[3 * w.wide], ti, tf, tg, to, tc
    cdef vec c_before = load(<const vec*> s.c_before + q, width), tc_before = load(<const vec*> s.tc_before + q, width)
    cdef vec y = tanh(load(<const vec*> s.c + q, width))
    ti = load(ta, width) * slope(i)                                  # i = sigma(a_i)
    tf = load(shift(ta, H), width) * slope(f)
    tg = load(shift(ta, 2 * H), width) * tanh_slope(g)
    to = load(shift(ta, 3 * H), width) * slope(o)
    tc = f * tc_before + tf * c_before + i * tg + ti * g             # c = f c_before + i g
    store(<vec*> s.tc + q, tc, width)
    store(<vec*> s.th + q, to * y + o * tanh_slope(y) * tc, width)   # h = o tanh(c)
    store(ta, ti, width)
    store(shift(ta, H), tf, width)
    store(shift(ta, 2 * H), tg, width)
    store(shift(ta, 3 * H), to, width)


cdef inline void lstm_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    """(5.4): dc becomes that of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec i = v[0], f = v[w.wide], g = v[2 * w.wide], o = v[3 * w.wide]
    cdef vec c_before = load(<const vec*> s.c_before + q, width), y = tanh(load(<const vec*> s.c + q, width))
    cdef vec dh = load(<const vec*> s.dh + q, width), dc = load(<const vec*> s.dc + q, width)
    dh = load(<const vec*> s.dy + q, width) + dh
    dc = dc + dh * o * tanh_slope(y)                                 # h = o tanh(c)
    store(<vec*> s.kept_dh + q, dh, width)
    store(<vec*> s.kept_dc + q, dc, width)
    store(da, dc * g * slope(i), width)                              # c = f c_before + i g
    store(shift(da, H), dc * c_before * slope(f), width)
    store(shift(da, 2 * H), dc * i * tanh_slope(g), width)
    store(shift(da, 3 * H), dh * y * slope(o), width)                # h = o tanh(c)
    store(<vec*> s.dc + q, dc * f, width)                            # c = f c_before + i g


cdef inline void lstm_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    """The tangent of every line of `lstm_adjoint`; tdc becomes that of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* t = <const vec*> s.ta + q
    cdef vec i = v[0], f = v[w.wide], g = v[2 * w.wide], o = v[3 * w.wide]
    cdef vec ti = load(t, width), tf = load(shift(t, H), width)
    cdef vec tg = load(shift(t, 2 * H), width), to = load(shift(t, 3 * H), width)
    cdef vec c_before = load(<const vec*> s.c_before + q, width), tc_before = load(<const vec*> s.tc_before + q, width)
    cdef vec y = tanh(load(<const vec*> s.c + q, width)), ty = tanh_slope(y) * load(<const vec*> s.tc + q, width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), dc = load(<const vec*> s.kept_dc + q, width)
    cdef vec tdh = load(<const vec*> s.tdh + q, width), tdc = load(<const vec*> s.tdc + q, width)
    tdh = load(<const vec*> s.tdy + q, width) + tdh
    tdc = tdc + (tdh * o + dh * to) * tanh_slope(y) + dh * o * tanh_tslope(y, ty)
    store(tda, (tdc * g + dc * tg) * slope(i) + dc * g * tslope(i, ti), width)
    store(shift(tda, H), (tdc * c_before + dc * tc_before) * slope(f) + dc * c_before * tslope(f, tf), width)
    store(shift(tda, 2 * H), (tdc * i + dc * ti) * tanh_slope(g) + dc * i * tanh_tslope(g, tg), width)
    store(shift(tda, 3 * H), (tdh * y + dh * ty) * slope(o) + dh * y * tslope(o, to), width)
    store(<vec*> s.tdc + q, tdc * f + dc * tf, width)


# ---- GRU, the reset after the product ----------------------------------------------------------------------------


cdef inline void gru_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    """Tangents of the two products become those of r, z (first and second of ta) and n (third of tax); writes th."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec* tax = <vec*> s.tax + q
    cdef vec n = v[0], r = v[w.wide], z = v[2 * w.wide], u = v[3 * w.wide], tr, tz, tn
    cdef vec tu = load(shift(ta, 2 * H), width)
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    tr = (load(ta, width) + load(tax, width)) * slope(r)             # r = sigma(a_r)
    tz = (load(shift(ta, H), width) + load(shift(tax, H), width)) * slope(z)
    tn = (load(shift(tax, 2 * H), width) + tr * u + r * tu) * tanh_slope(n)  # n = tanh(a_n + r u)
    store(<vec*> s.th + q, (1 - z) * tn + z * th_before + tz * (h_before - n), width)  # h = (1 - z) n + z h_before
    store(ta, tr, width)
    store(shift(ta, H), tz, width)
    store(shift(tax, 2 * H), tn, width)


cdef inline void gru_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    """(5.5): dh becomes what of that of t - 1 passes the products by."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec* dax = <vec*> s.dax + q
    cdef vec n = v[0], r = v[w.wide], z = v[2 * w.wide], u = v[3 * w.wide], da_r, da_z, da_n
    cdef vec h_before = load(<const vec*> s.h_before + q, width), dh = load(<const vec*> s.dh + q, width)
    dh = load(<const vec*> s.dy + q, width) + dh
    da_n = dh * (1 - z) * tanh_slope(n)                              # h = (1 - z) n + z h_before
    da_z = dh * (h_before - n) * slope(z)
    da_r = da_n * u * slope(r)                                       # n = tanh(a_n + r u)
    store(<vec*> s.kept_dh + q, dh, width)
    store(<vec*> s.dh + q, dh * z, width)                            # h = (1 - z) n + z h_before
    store(da, da_r, width)
    store(dax, da_r, width)
    store(shift(da, H), da_z, width)
    store(shift(dax, H), da_z, width)
    store(shift(da, 2 * H), da_n * r, width)                         # n = tanh(a_n + r u)
    store(shift(dax, 2 * H), da_n, width)


cdef inline void gru_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    """The tangent of every line of `gru_adjoint`."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* t = <const vec*> s.ta + q
    cdef vec* tdax = <vec*> s.tdax + q
    cdef vec n = v[0], r = v[w.wide], z = v[2 * w.wide], u = v[3 * w.wide], da_n, tda_n, tda_r, tda_z
    cdef vec tr = load(t, width), tz = load(shift(t, H), width), tu = load(shift(t, 2 * H), width)
    cdef vec tn = load(shift(<const vec*> s.tax + q, 2 * H), width)
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), tdh = load(<const vec*> s.tdh + q, width)
    tdh = load(<const vec*> s.tdy + q, width) + tdh
    da_n = dh * (1 - z) * tanh_slope(n)
    tda_n = (tdh * (1 - z) - dh * tz) * tanh_slope(n) + dh * (1 - z) * tanh_tslope(n, tn)
    tda_z = (tdh * (h_before - n) + dh * (th_before - tn)) * slope(z) + dh * (h_before - n) * tslope(z, tz)
    tda_r = (tda_n * u + da_n * tu) * slope(r) + da_n * u * tslope(r, tr)
    store(<vec*> s.tdh + q, tdh * z + dh * tz, width)
    store(tda, tda_r, width)
    store(tdax, tda_r, width)
    store(shift(tda, H), tda_z, width)
    store(shift(tdax, H), tda_z, width)
    store(shift(tda, 2 * H), tda_n * r + da_n * tr, width)
    store(shift(tdax, 2 * H), tda_n, width)


# ---- A row of any cell: registers q0 to q1 -------------------------------------------------------------------------


cdef inline void _tangent_row(
    const Walk* w, const Passes* s, vec* ta, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.point == LSTM_POINT:
            lstm_tangent(w, s, ta + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_tangent(w, s, <const vec*> ta + q, q)
        else:
            gru_tangent(w, s, ta + q, q)


cdef inline void tangent_row(
    const Walk* w, const Passes* s, cython.floating* ta, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _tangent_row[vfloat](w, s, <vfloat*> ta, q0, q1)
    else:
        _tangent_row[vdouble](w, s, <vdouble*> ta, q0, q1)


cdef inline void _adjoint_row(
    const Walk* w, const Passes* s, vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.point == LSTM_POINT:
            lstm_adjoint(w, s, da + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_adjoint(w, s, da + q, q)
        else:
            gru_adjoint(w, s, da + q, q)


cdef inline void adjoint_row(
    const Walk* w, const Passes* s, cython.floating* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _adjoint_row[vfloat](w, s, <vfloat*> da, q0, q1)
    else:
        _adjoint_row[vdouble](w, s, <vdouble*> da, q0, q1)


cdef inline void _adjoint_tangent_row(
    const Walk* w, const Passes* s, vec* tda, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.point == LSTM_POINT:
            lstm_adjoint_tangent(w, s, tda + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_adjoint_tangent(w, s, tda + q, q)
        else:
            gru_adjoint_tangent(w, s, tda + q, q)


cdef inline void adjoint_tangent_row(
    const Walk* w, const Passes* s, cython.floating* tda, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _adjoint_tangent_row[vfloat](w, s, <vfloat*> tda, q0, q1)
    else:
        _adjoint_tangent_row[vdouble](w, s, <vdouble*> tda, q0, q1)
