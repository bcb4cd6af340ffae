"""A panel of units as NR lanes in local arrays, and the options that act on them: clip, masks, zoneout.

Nothing can alias local arrays, so the loops vectorize; only `width` lanes of what is not padded are read and written
(the last panel of a row may be narrower). Options are asked for once a panel: a plain cell pays a few predictable
branches.

Clipped gates. `clip` bounds what enters a gate's function, whose derivative is zero where the bound acts. Such a gate
is kept as 2 or -2, which no sigmoid or tanh returns: backward reads its value and its derivative off that mark.
"""
cimport cython
from libc.stdint cimport uint8_t

from ._math cimport sigmoid_, tanh_
from ._tile cimport FD_NR_DOUBLE, FD_NR_FLOAT, in_line, out_of_line
from ._walk cimport carries, Walk


cdef inline void load(cython.floating* lanes, const cython.floating* from_, Py_ssize_t width) noexcept nogil:
    """NR lanes, zero beyond `width`."""
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if width == nr:
        for u in range(nr):
            lanes[u] = from_[u]
    else:
        for u in range(nr):
            lanes[u] = 0
        for u in range(width):
            lanes[u] = from_[u]


cdef inline void store(cython.floating* to, const cython.floating* lanes, Py_ssize_t width) noexcept nogil:
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if width == nr:
        for u in range(nr):
            to[u] = lanes[u]
    else:
        for u in range(width):
            to[u] = lanes[u]


cdef inline void _mark(cython.floating* gate, cython.floating* a, const Walk* w) noexcept nogil:
    """Bounds `a` by the clip; `gate`, to be stored, is marked where the bound acts."""
    cdef cython.floating clip = <cython.floating> w.clip
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        if a[u] > clip:
            gate[u] = 2
        elif a[u] < -clip:
            gate[u] = -2


cdef inline void bound(cython.floating* a, double limit) noexcept nogil:
    cdef cython.floating high = <cython.floating> limit, low
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        low = -high if a[u] < -high else a[u]
        a[u] = high if low > high else low


# Out of line: left to itself gcc inlines one or the other into the walk, whose registers they then compete for (5 %
# more instructions on avx2).
cdef inline out_of_line sigmoid_gate(
    cython.floating* value, cython.floating* gate, cython.floating* a, const Walk* w,
) noexcept nogil:
    """value = sigma(a), stored to gate, marked where clipped. Overwrites a."""
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if w.clip == 0:
        for u in range(nr):
            value[u] = sigmoid_(a[u])
        for u in range(nr):
            gate[u] = value[u]
    else:
        for u in range(nr):
            value[u] = a[u]
        bound(value, w.clip)
        for u in range(nr):
            value[u] = gate[u] = sigmoid_(value[u])
        _mark(gate, a, w)


cdef inline out_of_line tanh_gate(
    cython.floating* value, cython.floating* gate, cython.floating* a, const Walk* w,
) noexcept nogil:
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if w.clip == 0:
        for u in range(nr):
            value[u] = tanh_(a[u])
        for u in range(nr):
            gate[u] = value[u]
    else:
        for u in range(nr):
            value[u] = a[u]
        bound(value, w.clip)
        for u in range(nr):
            value[u] = gate[u] = tanh_(value[u])
        _mark(gate, a, w)


cdef inline in_line unmark_sigmoid(
    cython.floating* value, cython.floating* slope, const cython.floating* gate, const Walk* w,
) noexcept nogil:
    """A stored gate's value, and s (1 - s) or zero where it was clipped."""
    cdef cython.floating one = 1
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        value[u] = gate[u]
        slope[u] = value[u] * (one - value[u])
    if w.clip != 0:
        _unmark(value, slope, gate, sigmoid_(-<cython.floating> w.clip), sigmoid_(<cython.floating> w.clip))


cdef inline in_line unmark_tanh(
    cython.floating* value, cython.floating* slope, const cython.floating* gate, const Walk* w,
) noexcept nogil:
    """A stored candidate's value, and 1 - v^2 or zero where it was clipped."""
    cdef cython.floating one = 1, high
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        value[u] = gate[u]
        slope[u] = one - value[u] * value[u]
    if w.clip != 0:
        high = tanh_(<cython.floating> w.clip)
        _unmark(value, slope, gate, -high, high)


cdef inline out_of_line _unmark(
    cython.floating* value, cython.floating* slope, const cython.floating* gate, cython.floating low,
    cython.floating high,
) noexcept nogil:
    """Where a gate was clipped it has one of the two values, and its slope is zero."""
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        if gate[u] > 1:
            value[u], slope[u] = high, 0
        elif gate[u] < -1:
            value[u], slope[u] = low, 0


cdef inline void _mask(cython.floating* lanes, const uint8_t* bytes_, Py_ssize_t width) noexcept nogil:
    """A mask's bytes as numbers, 0 or 1; 0 beyond `width`."""
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if width == nr:
        for u in range(nr):
            lanes[u] = <cython.floating> bytes_[u]
    else:
        for u in range(nr):
            lanes[u] = 0
        for u in range(width):
            lanes[u] = <cython.floating> bytes_[u]


cdef inline void keep(cython.floating* lanes, const Walk* w, Py_ssize_t at, Py_ssize_t width) noexcept nogil:
    """Dropout on the candidate, of which `at` is the first: kept and scaled, or zero (4.6)."""
    cdef cython.floating kept[FD_NR_FLOAT]
    cdef cython.floating scale = <cython.floating> w.scale
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if w.candidate is not NULL:
        _mask(<cython.floating*> kept, w.candidate + at, width)
        for u in range(nr):
            lanes[u] = lanes[u] * (kept[u] * scale)


cdef inline void zone(
    cython.floating* lanes, const cython.floating* old, const uint8_t* zone, Py_ssize_t at, double rate,
    Py_ssize_t width,
) noexcept nogil:
    """Zoneout: the old value where the mask says so, or the expectation of that."""
    cdef cython.floating kept[FD_NR_FLOAT]
    cdef cython.floating share = <cython.floating> rate
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if zone is not NULL:
        _mask(<cython.floating*> kept, zone + at, width)
        for u in range(nr):
            lanes[u] = old[u] if kept[u] != 0 else lanes[u]
    elif share != 0:
        for u in range(nr):
            lanes[u] = lanes[u] + share * (old[u] - lanes[u])


cdef inline void unzone(
    cython.floating* lanes, cython.floating* passed, const uint8_t* zone, Py_ssize_t at, double rate,
    Py_ssize_t width,
) noexcept nogil:
    """Splits a gradient: `passed` is what goes to the old value, `lanes` keeps what goes to the new one."""
    cdef cython.floating kept[FD_NR_FLOAT]
    cdef cython.floating share = <cython.floating> rate
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if zone is not NULL:
        _mask(<cython.floating*> kept, zone + at, width)
        for u in range(nr):
            passed[u] = lanes[u] if kept[u] != 0 else 0
            lanes[u] = 0 if kept[u] != 0 else lanes[u]
    else:
        for u in range(nr):
            passed[u] = share * lanes[u]
            lanes[u] = lanes[u] - passed[u]


cdef inline void emit(
    const Walk* w, cython.floating* value, const cython.floating* h_before, cython.floating* h,
    cython.floating* operand, const cython.floating* state_mask, Py_ssize_t at, Py_ssize_t width,
) noexcept nogil:
    """h from its new value (zoneout may keep the old one), and what the next step multiplies by W_h."""
    cdef cython.floating old[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    if w.zone_h is not NULL or w.rate_h != 0:
        load(<cython.floating*> old, h_before, width)
        zone(value, <const cython.floating*> old, w.zone_h, at, w.rate_h, width)
    store(h, value, width)
    if state_mask is not NULL:
        load(<cython.floating*> old, state_mask, width)
        for u in range(nr):
            value[u] = value[u] * old[u]
    for u in range(nr):
        operand[u] = value[u]


cdef inline void absorb(
    const Walk* w, cython.floating* y, const cython.floating* dy, cython.floating* dh, Py_ssize_t at,
    Py_ssize_t width,
) noexcept nogil:
    """y: gradient by the new value of h, from that of the output and of the next step; dh: what passes it by."""
    cdef cython.floating above[FD_NR_FLOAT]
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    load(y, dh, width)
    load(<cython.floating*> above, dy, width)
    for u in range(nr):
        y[u] = y[u] + above[u]
    if carries(w):
        unzone(y, <cython.floating*> above, w.zone_h, at, w.rate_h, width)
        store(dh, <const cython.floating*> above, width)
