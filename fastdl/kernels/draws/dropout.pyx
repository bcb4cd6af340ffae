"""Dropout (docs/dropout.md 4.1 to 4.4): masks drawn where they are used, one byte an element.

Mask elements go by groups of 1024. A group's 64 Philox blocks give words w[j], j = 64 * word + block, and
element e of the group is dropped by byte e // 256 of w[e % 256] (byte 0 the lowest): so the words of many
blocks lie side by side as the compiler's vectors want them, and nothing is shuffled.

An element whose byte is above the top byte of the threshold (p * 2^32) is kept, below it is dropped. One in
256 ties; element i then draws word i % 4 of block i // 4 of a sequence of its own, whose top 24 bits meet
the threshold's lower 24: P(drop) is exact to 2^-32.
"""
cimport numpy as cnp
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ..ground._arrays cimport fits, float_kind, reads, writes
from ..ground._build cimport FD_LEVEL
from ..ground._stream cimport fd_lowest_bit, fd_prefetch_apart, fd_stream, fd_stream_end
from ._normal cimport box_muller, unit_offset, unit_radius
from ._philox cimport FOR_NOISE, FOR_TIES, Keys, LANES, philox_lanes, philox_scattered, schedule

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    WORDS = 256
    GROUP = 1024
    TIE_MAP = 32
    AHEAD = 8  # groups that are read ahead together: 32 KB of float32

cdef struct Draw:
    # What a mask is a function of: seed, step, stream and p * 2^32.
    Keys keys
    uint32_t step
    uint32_t stream
    uint32_t threshold
    bint everything  # p * 2^32 = 2^32, for which a 32-bit threshold has no room

cdef struct Affine:  # what is kept becomes scale x + shift, what is dropped fill
    double scale, shift, fill


cdef inline void find_ties(const uint32_t* words, uint32_t top, uint32_t* found) noexcept nogil:
    """Bit 8 k + 7 - t of found[j % 32], t = j // 32, is set where byte k of words[j] equals `top`."""
    cdef uint32_t repeated = top * <uint32_t> 0x01010101, v
    cdef int t, g
    for g in range(TIE_MAP):
        found[g] = 0
    for t in range(8):
        for g in range(TIE_MAP):
            v = words[t * TIE_MAP + g] ^ repeated
            # The high bit of each byte that is zero, exactly: no carry leaves a byte.
            v = ~(((v & <uint32_t> 0x7F7F7F7F) + <uint32_t> 0x7F7F7F7F) | v | <uint32_t> 0x7F7F7F7F)
            found[g] = found[g] | (v >> t)


cdef inline int list_ties(const uint32_t* words, uint32_t top, int* places) noexcept nogil:
    """Places of the elements whose byte equals `top`, and how many. Branches on data cost more than the work
    here, so the words with ties are listed first, without one."""
    cdef uint32_t[TIE_MAP] found, tied
    cdef int[TIE_MAP] where
    cdef uint32_t bits
    cdef int g, bit, count = 0, ties = 0
    find_ties(words, top, found)
    for g in range(TIE_MAP):
        tied[count] = found[g]
        where[count] = g
        count = count + (found[g] != 0)
    for g in range(count):
        bits = tied[g]
        while bits:
            bit = fd_lowest_bit(bits)
            bits = bits & (bits - 1)
            places[ties] = (bit >> 3) * WORDS + (7 - (bit & 7)) * TIE_MAP + where[g]
            ties = ties + 1
    return ties


cdef inline int dropped_ties(
    uint64_t group, const uint32_t* words, const Draw* draw, int* places
) noexcept nogil:
    """Elements of the group that tie and lose: their places within the group, and how many."""
    cdef uint32_t[LANES] low
    cdef uint32_t[4 * LANES] drawn
    cdef uint32_t rest = draw.threshold & <uint32_t> 0xFFFFFF
    cdef uint64_t first = group * WORDS
    cdef int ties, start = 0, some, t, place, count = 0
    if rest == 0:
        return 0  # every tie is kept
    ties = list_ties(words, draw.threshold >> 24, places)
    while start < ties:
        some = min(ties - start, <int> LANES)
        for t in range(some):
            low[t] = <uint32_t> first + <uint32_t> (places[start + t] >> 2)
        philox_scattered(
            some, low, <uint32_t> (first >> 32) | <uint32_t> FOR_TIES, draw.step, draw.stream, &draw.keys,
            drawn,
        )
        for t in range(some):
            place = places[start + t]
            places[count] = place  # stays in the list only if it loses
            count = count + (drawn[(place & 3) * LANES + t] >> 8 < rest)
        start = start + some
    return count


cdef inline void drop_quarter(
    const uint32_t* words, int quarter, const floating* x, floating* y, floating scale, const Draw* draw
) noexcept nogil:
    """The 256 elements that go by one byte of each word, shifted to the top: the bytes below it then cannot
    reverse the inequality."""
    cdef floating kept, zero = 0
    cdef uint32_t top = draw.threshold & <uint32_t> 0xFF000000
    cdef int j, shift = 24 - 8 * quarter
    if draw.threshold == 0:
        for j in range(WORDS):
            y[j] = x[j] * scale
        return
    for j in range(WORDS):
        kept = x[j] * scale
        y[j] = kept if (words[j] << shift) >= top else zero


cdef inline void drop_group(
    uint64_t group, const floating* x, floating* y, floating scale, const Draw* draw,
    const floating* ahead, int share, bint past_caches,
) noexcept nogil:
    """One whole group: y = where(r, x * scale, 0).

    A quarter at a time goes through a buffer: so y may be x, the compiler need not ask, and what is read ahead
    (share `share` of the AHEAD groups that begin at `ahead`, if that is not NULL) and written past the caches
    is spread over the work. In one go they fill the core's few line buffers, and it waits.
    """
    cdef uint32_t[WORDS] words
    cdef int[GROUP] places
    cdef floating[WORDS + 1] result  # the last one takes what is not of this quarter
    cdef int j, place, quarter, count = 0
    cdef Py_ssize_t lines = WORDS * sizeof(floating) // 64
    if draw.everything:
        for j in range(WORDS):
            result[j] = 0
    elif draw.threshold:
        philox_lanes(group * LANES, draw.step, draw.stream, &draw.keys, words)
        count = dropped_ties(group, words, draw, places)
    for quarter in range(4):
        if ahead:
            for j in range(lines // 8):
                fd_prefetch_apart(ahead, (4 * share + quarter) * lines // 8 + j, AHEAD * lines * 32)
        if not draw.everything:
            drop_quarter(words, quarter, x + quarter * WORDS, result, scale, draw)
        if past_caches:
            for j in range(count):
                place = places[j] - quarter * WORDS
                result[place if 0 <= place < WORDS else WORDS] = 0
            fd_stream(y + quarter * WORDS, result, WORDS * sizeof(floating))
        else:
            memcpy(y + quarter * WORDS, result, WORDS * sizeof(floating))
    if not past_caches:
        for j in range(count):  # not in the buffer: the copy would wait for single elements just written
            y[places[j]] = 0


cdef inline void drop_range(
    const floating* x, floating* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last,
    floating scale, const Draw* draw, bint past_caches,
) noexcept nogil:
    """Groups first .. last - 1 of n elements, the last group perhaps short."""
    cdef floating[GROUP] short_group
    cdef const floating* ahead
    cdef Py_ssize_t group, start, share
    cdef bint read_ahead = past_caches and not draw.everything
    for group in range(first, last):
        start = group * GROUP
        share = (group - first) % AHEAD
        if n - start < GROUP:
            memcpy(short_group, x + start, (n - start) * sizeof(floating))
            drop_group(group, short_group, short_group, scale, draw, NULL, 0, False)
            memcpy(y + start, short_group, (n - start) * sizeof(floating))
        else:
            ahead = x + start + (AHEAD - share) * GROUP if read_ahead and group + 2 * AHEAD <= last else NULL
            drop_group(group, x + start, y + start, scale, draw, ahead, <int> share, past_caches)
    if past_caches:
        fd_stream_end()


cdef inline void keep_quarter(const uint32_t* words, int shift, uint32_t top, uint8_t* keep) noexcept nogil:
    cdef int j
    for j in range(WORDS):
        keep[j] = (words[j] << shift) >= top


cdef inline void keep_group(uint64_t group, uint8_t* keep, const Draw* draw) noexcept nogil:
    """One whole group of r: 1 kept, 0 dropped."""
    cdef uint32_t[WORDS] words
    cdef int[GROUP] places
    cdef int j, count
    cdef uint32_t top = draw.threshold & <uint32_t> 0xFF000000
    philox_lanes(group * LANES, draw.step, draw.stream, &draw.keys, words)
    keep_quarter(words, 24, top, keep)
    keep_quarter(words, 16, top, keep + WORDS)
    keep_quarter(words, 8, top, keep + 2 * WORDS)
    keep_quarter(words, 0, top, keep + 3 * WORDS)
    count = dropped_ties(group, words, draw, places)
    for j in range(count):
        keep[places[j]] = 0


cdef inline int take_draw(Draw* draw, tuple where) except -1:
    """where: (seed, stream, step, p * 2^32), p * 2^32 from 0 to 2^32."""
    cdef uint64_t seed, threshold
    seed, draw.stream, draw.step, threshold = where
    schedule(seed, &draw.keys)
    draw.everything = threshold >> 32 != 0
    draw.threshold = <uint32_t> threshold
    return 0


cdef void drop_all(
    const floating* x, floating* y, Py_ssize_t n, double scale, const Draw* draw, bint past_caches, int num_threads,
) noexcept nogil:
    cdef Py_ssize_t groups = (n + GROUP - 1) // GROUP, part
    if num_threads == 1:  # entering a team of one takes as long as a group
        drop_range(x, y, n, 0, groups, <floating> scale, draw, past_caches)
        return
    for part in prange(num_threads, num_threads=num_threads, schedule="static"):
        drop_range(
            x, y, n, groups * part // num_threads, groups * (part + 1) // num_threads, <floating> scale, draw,
            past_caches,
        )


def dropout(
    cnp.ndarray x not None, y, double scale, tuple where, bint past_caches, int num_threads,
):
    """y = where(r, x * scale, 0). y may be x (then not past the caches). where: as `take_draw` says.

    x and y are of one shape. They are taken as pointers: views of them would take as long as a small layer's mask.
    """
    cdef Draw draw
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef int kind = float_kind(x)
    cdef const void* source = reads(x, kind, n)
    cdef void* result = writes(y, kind, n)
    if n == 0:
        return
    take_draw(&draw, where)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            drop_all(<const float*> source, <float*> result, n, scale, &draw, past_caches, num_threads)
        else:
            drop_all(<const double*> source, <double*> result, n, scale, &draw, past_caches, num_threads)


cdef inline void mask_range(
    uint8_t* keep, uint64_t start, uint64_t stop, uint64_t first, uint64_t last, const Draw* draw
) noexcept nogil:
    """Elements start .. stop - 1 of the mask that lie in the groups first .. last - 1; keep[0] is `start`."""
    cdef uint8_t[GROUP] whole
    cdef uint64_t group, low, high
    for group in range(first, last):
        keep_group(group, whole, draw)
        low = max(start, group * GROUP)
        high = min(stop, (group + 1) * GROUP)
        memcpy(keep + (low - start), whole + (low - group * GROUP), high - low)


def mask(uint8_t[::1] keep, uint64_t start, tuple where, int num_threads):
    """keep = elements start, start + 1, ... of the mask r, as bytes 0 and 1."""
    cdef Draw draw
    cdef uint64_t stop = start + <uint64_t> keep.shape[0]
    cdef uint64_t first = start // GROUP, groups = (stop + GROUP - 1) // GROUP - first
    cdef Py_ssize_t part
    if keep.shape[0] == 0:
        return
    take_draw(&draw, where)
    for part in prange(
        num_threads, nogil=True, num_threads=num_threads, use_threads_if=num_threads > 1, schedule="static"
    ):
        mask_range(
            &keep[0], start, stop, first + groups * <uint64_t> part // <uint64_t> num_threads,
            first + groups * <uint64_t> (part + 1) // <uint64_t> num_threads, &draw,
        )


cdef inline void affine_range(
    const floating* x, floating* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last,
    const Affine* map, const Draw* draw,
) noexcept nogil:
    cdef floating scale = <floating> map.scale, shift = <floating> map.shift, fill = <floating> map.fill
    cdef uint8_t[GROUP] keep
    cdef floating[GROUP] result, short_group
    cdef const floating* source
    cdef floating kept
    cdef Py_ssize_t group, start, count
    cdef int j
    for group in range(first, last):
        keep_group(group, keep, draw)
        start = group * GROUP
        count = min(n - start, <Py_ssize_t> GROUP)
        source = x + start
        if count < GROUP:
            memcpy(short_group, source, count * sizeof(floating))
            source = short_group
        for j in range(GROUP):
            kept = source[j] * scale + shift
            result[j] = kept if keep[j] else fill
        memcpy(y + start, result, count * sizeof(floating))


def affine(const floating[::1] x, floating[::1] y, tuple numbers, tuple where, int num_threads):
    """y = where(r, x * scale + shift, fill), of these three numbers: alpha dropout. y may be x."""
    fits(y.shape[0], x.shape[0])
    cdef Draw draw
    cdef Affine map
    cdef Py_ssize_t n = x.shape[0], groups = (n + GROUP - 1) // GROUP, part
    if n == 0:
        return
    map.scale, map.shift, map.fill = numbers
    take_draw(&draw, where)
    for part in prange(
        num_threads, nogil=True, num_threads=num_threads, use_threads_if=num_threads > 1, schedule="static"
    ):
        affine_range(
            &x[0], &y[0], n, groups * part // num_threads, groups * (part + 1) // num_threads,
            &map, &draw,
        )


cdef inline void select_range(
    const floating* kept, const floating* dropped, floating* y, Py_ssize_t n, Py_ssize_t first,
    Py_ssize_t last, const Draw* draw,
) noexcept nogil:
    cdef uint8_t[GROUP] keep
    cdef floating[GROUP] result, short_kept, short_dropped
    cdef const floating* one
    cdef const floating* other
    cdef floating a, b
    cdef Py_ssize_t group, start, count
    cdef int j
    for group in range(first, last):
        keep_group(group, keep, draw)
        start = group * GROUP
        count = min(n - start, <Py_ssize_t> GROUP)
        one = kept + start
        other = dropped + start
        if count < GROUP:
            memcpy(short_kept, one, count * sizeof(floating))
            memcpy(short_dropped, other, count * sizeof(floating))
            one = short_kept
            other = short_dropped
        for j in range(GROUP):
            a = one[j]
            b = other[j]
            result[j] = a if keep[j] else b
        memcpy(y + start, result, count * sizeof(floating))


def select(
    const floating[::1] kept, const floating[::1] dropped, floating[::1] y, tuple where, int num_threads,
):
    """y = where(r, kept, dropped): zoneout. y may be either."""
    fits(kept.shape[0], y.shape[0])
    fits(dropped.shape[0], y.shape[0])
    cdef Draw draw
    cdef Py_ssize_t n = y.shape[0], groups = (n + GROUP - 1) // GROUP, part
    if n == 0:
        return
    take_draw(&draw, where)
    for part in prange(
        num_threads, nogil=True, num_threads=num_threads, use_threads_if=num_threads > 1, schedule="static"
    ):
        select_range(
            &kept[0], &dropped[0], &y[0], n, groups * part // num_threads,
            groups * (part + 1) // num_threads, &draw,
        )


def apply_mask(
    const floating[:, :, ::1] x, const uint8_t[:, ::1] keep, floating[:, :, ::1] y, double scale,
    int num_threads,
):
    """y[o, s, i] = where(keep[o, i], x[o, s, i] * scale, 0): one mask element for all s. y may be x."""
    fits(y.shape[0], x.shape[0])
    fits(y.shape[1], x.shape[1])
    fits(y.shape[2], x.shape[2])
    fits(keep.shape[0], x.shape[0])
    fits(keep.shape[1], x.shape[2])
    cdef Py_ssize_t outer = x.shape[0], shared = x.shape[1], inner = x.shape[2], row, o, i
    cdef floating factor = <floating> scale, zero = 0, kept
    for row in prange(
        outer * shared, nogil=True, num_threads=num_threads, use_threads_if=num_threads > 1, schedule="static"
    ):
        o = row // shared
        for i in range(inner):
            kept = x[o, row - o * shared, i] * factor
            y[o, row - o * shared, i] = kept if keep[o, i] else zero


cdef inline void noise_group(uint64_t group, double* z, const Draw* draw) noexcept nogil:
    """256 normal deviates: pair q of words[q] and words[128 + q] gives z[q] and z[128 + q]."""
    cdef uint32_t[WORDS] words
    cdef int q
    philox_lanes(
        (group * LANES) | (<uint64_t> FOR_NOISE << 32), draw.step, draw.stream, &draw.keys, words
    )
    for q in range(WORDS // 2):
        box_muller(
            unit_radius(words[q]), words[WORDS // 2 + q] >> 30, unit_offset(words[WORDS // 2 + q]),
            &z[q], &z[WORDS // 2 + q],
        )


cdef inline void noise_range(
    const floating* x, floating* y, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last, floating std,
    bint multiply, const Draw* draw,
) noexcept nogil:
    cdef double[WORDS] z
    cdef floating one = 1, noise
    cdef Py_ssize_t group, start, j
    for group in range(first, last):
        noise_group(group, z, draw)
        start = group * WORDS
        for j in range(min(n - start, <Py_ssize_t> WORDS)):
            noise = std * <floating> z[j]
            y[start + j] = x[start + j] * (one + noise) if multiply else x[start + j] + noise


def noise(const floating[::1] x, floating[::1] y, double std, bint multiply, tuple where, int num_threads):
    """y = x * (1 + std z) or x + std z, z standard normal. y may be x."""
    fits(y.shape[0], x.shape[0])
    cdef Draw draw
    cdef Py_ssize_t n = x.shape[0], groups = (n + WORDS - 1) // WORDS, part
    if n == 0:
        return
    take_draw(&draw, where)
    for part in prange(
        num_threads, nogil=True, num_threads=num_threads, use_threads_if=num_threads > 1, schedule="static"
    ):
        noise_range(
            &x[0], &y[0], n, groups * part // num_threads, groups * (part + 1) // num_threads, <floating> std,
            multiply, &draw,
        )
