/* Stores that go past the caches: a result larger than the last cache is written without first being read.
 * Loads ahead of their use, in an order that suits the memory. */
#ifndef FASTDL_STREAM_H
#define FASTDL_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>

/* Copies `bytes` (a multiple of 64) from `source`; past the caches where `target` starts a cache line. */
static inline void fd_stream(void *target, const void *source, size_t bytes) {
    if ((uintptr_t)target % 64) {
        memcpy(target, source, bytes);
        return;
    }
    char *to = (char *)target;
    const char *from = (const char *)source;
    for (size_t i = 0; i < bytes; i += 64) {
#if defined(__AVX512F__)
        _mm512_stream_si512((void *)(to + i), _mm512_loadu_si512((const void *)(from + i)));
#elif defined(__AVX__)
        for (size_t k = i; k < i + 64; k += 32)
            _mm256_stream_si256((__m256i *)(to + k), _mm256_loadu_si256((const __m256i *)(from + k)));
#else
        for (size_t k = i; k < i + 64; k += 16)
            _mm_stream_si128((__m128i *)(to + k), _mm_loadu_si128((const __m128i *)(from + k)));
#endif
    }
}

/* Makes a thread's streamed stores visible before it leaves the parallel region. */
static inline void fd_stream_end(void) { _mm_sfence(); }

#else
static inline void fd_stream(void *target, const void *source, size_t bytes) { memcpy(target, source, bytes); }
static inline void fd_stream_end(void) {}
#endif

/* Asks for 8 of the next lines of memory: line `line` of each of 8 places, `apart` bytes from each other, which makes
 * them lie on 8 pages where that is 4 KB. A core's prefetcher follows each page by itself, so that many more lines are
 * under way at once than when they are asked for in a row (docs/profiling.md). Always inlined: a compiler may take a
 * function that only prefetches for one without effect, and drop calls of it. */
#ifdef __GNUC__
__attribute__((always_inline))
#endif
static inline void fd_prefetch_apart(const void *next, size_t line, size_t apart) {
    const char *first = (const char *)next + line * 64;
    for (size_t place = 0; place < 8; place++) __builtin_prefetch(first + place * apart, 0, 3);
}

/* Asks for the first lines of a page of 4 KB that is read soon: a core's prefetcher follows a page by itself, but neither
 * begins nor ends with more than a page. Into the second cache, since the first is full of what is read now. */
#ifdef __GNUC__
__attribute__((always_inline))
#endif
static inline void fd_prefetch_page(const void *page) {
    for (size_t line = 0; line < 4; line++) __builtin_prefetch((const char *)page + line * 64, 0, 2);
}

static inline int fd_lowest_bit(uint32_t word) { return __builtin_ctz(word); } /* of a word that is not 0 */

#endif
