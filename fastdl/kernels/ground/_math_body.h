/* The formulas of _math.h for FD_TYPE, a number FD_REAL or a register of them; FD_SINGLE: of 32 bits. */
#define FD_C(constant) ((FD_REAL)(constant))

/* p(r) of x, and 2^n in `power`. x must be within what 2^n can represent. */
static inline __attribute__((always_inline)) FD_TYPE FD_NAME(exp_parts)(const FD_TYPE x, FD_TYPE *power) {
#if FD_SINGLE
    const FD_TYPE z = x * FD_C(1.4426950408889634) + FD_C(12582912.0);
    const FD_TYPE n = z - FD_C(12582912.0);
    const FD_TYPE r = (x - n * FD_C(0.693145751953125)) - n * FD_C(1.42860682031e-6);
    FD_TYPE q = FD_C(1.9882697e-4) * r + FD_C(1.3926184e-3);
    q = q * r + FD_C(8.3333209e-3);
    q = q * r + FD_C(4.1666555e-2);
    q = q * r + FD_C(1.6666667e-1);
#else
    const FD_TYPE z = x * FD_C(1.4426950408889634) + FD_C(6755399441055744.0);
    const FD_TYPE n = z - FD_C(6755399441055744.0);
    const FD_TYPE r = (x - n * FD_C(0.6931471805592082)) - n * FD_C(7.3710025651677989018e-13);
    FD_TYPE q = FD_C(2.0911236630261544486e-9) * r + FD_C(2.5100385495510319078e-8);
    q = q * r + FD_C(2.7557282969549952704e-7);
    q = q * r + FD_C(2.7557268459997064772e-6);
    q = q * r + FD_C(2.4801587317144498984e-5);
    q = q * r + FD_C(1.9841269863053616878e-4);
    q = q * r + FD_C(1.3888888888886552517e-3);
    q = q * r + FD_C(8.3333333333300618325e-3);
    q = q * r + FD_C(4.1666666666666667228e-2);
    q = q * r + FD_C(1.6666666666666667453e-1);
#endif
    *power = FD_NAME(pow2)(z);
    return (r * r) * (q * r + FD_C(0.5)) + r;
}

/* 1 / (1 + e^-x) */
static inline FD_TYPE FD_NAME(sigmoid)(const FD_TYPE x) {
    FD_TYPE power;
    const FD_TYPE p = FD_NAME(exp_parts)(-FD_NAME(clamp)(x, FD_C(FD_SINGLE ? 87.6 : 708.5)), &power);
    return FD_C(1) / (FD_C(1) + (p + FD_C(1)) * power);
}

/* tanh x = e / (e + 2) with e = e^(2 abs(x)) - 1 = 2^n p + (2^n - 1): no cancellation near zero. */
static inline FD_TYPE FD_NAME(tanh)(const FD_TYPE x) {
    FD_TYPE power;
    const FD_TYPE y = FD_NAME(cap)(FD_NAME(abs)(x), FD_C(FD_SINGLE ? 10.0 : 20.0));
    const FD_TYPE p = FD_NAME(exp_parts)(FD_C(2) * y, &power);
    const FD_TYPE e = power * p + (power - FD_C(1));
    return FD_NAME(signed)(e / (e + FD_C(2)), x);
}

/* e^-abs(x): 1 at 0, and where it is below the smallest normal number that, or 0. */
static inline FD_TYPE FD_NAME(decay)(const FD_TYPE x) {
    FD_TYPE power;
    const FD_TYPE y = FD_NAME(cap)(FD_NAME(abs)(x), FD_C(FD_SINGLE ? 87.6 : 708.5));
    const FD_TYPE p = FD_NAME(exp_parts)(-y, &power);
    return (p + FD_C(1)) * power;
}

/* log sigmoid(x) = min(x, 0) - log(1 + y), y = e^-abs(x). The logarithm is 2 atanh(s), s = y / (y + 2) <= 1/3, by its
 * series in s^2: the first term left out is below 2e-9 of it for float, 2e-18 for double. */
static inline FD_TYPE FD_NAME(log_sigmoid)(const FD_TYPE x) {
    enum { TERMS = FD_SINGLE ? 8 : 17 };
    const FD_TYPE y = FD_NAME(decay)(x), s = y / (y + FD_C(2)), square = s * s;
    FD_TYPE q = square * FD_C(1.0 / (2 * TERMS - 1));
#pragma GCC unroll 17
    for (int k = TERMS - 2; k > 0; k--) q = (q + FD_C(1.0 / (2 * k + 1))) * square;
    return FD_NAME(cap)(x, FD_C(0)) - FD_C(2) * (s * q + s);
}

#undef FD_C
#undef FD_REAL
#undef FD_TYPE
#undef FD_NAME
#undef FD_SINGLE
