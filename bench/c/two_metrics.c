/* Two metrics of the hedged and the unhedged market, closes within a band and realised variance, over
   Monte-Carlo paths of a fixed book: the work of a run with two metrics asked for. Philox4x32-10, one call for
   four steps; the inverse of the normal law in single precision; one look-up of a cubic in every step. */
#include <math.h>
#include <stdint.h>

/* Paths that share a row of the table while it is in the cache. */
#define WIDE 1024

static inline void philox(uint32_t c0, uint32_t c2, uint32_t *w0, uint32_t *w1, uint32_t *w2, uint32_t *w3) {
    uint32_t c1 = 0u, c3 = 0u, k0 = 1u, k1 = 0u;
#pragma GCC unroll 10
    for (int r = 0; r < 10; r++) {
        uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0, c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1, c3 = (uint32_t)a;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    *w0 = c0, *w1 = c1, *w2 = c2, *w3 = c3;
}

/* Giles (2010), single precision: central and tail polynomial, without a branch. */
static inline float normal(uint32_t bits) {
    float u = ((bits >> 9) + 0.5f) * 1.1920929e-7f, a = 1.0f - 2.0f * u;
    float l = fmaxf(-logf((1.0f - a) * (1.0f + a)), 0.0f), w = l - 2.5f, t = sqrtf(l) - 3.0f;
    float p = 2.81022636e-08f, q = -0.000200214257f;
    p = 3.43273939e-07f + p * w, q = 0.000100950558f + q * t;
    p = -3.5233877e-06f + p * w, q = 0.00134934322f + q * t;
    p = -4.39150654e-06f + p * w, q = -0.00367342844f + q * t;
    p = 0.00021858087f + p * w, q = 0.00573950773f + q * t;
    p = -0.00125372503f + p * w, q = -0.0076224613f + q * t;
    p = -0.00417768164f + p * w, q = 0.00943887047f + q * t;
    p = 0.246640727f + p * w, q = 1.00167406f + q * t;
    p = 1.50140941f + p * w, q = 2.83297682f + q * t;
    return -(l < 5.0f ? p : q) * a * 1.41421356f;
}

/* The price at the settlement of one strike: at it while its hedge, worth `jump`, is traded. */
static inline double settled(double y, double strike, double jump) {
    return y - fmin(fmax(y - strike, 0.0), jump);
}

/* table: [steps][cells][4] cubic of the book's delta over y; low, high: the band, log prices; out: sums over
   the paths of in the band hedged, unhedged, realised variance hedged, unhedged, and of their products [4][4].
   count is a multiple of WIDE. */
void two_metrics(long count, int steps, int cells, const double *table, double y_first, double y_width,
                 double spread, double drift, double impact, double shift, double start, double low, double high,
                 double strike, double jump, double *out) {
    double sums[20] = {0};
#pragma omp parallel for schedule(static) reduction(+ : sums)
    for (long block = 0; block < count / WIDE; block++) {
        double last[WIDE], base[WIDE], rv[WIDE], rvb[WIDE];
        uint32_t words[4][WIDE];
        float shocks[4][WIDE];
        for (int i = 0; i < WIDE; i++) last[i] = base[i] = start, rv[i] = rvb[i] = 0.0;
        for (int k = 0; k < steps; k++) {
            const double *restrict row = table + (long)k * cells * 4;
            const float *restrict z = shocks[k % 4];
            if (k % 4 == 0) {
#pragma omp simd
                for (int i = 0; i < WIDE; i++)
                    philox((uint32_t)(block * WIDE + i), (uint32_t)(k / 4), &words[0][i], &words[1][i], &words[2][i],
                           &words[3][i]);
                for (int j = 0; j < 4; j++)
#pragma omp simd
                    for (int i = 0; i < WIDE; i++) shocks[j][i] = normal(words[j][i]);
            }
            if (k == steps - 1) {
                for (int i = 0; i < WIDE; i++) {
                    double own = drift + spread * z[i], x = base[i] + own;
                    double now = settled(x + shift, strike, jump), move = now - last[i];
                    base[i] = x, last[i] = now, rv[i] += move * move, rvb[i] += own * own;
                }
                break;
            }
#pragma omp simd
            for (int i = 0; i < WIDE; i++) {
                double own = drift + spread * z[i], x = base[i] + own;
                double at = (x + shift - y_first) * (1.0 / y_width);
                int cell = (int)at;
                cell = cell < 0 ? 0 : cell;
                cell = cell >= cells ? cells - 1 : cell;
                double q = at - cell;
                const double *c = row + 4 * cell;
                double d = c[0] + q * (c[1] + q * (c[2] + q * c[3]));
                double now = x + shift - impact * d, move = now - last[i];
                base[i] = x, last[i] = now, rv[i] += move * move, rvb[i] += own * own;
            }
        }
        for (int i = 0; i < WIDE; i++) {
            double v[4] = {last[i] >= low && last[i] <= high, base[i] >= low && base[i] <= high, rv[i], rvb[i]};
            for (int a = 0; a < 4; a++) {
                sums[a] += v[a];
                for (int b = 0; b < 4; b++) sums[4 + 4 * a + b] += v[a] * v[b];
            }
        }
    }
    for (int a = 0; a < 20; a++) out[a] = sums[a];
}
