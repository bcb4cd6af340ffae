"""The tangents of the recurrent cells, as docs/curvature.md writes them: one sequence at one step, a register of units.

For each cell three: how a direction passes a step forward; the step's backward, which keeps what the third needs; and
how the direction passes that backward. `d` before a name is a gradient and `t` before it a tangent, the derivative
along the direction: tdh is the tangent of dh. Every line of backward names the line of forward that it undoes, and
every line of the third is the tangent of one of backward.

A step's gradient or tangent of pre-activations has no padding: its gates are w.hidden numbers apart, and all its
registers are loaded and stored by their width. Gate values have that of their tape, w.wide registers.
"""
from ..ground._vec cimport decay, every, load, positive, shift, store, tanh, vec
from ..product._tile cimport out_of_line
from ..recurrent._cells cimport candidate_slope, forget_share, input_share
from ..recurrent._walk cimport units, Walk
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


cdef inline vec candidate_tslope(const Walk* w, vec n, vec tn) noexcept nogil:
    """0, or below 1/2 of the positive form that of sigma."""
    if w.cell.form & 1:
        return positive(tslope(n, tn), every(n, 0.5) - n)
    return every(n, 0)


# ---- A diagonal recurrence, in the place of products with W_h ------------------------------------------------------


cdef inline void diagonal_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    cdef Py_ssize_t width = units(w, q), g
    cdef const vec* u = <const vec*> s.W_h + q
    cdef vec th_before = load(<const vec*> s.th_before + q, width), ta_g
    for g in range(w.gates):
        ta_g = load(shift(ta, g * w.hidden), width) + load(shift(u, g * w.hidden), width) * th_before
        store(shift(ta, g * w.hidden), ta_g, width)                  # a = ... + u h_before


cdef inline void diagonal_adjoint(
    const Walk* w, const Passes* s, const vec* da, vec* dh, Py_ssize_t q,
) noexcept nogil:
    """dh becomes that of t - 1, all of which passes by u; or with tangents for both, the same."""
    cdef Py_ssize_t width = units(w, q), g
    cdef const vec* u = <const vec*> s.W_h + q
    cdef vec dh_before = load(u, width) * load(da, width)            # a = ... + u h_before
    for g in range(1, w.gates):
        dh_before = dh_before + load(shift(u, g * w.hidden), width) * load(shift(da, g * w.hidden), width)
    store(dh, dh_before, width)


# ---- RNN --------------------------------------------------------------------------------------------------------


cdef inline vec _through(const Walk* w, vec h, vec v) noexcept nogil:
    """f'(a) v, by h = f(a)."""
    if w.cell.form == 1:
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
    if w.cell.form != 1:
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


# ---- MinGRU ------------------------------------------------------------------------------------------------------


cdef inline void mingru_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    """ta become the tangents of the gate values; writes th."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec z = v[0], n = v[w.wide], tz, tn
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    tz = load(ta, width) * slope(z)                                  # z = sigma(a_z)
    tn = load(shift(ta, H), width) * candidate_slope(w, n)           # n = g(a_n)
    store(<vec*> s.th + q, (1 - z) * th_before + z * tn + tz * (n - h_before), width)  # h = (1 - z) h_before + z n
    store(ta, tz, width)
    store(shift(ta, H), tn, width)


cdef inline void mingru_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    """(5.9): dh becomes that of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec z = v[0], n = v[w.wide]
    cdef vec h_before = load(<const vec*> s.h_before + q, width), dh = load(<const vec*> s.dh + q, width)
    dh = load(<const vec*> s.dy + q, width) + dh
    store(<vec*> s.kept_dh + q, dh, width)
    store(da, dh * (n - h_before) * slope(z), width)                 # h = (1 - z) h_before + z n
    store(shift(da, H), dh * z * candidate_slope(w, n), width)
    store(<vec*> s.dh + q, dh * (1 - z), width)


cdef inline void mingru_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    """The tangent of every line of `mingru_adjoint`."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* t = <const vec*> s.ta + q
    cdef vec z = v[0], n = v[w.wide], tz = load(t, width), tn = load(shift(t, H), width), tda_z, tda_n
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), tdh = load(<const vec*> s.tdh + q, width)
    tdh = load(<const vec*> s.tdy + q, width) + tdh
    tda_z = (tdh * (n - h_before) + dh * (tn - th_before)) * slope(z) + dh * (n - h_before) * tslope(z, tz)
    tda_n = (tdh * z + dh * tz) * candidate_slope(w, n) + dh * z * candidate_tslope(w, n, tn)
    store(tda, tda_z, width)
    store(shift(tda, H), tda_n, width)
    store(<vec*> s.tdh + q, tdh * (1 - z) - dh * tz, width)


# ---- MinLSTM -----------------------------------------------------------------------------------------------------


cdef inline vec share_tangent(vec f, vec i, vec ta_f, vec ta_i) noexcept nogil:
    """The tangent of f / (f + i), minus which is that of i / (f + i). Of a_f and a_i, since f and i may be tiny."""
    return (f / (f + i)) * (i / (f + i)) * (ta_f * (1 - f) - ta_i * (1 - i))


cdef inline void minlstm_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    """The last part of ta becomes the tangent of n, those of f and i stay as they are; writes th."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec f = v[0], i = v[w.wide], n = v[2 * w.wide], of_f = f, of_i = i, tof_f, tof_i, tn
    cdef vec ta_f = load(ta, width), ta_i = load(shift(ta, H), width)
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    tn = load(shift(ta, 2 * H), width) * candidate_slope(w, n)       # n = g(a_n)
    if w.cell.form & 2:                                              # of_f = f = sigma(a_f), of_i = i
        tof_f, tof_i = ta_f * slope(f), ta_i * slope(i)
    else:                                                            # of_f = f / (f + i), of_f + of_i = 1
        of_f, of_i = f / (f + i), i / (f + i)
        tof_f = share_tangent(f, i, ta_f, ta_i)
        tof_i = -tof_f
    # h = of_f h_before + of_i n
    store(<vec*> s.th + q, of_f * th_before + tof_f * h_before + of_i * tn + tof_i * n, width)
    store(shift(ta, 2 * H), tn, width)


cdef inline void minlstm_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    """(5.10): dh becomes that of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef vec f = v[0], i = v[w.wide], n = v[2 * w.wide], of_f = f, of_i = i, dshare
    cdef vec h_before = load(<const vec*> s.h_before + q, width), dh = load(<const vec*> s.dh + q, width)
    dh = load(<const vec*> s.dy + q, width) + dh
    store(<vec*> s.kept_dh + q, dh, width)
    if w.cell.form & 2:                                              # h = f h_before + i n
        store(da, dh * h_before * slope(f), width)
        store(shift(da, H), dh * n * slope(i), width)
    else:                                                            # h = of_f h_before + of_i n, of_f = f / (f + i)
        of_f, of_i = f / (f + i), i / (f + i)
        dshare = dh * (h_before - n) * (of_f * of_i)
        store(da, dshare * (1 - f), width)
        store(shift(da, H), -dshare * (1 - i), width)
    store(shift(da, 2 * H), dh * of_i * candidate_slope(w, n), width)
    store(<vec*> s.dh + q, dh * of_f, width)


cdef inline void minlstm_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    """The tangent of every line of `minlstm_adjoint`."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* t = <const vec*> s.ta + q
    cdef vec f = v[0], i = v[w.wide], n = v[2 * w.wide], of_f = f, of_i = i, tof_f, tof_i, p, tp, dshare, tdshare
    cdef vec ta_f = load(t, width), ta_i = load(shift(t, H), width), tn = load(shift(t, 2 * H), width)
    cdef vec tf = ta_f * slope(f), ti = ta_i * slope(i), tda_n
    cdef vec h_before = load(<const vec*> s.h_before + q, width), th_before = load(<const vec*> s.th_before + q, width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), tdh = load(<const vec*> s.tdh + q, width)
    tdh = load(<const vec*> s.tdy + q, width) + tdh
    if w.cell.form & 2:
        tof_f, tof_i = tf, ti
        store(tda, (tdh * h_before + dh * th_before) * slope(f) + dh * h_before * tslope(f, tf), width)
        store(shift(tda, H), (tdh * n + dh * tn) * slope(i) + dh * n * tslope(i, ti), width)
    else:
        of_f, of_i = f / (f + i), i / (f + i)
        tof_f = share_tangent(f, i, ta_f, ta_i)
        tof_i = -tof_f
        p, tp = of_f * of_i, tof_f * (of_i - of_f)
        dshare = dh * (h_before - n) * p
        tdshare = (tdh * (h_before - n) + dh * (th_before - tn)) * p + dh * (h_before - n) * tp
        store(tda, tdshare * (1 - f) - dshare * tf, width)
        store(shift(tda, H), dshare * ti - tdshare * (1 - i), width)
    tda_n = (tdh * of_i + dh * tof_i) * candidate_slope(w, n) + dh * of_i * candidate_tslope(w, n, tn)
    store(shift(tda, 2 * H), tda_n, width)
    store(<vec*> s.tdh + q, tdh * of_f + dh * tof_f, width)


# ---- sLSTM -------------------------------------------------------------------------------------------------------


cdef inline out_of_line slstm_tangent(const Walk* w, const Passes* s, vec* ta, Py_ssize_t q) noexcept nogil:
    """The last parts of ta become the tangents of z and o, those of i and f stay as they are; writes tc, tn and th. m
    is a number: h is the same for any."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* before = <const vec*> s.c_before + q
    cdef const vec* after = <const vec*> s.c + q
    cdef const vec* tbefore = <const vec*> s.tc_before + q
    cdef vec d = v[0], least = decay(d), i = input_share(d, least), f = forget_share(d, least)
    cdef vec z = v[2 * w.wide], o = v[3 * w.wide], ti, tf, tz, to, tc, tn
    cdef vec n = load(shift(after, H), width), y = load(after, width) / n
    ti = i * load(ta, width)                                         # i = exp(a_i - m)
    tf = f * v[w.wide] * load(shift(ta, H), width)                   # f = exp(log f(a_f) + m_before - m)
    tz = load(shift(ta, 2 * H), width) * tanh_slope(z)               # z = tanh(a_z)
    to = load(shift(ta, 3 * H), width) * slope(o)
    tc = f * load(tbefore, width) + tf * load(before, width) + i * tz + ti * z  # c = f c_before + i z
    tn = f * load(shift(tbefore, H), width) + tf * load(shift(before, H), width) + ti  # n = f n_before + i
    store(<vec*> s.th + q, to * y + o * ((tc - y * tn) / n), width)  # h = o y, y = c / n
    store(<vec*> s.tc + q, tc, width)
    store(shift(<vec*> s.tc + q, H), tn, width)
    store(shift(ta, 2 * H), tz, width)
    store(shift(ta, 3 * H), to, width)


cdef inline out_of_line slstm_adjoint(const Walk* w, const Passes* s, vec* da, Py_ssize_t q) noexcept nogil:
    """(5.12): dc and dn become those of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* before = <const vec*> s.c_before + q
    cdef const vec* after = <const vec*> s.c + q
    cdef vec* of_c = <vec*> s.dc + q
    cdef vec d = v[0], least = decay(d), i = input_share(d, least), f = forget_share(d, least)
    cdef vec z = v[2 * w.wide], o = v[3 * w.wide], n = load(shift(after, H), width), y = load(after, width) / n
    cdef vec dh = load(<const vec*> s.dy + q, width) + load(<const vec*> s.dh + q, width), dy_n = dh * o / n
    cdef vec dc = load(of_c, width) + dy_n, dn = load(shift(of_c, H), width) - dy_n * y  # h = o y, y = c / n
    store(<vec*> s.kept_dh + q, dh, width)
    store(<vec*> s.kept_dc + q, dc, width)
    store(shift(<vec*> s.kept_dc + q, H), dn, width)
    store(da, (dc * z + dn) * i, width)                              # c = f c_before + i z, n = f n_before + i
    store(shift(da, H), (dc * load(before, width) + dn * load(shift(before, H), width)) * f * v[w.wide], width)
    store(shift(da, 2 * H), dc * i * tanh_slope(z), width)
    store(shift(da, 3 * H), dh * y * slope(o), width)                # h = o y
    store(of_c, dc * f, width)                                       # c = f c_before + i z, n = f n_before + i
    store(shift(of_c, H), dn * f, width)


cdef inline out_of_line slstm_adjoint_tangent(const Walk* w, const Passes* s, vec* tda, Py_ssize_t q) noexcept nogil:
    """The tangent of every line of `slstm_adjoint`; tdc and tdn become those of t - 1."""
    cdef Py_ssize_t width = units(w, q), H = w.hidden
    cdef const vec* v = <const vec*> s.gates + q
    cdef const vec* t = <const vec*> s.ta + q
    cdef const vec* before = <const vec*> s.c_before + q
    cdef const vec* tbefore = <const vec*> s.tc_before + q
    cdef vec* of_c = <vec*> s.tdc + q
    cdef vec d = v[0], least = decay(d), i = input_share(d, least), f = forget_share(d, least), f_slope = v[w.wide]
    cdef vec z = v[2 * w.wide], o = v[3 * w.wide], tz = load(shift(t, 2 * H), width), to = load(shift(t, 3 * H), width)
    cdef vec ti = i * load(t, width), tf = f * f_slope * load(shift(t, H), width)
    cdef vec c = load(<const vec*> s.c + q, width), n = load(shift(<const vec*> s.c + q, H), width), y = c / n
    cdef vec tn = load(shift(<const vec*> s.tc + q, H), width), ty = (load(<const vec*> s.tc + q, width) - y * tn) / n
    cdef vec c_before = load(before, width), n_before = load(shift(before, H), width)
    cdef vec dh = load(<const vec*> s.kept_dh + q, width), dc = load(<const vec*> s.kept_dc + q, width)
    cdef vec dn = load(shift(<const vec*> s.kept_dc + q, H), width), dy_n = dh * o / n
    cdef vec tdh, tdy_n, tdc, tdn, of_f, tof_f
    tdh = load(<const vec*> s.tdy + q, width) + load(<const vec*> s.tdh + q, width)
    tdy_n = (tdh * o + dh * to - dy_n * tn) / n
    tdc = load(of_c, width) + tdy_n
    tdn = load(shift(of_c, H), width) - tdy_n * y - dy_n * ty
    store(tda, (tdc * z + dc * tz + tdn) * i + (dc * z + dn) * ti, width)
    of_f = dc * c_before + dn * n_before
    tof_f = tdc * c_before + dc * load(tbefore, width) + tdn * n_before + dn * load(shift(tbefore, H), width)
    # f f_slope has the tangent tf f_slope - f f_slope (1 - f_slope) ta_f
    store(shift(tda, H), tof_f * f * f_slope + of_f * tf * (2 * f_slope - 1), width)
    store(shift(tda, 2 * H), (tdc * i + dc * ti) * tanh_slope(z) + dc * i * tanh_tslope(z, tz), width)
    store(shift(tda, 3 * H), (tdh * y + dh * ty) * slope(o) + dh * y * tslope(o, to), width)
    store(of_c, tdc * f + dc * tf, width)
    store(shift(of_c, H), tdn * f + dn * tf, width)
