/* The matrix tile's size, per build and per type: MR rows by NR columns of the result stay in registers.
 * One width for all would spill float64 and the SSE build to memory and run ten times slower.
 *
 *   level     registers        float tile   double tile   accumulators
 *   avx512    32 x 64 bytes    12 x 32      12 x 16       24
 *   avx2      16 x 32 bytes     6 x 16       6 x  8       12
 *   baseline  16 x 16 bytes     4 x  8       4 x  4        8
 */
#ifndef FASTDL_TILE_H
#define FASTDL_TILE_H

#if defined(__AVX512F__)
enum { FD_MR = 12, FD_NR_FLOAT = 32, FD_NR_DOUBLE = 16 };
#elif defined(__AVX2__)
enum { FD_MR = 6, FD_NR_FLOAT = 16, FD_NR_DOUBLE = 8 };
#else
enum { FD_MR = 4, FD_NR_FLOAT = 8, FD_NR_DOUBLE = 4 };
#endif

/* A tile inlined into its caller competes with it for registers and keeps its counters in memory. */
#define FD_OUT_OF_LINE __attribute__((noinline))

/* a * b + c, fused wherever the level has the instruction. Said outright: left to the compiler, some tiles were
 * fused and some not, and a result depended on which tile computed it. */
static inline float fd_madd_float(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
static inline double fd_madd_double(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* Panels stream from the second-level cache; asking a few rows ahead hides its latency. */
enum { FD_AHEAD = 8 };
static inline void fd_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
