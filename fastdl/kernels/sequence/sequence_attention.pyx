"""Attention: weights of source steps for every query, and the mean of the values under them (6.6).

Two score functions share the rest. Dot: q . k, a product for the tile. Additive: v . tanh(q + k), elementwise;
the backward computes the tanh again rather than keep T x S x A of them.

A thread takes whole sequences of the batch, so no sum crosses threads but dv, which is kept per sequence.
"""
cimport cython
from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, within
from ..ground._build cimport FD_LEVEL
from ..ground._math cimport tanh_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..product._tile cimport dot, pack_panel, pack_panel_transposed, product
from ..reduce._softmax cimport exponentials

LEVEL = FD_LEVEL.decode()

cdef enum:
    FEW_ROWS = 4    # up to so many rows (a decoder's single step) packing would cost more than the product


def work_size(Py_ssize_t queries, Py_ssize_t sources, Py_ssize_t size, Py_ssize_t values, Py_ssize_t itemsize):
    """Elements of work space that one thread wants: packed panels of the largest product, and a row per query."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE
    cdef Py_ssize_t longest = max(queries, sources, size, values), widest = max(sources, size, values)
    return (widest + nr) * longest + max(queries * sources, size)


cdef inline int _fit(const cython.floating[:, :, ::1] a, Py_ssize_t steps, Py_ssize_t batch, Py_ssize_t size) except -1:
    """Refuse another shape, since the rows are reached from the first."""
    fits(a.shape[0], steps)
    fits(-abs(a.shape[1] - batch), 0)
    return fits(-abs(a.shape[2] - size), 0)


cdef void _few_rows(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_row, const bint transposed, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, Py_ssize_t columns,
) noexcept nogil:
    """The same with B where it lies."""
    cdef Py_ssize_t r, p, j
    cdef cython.floating value
    cdef cython.floating* row
    for r in range(rows):
        row = c + r * c_row
        if transposed:
            for j in range(columns):
                row[j] = dot(a + r * a_row, b + j * b_row, k)
            continue
        for j in range(columns):
            row[j] = 0
        for p in range(k):
            value = a[r * a_row + p * a_k]
            for j in range(columns):
                row[j] = row[j] + value * b[p * b_row + j]


cdef void _product(
    const cython.floating* a, Py_ssize_t a_row, Py_ssize_t a_k, Py_ssize_t rows,
    const cython.floating* b, Py_ssize_t b_row, const bint transposed, Py_ssize_t k,
    cython.floating* c, Py_ssize_t c_row, Py_ssize_t columns, cython.floating* panels,
) noexcept nogil:
    """C[rows, columns] = A[rows, k] @ B[k, columns], or @ B[columns, k]^T where transposed (a_k is then 1)."""
    cdef Py_ssize_t nr = panel_width(a), j = 0
    if rows <= FEW_ROWS:
        _few_rows(a, a_row, a_k, rows, b, b_row, transposed, k, c, c_row, columns)
        return
    while j < columns:
        if transposed:
            pack_panel_transposed(b + j * b_row, b_row, k, min(nr, columns - j), panels + j * k)
        else:
            pack_panel(b + j, b_row, k, min(nr, columns - j), panels + j * k)
        j += nr
    product(a, a_row, a_k, rows, <const cython.floating*> panels, nr, nr * k, k, c, c_row, columns, NULL, 0)


cdef inline void _tanh_of_sum(
    const cython.floating* query, const cython.floating* keys, Py_ssize_t size, cython.floating* y,
) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(size):
        y[a] = tanh_(query[a] + keys[a])


cdef inline void _add(const cython.floating* x, const cython.floating factor, Py_ssize_t size,
                      cython.floating* y) noexcept nogil:
    """y += factor x."""
    cdef Py_ssize_t a
    for a in range(size):
        y[a] = y[a] + factor * x[a]


cdef void _additive_scores(
    const cython.floating* query, Py_ssize_t q_step, Py_ssize_t T, const cython.floating* keys, Py_ssize_t k_step,
    Py_ssize_t length, const cython.floating* v, Py_ssize_t size, cython.floating* scores, Py_ssize_t s_step,
    cython.floating* y,
) noexcept nogil:
    cdef Py_ssize_t t, s
    for t in range(T):
        for s in range(length):
            _tanh_of_sum(query + t * q_step, keys + s * k_step, size, y)
            scores[t * s_step + s] = dot(v, <const cython.floating*> y, size)


cdef void _additive_gradients(
    const cython.floating* query, Py_ssize_t q_step, Py_ssize_t T, const cython.floating* keys, Py_ssize_t k_step,
    Py_ssize_t length, const cython.floating* v, Py_ssize_t size, const cython.floating* dscores,
    cython.floating* dquery, cython.floating* dkeys, cython.floating* dv, cython.floating* y,
) noexcept nogil:
    """dscores is (T, length); the gradients are added to. One result a loop: so each becomes vectors."""
    cdef Py_ssize_t t, s, a
    cdef cython.floating d
    for t in range(T):
        for s in range(length):
            d = dscores[t * length + s]
            _tanh_of_sum(query + t * q_step, keys + s * k_step, size, y)
            _add(<const cython.floating*> y, d, size, dv)
            for a in range(size):
                y[a] = v[a] * (1 - y[a] * y[a])
            _add(<const cython.floating*> y, d, size, dquery + t * q_step)
            _add(<const cython.floating*> y, d, size, dkeys + s * k_step)


cdef void _weigh(cython.floating* row, Py_ssize_t size, const cython.floating factor) noexcept nogil:
    """row = softmax(factor * row)."""
    cdef cython.floating top, share
    cdef Py_ssize_t s
    for s in range(size):
        row[s] = row[s] * factor
    share = 1 / exponentials(<const cython.floating*> row, size, row, &top)
    for s in range(size):
        row[s] = row[s] * share


def attention_forward(
    const cython.floating[:, :, ::1] query, const cython.floating[:, :, ::1] keys,
    const cython.floating[:, :, ::1] values, const int64_t[::1] lengths, const cython.floating[::1] v, double scale,
    cython.floating[:, :, ::1] context, cython.floating[:, :, ::1] weights, cython.floating[:, ::1] work,
    int num_threads,
):
    """Weights (T, B, S), zero past the lengths, and context (T, B, V). An empty v is dot attention, times scale."""
    cdef Py_ssize_t T = query.shape[0], B = query.shape[1], size = query.shape[2], S = keys.shape[0]
    cdef Py_ssize_t width = values.shape[2], b, t, s, n
    cdef cython.floating factor = <cython.floating> scale
    cdef cython.floating* panels
    cdef cython.floating* row
    fits(num_threads, 1)
    fits(lengths.shape[0], B)
    _fit(keys, S, B, size)
    _fit(values, S, B, width)
    _fit(weights, T, B, S)
    _fit(context, T, B, width)
    if v.shape[0] > 0:
        fits(v.shape[0], size)
    if B:
        within(&lengths[0], B, S + 1)
    fits(work.shape[0], num_threads)
    fits(work.shape[1], work_size(T, S, size, width, sizeof(cython.floating)))
    for b in prange(B, nogil=True, num_threads=num_threads, schedule="dynamic"):
        n = lengths[b]
        panels = &work[threadid(), 0]
        if v.shape[0] > 0:
            _additive_scores(&query[0, b, 0], B * size, T, &keys[0, b, 0], B * size, n, &v[0], size,
                             &weights[0, b, 0], B * S, panels)
        else:
            _product(&query[0, b, 0], B * size, 1, T, &keys[0, b, 0], B * size, True, size,
                     &weights[0, b, 0], B * S, n, panels)
        for t in range(T):
            row = &weights[t, b, 0]
            if n > 0:
                _weigh(row, n, factor)
            for s in range(n, S):
                row[s] = 0
        _product(<const cython.floating*> &weights[0, b, 0], B * S, 1, T, &values[0, b, 0], B * width, False, n,
                 &context[0, b, 0], B * width, width, panels)


def attention_backward(
    const cython.floating[:, :, ::1] dcontext, const cython.floating[:, :, ::1] weights,
    const cython.floating[:, :, ::1] query, const cython.floating[:, :, ::1] keys,
    const cython.floating[:, :, ::1] values, const int64_t[::1] lengths, const cython.floating[::1] v, double scale,
    cython.floating[:, :, ::1] dquery, cython.floating[:, :, ::1] dkeys, cython.floating[:, :, ::1] dvalues,
    cython.floating[:, ::1] dv, cython.floating[:, ::1] work, int num_threads,
):
    """Gradients by query, keys and values, zeros at first; dv is (B, A), a row of each sequence's."""
    cdef Py_ssize_t T = query.shape[0], B = query.shape[1], size = query.shape[2], S = keys.shape[0]
    cdef Py_ssize_t width = values.shape[2], b, t, s, n
    cdef cython.floating factor = <cython.floating> scale, mean
    cdef cython.floating* dscores
    cdef cython.floating* panels
    cdef cython.floating* row
    fits(num_threads, 1)
    fits(lengths.shape[0], B)
    _fit(keys, S, B, size)
    _fit(values, S, B, width)
    _fit(weights, T, B, S)
    _fit(dcontext, T, B, width)
    if v.shape[0] > 0:
        fits(v.shape[0], size)
    if B:
        within(&lengths[0], B, S + 1)
    fits(work.shape[0], num_threads)
    fits(work.shape[1], work_size(T, S, size, width, sizeof(cython.floating)))
    _fit(dquery, T, B, size)
    _fit(dkeys, S, B, size)
    _fit(dvalues, S, B, width)
    if v.shape[0] > 0:
        fits(dv.shape[0], B)
        fits(dv.shape[1], size)
    for b in prange(B, nogil=True, num_threads=num_threads, schedule="dynamic"):
        n = lengths[b]
        dscores = &work[threadid(), 0]
        panels = dscores + T * n
        # context = weights @ values
        _product(&weights[0, b, 0], 1, B * S, n, &dcontext[0, b, 0], B * width, False, T,
                 &dvalues[0, b, 0], B * width, width, panels)
        _product(&dcontext[0, b, 0], B * width, 1, T, &values[0, b, 0], B * width, True, width,
                 dscores, n, n, panels)
        # weights = softmax(scores): ds = w * (dw - sum w dw)
        for t in range(T):
            row = dscores + t * n
            mean = dot(<const cython.floating*> row, &weights[t, b, 0], n)
            for s in range(n):
                row[s] = factor * weights[t, b, s] * (row[s] - mean)
        if v.shape[0] > 0:
            _additive_gradients(&query[0, b, 0], B * size, T, &keys[0, b, 0], B * size, n, &v[0], size,
                                <const cython.floating*> dscores, &dquery[0, b, 0], &dkeys[0, b, 0], &dv[b, 0],
                                panels)
        else:
            _product(<const cython.floating*> dscores, n, 1, T, &keys[0, b, 0], B * size, False, n,
                     &dquery[0, b, 0], B * size, size, panels)
            _product(<const cython.floating*> dscores, 1, n, n, &query[0, b, 0], B * size, False, T,
                     &dkeys[0, b, 0], B * size, size, panels)
