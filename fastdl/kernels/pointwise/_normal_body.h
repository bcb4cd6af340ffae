/* The normal distribution for FD_TYPE, included by _activations.h.
 *
 * e^-(a^2 / 2) of a^2 = h^2 + (a - h)(a + h), where h has half of a's bits, so its square is exact: rounding a^2 itself
 * would cost a^2 / 2 times as much. The second factor is near 1, and a few terms of its series are enough.
 *
 * Q(a) = 1 - Phi(a) = e^-(a^2 / 2) g(t) / (a + 4), t = (a - 4) / (a + 4): g is smooth and between 0.4 and 2, a polynomial
 * in t through Chebyshev nodes (relative error below 3e-8 for float, 5e-18 for double) up to where Q vanishes.
 */

/* e^-(a^2 / 2) for a >= 0; 0 where it is below the smallest normal number. */
static inline FD_TYPE FD_NAME(bell)(const FD_TYPE a) {
    FD_TYPE power;
    const FD_TYPE h = FD_NAME(half_of)(a);
    const FD_TYPE x = FD_C(-0.5) * (h * h), low = FD_C(-0.5) * ((a - h) * (a + h));
    const FD_TYPE p = FD_NAME(exp_parts)(FD_NAME(clamp)(x, FD_LOWEST), &power);
    FD_TYPE q = low * FD_C(1.0 / 120) + FD_C(1.0 / 24);
    q = q * low + FD_C(1.0 / 6);
    q = q * low + FD_C(0.5);
    q = q * low + FD_C(1);
    const FD_TYPE e = (p + FD_C(1)) * power;
    return x < -FD_NORMAL ? FD_C(0) : e + e * (q * low);
}

/* Q(a), and the bell above it, of a from 0 to FD_FAR. */
static inline FD_TYPE FD_NAME(above)(const FD_TYPE a, FD_TYPE *bell) {
    const FD_TYPE r = FD_C(1) / (a + FD_C(4)), t = (a - FD_C(4)) * r;
#if FD_SINGLE
    FD_TYPE g = FD_C(-0.0001201844011) * t + FD_C(0.0002012617303);
    g = g * t + FD_C(0.001572317879);
    g = g * t - FD_C(0.0035261837);
    g = g * t - FD_C(0.007529250703);
    g = g * t + FD_C(0.06040668873);
    g = g * t - FD_C(0.1865226849);
    g = g * t + FD_C(0.3871366841);
    g = g * t - FD_C(0.6078966183);
    g = g * t + FD_C(0.7552851383);
#else
    FD_TYPE g = FD_C(-7.2624198104095793e-10) * t - FD_C(2.52209945787807354e-9);
    g = g * t + FD_C(1.91827702037334026e-9);
    g = g * t + FD_C(1.96196108613555597e-8);
    g = g * t + FD_C(1.32807977873103278e-8);
    g = g * t - FD_C(8.54084181568512498e-8);
    g = g * t - FD_C(1.54964917422474505e-7);
    g = g * t + FD_C(2.71804529625928358e-7);
    g = g * t + FD_C(1.02155403719610153e-6);
    g = g * t - FD_C(6.29696560581582333e-7);
    g = g * t - FD_C(5.92017332301610292e-6);
    g = g * t + FD_C(7.16666324522103119e-7);
    g = g * t + FD_C(0.000035144686053003463);
    g = g * t - FD_C(1.90825847977343311e-6);
    g = g * t - FD_C(0.000231094935169459014);
    g = g * t + FD_C(0.000133344312409645737);
    g = g * t + FD_C(0.00163081845758870119);
    g = g * t - FD_C(0.00347969236739359515);
    g = g * t - FD_C(0.00754018896672679157);
    g = g * t + FD_C(0.0603965748909365607);
    g = g * t - FD_C(0.186521857959657247);
    g = g * t + FD_C(0.387137400742214541);
    g = g * t - FD_C(0.607896641971892108);
    g = g * t + FD_C(0.755285130415751493);
#endif
    *bell = FD_NAME(bell)(a);
    return (g * r) * *bell;
}
