"""What may act on a step of any cell: clipped gates, masks, zoneout. A register of units is a value (_vec.pxd).

Clipped gates. `clip` bounds what enters a gate's function, whose derivative is zero where the bound acts. Such a gate
is kept as 2 or -2, which no sigmoid or tanh returns: backward reads its value and its derivative off that mark.

Options are asked for once a register: a plain cell pays a few branches that are always foretold.
"""
from libc.stdint cimport uint8_t

from ..ground._vec cimport (
    choose, clamp, every, load, mark, sigmoid, store, tanh, unmark, unmarked, vdouble, vec, vfloat,
)
from ._walk cimport carries, Row, units, Walk


cdef inline vec sigmoid_gate(const Walk* w, vec* gate, vec a) noexcept nogil:
    """sigma(a), which `gate` keeps; under a clip that of a bounded a, marked where the bound acts."""
    cdef vec value
    if w.clip == 0:
        value = sigmoid(a)
        gate[0] = value
    else:
        value = sigmoid(clamp(a, w.clip))
        gate[0] = mark(value, a, w.clip)
    return value


cdef inline vec tanh_gate(const Walk* w, vec* gate, vec a) noexcept nogil:
    cdef vec value
    if w.clip == 0:
        value = tanh(a)
        gate[0] = value
    else:
        value = tanh(clamp(a, w.clip))
        gate[0] = mark(value, a, w.clip)
    return value


cdef inline vec sigmoid_value(const Walk* w, vec gate) noexcept nogil:
    """What `sigmoid_gate` gave, of what it kept."""
    if w.clip == 0:
        return gate
    return unmark(gate, sigmoid(every(gate, -w.clip)), sigmoid(every(gate, w.clip)))


cdef inline vec tanh_value(const Walk* w, vec gate) noexcept nogil:
    if w.clip == 0:
        return gate
    return unmark(gate, tanh(every(gate, -w.clip)), tanh(every(gate, w.clip)))


cdef inline vec sigmoid_slope(const Walk* w, vec gate) noexcept nogil:
    """Its derivative: s (1 - s), or 0 where it was clipped."""
    if w.clip == 0:
        return gate * (1 - gate)
    return unmarked(gate, gate * (1 - gate))


cdef inline vec tanh_slope(const Walk* w, vec gate) noexcept nogil:
    """1 - v^2, or 0 where it was clipped."""
    if w.clip == 0:
        return 1 - gate * gate
    return unmarked(gate, 1 - gate * gate)


cdef inline vec kept(const Walk* w, const Row* row, Py_ssize_t q, vec g) noexcept nogil:
    """Dropout on the candidate: kept and scaled, or zero (4.6). It is its own transpose."""
    if w.candidate is NULL:
        return g
    return choose(w.candidate + row.at + q * w.lanes, units(w, q), g * every(g, w.scale), every(g, 0))


cdef inline vec zoned(const uint8_t* mask, double rate, Py_ssize_t width, vec new, vec old) noexcept nogil:
    """Zoneout: the old value where the mask says so, or the expectation of that."""
    if mask is not NULL:
        return choose(mask, width, old, new)
    return new if rate == 0 else new + every(new, rate) * (old - new)


cdef inline vec to_old(const uint8_t* mask, double rate, Py_ssize_t width, vec d) noexcept nogil:
    """Of the gradient with respect to what `zoned` gave, the part of the old value."""
    if mask is not NULL:
        return choose(mask, width, d, every(d, 0))
    return every(d, rate) * d


cdef inline vec to_new(const uint8_t* mask, double rate, Py_ssize_t width, vec d) noexcept nogil:
    """And the part of the new one."""
    if mask is not NULL:
        return choose(mask, width, every(d, 0), d)
    return d if rate == 0 else d - every(d, rate) * d


cdef inline const uint8_t* zone_h(const Walk* w, const Row* row, Py_ssize_t q) noexcept nogil:
    return NULL if w.zone_h is NULL else w.zone_h + row.out_at + q * w.lanes


cdef inline const uint8_t* zone_c(const Walk* w, const Row* row, Py_ssize_t q) noexcept nogil:
    return NULL if w.zone_c is NULL else w.zone_c + row.at + q * w.lanes


cdef inline void emit(const Walk* w, const Row* row, Py_ssize_t q, vec new) noexcept nogil:
    """h of h's new value, and what the next step multiplies by W_h: h, or h and a mask."""
    cdef Py_ssize_t width = min(w.lanes, w.outputs - q * w.lanes)
    cdef vec h = new
    if w.zone_h is not NULL or w.rate_h != 0:
        h = zoned(zone_h(w, row, q), w.rate_h, width, new, load(<const vec*> row.h_before + q, width))
    store(<vec*> row.h + q, h, width)
    if row.state_mask is not NULL:
        h = h * load(<const vec*> row.state_mask + q, width)
    (<vec*> row.operand)[q] = h


cdef inline vec absorb(const Walk* w, const Row* row, Py_ssize_t q, const vec* dy) noexcept nogil:
    """Undoes `emit`: the gradient with respect to h's new value, from dy and the next step's dh, in whose place is left
    what passes the new value by."""
    cdef Py_ssize_t width = min(w.lanes, w.outputs - q * w.lanes)
    cdef vec dh = load(<const vec*> row.dh + q, width) + load(dy + q, width)
    if not carries(w):
        return dh
    store(<vec*> row.dh + q, to_old(zone_h(w, row, q), w.rate_h, width, dh), width)
    return to_new(zone_h(w, row, q), w.rate_h, width, dh)
