/* Monte-Carlo path-steps of a fixed book, one thread per path, all steps in one launch: the limit of a GPU. */
#define INLINE static __device__ inline
#include "paths_body.h"

/* As in paths.c. */
extern "C" __global__ void paths(long count, int steps, int cells, const double *__restrict__ table, double y_first,
                                 double y_width, double spread, double drift, double impact, double shift,
                                 double start, double *__restrict__ out) {
    long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    double last = start, base = start, rv = 0.0, rvb = 0.0;
    for (int k = 0; k < steps; k++) {
        const double *row = table + (long)k * cells * 4;
        PATH_STEP(i, base, last, rv, rvb)
    }
    out[2 * i] = rv, out[2 * i + 1] = rvb;
}
