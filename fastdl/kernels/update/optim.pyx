"""SGD, with momentum (3.1 to 3.3) and averaged (3.12), and the Adam family, (3.8) to (3.11): one pass over memory each;
and the first pass of Muon (3.15).

An entry takes (arrays, places, scalars, options, num_threads): arrays and places as `_update.pxd` says, the rule's own
numbers, and scale, l2, keep, shrink. The numbers are copied before a loop: what it stores cannot change them.
"""
cimport numpy as cnp
from cython cimport floating
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, within
from ..ground._build cimport FD_LEVEL
from ._update cimport begin, Call, each, GRAD, gradient, larger, length, moved, PARAM, root, Settings, STATE, take

cnp.import_array()
LEVEL = FD_LEVEL.decode()


# ---- SGD (3.1) ---------------------------------------------------------------------------------------

cdef inline void sgd_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, bint plain,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef Settings s = call.settings
    cdef floating lr = <floating> s.rate
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        for i in range(length(call, k)):
            p[i] = moved(p[i], lr * gradient(grad[i], p[i], &s, plain), &s, plain)


cdef void sgd_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        sgd_loop(like, call, first, last, True)
    else:
        sgd_loop(like, call, first, last, False)


def sgd(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """change = lr g"""
    cdef Call call
    take(&call, 2, arrays, places, options, num_threads)
    call.settings.rate, = scalars
    with nogil:
        each(&call, sgd_part[float], sgd_part[double])


# ---- Momentum (3.2) and Nesterov (3.3) -----------------------------------------------------------------

cdef inline void momentum_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, bint nesterov, bint plain,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* v
    cdef Settings s = call.settings
    cdef floating rate = <floating> s.rate, mu = <floating> s.mu, gain = <floating> s.gain
    cdef floating gained, velocity
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        v = begin(like, call, k, STATE)
        for i in range(length(call, k)):
            gained = gain * gradient(grad[i], p[i], &s, plain)
            velocity = mu * v[i] + gained
            v[i] = velocity
            p[i] = moved(p[i], rate * (mu * velocity + gained if nesterov else velocity), &s, plain)


cdef void momentum_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        momentum_loop(like, call, first, last, False, True)
    else:
        momentum_loop(like, call, first, last, False, False)


cdef void nesterov_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        momentum_loop(like, call, first, last, True, True)
    else:
        momentum_loop(like, call, first, last, True, False)


def momentum(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """v = mu v + gain g; change = rate v"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.mu, s.gain = scalars
    with nogil:
        each(&call, momentum_part[float], momentum_part[double])


def nesterov(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """v = mu v + gain g; change = rate (gain g + mu v)"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.mu, s.gain = scalars
    with nogil:
        each(&call, nesterov_part[float], nesterov_part[double])


# ---- ASGD (3.12) and Muon's momentum (3.15) ---------------------------------------------------------------

cdef void asgd_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* average
    cdef Settings s = call.settings
    cdef floating rate = <floating> s.rate, lambd = <floating> s.rho, mu = <floating> s.mu
    cdef floating new
    cdef bint whole = s.mu == 1
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        average = begin(like, call, k, STATE)
        for i in range(length(call, k)):
            new = moved(p[i], rate * (gradient(grad[i], p[i], &s, False) + lambd * p[i]), &s, False)
            average[i] = new if whole else average[i] + mu * (new - average[i])
            p[i] = new


def asgd(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """change = rate (g + lambd p); average += mu (p - average) of the new p, which it becomes where mu = 1"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.rho, s.mu = scalars
    with nogil:
        each(&call, asgd_part[float], asgd_part[double])


cdef void lerp_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef const floating* p
    cdef const floating* grad
    cdef floating* buffer
    cdef floating* direction
    cdef Settings s = call.settings
    cdef floating mu = <floating> s.mu, rest = <floating> (1 - s.mu)
    cdef floating g, mean
    cdef bint ahead = s.gain != 0
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        buffer = begin(like, call, k, STATE)
        direction = begin(like, call, k, STATE + 1)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, False)
            mean = mu * buffer[i] + rest * g
            buffer[i] = mean
            direction[i] = mu * mean + rest * g if ahead else mean


def lerp(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """mean = mu mean + (1 - mu) g; direction = mean, or mu mean + (1 - mu) g where gain is not 0. p is read alone."""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.mu, s.gain = scalars
    with nogil:
        each(&call, lerp_part[float], lerp_part[double])


# ---- Adam (3.8), AMSGrad (3.9), AdamW (3.10), NAdam, RAdam (3.11) ----------------------------------------

cdef enum:  # what the change is made of
    ADAM       # rate m / d
    AMSGRAD    # the same, d from the largest v so far
    NADAM      # (rate m + fresh g) / d
    UNADAPTED  # rate m: RAdam's first steps

cdef inline void adam_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, int form, bint plain,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* m
    cdef floating* v
    cdef floating* v_max = NULL
    cdef Settings s = call.settings
    cdef floating b1 = <floating> s.beta1, c1 = <floating> (1 - s.beta1)
    cdef floating b2 = <floating> s.beta2, c2 = <floating> (1 - s.beta2)
    cdef floating rate = <floating> s.rate, fresh = <floating> s.fresh
    cdef floating top = <floating> s.top, stretch = <floating> s.stretch, eps = <floating> s.eps_out
    cdef floating g, mean, square, size, change
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        m = begin(like, call, k, STATE)
        v = begin(like, call, k, STATE + 1)
        if form == AMSGRAD:
            v_max = begin(like, call, k, STATE + 2)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, plain)
            mean = b1 * m[i] + c1 * g
            square = b2 * v[i] + c2 * g * g  # in this order a g^2 beyond the range may still count
            m[i] = mean
            v[i] = square
            size = larger(v_max[i], top * square) if form == AMSGRAD else square
            if form == AMSGRAD:
                v_max[i] = size
            if form == NADAM:
                change = (rate * mean + fresh * g) / (stretch * root(size) + eps)
            elif form == UNADAPTED:
                change = rate * mean
            else:
                change = rate * (mean / (stretch * root(size) + eps))
            p[i] = moved(p[i], change, &s, plain)


cdef void adam_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        adam_loop(like, call, first, last, ADAM, True)
    else:
        adam_loop(like, call, first, last, ADAM, False)


cdef void amsgrad_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    adam_loop(like, call, first, last, AMSGRAD, False)


cdef void nadam_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    adam_loop(like, call, first, last, NADAM, False)


cdef void unadapted_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    adam_loop(like, call, first, last, UNADAPTED, False)


def adam(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; change = rate m / (stretch sqrt(v) + eps). Of rows, the others'
    m and v do not decay."""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.beta1, s.beta2, s.stretch, s.eps_out = scalars
    with nogil:
        each(&call, adam_part[float], adam_part[double])


def amsgrad(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """m, v as Adam; v_max = max(v_max, top v); change = rate m / (stretch sqrt(v_max) + eps)"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 5, arrays, places, options, num_threads)
    s.rate, s.beta1, s.beta2, s.top, s.stretch, s.eps_out = scalars
    with nogil:
        each(&call, amsgrad_part[float], amsgrad_part[double])


def nadam(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """m, v as Adam; change = (rate m + fresh g) / (stretch sqrt(v) + eps)"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.fresh, s.beta1, s.beta2, s.stretch, s.eps_out = scalars
    with nogil:
        each(&call, nadam_part[float], nadam_part[double])


def unadapted(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """m, v as Adam; change = rate m"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.beta1, s.beta2 = scalars
    with nogil:
        each(&call, unadapted_part[float], unadapted_part[double])


# ---- Sums of rows with the same number ------------------------------------------------------------------


def add_rows(floating[:, ::1] total, const int64_t[::1] place, const floating[:, ::1] values):
    """total[place[k]] += values[k], in the order of k"""
    fits(total.shape[1], values.shape[1])
    fits(place.shape[0], values.shape[0])
    if values.shape[0] > 0:
        within(&place[0], values.shape[0], total.shape[0])
    cdef Py_ssize_t k, j
    with nogil:
        for k in range(values.shape[0]):
            for j in range(values.shape[1]):
                total[place[k], j] += values[k, j]
