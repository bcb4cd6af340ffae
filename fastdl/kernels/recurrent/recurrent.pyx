"""Recurrent layers: the plan of a call, which knows the cell, the shapes and the arrays, and walks over them."""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, reads, within, writes
from ..ground._build cimport FD_BARRIER_WORDS, FD_LEVEL, fd_team_size
from ._backward cimport backward_member
from ._backward_work cimport backward_work
from ._call cimport Call, take, take_gradients
from ._forward cimport forward_member, forward_work, window_slots
from ._walk cimport CELLS, table, Walk

cnp.import_array()
LEVEL = FD_LEVEL.decode()


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


cdef class Plan:
    """A layer over one batch: `tape` says the cell and has the arrays, checked and of the shapes that belong together,
    but for `gates`, whose size the plan knows: it is taken anew by every pass.

    Attributes: `row`, elements of a row of gates; `forward_rows`, rows of gates that are needed if they are not kept;
    `forward_size` and `backward_size`, elements of the work areas.
    """

    cdef Walk w
    cdef Call k
    cdef object tape  # the arrays live as long as the plan
    cdef readonly Py_ssize_t row, forward_rows, forward_size, backward_size

    def __cinit__(self, tape, Py_ssize_t num_threads):
        fits(num_threads, 1)
        take(&self.w, &self.k, tape)
        self.tape, self.k.team, self.row = tape, num_threads, self.w.row
        self.forward_rows = window_slots(&self.w, num_threads)
        self.forward_size = forward_work(&self.w, num_threads).size
        self.backward_size = backward_work(&self.w, num_threads).size

    def forward(self, h0, c0, work, bint keep, bint all_c):
        """h and c, which begin with h0 and c0, and the gate values of every step (keep). all_c: whether c, too, is to
        be zero where there is padding."""
        cdef Call* k = &self.k
        cdef const Walk* w = &self.w
        k.h0 = reads(h0, k.kind, w.batch * w.outputs)
        k.c0 = reads(c0, k.kind, w.batch * w.beside) if k.c is not NULL else NULL
        k.gates = writes(self.tape.gates, k.kind, (w.rows if keep else self.forward_rows) * w.row)
        k.work = writes(work, k.kind, self.forward_size)
        fits(k.c is not NULL, all_c)
        k.keep, k.all_c = keep, all_c
        with nogil:
            if k.kind == cnp.NPY_FLOAT:
                _forward(<float*> k.work, w, k)
            else:
                _forward(<double*> k.work, w, k)

    def backward(self, dy, dc_above, states, parameters, bint add, work):
        """All gradients, from dy, that of every h, and dc_above, that of every c, or None.

        states: (dx, dh, dc). dh and dc come in as those of each sequence's last states and leave as those of its first.
        parameters: (dW_x, dW_h, db, dW_r, dpeepholes, dgains). None stands for what is not there or not wanted. add: to
        the gradients of the parameters, instead of overwriting them.
        """
        cdef Call* k = &self.k
        cdef const Walk* w = &self.w
        k.gates = writes(self.tape.gates, k.kind, w.rows * w.row)
        k.work = writes(work, k.kind, self.backward_size)
        take_gradients(w, k, dy, dc_above, states, parameters, add)
        with nogil:
            if k.kind == cnp.NPY_FLOAT:
                _backward(<float*> k.work, w, k)
            else:
                _backward(<double*> k.work, w, k)


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
