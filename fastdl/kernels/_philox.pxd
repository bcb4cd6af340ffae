"""Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), MATH 4.4 and 4.5.

A block is a pure function of a 128-bit counter and a 64-bit key, so any part of a sequence can be drawn alone.
The counter's words here are (block low, block high, step, stream); the two top bits of word 1 say what the
block is for, so that masks, their ties, generators and stream names never draw the same block.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    LANES = 64  # blocks drawn side by side: enough for the compiler to keep several vectors in flight


cdef inline void philox_round(
    uint32_t* c0, uint32_t* c1, uint32_t* c2, uint32_t* c3, uint32_t k0, uint32_t k1
) noexcept nogil:
    cdef uint64_t p0 = <uint64_t> 0xD2511F53U * c0[0]
    cdef uint64_t p1 = <uint64_t> 0xCD9E8D57U * c2[0]
    c0[0] = <uint32_t> (p1 >> 32) ^ c1[0] ^ k0
    c1[0] = <uint32_t> p1
    c2[0] = <uint32_t> (p0 >> 32) ^ c3[0] ^ k1
    c3[0] = <uint32_t> p0


cdef inline void philox(
    uint32_t* c0, uint32_t* c1, uint32_t* c2, uint32_t* c3, uint32_t k0, uint32_t k1
) noexcept nogil:
    """Ten rounds, in place. Written out: a loop over lanes around it vectorizes only if it holds no loop."""
    cdef uint32_t w0 = 0x9E3779B9U, w1 = 0xBB67AE85U  # the key's increments a round (Weyl sequences)
    philox_round(c0, c1, c2, c3, k0, k1)
    philox_round(c0, c1, c2, c3, k0 + w0, k1 + w1)
    philox_round(c0, c1, c2, c3, k0 + 2 * w0, k1 + 2 * w1)
    philox_round(c0, c1, c2, c3, k0 + 3 * w0, k1 + 3 * w1)
    philox_round(c0, c1, c2, c3, k0 + 4 * w0, k1 + 4 * w1)
    philox_round(c0, c1, c2, c3, k0 + 5 * w0, k1 + 5 * w1)
    philox_round(c0, c1, c2, c3, k0 + 6 * w0, k1 + 6 * w1)
    philox_round(c0, c1, c2, c3, k0 + 7 * w0, k1 + 7 * w1)
    philox_round(c0, c1, c2, c3, k0 + 8 * w0, k1 + 8 * w1)
    philox_round(c0, c1, c2, c3, k0 + 9 * w0, k1 + 9 * w1)


cdef inline void philox_lanes(
    uint64_t first, uint32_t step, uint32_t stream, uint32_t k0, uint32_t k1, uint32_t* words
) noexcept nogil:
    """Blocks first .. first + 63 (`first` a multiple of 64): word j of block first + g to words[j * 64 + g]."""
    cdef uint32_t low = <uint32_t> first, high = <uint32_t> (first >> 32)
    cdef uint32_t c0, c1, c2, c3
    cdef int g
    for g in range(LANES):
        c0 = low + <uint32_t> g  # never carries: first is a multiple of 64
        c1 = high
        c2 = step
        c3 = stream
        philox(&c0, &c1, &c2, &c3, k0, k1)
        words[g] = c0
        words[LANES + g] = c1
        words[2 * LANES + g] = c2
        words[3 * LANES + g] = c3
