"""What a call of a recurrent kernel brings, forward and backward alike: its arrays as pointers, and its `Walk`."""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t

from ._arrays cimport extent, float_kind, reads, writes
from ._walk cimport describe, gates_of, Walk


cdef struct Operands:  # float or double, as `kind` says; NULL for what the cell or its options have not
    int kind
    const void* x
    const void* W_x
    const void* W_h
    const void* W_r
    const void* b
    const void* peepholes
    const void* gains
    const void* state_mask
    void* h
    void* c
    void* m
    void* gates
    void* work


cdef inline int take(
    Walk* w, Operands* o, int cell, Py_ssize_t batch, object offsets, object places, object x, object W_x, object W_h,
    object b, object h, object c, object gates, object work, object W_r, object m, object peepholes, object gains,
    object state_mask, double epsilon, double clip, double cell_clip, object candidate, double scale, object zone_h,
    double rate_h, object zone_c, double rate_c,
) except -1:
    """offsets: first row of every step and their number, or None for `batch` rows a step. places: where x and all else
    that is padded has those rows, and its padding, or None for one after the other."""
    cdef int kind = float_kind(x)
    cdef Py_ssize_t padded = extent(x, 0), projection = 0 if W_r is None else extent(W_r, 1)
    cdef const int64_t* first = <const int64_t*> reads(offsets, cnp.NPY_INT64)
    cdef Py_ssize_t steps = padded // batch if offsets is None else extent(offsets, 0) - 1
    o.kind = kind
    o.x, o.W_x, o.W_h, o.W_r, o.b = reads(x, kind), reads(W_x, kind), reads(W_h, kind), reads(W_r, kind), reads(b, kind)
    o.peepholes, o.gains, o.state_mask = reads(peepholes, kind), reads(gains, kind), reads(state_mask, kind)
    o.h, o.c, o.m, o.gates = writes(h, kind), writes(c, kind), writes(m, kind), writes(gates, kind)
    o.work = writes(work, kind)
    describe(w, cell, gains is not None, steps, batch, padded if offsets is None else first[steps], extent(x, 1),
             extent(W_x, 1) // gates_of(cell), projection, first, 4 if kind == cnp.NPY_FLOAT else 8)
    w.places, w.padding = <const int64_t*> reads(places, cnp.NPY_INT64), padded - w.rows
    w.peepholes, w.epsilon, w.clip, w.cell_clip = peepholes is not None, epsilon, clip, cell_clip
    w.scale, w.rate_h, w.rate_c = scale, rate_h, rate_c
    w.candidate = <const uint8_t*> reads(candidate, cnp.NPY_UINT8)
    w.zone_h = <const uint8_t*> reads(zone_h, cnp.NPY_UINT8)
    w.zone_c = <const uint8_t*> reads(zone_c, cnp.NPY_UINT8)
    return 0
