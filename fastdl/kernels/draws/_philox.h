/* Philox4x32-10, many blocks side by side.
 *
 * A compiler may not find the vector form of the 32 x 32 -> 64 bit product on which the cipher lives, and take the
 * dearer 64-bit product (docs/profiling.md), so the product is named here; everything else is a plain loop. A word sits
 * in the low half of a 64-bit lane. The high half may hold anything: the product does not look at it. */
#ifndef FASTDL_PHILOX_H
#define FASTDL_PHILOX_H

#include <stdint.h>

#define FD_PHILOX_M0 UINT32_C(0xD2511F53)
#define FD_PHILOX_M1 UINT32_C(0xCD9E8D57)
#define FD_PHILOX_W0 UINT32_C(0x9E3779B9) /* the key's increments a round (Weyl sequences) */
#define FD_PHILOX_W1 UINT32_C(0xBB67AE85)
enum { FD_PHILOX_LANES = 64 }; /* blocks drawn by one call of fd_philox_lanes */

/* The two key words of each of the ten rounds. */
typedef struct {
    uint32_t k0[10], k1[10];
} fd_philox_keys;

static inline void fd_philox_schedule(uint64_t seed, fd_philox_keys *keys) {
    for (uint32_t round = 0; round < 10; round++) {
        keys->k0[round] = (uint32_t)seed + round * FD_PHILOX_W0;
        keys->k1[round] = (uint32_t)(seed >> 32) + round * FD_PHILOX_W1;
    }
}

/* One block: the counter is replaced by the output. */
static inline void fd_philox(uint32_t *counter, const fd_philox_keys *keys) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)FD_PHILOX_M0 * c0, p1 = (uint64_t)FD_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ keys->k0[round];
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ keys->k1[round];
        c3 = (uint32_t)p0;
    }
    counter[0] = c0, counter[1] = c1, counter[2] = c2, counter[3] = c3;
}

#if defined(__SSE2__)
#include <immintrin.h>

#if defined(__AVX512F__)
typedef __m512i fd_u64s;
#define FD_PRODUCT(a, b) _mm512_mul_epu32(a, b)
#define FD_HIGH(a) _mm512_shuffle_epi32(a, 0xF5) /* the shuffle port is idle, the shift's is not */
#define FD_XOR(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define FD_BOTH(a, b) _mm512_mask_shuffle_epi32(a, 0xAAAA, b, 0xA0) /* b's words to the odd places */
#define FD_EVERY(word) _mm512_set1_epi32((int)(word))
#elif defined(__AVX2__)
typedef __m256i fd_u64s;
#define FD_PRODUCT(a, b) _mm256_mul_epu32(a, b)
#define FD_HIGH(a) _mm256_shuffle_epi32(a, 0xF5)
#define FD_XOR(a, b, c) (a ^ b ^ c)
#define FD_BOTH(a, b) _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA)
#define FD_EVERY(word) _mm256_set1_epi32((int)(word))
#else
typedef __m128i fd_u64s;
#define FD_PRODUCT(a, b) _mm_mul_epu32(a, b)
#define FD_HIGH(a) _mm_shuffle_epi32(a, 0xF5)
#define FD_XOR(a, b, c) (a ^ b ^ c)
#define FD_BOTH(a, b) _mm_or_si128(_mm_srli_epi64(_mm_slli_epi64(a, 32), 32), _mm_slli_epi64(b, 32))
#define FD_EVERY(word) _mm_set1_epi32((int)(word))
#endif
enum { FD_U64S = sizeof(fd_u64s) / 8 };

enum { FD_BESIDE = 2 * (int)sizeof(fd_u64s) / 8 }; /* blocks in one go: even ones in a, odd ones in b */

/* Blocks low[0], low[1], ... under one high word: word j of the i-th to words[j * stride + i]. */
static inline void fd_philox_beside(const uint32_t *low, uint32_t high, uint32_t step, uint32_t stream,
                                    const fd_philox_keys *keys, uint32_t *words, int stride) {
    const fd_u64s m0 = FD_EVERY(FD_PHILOX_M0), m1 = FD_EVERY(FD_PHILOX_M1);
    fd_u64s a0, a1 = FD_EVERY(high), a2 = FD_EVERY(step), a3 = FD_EVERY(stream);
    __builtin_memcpy(&a0, low, sizeof a0);
    fd_u64s b0 = FD_HIGH(a0), b1 = a1, b2 = a2, b3 = a3;
    _Pragma("GCC unroll 10") for (int round = 0; round < 10; round++) {
        const fd_u64s k0 = FD_EVERY(keys->k0[round]), k1 = FD_EVERY(keys->k1[round]);
        const fd_u64s p0 = FD_PRODUCT(a0, m0), p1 = FD_PRODUCT(a2, m1);
        const fd_u64s q0 = FD_PRODUCT(b0, m0), q1 = FD_PRODUCT(b2, m1);
        a0 = FD_XOR(FD_HIGH(p1), a1, k0), a1 = p1, a2 = FD_XOR(FD_HIGH(p0), a3, k1), a3 = p0;
        b0 = FD_XOR(FD_HIGH(q1), b1, k0), b1 = q1, b2 = FD_XOR(FD_HIGH(q0), b3, k1), b3 = q0;
    }
    const fd_u64s result[4] = {FD_BOTH(a0, b0), FD_BOTH(a1, b1), FD_BOTH(a2, b2), FD_BOTH(a3, b3)};
    for (int j = 0; j < 4; j++) __builtin_memcpy(words + j * stride, &result[j], sizeof result[j]);
}

#else

enum { FD_BESIDE = 4 };

static inline void fd_philox_beside(const uint32_t *low, uint32_t high, uint32_t step, uint32_t stream,
                                    const fd_philox_keys *keys, uint32_t *words, int stride) {
    for (int i = 0; i < FD_BESIDE; i++) {
        uint32_t c[4] = {low[i], high, step, stream};
        fd_philox(c, keys);
        for (int j = 0; j < 4; j++) words[j * stride + i] = c[j];
    }
}

#endif

/* Blocks first .. first + 63 (first a multiple of 64): word j of block first + g to words[64 j + g]. */
static inline void fd_philox_lanes(uint64_t first, uint32_t step, uint32_t stream, const fd_philox_keys *keys,
                                   uint32_t *words) {
    uint32_t low[FD_PHILOX_LANES];
    for (int g = 0; g < FD_PHILOX_LANES; g++) low[g] = (uint32_t)first + (uint32_t)g;
    for (int g = 0; g < FD_PHILOX_LANES; g += FD_BESIDE)
        fd_philox_beside(low + g, (uint32_t)(first >> 32), step, stream, keys, words + g, FD_PHILOX_LANES);
}

/* The first `count` (at most 64) of any blocks under one high word; low is read and words are written up to the
 * next multiple of FD_BESIDE, for which 64 leaves room. */
static inline void fd_philox_scattered(int count, const uint32_t *low, uint32_t high, uint32_t step,
                                       uint32_t stream, const fd_philox_keys *keys, uint32_t *words) {
    for (int g = 0; g < count; g += FD_BESIDE)
        fd_philox_beside(low + g, high, step, stream, keys, words + g, FD_PHILOX_LANES);
}

#endif
