// The template of every kernel here. A row is shared by a team of `blockDim.x` threads: a part of a warp, a warp, or a
// whole block; `blockDim.y` teams share a block. A thread moves 16 bytes at a time where rows allow it (N elements), and
// keeps its first HELD packs in registers, so that a second pass over a row of usual size reads no memory.
#pragma once
#include "device.h"

template <typename T, int N> struct alignas(sizeof(T)*N) Pack { T v[N]; };
template <int N, typename T> __device__ inline Pack<T, N> load(const T* p, int64_t i) { return reinterpret_cast<const Pack<T, N>*>(p)[i]; }
template <typename T, int N> __device__ inline void store(T* p, int64_t i, Pack<T, N> v) { reinterpret_cast<Pack<T, N>*>(p)[i] = v; }

// Calls f(k, i) for every pack i of this thread; k is its register slot, known to the compiler, or HELD where there is none.
template <int HELD, typename F> __device__ inline void each(int packs, F f) {
#pragma unroll
  for (int k = 0; k < HELD; k++) if (int i = threadIdx.x + k*blockDim.x; i < packs) f(k, i);
  for (int i = threadIdx.x + HELD*blockDim.x; i < packs; i += blockDim.x) f(HELD, i);
}

struct Pair { float a, b; };
__device__ inline float from_lane(float v, int x) { return __shfl_xor_sync(~0u, v, x); }
__device__ inline Pair from_lane(Pair v, int x) { return {from_lane(v.a, x), from_lane(v.b, x)}; }
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
  __device__ Pair operator()(Pair a, Pair b) const { return {a.a + b.a, a.b + b.b}; }
};

// Combine the values of a team; every thread of it gets the result. All threads of the block must call it.
template <typename T, typename Op> __device__ inline T reduce(T v, T none, Op op) {
  const int lanes = blockDim.x;
  for (int x = (lanes < 32 ? lanes : 32)/2; x; x /= 2) v = op(v, from_lane(v, x));
  if (lanes <= 32) return v;
  SHARED(T, part, 32);
  const int lane = threadIdx.x%32, warp = threadIdx.x/32;
  if (lane == 0) part[warp] = v;
  __syncthreads();
  v = none;
  if (lane < lanes/32) v = part[lane];
  for (int x = 16; x; x /= 2) v = op(v, from_lane(v, x));
  __syncthreads();  // the next reduction writes `part` again
  return v;
}

// What the caller chose: the type of an element, and how many are in a pack.
template <typename T, int N> struct Kind { using type = T; static constexpr int n = N; };
template <typename F> int choose(int64_t type, int64_t pack, F f) {
  if (type == BFLOAT16) return pack == 8 ? f(Kind<bf16, 8>()) : f(Kind<bf16, 1>());
  return pack == 4 ? f(Kind<float, 4>()) : f(Kind<float, 1>());
}
