"""Philox4x32-10 and the transforms from words to floats (docs/random.md)."""

import numpy as np

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF


def philox(counter, key):
    """Ten rounds over (..., 4) counters, all with one key of two words."""
    c = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        p0, p1 = M0 * c[0], M1 * c[2]
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c = (
            high1 ^ c[1] ^ np.uint64(k0),
            p1 & np.uint64(WORD),
            high0 ^ c[3] ^ np.uint64(k1),
            p0 & np.uint64(WORD),
        )
        k0, k1 = (k0 + W0) & WORD, (k1 + W1) & WORD
    return np.stack(c, axis=-1).astype(np.uint32)


def random_words(seed, block, count):
    """The first `count` words of the blocks block, block + 1, ... of a generator's sequence."""
    blocks = np.uint64(block) + np.arange(-(-count // 4), dtype=np.uint64)
    counter = np.zeros((blocks.size, 4), np.uint64)
    counter[:, 0] = blocks & np.uint64(WORD)
    counter[:, 1] = (blocks >> np.uint64(32)) | np.uint64(0x40000000)
    return philox(counter, (seed & WORD, seed >> 32)).reshape(-1)[:count]


def _unit53(high, low):
    return (high >> np.uint32(5)) * 2.0**26 + (low >> np.uint32(6))


def words_to_uniform(words, low, high, dtype):
    """low + (high - low) u, u on the grid of 2^-24 (float32, one word) or 2^-53 (float64, two)."""
    dtype = np.dtype(dtype).type
    if dtype == np.float32:
        u = (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    else:
        u = _unit53(words[::2], words[1::2]) * 2.0**-53
    return dtype(low) + (dtype(high) - dtype(low)) * u


def _log(u):
    """log(u), 0 < u <= 1: powers of two taken out by comparison, then 2 artanh((m - 1) / (m + 1))."""
    exponent = np.zeros_like(u)
    for k, bound in (
        (32, 2.0**-32),
        (16, 2.0**-16),
        (8, 2.0**-8),
        (4, 2.0**-4),
        (2, 0.25),
        (1, 0.5),
        (1, 0.5**0.5),
    ):
        small = u < bound
        u = np.where(small, u * 2.0**k, u)
        exponent = np.where(small, exponent - k, exponent)
    s = (u - 1.0) / (u + 1.0)
    return exponent * 0.6931471805599453 + (s + s) * _horner(s * s, [1 / k for k in range(19, 0, -2)])


def _horner(z, coefficients):
    p = coefficients[0]
    for coefficient in coefficients[1:]:
        p = p * z + coefficient
    return p


def normal_pair(u, quadrant, offset):
    """Box and Muller: radius sqrt(-2 log u), angle a quadrant and an offset in (-1/2, 1/2) quarter turns."""
    radius = np.sqrt(-2.0 * _log(u))
    x = offset * 1.5707963267948966
    factorial = np.cumprod(np.arange(1.0, 18.0))
    sine = _horner(x * x, [(-1) ** (k // 2) / factorial[k - 1] for k in range(17, 0, -2)]) * x * radius
    cosine = _horner(x * x, [(-1) ** (k // 2) / factorial[k - 1] for k in range(16, 0, -2)] + [1.0]) * radius
    odd, sign = quadrant % 2 == 1, np.where(quadrant < 2, 1.0, -1.0)
    return np.where(odd, -sine, cosine) * sign, np.where(odd, cosine, sine) * sign


def normals_of_words(radius, angle):
    """A pair of normals from two words."""
    offset = ((angle & np.uint32(0x3FFFFFFF)) + 0.5) * 2.0**-30 - 0.5
    return normal_pair((radius + 1.0) * 2.0**-32, angle >> np.uint32(30), offset)


def words_to_normal(words, mean, std, dtype):
    """mean + std z, two words (float32) or four (float64) to a pair of z."""
    dtype = np.dtype(dtype).type
    if dtype == np.float32:
        pair = normals_of_words(words[::2], words[1::2])
    else:
        u = (_unit53(words[::4], words[1::4]) + 1.0) * 2.0**-53
        offset = (_unit53(words[2::4] & np.uint32(0x3FFFFFFF), words[3::4]) + 0.5) * 2.0**-51 - 0.5
        pair = normal_pair(u, words[2::4] >> np.uint32(30), offset)
    return dtype(mean) + dtype(std) * np.stack(pair, axis=-1).reshape(-1).astype(dtype)
