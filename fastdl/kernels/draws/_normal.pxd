"""Normal deviates from words with + - * / and sqrt only, so that no platform's log or cos decides the bits.

Box and Muller: u in (0, 1] gives the radius sqrt(-2 log u); the angle is a quadrant (two bits) plus an offset
of x quarter turns, x in (-1/2, 1/2). No branch: the loops around it vectorize.
"""
from libc.math cimport sqrt
from libc.stdint cimport int32_t, uint32_t


cdef inline double log_unit(double u) noexcept nogil:
    """log(u), 2^-64 < u <= 1: powers of two bring u into [sqrt(1/2), sqrt(2)), then 2 artanh((u-1)/(u+1))."""
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


cdef inline double unit_radius(uint32_t word) noexcept nogil:
    """u = (word + 1) / 2^32."""
    return (<double> word + 1.0) * 2.3283064365386963e-10


cdef inline double unit_offset(uint32_t word) noexcept nogil:
    """x from the lower 30 bits; the upper two are the quadrant."""
    return (<int32_t> (word & <uint32_t> 0x3FFFFFFF) + 0.5) * 9.313225746154785e-10 - 0.5


cdef inline void box_muller(
    double u, uint32_t quadrant, double x, double* first, double* second
) noexcept nogil:
    cdef double radius = sqrt(-2.0 * log_unit(u)), angle = x * 1.5707963267948966
    cdef double c = cos_quarter(angle) * radius, s = sin_quarter(angle) * radius
    cdef double one = c if quadrant % 2 == 0 else -s, other = s if quadrant % 2 == 0 else c
    first[0] = one if quadrant < 2 else -one
    second[0] = other if quadrant < 2 else -other
