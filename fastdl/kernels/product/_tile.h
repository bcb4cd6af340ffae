/* The matrix tile: MR rows x NR columns of C = start + A @ B stay in registers while k is walked once.
 *
 *   level     registers        float tile   double tile   accumulators   two panels wide
 *   avx512    32 x 64 bytes    12 x 32      12 x 16       24             6 x 64, 6 x 32
 *   avx2      16 x 32 bytes     6 x 16       6 x  8       12             2 x 32, 2 x 16
 *   baseline  16 x 16 bytes     4 x  8       4 x  4        8             2 x 16, 2 x  8
 *
 * One width for all would spill float64 and the SSE build to memory. Six rows of two panels need 10 loads for 24
 * multiply-adds, twelve rows of one need 14, and addresses of twelve rows that no longer fit into registers. AVX2 has
 * too few registers for that. This is the one place where vectors are spelled out: of plain loops a compiler may make
 * scalars, as its unrolling limits fall (docs/profiling.md). The rest is in _tile.pxd.
 */
#ifndef FASTDL_TILE_H
#define FASTDL_TILE_H

#include <stddef.h>

#include "_registers.h"

#if defined(__AVX512F__)
enum { FD_MR = 12, FD_PAIR_MR = 6 };
#elif defined(__AVX2__)
enum { FD_MR = 6, FD_PAIR_MR = 2 };
#else
enum { FD_MR = 4, FD_PAIR_MR = 2 };
#endif

#if defined(__clang__)
#define FD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FD_UNROLL _Pragma("GCC unroll 16")
#endif

/* A tile inlined into its caller competes with it for registers and keeps its counters in memory. */
#define FD_OUT_OF_LINE __attribute__((noinline))

/* sum += a * b. In AVX's own words: given the choice, a compiler renames accumulators when a loop is unrolled, and
 * copies or spills them (docs/profiling.md). */
#if defined(__AVX2__)
#define FD_ADD_PRODUCT_float(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#define FD_ADD_PRODUCT_double(sum, a, b) __asm__("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FD_ADD_PRODUCT_float(sum, a, b) ((sum) = vfmaq_f32(sum, a, b))
#define FD_ADD_PRODUCT_double(sum, a, b) ((sum) = vfmaq_f64(sum, a, b))
#else
#define FD_ADD_PRODUCT_float(sum, a, b) ((sum) += (a) * (b))
#define FD_ADD_PRODUCT_double(sum, a, b) ((sum) += (a) * (b))
#endif

/* The compiler may no longer know how a pointer came about: else it keeps an address for every element in a loop. */
#define FD_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* The vector is in a register and stays there: else it may be read from memory again for every row, so that no more
 * than 16 registers are in use (docs/profiling.md). */
#if defined(__AVX512F__)
#define FD_LOADED(vector) __asm__("" : "+v"(vector))
#else
#define FD_LOADED(vector)
#endif

/* Where a matrix lies, of float or double, and its strides in elements: what they are, `product` in _tile.pxd says. */
typedef struct {
    const void *at;
    ptrdiff_t row, step;
} fd_strided;

typedef struct {
    fd_strided a, b, start;
    ptrdiff_t c_row, k;
} fd_product;

static inline void fd_prefetch(const void *address) { __builtin_prefetch(address); }

#define FD_REAL float
#include "_tile_body.h"
#undef FD_REAL
#define FD_REAL double
#include "_tile_body.h"
#undef FD_REAL

#endif
