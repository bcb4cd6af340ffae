"""a^p for a >= 0 and any p, inline, written so that the loop around it vectorizes: no branch, table or call.

a = 2^e m with m in [sqrt(1/2), sqrt(2)), so a^p = 2^(p e + p log2 m). With p split into a head and a tail,
head * e is exact: so the error, a few p ulp, does not grow with the magnitude of a, and the p-th root of a
sum divides it by p again. Results are double: a power soon leaves float's range.

log2 m = 2 / ln 2 atanh(s) with s = (m - 1) / (m + 1), abs(s) < 0.1716; 2^r = e^(r ln 2) with abs(r) <= 1/2.
Both are their series, to 1e-9 (float) and 1e-18 (double), in Estrin's order, whose chains are short.
"""
from libc.math cimport INFINITY, NAN, fabsf


cdef extern from "_power.h" nogil:
    float fd_split_float(float x, float* mantissa)
    double fd_split_double(double x, double* mantissa)
    double fd_two_to_double(double n)
    float fd_two_to_float(float n)
    int fd_exponents(const float* x, Py_ssize_t n, int* smallest)


cdef enum:
    FOUR = 128  # floats whose powers are taken together: _blocks.pxd adds them in fours


cdef inline double log2_of(double m) noexcept nogil:
    """log2 m, m in [sqrt(1/2), sqrt(2))."""
    cdef double s = (m - 1.0) / (m + 1.0), z = s * s, z2 = z * z, q, t
    q = (0.052631578947368421 + z * 0.047619047619047616)
    q = (0.066666666666666667 + z * 0.058823529411764705) + z2 * q
    q = (0.090909090909090909 + z * 0.076923076923076923) + z2 * q
    t = (0.33333333333333333 + z * 0.2) + z2 * (0.14285714285714286 + z * 0.11111111111111111)
    q = t + (z2 * z2) * q
    return 2.8853900817779268 * (s + s * (z * q))


cdef inline double two_to(double r) noexcept nogil:
    """2^r, abs(r) <= 1/2 (a little more does no harm)."""
    cdef double z, z2, q, t
    r = r * 0.69314718055994531
    z = r * r
    z2 = z * z
    q = (2.7557319223985891e-07 + r * 2.505210838544172e-08)
    q = q + z * (2.0876756987868099e-09 + r * 1.6059043836821615e-10)
    t = (1.3888888888888889e-03 + r * 1.9841269841269841e-04)
    t = t + z * (2.4801587301587302e-05 + r * 2.7557319223985891e-06)
    q = t + z2 * q
    t = (0.5 + r * 1.6666666666666667e-01) + z * (4.1666666666666667e-02 + r * 8.3333333333333333e-03)
    q = t + z2 * q
    return 1.0 + (r + z * q)


# float32, in the type's arithmetic: a^p = 2^n 2^r, in four steps.
cdef inline float ratio_of(float a, float* e) noexcept nogil:
    """s = (m - 1) / (m + 1) of a normal a = 2^e m."""
    cdef float m
    e[0] = fd_split_float(a, &m)
    return (m - <float> 1.0) / (m + <float> 1.0)


cdef inline float float_log2_of(float s) noexcept nogil:
    """log2 m."""
    cdef float z = s * s, q, log2m = <float> 2.8853901 * s
    q = (<float> 0.33333333 + z * <float> 0.2) + (z * z) * (<float> 0.14285714 + z * <float> 0.11111111)
    return log2m + log2m * (z * q)


cdef inline float exponent_of(float e, float log2m, double p, float* whole) noexcept nogil:
    """p log2 a, abs(p) <= 64: the whole part n, and what remains of it, r."""
    cdef float whole_p = <float> p, head = whole_p * <float> 4097.0, w, rest, n
    head = head - (head - whole_p)  # Veltkamp: 12 bits, so that head * e is exact
    w = head * e
    rest = <float> (p - head) * e + whole_p * log2m
    n = ((w + rest) + <float> 12582912.0) - <float> 12582912.0
    whole[0] = n
    return (w - n) + rest


cdef inline float float_two_to(float r) noexcept nogil:
    """2^r, abs(r) <= 1/2."""
    cdef float q, z
    r = r * <float> 0.69314718
    z = r * r
    q = (<float> 0.5 + r * <float> 0.16666667) + z * (<float> 4.1666668e-2 + r * <float> 8.333334e-3)
    q = q + (z * z) * ((<float> 1.3888889e-3 + r * <float> 1.9841270e-4) + z * <float> 2.4801588e-5)
    return <float> 1.0 + (r + z * q)


cdef inline bint is_mild(const float* x, Py_ssize_t n, double p) noexcept nogil:
    """Whether `mild_powers` may take these n numbers, which are at most 2^13.

    With 2^e the power of two of the largest, of the smallest for p < 0, it asks that no term exceeds 2^126, and that
    the largest term is at least 2^-60, so that what is below 2^-126 does not matter. A zero or a subnormal is taken for
    about 2^-127: for p > 0 that term must be at most 2^-43 of the largest, and for p < 0 there must be none. Nor may
    there be an infinity or a NaN, of which e is 128."""
    cdef int low, high = fd_exponents(x, n, &low)
    if high == 128 or p == 0.0:
        return False
    if p > 0.0:
        return p * (high + 1) <= 126.0 and p * high >= -60.0 and p * (high + 126) >= 43.0
    return low > -127 and p * low <= 126.0 and p * (low + 1) >= -60.0


cdef inline void mild_powers(const float* x, double p, float* raised) noexcept nogil:
    """|x|^p of FOUR numbers, without `quick_float`'s questions: 0 below 2^-127 and infinite from 2^128 on.

    For blocks that are mild, or for p >= 1 where the sum shows that neither mattered (a zero is taken for 2^-127, an
    infinity and a NaN for 2^128 or above). One step for all numbers, then the next: a power is a long chain, each link
    of which waits for the one before, and a core holds too few instructions at a time to work on several chains."""
    cdef float e[FOUR]
    cdef float s[FOUR]
    cdef Py_ssize_t j
    for j in range(FOUR):
        s[j] = ratio_of(fabsf(x[j]), &e[j])
    for j in range(FOUR):
        s[j] = exponent_of(e[j], float_log2_of(s[j]), p, &e[j])
    for j in range(FOUR):
        raised[j] = float_two_to(s[j]) * fd_two_to_float(e[j])


cdef inline double quick_float(float a, double p) noexcept nogil:
    """a^p in float arithmetic, abs(p) <= 64, a normal or 0, with terms below 2^-1022 raised to about that.

    NaN for any other a and for results above 2^1000: then ask `power`."""
    cdef float at_zero = <float> 0.0 if p > 0.0 else <float> INFINITY
    cdef float e, n, s = ratio_of(a, &e), q
    q = float_two_to(exponent_of(e, float_log2_of(s), p, &n))
    n = n if n > <float> -1022.0 else <float> -1022.0
    n = n if n < <float> 1001.0 else <float> 1001.0
    q = q if n <= <float> 1000.0 else <float> NAN
    q = q if a >= <float> 1.17549435e-38 else <float> NAN
    q = q if a <= <float> 3.40282347e38 else <float> NAN
    q = at_zero if a == 0 else q
    return <double> q * fd_two_to_double(<double> n)


cdef inline double quick_double(double a, double p) noexcept nogil:
    """`quick_float` in double arithmetic: `power` less what only subnormals and extreme results need."""
    cdef double at_zero = 0.0 if p > 0.0 else INFINITY
    cdef double head = <double> (<float> p), tail = p - head  # head has 24 bits: head * e is exact
    cdef double e, m, log2m, w, rest, n, q
    e = fd_split_double(a, &m)
    log2m = log2_of(m)
    w = head * e
    rest = tail * e + p * log2m
    n = ((w + rest) + 6755399441055744.0) - 6755399441055744.0
    q = two_to((w - n) + rest)
    n = n if n > -1022.0 else -1022.0
    n = n if n < 1001.0 else 1001.0
    q = q if n <= 1000.0 else NAN
    q = q if a >= 2.2250738585072014e-308 else NAN
    q = q if a <= 1.7976931348623157e308 else NAN
    q = at_zero if a == 0.0 else q
    return q * fd_two_to_double(n)


cdef inline double power(double a, double p) noexcept nogil:
    """a^p for any a >= 0 and abs(p) up to 1e17; NaN for NaN."""
    cdef double at_zero = 0.0 if p > 0.0 else INFINITY, at_infinity = INFINITY if p > 0.0 else 0.0
    cdef double head = <double> (<float> p), tail = p - head  # head has 24 bits: head * e is exact
    cdef double normal, e, m, q, log2m, w, rest, n, r, half
    # Subnormals have no exponent of their own: they are lifted first.
    normal = a * 18014398509481984.0 if a < 2.2250738585072014e-308 else a
    e = fd_split_double(normal, &m)
    e = e - 54.0 if a < 2.2250738585072014e-308 else e
    log2m = log2_of(m)
    # n is the whole part of the exponent, r what remains of it. Beyond +-2040 the result is 0 or infinite.
    w = head * e
    rest = tail * e + p * log2m
    n = w + rest
    n = -2040.0 if n < -2040.0 else n
    n = 2040.0 if n > 2040.0 else n
    n = (n + 6755399441055744.0) - 6755399441055744.0
    r = (w - n) + rest
    r = -1.0 if r < -1.0 else r
    r = 1.0 if r > 1.0 else r
    q = two_to(r)
    # 2^n in two factors that a double can hold, since n may lie outside its range.
    half = (n * 0.5 + 6755399441055744.0) - 6755399441055744.0
    q = q * fd_two_to_double(half)
    q = q * fd_two_to_double(n - half)
    q = at_zero if a == 0.0 else q
    q = at_infinity if a == INFINITY else q
    return a if a != a else q
