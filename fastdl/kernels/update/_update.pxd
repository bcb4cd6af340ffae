"""What every update rule shares: a call, and the formulas around a rule.

A call brings arrays of one type that do not overlap: param, grad, then the rule's states. All but grad are overwritten.
What is updated lies in places, which are one of two things:

- Pieces, a row each: its length, then for each array how many elements from the array's start it begins. That may be
  beyond its end: so one call updates any number of separate arrays, by the distance from the first of their kind.
- Numbers of rows of a table, all distinct: grad then has these rows alone, in the order of the numbers.

Elements do not depend on each other, so any share of the places among threads gives the same bits.

`plain` is a constant at every call: the compiler makes one loop without the options (scale, decay, L1) and one with
them, so a plain rule pays nothing.
"""
cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport fabs, fabsf, sqrt, sqrtf
from libc.stdint cimport int64_t

from ..ground._arrays cimport extent, fits, float_kind, reads, within, writes

cdef extern from "_inline.h":
    pass


cdef enum:  # arrays of a call
    PARAM = 0
    GRAD = 1
    STATE = 2   # the first of the rule's
    ARRAYS = 5  # at most

cdef struct Settings:            # the numbers of one step. Which of them a rule reads, its entry names
    double rate, fresh, gain     # what the change, the gradient and the new part of the velocity are multiplied by
    double mu, beta1, beta2, rho
    double top, stretch          # factors on v, for the largest of it, and on its root
    double eps_in, eps_out       # under the root and beside it
    double down, up, low, high   # factors on the size of a step, and its bounds
    double scale, l2             # the gradient used is scale grad + l2 param
    double keep, shrink          # param becomes prox(keep param - change), the prox of shrink |param|

cdef struct Call:
    int kind                     # float or double
    void* start[ARRAYS]
    const int64_t* places
    Py_ssize_t count, columns    # of places; no column where they are rows
    Py_ssize_t width             # of a row
    int num_threads
    bint plain
    Settings settings

ctypedef void (*InFloat)(float*, const Call*, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*InDouble)(double*, const Call*, Py_ssize_t, Py_ssize_t) noexcept nogil


# ---- A call ------------------------------------------------------------------------------------------------------

cdef inline int _take_pieces(Call* call, tuple arrays, object pieces) except -1:
    """One piece lies within its arrays. Several may be of several arrays, and go by distances from the first."""
    cdef Py_ssize_t i, count = len(arrays)
    call.count, call.columns = extent(pieces, 0), extent(pieces, 1)
    fits(call.columns, count + 1)
    call.places = <const int64_t*> reads(pieces, cnp.NPY_INT64, call.count * call.columns)
    for i in range(count):
        call.start[i] = <void*> reads(arrays[i], call.kind, 0) if i == GRAD else writes(arrays[i], call.kind, 0)
        if call.count == 1:
            fits(min(call.places[0], call.places[1 + i]), 0)
            fits(cnp.PyArray_SIZE(<cnp.ndarray> arrays[i]), call.places[1 + i] + call.places[0])
    return 0


cdef inline int _take_rows(Call* call, tuple arrays, object rows) except -1:
    """Numbers of rows that there are, and a row of grad for each."""
    cdef Py_ssize_t i, height = extent(arrays[PARAM], 0)
    call.count, call.columns, call.width = extent(rows, 0), 0, extent(arrays[PARAM], 1)
    call.places = <const int64_t*> reads(rows, cnp.NPY_INT64, call.count)
    if call.count > 0:
        within(call.places, call.count, height)
    for i in range(len(arrays)):
        if i == GRAD:
            call.start[i] = <void*> reads(arrays[i], call.kind, call.count * call.width)
        else:
            call.start[i] = writes(arrays[i], call.kind, height * call.width)
    return 0


cdef inline int take(
    Call* call, Py_ssize_t count, tuple arrays, object places, tuple options, int num_threads,
) except -1:
    """All but the rule's own scalars. `count`: of the arrays that the rule touches."""
    cdef Settings* s = &call.settings
    fits(len(arrays), count)
    fits(ARRAYS, len(arrays))
    call.kind, call.num_threads = float_kind(arrays[PARAM]), num_threads
    if cnp.PyArray_NDIM(<cnp.ndarray?> places) == 2:
        _take_pieces(call, arrays, places)
    else:
        _take_rows(call, arrays, places)
    s.scale, s.l2, s.keep, s.shrink = options
    call.plain = s.scale == 1 and s.l2 == 0 and s.keep == 1 and s.shrink == 0
    return 0


cdef inline floating* begin(floating* like, const Call* call, Py_ssize_t k, int array) noexcept nogil:
    """Where place k of an array begins; `like` tells the type alone, here and in every rule."""
    cdef floating* start = <floating*> call.start[array]
    if call.columns > 0:
        return start + call.places[k * call.columns + 1 + array]
    return start + (k if array == GRAD else call.places[k]) * call.width


cdef inline Py_ssize_t length(const Call* call, Py_ssize_t k) noexcept nogil:
    """Elements of place k."""
    return call.places[k * call.columns] if call.columns > 0 else call.width


cdef inline void each(const Call* call, InFloat in_float, InDouble in_double) noexcept nogil:
    """Update all places, every thread its share, by a function of the first of them and the one after the last."""
    cdef Py_ssize_t part, count = call.count, parts = call.num_threads
    for part in prange(parts, schedule="static", num_threads=call.num_threads, use_threads_if=call.num_threads > 1):
        if call.kind == cnp.NPY_FLOAT:
            in_float(NULL, call, count * part // parts, count * (part + 1) // parts)
        else:
            in_double(NULL, call, count * part // parts, count * (part + 1) // parts)


# ---- Formulas ----------------------------------------------------------------------------------------------------

cdef inline floating root(floating x) noexcept nogil:
    return sqrtf(x) if floating is float else sqrt(x)


cdef inline floating magnitude(floating x) noexcept nogil:
    return fabsf(x) if floating is float else fabs(x)


cdef inline floating larger(floating x, floating y) noexcept nogil:
    """The larger of the two, NaN if either is (two selections: an `or` would not vectorize)."""
    cdef floating top = x if x > y else y
    return x if x != x else top


cdef inline floating sign(floating x) noexcept nogil:
    """-1, 0 or 1; NaN stays."""
    cdef floating above = 1 if x > 0 else 0
    cdef floating below = 1 if x < 0 else 0
    return above - below if x == x else x


cdef inline floating gradient(floating grad, floating p, const Settings* s, bint plain) noexcept nogil:
    """g = scale grad + l2 p: scale holds the clipping factor and, for `maximize`, the sign."""
    if plain:
        return grad
    cdef floating scaled = <floating> s.scale * grad
    return scaled + <floating> s.l2 * p if s.l2 != 0 else scaled


cdef inline floating moved(floating p, floating change, const Settings* s, bint plain) noexcept nogil:
    """prox(keep p - change): keep = 1 - lr wd; the prox of shrink |p|, (1.9), moves p towards 0 by shrink."""
    if plain:
        return p - change
    cdef floating far = <floating> s.keep * p - change, shrink = <floating> s.shrink
    # The soft threshold is far minus far clamped to [-shrink, shrink]. In this order of operands NaN stays and
    # shrink = 0 subtracts +0, which changes no bit.
    cdef floating above = far if far > -shrink else -shrink
    return far - (above if above < shrink else shrink)
