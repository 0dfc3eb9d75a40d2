// y = (q * scale) x for one x: int8 weights with a scale for every `group` of a row.
#include "row.h"

template <typename T, int N> __global__ void __launch_bounds__(256)
int8_matvec_kernel(const int8_t* __restrict__ q, const float* __restrict__ scales, const T* __restrict__ x, T* __restrict__ y, int64_t rows, int cols, int group) {
  constexpr int M = 16/sizeof(T) < N ? 16/sizeof(T) : N;  // elements of x in one load
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y;
    const int packs = row < rows ? cols/N : 0;
    float sum = 0.f;
    each<4>(packs, [&](int, int i) {
      const Pack<int8_t, N> p = load<N>(q + row*cols, i);
      float part = 0.f;
#pragma unroll
      for (int k = 0; k < N/M; k++) {
        const Pack<T, M> v = load<M>(x, int64_t(i)*(N/M) + k);
#pragma unroll
        for (int j = 0; j < M; j++) part += float(p.v[k*M + j])*to_float(v.v[j]);
      }
      sum += part*scales[row*(cols/group) + i*N/group];
    });
    sum = reduce(sum, 0.f, Sum());
    if (threadIdx.x == 0 && row < rows) set(y[row], sum);
  }
}

API int llmbook_int8_matvec(const int8_t* q, const float* scales, const void* x, void* y, int64_t rows, int64_t cols, int64_t group,
                            int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(int8_matvec_kernel<T, (K::n > 1 ? 16 : 1)>, dim3(blocks), dim3(lanes, teams), stream, q, scales, static_cast<const T*>(x), static_cast<T*>(y), rows, cols, group);
  });
}
