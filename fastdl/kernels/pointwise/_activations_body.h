/* The formulas of _activations.h for FD_TYPE, and the loops around them. */
#define FD_C(constant) ((FD_TYPE)(constant))
#define FD_LOWEST FD_C(FD_SINGLE ? 87.6 : 708.5)               /* 2^n can represent e^-x up to here, */
#define FD_NORMAL FD_C(FD_SINGLE ? 87.33654 : 708.3964185322641) /* and up to here it is a normal number */
#define FD_FAR FD_C(FD_SINGLE ? 14.0 : 39.0)                   /* from here on the normal distribution's tail is 0 */

#include "_normal_body.h"

/* e^-abs(x); 0 where it is below the smallest normal number. */
static inline FD_TYPE FD_NAME(falling)(const FD_TYPE x) {
    return FD_NAME(abs)(x) > FD_NORMAL ? FD_C(0) : FD_NAME(decay)(x);
}

/* sigmoid(x), and 1 - sigmoid(x) without cancellation. */
static inline FD_TYPE FD_NAME(sigmoids)(const FD_TYPE x, FD_TYPE *rest) {
    const FD_TYPE e = FD_NAME(falling)(x), more = FD_C(1) / (FD_C(1) + e), less = e * more;
    *rest = x < FD_C(0) ? more : less;
    return x < FD_C(0) ? less : more;
}

/* f(x) of an f that is x times what falls to 0 far to the left: beyond `far` it is 0 there, at infinity too. */
static inline FD_TYPE FD_NAME(times)(const FD_TYPE x, const FD_TYPE factor, const FD_TYPE far) {
    return (x < -far ? -far : x) * factor;
}

#define FD_VALUE(NAME) static inline FD_TYPE FD_NAME(NAME##_value)(const FD_TYPE x, const FD_TYPE a, const FD_TYPE b)
#define FD_GRADIENT(NAME) \
    static inline FD_TYPE FD_NAME(NAME##_gradient)(const FD_TYPE dy, const FD_TYPE k, const FD_TYPE a, const FD_TYPE b)

FD_VALUE(sigmoid) { return FD_NAME(sigmoid)(x); }
FD_GRADIENT(sigmoid) { return dy * (k * (FD_C(1) - k)); }

FD_VALUE(tanh) { return FD_NAME(tanh)(x); }
FD_GRADIENT(tanh) { return dy * (FD_C(1) - k * k); }

FD_VALUE(relu) { return x <= FD_C(0) ? FD_C(0) : x; }
FD_GRADIENT(relu) { return k <= FD_C(0) ? FD_C(0) : dy; }

FD_VALUE(leaky_relu) { return x > FD_C(0) ? x : x * a; }
FD_GRADIENT(leaky_relu) { return k > FD_C(0) ? dy : dy * a; }

/* a (e^x - 1) below 0, as 2^n p + (2^n - 1): no cancellation near 0. */
FD_VALUE(elu) {
    FD_TYPE power;
    const FD_TYPE p = FD_NAME(exp_parts)(FD_NAME(clamp)(x, FD_LOWEST), &power);
    return x > FD_C(0) ? x : a * (power * p + (power - FD_C(1)));
}
FD_GRADIENT(elu) { return k > FD_C(0) ? dy : dy * (a * FD_NAME(falling)(k)); }

FD_VALUE(hardtanh) { return FD_NAME(cap)(x < a ? a : x, b); }
FD_GRADIENT(hardtanh) {
    const FD_TYPE above = k <= a ? FD_C(0) : dy;
    return k >= b ? FD_C(0) : above;
}

/* log(1 + e^(a x)) / a, and x itself where a x is above b. */
FD_VALUE(softplus) { return a * x > b ? x : -FD_NAME(log_sigmoid)(-(a * x)) / a; }
FD_GRADIENT(softplus) { return a * k > b ? dy : dy * FD_NAME(sigmoid)(a * k); }

FD_VALUE(silu) {
    FD_TYPE rest;
    return FD_NAME(times)(x, FD_NAME(sigmoids)(x, &rest), FD_LOWEST);
}
FD_GRADIENT(silu) {
    FD_TYPE rest;
    const FD_TYPE s = FD_NAME(sigmoids)(k, &rest);
    return dy * (s + FD_NAME(clamp)(k, FD_LOWEST) * (s * rest));
}

/* x Phi(x) */
FD_VALUE(gelu) {
    FD_TYPE bell;
    const FD_TYPE q = FD_NAME(above)(FD_NAME(cap)(FD_NAME(abs)(x), FD_FAR), &bell);
    return FD_NAME(times)(x, x < FD_C(0) ? q : FD_C(1) - q, FD_FAR);
}
/* Phi(x) + x phi(x) */
FD_GRADIENT(gelu) {
    FD_TYPE bell;
    const FD_TYPE x = FD_NAME(clamp)(k, FD_FAR), q = FD_NAME(above)(FD_NAME(abs)(x), &bell);
    return dy * ((x < FD_C(0) ? q : FD_C(1) - q) + FD_C(0.3989422804014327) * (x * bell));
}

/* x sigmoid(u), u = 2 sqrt(2 / pi) (x + 0.044715 x^3): 1/2 (1 + tanh(u / 2)) is sigmoid(u). */
FD_VALUE(gelu_tanh) {
    FD_TYPE rest;
    const FD_TYPE y = FD_NAME(clamp)(x, FD_FAR);
    const FD_TYPE u = FD_C(1.5957691216057308) * (y + FD_C(0.044715) * (y * y * y));
    return FD_NAME(times)(x, FD_NAME(sigmoids)(u, &rest), FD_FAR);
}
FD_GRADIENT(gelu_tanh) {
    FD_TYPE rest;
    const FD_TYPE x = FD_NAME(clamp)(k, FD_FAR), square = x * x;
    const FD_TYPE s = FD_NAME(sigmoids)(FD_C(1.5957691216057308) * (x + FD_C(0.044715) * (square * x)), &rest);
    const FD_TYPE slope = FD_C(1.5957691216057308) * (FD_C(1) + FD_C(0.134145) * square);
    return dy * (s + x * (s * rest) * slope);
}

/* ---- the loops ---- */

#define FD_ROW(NAME)                                                                                             \
    static void FD_NAME(NAME##_values)(const FD_TYPE *restrict x, FD_TYPE *restrict y, ptrdiff_t n, FD_TYPE a,   \
                                       FD_TYPE b) {                                                              \
        for (ptrdiff_t i = 0; i < n; i++) y[i] = FD_NAME(NAME##_value)(x[i], a, b);                              \
    }                                                                                                            \
    static void FD_NAME(NAME##_gradients)(const FD_TYPE *restrict dy, const FD_TYPE *restrict kept,              \
                                          FD_TYPE *restrict dx, ptrdiff_t n, FD_TYPE a, FD_TYPE b) {             \
        for (ptrdiff_t i = 0; i < n; i++) dx[i] = FD_NAME(NAME##_gradient)(dy[i], kept[i], a, b);                \
    }
FD_ACTIVATIONS(FD_ROW)
#undef FD_ROW

static inline void FD_NAME(activate)(int row, const FD_TYPE *x, FD_TYPE *y, ptrdiff_t n, FD_TYPE a, FD_TYPE b) {
#define FD_ROW(NAME) FD_NAME(NAME##_values),
    static void (*const of_row[])(const FD_TYPE *, FD_TYPE *, ptrdiff_t, FD_TYPE, FD_TYPE) = {FD_ACTIVATIONS(FD_ROW)};
#undef FD_ROW
    of_row[row](x, y, n, a, b);
}

static inline void FD_NAME(undo)(int row, const FD_TYPE *dy, const FD_TYPE *kept, FD_TYPE *dx, ptrdiff_t n, FD_TYPE a,
                                 FD_TYPE b) {
#define FD_ROW(NAME) FD_NAME(NAME##_gradients),
    static void (*const of_row[])(const FD_TYPE *, const FD_TYPE *, FD_TYPE *, ptrdiff_t, FD_TYPE, FD_TYPE) = {
        FD_ACTIVATIONS(FD_ROW)};
#undef FD_ROW
    of_row[row](dy, kept, dx, n, a, b);
}

#undef FD_VALUE
#undef FD_GRADIENT
#undef FD_LOWEST
#undef FD_NORMAL
#undef FD_FAR
#undef FD_C
#undef FD_TYPE
#undef FD_NAME
#undef FD_SINGLE
