// A head of queries or keys: normalise, then rotate by its token's angle; and back.
// Channel i turns with channel i + cols/2, so a thread takes a pack from each half.
#include "row.h"

// N angles, in loads of 16 bytes where N allows it
template <int N> __device__ inline Pack<float, N> angles(const float* p, int i) {
  constexpr int M = N < 4 ? N : 4;
  Pack<float, N> all;
#pragma unroll
  for (int k = 0; k < N/M; k++) {
    const Pack<float, M> part = load<M>(p, i*(N/M) + k);
#pragma unroll
    for (int j = 0; j < M; j++) all.v[k*M + j] = part.v[j];
  }
  return all;
}

template <typename T, int N> __global__ void __launch_bounds__(256)
norm_rope_kernel(const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ cosines, const float* __restrict__ sines, T* __restrict__ y, int64_t rows, int cols, int heads, int64_t tokens, float eps) {
  constexpr int HELD = 1;
  const int half = cols/2;
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y, at = row*cols, table = int64_t(uint32_t(row)/uint32_t(heads)%uint32_t(tokens))*half;
    const int packs = row < rows ? half/N : 0;
    Pack<T, N> as[HELD], bs[HELD];
    float square = 0.f;
    each<HELD>(packs, [&](int k, int i) {
      const Pack<T, N> a = load<N>(x + at, i), b = load<N>(x + at + half, i);
      if (k < HELD) { as[k] = a; bs[k] = b; }
#pragma unroll
      for (int j = 0; j < N; j++) square += to_float(a.v[j])*to_float(a.v[j]) + to_float(b.v[j])*to_float(b.v[j]);
    });
    const float r = rsqrtf(reduce(square, 0.f, Sum())/cols + eps);
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> a = k < HELD ? as[k < HELD ? k : 0] : load<N>(x + at, i), b = k < HELD ? bs[k < HELD ? k : 0] : load<N>(x + at + half, i);
      const Pack<T, N> wa = load<N>(w, i), wb = load<N>(w + half, i);
      const Pack<float, N> c = angles<N>(cosines + table, i), s = angles<N>(sines + table, i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float u = to_float(a.v[j])*r*to_float(wa.v[j]), v = to_float(b.v[j])*r*to_float(wb.v[j]);
        set(a.v[j], u*c.v[j] - v*s.v[j]);
        set(b.v[j], v*c.v[j] + u*s.v[j]);
      }
      store(y + at, i, a);
      store(y + at + half, i, b);
    });
  }
}

// Back: the gradient is rotated the other way, then goes through the norm.
template <typename T, int N> __global__ void __launch_bounds__(256)
norm_rope_backward_kernel(const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ cosines, const float* __restrict__ sines, const T* __restrict__ dy, T* __restrict__ dx, float* __restrict__ dw, int64_t rows, int cols, int heads, int64_t tokens, float eps) {
  constexpr int HELD = 1;
  const int half = cols/2;
  float sum[HELD][2][N] = {};
  float* mine = dw + (int64_t(blockIdx.x)*blockDim.y + threadIdx.y)*cols;
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y, at = row*cols, table = int64_t(uint32_t(row)/uint32_t(heads)%uint32_t(tokens))*half;
    const int packs = row < rows ? half/N : 0;
    Pack<T, N> as[HELD], bs[HELD];
    Pack<float, N> gas[HELD], gbs[HELD];
    const auto turn_back = [&](int i, Pack<float, N>& ga, Pack<float, N>& gb) {  // the gradient before the rotation
      const Pack<T, N> da = load<N>(dy + at, i), db = load<N>(dy + at + half, i);
      const Pack<float, N> c = angles<N>(cosines + table, i), s = angles<N>(sines + table, i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float u = to_float(da.v[j]), v = to_float(db.v[j]);
        ga.v[j] = u*c.v[j] + v*s.v[j];
        gb.v[j] = v*c.v[j] - u*s.v[j];
      }
    };
    Pair both{0.f, 0.f};
    each<HELD>(packs, [&](int k, int i) {
      const Pack<T, N> a = load<N>(x + at, i), b = load<N>(x + at + half, i), wa = load<N>(w, i), wb = load<N>(w + half, i);
      Pack<float, N> ga, gb;
      turn_back(i, ga, gb);
      if (k < HELD) { as[k] = a; bs[k] = b; gas[k] = ga; gbs[k] = gb; }
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float u = to_float(a.v[j]), v = to_float(b.v[j]);
        both.a += u*u + v*v;
        both.b += ga.v[j]*to_float(wa.v[j])*u + gb.v[j]*to_float(wb.v[j])*v;
      }
    });
    both = reduce(both, Pair{0.f, 0.f}, Sum());
    const float r = rsqrtf(both.a/cols + eps), c = both.b*r*r*r/cols;
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> a, b;
      Pack<float, N> ga, gb;
      if (k < HELD) { a = as[k < HELD ? k : 0]; b = bs[k < HELD ? k : 0]; ga = gas[k < HELD ? k : 0]; gb = gbs[k < HELD ? k : 0]; }
      else { a = load<N>(x + at, i); b = load<N>(x + at + half, i); turn_back(i, ga, gb); }
      const Pack<T, N> wa = load<N>(w, i), wb = load<N>(w + half, i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float u = to_float(a.v[j]), v = to_float(b.v[j]);
        set(a.v[j], ga.v[j]*to_float(wa.v[j])*r - u*c);
        set(b.v[j], gb.v[j]*to_float(wb.v[j])*r - v*c);
        if (k < HELD) { sum[k < HELD ? k : 0][0][j] += ga.v[j]*u*r; sum[k < HELD ? k : 0][1][j] += gb.v[j]*v*r; }
        else { mine[i*N + j] += ga.v[j]*u*r; mine[half + i*N + j] += gb.v[j]*v*r; }
      }
      store(dx + at, i, a);
      store(dx + at + half, i, b);
    });
  }
#pragma unroll
  for (int k = 0; k < HELD; k++) if (int i = threadIdx.x + k*blockDim.x; i < half/N)
#pragma unroll
    for (int j = 0; j < N; j++) { mine[i*N + j] = sum[k][0][j]; mine[half + i*N + j] = sum[k][1][j]; }
}

API int llmbook_norm_rope(const void* x, const void* w, const float* cosines, const float* sines, void* y, int64_t rows, int64_t cols, int64_t heads, int64_t tokens, float eps,
                          int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(norm_rope_kernel<T, K::n>, dim3(blocks), dim3(lanes, teams), stream, static_cast<const T*>(x), static_cast<const T*>(w), cosines, sines, static_cast<T*>(y), rows, cols, heads, tokens, eps);
  });
}

API int llmbook_norm_rope_backward(const void* x, const void* w, const float* cosines, const float* sines, const void* dy, void* dx, float* dw, int64_t rows, int64_t cols, int64_t heads, int64_t tokens, float eps,
                                   int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(norm_rope_backward_kernel<T, K::n>, dim3(blocks), dim3(lanes, teams), stream, static_cast<const T*>(x), static_cast<const T*>(w), cosines, sines, static_cast<const T*>(dy), static_cast<T*>(dx), dw, rows, cols, heads, tokens, eps);
  });
}
