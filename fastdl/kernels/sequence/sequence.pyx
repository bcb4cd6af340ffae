"""CTC: the forward-backward recursion over the alignments of a target with a longer input (6.5).

A target of S labels has the L = 2 S + 1 states blank, label, blank, label, ..., blank. Everything runs in log
space and in double whatever the logits' type: sums over hundreds of steps lose nothing, and no peaked output
underflows. The loops over states have neither branch nor call, so they become vectors.
"""
cimport cython
cimport numpy as cnp
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, NAN, log
from libc.stdint cimport int64_t

from ..ground._arrays cimport extent, fits, float_kind, reads, within, writes
from ..ground._build cimport FD_LEVEL
from ..ground._math cimport exp_, log1p_
from ..reduce._softmax cimport exponentials

cnp.import_array()
LEVEL = FD_LEVEL.decode()

# Log of a probability of nothing. Finite, so that differences of two are no NaN, and far enough from both the
# overflow (adding 10^8 of them) and from any real path, so that what is below a tenth of it is impossible.
cdef double IMPOSSIBLE = -1e250
cdef enum:
    BORDER = 2      # cells of IMPOSSIBLE beside a row of states: what lies before the first, or after the last
    ROWS = 5        # rows of work besides alpha: beta twice, emissions, jumps, posteriors


def work_size(Py_ssize_t steps, Py_ssize_t labels):
    """Elements of work space that one thread of ctc_loss wants."""
    return (steps + ROWS) * (2 * labels + 1 + BORDER)


cdef inline double _log_sum(const double a, const double b, const double c) noexcept nogil:
    """log(e^a + e^b + e^c)."""
    cdef double high = a if a > b else b, low = b if a > b else a
    cdef double top = high if high > c else c, rest = c if high > c else high
    return top + log1p_(exp_(low - top) + exp_(rest - top))


cdef struct Ctc:                    # a call, of either type
    int kind
    Py_ssize_t steps, batch, classes, most   # T, B, C, and the columns of the targets
    const void* logits              # (T, B, C), as the gradient
    const int64_t* targets
    const int64_t* input_lengths
    const int64_t* target_lengths
    const void* scales
    int64_t blank
    bint zero_infinity
    double* losses
    void* gradient
    double* log_totals              # (T, B), log sum exp of the logits
    double* work                    # a row for every thread
    Py_ssize_t work_row
    int num_threads

cdef struct Paths:                  # of one sequence, its time steps, states, and rows of `width` cells of work
    Py_ssize_t b, steps, states, width
    const int64_t* labels
    double* alpha                   # a row a step, borders on the left
    double* beta                    # borders on the right, here and in what follows
    double* following               # beta + emission of the next step
    double* emission
    double* jump                    # 0 where a path may skip the blank before s, else IMPOSSIBLE
    double* posterior


cdef inline void _lay_out(Paths* p, const Ctc* o, Py_ssize_t b, double* work) noexcept nogil:
    cdef Py_ssize_t s
    cdef const int64_t* labels = o.targets + b * o.most
    p.b, p.labels, p.steps, p.states = b, labels, o.input_lengths[b], 2 * o.target_lengths[b] + 1
    p.width = p.states + BORDER
    p.alpha = work
    p.beta = work + p.steps * p.width
    p.following = p.beta + p.width
    p.emission = p.following + p.width
    p.jump = p.emission + p.width
    p.posterior = p.jump + p.width
    for s in range(p.width):
        p.jump[s] = 0 if 2 < s < p.states and s % 2 and labels[s // 2] != labels[s // 2 - 1] else IMPOSSIBLE


cdef inline void _emissions(const cython.floating* logits, const Ctc* o, const Paths* p, Py_ssize_t t) noexcept nogil:
    """log softmax of every state's symbol at one time step, whose logits these are."""
    cdef Py_ssize_t s
    cdef double value, log_total = o.log_totals[t * o.batch + p.b]
    cdef double* emission = p.emission
    cdef const int64_t* labels = p.labels
    cdef int64_t blank = o.blank
    for s in range(p.states):
        value = <double> logits[labels[s // 2] if s % 2 else blank] - log_total
        emission[s] = IMPOSSIBLE if value < IMPOSSIBLE else value


cdef void _weigh(
    const cython.floating* logits, Py_ssize_t classes, const cython.floating scale, cython.floating* gradient,
    double* log_total,
) noexcept nogil:
    """One step of one sequence: log sum exp of the logits, and scale * softmax, which the labels take from later."""
    cdef cython.floating top, share
    cdef cython.floating total = exponentials(logits, classes, gradient, &top)
    cdef Py_ssize_t j
    log_total[0] = top + log(<double> total)
    share = scale / total
    for j in range(classes):
        gradient[j] = gradient[j] * share


cdef double _forward(const cython.floating* logits, const Ctc* o, const Paths* p) noexcept nogil:
    """alpha_t(s) = log P(the symbols up to s, ending in s at t); returns log P(labels)."""
    cdef Py_ssize_t t, s, L = p.states, step = o.batch * o.classes
    cdef double* emission = p.emission
    cdef double* jump = p.jump
    cdef double* row = p.alpha
    cdef double* before
    for t in range(p.steps):
        _emissions(logits + t * step, o, p, t)
        row = p.alpha + t * p.width
        for s in range(p.width):
            row[s] = IMPOSSIBLE
        row += BORDER
        if t == 0:  # paths start in one of the first two states
            for s in range(min(L, 2)):
                row[s] = emission[s]
        else:
            before = row - p.width
            for s in range(L):
                row[s] = _log_sum(before[s], before[s - 1], before[s - 2] + jump[s]) + emission[s]
    return _log_sum(row[L - 1], row[L - 2], IMPOSSIBLE)  # of an empty target the latter is a border


cdef void _backward(
    cython.floating* gradient, const cython.floating* logits, const Ctc* o, const Paths* p, double total,
) noexcept nogil:
    """beta_t(s) = log P(the rest of the symbols after t | s at t). The gradient, scale * softmax before, loses scale
    times P(s at t | labels) = e^(alpha + beta - total)."""
    cdef Py_ssize_t t, s, j, L = p.states, step = o.batch * o.classes
    cdef double* beta = p.beta
    cdef double* following = p.following
    cdef double* emission = p.emission
    cdef double* jump = p.jump
    cdef double* posterior = p.posterior
    cdef double* row
    cdef double of_blank
    cdef cython.floating scale = (<const cython.floating*> o.scales)[p.b]
    for s in range(p.width):
        following[s] = IMPOSSIBLE
    for t in range(p.steps - 1, -1, -1):
        if t == p.steps - 1:
            for s in range(L):
                beta[s] = 0 if s >= L - 2 else IMPOSSIBLE
        else:
            for s in range(L):
                beta[s] = _log_sum(following[s], following[s + 1], following[s + 2] + jump[s + 2])
        row = p.alpha + t * p.width + BORDER
        for s in range(L):
            posterior[s] = exp_(row[s] + beta[s] - total)
        of_blank = posterior[0]
        for s in range(1, L, 2):
            j = t * step + p.labels[s // 2]
            gradient[j] = gradient[j] - <cython.floating> posterior[s] * scale
            of_blank += posterior[s + 1]
        gradient[t * step + o.blank] -= <cython.floating> of_blank * scale
        _emissions(logits + t * step, o, p, t)
        for s in range(L):
            following[s] = beta[s] + emission[s]


cdef double _alignments(cython.floating* gradient, const Ctc* o, Py_ssize_t b, double* work) noexcept nogil:
    """One sequence: -log P(labels), and its gradient, from scale * softmax of all sequences."""
    cdef const cython.floating* logits = <const cython.floating*> o.logits + b * o.classes
    cdef cython.floating* own = gradient + b * o.classes
    cdef cython.floating replacement
    cdef Py_ssize_t t, j
    cdef double total
    cdef Paths p
    if o.input_lengths[b] == 0:
        return 0 if o.target_lengths[b] == 0 else INFINITY
    _lay_out(&p, o, b, work)
    total = _forward(logits, o, &p)
    if total < IMPOSSIBLE / 10:
        replacement = 0 if o.zero_infinity else NAN
        for t in range(p.steps):
            for j in range(o.classes):
                own[t * o.batch * o.classes + j] = replacement
        return INFINITY
    _backward(own, logits, o, &p, total)
    return -total


cdef void _losses(cython.floating* gradient, const Ctc* o) noexcept nogil:
    cdef const cython.floating* logits = <const cython.floating*> o.logits
    cdef const cython.floating* scales = <const cython.floating*> o.scales
    cdef Py_ssize_t r, b, j, B = o.batch, C = o.classes
    for r in prange(o.steps * B, num_threads=o.num_threads, schedule="static"):
        b = r % B
        if r // B < o.input_lengths[b]:
            _weigh(logits + r * C, C, scales[b], gradient + r * C, o.log_totals + r)
        else:
            for j in range(C):
                gradient[r * C + j] = 0
    for b in prange(B, num_threads=o.num_threads, schedule="dynamic"):
        o.losses[b] = _alignments(gradient, o, b, o.work + threadid() * o.work_row)


cdef Py_ssize_t _take_targets(Ctc* o, targets, tuple lengths) except -1:
    """Targets, of classes that there are, and the lengths of inputs and targets; the longest of the latter."""
    cdef Py_ssize_t b
    cdef int64_t longest = 0
    input_lengths, target_lengths = lengths
    o.most = extent(targets, 1)
    o.targets = <const int64_t*> reads(targets, cnp.NPY_INT64, o.batch * o.most)
    o.input_lengths = <const int64_t*> reads(input_lengths, cnp.NPY_INT64, o.batch)
    o.target_lengths = <const int64_t*> reads(target_lengths, cnp.NPY_INT64, o.batch)
    within(o.input_lengths, o.batch, o.steps + 1)
    within(o.target_lengths, o.batch, o.most + 1)
    within(&o.blank, 1, o.classes)
    for b in range(o.batch):
        longest = max(longest, o.target_lengths[b])
        if o.target_lengths[b]:
            within(o.targets + b * o.most, o.target_lengths[b], o.classes)
    return longest


def ctc_loss(logits, targets, tuple lengths, scales, int64_t blank, bint zero_infinity, tuple results, work):
    """Each sequence's loss, and its gradient with respect to the logits, times its scale; zero past its end.

    lengths: of the inputs and of the targets. results: (losses, gradient, log_totals), the last (T, B), log sum exp of
    the logits. work: a row for every thread.
    """
    cdef Ctc o
    losses, gradient, log_totals = results
    o.kind, o.blank, o.zero_infinity = float_kind(logits), blank, zero_infinity
    o.steps, o.batch, o.classes = extent(logits, 0), extent(logits, 1), extent(logits, 2)
    if o.batch == 0:
        return
    cdef Py_ssize_t longest = _take_targets(&o, targets, lengths), cells = o.steps * o.batch
    o.logits, o.scales = reads(logits, o.kind, cells * o.classes), reads(scales, o.kind, o.batch)
    o.losses = <double*> writes(losses, cnp.NPY_DOUBLE, o.batch)
    o.gradient = writes(gradient, o.kind, cells * o.classes)
    o.log_totals = <double*> writes(log_totals, cnp.NPY_DOUBLE, cells)
    o.num_threads, o.work_row = <int> extent(work, 0), extent(work, 1)
    fits(o.num_threads, 1)
    fits(o.work_row, work_size(o.steps, longest))
    o.work = <double*> writes(work, cnp.NPY_DOUBLE, o.num_threads * o.work_row)
    with nogil:
        if o.kind == cnp.NPY_FLOAT:
            _losses(<float*> o.gradient, &o)
        else:
            _losses(<double*> o.gradient, &o)
