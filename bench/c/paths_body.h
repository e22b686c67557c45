/* One path-step of a fixed book: hash, normal, fundamental step, one table look-up, realised variance of both
   legs. The arithmetic of the C loop and of the CUDA kernel; the includer says what INLINE is. */
INLINE unsigned mix(unsigned x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Path number PATH at step k, of whose row there are `cells` cubics; BASE, LAST, RV and RVB are the path's
   own. The normal is that of Giles (2010), single precision: central and tail polynomial, without a branch. */
#define PATH_STEP(PATH, BASE, LAST, RV, RVB)                                                              \
    unsigned hash = mix((unsigned)(PATH) * 0x9e3779b9u + mix((unsigned)k));                               \
    float u = ((hash >> 9) + 0.5f) * 1.1920929e-7f, a = 1.0f - 2.0f * u;                                  \
    float l = fmaxf(-logf((1.0f - a) * (1.0f + a)), 0.0f), w = l - 2.5f, t = sqrtf(l) - 3.0f, z;          \
    float p = 2.81022636e-08f, q5 = -0.000200214257f;                                                     \
    p = 3.43273939e-07f + p * w, q5 = 0.000100950558f + q5 * t;                                           \
    p = -3.5233877e-06f + p * w, q5 = 0.00134934322f + q5 * t;                                            \
    p = -4.39150654e-06f + p * w, q5 = -0.00367342844f + q5 * t;                                          \
    p = 0.00021858087f + p * w, q5 = 0.00573950773f + q5 * t;                                             \
    p = -0.00125372503f + p * w, q5 = -0.0076224613f + q5 * t;                                            \
    p = -0.00417768164f + p * w, q5 = 0.00943887047f + q5 * t;                                            \
    p = 0.246640727f + p * w, q5 = 1.00167406f + q5 * t;                                                  \
    p = 1.50140941f + p * w, q5 = 2.83297682f + q5 * t;                                                   \
    p = l < 5.0f ? p : q5;                                                                                \
    z = -p * a * 1.41421356f;                                                                             \
    BASE += drift + spread * z;                                                                           \
    double at = (BASE + shift - y_first) / y_width;                                                       \
    int cell = (int)at;                                                                                   \
    cell = cell < 0 ? 0 : cell >= cells ? cells - 1 : cell;                                               \
    const double *c = row + 4 * cell;                                                                     \
    double q = at - cell, d = c[0] + q * (c[1] + q * (c[2] + q * c[3]));                                  \
    double now = BASE + shift - impact * d, move = now - LAST, own = drift + spread * z;                  \
    LAST = now;                                                                                           \
    RV += move * move;                                                                                    \
    RVB += own * own;
