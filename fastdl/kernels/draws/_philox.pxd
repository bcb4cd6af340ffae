"""Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011); docs/random.md.

A block is a pure function of a 128-bit counter and a 64-bit key, so any part of a sequence can be drawn
alone. The counter's words are (block low, block high, step, stream). The top bits of word 1 say what a block
is for, so that masks, their ties, noise, generators and stream names never share one.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    FOR_NOISE = 0x20000000
    FOR_GENERATORS = 0x40000000
    FOR_TIES = 0x80000000
    FOR_NAMES = 0xC0000000


cdef extern from "_philox.h" nogil:
    enum:
        LANES "FD_PHILOX_LANES"  # blocks drawn by one call of philox_lanes
    ctypedef struct Keys "fd_philox_keys":
        pass
    void schedule "fd_philox_schedule"(uint64_t seed, Keys* keys)
    # One block: the counter is replaced by the output.
    void philox "fd_philox"(uint32_t* counter, const Keys* keys)
    # Blocks first .. first + 63 (first a multiple of 64): word j of block first + g to words[64 j + g].
    void philox_lanes "fd_philox_lanes"(
        uint64_t first, uint32_t step, uint32_t stream, const Keys* keys, uint32_t* words
    )
    # Blocks low[0] .. low[count - 1], at most 64, under one high word, to the same layout of words. Both
    # arrays have room for 64 and are used up to the next multiple of a vector.
    void philox_scattered "fd_philox_scattered"(
        int count, const uint32_t* low, uint32_t high, uint32_t step, uint32_t stream, const Keys* keys,
        uint32_t* words
    )
