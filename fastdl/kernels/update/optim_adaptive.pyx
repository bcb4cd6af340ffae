"""Update rules that divide by a running size of the gradient: AdaGrad (3.4), RMSProp (3.5 to 3.7), AdaDelta,
Adamax; and Lion, which keeps its sign (3.11): one pass over memory each.

The contract of the arrays, the pieces and the last four scalars is that of `optim.pyx`.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t

from ..ground._arrays cimport fits
from ..ground._build cimport FD_LEVEL
from ._update cimport fits_piece, fits_rows, gradient, is_plain, larger, magnitude, moved, root, sign

LEVEL = FD_LEVEL.decode()


# ---- AdaGrad (3.4) -------------------------------------------------------------------------------------

cdef inline void adagrad_loop(
    floating* p, const floating* g, floating* square_sum, Py_ssize_t n,
    floating rate, floating eps_in, floating eps_out,
    floating scale, floating l2, floating keep, floating shrink, bint plain,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, total
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, plain)
        total = square_sum[i] + gi * gi
        square_sum[i] = total
        p[i] = moved(p[i], rate * (gi / (root(total + eps_in) + eps_out)), keep, shrink, plain)


cdef void adagrad_part(
    floating* p, const floating* g, floating* square_sum, Py_ssize_t n,
    floating rate, floating eps_in, floating eps_out,
    floating scale, floating l2, floating keep, floating shrink, bint plain,
) noexcept nogil:
    if plain:
        adagrad_loop(p, g, square_sum, n, rate, eps_in, eps_out, scale, l2, keep, shrink, True)
    else:
        adagrad_loop(p, g, square_sum, n, rate, eps_in, eps_out, scale, l2, keep, shrink, False)


def adagrad(
    floating[::1] param, const floating[::1] grad, floating[::1] square_sum,
    const Py_ssize_t[:, ::1] pieces, double rate, double eps_in, double eps_out,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """G += g^2; change = rate g / (sqrt(G + eps_in) + eps_out)"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_sum.shape[0], pieces, 3)
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        adagrad_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], &square_sum[0] + pieces[k, 3],
                     pieces[k, 0], <floating> rate, <floating> eps_in, <floating> eps_out,
                     <floating> scale, <floating> l2, <floating> keep, <floating> shrink, plain)


def adagrad_rows(
    floating[:, ::1] param, const int64_t[::1] rows, const floating[:, ::1] values,
    floating[:, ::1] square_sum,
    double rate, double eps_in, double eps_out,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """`adagrad` on the rows named, which are distinct"""
    fits_rows(param, rows, values)
    fits(square_sum.shape[0], param.shape[0])
    fits(square_sum.shape[1], param.shape[1])
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    cdef Py_ssize_t k
    if rows.shape[0] == 0 or param.shape[1] == 0:
        return
    for k in prange(rows.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        adagrad_part(&param[rows[k], 0], &values[k, 0], &square_sum[rows[k], 0], param.shape[1],
                     <floating> rate, <floating> eps_in, <floating> eps_out,
                     <floating> scale, <floating> l2, <floating> keep, <floating> shrink, plain)


# ---- RMSProp (3.5), centered (3.6), with momentum (3.7) ------------------------------------------------

cdef inline void rmsprop_loop(
    floating* p, const floating* g, floating* square_avg, floating* grad_avg, floating* v, Py_ssize_t n,
    floating rate, floating rho, floating fresh, floating eps_in, floating eps_out,
    floating mu, floating gain,
    floating scale, floating l2, floating keep, floating shrink, bint centered, bint momentum, bint plain,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, size, change, off
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, plain)
        if centered:
            # Equals rho s + (1 - rho) g^2 - m^2 of the usual form, and is a sum of squares (3.6).
            off = gi - grad_avg[i]
            size = rho * (square_avg[i] + fresh * off * off)
            grad_avg[i] = rho * grad_avg[i] + fresh * gi
        else:
            size = rho * square_avg[i] + fresh * gi * gi
        square_avg[i] = size
        change = gi / (root(size + eps_in) + eps_out)
        if momentum:
            change = mu * v[i] + gain * change
            v[i] = change
        p[i] = moved(p[i], rate * change, keep, shrink, plain)


cdef void rmsprop_part(
    floating* p, const floating* g, floating* square_avg, floating* grad_avg, floating* v, Py_ssize_t n,
    floating rate, floating rho, floating fresh, floating eps_in, floating eps_out,
    floating mu, floating gain,
    floating scale, floating l2, floating keep, floating shrink, bint centered, bint momentum, bint plain,
) noexcept nogil:
    if centered and momentum:
        rmsprop_loop(p, g, square_avg, grad_avg, v, n, rate, rho, fresh, eps_in, eps_out, mu, gain,
                     scale, l2, keep, shrink, True, True, False)
    elif centered:
        rmsprop_loop(p, g, square_avg, grad_avg, v, n, rate, rho, fresh, eps_in, eps_out, mu, gain,
                     scale, l2, keep, shrink, True, False, False)
    elif momentum:
        rmsprop_loop(p, g, square_avg, grad_avg, v, n, rate, rho, fresh, eps_in, eps_out, mu, gain,
                     scale, l2, keep, shrink, False, True, False)
    elif plain:
        rmsprop_loop(p, g, square_avg, grad_avg, v, n, rate, rho, fresh, eps_in, eps_out, mu, gain,
                     scale, l2, keep, shrink, False, False, True)
    else:
        rmsprop_loop(p, g, square_avg, grad_avg, v, n, rate, rho, fresh, eps_in, eps_out, mu, gain,
                     scale, l2, keep, shrink, False, False, False)


cdef void rmsprop_all(
    floating* p, const floating* g, floating* square_avg, floating* grad_avg, floating* v,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double rho, double eps_in, double eps_out, double mu, double gain,
    double scale, double l2, double keep, double shrink, bint centered, bint momentum, int num_threads,
) noexcept nogil:
    # The columns of grad_avg and v, which come last; where there is none, that of the array in its place.
    cdef Py_ssize_t k, last = pieces.shape[1] - 1, mean = 4 if centered else 3
    cdef bint plain = is_plain(scale, l2, keep, shrink)
    for k in prange(pieces.shape[0], schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        rmsprop_part(p + pieces[k, 1], g + pieces[k, 2], square_avg + pieces[k, 3],
                     grad_avg + pieces[k, mean], v + pieces[k, last], pieces[k, 0],
                     <floating> rate, <floating> rho, <floating> (1 - rho),
                     <floating> eps_in, <floating> eps_out, <floating> mu, <floating> gain, <floating> scale,
                     <floating> l2, <floating> keep, <floating> shrink, centered, momentum, plain)


def rmsprop(
    floating[::1] param, const floating[::1] grad, floating[::1] square_avg,
    const Py_ssize_t[:, ::1] pieces, double rate, double rho, double eps_in, double eps_out,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """s = rho s + (1 - rho) g^2; change = rate g / d, d = sqrt(s + eps_in) + eps_out"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_avg.shape[0], pieces, 3)
    if pieces.shape[0]:
        with nogil:
            rmsprop_all(&param[0], &grad[0], &square_avg[0], &square_avg[0], &square_avg[0], pieces,
                        rate, rho, eps_in, eps_out, 0, 0, scale, l2, keep, shrink, False, False, num_threads)


def rmsprop_momentum(
    floating[::1] param, const floating[::1] grad, floating[::1] square_avg, floating[::1] velocity,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double rho, double eps_in, double eps_out, double mu, double gain,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """s and d as `rmsprop`; v = mu v + gain g / d; change = rate v"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_avg.shape[0], pieces, 3)
    fits_piece(velocity.shape[0], pieces, 4)
    if pieces.shape[0]:
        with nogil:
            rmsprop_all(&param[0], &grad[0], &square_avg[0], &square_avg[0], &velocity[0], pieces,
                        rate, rho, eps_in, eps_out, mu, gain, scale, l2, keep, shrink,
                        False, True, num_threads)


def rmsprop_centered(
    floating[::1] param, const floating[::1] grad, floating[::1] square_avg, floating[::1] grad_avg,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double rho, double eps_in, double eps_out,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """S = rho (S + (1 - rho)(g - m)^2); m = rho m + (1 - rho) g; change = rate g / d, d from S"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_avg.shape[0], pieces, 3)
    fits_piece(grad_avg.shape[0], pieces, 4)
    if pieces.shape[0]:
        with nogil:
            rmsprop_all(&param[0], &grad[0], &square_avg[0], &grad_avg[0], &grad_avg[0], pieces,
                        rate, rho, eps_in, eps_out, 0, 0, scale, l2, keep, shrink, True, False, num_threads)


def rmsprop_centered_momentum(
    floating[::1] param, const floating[::1] grad,
    floating[::1] square_avg, floating[::1] grad_avg, floating[::1] velocity,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double rho, double eps_in, double eps_out, double mu, double gain,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """S, m and d as `rmsprop_centered`; v = mu v + gain g / d; change = rate v"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_avg.shape[0], pieces, 3)
    fits_piece(grad_avg.shape[0], pieces, 4)
    fits_piece(velocity.shape[0], pieces, 5)
    if pieces.shape[0]:
        with nogil:
            rmsprop_all(&param[0], &grad[0], &square_avg[0], &grad_avg[0], &velocity[0], pieces,
                        rate, rho, eps_in, eps_out, mu, gain, scale, l2, keep, shrink,
                        True, True, num_threads)


# ---- AdaDelta, Adamax, Lion (3.11) ---------------------------------------------------------------------

cdef void adadelta_part(
    floating* p, const floating* g, floating* square_avg, floating* delta_avg, Py_ssize_t n,
    floating lr, floating rho, floating fresh, floating eps,
    floating scale, floating l2, floating keep, floating shrink,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, size, delta
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, False)
        size = rho * square_avg[i] + fresh * gi * gi
        square_avg[i] = size
        delta = root(delta_avg[i] + eps) / root(size + eps) * gi
        delta_avg[i] = rho * delta_avg[i] + fresh * delta * delta
        p[i] = moved(p[i], lr * delta, keep, shrink, False)


def adadelta(
    floating[::1] param, const floating[::1] grad, floating[::1] square_avg, floating[::1] delta_avg,
    const Py_ssize_t[:, ::1] pieces,
    double lr, double rho, double eps,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """s = rho s + (1 - rho) g^2; delta = sqrt(a + eps) / sqrt(s + eps) g; a = rho a + (1 - rho) delta^2;
    change = lr delta"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(square_avg.shape[0], pieces, 3)
    fits_piece(delta_avg.shape[0], pieces, 4)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        adadelta_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], &square_avg[0] + pieces[k, 3],
                      &delta_avg[0] + pieces[k, 4], pieces[k, 0],
                      <floating> lr, <floating> rho, <floating> (1 - rho), <floating> eps,
                      <floating> scale, <floating> l2, <floating> keep, <floating> shrink)


cdef void adamax_part(
    floating* p, const floating* g, floating* m, floating* u, Py_ssize_t n,
    floating rate, floating b1, floating c1, floating b2, floating eps_in, floating eps_out,
    floating scale, floating l2, floating keep, floating shrink,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, mi, ui
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, False)
        mi = b1 * m[i] + c1 * gi
        ui = larger(b2 * u[i], magnitude(gi) + eps_in)
        m[i] = mi
        u[i] = ui
        p[i] = moved(p[i], rate * (mi / (ui + eps_out)), keep, shrink, False)


def adamax(
    floating[::1] param, const floating[::1] grad, floating[::1] m, floating[::1] u,
    const Py_ssize_t[:, ::1] pieces,
    double rate, double beta1, double beta2, double eps_in, double eps_out,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps_in); change = rate m / (u + eps_out)"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    fits_piece(u.shape[0], pieces, 4)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        adamax_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], &m[0] + pieces[k, 3],
                    &u[0] + pieces[k, 4], pieces[k, 0],
                    <floating> rate, <floating> beta1, <floating> (1 - beta1), <floating> beta2,
                    <floating> eps_in, <floating> eps_out,
                    <floating> scale, <floating> l2, <floating> keep, <floating> shrink)


cdef void lion_part(
    floating* p, const floating* g, floating* m, Py_ssize_t n,
    floating lr, floating b1, floating c1, floating b2, floating c2,
    floating scale, floating l2, floating keep, floating shrink,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating gi, step
    for i in range(n):
        gi = gradient(g[i], p[i], scale, l2, False)
        step = lr * sign(b1 * m[i] + c1 * gi)
        m[i] = b2 * m[i] + c2 * gi
        p[i] = moved(p[i], step, keep, shrink, False)


def lion(
    floating[::1] param, const floating[::1] grad, floating[::1] m, const Py_ssize_t[:, ::1] pieces,
    double lr, double beta1, double beta2,
    double scale, double l2, double keep, double shrink, int num_threads,
):
    """change = lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g"""
    fits_piece(param.shape[0], pieces, 1)
    fits_piece(grad.shape[0], pieces, 2)
    fits_piece(m.shape[0], pieces, 3)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        lion_part(&param[0] + pieces[k, 1], &grad[0] + pieces[k, 2], &m[0] + pieces[k, 3], pieces[k, 0],
                  <floating> lr, <floating> beta1, <floating> (1 - beta1),
                  <floating> beta2, <floating> (1 - beta2),
                  <floating> scale, <floating> l2, <floating> keep, <floating> shrink)


# ---- Averages of parameters -----------------------------------------------------------------------------

cdef void average_part(floating* mean, const floating* p, Py_ssize_t n, floating weight) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        mean[i] = mean[i] + weight * (p[i] - mean[i])


def average(
    floating[::1] mean, const floating[::1] param, const Py_ssize_t[:, ::1] pieces,
    double weight, int num_threads,
):
    """mean += weight (param - mean)"""
    fits_piece(mean.shape[0], pieces, 1)
    fits_piece(param.shape[0], pieces, 2)
    cdef Py_ssize_t k
    if pieces.shape[0] == 0:
        return
    for k in prange(pieces.shape[0], nogil=True, schedule="static", num_threads=num_threads,
                    use_threads_if=num_threads > 1):
        average_part(&mean[0] + pieces[k, 1], &param[0] + pieces[k, 2], pieces[k, 0], <floating> weight)
