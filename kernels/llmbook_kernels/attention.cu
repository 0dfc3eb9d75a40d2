// FlashAttention on tensor cores. A block owns 64 rows, 16 to a warp, and keeps them in registers; the rows they meet come
// through shared memory, a tile at a time. Heads of K channels; a tile has N rows, K/8 pieces each and one to spare, which
// puts neighbouring rows into different banks.
#include "mma.h"

constexpr int OWN = 64;
constexpr float LOG2E = 1.4426950408889634f;
template <int K> constexpr int STRIDE = K/8 + 1;

// Rows of the left factor for this warp, from memory to registers; rows from `count` on are zero
template <int K> __device__ inline void own(uint32_t (&a)[K/16][4], const bf16* from, int first, int count) {
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
#pragma unroll
  for (int j = 0; j < K/16; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = first + g + i%2*8;
      a[j][i] = row < count ? reinterpret_cast<const uint32_t*>(from + int64_t(row)*K)[j*8 + i/2*4 + t] : 0;
    }
}

template <int K, int N, typename Array> __device__ inline void fetch(Array& to, const bf16* from, int first, int count) {
  for (int i = threadIdx.x; i < N*K/8; i += blockDim.x) {
    const int row = i/(K/8), piece = i%(K/8);
    to[row*STRIDE<K> + piece] = first + row < count ? reinterpret_cast<const Piece*>(from + int64_t(first + row)*K)[piece] : Piece{};
  }
}

// s = a tile^T: 16 rows against N
template <int K, int N, typename Array> __device__ inline void against(float (&s)[N/8][4], const uint32_t (&a)[K/16][4], const Array& tile) {
  const int lane = threadIdx.x%32;
#pragma unroll
  for (int n = 0; n < N/16; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) s[2*n][i] = s[2*n + 1][i] = 0.f;
#pragma unroll
    for (int j = 0; j < K/16; j++) {
      uint32_t b[4];
      load_matrices<false>(b, tile, (n*16 + lane/16*8 + lane%8)*STRIDE<K> + 2*j + lane/8%2);
      multiply(s[2*n], a[j], b[0], b[1]);
      multiply(s[2*n + 1], a[j], b[2], b[3]);
    }
  }
}

// o += s tile: what was a result becomes a left factor, in the same registers
template <int K, int N, typename Array> __device__ inline void gather(float (&o)[K/8][4], const float (&s)[N/8][4], const Array& tile) {
  const int lane = threadIdx.x%32;
#pragma unroll
  for (int n = 0; n < N/16; n++) {
    const uint32_t a[4] = {pack(s[2*n][0], s[2*n][1]), pack(s[2*n][2], s[2*n][3]), pack(s[2*n + 1][0], s[2*n + 1][1]), pack(s[2*n + 1][2], s[2*n + 1][3])};
#pragma unroll
    for (int j = 0; j < K/16; j++) {
      uint32_t b[4];
      load_matrices<true>(b, tile, (n*16 + lane/8%2*8 + lane%8)*STRIDE<K> + 2*j + lane/16);
      multiply(o[2*j], a, b[0], b[1]);
      multiply(o[2*j + 1], a, b[2], b[3]);
    }
  }
}

// Rows of the result to memory, each times its factor
template <int K> __device__ inline void put(bf16* to, const float (&o)[K/8][4], int first, int count, float low, float high) {
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
#pragma unroll
  for (int half = 0; half < 2; half++) if (const int row = first + g + 8*half; row < count)
#pragma unroll
    for (int j = 0; j < K/8; j++) {
      const float by = half ? high : low;
      reinterpret_cast<uint32_t*>(to + int64_t(row)*K)[4*j + t] = pack(o[j][2*half]*by, o[j][2*half + 1]*by);
    }
}

template <typename Op> __device__ inline float across(float v, Op op) {  // the four lanes that share a row
  v = op(v, from_lane(v, 1));
  return op(v, from_lane(v, 2));
}
struct Largest { __device__ float operator()(float a, float b) const { return fmaxf(a, b); } };

template <typename T, int K> __global__ void __launch_bounds__(128, 1)
attention_kernel(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, T* __restrict__ o, float* __restrict__ lse, int heads, int group, int queries, int keys, int tiles, float scale, bool causal) {
  constexpr int N = K > 64 ? 32 : 64;
  SHARED(Piece, tk, N*STRIDE<K>);
  SHARED(Piece, tv, N*STRIDE<K>);
  const int head = blockIdx.x%heads, block = (tiles - 1 - blockIdx.x/heads)*OWN, first = block + threadIdx.x/32*16;  // the longest first
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
  q += int64_t(head)*queries*K, k += int64_t(head/group)*keys*K, v += int64_t(head/group)*keys*K;
  uint32_t a[K/16][4];
  own<K>(a, q, first, queries);
  float out[K/8][4] = {}, s[N/8][4], most[2] = {-INFINITY, -INFINITY}, sum[2] = {0.f, 0.f};
  const int stop = causal && block + OWN < keys ? block + OWN : keys;
  for (int at = 0; at < stop; at += N) {
    __syncthreads();  // the tile before this one has been read
    fetch<K, N>(tk, k, at, keys);
    fetch<K, N>(tv, v, at, keys);
    __syncthreads();
    against<K, N>(s, a, tk);
    if (at + N > keys || (causal && at + N > first))
#pragma unroll
      for (int j = 0; j < N/8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) if (const int col = at + 8*j + 2*t + i%2; col >= keys || (causal && col > first + g + i/2*8)) s[j][i] = -INFINITY;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float top = -INFINITY;
#pragma unroll
      for (int j = 0; j < N/8; j++) top = fmaxf(top, fmaxf(s[j][2*half], s[j][2*half + 1]));
      top = fmaxf(most[half], across(top, Largest())*scale);
      const float shrink = exp2f(most[half] - top);
      most[half] = top;
      sum[half] *= shrink;
#pragma unroll
      for (int j = 0; j < N/8; j++)
#pragma unroll
        for (int i = 2*half; i < 2*half + 2; i++) sum[half] += s[j][i] = exp2f(s[j][i]*scale - top);
#pragma unroll
      for (int j = 0; j < K/8; j++) { out[j][2*half] *= shrink; out[j][2*half + 1] *= shrink; }
    }
    gather<K, N>(out, s, tv);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    sum[half] = across(sum[half], Sum());
    if (const int row = first + g + 8*half; t == 0 && row < queries) lse[int64_t(head)*queries + row] = (most[half] + log2f(sum[half]))/LOG2E;
  }
  put<K>(o + int64_t(head)*queries*K, out, first, queries, 1.f/sum[0], 1.f/sum[1]);
}

// Back, for queries: the weights are made again from the logsumexp
template <typename T, int K> __global__ void __launch_bounds__(128, 1)
attention_dq_kernel(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const T* __restrict__ d, const float* __restrict__ lse, const float* __restrict__ delta, T* __restrict__ dq, int heads, int group, int queries, int keys, int tiles, float scale, bool causal) {
  constexpr int N = K > 64 ? 32 : 64;
  SHARED(Piece, tk, N*STRIDE<K>);
  SHARED(Piece, tv, N*STRIDE<K>);
  const int head = blockIdx.x%heads, block = (tiles - 1 - blockIdx.x/heads)*OWN, first = block + threadIdx.x/32*16;
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
  q += int64_t(head)*queries*K, d += int64_t(head)*queries*K, k += int64_t(head/group)*keys*K, v += int64_t(head/group)*keys*K;
  uint32_t a[K/16][4], b[K/16][4];
  own<K>(a, q, first, queries);
  own<K>(b, d, first, queries);
  float out[K/8][4] = {}, s[N/8][4], ds[N/8][4], l[2] = {INFINITY, INFINITY}, sub[2] = {0.f, 0.f};
#pragma unroll
  for (int half = 0; half < 2; half++) if (const int row = first + g + 8*half; row < queries) {
    l[half] = lse[int64_t(head)*queries + row]*LOG2E;
    sub[half] = delta[int64_t(head)*queries + row];
  }
  const int stop = causal && block + OWN < keys ? block + OWN : keys;
  for (int at = 0; at < stop; at += N) {
    __syncthreads();
    fetch<K, N>(tk, k, at, keys);
    fetch<K, N>(tv, v, at, keys);
    __syncthreads();
    against<K, N>(s, a, tk);
    against<K, N>(ds, b, tv);
#pragma unroll
    for (int j = 0; j < N/8; j++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int col = at + 8*j + 2*t + i%2;
        const bool seen = col < keys && !(causal && col > first + g + i/2*8);
        ds[j][i] = seen ? exp2f(s[j][i]*scale - l[i/2])*(ds[j][i] - sub[i/2]) : 0.f;
      }
    gather<K, N>(out, ds, tk);
  }
  put<K>(dq + int64_t(head)*queries*K, out, first, queries, scale/LOG2E, scale/LOG2E);
}

// Back, for keys and values: now they are the rows that stay, and the queries of all heads in the group come by
template <typename T, int K> __global__ void __launch_bounds__(128, 1)
attention_dkv_kernel(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const T* __restrict__ d, const float* __restrict__ lse, const float* __restrict__ delta, T* __restrict__ dk, T* __restrict__ dv, int shared_heads, int group, int queries, int keys, float scale, bool causal) {
  constexpr int N = K > 64 ? 16 : 64;
  SHARED(Piece, tq, N*STRIDE<K>);
  SHARED(Piece, td, N*STRIDE<K>);
  SHARED(float, tl, N);
  SHARED(float, ts, N);
  const int head = blockIdx.x%shared_heads, block = blockIdx.x/shared_heads*OWN, first = block + threadIdx.x/32*16;
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
  uint32_t a[K/16][4], b[K/16][4];
  own<K>(a, k + int64_t(head)*keys*K, first, keys);
  own<K>(b, v + int64_t(head)*keys*K, first, keys);
  float outk[K/8][4] = {}, outv[K/8][4] = {}, s[N/8][4], ds[N/8][4];
  for (int h = head*group; h < (head + 1)*group; h++)
    for (int at = causal ? block : 0; at < queries; at += N) {
      __syncthreads();
      fetch<K, N>(tq, q + int64_t(h)*queries*K, at, queries);
      fetch<K, N>(td, d + int64_t(h)*queries*K, at, queries);
      if (const int i = threadIdx.x; i < N) {
        tl[i] = at + i < queries ? lse[int64_t(h)*queries + at + i]*LOG2E : INFINITY;
        ts[i] = at + i < queries ? delta[int64_t(h)*queries + at + i] : 0.f;
      }
      __syncthreads();
      against<K, N>(s, a, tq);
#pragma unroll
      for (int j = 0; j < N/8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int col = 8*j + 2*t + i%2;
          const bool seen = !(causal && first + g + i/2*8 > at + col);
          s[j][i] = seen ? exp2f(s[j][i]*scale - tl[col]) : 0.f;
        }
      gather<K, N>(outv, s, td);
      against<K, N>(ds, b, td);
#pragma unroll
      for (int j = 0; j < N/8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) ds[j][i] = s[j][i]*(ds[j][i] - ts[8*j + 2*t + i%2]);
      gather<K, N>(outk, ds, tq);
    }
  put<K>(dk + int64_t(head)*keys*K, outk, first, keys, scale/LOG2E, scale/LOG2E);
  put<K>(dv + int64_t(head)*keys*K, outv, first, keys, 1.f, 1.f);
}

template <typename F> int choose_width(int64_t width, F f) {
  if (width == 32) return f(Kind<bf16, 32>());
  return width == 64 ? f(Kind<bf16, 64>()) : f(Kind<bf16, 128>());
}
static const bf16* in(const void* p) { return static_cast<const bf16*>(p); }

API int llmbook_attention(const void* q, const void* k, const void* v, void* o, float* lse, int64_t heads, int64_t group, int64_t queries, int64_t keys, int64_t width, float scale, int64_t causal, void* stream) {
  return choose_width(width, [=](auto kind) {
    constexpr int K = decltype(kind)::n;
    const int64_t tiles = (queries + OWN - 1)/OWN;
    return launch(attention_kernel<bf16, K>, dim3(tiles*heads), dim3(128), stream, in(q), in(k), in(v), static_cast<bf16*>(o), lse, heads, group, queries, keys, tiles, scale*LOG2E, causal);
  });
}

API int llmbook_attention_backward(const void* q, const void* k, const void* v, const void* d, const float* lse, const float* delta, void* dq, void* dk, void* dv, int64_t heads, int64_t group, int64_t queries, int64_t keys, int64_t width, float scale, int64_t causal, void* stream) {
  return choose_width(width, [=](auto kind) {
    constexpr int K = decltype(kind)::n;
    const int64_t tiles = (queries + OWN - 1)/OWN;
    const int failed = launch(attention_dq_kernel<bf16, K>, dim3(tiles*heads), dim3(128), stream, in(q), in(k), in(v), in(d), lse, delta, static_cast<bf16*>(dq), heads, group, queries, keys, tiles, scale*LOG2E, causal);
    return failed ? failed : launch(attention_dkv_kernel<bf16, K>, dim3((keys + OWN - 1)/OWN*(heads/group)), dim3(128), stream, in(q), in(k), in(v), in(d), lse, delta, static_cast<bf16*>(dk), static_cast<bf16*>(dv), heads/group, group, queries, keys, scale*LOG2E, causal);
  });
}

// One product of a warp, for the page: d = a b for a of 16 x 16 and b of 16 x 8
template <typename T, int K> __global__ void __launch_bounds__(32) product_kernel(const T* a, const T* b, float* d) {
  SHARED(Piece, rows, 16);
  uint32_t left[4], right[4];
  float sum[4] = {};
  own<K>(reinterpret_cast<uint32_t (&)[K/16][4]>(left), a, 0, 16);
  if (threadIdx.x < 16) rows[threadIdx.x] = reinterpret_cast<const Piece*>(b)[threadIdx.x];
  __syncthreads();
  load_matrices<true>(right, rows, threadIdx.x%16);
  multiply(sum, left, right[0], right[1]);
  const int g = threadIdx.x/4, t = threadIdx.x%4;
  for (int i = 0; i < 4; i++) d[(g + i/2*8)*8 + 2*t + i%2] = sum[i];
}
API int llmbook_product(const void* a, const void* b, float* d, void* stream) { return launch(product_kernel<bf16, 16>, dim3(1), dim3(32), stream, in(a), in(b), d); }
