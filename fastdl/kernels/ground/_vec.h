/* A vector is a value: one register of numbers, on which C's own operators act lane by lane.
 *
 * The types are those of gcc and clang. `f * c + i * g` of four of them is four registers and two instructions, on
 * every level, whether its lanes are float or double. Here is what the operators cannot say: parts of a register in
 * memory, bounds, choices; and the formulas of _math.h, once more for these types.
 */
#ifndef FASTDL_VEC_H
#define FASTDL_VEC_H

#include "_registers.h"
#include "_math.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef fd_loose_float fd_vfloat; /* needs no alignment, may lie anywhere */
typedef fd_loose_double fd_vdouble;
typedef int32_t fd_vfloat_bits __attribute__((vector_size(FD_VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t fd_vdouble_bits __attribute__((vector_size(FD_VECTOR_BYTES), aligned(8), may_alias));

static inline FD_IN_LINE fd_vfloat fd_pow2_vfloat(fd_vfloat z) {
    return (fd_vfloat)(((fd_vfloat_bits)z - 0x4B400000 + 127) << 23);
}
static inline FD_IN_LINE fd_vdouble fd_pow2_vdouble(fd_vdouble z) {
    return (fd_vdouble)(((fd_vdouble_bits)z - INT64_C(0x4338000000000000) + 1023) << 52);
}

/* The smaller and the greater, lane by lane; where x is NaN, x: the instructions give their second operand then. */
#if defined(__AVX512F__)
#define FD_MIN_float(limit, x) ((fd_vfloat)_mm512_min_ps((__m512)(limit), (__m512)(x)))
#define FD_MAX_float(limit, x) ((fd_vfloat)_mm512_max_ps((__m512)(limit), (__m512)(x)))
#define FD_MIN_double(limit, x) ((fd_vdouble)_mm512_min_pd((__m512d)(limit), (__m512d)(x)))
#define FD_MAX_double(limit, x) ((fd_vdouble)_mm512_max_pd((__m512d)(limit), (__m512d)(x)))
#elif defined(__AVX2__)
#define FD_MIN_float(limit, x) ((fd_vfloat)_mm256_min_ps((__m256)(limit), (__m256)(x)))
#define FD_MAX_float(limit, x) ((fd_vfloat)_mm256_max_ps((__m256)(limit), (__m256)(x)))
#define FD_MIN_double(limit, x) ((fd_vdouble)_mm256_min_pd((__m256d)(limit), (__m256d)(x)))
#define FD_MAX_double(limit, x) ((fd_vdouble)_mm256_max_pd((__m256d)(limit), (__m256d)(x)))
#elif defined(__SSE2__)
#define FD_MIN_float(limit, x) ((fd_vfloat)_mm_min_ps((__m128)(limit), (__m128)(x)))
#define FD_MAX_float(limit, x) ((fd_vfloat)_mm_max_ps((__m128)(limit), (__m128)(x)))
#define FD_MIN_double(limit, x) ((fd_vdouble)_mm_min_pd((__m128d)(limit), (__m128d)(x)))
#define FD_MAX_double(limit, x) ((fd_vdouble)_mm_max_pd((__m128d)(limit), (__m128d)(x)))
#else
#define FD_MIN_float(limit, x) fd_pick_vfloat((x) > (limit), limit, x)
#define FD_MAX_float(limit, x) fd_pick_vfloat((x) < (limit), limit, x)
#define FD_MIN_double(limit, x) fd_pick_vdouble((x) > (limit), limit, x)
#define FD_MAX_double(limit, x) fd_pick_vdouble((x) < (limit), limit, x)
#endif

/* `width` numbers of a register in memory, of which no other is touched. */
#if defined(__AVX512F__)
#define FD_PART_float(width) ((__mmask16)((1u << (width)) - 1))
#define FD_PART_double(width) ((__mmask8)((1u << (width)) - 1))
#define FD_LOAD_PART_float(p, width) ((fd_vfloat)_mm512_maskz_loadu_ps(FD_PART_float(width), p))
#define FD_LOAD_PART_double(p, width) ((fd_vdouble)_mm512_maskz_loadu_pd(FD_PART_double(width), p))
#define FD_STORE_PART_float(p, x, width) _mm512_mask_storeu_ps(p, FD_PART_float(width), (__m512)(x))
#define FD_STORE_PART_double(p, x, width) _mm512_mask_storeu_pd(p, FD_PART_double(width), (__m512d)(x))
#elif defined(__AVX2__)
static const int32_t fd_ones_float[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t fd_ones_double[8] = {-1, -1, -1, -1};
#define FD_PART_float(width) _mm256_loadu_si256((const __m256i *)(fd_ones_float + 8 - (width)))
#define FD_PART_double(width) _mm256_loadu_si256((const __m256i *)(fd_ones_double + 4 - (width)))
#define FD_LOAD_PART_float(p, width) ((fd_vfloat)_mm256_maskload_ps(p, FD_PART_float(width)))
#define FD_LOAD_PART_double(p, width) ((fd_vdouble)_mm256_maskload_pd(p, FD_PART_double(width)))
#define FD_STORE_PART_float(p, x, width) _mm256_maskstore_ps(p, FD_PART_float(width), (__m256)(x))
#define FD_STORE_PART_double(p, x, width) _mm256_maskstore_pd(p, FD_PART_double(width), (__m256d)(x))
#else
#define FD_PARTS(REAL)                                                                                   \
    static inline FD_IN_LINE fd_v##REAL fd_load_part_##REAL(const REAL *p, ptrdiff_t width) {            \
        fd_v##REAL x = {0};                                                                              \
        for (ptrdiff_t u = 0; u < width; u++) x[u] = p[u];                                               \
        return x;                                                                                        \
    }                                                                                                    \
    static inline FD_IN_LINE void fd_store_part_##REAL(REAL *p, fd_v##REAL x, ptrdiff_t width) {         \
        for (ptrdiff_t u = 0; u < width; u++) p[u] = x[u];                                               \
    }
FD_PARTS(float)
FD_PARTS(double)
#undef FD_PARTS
#define FD_LOAD_PART_float fd_load_part_float
#define FD_LOAD_PART_double fd_load_part_double
#define FD_STORE_PART_float fd_store_part_float
#define FD_STORE_PART_double fd_store_part_double
#endif

/* The sum of all lanes by halves. */
#if defined(__AVX512F__)
#define FD_TOTAL_float(x) _mm512_reduce_add_ps((__m512)(x))
#define FD_TOTAL_double(x) _mm512_reduce_add_pd((__m512d)(x))
#else
#define FD_TOTALS(REAL)                                                                                  \
    static inline FD_IN_LINE REAL fd_total_##REAL(fd_v##REAL x) {                                        \
        REAL lane[FD_VECTOR_BYTES / sizeof(REAL)];                                                       \
        memcpy(lane, &x, sizeof lane);                                                                   \
        for (size_t half = FD_VECTOR_BYTES / sizeof(REAL) / 2; half > 0; half /= 2)                      \
            for (size_t u = 0; u < half; u++) lane[u] += lane[u + half];                                 \
        return lane[0];                                                                                  \
    }
FD_TOTALS(float)
FD_TOTALS(double)
#undef FD_TOTALS
#define FD_TOTAL_float fd_total_float
#define FD_TOTAL_double fd_total_double
#endif

#define FD_REAL float
#define FD_TYPE fd_vfloat
#define FD_BITS fd_vfloat_bits
#define FD_SIGN INT32_MIN
#define FD_NAME(name) fd_##name##_vfloat
#define FD_MIN FD_MIN_float
#define FD_MAX FD_MAX_float
#define FD_LOAD_PART FD_LOAD_PART_float
#define FD_STORE_PART FD_STORE_PART_float
#define FD_TOTAL FD_TOTAL_float
#define FD_SINGLE 1
#include "_vec_body.h"
#define FD_REAL double
#define FD_TYPE fd_vdouble
#define FD_BITS fd_vdouble_bits
#define FD_SIGN INT64_MIN
#define FD_NAME(name) fd_##name##_vdouble
#define FD_MIN FD_MIN_double
#define FD_MAX FD_MAX_double
#define FD_LOAD_PART FD_LOAD_PART_double
#define FD_STORE_PART FD_STORE_PART_double
#define FD_TOTAL FD_TOTAL_double
#define FD_SINGLE 0
#include "_vec_body.h"

#endif
