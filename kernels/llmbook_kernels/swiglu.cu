// y = silu(gate) * up, element by element; the way back makes y again, so that nobody has to keep it.
#include "row.h"

template <typename T, int N> __global__ void __launch_bounds__(256)
swiglu_kernel(const T* __restrict__ gate, const T* __restrict__ up, T* __restrict__ y, int64_t packs) {
  for (int64_t i = int64_t(blockIdx.x)*blockDim.x + threadIdx.x; i < packs; i += int64_t(gridDim.x)*blockDim.x) {
    const Pack<T, N> g = load<N>(gate, i), u = load<N>(up, i);
    Pack<T, N> out;
#pragma unroll
    for (int j = 0; j < N; j++) { const float a = to_float(g.v[j]); set(out.v[j], a/(1.f + __expf(-a))*to_float(u.v[j])); }
    store(y, i, out);
  }
}

template <typename T, int N> __global__ void __launch_bounds__(256)
swiglu_backward_kernel(const T* __restrict__ gate, const T* __restrict__ up, const T* __restrict__ dy, T* __restrict__ dgate, T* __restrict__ dup, T* __restrict__ y, int64_t packs) {
  for (int64_t i = int64_t(blockIdx.x)*blockDim.x + threadIdx.x; i < packs; i += int64_t(gridDim.x)*blockDim.x) {
    const Pack<T, N> g = load<N>(gate, i), u = load<N>(up, i), d = load<N>(dy, i);
    Pack<T, N> dg, du, out;
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float a = to_float(g.v[j]), b = to_float(u.v[j]), c = to_float(d.v[j]), s = 1.f/(1.f + __expf(-a));
      set(dg.v[j], c*b*s*(1.f + a*(1.f - s)));
      set(du.v[j], c*a*s);
      set(out.v[j], a*s*b);
    }
    store(dgate, i, dg);
    store(dup, i, du);
    if (y) store(y, i, out);
  }
}

API int llmbook_swiglu(const void* gate, const void* up, void* y, int64_t count, int64_t type, int64_t pack, int64_t blocks, int64_t threads, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(swiglu_kernel<T, K::n>, dim3(blocks), dim3(threads), stream, static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<T*>(y), count/K::n);
  });
}

API int llmbook_swiglu_backward(const void* gate, const void* up, const void* dy, void* dgate, void* dup, void* y, int64_t count,
                                int64_t type, int64_t pack, int64_t blocks, int64_t threads, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(swiglu_backward_kernel<T, K::n>, dim3(blocks), dim3(threads), stream, static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<const T*>(dy), static_cast<T*>(dgate), static_cast<T*>(dup), static_cast<T*>(y), count/K::n);
  });
}
