// h = x + residual, y = h / rms(h) * w; and back.
#include "row.h"

template <typename T, int N> __global__ void __launch_bounds__(256)
rms_norm_kernel(const T* __restrict__ x, const T* __restrict__ residual, const T* __restrict__ w, T* __restrict__ h, T* __restrict__ y, int64_t rows, int cols, float eps) {
  constexpr int HELD = 4;
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y, at = row*cols;
    const int packs = row < rows ? cols/N : 0;
    Pack<T, N> held[HELD];
    float square = 0.f;
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> p = load<N>(x + at, i);
      if (residual) {
        const Pack<T, N> r = load<N>(residual + at, i);
#pragma unroll
        for (int j = 0; j < N; j++) set(p.v[j], to_float(p.v[j]) + to_float(r.v[j]));
        store(h + at, i, p);
      }
      if (k < HELD) held[k] = p;
#pragma unroll
      for (int j = 0; j < N; j++) square += to_float(p.v[j])*to_float(p.v[j]);
    });
    const float r = rsqrtf(reduce(square, 0.f, Sum())/cols + eps);
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> p = k < HELD ? held[k < HELD ? k : 0] : load<N>((residual ? h : x) + at, i);
      const Pack<T, N> gain = load<N>(w, i);
#pragma unroll
      for (int j = 0; j < N; j++) set(p.v[j], to_float(p.v[j])*r*to_float(gain.v[j]));
      store(y + at, i, p);
    });
  }
}

// dx serves x and the residual alike. Each team sums its share of dw in registers and leaves it in its own row of `dw`,
// which comes as zeros, one row a team.
template <typename T, int N> __global__ void __launch_bounds__(256)
rms_norm_backward_kernel(const T* __restrict__ h, const T* __restrict__ w, const T* __restrict__ dy, const T* __restrict__ dh, T* __restrict__ dx, float* __restrict__ dw, int64_t rows, int cols, float eps) {
  constexpr int HELD = 2;
  float sum[HELD][N] = {};
  float* mine = dw + (int64_t(blockIdx.x)*blockDim.y + threadIdx.y)*cols;
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y, at = row*cols;
    const int packs = row < rows ? cols/N : 0;
    Pack<T, N> hs[HELD], ds[HELD];
    Pair both{0.f, 0.f};
    each<HELD>(packs, [&](int k, int i) {
      const Pack<T, N> p = load<N>(h + at, i), d = load<N>(dy + at, i), gain = load<N>(w, i);
      if (k < HELD) { hs[k] = p; ds[k] = d; }
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float v = to_float(p.v[j]);
        both.a += v*v;
        both.b += to_float(d.v[j])*to_float(gain.v[j])*v;
      }
    });
    both = reduce(both, Pair{0.f, 0.f}, Sum());
    const float r = rsqrtf(both.a/cols + eps), c = both.b*r*r*r/cols;
    each<HELD>(packs, [&](int k, int i) {
      const Pack<T, N> p = k < HELD ? hs[k < HELD ? k : 0] : load<N>(h + at, i), d = k < HELD ? ds[k < HELD ? k : 0] : load<N>(dy + at, i), gain = load<N>(w, i);
      Pack<T, N> out = d;
      if (dh) out = load<N>(dh + at, i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float v = to_float(p.v[j]), g = to_float(d.v[j]);
        set(out.v[j], g*to_float(gain.v[j])*r - v*c + (dh ? to_float(out.v[j]) : 0.f));
        if (k < HELD) sum[k < HELD ? k : 0][j] += g*v*r; else mine[i*N + j] += g*v*r;
      }
      store(dx + at, i, out);
    });
  }
#pragma unroll
  for (int k = 0; k < HELD; k++) if (int i = threadIdx.x + k*blockDim.x; i < cols/N)
#pragma unroll
    for (int j = 0; j < N; j++) mine[i*N + j] = sum[k][j];
}

API int llmbook_rms_norm(const void* x, const void* residual, const void* w, void* h, void* y, int64_t rows, int64_t cols, float eps,
                         int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(rms_norm_kernel<T, K::n>, dim3(blocks), dim3(lanes, teams), stream, static_cast<const T*>(x), static_cast<const T*>(residual), static_cast<const T*>(w), static_cast<T*>(h), static_cast<T*>(y), rows, cols, eps);
  });
}

API int llmbook_rms_norm_backward(const void* h, const void* w, const void* dy, const void* dh, void* dx, float* dw, int64_t rows, int64_t cols, float eps,
                                  int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(rms_norm_backward_kernel<T, K::n>, dim3(blocks), dim3(lanes, teams), stream, static_cast<const T*>(h), static_cast<const T*>(w), static_cast<const T*>(dy), static_cast<const T*>(dh), static_cast<T*>(dx), dw, rows, cols, eps);
  });
}
