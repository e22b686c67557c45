/* The CUDA driver and NVRTC played by the CPU: what `Cuda` needs to be tested where there is no GPU. A kernel
   runs thread after thread; device memory is ordinary memory. */
#include <cmath>
#include <cstdlib>
#include <cstring>

struct Dim {
    unsigned x;
};
static Dim blockIdx, threadIdx, blockDim;
#define __global__
#define __device__
#include "greeks.cu"
#include "paths.cu"

typedef unsigned long long Pointer;
enum Kernel { GREEKS64 = 1, GREEKS32, PATHS };

template <class T> static T argument(void **arguments, int i) { return *(T *)arguments[i]; }

template <class Real, class Function> static void greeks(Function function, void **a) {
    function(argument<long>(a, 0), argument<Real *>(a, 1), argument<Real *>(a, 2), argument<Real *>(a, 3),
             argument<Real *>(a, 4), argument<Real *>(a, 5), argument<Real *>(a, 6), argument<Real *>(a, 7));
}

static void thread(size_t kernel, void **a) {
    if (kernel == GREEKS64) greeks<double>(greeks64, a);
    if (kernel == GREEKS32) greeks<float>(greeks32, a);
    if (kernel == PATHS)
        paths(argument<long>(a, 0), argument<int>(a, 1), argument<int>(a, 2), argument<double *>(a, 3),
              argument<double>(a, 4), argument<double>(a, 5), argument<double>(a, 6), argument<double>(a, 7),
              argument<double>(a, 8), argument<double>(a, 9), argument<double>(a, 10),
              argument<double *>(a, 11));
}

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGet(int *device, int) { return *device = 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, 0; }
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, 0; }
int cuCtxSetCurrent(void *context) { return context ? 0 : 201; }
int cuCtxSynchronize() { return 0; }
int cuGetErrorString(int, const char **text) { return *text = "out of memory", 0; }
int cuMemAlloc_v2(Pointer *there, size_t size) {
    *there = size < ((size_t)1 << 40) ? (Pointer)malloc(size) : 0;
    return *there ? 0 : 2;
}
int cuMemFree_v2(Pointer there) { return free((void *)there), 0; }
int cuMemcpyHtoD_v2(Pointer to, const void *from, size_t size) { return memcpy((void *)to, from, size), 0; }
int cuMemcpyDtoH_v2(void *to, Pointer from, size_t size) { return memcpy(to, (void *)from, size), 0; }
int cuModuleLoadData(void **module, const void *binary) {
    return *module = (void *)1, strcmp((const char *)binary, "sm_90") ? 200 : 0;
}
int cuModuleGetFunction(void **function, void *, const char *name) {
    size_t kernel = !strcmp(name, "greeks64") ? GREEKS64 : !strcmp(name, "greeks32") ? GREEKS32 : PATHS;
    return *function = (void *)kernel, 0;
}
int cuLaunchKernel(void *kernel, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned, void *, void **arguments, void **) {
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) thread((size_t)kernel, arguments);
    return 0;
}

static char architecture[16];
int nvrtcCreateProgram(void **program, const char *text, const char *, int, const char **, const char **names) {
    return *program = (void *)1, strstr(text, "__global__") && !strcmp(names[0], "greeks_body.h") ? 0 : 3;
}
int nvrtcCompileProgram(void *, int, const char **options) {
    const char *given = options[0] + strlen("--gpu-architecture=");
    return strncpy(architecture, given, 15), strncmp(given, "sm_", 3) ? 5 : 0;
}
int nvrtcGetCUBINSize(void *, size_t *size) { return *size = 16, 0; }
int nvrtcGetCUBIN(void *, char *binary) { return memcpy(binary, architecture, 16), 0; }
int nvrtcGetProgramLogSize(void *, size_t *size) { return *size = 20, 0; }
int nvrtcGetProgramLog(void *, char *log) { return strcpy(log, "no such machine\nx"), 0; }
int nvrtcDestroyProgram(void **) { return 0; }
}
