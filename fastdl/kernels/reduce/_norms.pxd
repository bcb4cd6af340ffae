"""The points of the norms: what one element gives to a reduction, and what a map makes of it.

The kind is a constant wherever these are called, so the choice folds away; each line is a selection rather
than a branch, so the loop around it vectorizes.
"""
from cython cimport floating
from libc.math cimport fabs, fabsf, sqrt

from ..ground._registers cimport madd
from ._power cimport power, quick_double, quick_float


cdef enum:  # what is reduced
    COUNT = 0     # entries that are not 0
    ABS = 1       # |x|
    SQUARE = 2    # x^2
    CUBE = 3      # |x|^3
    FOURTH = 4    # x^4
    FIFTH = 5     # |x|^5
    SIXTH = 6     # x^6
    SEVENTH = 7   # |x|^7
    EIGHTH = 8    # x^8
    WHOLE = 9     # |x|^p, p a whole number above 8
    POWER = 10    # |x|^p
    QUICK = 11    # |x|^p, |p| <= 64, in the type's arithmetic; NaN asks for POWER
    ROOT = 12     # |x|^(1/2)
    INVERSE = 13  # |x|^-1
    LARGEST = 14  # max |x|, NaN if there is one
    SMALLEST = 15  # min |x|, NaN if there is one

cdef enum:  # what a map writes; s is the row's level
    TIMES = 0     # x s
    DIVIDE = 1    # x / s, 0 where s is 0
    SIGN = 2      # sign(x) s
    SOFT = 3      # sign(x) max(|x| - s, 0)
    HARD = 4      # x where |x| > s, else 0
    CLIP = 5      # x limited to [-s, s]
    SIGN_AT = 6   # sign(x) where |x| = s, else 0
    SLOPE = 7     # sign(x) (|x| / s)^p, 0 where x is 0
    POSITIVE = 8  # max(x, 0)


cdef inline floating modulus(floating x) noexcept nogil:
    return fabsf(x) if floating is float else fabs(x)


cdef inline double term(floating value, int kind, double p) noexcept nogil:
    cdef double a = modulus(value)  # in the type, where it takes half as many vectors as in double
    if kind == COUNT:
        return 1.0 if value != 0 else 0.0
    if kind == ABS:
        return a
    if kind == SQUARE:
        return a * a
    if kind == CUBE:
        return a * a * a
    if kind == FOURTH:
        return (a * a) * (a * a)
    if kind == FIFTH:
        return (a * a) * (a * a) * a
    if kind == SIXTH:
        return (a * a) * (a * a) * (a * a)
    if kind == SEVENTH:
        return (a * a) * (a * a) * (a * a * a)
    if kind == EIGHTH:
        return ((a * a) * (a * a)) * ((a * a) * (a * a))
    if kind == ROOT:
        return sqrt(a)
    if kind == INVERSE:
        return 1.0 / a
    if kind == QUICK:
        return quick_float(modulus(value), p) if floating is float else quick_double(a, p)
    return power(a, p)


cdef inline float float_power(float a, int p) noexcept nogil:
    """|a|^p for whole p from 1 to 127 in float: p - 1 roundings at most, which the root divides by p. With p a constant
    its bits fold away, else they are masks."""
    cdef float b = fabsf(a), b2 = b * b, b4 = b2 * b2, b8 = b4 * b4, b16 = b8 * b8, b32 = b16 * b16, b64 = b32 * b32
    cdef float raised = b if p & 1 else <float> 1.0
    raised = raised * b2 if p & 2 else raised
    raised = raised * b4 if p & 4 else raised
    raised = raised * b8 if p & 8 else raised
    raised = raised * b16 if p & 16 else raised
    raised = raised * b32 if p & 32 else raised
    return raised * b64 if p & 64 else raised


cdef inline double plus_term(double total, floating value, int kind, double p) noexcept nogil:
    """total + term: a float's square is exact in double, so fused or not, its sum has the same bits."""
    if floating is float and kind == SQUARE:
        return madd(<double> value, <double> value, total)
    return total + term(value, kind, p)


cdef inline floating mapped(floating x, int kind, double s, double p) noexcept nogil:
    cdef double a = fabs(x), y
    if kind == TIMES:
        return <floating> (x * s)
    if kind == DIVIDE:
        return <floating> (x / s) if s != 0.0 else <floating> 0.0
    if kind == CLIP:
        y = s if x > s else x
        return <floating> (-s if y < -s else y)
    if kind == HARD:
        return <floating> 0.0 if a <= s else x
    if kind == POSITIVE:
        return <floating> 0.0 if x < 0 else x
    if kind == SIGN:
        y = s
    elif kind == SOFT:
        y = a - s
        y = 0.0 if y < 0.0 else y
    elif kind == SIGN_AT:
        y = 1.0 if a == s else 0.0
    else:
        y = power(a / s, p)
    y = -y if x < 0 else y
    y = 0.0 if x == 0 else y
    return x if x != x else <floating> y


cdef inline floating further(floating best, floating x, int kind) noexcept nogil:
    # Two plain selections, which vectorize: a NaN enters by the second and never leaves by the first.
    cdef floating a = modulus(x)
    if kind == LARGEST:
        best = a if a > best else best
    else:
        best = a if a < best else best
    return a if a != a else best
