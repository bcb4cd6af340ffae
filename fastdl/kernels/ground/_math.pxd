"""Scalar formulas, inline, written so that the loop around them vectorizes: no branch, no table, no call.

exp, sigmoid and tanh are those of _math.h, whose words hold here. log(1 + u) on [0, 2], what a log-sum-exp of three
needs: 2 atanh z with z = u / (2 + u), whose series in z^2 is interpolated likewise (error below 2e-18, apart from
rounding).
"""
cimport cython


cdef extern from "_math.h" nogil:
    float fd_clamp_float(float x, float limit)
    double fd_clamp_double(double x, double limit)
    float fd_exp_parts_float(float x, float* power)
    double fd_exp_parts_double(double x, double* power)
    float fd_sigmoid_float(float x)
    double fd_sigmoid_double(double x)
    float fd_tanh_float(float x)
    double fd_tanh_double(double x)


cdef inline cython.floating exp_(const cython.floating x) noexcept nogil:
    """e^x for x <= 0 (softmax subtracts the maximum first); 0 below the smallest normal number."""
    cdef cython.floating power, p, low, one = 1
    if cython.floating is float:
        low = <float>-87.33654
        p = fd_exp_parts_float(fd_clamp_float(x, <float>87.6), &power)
    else:
        low = -708.3964185322641
        p = fd_exp_parts_double(fd_clamp_double(x, 708.5), &power)
    return 0 if x < low else (p + one) * power


cdef inline cython.floating sigmoid_(const cython.floating x) noexcept nogil:
    """1 / (1 + e^-x)."""
    if cython.floating is float:
        return fd_sigmoid_float(x)
    else:
        return fd_sigmoid_double(x)


cdef inline cython.floating tanh_(const cython.floating x) noexcept nogil:
    if cython.floating is float:
        return fd_tanh_float(x)
    else:
        return fd_tanh_double(x)


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
