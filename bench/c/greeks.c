/* The greeks of Black-76 as one plain loop: the limit that the jax kernels are measured against. */
#include <math.h>

#include "greeks_body.h"

#define GREEKS(NAME, REAL, EXP, LOG, SQRT, ERFC)                                                          \
    void NAME(long n, const REAL *f, const REAL *k, const REAL *t, const REAL *v, const REAL *r,          \
              const REAL *sign, REAL *restrict out) {                                                     \
        _Pragma("omp parallel for simd schedule(static)") for (long i = 0; i < n; i++) {                  \
            GREEKS_BODY(REAL, EXP, LOG, SQRT, ERFC)                                                       \
        }                                                                                                 \
    }

GREEKS(greeks64, double, exp, log, sqrt, erfc)
GREEKS(greeks32, float, expf, logf, sqrtf, erfcf)
