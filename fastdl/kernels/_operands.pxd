"""What a call of a recurrent kernel brings, forward and backward alike: its arrays as pointers, and its `Walk`."""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t

from ._arrays cimport extent, fits, float_kind, may_read, reads, within, writes
from ._walk cimport describe, gates_of, GRU_BEFORE, LSTM, LSTM_COUPLED, plain_blocks, Walk


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


cdef inline int _check_steps(const int64_t* first, Py_ssize_t steps, Py_ssize_t batch, Py_ssize_t padded) except -1:
    """Refuse offsets that no ragged batch has: no step has more rows than the one before it, the first `batch`."""
    cdef Py_ssize_t t
    cdef int64_t rows = batch
    cdef bint good = first[0] == 0
    for t in range(steps):
        good = good and 0 <= first[t + 1] - first[t] <= rows
        rows = first[t + 1] - first[t]
    if not good or first[steps] > padded:
        raise ValueError(f"kernel: got offsets that are not those of {batch} sequences")
    return 0


cdef inline int take(
    Walk* w, Operands* o, int cell, Py_ssize_t batch, object offsets, object places, object x, object W_x, object W_h,
    object b, object h, object c, object W_r, object m, object peepholes, object gains,
    object state_mask, double epsilon, double clip, double cell_clip, object candidate, double scale, object zone_h,
    double rate_h, object zone_c, double rate_c,
) except -1:
    """offsets: first row of every step and their number, or None for `batch` rows a step. places: where x and all else
    that is padded has those rows, and its padding, or None for one after the other. Gates and work area are for the
    caller to take, who knows by the `Walk` how many of them a pass wants."""
    cdef int kind = float_kind(x)
    cdef Py_ssize_t padded = extent(x, 0), projection = 0 if W_r is None else extent(W_r, 1)
    fits(batch, 1)
    fits(cell, 0)
    fits(GRU_BEFORE, cell)
    cdef Py_ssize_t steps = padded // batch if offsets is None else extent(offsets, 0) - 1
    cdef const int64_t* first = <const int64_t*> may_read(offsets, cnp.NPY_INT64, 1)
    cdef Py_ssize_t states, width
    if first is not NULL:
        _check_steps(first, steps, batch, padded)
    o.kind = kind
    describe(w, cell, gains is not None, steps, batch, padded if offsets is None else first[steps], extent(x, 1),
             extent(W_x, 1) // gates_of(cell), projection, first, 4 if kind == cnp.NPY_FLOAT else 8)
    w.places, w.padding = <const int64_t*> may_read(places, cnp.NPY_INT64, padded), padded - w.rows
    if w.places is not NULL:
        within(w.places, padded, padded)
    states, width = batch + padded, w.gates * w.hidden
    o.x, o.W_x = reads(x, kind, padded * w.inputs), reads(W_x, kind, w.inputs * width)
    o.W_h = reads(W_h, kind, w.outputs * width)
    o.b = reads(b, kind, plain_blocks(w) * w.hidden)
    o.h = writes(h, kind, states * w.outputs)
    o.c = writes(c, kind, states * w.hidden) if cell == LSTM or cell == LSTM_COUPLED else NULL
    o.W_r, o.m = NULL, NULL
    if w.projected:
        o.W_r, o.m = reads(W_r, kind, w.hidden * w.outputs), writes(m, kind, w.rows * w.hidden)
    o.peepholes, o.gains = may_read(peepholes, kind, 3 * w.hidden), may_read(gains, kind, 2 * width)
    o.state_mask = may_read(state_mask, kind, batch * w.outputs)
    w.peepholes, w.epsilon, w.clip, w.cell_clip = peepholes is not None, epsilon, clip, cell_clip
    w.scale, w.rate_h, w.rate_c = scale, rate_h, rate_c
    w.candidate = <const uint8_t*> may_read(candidate, cnp.NPY_UINT8, padded * w.hidden)
    w.zone_h = <const uint8_t*> may_read(zone_h, cnp.NPY_UINT8, padded * w.outputs)
    w.zone_c = <const uint8_t*> may_read(zone_c, cnp.NPY_UINT8, padded * w.hidden)
    return 0
