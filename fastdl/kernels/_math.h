/* 2^n from a float that carries n in its low bits: z = n + 1.5 * 2^mantissa_bits, so that no conversion to
 * integer is needed and the loop around it vectorizes on every level. */
#ifndef FASTDL_MATH_H
#define FASTDL_MATH_H

#include <stdint.h>
#include <string.h>

static inline float fd_pow2_float(float z) {
    uint32_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits = (bits - 0x4B400000u + 127u) << 23;
    memcpy(&z, &bits, sizeof bits);
    return z;
}

static inline double fd_pow2_double(double z) {
    uint64_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits = (bits - UINT64_C(0x4338000000000000) + 1023u) << 52;
    memcpy(&z, &bits, sizeof bits);
    return z;
}

#endif
