/* One Monte-Carlo path-step of a fixed book as plain C: hash, normal, fundamental step, one table look-up,
   realised variance of both legs. The limit that the step loop is measured against. */
#include <math.h>
#include <stdint.h>

static inline uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/* table: [steps][cells][4] cubic of the book's delta over y; out: realised variance, hedged and baseline */
void paths(long count, int steps, int cells, const double *table, double y_first, double y_width, double spread,
           double drift, double impact, double shift, double start, double *out) {
#pragma omp parallel for schedule(static)
    for (long block = 0; block < count / 16; block++) {
        double x[16], last[16], base[16], rv[16], rvb[16];
        for (int i = 0; i < 16; i++) x[i] = last[i] = base[i] = start, rv[i] = rvb[i] = 0.0;
        for (int k = 0; k < steps; k++) {
            const double *row = table + (long)k * cells * 4;
#pragma omp simd
            for (int i = 0; i < 16; i++) {
                uint32_t h = mix((uint32_t)(block * 16 + i) * 0x9e3779b9u + mix((uint32_t)k));
                float u = ((h >> 9) + 0.5f) * 1.1920929e-7f, a = 1.0f - 2.0f * u;
                /* Giles (2010), single precision: central and tail polynomial, chosen without a branch. */
                float l = fmaxf(-logf((1.0f - a) * (1.0f + a)), 0.0f), w = l - 2.5f, t = sqrtf(l) - 3.0f, z;
                float p = 2.81022636e-08f, q5 = -0.000200214257f;
                p = 3.43273939e-07f + p * w, q5 = 0.000100950558f + q5 * t;
                p = -3.5233877e-06f + p * w, q5 = 0.00134934322f + q5 * t;
                p = -4.39150654e-06f + p * w, q5 = -0.00367342844f + q5 * t;
                p = 0.00021858087f + p * w, q5 = 0.00573950773f + q5 * t;
                p = -0.00125372503f + p * w, q5 = -0.0076224613f + q5 * t;
                p = -0.00417768164f + p * w, q5 = 0.00943887047f + q5 * t;
                p = 0.246640727f + p * w, q5 = 1.00167406f + q5 * t;
                p = 1.50140941f + p * w, q5 = 2.83297682f + q5 * t;
                p = l < 5.0f ? p : q5;
                z = -p * a * 1.41421356f;
                base[i] += drift + spread * z;
                double at = (base[i] + shift - y_first) / y_width;
                int cell = (int)at;
                cell = cell < 0 ? 0 : cell >= cells ? cells - 1 : cell;
                const double *c = row + 4 * cell;
                double q = at - cell, d = c[0] + q * (c[1] + q * (c[2] + q * c[3]));
                double now = base[i] + shift - impact * d, r = now - last[i], rb = drift + spread * z;
                last[i] = now;
                rv[i] += r * r;
                rvb[i] += rb * rb;
            }
        }
        for (int i = 0; i < 16; i++) out[2 * (block * 16 + i)] = rv[i], out[2 * (block * 16 + i) + 1] = rvb[i];
    }
}
