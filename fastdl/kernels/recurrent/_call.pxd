"""What one call of a recurrent kernel brings: where its arrays begin, asked for type, layout and extent once."""
cimport cython
cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, within, writes
from ._walk cimport CELLS, DENSE, describe, HEADS, state_weights, table, Walk


cdef struct Call:  # float or double, as `kind` says; NULL for what the cell or its options have not, or nobody wants
    int kind
    Py_ssize_t team                   # threads that may take part
    int64_t* barrier
    void* work
    const void* x
    const void* W_x
    const void* W_h
    const void* W_r                   # the projection
    const void* b
    const void* peepholes
    const void* gains
    const void* state_mask
    void* h                           # of every step, behind the initial ones
    void* c                           # or c, n and m: `beside` numbers of each
    void* m                           # what is projected
    void* gates
    const void* h0                    # forward alone
    const void* c0
    bint keep, all_c                  # gates of every step, and padding of c
    const void* dy                    # backward alone: of every h, and of every c
    const void* dc_above
    void* dx
    void* dh                          # of each sequence's last states, which become those of its first
    void* dc
    void* dW_x
    void* dW_h
    void* db
    void* dW_r
    void* dpeepholes
    void* dgains
    bint add                          # to the gradients of the parameters


cdef inline cython.floating* numbers(cython.floating* like, const void* start) noexcept nogil:
    """Where numbers of the kind of `like` begin. The one place where a call's arrays get a type."""
    return <cython.floating*> start


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


cdef inline int take_heads(Walk* w, object W_h) except -1:
    """How many matrices W_h is; their parts of h are of one size."""
    w.heads = extent(W_h, 0) if w.cell.recurrence == HEADS and W_h.ndim == 3 else 1
    fits(w.heads, 1)
    fits(w.hidden % w.heads == 0, 1)
    return 0


cdef inline int take_forms(Walk* w, object options) except -1:
    """What options change the shape of the walk; None stands for none."""
    w.projected = w.peepholes = w.normed = False
    w.outputs = w.hidden
    if options is not None:
        w.projected, w.peepholes = options.projection is not None, options.peepholes is not None
        w.normed = options.gains is not None
        w.outputs = extent(options.projection, 1) if w.projected else w.hidden
    return 0


cdef inline int take_shape(Walk* w, object tape) except -1:
    """The walk of a tape: cell, steps, rows and widths, from the arrays themselves."""
    cdef object x = tape.x, rows = tape.rows, offsets = None, places = None
    cdef int kind = float_kind(x)
    cdef Py_ssize_t padded = extent(x, 0)
    w.batch = tape.shape[1]
    w.kind = tape.cell
    fits(w.batch, 1)
    fits(w.kind, 0)
    fits(CELLS, w.kind + 1)
    w.cell = &table[w.kind]
    if rows is not None:
        offsets, places = rows.offsets, rows.places
    w.steps = padded // w.batch if offsets is None else extent(offsets, 0) - 1
    w.offsets = <const int64_t*> may_read(offsets, cnp.NPY_INT64, 1)
    if w.offsets is not NULL:
        _check_steps(w.offsets, w.steps, w.batch, padded)
    w.rows = padded if w.offsets is NULL else w.offsets[w.steps]
    fits(w.steps * w.batch, w.rows)
    w.places, w.padding = <const int64_t*> may_read(places, cnp.NPY_INT64, padded), padded - w.rows
    if w.places is NULL:
        fits(w.rows, padded)  # padding has places
    else:
        within(w.places, padded, padded)
    w.inputs, w.hidden = extent(x, 1), extent(tape.W_x, 1) // w.cell.gates
    take_forms(w, tape.options)
    fits(w.cell.recurrence == DENSE, w.normed or w.projected or w.peepholes)  # which no other has
    take_heads(w, tape.W_h)
    describe(w, 4 if kind == cnp.NPY_FLOAT else 8)
    return kind


cdef inline int take_options(Walk* w, Call* k, object options, Py_ssize_t padded) except -1:
    """What acts on a step beside its weights; of a new walk and call nothing does."""
    if options is None:
        return 0
    k.peepholes = may_read(options.peepholes, k.kind, 3 * w.hidden)
    k.gains = may_read(options.gains, k.kind, 2 * w.gates * w.hidden)
    k.state_mask = may_read(options.state_mask, k.kind, w.batch * w.outputs)
    w.epsilon, w.clip, w.cell_clip = options.epsilon, options.clip, options.cell_clip
    w.scale, w.rate_h, w.rate_c = options.scale, options.rate_h, options.rate_c
    w.candidate = <const uint8_t*> may_read(options.candidate, cnp.NPY_UINT8, padded * w.hidden)
    w.zone_h = <const uint8_t*> may_read(options.zone_h, cnp.NPY_UINT8, padded * w.outputs)
    w.zone_c = <const uint8_t*> may_read(options.zone_c, cnp.NPY_UINT8, padded * w.hidden)
    if w.projected:
        k.W_r = reads(options.projection, k.kind, w.hidden * w.outputs)
    return 0


cdef inline int take(Walk* w, Call* k, object tape) except -1:
    """What is given of all that forward and backward share. Both structs begin as zeros."""
    k.kind = take_shape(w, tape)
    cdef Py_ssize_t width = w.gates * w.hidden
    take_options(w, k, tape.options, w.rows + w.padding)
    k.x, k.W_x = reads(tape.x, k.kind, (w.rows + w.padding) * w.inputs), reads(tape.W_x, k.kind, w.inputs * width)
    k.W_h = reads(tape.W_h, k.kind, state_weights(w)) if state_weights(w) > 0 else NULL
    k.b = reads(tape.b, k.kind, w.cell.biases * w.hidden)
    return 0


cdef inline int take_states(const Walk* w, Call* k, object tape, Py_ssize_t kept) except -1:
    """What forward leaves for backward: states, what is projected, gates of so many rows."""
    cdef Py_ssize_t states = w.batch + w.rows + w.padding
    k.h = writes(tape.h, k.kind, states * w.outputs)
    k.c = writes(tape.c, k.kind, states * w.beside) if w.beside > 0 else NULL
    k.m = writes(tape.projected, k.kind, w.rows * w.hidden) if w.projected else NULL
    k.gates = writes(tape.gates, k.kind, kept * w.row)
    return 0


cdef inline int take_gradients(const Walk* w, Call* k, object above, object states, object parameters,
                               bint add) except -1:
    """What backward takes and gives. above: (dy, dc_above); states: (dx, dh, dc); parameters: (dW_x, dW_h, db, dW_r,
    dpeepholes, dgains)."""
    cdef int kind = k.kind
    cdef Py_ssize_t padded = w.rows + w.padding, width = w.gates * w.hidden
    dy, dc_above = above
    dx, dh, dc = states
    dW_x, dW_h, db, dW_r, dpeepholes, dgains = parameters
    k.dy, k.dc_above = reads(dy, kind, padded * w.outputs), may_read(dc_above, kind, padded * w.hidden)
    k.dx, k.dh = may_write(dx, kind, padded * w.inputs), writes(dh, kind, w.batch * w.outputs)
    k.dc = NULL if k.c is NULL else writes(dc, kind, w.batch * w.beside)
    fits(w.cell.states == 2, dc_above is not None)  # c of one step alone means nothing beside n and m
    k.dW_x = writes(dW_x, kind, w.inputs * width)
    k.dW_h = writes(dW_h, kind, state_weights(w)) if state_weights(w) > 0 else NULL
    k.db = writes(db, kind, w.cell.biases * w.hidden)
    k.dW_r = writes(dW_r, kind, w.hidden * w.outputs) if w.projected else NULL
    k.dpeepholes = writes(dpeepholes, kind, 3 * w.hidden) if w.peepholes else NULL
    k.dgains = writes(dgains, kind, 2 * width) if w.normed else NULL
    k.add = add
    return 0
