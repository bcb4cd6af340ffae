"""The equations of the recurrent cells, as docs/recurrent.md numbers them: one row, the q-th register of its units.

A gate's registers lie w.wide after those of the gate before it. Forward turns pre-activations into gate values, in
place, and returns h's new value. Backward takes the gradient with respect to that value, dh, and writes da, the one
with respect to the pre-activations; each of its lines names the line of forward that it undoes. `d` before a name is
a gradient, and nothing else is called so.
"""
from ..ground._vec cimport (
    clamp, decay, either, every, greater, load, log_sigmoid, part, positive, relu, shift, sigmoid, store, tanh, vdouble,
    vec, vfloat, within,
)
from ._options cimport (
    kept, sigmoid_gate, sigmoid_slope, sigmoid_value, tanh_gate, tanh_slope, tanh_value, to_new, to_old, zone_c,
    zoned,
)
from ._walk cimport (
    GRU_AFTER, GRU_POINT, LSTM_COUPLED, LSTM_POINT, MINGRU_POINT, plain_blocks, RNN_POINT, Row, units, Walk,
)


# ---- RNN ------------------------------------------------------------------------------------------------------


cdef inline vec rnn_point(const Walk* w, vec* gates) noexcept nogil:
    """(5.1): h = f(a)."""
    cdef vec h
    if w.cell.form == 0:
        return tanh_gate(w, gates, gates[0])
    h = relu(gates[0])
    gates[0] = h
    if w.clip != 0:  # a mark that no relu returns
        gates[0] = -positive(every(h, 1), h - every(h, w.clip)) + within(h, h, w.clip)
        h = clamp(h, w.clip)
    return h


cdef inline void rnn_point_backward(const Walk* w, const vec* gates, vec dh, vec* da) noexcept nogil:
    if w.cell.form == 1:
        da[0] = positive(dh, gates[0])
    else:
        da[0] = dh * tanh_slope(w, gates[0])


# ---- A diagonal recurrence ---------------------------------------------------------------------------------------


cdef inline vec _seen(const Walk* w, const Row* row, Py_ssize_t q, const vec* h) noexcept nogil:
    """h of the step before, and its mask."""
    cdef vec seen = load(h + q, units(w, q))
    if row.state_mask is not NULL:
        seen = seen * load(<const vec*> row.state_mask + q, units(w, q))
    return seen


cdef inline void diagonal(const Walk* w, const Row* row, vec* gates, Py_ssize_t q0, Py_ssize_t q1) noexcept nogil:
    """(5.11): a = ... + u h_{t-1}, in the place of a product."""
    cdef const vec* u
    cdef Py_ssize_t b, q
    for b in range(w.cell.blocks):
        if w.cell.h_gate[b] >= 0:
            u = <const vec*> row.peepholes + w.cell.h_gate[b] * w.wide
            for q in range(q0, q1):
                gates[b * w.wide + q] = gates[b * w.wide + q] + u[q] * _seen(w, row, q, <const vec*> row.h_before)


cdef inline void diagonal_backward(
    const Walk* w, const Row* row, const vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """row.dh, what passes the new value by, gains what passes by u."""
    cdef const vec* u
    cdef Py_ssize_t b, q
    cdef vec dh
    for b in range(w.cell.blocks):
        if w.cell.h_gate[b] >= 0:
            u = <const vec*> row.peepholes + w.cell.h_gate[b] * w.wide
            for q in range(q0, q1):
                dh = u[q] * da[b * w.wide + q]
                if row.state_mask is not NULL:
                    dh = dh * load(<const vec*> row.state_mask + q, units(w, q))
                store(<vec*> row.dh + q, load(<const vec*> row.dh + q, units(w, q)) + dh, units(w, q))


# ---- LSTM -----------------------------------------------------------------------------------------------------


cdef inline vec lstm_point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """(5.3): writes c, and returns h's new value."""
    cdef Py_ssize_t to_g = w.wide if w.kind == LSTM_COUPLED else 2 * w.wide, to_o = to_g + w.wide
    cdef const vec* p = <const vec*> row.peepholes + q
    cdef vec old = load(<const vec*> row.c_before + q, units(w, q))
    cdef vec a_i = gates[0], a_f = gates[w.wide], a_o = gates[to_o], i, f, g, o, c
    if w.peepholes:
        a_i, a_f = a_i + p[0] * old, a_f + p[w.wide] * old
    i = sigmoid_gate(w, gates, a_i)
    f = 1 - i if w.kind == LSTM_COUPLED else sigmoid_gate(w, gates + w.wide, a_f)
    g = kept(w, row, q, tanh_gate(w, gates + to_g, gates[to_g]))
    c = f * old + i * g
    if w.cell_clip != 0:
        c = clamp(c, w.cell_clip)
    if w.peepholes:
        a_o = a_o + p[2 * w.wide] * c
    o = sigmoid_gate(w, gates + to_o, a_o)
    store(<vec*> row.c + q, zoned(zone_c(w, row, q), w.rate_c, units(w, q), c, old), units(w, q))
    return o * tanh(c)


cdef inline void lstm_point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """(5.4): row.dc becomes that of t - 1. row.fresh, if anything, gets c as it was before zoneout, which the output
    gate's peephole reads."""
    cdef bint coupled = w.kind == LSTM_COUPLED
    cdef Py_ssize_t to_g = w.wide if coupled else 2 * w.wide, to_o = to_g + w.wide, width = units(w, q)
    cdef const vec* p = <const vec*> row.peepholes + q
    cdef vec old = load(<const vec*> row.c_before + q, width), c = load(<const vec*> row.c + q, width)
    cdef vec i = sigmoid_value(w, gates[0]), f = 1 - i if coupled else sigmoid_value(w, gates[w.wide])
    cdef vec g = kept(w, row, q, tanh_value(w, gates[to_g])), o = sigmoid_value(w, gates[to_o])
    cdef vec dc = load(<const vec*> row.dc + q, width), dc_old = every(dc, 0), before_clip = c, y, da_i, da_f, da_o
    if row.dc_above is not NULL:
        dc = dc + load(<const vec*> row.dc_above + q, width)
    if w.zone_c is not NULL or w.rate_c != 0 or w.cell_clip != 0:  # c was kept as it left zoneout and the clip
        before_clip = f * old + i * g
        c = before_clip if w.cell_clip == 0 else clamp(before_clip, w.cell_clip)
        dc_old = to_old(zone_c(w, row, q), w.rate_c, width, dc)  # c_t = zoned(c, old)
        dc = to_new(zone_c(w, row, q), w.rate_c, width, dc)
    if row.fresh is not NULL:
        (<vec*> row.fresh)[q] = c
    y = tanh(c)
    da_o = dh * y * sigmoid_slope(w, gates[to_o])                # h = o tanh(c), o = sigma(a_o)
    dc = dc + dh * o * (1 - y * y)
    if w.peepholes:
        dc = dc + p[2 * w.wide] * da_o                           # a_o = ... + p_o c
    if w.cell_clip != 0:
        dc = within(dc, before_clip, w.cell_clip)                # c = clamp(f old + i g)
    da_i = dc * (g - old if coupled else g) * sigmoid_slope(w, gates[0])  # c = f old + i g; coupled: f = 1 - i
    dc_old = dc_old + dc * f
    if w.peepholes:
        dc_old = dc_old + p[0] * da_i                            # a_i = ... + p_i old
    if not coupled:
        da_f = dc * old * sigmoid_slope(w, gates[w.wide])
        if w.peepholes:
            dc_old = dc_old + p[w.wide] * da_f
        da[w.wide] = da_f
    da[0] = da_i
    da[to_g] = kept(w, row, q, dc * i) * tanh_slope(w, gates[to_g])  # g = kept(tanh(a_g))
    da[to_o] = da_o
    store(<vec*> row.dc + q, dc_old, width)


# ---- GRU ------------------------------------------------------------------------------------------------------


cdef inline void gru_reset(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """Reset before the product, first phase: r and z, and row.reset = r h_{t-1}, which W_hn multiplies."""
    cdef vec r = sigmoid_gate(w, gates, gates[0]), h = load(<const vec*> row.h_before + q, units(w, q))
    sigmoid_gate(w, gates + w.wide, gates[w.wide])
    if row.state_mask is not NULL:
        h = h * load(<const vec*> row.state_mask + q, units(w, q))
    (<vec*> row.reset)[q] = r * h


cdef inline vec gru_point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """(5.5): h = (1 - z) n + z old. Reset before the product: the second phase, r and z are there already."""
    cdef vec old = load(<const vec*> row.h_before + q, units(w, q)), r, z, n
    if w.kind == GRU_AFTER:
        r = sigmoid_gate(w, gates + w.wide, gates[w.wide])
        z = sigmoid_gate(w, gates + 2 * w.wide, gates[2 * w.wide])
        n = tanh_gate(w, gates, gates[0] + r * gates[3 * w.wide])
    else:
        z = sigmoid_value(w, gates[w.wide])
        n = tanh_gate(w, gates + 2 * w.wide, gates[2 * w.wide])
    n = kept(w, row, q, n)
    return (1 - z) * n + z * old


cdef inline void gru_point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """da of n and z, and of r too with the reset after the product (else gru_reset_backward does r). row.dh, what
    passes the new value by, gains what passes by z."""
    cdef bint after = w.kind == GRU_AFTER
    cdef Py_ssize_t to_z = 2 * w.wide if after else w.wide, to_n = 0 if after else 2 * w.wide, width = units(w, q)
    cdef vec old = load(<const vec*> row.h_before + q, width), z = sigmoid_value(w, gates[to_z])
    cdef vec n = kept(w, row, q, tanh_value(w, gates[to_n])), da_n
    da_n = kept(w, row, q, dh * (1 - z)) * tanh_slope(w, gates[to_n])  # h = (1 - z) n + z old, n = kept(tanh(a_n))
    da[to_n] = da_n
    da[to_z] = dh * (old - n) * sigmoid_slope(w, gates[to_z])
    if after:                                                    # a_n = a + r q, q = gates[3]
        da[w.wide] = da_n * gates[3 * w.wide] * sigmoid_slope(w, gates[w.wide])
        da[3 * w.wide] = da_n * sigmoid_value(w, gates[w.wide])
    store(<vec*> row.dh + q, load(<const vec*> row.dh + q, width) + dh * z, width)


cdef inline void gru_reset_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec d_reset, vec* da,
) noexcept nogil:
    """Undoes `gru_reset`: da of r, and row.dh, from the gradient with respect to r h_{t-1}; and row.reset again."""
    cdef vec r = sigmoid_value(w, gates[0]), h = load(<const vec*> row.h_before + q, units(w, q)), mask
    if row.state_mask is not NULL:
        mask = load(<const vec*> row.state_mask + q, units(w, q))
        d_reset = d_reset * mask
        (<vec*> row.reset)[q] = r * h * mask
    else:
        (<vec*> row.reset)[q] = r * h
    da[0] = d_reset * h * sigmoid_slope(w, gates[0])
    store(<vec*> row.dh + q, load(<const vec*> row.dh + q, units(w, q)) + d_reset * r, units(w, q))


# ---- MinGRU -----------------------------------------------------------------------------------------------------


cdef inline vec candidate_gate(const Walk* w, vec* gate) noexcept nogil:
    """n = a; or the positive a + 1/2 for a >= 0, sigma(a) below."""
    cdef vec a = gate[0]
    if w.cell.form & 1:
        gate[0] = relu(a) + sigmoid(-relu(-a))
    return gate[0]


cdef inline vec candidate_slope(const Walk* w, vec n) noexcept nogil:
    """1, or below 1/2 of the positive form that of sigma."""
    cdef vec one = every(n, 1), half = every(n, 0.5)
    if w.cell.form & 1:
        return positive(n * (1 - n), half - n) + (one - positive(one, half - n))
    return one


cdef inline vec mingru_point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """(5.9): h = (1 - z) old + z n."""
    cdef vec old = load(<const vec*> row.h_before + q, units(w, q)), z = sigmoid_gate(w, gates, gates[0])
    cdef vec n = kept(w, row, q, candidate_gate(w, gates + w.wide))
    return (1 - z) * old + z * n


cdef inline void mingru_point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """row.dh, what passes the new value by, gains what passes by 1 - z."""
    cdef Py_ssize_t width = units(w, q)
    cdef vec old = load(<const vec*> row.h_before + q, width), z = sigmoid_value(w, gates[0])
    cdef vec n = kept(w, row, q, gates[w.wide])
    da[0] = dh * (n - old) * sigmoid_slope(w, gates[0])                        # h = (1 - z) old + z n
    da[w.wide] = kept(w, row, q, dh * z) * candidate_slope(w, gates[w.wide])  # n = kept(g(a_n))
    store(<vec*> row.dh + q, load(<const vec*> row.dh + q, width) + dh * (1 - z), width)


# ---- MinLSTM ----------------------------------------------------------------------------------------------------


cdef inline vec share_gate(const Walk* w, vec* gate) noexcept nogil:
    """sigma(a) of a gate that may be divided by itself and another: so of an a that leaves it above 0."""
    gate[0] = sigmoid(gate[0] if w.cell.form & 2 else clamp(gate[0], 80))
    return gate[0]


cdef inline vec minlstm_point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """(5.10): h = (f old + i n) / (f + i), or f old + i n."""
    cdef vec old = load(<const vec*> row.h_before + q, units(w, q))
    cdef vec f = share_gate(w, gates), i = share_gate(w, gates + w.wide)
    cdef vec n = kept(w, row, q, candidate_gate(w, gates + 2 * w.wide))
    if w.cell.form & 2:
        return f * old + i * n
    return (f / (f + i)) * old + (i / (f + i)) * n


cdef inline void minlstm_point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """row.dh, what passes the new value by, gains what passes by f."""
    cdef Py_ssize_t width = units(w, q)
    cdef vec old = load(<const vec*> row.h_before + q, width), f = gates[0], i = gates[w.wide]
    cdef vec n = kept(w, row, q, gates[2 * w.wide]), of_f = f, of_i = i, apart
    if w.cell.form & 2:                           # h = f old + i n
        da[0] = dh * old * (f * (1 - f))
        da[w.wide] = dh * n * (i * (1 - i))
    else:                                         # h = of_f old + of_i n, of_f = f / (f + i), of_f + of_i = 1
        of_f, of_i = f / (f + i), i / (f + i)
        apart = dh * (old - n) * (of_f * of_i)
        da[0] = apart * (1 - f)
        da[w.wide] = -apart * (1 - i)
    da[2 * w.wide] = kept(w, row, q, dh * of_i) * candidate_slope(w, gates[2 * w.wide])  # n = kept(g(a_n))
    store(<vec*> row.dh + q, load(<const vec*> row.dh + q, width) + dh * of_f, width)


# ---- sLSTM ------------------------------------------------------------------------------------------------------


cdef enum:
    FAR = 1000  # e^-FAR is 0


cdef inline vec input_share(vec d, vec least) noexcept nogil:
    """i' = exp(a_i - m)."""
    return either(d, every(d, 1), least)


cdef inline vec forget_share(vec d, vec least) noexcept nogil:
    """f' = exp(log f + m_{t-1} - m)."""
    return either(d, least, every(d, 1))


cdef inline vec slstm_point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """(5.12): writes c, n and m, and returns h's new value. Of i' and f' the greater is 1 and the other e^-abs(d): gate
    i keeps d, and gate f the slope of log f."""
    cdef Py_ssize_t width = units(w, q)
    cdef const vec* before = <const vec*> row.c_before + q
    cdef vec* after = <vec*> row.c + q
    cdef vec a_i = gates[0], log_f = gates[w.wide], old_n = load(shift(before, w.hidden), width)
    cdef vec d, least, seen, z, c, n
    if w.cell.form == 1:
        gates[w.wide] = every(log_f, 1)
    else:
        gates[w.wide] = sigmoid(-log_f)
        log_f = log_sigmoid(log_f)
    seen = log_f + load(shift(before, 2 * w.hidden), width)
    d = either(old_n, a_i - seen, every(a_i, FAR))       # where n is 0 nothing has been stored yet
    store(shift(after, 2 * w.hidden), either(old_n, greater(seen, a_i), a_i), width)
    gates[0], least = d, decay(d)
    gates[2 * w.wide], gates[3 * w.wide] = tanh(gates[2 * w.wide]), sigmoid(gates[3 * w.wide])
    z = kept(w, row, q, gates[2 * w.wide])
    c = forget_share(d, least) * load(before, width) + input_share(d, least) * z
    n = forget_share(d, least) * old_n + input_share(d, least)
    store(after, c, width)
    store(shift(after, w.hidden), n, width)
    return gates[3 * w.wide] * (c / n)


cdef inline void slstm_point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """(5.12): row.dc, of c and n, becomes that of t - 1. m counts as a number: h does not depend on it."""
    cdef Py_ssize_t width = units(w, q)
    cdef const vec* before = <const vec*> row.c_before + q
    cdef const vec* after = <const vec*> row.c + q
    cdef vec* of_c = <vec*> row.dc + q
    cdef vec* of_n = shift(of_c, w.hidden)
    cdef vec d = gates[0], least = decay(d), i = input_share(d, least), f = forget_share(d, least)
    cdef vec z = kept(w, row, q, gates[2 * w.wide]), o = gates[3 * w.wide]
    cdef vec old = load(before, width), old_n = load(shift(before, w.hidden), width)
    cdef vec n = load(shift(after, w.hidden), width), y = load(after, width) / n
    cdef vec dy = dh * o, dc = load(of_c, width) + dy / n, dn = load(of_n, width) - dy * y / n  # h = o y, y = c / n
    da[0] = (dc * z + dn) * i                                          # c = f old + i z, n = f old_n + i, i = exp(a_i)
    da[w.wide] = (dc * old + dn * old_n) * f * gates[w.wide]           # f = exp(log f)
    da[2 * w.wide] = kept(w, row, q, dc * i) * (1 - gates[2 * w.wide] * gates[2 * w.wide])  # z = kept(tanh(a_z))
    da[3 * w.wide] = dh * y * (o * (1 - o))
    store(of_c, dc * f, width)
    store(of_n, dn * f, width)


# ---- A row of any cell ------------------------------------------------------------------------------------------


cdef inline vec point(const Walk* w, const Row* row, vec* gates, Py_ssize_t q) noexcept nogil:
    """h's new value, or of what is projected; the cell's last phase. sLSTM has rows of its own (_rows.pxd)."""
    if w.cell.point == RNN_POINT:
        return rnn_point(w, gates + q)
    if w.cell.point == LSTM_POINT:
        return lstm_point(w, row, gates + q, q)
    if w.cell.point == GRU_POINT:
        return gru_point(w, row, gates + q, q)
    if w.cell.point == MINGRU_POINT:
        return mingru_point(w, row, gates + q, q)
    return minlstm_point(w, row, gates + q, q)


cdef inline void point_backward(
    const Walk* w, const Row* row, const vec* gates, Py_ssize_t q, vec dh, vec* da,
) noexcept nogil:
    """da of every gate, zero beyond the units: it is an operand of products over whole registers."""
    if w.cell.point == RNN_POINT:
        rnn_point_backward(w, gates + q, dh, da + q)
    elif w.cell.point == LSTM_POINT:
        lstm_point_backward(w, row, gates + q, q, dh, da + q)
    elif w.cell.point == GRU_POINT:
        gru_point_backward(w, row, gates + q, q, dh, da + q)
    elif w.cell.point == MINGRU_POINT:
        mingru_point_backward(w, row, gates + q, q, dh, da + q)
    else:
        minlstm_point_backward(w, row, gates + q, q, dh, da + q)
    clear_beyond(w, da + q, plain_blocks(w), units(w, q))


cdef inline void clear_beyond(const Walk* w, vec* da, Py_ssize_t blocks, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t b
    if width < w.lanes:
        for b in range(blocks):
            da[b * w.wide] = part(da[b * w.wide], width)
