// Logits to loss and gradient, in place.
#include "row.h"

struct SoftSum {  // Pair{m, s}: s is the sum of exp(z - m) over what was seen, m the largest
  __device__ Pair operator()(Pair a, Pair b) const {
    float m = fmaxf(a.a, b.a);
    return {m, (a.a == m ? a.b : a.b*__expf(a.a - m)) + (b.a == m ? b.b : b.b*__expf(b.a - m))};
  }
};

template <typename T, int N> __global__ void __launch_bounds__(512, 2)
cross_entropy_kernel(T* __restrict__ logits, const int64_t* __restrict__ targets, float* __restrict__ loss, int64_t rows, int cols, float scale, int64_t ignore, int gradient) {
  constexpr int HELD = 6;
  for (int64_t base = int64_t(blockIdx.x)*blockDim.y; base < rows; base += int64_t(gridDim.x)*blockDim.y) {
    const int64_t row = base + threadIdx.y;
    const int packs = row < rows ? cols/N : 0;
    T* z = logits + row*cols;
    const int64_t target = row < rows ? targets[row] : ignore;
    const bool ignored = target == ignore, known = target >= 0 && target < cols;
    Pack<T, N> held[HELD];
    Pair sum{-INFINITY, 0.f};
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> p = load<N>(z, i);
      if (k < HELD) held[k] = p;
      float top = sum.a, s = 0.f;
#pragma unroll
      for (int j = 0; j < N; j++) top = fmaxf(top, to_float(p.v[j]));
      const float shift = top == -INFINITY ? 0.f : top;
#pragma unroll
      for (int j = 0; j < N; j++) s += __expf(to_float(p.v[j]) - shift);
      sum = {top, sum.b*__expf(sum.a - shift) + s};
    });
    sum = reduce(sum, Pair{-INFINITY, 0.f}, SoftSum());
    if (threadIdx.x == 0 && row < rows) loss[row] = ignored ? 0.f : known ? __logf(sum.b) + sum.a - to_float(z[target]) : NAN;
    __syncthreads();  // the target's logit is read before the row is overwritten
    if (!gradient) continue;
    const float factor = known ? scale/sum.b : NAN;
    each<HELD>(packs, [&](int k, int i) {
      Pack<T, N> p = k < HELD ? held[k < HELD ? k : 0] : load<N>(z, i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        float g = ignored ? 0.f : __expf(to_float(p.v[j]) - sum.a)*factor;
        set(p.v[j], !ignored && int64_t(i)*N + j == target ? g - scale : g);
      }
      store(z, i, p);
    });
  }
}

API int llmbook_cross_entropy(void* logits, const int64_t* targets, float* loss, int64_t rows, int64_t cols, float scale, int64_t ignore,
                              int64_t gradient, int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream) {
  return choose(type, pack, [=](auto kind) {
    using K = decltype(kind);
    using T = typename K::type;
    return launch(cross_entropy_kernel<T, K::n>, dim3(blocks), dim3(lanes, teams), stream, static_cast<T*>(logits), targets, loss, rows, cols, scale, ignore, gradient);
  });
}
