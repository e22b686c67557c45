/* The eleven greeks of Black-76 of contract i out of n: price delta gamma vega theta rho vanna volga charm
   dual_delta dual_gamma. The arithmetic of the C loop and of the CUDA kernel. */
#define GREEKS_BODY(REAL, EXP, LOG, SQRT, ERFC)                                                           \
    REAL root = SQRT(t[i]), s = v[i] * root, w = sign[i];                                                 \
    REAL h = LOG(f[i] / k[i]) / s, d1 = h + (REAL)0.5 * s, d2 = h - (REAL)0.5 * s;                        \
    REAL df = EXP(-r[i] * t[i]), phi = df * (REAL)0.3989422804014327 * EXP((REAL)-0.5 * d1 * d1);         \
    REAL n1 = (REAL)0.5 * ERFC(-w * d1 * (REAL)0.7071067811865476);                                       \
    REAL n2 = (REAL)0.5 * ERFC(-w * d2 * (REAL)0.7071067811865476);                                       \
    REAL price = df * w * (f[i] * n1 - k[i] * n2), delta = w * df * n1, vega = phi * f[i] * root;         \
    out[i] = price;                                                                                       \
    out[n + i] = delta;                                                                                   \
    out[2 * n + i] = phi / (f[i] * s);                                                                    \
    out[3 * n + i] = vega;                                                                                \
    out[4 * n + i] = r[i] * price - phi * f[i] * v[i] / (2 * root);                                       \
    out[5 * n + i] = -t[i] * price;                                                                       \
    out[6 * n + i] = -phi * d2 / v[i];                                                                    \
    out[7 * n + i] = vega * d1 * d2 / v[i];                                                               \
    out[8 * n + i] = r[i] * delta + phi * d2 / (2 * t[i]);                                                \
    out[9 * n + i] = -w * df * n2;                                                                        \
    out[10 * n + i] = phi * f[i] / (k[i] * k[i] * s);
