"""Scalar formulas, inline, written so that the loop around them vectorizes: no branch, no table, no call.

exp by x = n ln2 + r, abs(r) <= ln2 / 2, e^x = 2^n (1 + p(r)), with
p(r) = e^r - 1 = r + r^2 (1/2 + r q(r)); q interpolates at Chebyshev nodes (relative error of p below 2e-9 for
float, 2e-18 for double). NaN in gives NaN out.

log(1 + u) on [0, 2], what a log-sum-exp of three needs: 2 atanh z with z = u / (2 + u), whose series in z^2 is
interpolated likewise (error below 2e-18, apart from rounding).

Error, tested over every float32: exp below 2 ulp, sigmoid below 3 ulp where the result is normal, tanh below
3 ulp everywhere. Below the smallest normal number exp and sigmoid are off by less than that number.
"""
cimport cython
from libc.math cimport copysign, copysignf, fabs, fabsf


cdef extern from "_math.h" nogil:
    float fd_pow2_float(float z)
    double fd_pow2_double(double z)


cdef inline cython.floating _clamp(const cython.floating x, const cython.floating limit) noexcept nogil:
    # Written so that NaN passes, and as the two instructions min and max.
    cdef cython.floating low = -limit if x < -limit else x
    return limit if low > limit else low


cdef inline cython.floating _exp_parts(const cython.floating x, cython.floating* power) noexcept nogil:
    """p(r) of x, and 2^n in `power`. x must be within what 2^n can represent."""
    cdef cython.floating z, n, r, q
    if cython.floating is float:
        z = x * <float>1.4426950408889634 + <float>12582912.0
        n = z - <float>12582912.0
        r = (x - n * <float>0.693145751953125) - n * <float>1.42860682031e-6
        q = <float>1.9882697e-4 * r + <float>1.3926184e-3
        q = q * r + <float>8.3333209e-3
        q = q * r + <float>4.1666555e-2
        q = q * r + <float>1.6666667e-1
        power[0] = fd_pow2_float(z)
        return (r * r) * (q * r + <float>0.5) + r
    else:
        z = x * 1.4426950408889634 + 6755399441055744.0
        n = z - 6755399441055744.0
        r = (x - n * 0.6931471805592082) - n * 7.3710025651677989018e-13
        q = 2.0911236630261544486e-9 * r + 2.5100385495510319078e-8
        q = q * r + 2.7557282969549952704e-7
        q = q * r + 2.7557268459997064772e-6
        q = q * r + 2.4801587317144498984e-5
        q = q * r + 1.9841269863053616878e-4
        q = q * r + 1.3888888888886552517e-3
        q = q * r + 8.3333333333300618325e-3
        q = q * r + 4.1666666666666667228e-2
        q = q * r + 1.6666666666666667453e-1
        power[0] = fd_pow2_double(z)
        return (r * r) * (q * r + 0.5) + r


cdef inline cython.floating exp_(const cython.floating x) noexcept nogil:
    """e^x for x <= 0 (softmax subtracts the maximum first); 0 below the smallest normal number."""
    cdef cython.floating power, p, low, one = 1
    if cython.floating is float:
        low = <float>-87.33654
        p = _exp_parts(_clamp(x, <float>87.6), &power)
    else:
        low = -708.3964185322641
        p = _exp_parts(_clamp(x, 708.5), &power)
    return 0 if x < low else (p + one) * power


cdef inline cython.floating sigmoid_(const cython.floating x) noexcept nogil:
    """1 / (1 + e^-x)."""
    cdef cython.floating power, p, one = 1
    if cython.floating is float:
        p = _exp_parts(-_clamp(x, <float>87.6), &power)
    else:
        p = _exp_parts(-_clamp(x, 708.5), &power)
    return one / (one + (p + one) * power)


cdef inline cython.floating tanh_(const cython.floating x) noexcept nogil:
    """tanh x = e / (e + 2) with e = e^(2 abs(x)) - 1 = 2^n p + (2^n - 1): no cancellation near zero."""
    cdef cython.floating power, p, e, y, one = 1, two = 2
    if cython.floating is float:
        y = fabsf(x)
        y = <float>10.0 if y > <float>10.0 else y
    else:
        y = fabs(x)
        y = 20.0 if y > 20.0 else y
    p = _exp_parts(two * y, &power)
    e = power * p + (power - one)
    y = e / (e + two)
    if cython.floating is float:
        return copysignf(y, x)
    else:
        return copysign(y, x)


cdef inline double log1p_(const double u) noexcept nogil:
    """log(1 + u) for u in [0, 2]; exactly 0 at 0."""
    cdef double z = u / (2 + u)
    cdef double w = z * z
    cdef double q = 0.21098097885975796879 * w - 0.14450491183414467765
    q = q * w + 0.13557903913692298391
    q = q * w + 0.012292448728540531716
    q = q * w + 0.054419154182345871822
    q = q * w + 0.051607698811471620283
    q = q * w + 0.058930996925900415975
    q = q * w + 0.066658863527018841325
    q = q * w + 0.076923459402706383328
    q = q * w + 0.090909078815091881442
    q = q * w + 0.111111111339389688
    q = q * w + 0.14285714285490105024
    q = q * w + 0.20000000000000864857
    q = q * w + 0.33333333333333332781
    return 2 * (q * w * z + z)
