"""Random words, and the floats made of them with + - * / and sqrt only: the same bits on every machine."""
from cython cimport floating
from libc.math cimport sqrt
from libc.stdint cimport int32_t, uint32_t, uint64_t

from ._build cimport FD_LEVEL
from ._philox cimport LANES, philox, philox_lanes

LEVEL = FD_LEVEL.decode()


def block(uint32_t[::1] counter, uint32_t k0, uint32_t k1):
    """One Philox4x32-10 block: `counter` is replaced by the output."""
    philox(&counter[0], &counter[1], &counter[2], &counter[3], k0, k1)


def words(uint64_t first, uint32_t k0, uint32_t k1, uint32_t[:, ::1] out):
    """Row r of `out` (n, 4) becomes block first + r of the key's sequence with step and stream 0."""
    cdef Py_ssize_t n = out.shape[0], row = 0, g
    cdef uint32_t buffer[4 * LANES]
    cdef uint64_t start = first & ~<uint64_t> (LANES - 1)
    cdef Py_ssize_t skip = <Py_ssize_t> (first - start)
    with nogil:
        while row < n:
            philox_lanes(start, 0, 0, k0, k1, buffer)
            for g in range(skip, min(<Py_ssize_t> LANES, skip + n - row)):
                out[row + g - skip, 0] = buffer[g]
                out[row + g - skip, 1] = buffer[LANES + g]
                out[row + g - skip, 2] = buffer[2 * LANES + g]
                out[row + g - skip, 3] = buffer[3 * LANES + g]
            row += LANES - skip
            skip = 0
            start += LANES


def uniform(const uint32_t[::1] words, double low, double high, floating[::1] out):
    """low + (high - low) * u, u on the grid of 2^-24 (float32, a word each) or 2^-53 (float64, two words each)."""
    cdef Py_ssize_t i
    cdef floating u, start = <floating> low, span = <floating> high - <floating> low
    with nogil:
        for i in range(out.shape[0]):
            if floating is float:
                u = <float> <int32_t> (words[i] >> 8) * <float> 5.9604644775390625e-08
            else:
                u = (<int32_t> (words[2 * i] >> 5) * 67108864.0 + <int32_t> (words[2 * i + 1] >> 6)) * 1.1102230246251565e-16
            out[i] = start + span * u


cdef inline double log_unit(double u) noexcept nogil:
    """log(u) for 2^-64 < u <= 1: scale by powers of two into [sqrt(1/2), sqrt(2)), then 2 artanh((m-1)/(m+1))."""
    cdef double exponent = 0.0, s, z, p
    if u < 2.3283064365386963e-10:  # 2^-32
        u = u * 4294967296.0
        exponent = exponent - 32.0
    if u < 1.52587890625e-05:  # 2^-16
        u = u * 65536.0
        exponent = exponent - 16.0
    if u < 0.00390625:
        u = u * 256.0
        exponent = exponent - 8.0
    if u < 0.0625:
        u = u * 16.0
        exponent = exponent - 4.0
    if u < 0.25:
        u = u * 4.0
        exponent = exponent - 2.0
    if u < 0.5:
        u = u * 2.0
        exponent = exponent - 1.0
    if u < 0.7071067811865476:
        u = u * 2.0
        exponent = exponent - 1.0
    s = (u - 1.0) / (u + 1.0)
    z = s * s  # at most 0.0295, so ten terms of the series reach double precision
    p = 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    p = p * z + 1.0
    return exponent * 0.6931471805599453 + (s + s) * p


cdef inline double sin_quarter(double x) noexcept nogil:
    """sin(x) for abs(x) <= pi/4, Taylor to x^17 (the next term is below 4e-18 of x)."""
    cdef double z = x * x, p = 1.0 / 355687428096000.0
    p = p * z - 1.0 / 1307674368000.0
    p = p * z + 1.0 / 6227020800.0
    p = p * z - 1.0 / 39916800.0
    p = p * z + 1.0 / 362880.0
    p = p * z - 1.0 / 5040.0
    p = p * z + 1.0 / 120.0
    p = p * z - 1.0 / 6.0
    p = p * z + 1.0
    return p * x


cdef inline double cos_quarter(double x) noexcept nogil:
    """cos(x) for abs(x) <= pi/4, Taylor to x^16."""
    cdef double z = x * x, p = 1.0 / 20922789888000.0
    p = p * z - 1.0 / 87178291200.0
    p = p * z + 1.0 / 479001600.0
    p = p * z - 1.0 / 3628800.0
    p = p * z + 1.0 / 40320.0
    p = p * z - 1.0 / 720.0
    p = p * z + 1.0 / 24.0
    p = p * z - 1.0 / 2.0
    return p * z + 1.0


def normal(const uint32_t[::1] words, double mean, double std, floating[::1] out):
    """mean + std * z by Box and Muller, two deviates from two uniforms, in double whatever the output is.

    u in (0, 1] gives the radius sqrt(-2 log u); the angle is a quadrant (two bits) plus an offset in (-pi/4, pi/4).
    float32: words u, angle a pair; float64: words u, u, angle, angle a pair. `out` has an even length.
    """
    cdef Py_ssize_t j
    cdef double u, x, radius, c, s, first, second
    cdef uint32_t quadrant, high
    cdef floating centre = <floating> mean, spread = <floating> std
    with nogil:
        for j in range(out.shape[0] // 2):
            if floating is float:
                u = (<double> words[2 * j] + 1.0) * 2.3283064365386963e-10
                quadrant = words[2 * j + 1] >> 30
                x = (<int32_t> (words[2 * j + 1] & 0x3FFFFFFFU) + 0.5) * 9.313225746154785e-10 - 0.5
            else:
                u = <int32_t> (words[4 * j] >> 5) * 67108864.0 + <int32_t> (words[4 * j + 1] >> 6)
                u = (u + 1.0) * 1.1102230246251565e-16
                high = words[4 * j + 2] >> 5
                quadrant = high >> 25
                x = <int32_t> (high & 0x1FFFFFFU) * 67108864.0 + <int32_t> (words[4 * j + 3] >> 6)
                x = (x + 0.5) * 4.440892098500626e-16 - 0.5
            radius = sqrt(-2.0 * log_unit(u))
            x = x * 1.5707963267948966
            c = cos_quarter(x) * radius
            s = sin_quarter(x) * radius
            first = c if quadrant % 2 == 0 else -s
            second = s if quadrant % 2 == 0 else c
            first = first if quadrant < 2 else -first
            second = second if quadrant < 2 else -second
            out[2 * j] = centre + spread * <floating> first
            out[2 * j + 1] = centre + spread * <floating> second
