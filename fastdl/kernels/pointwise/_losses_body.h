/* The formulas of _losses.h for FD_TYPE, and the loops around them. */
#define FD_C(constant) ((FD_TYPE)(constant))
#define FD_TERM(NAME) \
    static inline double FD_NAME(NAME##_term)(const FD_TYPE p, const FD_TYPE t, const FD_TYPE a, FD_TYPE *slope)

/* -1, 0 or 1; NaN stays. */
static inline FD_TYPE FD_NAME(sign)(const FD_TYPE d) {
    const FD_TYPE rest = d < FD_C(0) ? FD_C(-1) : d;
    return d > FD_C(0) ? FD_C(1) : rest;
}

FD_TERM(squared) {
    const FD_TYPE d = p - t;
    *slope = FD_C(2) * d;
    return (double)d * (double)d;
}

FD_TERM(absolute) {
    const FD_TYPE d = p - t;
    *slope = FD_NAME(sign)(d);
    return (double)FD_NAME(abs)(d);
}

/* d^2 / 2a where abs(d) < a, else abs(d) - a / 2 */
FD_TERM(smooth) {
    const FD_TYPE d = p - t;
    const double wide = (double)FD_NAME(abs)(d);
    const int near = FD_NAME(abs)(d) < a;
    *slope = near ? d / a : FD_NAME(sign)(d);
    return near ? wide * wide / (2 * (double)a) : wide - (double)a / 2;
}

/* d^2 / 2 where abs(d) <= a, else a (abs(d) - a / 2) */
FD_TERM(huber) {
    const FD_TYPE d = p - t;
    const double wide = (double)FD_NAME(abs)(d);
    *slope = FD_NAME(clamp)(d, a);
    return wide <= (double)a ? wide * wide / 2 : (double)a * (wide - (double)a / 2);
}

/* a times how far p is below t, or 1 - a times how far it is above */
FD_TERM(quantile) {
    const FD_TYPE d = p - t, over = FD_C(1) - a, rest = d > FD_C(0) ? over : d;
    *slope = d < FD_C(0) ? -a : rest;
    return (double)(d < FD_C(0) ? a * -d : over * d);
}

/* a t softplus(-p) + (1 - t) softplus(p): t in [0, 1], and a is what a target of 1 weighs. */
FD_TERM(logistic) {
    const FD_TYPE near = -FD_NAME(log_sigmoid)(FD_NAME(abs)(p)), e = FD_NAME(decay)(p), more = FD_C(1) / (FD_C(1) + e);
    const FD_TYPE less = e * more, up = p < FD_C(0) ? less : more, down = p < FD_C(0) ? more : less;
    const FD_TYPE ones = a * t, zeros = FD_C(1) - t;
    *slope = zeros * up - ones * down;
    return (double)(ones * (near + (p < FD_C(0) ? -p : FD_C(0))) + zeros * (near + (p > FD_C(0) ? p : FD_C(0))));
}

/* ---- the loops: NAME_terms where terms are wanted one by one, `each` having a setting for every element (NULL: all have
 * `a`); NAME_sum in one pass. Both sum in the same order: FD_SUMS side by side, then the rest and these. ---- */

static inline double FD_NAME(added)(const double *sums, double rest) {
    for (int lane = 0; lane < FD_SUMS; lane++) rest += sums[lane];
    return rest;
}

#define FD_ROW(NAME)                                                                                                \
    static double FD_NAME(NAME##_sum)(const FD_TYPE *restrict p, const FD_TYPE *restrict t, FD_TYPE a,              \
                                      FD_TYPE scale, FD_TYPE *restrict gradient, ptrdiff_t n) {                     \
        double sums[FD_SUMS] = {0}, rest = 0;                                                                       \
        FD_TYPE slope;                                                                                              \
        ptrdiff_t i = 0;                                                                                            \
        for (; i + FD_SUMS <= n; i += FD_SUMS)                                                                      \
            for (int lane = 0; lane < FD_SUMS; lane++) {                                                            \
                sums[lane] += FD_NAME(NAME##_term)(p[i + lane], t[i + lane], a, &slope);                            \
                gradient[i + lane] = slope * scale;                                                                 \
            }                                                                                                       \
        for (; i < n; i++) {                                                                                        \
            rest += FD_NAME(NAME##_term)(p[i], t[i], a, &slope);                                                    \
            gradient[i] = slope * scale;                                                                            \
        }                                                                                                           \
        return FD_NAME(added)(sums, rest);                                                                          \
    }                                                                                                               \
    static void FD_NAME(NAME##_terms)(const FD_TYPE *restrict p, const FD_TYPE *restrict t,                         \
                                      const FD_TYPE *restrict each, FD_TYPE a, double *restrict terms,              \
                                      FD_TYPE *restrict slopes, ptrdiff_t n) {                                      \
        if (each)                                                                                                   \
            for (ptrdiff_t i = 0; i < n; i++) terms[i] = FD_NAME(NAME##_term)(p[i], t[i], each[i], &slopes[i]);     \
        else                                                                                                        \
            for (ptrdiff_t i = 0; i < n; i++) terms[i] = FD_NAME(NAME##_term)(p[i], t[i], a, &slopes[i]);           \
    }
FD_LOSSES(FD_ROW)
#undef FD_ROW

static inline void FD_NAME(terms)(int row, const FD_TYPE *p, const FD_TYPE *t, const FD_TYPE *each, FD_TYPE a,
                                  double *terms, FD_TYPE *slopes, ptrdiff_t n) {
#define FD_ROW(NAME) FD_NAME(NAME##_terms),
    static void (*const of_row[])(const FD_TYPE *, const FD_TYPE *, const FD_TYPE *, FD_TYPE, double *, FD_TYPE *,
                                  ptrdiff_t) = {FD_LOSSES(FD_ROW)};
#undef FD_ROW
    of_row[row](p, t, each, a, terms, slopes, n);
}

static inline double FD_NAME(sum)(int row, const FD_TYPE *p, const FD_TYPE *t, FD_TYPE a, FD_TYPE scale,
                                  FD_TYPE *gradient, ptrdiff_t n) {
#define FD_ROW(NAME) FD_NAME(NAME##_sum),
    static double (*const of_row[])(const FD_TYPE *, const FD_TYPE *, FD_TYPE, FD_TYPE, FD_TYPE *, ptrdiff_t) = {
        FD_LOSSES(FD_ROW)};
#undef FD_ROW
    return of_row[row](p, t, a, scale, gradient, n);
}

#undef FD_TERM
#undef FD_C
#undef FD_TYPE
#undef FD_NAME
#undef FD_SINGLE
