// What a kernel may use, on either back-end: nvcc and a GPU, or any C++17 compiler and emu.h.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__CUDACC__)
#define API extern "C" __attribute__((visibility("default")))
#define SHARED(T, name, n) __shared__ T name[n]
template <typename... P, typename... A> int launch(void (*kernel)(P...), dim3 grid, dim3 block, void* stream, A... a) {
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<P>(a)...);
  return cudaGetLastError();
}
#else
#include "emu.h"
#endif

struct bf16 { uint16_t bits; };  // The upper half of a float
constexpr int FLOAT32 = 0, BFLOAT16 = 1;

__device__ inline float to_float(float v) { return v; }
#if defined(__CUDACC__)
__device__ inline float to_float(bf16 v) { return __uint_as_float(uint32_t(v.bits) << 16); }
__device__ inline void set(bf16& to, float v) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(v)); }
#else
inline float to_float(bf16 v) { uint32_t u = uint32_t(v.bits) << 16; float f; std::memcpy(&f, &u, 4); return f; }
inline void set(bf16& to, float v) {  // to the nearest, ties to even
  uint32_t u;
  std::memcpy(&u, &v, 4);
  to.bits = v != v ? 0x7FFF : (u + 0x7FFF + (u >> 16 & 1)) >> 16;
}
#endif
__device__ inline void set(float& to, float v) { to = v; }
