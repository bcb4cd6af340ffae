/* What _vec.h promises, for FD_TYPE, a register of FD_REAL; FD_BITS is the same register as integers. */
#define FD_LANES ((ptrdiff_t)(FD_VECTOR_BYTES / sizeof(FD_REAL)))
#define FD_ALL(number) ((FD_REAL)(number) - (FD_TYPE){0}) /* in every lane */

/* Where the mask is set a, else b. Bits, not products: a NaN that is not chosen is gone. */
static inline FD_IN_LINE FD_TYPE FD_NAME(pick)(FD_BITS mask, FD_TYPE a, FD_TYPE b) {
    return (FD_TYPE)((mask & (FD_BITS)a) | (~mask & (FD_BITS)b));
}
static inline FD_IN_LINE FD_TYPE FD_NAME(abs)(FD_TYPE x) { return (FD_TYPE)((FD_BITS)x & ~FD_SIGN); }
static inline FD_IN_LINE FD_TYPE FD_NAME(signed)(FD_TYPE y, FD_TYPE x) { /* of a y >= 0 */
    return (FD_TYPE)((FD_BITS)y | ((FD_BITS)x & FD_SIGN));
}
static inline FD_IN_LINE FD_TYPE FD_NAME(cap)(FD_TYPE x, FD_REAL limit) { return FD_MIN(FD_ALL(limit), x); }
static inline FD_IN_LINE FD_TYPE FD_NAME(clamp)(FD_TYPE x, FD_REAL limit) {
    return FD_MIN(FD_ALL(limit), FD_MAX(FD_ALL(-limit), x));
}

/* A register in memory, of which `width` numbers exist: the others read as 0 and are not written. */
static inline FD_IN_LINE FD_TYPE FD_NAME(load)(const FD_TYPE *p, ptrdiff_t width) {
    return width >= FD_LANES ? *p : FD_LOAD_PART((const FD_REAL *)p, width);
}
static inline FD_IN_LINE void FD_NAME(store)(FD_TYPE *p, FD_TYPE x, ptrdiff_t width) {
    if (width >= FD_LANES) *p = x;
    else FD_STORE_PART((FD_REAL *)p, x, width);
}

/* `count` numbers on from p. */
static inline FD_IN_LINE FD_TYPE *FD_NAME(shift)(const FD_TYPE *p, ptrdiff_t count) {
    return (FD_TYPE *)((FD_REAL *)p + count);
}

/* x without what lies beyond `width`. */
static inline FD_IN_LINE FD_TYPE FD_NAME(part)(FD_TYPE x, ptrdiff_t width) {
    return width >= FD_LANES ? x : FD_LOAD_PART((const FD_REAL *)&x, width);
}

/* a where `width` bytes of a mask are set, else b; b beyond. */
static inline FD_IN_LINE FD_TYPE FD_NAME(choose)(const uint8_t *mask, ptrdiff_t width, FD_TYPE a, FD_TYPE b) {
    uint8_t bytes __attribute__((vector_size(FD_VECTOR_BYTES / sizeof(FD_REAL)))) = {0};
    memcpy(&bytes, mask, width >= FD_LANES ? (size_t)FD_LANES : (size_t)width);
    return FD_NAME(pick)(__builtin_convertvector(bytes, FD_BITS) != 0, a, b);
}

/* Clipped gates (_options.pxd): 2 or -2 where a bound acts on a; what such a gate is; zero where it was. */
static inline FD_IN_LINE FD_TYPE FD_NAME(mark)(FD_TYPE gate, FD_TYPE a, FD_REAL clip) {
    gate = FD_NAME(pick)(a > clip, FD_ALL(2), gate);
    return FD_NAME(pick)(a < -clip, FD_ALL(-2), gate);
}
static inline FD_IN_LINE FD_TYPE FD_NAME(unmark)(FD_TYPE gate, FD_TYPE low, FD_TYPE high) {
    gate = FD_NAME(pick)(gate > FD_ALL(1), high, gate);
    return FD_NAME(pick)(gate < FD_ALL(-1), low, gate);
}
static inline FD_IN_LINE FD_TYPE FD_NAME(unmarked)(FD_TYPE gate, FD_TYPE slope) {
    return FD_NAME(pick)(FD_NAME(abs)(gate) > FD_ALL(1), FD_ALL(0), slope);
}
/* x where s lies within [-limit, limit], else 0, also where s is NaN. */
static inline FD_IN_LINE FD_TYPE FD_NAME(within)(FD_TYPE x, FD_TYPE s, FD_REAL limit) {
    return FD_NAME(pick)((s <= limit) & (s >= -limit), x, FD_ALL(0));
}
/* x where s > 0, else 0; and x where it is positive or NaN, else 0. */
static inline FD_IN_LINE FD_TYPE FD_NAME(positive)(FD_TYPE x, FD_TYPE s) {
    return FD_NAME(pick)(s > FD_ALL(0), x, FD_ALL(0));
}
/* a where s > 0, else b; and the greater of two, where b is NaN b. */
static inline FD_IN_LINE FD_TYPE FD_NAME(either)(FD_TYPE s, FD_TYPE a, FD_TYPE b) {
    return FD_NAME(pick)(s > FD_ALL(0), a, b);
}
static inline FD_IN_LINE FD_TYPE FD_NAME(greater)(FD_TYPE a, FD_TYPE b) { return FD_MAX(a, b); }
static inline FD_IN_LINE FD_TYPE FD_NAME(relu)(FD_TYPE x) {
    return FD_NAME(pick)((x > FD_ALL(0)) | (x != x), x, FD_ALL(0));
}
static inline FD_IN_LINE FD_TYPE FD_NAME(all)(double number) { return FD_ALL(number); }

/* The sum of all lanes by halves: lane u takes that of u + half, down to the first. So its order is fixed. */
static inline FD_IN_LINE double FD_NAME(total)(FD_TYPE x) { return FD_TOTAL(x); }
/* The same, divided by how many numbers it has. */
static inline FD_IN_LINE double FD_NAME(mean_of)(FD_TYPE sums, ptrdiff_t count) {
    return (FD_REAL)FD_NAME(total)(sums) / (FD_REAL)count;
}
/* The n-th number from p on. */
static inline FD_IN_LINE double FD_NAME(lane)(const FD_TYPE *p, ptrdiff_t n) { return ((const FD_REAL *)p)[n]; }
static inline FD_IN_LINE void FD_NAME(set_lane)(FD_TYPE *p, ptrdiff_t n, double number) {
    ((FD_REAL *)p)[n] = (FD_REAL)number;
}

#undef FD_ALL
#undef FD_LANES
#undef FD_BITS
#undef FD_SIGN
#undef FD_MIN
#undef FD_MAX
#undef FD_LOAD_PART
#undef FD_TOTAL
#undef FD_STORE_PART
#include "_math_body.h"
