"""Update rules with momentum and the Adam family, (3.1) to (3.3), (3.8) to (3.11): one pass over memory each.

The arrays of one call (param, grad, state) are flat and do not overlap; all but grad are overwritten. What is
updated lies in pieces, one row of `pieces` each: its length, then for each array, in the order of the arguments,
how many elements from the array's start it begins. That may be beyond its end: so one call updates any number of
separate arrays, each piece given by its distance from the first of its kind.

Every rule ends with the same four scalars, see `_update.pxd`:

    scale, l2     the gradient used is scale grad + l2 param
    keep, shrink  param becomes prox(keep param - change), the prox of shrink |param|

Elements do not depend on each other, so any share of the pieces among threads gives the same bits.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits, within
from ..ground._build cimport FD_LEVEL
from ._update cimport fits_piece, fits_rows, gradient, is_plain, larger, moved, root

LEVEL = FD_LEVEL.decode()


# ---- SGD (3.1) ---------------------------------------------------------------------------------------

cdef inline void sgd_loop(
    floating* p, const floating* g, Py_ssize_t n,
    floating lr, floating scale, floating l2, floating keep, floating shrink, bint plain,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        p[i] = moved(p[i], lr * gradient(g[i], p[i], scale, l2, plain), keep, shrink, plain)


cdef void sgd_part(
    floating* p, const floating* g, Py_ssize_t n,
    floating lr, floating scale, floating l2, floating keep, floating shrink, bint plain,
) noexcept nogil:
    if plain:
        sgd_loop(p, g, n, lr, scale, l2, keep, shrink, True)
    else:
        sgd_loop(p, g, n, lr, scale, l2, keep, shrink, False)


def sgd(
    floating[::1] param, const floating[::1] grad, const Py_ssize_t[:, ::1] pieces,
    double lr, double scale, double l2, double keep, double shrink, int num_threads,
):
    """change = lr g"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        sgd_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], pieces[k, 0], <floating> lr,
                 <floating> scale, <floating> l2, <floating> keep, <floating> shrink, plain)


def sgd_rows(
    floating[:, ::1] param, const int64_t[::1] rows, const floating[:, ::1] values,
    double lr, double scale, double l2, double keep, double shrink, int num_threads,
):
    """`sgd` on the rows named, which are distinct"""
    fits_rows(param, rows, values)
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k
    if rows.shape[0] == 0 or param.shape[1] == 0:
        return
    for k in prange(rows.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        sgd_part(&param[rows[k], 0], &values[k, 0], param.shape[1], <floating> lr,
                 <floating> scale, <floating> l2, <floating> keep, <floating> shrink, plain)


# ---- Momentum (3.2) and Nesterov (3.3) -----------------------------------------------------------------

cdef inline void momentum_loop(
    floating* p, const floating* g, floating* v, Py_ssize_t n,
    floating rate, floating mu, floating gain,
    floating scale, floating l2, floating keep, floating shrink, bint nesterov, bint plain,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating fresh, velocity, change
    for i in range(n):
        fresh = gain * gradient(g[i], p[i], scale, l2, plain)
        velocity = mu * v[i] + fresh
        v[i] = velocity
        change = rate * (mu * velocity + fresh if nesterov else velocity)
        p[i] = moved(p[i], change, keep, shrink, plain)


cdef void momentum_part(
    floating* p, const floating* g, floating* v, Py_ssize_t n,
    floating rate, floating mu, floating gain,
    floating scale, floating l2, floating keep, floating shrink, bint nesterov, bint plain,
) noexcept nogil:
    if nesterov and plain:
        momentum_loop(p, g, v, n, rate, mu, gain, scale, l2, keep, shrink, True, True)
    elif nesterov:
        momentum_loop(p, g, v, n, rate, mu, gain, scale, l2, keep, shrink, True, False)
    elif plain:
        momentum_loop(p, g, v, n, rate, mu, gain, scale, l2, keep, shrink, False, True)
    else:
        momentum_loop(p, g, v, n, rate, mu, gain, scale, l2, keep, shrink, False, False)


def momentum(
    floating[::1] param, const floating[::1] grad, floating[::1] velocity, const Py_ssize_t[:, ::1] pieces,
    double rate, double mu, double gain, bint nesterov,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """v = mu v + gain g; change = rate v, or rate (gain g + mu v) for Nesterov"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(velocity.shape[0], pieces, 3)
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        momentum_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], &velocity[0] + pieces[k, 3],
                      pieces[k, 0], <floating> rate, <floating> mu, <floating> gain,
                      <floating> scale, <floating> l2, <floating> keep, <floating> shrink, nesterov, plain)


# ---- Adam (3.8), AMSGrad (3.9), AdamW (3.10), NAdam, RAdam (3.11) ----------------------------------------

cdef enum:  # what the change is made of
    ADAM       # rate m / d
    AMSGRAD    # the same, d from the largest v so far
    NADAM      # (rate m + fresh g) / d
    UNADAPTED  # rate m: RAdam's first steps

cdef inline void adam_loop(
    floating* p, const floating* g, floating* m, floating* v, floating* v_max, Py_ssize_t n,
    floating rate, floating fresh, floating b1, floating c1, floating b2, floating c2,
    floating top, floating stretch, floating eps,
    floating scale, floating l2, floating keep, floating shrink, int form, bint plain,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, mi, vi, change
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, plain)
        mi = b1 * m[i] + c1 * gi
        vi = b2 * v[i] + c2 * gi * gi  # in this order a g^2 beyond the range may still count
        m[i] = mi
        v[i] = vi
        if form == AMSGRAD:
            vi = larger(v_max[i], top * vi)
            v_max[i] = vi
        if form == NADAM:
            change = (rate * mi + fresh * gi) / (root(vi) * stretch + eps)
        elif form == UNADAPTED:
            change = rate * mi
        else:
            change = rate * (mi / (root(vi) * stretch + eps))
        p[i] = moved(p[i], change, keep, shrink, plain)


cdef void adam_part(
    floating* p, const floating* g, floating* m, floating* v, floating* v_max, Py_ssize_t n,
    floating rate, floating fresh, floating b1, floating c1, floating b2, floating c2,
    floating top, floating stretch, floating eps,
    floating scale, floating l2, floating keep, floating shrink, int form, bint plain,
) noexcept nogil:
    if form == ADAM and plain:
        adam_loop(p, g, m, v, v_max, n, rate, fresh, b1, c1, b2, c2, top, stretch, eps,
                  scale, l2, keep, shrink, ADAM, True)
    elif form == ADAM:
        adam_loop(p, g, m, v, v_max, n, rate, fresh, b1, c1, b2, c2, top, stretch, eps,
                  scale, l2, keep, shrink, ADAM, False)
    elif form == AMSGRAD:
        adam_loop(p, g, m, v, v_max, n, rate, fresh, b1, c1, b2, c2, top, stretch, eps,
                  scale, l2, keep, shrink, AMSGRAD, False)
    elif form == NADAM:
        adam_loop(p, g, m, v, v_max, n, rate, fresh, b1, c1, b2, c2, top, stretch, eps,
                  scale, l2, keep, shrink, NADAM, False)
    else:
        adam_loop(p, g, m, v, v_max, n, rate, fresh, b1, c1, b2, c2, top, stretch, eps,
                  scale, l2, keep, shrink, UNADAPTED, False)


cdef void adam_all(
    floating* p, const floating* g, floating* m, floating* v, floating* v_max,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double fresh, double beta1, double beta2, double top, double stretch, double eps,
    double scale, double l2, double keep, double shrink, int form, int num_threads,
) noexcept nogil:
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k, last = pieces.shape[1] - 1  # v_max's column; where there is none, v's, as v_max is v
    for k in prange(pieces.shape[0], schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        adam_part(p + pieces[k, 1], g + pieces[k, 2], m + pieces[k, 3], v + pieces[k, 4],
                  v_max + pieces[k, last], pieces[k, 0], <floating> rate, <floating> fresh,
                  <floating> beta1, <floating> (1 - beta1), <floating> beta2, <floating> (1 - beta2),
                  <floating> top, <floating> stretch, <floating> eps,
                  <floating> scale, <floating> l2, <floating> keep, <floating> shrink, form, plain)


def adam(
    floating[::1] param, const floating[::1] grad, floating[::1] m, floating[::1] v,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double beta1, double beta2, double stretch, double eps,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; change = rate m / (stretch sqrt(v) + eps)"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    fits_piece(v.shape[0], pieces, 4)
    if pieces.shape[0]:
        with nogil:
            adam_all(&param[0], &grad[0], &m[0], &v[0], &v[0], pieces, rate, 0, beta1, beta2, 1,
                     stretch, eps, scale, l2, keep, shrink, ADAM, num_threads)


def amsgrad(
    floating[::1] param, const floating[::1] grad, floating[::1] m, floating[::1] v, floating[::1] v_max,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double beta1, double beta2, double top, double stretch, double eps,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """m, v as Adam; v_max = max(v_max, top v); change = rate m / (stretch sqrt(v_max) + eps)"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    fits_piece(v.shape[0], pieces, 4)
    fits_piece(v_max.shape[0], pieces, 5)
    if pieces.shape[0]:
        with nogil:
            adam_all(&param[0], &grad[0], &m[0], &v[0], &v_max[0], pieces, rate, 0, beta1, beta2, top,
                     stretch, eps, scale, l2, keep, shrink, AMSGRAD, num_threads)


def nadam(
    floating[::1] param, const floating[::1] grad, floating[::1] m, floating[::1] v,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double fresh, double beta1, double beta2, double stretch, double eps,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """m, v as Adam; change = (rate m + fresh g) / (stretch sqrt(v) + eps)"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    fits_piece(v.shape[0], pieces, 4)
    if pieces.shape[0]:
        with nogil:
            adam_all(&param[0], &grad[0], &m[0], &v[0], &v[0], pieces, rate, fresh, beta1, beta2, 1,
                     stretch, eps, scale, l2, keep, shrink, NADAM, num_threads)


def unadapted(
    floating[::1] param, const floating[::1] grad, floating[::1] m, floating[::1] v,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double beta1, double beta2,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """m, v as Adam; change = rate m"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    fits_piece(v.shape[0], pieces, 4)
    if pieces.shape[0]:
        with nogil:
            adam_all(&param[0], &grad[0], &m[0], &v[0], &v[0], pieces, rate, 0, beta1, beta2, 1,
                     1, 0, scale, l2, keep, shrink, UNADAPTED, num_threads)


def adam_rows(
    floating[:, ::1] param, const int64_t[::1] rows, const floating[:, ::1] values,
    floating[:, ::1] m, floating[:, ::1] v,
    double rate, double beta1, double beta2, double stretch, double eps,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """`adam` on the rows named, which are distinct; the others' m and v do not decay"""
    fits_rows(param, rows, values)
    fits(m.shape[0], param.shape[0])
    fits(m.shape[1], param.shape[1])
    fits(v.shape[0], param.shape[0])
    fits(v.shape[1], param.shape[1])
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k, row
    if rows.shape[0] == 0 or param.shape[1] == 0:
        return
    for k in prange(rows.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        row = rows[k]
        adam_part(&param[row, 0], &values[k, 0], &m[row, 0], &v[row, 0], &v[row, 0], param.shape[1],
                  <floating> rate, <floating> 0,
                  <floating> beta1, <floating> (1 - beta1), <floating> beta2, <floating> (1 - beta2),
                  <floating> 1, <floating> stretch, <floating> eps,
                  <floating> scale, <floating> l2, <floating> keep, <floating> shrink, ADAM, plain)


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
