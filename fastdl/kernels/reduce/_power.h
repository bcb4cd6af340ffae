/* A positive number as 2^exponent * mantissa, by its bits and without a conversion between integer and float,
 * which the levels below AVX-512 do not have for 64 bits: so the loop around it vectorizes everywhere. */
#ifndef FASTDL_POWER_H
#define FASTDL_POWER_H

#include <stdint.h>
#include <string.h>

#include "_inline.h"

/* The exponent, and the mantissa in [sqrt(1/2), sqrt(2)), of a normal positive x. The bias of 2048 (256) keeps
 * the difference positive; or-ed into 2^52 (2^23) the exponent reads as a number. */
static inline double fd_split_double(double x, double *mantissa) {
    const uint64_t root_half = UINT64_C(0x3FE6A09E667F3BCD), bias = UINT64_C(2048);
    uint64_t bits, rest;
    double exponent;
    memcpy(&bits, &x, sizeof bits);
    uint64_t biased = (bits - root_half + (bias << 52)) >> 52;
    rest = bits - (biased << 52) + (bias << 52);
    memcpy(mantissa, &rest, sizeof rest);
    biased |= UINT64_C(0x4330000000000000);
    memcpy(&exponent, &biased, sizeof biased);
    return exponent - (4503599627370496.0 + 2048.0);
}

static inline float fd_split_float(float x, float *mantissa) {
    const uint32_t root_half = 0x3F3504F3u, bias = 256u;
    uint32_t bits, rest;
    float exponent;
    memcpy(&bits, &x, sizeof bits);
    uint32_t biased = (bits - root_half + (bias << 23)) >> 23;
    rest = bits - (biased << 23) + (bias << 23);
    memcpy(mantissa, &rest, sizeof rest);
    biased |= 0x4B000000u;
    memcpy(&exponent, &biased, sizeof biased);
    return exponent - (8388608.0f + 256.0f);
}

/* 2^n for integral n with |n| <= 1022: the low bits of n + 1023 + 1.5 * 2^52 are the exponent's. */
static inline double fd_two_to_double(double n) {
    double z = n + (6755399441055744.0 + 1023.0);
    uint64_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits <<= 52;
    memcpy(&z, &bits, sizeof bits);
    return z;
}

/* The same in float: 0 for n <= -127, infinity for n >= 128. Clamped as bits, where a minimum is one instruction. */
static inline float fd_two_to_float(float n) {
    float z = n + (12582912.0f + 127.0f);
    int32_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits = bits > 0x4B400000 ? bits : 0x4B400000;
    bits = bits < 0x4B4000FF ? bits : 0x4B4000FF;
    bits = (int32_t)((uint32_t)bits << 23);
    memcpy(&z, &bits, sizeof bits);
    return z;
}

/* e of the largest |x|, which is in [2^e, 2^(e + 1)), and of the smallest: -127 for zero and subnormals, 128 for infinity
 * and NaN, whose bits are the largest of all. */
static inline int fd_exponents(const float *x, ptrdiff_t n, int *smallest) {
    uint32_t high = 0, low = UINT32_C(0x7fffffff);
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= UINT32_C(0x7fffffff);
        high = bits > high ? bits : high;
        low = bits < low ? bits : low;
    }
    *smallest = (int)(low >> 23) - 127;
    return (int)(high >> 23) - 127;
}

#endif
