/* How wide a register of this build is, and the multiply-add on it. */
#ifndef FASTDL_REGISTERS_H
#define FASTDL_REGISTERS_H

/* Numbers in two registers: a panel of the matrix tile. */
#if defined(__AVX512F__)
enum { FD_NR_FLOAT = 32, FD_NR_DOUBLE = 16 };
#elif defined(__AVX2__)
enum { FD_NR_FLOAT = 16, FD_NR_DOUBLE = 8 };
#else
enum { FD_NR_FLOAT = 8, FD_NR_DOUBLE = 4 };
#endif
#define FD_VECTOR_BYTES (FD_NR_FLOAT * 2) /* of one register, for either type */

/* A register of them: `vec` is aligned, `loose` is how one lies in memory. */
typedef float fd_vec_float __attribute__((vector_size(FD_VECTOR_BYTES)));
typedef float fd_loose_float __attribute__((vector_size(FD_VECTOR_BYTES), aligned(4), may_alias));
typedef double fd_vec_double __attribute__((vector_size(FD_VECTOR_BYTES)));
typedef double fd_loose_double __attribute__((vector_size(FD_VECTOR_BYTES), aligned(8), may_alias));

#define FD_IN_LINE __attribute__((always_inline))

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

#endif
