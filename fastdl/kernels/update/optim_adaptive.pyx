"""Update rules that divide by a running size of the gradient: AdaGrad (3.4), RMSProp (3.5 to 3.7), AdaDelta,
Adamax; Lion, which keeps its sign (3.11), and Rprop, which keeps that alone (3.13): one pass over memory each. Their
entries are as those of `optim.pyx`.
"""
cimport numpy as cnp
from cython cimport floating

from ..ground._build cimport FD_LEVEL
from ._update cimport (
    begin, Call, each, GRAD, gradient, larger, length, magnitude, moved, PARAM, root, Settings, sign, STATE, take,
)

cnp.import_array()
LEVEL = FD_LEVEL.decode()


# ---- AdaGrad (3.4) -------------------------------------------------------------------------------------

cdef inline void adagrad_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, bint plain,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* square_sum
    cdef Settings s = call.settings
    cdef floating rate = <floating> s.rate, eps_in = <floating> s.eps_in, eps_out = <floating> s.eps_out
    cdef floating g, total
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        square_sum = begin(like, call, k, STATE)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, plain)
            total = square_sum[i] + g * g
            square_sum[i] = total
            p[i] = moved(p[i], rate * (g / (root(total + eps_in) + eps_out)), &s, plain)


cdef void adagrad_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        adagrad_loop(like, call, first, last, True)
    else:
        adagrad_loop(like, call, first, last, False)


def adagrad(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """G += g^2; change = rate g / (sqrt(G + eps_in) + eps_out)"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.eps_in, s.eps_out = scalars
    with nogil:
        each(&call, adagrad_part[float], adagrad_part[double])


# ---- RMSProp (3.5), centered (3.6), with momentum (3.7) ------------------------------------------------

cdef inline void rmsprop_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, bint centered, bint momentum, bint plain,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* square_avg
    cdef floating* grad_avg = NULL
    cdef floating* v = NULL
    cdef Settings s = call.settings
    cdef floating rate = <floating> s.rate, rho = <floating> s.rho, rest = <floating> (1 - s.rho)
    cdef floating eps_in = <floating> s.eps_in, eps_out = <floating> s.eps_out
    cdef floating mu = <floating> s.mu, gain = <floating> s.gain
    cdef floating g, size, off, ratio, change
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        square_avg = begin(like, call, k, STATE)
        if centered:
            grad_avg = begin(like, call, k, STATE + 1)
        if momentum:
            v = begin(like, call, k, STATE + 1 + centered)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, plain)
            if centered:
                # Equals rho s + (1 - rho) g^2 - m^2 of the usual form, and is a sum of squares (3.6).
                off = g - grad_avg[i]
                size = rho * (square_avg[i] + rest * off * off)
                grad_avg[i] = rho * grad_avg[i] + rest * g
            else:
                size = rho * square_avg[i] + rest * g * g
            square_avg[i] = size
            ratio = g / (root(size + eps_in) + eps_out)
            change = mu * v[i] + gain * ratio if momentum else ratio
            if momentum:
                v[i] = change
            p[i] = moved(p[i], rate * change, &s, plain)


cdef void rmsprop_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if call.plain:
        rmsprop_loop(like, call, first, last, False, False, True)
    else:
        rmsprop_loop(like, call, first, last, False, False, False)


cdef void rmsprop_momentum_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    rmsprop_loop(like, call, first, last, False, True, False)


cdef void rmsprop_centered_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    rmsprop_loop(like, call, first, last, True, False, False)


cdef void rmsprop_centered_momentum_part(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    rmsprop_loop(like, call, first, last, True, True, False)


def rmsprop(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """s = rho s + (1 - rho) g^2; change = rate g / d, d = sqrt(s + eps_in) + eps_out"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.rho, s.eps_in, s.eps_out = scalars
    with nogil:
        each(&call, rmsprop_part[float], rmsprop_part[double])


def rmsprop_momentum(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """s and d as `rmsprop`; v = mu v + gain g / d; change = rate v"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.rho, s.eps_in, s.eps_out, s.mu, s.gain = scalars
    with nogil:
        each(&call, rmsprop_momentum_part[float], rmsprop_momentum_part[double])


def rmsprop_centered(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """S = rho (S + (1 - rho)(g - m)^2); m = rho m + (1 - rho) g; change = rate g / d, d from S"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.rho, s.eps_in, s.eps_out = scalars
    with nogil:
        each(&call, rmsprop_centered_part[float], rmsprop_centered_part[double])


def rmsprop_centered_momentum(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """S, m and d as `rmsprop_centered`; v = mu v + gain g / d; change = rate v"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 5, arrays, places, options, num_threads)
    s.rate, s.rho, s.eps_in, s.eps_out, s.mu, s.gain = scalars
    with nogil:
        each(&call, rmsprop_centered_momentum_part[float], rmsprop_centered_momentum_part[double])


# ---- AdaDelta, Adamax, Lion (3.11) ---------------------------------------------------------------------

cdef void adadelta_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* square_avg
    cdef floating* delta_avg
    cdef Settings s = call.settings
    cdef floating lr = <floating> s.rate, eps = <floating> s.eps_in
    cdef floating rho = <floating> s.rho, rest = <floating> (1 - s.rho)
    cdef floating g, size, delta
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        square_avg = begin(like, call, k, STATE)
        delta_avg = begin(like, call, k, STATE + 1)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, False)
            size = rho * square_avg[i] + rest * g * g
            square_avg[i] = size
            delta = root(delta_avg[i] + eps) / root(size + eps) * g
            delta_avg[i] = rho * delta_avg[i] + rest * delta * delta
            p[i] = moved(p[i], lr * delta, &s, False)


def adadelta(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """s = rho s + (1 - rho) g^2; delta = sqrt(a + eps) / sqrt(s + eps) g; a = rho a + (1 - rho) delta^2;
    change = lr delta"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.rho, s.eps_in = scalars
    with nogil:
        each(&call, adadelta_part[float], adadelta_part[double])


cdef void adamax_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* m
    cdef floating* u
    cdef Settings s = call.settings
    cdef floating b1 = <floating> s.beta1, c1 = <floating> (1 - s.beta1), b2 = <floating> s.beta2
    cdef floating rate = <floating> s.rate, eps_in = <floating> s.eps_in, eps_out = <floating> s.eps_out
    cdef floating g, mean, size
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        m = begin(like, call, k, STATE)
        u = begin(like, call, k, STATE + 1)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, False)
            mean = b1 * m[i] + c1 * g
            size = larger(b2 * u[i], magnitude(g) + eps_in)
            m[i] = mean
            u[i] = size
            p[i] = moved(p[i], rate * (mean / (size + eps_out)), &s, False)


def adamax(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps_in); change = rate m / (u + eps_out)"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.beta1, s.beta2, s.eps_in, s.eps_out = scalars
    with nogil:
        each(&call, adamax_part[float], adamax_part[double])


cdef void lion_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* m
    cdef Settings s = call.settings
    cdef floating b1 = <floating> s.beta1, c1 = <floating> (1 - s.beta1)
    cdef floating b2 = <floating> s.beta2, c2 = <floating> (1 - s.beta2)
    cdef floating lr = <floating> s.rate, g, change
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        m = begin(like, call, k, STATE)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, False)
            change = lr * sign(b1 * m[i] + c1 * g)
            m[i] = b2 * m[i] + c2 * g
            p[i] = moved(p[i], change, &s, False)


def lion(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """change = lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 3, arrays, places, options, num_threads)
    s.rate, s.beta1, s.beta2 = scalars
    with nogil:
        each(&call, lion_part[float], lion_part[double])


# ---- Rprop (3.13) --------------------------------------------------------------------------------------

cdef inline void rprop_loop(
    floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last, bint started,
) noexcept nogil:
    cdef floating* p
    cdef const floating* grad
    cdef floating* prev
    cdef floating* step_size
    cdef Settings s = call.settings
    cdef floating down = <floating> s.down, up = <floating> s.up
    cdef floating low = <floating> s.low, high = <floating> s.high, rate = <floating> s.rate
    cdef floating g, trend, size
    cdef Py_ssize_t k, i
    for k in range(first, last):
        p = begin(like, call, k, PARAM)
        grad = begin(like, call, k, GRAD)
        prev = begin(like, call, k, STATE)
        step_size = begin(like, call, k, STATE + 1)
        for i in range(length(call, k)):
            g = gradient(grad[i], p[i], &s, False)
            trend = g * prev[i]
            size = (step_size[i] if started else rate) * (up if trend > 0 else down if trend < 0 else 1)
            size = low if size < low else size
            size = high if size > high else size
            g = 0 if trend < 0 else g
            prev[i] = g
            step_size[i] = size
            p[i] = moved(p[i], sign(g) * size, &s, False)


cdef void rprop_first(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    rprop_loop(like, call, first, last, False)


cdef void rprop_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    rprop_loop(like, call, first, last, True)


def rprop_begin(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """As rprop, where every step is to have the size rate first."""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.down, s.up, s.low, s.high = scalars
    with nogil:
        each(&call, rprop_first[float], rprop_first[double])


def rprop(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """size *= up where g prev > 0, down where it is < 0 and g becomes 0, within low and high; change = sign(g) size;
    prev = g"""
    cdef Call call
    cdef Settings* s = &call.settings
    take(&call, 4, arrays, places, options, num_threads)
    s.rate, s.down, s.up, s.low, s.high = scalars
    with nogil:
        each(&call, rprop_part[float], rprop_part[double])


# ---- Averages of parameters -----------------------------------------------------------------------------

cdef void average_part(floating* like, const Call* call, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef floating* mean
    cdef const floating* p
    cdef floating weight = <floating> call.settings.rate
    cdef Py_ssize_t k, i
    for k in range(first, last):
        mean = begin(like, call, k, PARAM)
        p = begin(like, call, k, GRAD)
        for i in range(length(call, k)):
            mean[i] = mean[i] + weight * (p[i] - mean[i])


def average(tuple arrays, places, tuple scalars, tuple options, int num_threads):
    """mean += weight (param - mean): in the place of param and grad, the arrays are mean and param."""
    cdef Call call
    take(&call, 2, arrays, places, options, num_threads)
    call.settings.rate, = scalars
    with nogil:
        each(&call, average_part[float], average_part[double])
