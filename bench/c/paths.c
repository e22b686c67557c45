/* Monte-Carlo path-steps of a fixed book as plain C: the limit that the step loop is measured against. */
#include <math.h>

#define INLINE static inline
#include "paths_body.h"

/* table: [steps][cells][4] cubic of the book's delta over y; out: realised variance, hedged and baseline */
void paths(long count, int steps, int cells, const double *table, double y_first, double y_width, double spread,
           double drift, double impact, double shift, double start, double *out) {
#pragma omp parallel for schedule(static)
    for (long block = 0; block < count / 16; block++) {
        double last[16], base[16], rv[16], rvb[16];
        for (int i = 0; i < 16; i++) last[i] = base[i] = start, rv[i] = rvb[i] = 0.0;
        for (int k = 0; k < steps; k++) {
            const double *row = table + (long)k * cells * 4;
#pragma omp simd
            for (int i = 0; i < 16; i++) {
                PATH_STEP(block * 16 + i, base[i], last[i], rv[i], rvb[i])
            }
        }
        for (int i = 0; i < 16; i++) out[2 * (block * 16 + i)] = rv[i], out[2 * (block * 16 + i) + 1] = rvb[i];
    }
}
