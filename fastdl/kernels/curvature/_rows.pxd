"""One sequence at one step: the equations of _tangents.pxd on registers q0 to q1 of its units.

The walks count in numbers and sequences, and come in here; from here on a register is a value.
"""
cimport cython

from ..ground._vec cimport vdouble, vec, vfloat
from ..recurrent._walk cimport DIAGONAL, GRU_POINT, LSTM_POINT, MINGRU_POINT, RNN_POINT, SLSTM_POINT, Walk
from ._passes cimport Passes
from ._tangents cimport (
    diagonal_adjoint, diagonal_tangent, gru_adjoint, gru_adjoint_tangent, gru_tangent, lstm_adjoint,
    lstm_adjoint_tangent, lstm_tangent, mingru_adjoint, mingru_adjoint_tangent, mingru_tangent, minlstm_adjoint,
    minlstm_adjoint_tangent, minlstm_tangent, rnn_adjoint, rnn_adjoint_tangent, rnn_tangent, slstm_adjoint,
    slstm_adjoint_tangent, slstm_tangent,
)


cdef inline void _tangent_row(
    const Walk* w, const Passes* s, vec* ta, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.recurrence == DIAGONAL:
            diagonal_tangent(w, s, ta + q, q)
        if w.cell.point == LSTM_POINT:
            lstm_tangent(w, s, ta + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_tangent(w, s, <const vec*> ta + q, q)
        elif w.cell.point == GRU_POINT:
            gru_tangent(w, s, ta + q, q)
        elif w.cell.point == MINGRU_POINT:
            mingru_tangent(w, s, ta + q, q)
        elif w.cell.point == SLSTM_POINT:
            slstm_tangent(w, s, ta + q, q)
        else:
            minlstm_tangent(w, s, ta + q, q)


cdef inline void tangent_row(
    const Walk* w, const Passes* s, cython.floating* ta, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _tangent_row[vfloat](w, s, <vfloat*> ta, q0, q1)
    else:
        _tangent_row[vdouble](w, s, <vdouble*> ta, q0, q1)


cdef inline void _adjoint_row(
    const Walk* w, const Passes* s, vec* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.point == LSTM_POINT:
            lstm_adjoint(w, s, da + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_adjoint(w, s, da + q, q)
        elif w.cell.point == GRU_POINT:
            gru_adjoint(w, s, da + q, q)
        elif w.cell.point == MINGRU_POINT:
            mingru_adjoint(w, s, da + q, q)
        elif w.cell.point == SLSTM_POINT:
            slstm_adjoint(w, s, da + q, q)
        else:
            minlstm_adjoint(w, s, da + q, q)
        if w.cell.recurrence == DIAGONAL:
            diagonal_adjoint(w, s, da + q, <vec*> s.dh + q, q)


cdef inline void adjoint_row(
    const Walk* w, const Passes* s, cython.floating* da, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _adjoint_row[vfloat](w, s, <vfloat*> da, q0, q1)
    else:
        _adjoint_row[vdouble](w, s, <vdouble*> da, q0, q1)


cdef inline void _adjoint_tangent_row(
    const Walk* w, const Passes* s, vec* tda, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(q0, q1):
        if w.cell.point == LSTM_POINT:
            lstm_adjoint_tangent(w, s, tda + q, q)
        elif w.cell.point == RNN_POINT:
            rnn_adjoint_tangent(w, s, tda + q, q)
        elif w.cell.point == GRU_POINT:
            gru_adjoint_tangent(w, s, tda + q, q)
        elif w.cell.point == MINGRU_POINT:
            mingru_adjoint_tangent(w, s, tda + q, q)
        elif w.cell.point == SLSTM_POINT:
            slstm_adjoint_tangent(w, s, tda + q, q)
        else:
            minlstm_adjoint_tangent(w, s, tda + q, q)
        if w.cell.recurrence == DIAGONAL:
            diagonal_adjoint(w, s, tda + q, <vec*> s.tdh + q, q)


cdef inline void adjoint_tangent_row(
    const Walk* w, const Passes* s, cython.floating* tda, Py_ssize_t q0, Py_ssize_t q1,
) noexcept nogil:
    if cython.floating is float:
        _adjoint_tangent_row[vfloat](w, s, <vfloat*> tda, q0, q1)
    else:
        _adjoint_tangent_row[vdouble](w, s, <vdouble*> tda, q0, q1)
