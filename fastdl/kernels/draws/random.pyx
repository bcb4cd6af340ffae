"""Random words, and the floats made of them with + - * / and sqrt only: the same bits on every machine."""
from cython cimport floating
from libc.stdint cimport int32_t, uint32_t, uint64_t

from ..ground._arrays cimport fits
from ..ground._build cimport FD_LEVEL
from ._normal cimport box_muller, unit_offset, unit_radius
from ._philox cimport Keys, LANES, philox, philox_lanes, schedule

LEVEL = FD_LEVEL.decode()


def block(uint32_t[::1] counter, uint64_t seed):
    """One Philox4x32-10 block: `counter` is replaced by the output."""
    cdef Keys keys
    fits(counter.shape[0], 4)
    schedule(seed, &keys)
    philox(&counter[0], &keys)


def words(uint64_t first, uint64_t seed, uint32_t[:, ::1] out):
    """Row r of `out` (n, 4) becomes block first + r of the seed's sequence with step and stream 0."""
    cdef Py_ssize_t n = out.shape[0], row = 0, g
    cdef uint32_t[256] buffer  # 4 * LANES
    cdef uint64_t start = first & ~<uint64_t> (LANES - 1)
    cdef Py_ssize_t skip = <Py_ssize_t> (first - start)
    cdef Keys keys
    fits(out.shape[1], 4)
    schedule(seed, &keys)
    with nogil:
        while row < n:
            philox_lanes(start, 0, 0, &keys, buffer)
            for g in range(skip, min(<Py_ssize_t> LANES, skip + n - row)):
                out[row + g - skip, 0] = buffer[g]
                out[row + g - skip, 1] = buffer[LANES + g]
                out[row + g - skip, 2] = buffer[2 * LANES + g]
                out[row + g - skip, 3] = buffer[3 * LANES + g]
            row += LANES - skip
            skip = 0
            start += LANES


def uniform(const uint32_t[::1] words, double low, double high, floating[::1] out):
    """low + (high - low) * u, u on the grid of 2^-24 (float32, a word each) or 2^-53 (float64, two)."""
    cdef Py_ssize_t i
    cdef floating u, start = <floating> low, span = <floating> high - <floating> low
    fits(words.shape[0], out.shape[0] if floating is float else 2 * out.shape[0])
    with nogil:
        for i in range(out.shape[0]):
            if floating is float:
                u = <float> <int32_t> (words[i] >> 8) * <float> 5.9604644775390625e-08
            else:
                u = <int32_t> (words[2 * i] >> 5) * 67108864.0 + <int32_t> (words[2 * i + 1] >> 6)
                u = u * 1.1102230246251565e-16
            out[i] = start + span * u


def normal(const uint32_t[::1] words, double mean, double std, floating[::1] out):
    """mean + std * z by Box and Muller, two deviates from two uniforms, in double whatever the output is.

    float32: words u, angle a pair; float64: words u, u, angle, angle a pair. `out` has an even length.
    """
    cdef Py_ssize_t j
    cdef double u, x, first, second
    cdef uint32_t quadrant, high
    cdef floating centre = <floating> mean, spread = <floating> std
    fits(words.shape[0], out.shape[0] // 2 * (2 if floating is float else 4))
    with nogil:
        for j in range(out.shape[0] // 2):
            if floating is float:
                u = unit_radius(words[2 * j])
                quadrant = words[2 * j + 1] >> 30
                x = unit_offset(words[2 * j + 1])
            else:
                u = <int32_t> (words[4 * j] >> 5) * 67108864.0 + <int32_t> (words[4 * j + 1] >> 6)
                u = (u + 1.0) * 1.1102230246251565e-16
                high = words[4 * j + 2] >> 5
                quadrant = high >> 25
                x = <int32_t> (high & 0x1FFFFFFU) * 67108864.0 + <int32_t> (words[4 * j + 3] >> 6)
                x = (x + 0.5) * 4.440892098500626e-16 - 0.5
            box_muller(u, quadrant, x, &first, &second)
            out[2 * j] = centre + spread * <floating> first
            out[2 * j + 1] = centre + spread * <floating> second
