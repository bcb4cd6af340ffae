/* Activations, a row each: NAME_value of x, and NAME_gradient, dy times the derivative, of what the forward kept, x or its
 * own result. a and b are the settings. Nothing branches, looks up a table or calls: the loops below vectorize on every
 * level. NaN in gives NaN out; a limit at infinity is a number where there is one.
 */
#ifndef FASTDL_ACTIVATIONS_H
#define FASTDL_ACTIVATIONS_H

#include <stddef.h>
#include "_math.h"

#define FD_ACTIVATIONS(ROW) \
    ROW(sigmoid) ROW(tanh) ROW(relu) ROW(leaky_relu) ROW(elu) ROW(hardtanh) ROW(softplus) ROW(silu) ROW(gelu) \
    ROW(gelu_tanh)

#define FD_ROW(NAME) #NAME,
static const char *const fd_activations[] = {FD_ACTIVATIONS(FD_ROW) NULL};
#undef FD_ROW

/* x without the lower half of its bits: the rest has an exact square. */
static inline float fd_half_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= 0xFFFFF000u;
    memcpy(&x, &bits, sizeof bits);
    return x;
}
static inline double fd_half_of_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= UINT64_C(0xFFFFFFFFF8000000);
    memcpy(&x, &bits, sizeof bits);
    return x;
}

#define FD_TYPE float
#define FD_NAME(name) fd_##name##_float
#define FD_SINGLE 1
#include "_activations_body.h"
#define FD_TYPE double
#define FD_NAME(name) fd_##name##_double
#define FD_SINGLE 0
#include "_activations_body.h"

#endif
