"""Attention: weights of source steps for every query, and the mean of the values under them (6.6).

Two score functions share the rest. Dot: q . k, a product for the tile. Additive: v . tanh(q + k), elementwise;
the backward computes the tanh again rather than keep T x S x A of them.

A thread takes whole sequences of the batch, so no sum crosses threads but dv, which is kept per sequence.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, reads, within, writes
from ..ground._build cimport FD_LEVEL
from ..ground._math cimport tanh_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..product._tile cimport dot, pack_panel, pack_panel_transposed, product, Strided, strided
from ..reduce._softmax cimport exponentials

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    FEW_ROWS = 4    # up to so many rows (a decoder's single step) packing would cost more than the product


def work_size(Py_ssize_t queries, Py_ssize_t sources, Py_ssize_t size, Py_ssize_t values, Py_ssize_t itemsize):
    """Elements of work space that one thread wants: packed panels of the largest product, and a row per query."""
    cdef Py_ssize_t nr = FD_NR_FLOAT if itemsize == 4 else FD_NR_DOUBLE
    cdef Py_ssize_t longest = max(queries, sources, size, values), widest = max(sources, size, values)
    return (widest + nr) * longest + max(queries * sources, size)


cdef struct Attention:       # a call, of either type; v is NULL for dot attention
    int kind
    Py_ssize_t queries, batch, size, sources, width   # T, B, A, S, V
    const void* query        # (T, B, A)
    const void* keys         # (S, B, A)
    const void* values       # (S, B, V)
    const int64_t* lengths
    const void* v
    double scale
    void* context            # (T, B, V); its gradient, which backward only reads
    void* weights            # (T, B, S), which backward only reads
    void* dquery             # backward alone
    void* dkeys
    void* dvalues
    void* dv                 # (B, A), a row of each sequence's
    void* work               # a row for every thread
    Py_ssize_t work_row
    int num_threads


cdef inline int _take(Attention* o, tuple arrays, lengths, v, double scale, work) except -1:
    """What both passes read: (query, keys, values), and the work space, which says how many threads there are."""
    query, keys, values = arrays
    o.kind, o.scale = float_kind(query), scale
    o.queries, o.batch, o.size = extent(query, 0), extent(query, 1), extent(query, 2)
    o.sources, o.width = extent(keys, 0), extent(values, 2)
    o.query = reads(query, o.kind, o.queries * o.batch * o.size)
    o.keys = reads(keys, o.kind, o.sources * o.batch * o.size)
    o.values = reads(values, o.kind, o.sources * o.batch * o.width)
    o.lengths = <const int64_t*> reads(lengths, cnp.NPY_INT64, o.batch)
    if o.batch:
        within(o.lengths, o.batch, o.sources + 1)
    o.v = may_read(v, o.kind, o.size)
    o.num_threads, o.work_row = <int> extent(work, 0), extent(work, 1)
    fits(o.num_threads, 1)
    fits(o.work_row, work_size(o.queries, o.sources, o.size, o.width, 4 if o.kind == cnp.NPY_FLOAT else 8))
    o.work = writes(work, o.kind, o.num_threads * o.work_row)
    return 0


# ---- Products ----------------------------------------------------------------------------------------------------


cdef void _few_rows(
    cython.floating* c, Py_ssize_t c_row, Strided a, Strided b, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t columns,
) noexcept nogil:
    """`_product` with B where it lies."""
    cdef const cython.floating* a_ = <const cython.floating*> a.at
    cdef const cython.floating* b_ = <const cython.floating*> b.at
    cdef cython.floating* row
    cdef cython.floating value
    cdef Py_ssize_t r, p, j
    for r in range(rows):
        row = c + r * c_row
        if b.step > 0:
            for j in range(columns):
                row[j] = dot(a_ + r * a.row, b_ + j * b.step, k)
            continue
        for j in range(columns):
            row[j] = 0
        for p in range(k):
            value = a_[r * a.row + p * a.step]
            for j in range(columns):
                row[j] = row[j] + value * b_[p * b.row + j]


cdef void _product(
    cython.floating* c, cython.floating* panels, Py_ssize_t c_row, Strided a, Strided b, Py_ssize_t rows, Py_ssize_t k,
    Py_ssize_t columns,
) noexcept nogil:
    """C[rows, columns] = A[rows, k] @ B[k, columns]. With b.step 0 the elements of B's rows are neighbours; else those
    of its columns are, which are b.step apart, and a.step is 1, too."""
    cdef Py_ssize_t nr = panel_width(c), j = 0
    cdef const cython.floating* b_ = <const cython.floating*> b.at
    if rows <= FEW_ROWS:
        _few_rows(c, c_row, a, b, rows, k, columns)
        return
    while j < columns:
        if b.step > 0:
            pack_panel_transposed(b_ + j * b.step, b.step, k, min(nr, columns - j), panels + j * k)
        else:
            pack_panel(b_ + j, b.row, k, min(nr, columns - j), panels + j * k)
        j += nr
    product(c, c_row, a, strided(panels, nr, nr * k), strided(NULL, 0, 1), rows, k, columns)


# ---- Scores ------------------------------------------------------------------------------------------------------


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


cdef void _additive_scores(cython.floating* y, const Attention* o, Py_ssize_t b) noexcept nogil:
    """weights = v . tanh(q + k) of sequence b; y is work space."""
    cdef Py_ssize_t T = o.queries, size = o.size, step = o.batch * size, s_step = o.batch * o.sources, t, s
    cdef Py_ssize_t length = o.lengths[b]
    cdef const cython.floating* query = <const cython.floating*> o.query + b * size
    cdef const cython.floating* keys = <const cython.floating*> o.keys + b * size
    cdef const cython.floating* v = <const cython.floating*> o.v
    cdef cython.floating* scores = <cython.floating*> o.weights + b * o.sources
    for t in range(T):
        for s in range(length):
            _tanh_of_sum(query + t * step, keys + s * step, size, y)
            scores[t * s_step + s] = dot(v, <const cython.floating*> y, size)


cdef void _additive_gradients(
    cython.floating* y, const cython.floating* dscores, const Attention* o, Py_ssize_t b,
) noexcept nogil:
    """dscores is (T, length); the gradients are added to. One result a loop: so each becomes vectors."""
    cdef Py_ssize_t T = o.queries, size = o.size, step = o.batch * size, length = o.lengths[b], t, s, a
    cdef const cython.floating* query = <const cython.floating*> o.query + b * size
    cdef const cython.floating* keys = <const cython.floating*> o.keys + b * size
    cdef const cython.floating* v = <const cython.floating*> o.v
    cdef cython.floating* dquery = <cython.floating*> o.dquery + b * size
    cdef cython.floating* dkeys = <cython.floating*> o.dkeys + b * size
    cdef cython.floating* dv = <cython.floating*> o.dv + b * size
    cdef cython.floating d
    for t in range(T):
        for s in range(length):
            d = dscores[t * length + s]
            _tanh_of_sum(query + t * step, keys + s * step, size, y)
            _add(<const cython.floating*> y, d, size, dv)
            for a in range(size):
                y[a] = v[a] * (1 - y[a] * y[a])
            _add(<const cython.floating*> y, d, size, dquery + t * step)
            _add(<const cython.floating*> y, d, size, dkeys + s * step)


cdef void _weigh(cython.floating* row, Py_ssize_t size, const cython.floating factor) noexcept nogil:
    """row = softmax(factor * row)."""
    cdef cython.floating top, share
    cdef Py_ssize_t s
    for s in range(size):
        row[s] = row[s] * factor
    share = 1 / exponentials(<const cython.floating*> row, size, row, &top)
    for s in range(size):
        row[s] = row[s] * share


# ---- The two passes: a sequence of the batch, then all of them ---------------------------------------------------


cdef void _attend(cython.floating* panels, const Attention* o, Py_ssize_t b) noexcept nogil:
    cdef Py_ssize_t T = o.queries, B = o.batch, S = o.sources, n = o.lengths[b], t, s
    cdef const cython.floating* query = <const cython.floating*> o.query + b * o.size
    cdef const cython.floating* keys = <const cython.floating*> o.keys + b * o.size
    cdef const cython.floating* values = <const cython.floating*> o.values + b * o.width
    cdef cython.floating* context = <cython.floating*> o.context + b * o.width
    cdef cython.floating* weights = <cython.floating*> o.weights + b * S
    cdef cython.floating* row
    if o.v is not NULL:
        _additive_scores(panels, o, b)
    else:
        _product(weights, panels, B * S, strided(query, B * o.size, 1), strided(keys, 1, B * o.size), T, o.size, n)
    for t in range(T):
        row = weights + t * B * S
        if n > 0:
            _weigh(row, n, <cython.floating> o.scale)
        for s in range(n, S):
            row[s] = 0
    _product(context, panels, B * o.width, strided(weights, B * S, 1), strided(values, B * o.width, 0), T, n, o.width)


cdef void _attend_all(cython.floating* work, const Attention* o) noexcept nogil:
    cdef Py_ssize_t b
    for b in prange(o.batch, num_threads=o.num_threads, schedule="dynamic"):
        _attend(work + threadid() * o.work_row, o, b)


def attention_forward(tuple arrays, lengths, v, double scale, context, weights, work):
    """Weights (T, B, S), zero past the lengths, and context (T, B, V), of (query, keys, values). Without v it is dot
    attention, times scale."""
    cdef Attention o
    _take(&o, arrays, lengths, v, scale, work)
    o.context = writes(context, o.kind, o.queries * o.batch * o.width)
    o.weights = writes(weights, o.kind, o.queries * o.batch * o.sources)
    with nogil:
        if o.kind == cnp.NPY_FLOAT:
            _attend_all(<float*> o.work, &o)
        else:
            _attend_all(<double*> o.work, &o)


cdef void _attend_back(cython.floating* dscores, const Attention* o, Py_ssize_t b) noexcept nogil:
    cdef Py_ssize_t T = o.queries, B = o.batch, S = o.sources, size = o.size, width = o.width, n = o.lengths[b], t, s
    cdef const cython.floating* query = <const cython.floating*> o.query + b * size
    cdef const cython.floating* keys = <const cython.floating*> o.keys + b * size
    cdef const cython.floating* values = <const cython.floating*> o.values + b * width
    cdef const cython.floating* dcontext = <const cython.floating*> o.context + b * width
    cdef const cython.floating* weights = <const cython.floating*> o.weights + b * S
    cdef cython.floating* dvalues = <cython.floating*> o.dvalues + b * width
    cdef cython.floating* panels = dscores + T * n
    cdef cython.floating* row
    cdef cython.floating factor = <cython.floating> o.scale, mean
    # context = weights @ values
    _product(dvalues, panels, B * width, strided(weights, 1, B * S), strided(dcontext, B * width, 0), n, T, width)
    _product(dscores, panels, n, strided(dcontext, B * width, 1), strided(values, 1, B * width), T, width, n)
    # weights = softmax(scores): ds = w * (dw - sum w dw)
    for t in range(T):
        row = dscores + t * n
        mean = dot(<const cython.floating*> row, weights + t * B * S, n)
        for s in range(n):
            row[s] = factor * weights[t * B * S + s] * (row[s] - mean)
    if o.v is not NULL:
        _additive_gradients(panels, <const cython.floating*> dscores, o, b)
        return
    _product(<cython.floating*> o.dquery + b * size, panels, B * size, strided(dscores, n, 1),
             strided(keys, B * size, 0), T, n, size)
    _product(<cython.floating*> o.dkeys + b * size, panels, B * size, strided(dscores, 1, n),
             strided(query, B * size, 0), n, T, size)


cdef void _attend_all_back(cython.floating* work, const Attention* o) noexcept nogil:
    cdef Py_ssize_t b
    for b in prange(o.batch, num_threads=o.num_threads, schedule="dynamic"):
        _attend_back(work + threadid() * o.work_row, o, b)


def attention_backward(dcontext, weights, tuple arrays, lengths, v, double scale, tuple gradients, work):
    """gradients: those with respect to query, keys and values, zeros at first, and that to v, None without v, else
    (B, A), a row of each sequence's."""
    cdef Attention o
    dquery, dkeys, dvalues, dv = gradients
    _take(&o, arrays, lengths, v, scale, work)
    o.context = <void*> reads(dcontext, o.kind, o.queries * o.batch * o.width)
    o.weights = <void*> reads(weights, o.kind, o.queries * o.batch * o.sources)
    o.dquery = writes(dquery, o.kind, o.queries * o.batch * o.size)
    o.dkeys = writes(dkeys, o.kind, o.sources * o.batch * o.size)
    o.dvalues = writes(dvalues, o.kind, o.sources * o.batch * o.width)
    o.dv = writes(dv, o.kind, o.batch * o.size) if o.v is not NULL else NULL
    with nogil:
        if o.kind == cnp.NPY_FLOAT:
            _attend_all_back(<float*> o.work, &o)
        else:
            _attend_all_back(<double*> o.work, &o)
