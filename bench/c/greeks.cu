/* The greeks of Black-76, one thread per contract: the limit of a GPU. */
#include "greeks_body.h"

#define GREEKS(NAME, REAL, EXP, LOG, SQRT, ERFC)                                                          \
    extern "C" __global__ void NAME(long n, const REAL *__restrict__ f, const REAL *__restrict__ k,       \
                                    const REAL *__restrict__ t, const REAL *__restrict__ v,               \
                                    const REAL *__restrict__ r, const REAL *__restrict__ sign,            \
                                    REAL *__restrict__ out) {                                             \
        long i = (long)blockIdx.x * blockDim.x + threadIdx.x;                                             \
        if (i >= n) return;                                                                               \
        GREEKS_BODY(REAL, EXP, LOG, SQRT, ERFC)                                                           \
    }

GREEKS(greeks64, double, exp, log, sqrt, erfc)
GREEKS(greeks32, float, expf, logf, sqrtf, erfcf)
