/* What one build knows of itself, and the few things Cython cannot say: the compile level, flush-to-zero,
 * a barrier for part of a team, and OpenMP's entry points where the compiler has OpenMP. */
#ifndef FASTDL_BUILD_H
#define FASTDL_BUILD_H

#include <stdint.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define FD_LEVEL "avx512"
#elif defined(__AVX2__) && defined(__FMA__)
#define FD_LEVEL "avx2"
#else
#define FD_LEVEL "baseline"
#endif

/* ---- OpenMP, or a team of one ------------------------------------------------------------------- */
#ifdef _OPENMP
#include <omp.h>
#define FD_OPENMP _OPENMP
static inline int fd_team_size(void) { return omp_get_num_threads(); }
static inline int fd_max_threads(void) { return omp_get_max_threads(); }
#else
#define FD_OPENMP 0
static inline int fd_team_size(void) { return 1; }
static inline int fd_max_threads(void) { return 1; }
#endif

/* Ends the calling thread's idle workers, so that a fork right after leaves a child that can start its own.
 * 0 when done; otherwise the runtime cannot, and the child has to stay on one thread. */
static inline int fd_pause_workers(void) {
#if defined(_OPENMP) && _OPENMP >= 201511 && (!defined(__GNUC__) || __GNUC__ >= 9)
    return omp_pause_resource_all(omp_pause_soft);
#elif defined(_OPENMP)
    return 1;
#else
    return 0;
#endif
}

/* ---- What the machine has ----------------------------------------------------------------------- */
static inline int fd_has_avx2(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}
static inline int fd_has_avx512(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    return fd_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return 0;
#endif
}

/* ---- Flush-to-zero for one thread: returns the mode to restore ----------------------------------- */
#if defined(__x86_64__)
#include <immintrin.h>
static inline uint64_t fd_flush_subnormals(void) {
    unsigned int mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u); /* FTZ: results; DAZ: operands */
    return mode;
}
static inline void fd_restore_subnormals(uint64_t mode) { _mm_setcsr((unsigned int)mode); }
#elif defined(__aarch64__)
static inline uint64_t fd_flush_subnormals(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (UINT64_C(1) << 24)));
    return mode;
}
static inline void fd_restore_subnormals(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline uint64_t fd_flush_subnormals(void) { return 0; }
static inline void fd_restore_subnormals(uint64_t mode) { (void)mode; }
#endif

/* ---- A barrier for `members` threads ------------------------------------------------------------- */
/* Spins, since the wait is shorter than a system call; gives the core away after a while, for machines
 * with more threads than cores. `state` is two zeroed words, a cache line apart: arrivals and generation. */
#include <sched.h>
enum { FD_BARRIER_WORDS = 16 };
static inline void fd_barrier(int64_t *state, int64_t members) {
    int64_t generation = __atomic_load_n(&state[8], __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&state[0], 1, __ATOMIC_ACQ_REL) == members) {
        __atomic_store_n(&state[0], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&state[8], generation + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spins = 0; __atomic_load_n(&state[8], __ATOMIC_ACQUIRE) == generation; spins++) {
        if (spins > 4000) {
            sched_yield();
        } else {
#if defined(__x86_64__)
            _mm_pause();
#endif
        }
    }
}

#endif
