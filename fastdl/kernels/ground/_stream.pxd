"""Stores past the caches, reading ahead, and the lowest set bit: see _stream.h."""
from libc.stdint cimport uint32_t


cdef extern from "_stream.h" nogil:
    void fd_stream(void* target, const void* source, size_t num_bytes)
    void fd_stream_end()
    void fd_prefetch_apart(const void* next, size_t line, size_t apart)
    void fd_prefetch_page(const void* page)
    int fd_lowest_bit(uint32_t word)
