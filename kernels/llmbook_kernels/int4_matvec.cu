// y = (q * scale) x for one x: int4 weights, two in a byte, with a bfloat16 scale for every `group` of a row.
#include <cstring>
#include <type_traits>
#include "row.h"

// Weight k of a word: bits 4k to 4k + 3, less 8. No conversion: the four bits are masked where they stand and set into the
// mantissa of the power of two whose float counts in ones there. Taking away that power, and 8, is exact.
__device__ inline float nibble(uint32_t word, int k) {
  const int shift = k < 5 ? 0 : 12, at = 4*k - shift;  // `at` up to 16, since the mantissa has 23 bits
  const uint32_t bits = (word >> shift & 15u << at) | (150u - at) << 23;  // 2^(23 - at) + the four bits
  float v;
  std::memcpy(&v, &bits, 4);
  return v - float((1 << (23 - at)) + 8);
}

// A team takes two rows at a time, so that x is loaded and converted once for both.
template <typename T, int N> __global__ void __launch_bounds__(256)
int4_matvec_kernel(const uint8_t* __restrict__ q, const bf16* __restrict__ scales, const T* __restrict__ x, T* __restrict__ y, int64_t rows, int cols, int group) {
  using Word = std::conditional_t<N == 32, uint32_t, uint8_t>;
  constexpr int W = 2*sizeof(Word), M = N == 32 ? 16/sizeof(T) : 1;  // weights in a word, elements of x in one load
  int shift = 0;
  while (N << shift < group) shift++;  // full packs come in groups of 32, 64, 128, ...
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; 2*base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = 2*(base + threadIdx.y), rs[2] = {row, row + 1 < rows ? row + 1 : row};  // an odd last row stands twice
    const int packs = row < rows ? cols/N : 0;
    float sum[2] = {0.f, 0.f};
    each<4>(packs, [&](int, int i) {
      Pack<Word, N/W> p[2];
      float part[2] = {0.f, 0.f};
#pragma unroll
      for (int r = 0; r < 2; r++) p[r] = load<N/W>(reinterpret_cast<const Word*>(q + rs[r]*(cols/2)), i);
#pragma unroll
      for (int j = 0; j < N; j += M) {
        const Pack<T, M> v = load<M>(x, int64_t(i)*(N/M) + j/M);
#pragma unroll
        for (int m = 0; m < M; m++) {
          const float a = to_float(v.v[m]);
#pragma unroll
          for (int r = 0; r < 2; r++) part[r] += nibble(p[r].v[(j + m)/W], (j + m)%W)*a;
        }
      }
#pragma unroll
      for (int r = 0; r < 2; r++) sum[r] += part[r]*to_float(scales[rs[r]*(cols/group) + (N == 32 ? i >> shift : i*N/group)]);
    });
    const Pair s = reduce(Pair{sum[0], sum[1]}, Pair{0.f, 0.f}, Sum());
    if (threadIdx.x == 0 && row < rows) set(y[row], s.a);
    if (threadIdx.x == 0 && row + 1 < rows) set(y[row + 1], s.b);
  }
}

API int llmbook_int4_matvec(const uint8_t* q, const void* scales, const void* x, void* y, int64_t rows, int64_t cols, int64_t group,
                            int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(int4_matvec_kernel<T, (K::n > 1 ? 32 : 2)>, dim3(blocks), dim3(lanes, teams), stream, q, static_cast<const bf16*>(scales), static_cast<const T*>(x), static_cast<T*>(y), rows, cols, group);
  });
}
