"""Recurrent layers: the plan of a call, which knows the cell, the shapes and the arrays, and walks over them."""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, reads, within, writes
from ..ground._build cimport FD_BARRIER_WORDS, FD_LEVEL, fd_team_size
from ._backward cimport backward_member
from ._backward_work cimport backward_work
from ._call cimport Call, take, take_gradients, take_states
from ._forward cimport forward_member, forward_work, window_slots
from ._walk cimport CELLS, DENSE, state_weights, table, Walk

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    SMALL = 512        # numbers up to which NumPy's own memory is as good as the pool's,
    SMALL_WORK = 8192  # and is had sooner than a work area that is kept


def cells():
    """Of every cell, by the number that a tape has: its name, gates, biases and states, and which recurrence."""
    cdef int i
    recurrences = ("dense", "heads", "diagonal", "none")
    return tuple((table[i].name.decode(), table[i].gates, table[i].biases, table[i].states,
                  recurrences[table[i].recurrence]) for i in range(CELLS))


cdef void _forward(cython.floating* work, const Walk* w, Call* k) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    k.barrier = barrier
    if k.team == 1:
        forward_member(work, w, k, 0, 1)
        return
    with parallel(num_threads=<int> k.team):
        forward_member(work, w, k, threadid(), fd_team_size())


cdef void _backward(cython.floating* work, const Walk* w, Call* k) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    k.barrier = barrier
    if k.team == 1:
        backward_member(work, w, k, 0, 1)
        return
    with parallel(num_threads=<int> k.team):
        backward_member(work, w, k, threadid(), fd_team_size())


cdef inline object _new(Py_ssize_t rows, Py_ssize_t columns, int kind, object memory):
    """An uninitialised array; `memory`, if there is one, makes large ones."""
    cdef cnp.npy_intp[2] extents
    if rows * columns > SMALL and memory is not None:
        return memory((rows, columns), cnp.PyArray_DescrFromType(kind))
    extents[0], extents[1] = rows, columns
    return cnp.PyArray_EMPTY(2, extents, kind, 0)


cdef inline object _by_step(cnp.ndarray rows, Py_ssize_t first, Py_ssize_t batch):
    """A view of an array of rows from `first` on, by step and sequence."""
    cdef cnp.npy_intp[3] extents
    cdef Py_ssize_t columns = cnp.PyArray_DIM(rows, 1)
    extents[0], extents[1], extents[2] = (cnp.PyArray_DIM(rows, 0) - first) // batch, batch, columns
    start = <char*> cnp.PyArray_DATA(rows) + first * columns * cnp.PyArray_ITEMSIZE(rows)
    view = cnp.PyArray_SimpleNewFromData(3, extents, cnp.PyArray_TYPE(rows), start)
    cnp.set_array_base(view, rows)
    return view


cdef inline object _started(object given, Py_ssize_t rows, Py_ssize_t columns, int kind):
    """`given`, or zeros, where a gradient goes from step to step."""
    cdef cnp.npy_intp[2] extents
    if given is not None:
        return given
    extents[0], extents[1] = rows, columns
    return cnp.PyArray_ZEROS(2, extents, kind, 0)


cdef inline Py_ssize_t _team(const Walk* w, Py_ssize_t grain, object team) except -1:
    """How many threads a call is worth: `team` is asked, of all multiply-adds and those of a step's recurrent product,
    from two grains on."""
    cdef Py_ssize_t state = state_weights(w), work = w.rows * (w.inputs * w.gates * w.hidden + state)
    if work < 2 * grain:
        return 1
    return team(work, w.batch * state if w.cell.recurrence == DENSE else None)


cdef class Plan:
    """A layer over one batch: `tape` says the cell and has the arrays, checked and of the shapes that belong together.
    What forward makes is not looked at before. grain and team: see `_team`.

    Where a method makes arrays, `memory` gives the large ones, and `scratch` what it works in.
    """

    cdef Walk w
    cdef Call k
    cdef object tape, work  # the arrays live as long as the plan
    cdef Py_ssize_t slots   # rows of gates

    def __cinit__(self, tape, Py_ssize_t grain, team):
        take(&self.w, &self.k, tape)
        self.tape, self.k.team = tape, _team(&self.w, grain, team)
        fits(self.k.team, 1)

    def forward(self, h0, c0, bint training, bint all_c, memory, scratch):
        """h and c of every step, which the tape gets behind h0 and c0, with the gate values in training.

        all_c: whether c is wanted and, too, to be zero where there is padding. Else None is returned for it.
        """
        cdef Call* k = &self.k
        cdef const Walk* w = &self.w
        cdef object tape = self.tape
        cdef Py_ssize_t states = w.batch + w.rows + w.padding, slots = window_slots(w, k.team)
        k.keep = training or slots >= w.rows  # the windows of many threads may be more than all rows
        self.slots = w.rows if k.keep else slots
        tape.h, tape.gates = _new(states, w.outputs, k.kind, memory), _new(self.slots, w.row, k.kind, memory)
        if w.beside > 0:
            tape.c = _new(states, w.beside, k.kind, memory)
        if w.projected:
            tape.projected = _new(w.rows, w.hidden, k.kind, memory)
        k.all_c = all_c and w.beside > 0
        self.work = self._work(forward_work(w, k.team).size, scratch)
        self.again(h0, c0)
        return _by_step(tape.h, w.batch, w.batch), _by_step(tape.c, w.batch, w.batch) if k.all_c else None

    cpdef again(self, h0, c0):
        """`forward` once more, into the arrays that it made."""
        cdef Call* k = &self.k
        cdef const Walk* w = &self.w
        fits(self.work is not None, 1)
        take_states(w, k, self.tape, self.slots)
        k.h0 = reads(h0, k.kind, w.batch * w.outputs)
        k.c0 = reads(c0, k.kind, w.batch * w.beside) if k.c is not NULL else NULL
        with nogil:
            if k.kind == cnp.NPY_FLOAT:
                _forward(<float*> k.work, w, k)
            else:
                _forward(<double*> k.work, w, k)

    def worth(self, Py_ssize_t grain, team):
        """How many threads the call would be given now."""
        return _team(&self.w, grain, team)

    cdef object _work(self, Py_ssize_t size, object scratch):
        """The work area, which lives as long as what is returned."""
        cdef int kind = self.k.kind
        if size <= SMALL_WORK:
            work = _new(1, size, kind, None)
        else:
            work = scratch(size, cnp.PyArray_DescrFromType(kind))
        self.k.work = writes(work, kind, size)
        return work

    def backward(self, above, last, parameters, bint add, bint input_gradient, memory, scratch):
        """dx, or None where it is not wanted, and the gradients with respect to the first h and c.

        above: the gradients with respect to every h, and to every c or None. last: to the last h and c, None for zeros;
        these arrays become those with respect to the first. parameters: (dW_x, dW_h, db, dW_r, dpeepholes, dgains),
        None for what there is not. add: to the gradients of the parameters, instead of overwriting them.
        """
        cdef Call* k = &self.k
        cdef const Walk* w = &self.w
        dx, dc = None, None
        dh_last, dc_last = last
        dh = _started(dh_last, w.batch, w.outputs, k.kind)
        if w.beside > 0:
            dc = _started(dc_last, w.batch, w.beside, k.kind)
        if input_gradient:
            dx = _new(w.rows + w.padding, w.inputs, k.kind, memory)
        take_states(w, k, self.tape, w.rows)
        take_gradients(w, k, above, (dx, dh, dc), parameters, add)
        _held = self._work(backward_work(w, k.team).size, scratch)
        with nogil:
            if k.kind == cnp.NPY_FLOAT:
                _backward(<float*> k.work, w, k)
            else:
                _backward(<double*> k.work, w, k)
        return None if dx is None else _by_step(dx, 0, w.batch), dh, dc


def lay_out(const int64_t[::1] lengths, const int64_t[::1] order, Py_ssize_t steps, bint backwards,
            int64_t[::1] offsets, int64_t[::1] places):
    """The walk over a ragged batch of places.size / lengths.size padded steps, of which `steps` have any rows.

    order: the sequences by falling length. offsets: the first row of every step, and their number; places: where the
    rows lie in the padded batch, time and sequence flattened, then where padding does. backwards: from each sequence's
    true end.
    """
    cdef Py_ssize_t batch = order.shape[0], t, r, rows = batch, i = 0
    fits(batch, 1)
    fits(lengths.shape[0], batch)
    fits(offsets.shape[0], steps + 1)
    within(&order[0], batch, batch)
    within(&lengths[0], batch, places.shape[0] // batch + 1)
    for t in range(steps):
        offsets[t] = i
        while rows > 0 and lengths[order[rows - 1]] <= t:
            rows -= 1
        for r in range(rows):
            places[i] = (lengths[order[r]] - 1 - t if backwards else t) * batch + order[r]
            i += 1
    offsets[steps] = i
    for t in range(places.shape[0] // batch):
        for r in range(batch):
            if lengths[r] <= t:
                places[i] = t * batch + r
                i += 1
