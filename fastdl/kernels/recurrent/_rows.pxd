"""One sequence at one step: the equations of _cells.pxd on registers q0 to q1 of its units.

The walks over time count in numbers and sequences, and come in here; from here on a register is a value.
"""
cimport cython

from ..ground._vec cimport load, store, vdouble, vec, vfloat
from ..product._tile cimport out_of_line
from ._cells cimport (
    clear_beyond, diagonal, diagonal_backward, gru_reset, gru_reset_backward, point, point_backward, slstm_point,
    slstm_point_backward,
)
from ._gate_norm cimport normalise, normalise_backward, plain_gate
from ._options cimport absorb, emit
from ._walk cimport DIAGONAL, plain_blocks, Row, SLSTM_POINT, units, Walk


# ---- Forward ----------------------------------------------------------------------------------------------------


cdef inline out_of_line _slstm_row(
    const Walk* w, const Row* row, vec* gates, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """Out of line, as _slstm_backward_row: among the other points its many values would take theirs the registers."""
    cdef Py_ssize_t q
    for q in range(q0, q1):
        emit(w, row, q, slstm_point(w, row, gates + q, q))


cdef inline void _forward_row(const Walk* w, const Row* row, vec* gates, Py_ssize_t q0, Py_ssize_t q1) noexcept nogil:
    cdef Py_ssize_t q
    cdef vec value
    if w.cell.point == SLSTM_POINT:
        _slstm_row(w, row, gates, q0, q1)
        return
    if w.cell.recurrence == DIAGONAL:
        diagonal(w, row, gates, q0, q1)
    for q in range(q0, q1):
        value = point(w, row, gates, q)
        if w.projected:
            store(<vec*> row.value + q, value, units(w, q))
        else:
            emit(w, row, q, value)


cdef inline void forward_row(
    const Walk* w, const Row* row, cython.floating* gates, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """The cell's last phase: pre-activations become gate values; c, and with no projection h, is written."""
    if cython.floating is float:
        _forward_row[vfloat](w, row, <vfloat*> gates, q0, q1)
    else:
        _forward_row[vdouble](w, row, <vdouble*> gates, q0, q1)


cdef inline void _reset_row(const Walk* w, const Row* row, vec* gates, Py_ssize_t q0, Py_ssize_t q1) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        gru_reset(w, row, gates + q, q)


cdef inline void reset_row(
    const Walk* w, const Row* row, cython.floating* gates, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """The first phase of a GRU with the reset before the product."""
    if cython.floating is float:
        _reset_row[vfloat](w, row, <vfloat*> gates, q0, q1)
    else:
        _reset_row[vdouble](w, row, <vdouble*> gates, q0, q1)


cdef inline void _emit_row(const Walk* w, const Row* row, const vec* new, Py_ssize_t q0, Py_ssize_t q1) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        emit(w, row, q, load(new + q, min(w.lanes, w.outputs - q * w.lanes)))


cdef inline void emit_row(
    const Walk* w, const Row* row, const cython.floating* new, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """h and the next operand from what the projection gave."""
    if cython.floating is float:
        _emit_row[vfloat](w, row, <const vfloat*> new, q0, q1)
    else:
        _emit_row[vdouble](w, row, <const vdouble*> new, q0, q1)


cdef inline void _normed_row(
    const Walk* w, vec* row, const vec* parameters, Py_ssize_t gate0, Py_ssize_t gate1, vec* plain,
) noexcept nogil:
    cdef Py_ssize_t gate
    normalise(w, row, gate0, gate1)
    normalise(w, row, w.gates + gate0, w.gates + gate1)
    for gate in range(gate0, gate1):
        plain_gate(w, <const vec*> row, parameters, gate, plain)


cdef inline void normed_row(
    const Walk* w, cython.floating* row, const cython.floating* parameters, Py_ssize_t gate0, Py_ssize_t gate1,
    cython.floating* plain,
) noexcept nogil:
    """Norms gates gate0 to gate1 of a row and writes those of the plain row."""
    if cython.floating is float:
        _normed_row[vfloat](w, <vfloat*> row, <const vfloat*> parameters, gate0, gate1, <vfloat*> plain)
    else:
        _normed_row[vdouble](w, <vdouble*> row, <const vdouble*> parameters, gate0, gate1, <vdouble*> plain)


# ---- Backward ---------------------------------------------------------------------------------------------------


cdef inline void _absorb_row(const Walk* w, const Row* row, vec* dh, Py_ssize_t q0, Py_ssize_t q1) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        dh[q] = absorb(w, row, q, <const vec*> row.dy)


cdef inline void absorb_row(
    const Walk* w, const Row* row, cython.floating* dh, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """dh, the gradient with respect to what the projection gave; row.dh keeps what passes it by."""
    if cython.floating is float:
        _absorb_row[vfloat](w, row, <vfloat*> dh, q0, q1)
    else:
        _absorb_row[vdouble](w, row, <vdouble*> dh, q0, q1)


cdef inline out_of_line _slstm_backward_row(
    const Walk* w, const Row* row, const vec* gates, vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        slstm_point_backward(w, row, gates + q, q, absorb(w, row, q, <const vec*> row.dy), da + q)
        clear_beyond(w, da + q, plain_blocks(w), units(w, q))


cdef inline void _backward_row(
    const Walk* w, const Row* row, const vec* gates, vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    cdef vec dh
    if w.cell.point == SLSTM_POINT:
        _slstm_backward_row(w, row, gates, da, q0, q1)
        return
    for q in range(q0, q1):
        if w.projected:
            dh = (<const vec*> row.value)[q]
        else:
            dh = absorb(w, row, q, <const vec*> row.dy)
        point_backward(w, row, gates, q, dh, da)
    if w.cell.recurrence == DIAGONAL:
        diagonal_backward(w, row, da, q0, q1)


cdef inline void backward_row(
    const Walk* w, const Row* row, const cython.floating* gates, cython.floating* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """Undoes `forward_row`: da, and dh and dc of the step before but for the products. row.value: the gradient with
    respect to what is projected."""
    if cython.floating is float:
        _backward_row[vfloat](w, row, <const vfloat*> gates, <vfloat*> da, q0, q1)
    else:
        _backward_row[vdouble](w, row, <const vdouble*> gates, <vdouble*> da, q0, q1)


cdef inline void _reset_backward_row(
    const Walk* w, const Row* row, const vec* gates, const vec* d_reset, vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        gru_reset_backward(w, row, gates + q, q, load(d_reset + q, units(w, q)), da + q)
        clear_beyond(w, da + q, 1, units(w, q))


cdef inline void reset_backward_row(
    const Walk* w, const Row* row, const cython.floating* gates, const cython.floating* d_reset, cython.floating* da,
    Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    """Undoes `reset_row`."""
    if cython.floating is float:
        _reset_backward_row[vfloat](w, row, <const vfloat*> gates, <const vfloat*> d_reset, <vfloat*> da, q0, q1)
    else:
        _reset_backward_row[vdouble](w, row, <const vdouble*> gates, <const vdouble*> d_reset, <vdouble*> da, q0, q1)


cdef inline void _plain_row(
    const Walk* w, const Row* row, const vec* normed, const vec* parameters, vec* plain,
) noexcept nogil:
    cdef Py_ssize_t q, gate
    for gate in range(w.gates):
        plain_gate(w, normed, parameters, gate, plain)
    for q in range(w.wide):
        if w.cell.late > 0:
            gru_reset(w, row, plain + q, q)
        point(w, row, plain, q)


cdef inline void plain_row(
    const Walk* w, const Row* row, const cython.floating* normed, const cython.floating* parameters,
    cython.floating* plain,
) noexcept nogil:
    """A layer-normed row's gate values again, which forward did not keep, from its v^. Writes row.c, row.reset."""
    if cython.floating is float:
        _plain_row[vfloat](w, row, <const vfloat*> normed, <const vfloat*> parameters, <vfloat*> plain)
    else:
        _plain_row[vdouble](w, row, <const vdouble*> normed, <const vdouble*> parameters, <vdouble*> plain)


cdef inline void normed_backward_row(
    const Walk* w, const cython.floating* row, const cython.floating* plain, const cython.floating* parameters,
    Py_ssize_t first, Py_ssize_t last, cython.floating* da,
) noexcept nogil:
    """Undoes `normed_row` for blocks first to last."""
    if cython.floating is float:
        normalise_backward[vfloat](w, <const vfloat*> row, <const vfloat*> plain, <const vfloat*> parameters, first,
                                   last, <vfloat*> da)
    else:
        normalise_backward[vdouble](w, <const vdouble*> row, <const vdouble*> plain, <const vdouble*> parameters, first,
                                    last, <vdouble*> da)
