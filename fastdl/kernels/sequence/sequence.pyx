"""CTC: the forward-backward recursion over the alignments of a target with a longer input (6.5).

A target of S labels has the L = 2 S + 1 states blank, label, blank, label, ..., blank. Everything runs in log
space and in double whatever the logits' type: sums over hundreds of steps lose nothing, and no peaked output
underflows. The loops over states have neither branch nor call, so they become vectors.
"""
cimport cython
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, NAN, log
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, within
from ..ground._build cimport FD_LEVEL
from ..ground._math cimport exp_, log1p_
from ..reduce._softmax cimport exponentials

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


cdef inline void _emissions(
    const cython.floating* logits, const double log_total, const int64_t* labels, Py_ssize_t states,
    const int64_t blank, double* emission,
) noexcept nogil:
    """log softmax of every state's symbol at one time step."""
    cdef Py_ssize_t s
    cdef double value
    for s in range(states):
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


cdef double _alignments(
    const cython.floating* logits, Py_ssize_t step, const double* log_totals, Py_ssize_t batch,
    const int64_t* labels, Py_ssize_t T, Py_ssize_t S, const int64_t blank,
    const cython.floating scale, const bint zero_infinity, Py_ssize_t classes, cython.floating* gradient,
    double* work,
) noexcept nogil:
    """One sequence: -log P(labels); its gradient, from scale * softmax in `gradient`. `step`: elements a time step."""
    cdef Py_ssize_t L = 2 * S + 1, width = L + BORDER, t, s, j
    cdef double* alpha = work                       # T rows, borders on the left
    cdef double* beta = work + T * width            # two rows, borders on the right
    cdef double* following = beta + width
    cdef double* emission = following + width
    cdef double* jump = emission + width            # 0 where a path may skip the blank before s, else IMPOSSIBLE
    cdef double* posterior = jump + width
    cdef double* row
    cdef double* before
    cdef double total, of_blank
    cdef cython.floating replacement
    if T == 0:
        return 0 if S == 0 else INFINITY
    for s in range(width):
        jump[s] = 0 if 2 < s < L and s % 2 and labels[s // 2] != labels[s // 2 - 1] else IMPOSSIBLE

    # alpha_t(s) = log P(the symbols up to s, ending in s at t). Paths start in one of the first two states.
    for t in range(T):
        _emissions(logits + t * step, log_totals[t * batch], labels, L, blank, emission)
        row = alpha + t * width
        for s in range(width):
            row[s] = IMPOSSIBLE
        row += BORDER
        if t == 0:
            for s in range(min(L, 2)):
                row[s] = emission[s]
        else:
            before = row - width
            for s in range(L):
                row[s] = _log_sum(before[s], before[s - 1], before[s - 2] + jump[s]) + emission[s]
    total = _log_sum(row[L - 1], row[L - 2], IMPOSSIBLE)  # of an empty target the latter is a border
    if total < IMPOSSIBLE / 10:
        replacement = 0 if zero_infinity else NAN
        for t in range(T):
            for j in range(classes):
                gradient[t * step + j] = replacement
        return INFINITY

    # beta_t(s) = log P(the rest of the symbols after t | s at t); P(s at t | labels) = e^(alpha + beta - total).
    for s in range(width):
        following[s] = IMPOSSIBLE
    for t in range(T - 1, -1, -1):
        if t == T - 1:
            for s in range(L):
                beta[s] = 0 if s >= L - 2 else IMPOSSIBLE
        else:
            for s in range(L):
                beta[s] = _log_sum(following[s], following[s + 1], following[s + 2] + jump[s + 2])
        row = alpha + t * width + BORDER
        for s in range(L):
            posterior[s] = exp_(row[s] + beta[s] - total)
        of_blank = posterior[0]
        for s in range(1, L, 2):
            j = t * step + labels[s // 2]
            gradient[j] = gradient[j] - <cython.floating> posterior[s] * scale
            of_blank += posterior[s + 1]
        gradient[t * step + blank] -= <cython.floating> of_blank * scale
        _emissions(logits + t * step, log_totals[t * batch], labels, L, blank, emission)
        for s in range(L):
            following[s] = beta[s] + emission[s]
    return -total


def ctc_loss(
    const cython.floating[:, :, ::1] logits, const int64_t[:, ::1] targets, const int64_t[::1] input_lengths,
    const int64_t[::1] target_lengths, int64_t blank, const cython.floating[::1] scales, bint zero_infinity,
    double[::1] losses, cython.floating[:, :, ::1] gradient, double[:, ::1] log_totals, double[:, ::1] work,
    int num_threads,
):
    """Each sequence's loss, and its gradient with respect to the logits, times its scale; zero past its end.

    log_totals: (T, B), log sum exp of the logits. work: a row for every thread.
    """
    cdef Py_ssize_t T = logits.shape[0], B = logits.shape[1], C = logits.shape[2], r, t, b, j
    cdef const int64_t* labels
    cdef Py_ssize_t longest = 0
    if B == 0:
        return
    fits(num_threads, 1)
    fits(input_lengths.shape[0], B)
    fits(target_lengths.shape[0], B)
    fits(targets.shape[0], B)
    fits(scales.shape[0], B)
    fits(losses.shape[0], B)
    fits(log_totals.shape[0], T)
    fits(log_totals.shape[1], B)
    fits(gradient.shape[0], T)
    fits(gradient.shape[1], B)
    fits(gradient.shape[2], C)
    within(&input_lengths[0], B, T + 1)
    within(&target_lengths[0], B, targets.shape[1] + 1)
    within(&blank, 1, C)
    for b in range(B):
        longest = max(longest, target_lengths[b])
        if target_lengths[b]:
            within(&targets[b, 0], target_lengths[b], C)
    fits(work.shape[0], num_threads)
    fits(work.shape[1], work_size(T, longest))
    for r in prange(T * B, nogil=True, num_threads=num_threads, schedule="static"):
        t, b = r // B, r % B
        if t < input_lengths[b]:
            _weigh(&logits[t, b, 0], C, scales[b], &gradient[t, b, 0], &log_totals[t, b])
        else:
            for j in range(C):
                gradient[t, b, j] = 0
    for b in prange(B, nogil=True, num_threads=num_threads, schedule="dynamic"):
        labels = &targets[b, 0] if targets.shape[1] > 0 else NULL
        losses[b] = _alignments(
            &logits[0, b, 0] if T > 0 else NULL, B * C, &log_totals[0, b] if T > 0 else NULL, B, labels,
            input_lengths[b], target_lengths[b], blank, scales[b], zero_infinity, C,
            &gradient[0, b, 0] if T > 0 else NULL, &work[threadid(), 0],
        )
