// Products on tensor cores. A warp multiplies 16 x 16 by 16 x 8 in one instruction; each lane holds some elements of both
// factors, two bf16 to a register, and four of the result. With g = lane/4 and t = lane%4 the registers of a lane are
//   a[0..3]: row g, g + 8, g, g + 8 of the left factor; columns 2t and 2t + 1, in the last two 8 + 2t and 9 + 2t
//   b[0..1]: column g of the right factor; rows 2t and 2t + 1, then 8 + 2t and 9 + 2t
//   d[0..3]: row g, g, g + 8, g + 8 of the result; columns 2t, 2t + 1, 2t, 2t + 1
#pragma once
#include "row.h"

struct alignas(16) Piece { uint32_t pair[4]; };  // Eight bf16: one row of an 8 x 8 matrix in shared memory

// d += a b
__device__ inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  struct Registers { uint32_t a[4], b[2]; };
  const auto all = emu::show(Registers{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
  for (int four = 0; four < 8; four++) {  // of the 16 columns, two
    const Registers row = all[4*g + four%4], left = all[8*t + four%4], right = all[8*t + 4 + four%4];
    for (int half = 0; half < 2; half++) for (int i = 0; i < 4; i++) {
      const auto value = [&](uint32_t two) { return to_float(bf16{uint16_t(two >> 16*half)}); };
      d[i] += value(row.a[i/2 + four/4*2])*value((i%2 ? right : left).b[four/4]);
    }
  }
#endif
}

// Four 8 x 8 matrices from shared memory into the layout above. Lane l says where row l%8 of matrix l/8 begins, and gets of
// each matrix row g, columns 2t and 2t + 1; TURNED: column g, rows 2t and 2t + 1.
template <bool TURNED, typename Array> __device__ inline void load_matrices(uint32_t (&r)[4], const Array& from, int at) {
#if defined(__CUDACC__)
  const uint32_t p = static_cast<uint32_t>(__cvta_generic_to_shared(&from[at]));
  if (TURNED) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(p) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(p) : "memory");
#else
  const auto all = emu::show(at);
  const int g = threadIdx.x%32/4, t = threadIdx.x%4;
  for (int m = 0; m < 4; m++) {
    if (!TURNED) { r[m] = Piece(from[all[8*m + g]]).pair[t]; continue; }
    const uint32_t one = Piece(from[all[8*m + 2*t]]).pair[g/2], two = Piece(from[all[8*m + 2*t + 1]]).pair[g/2];
    r[m] = (one >> 16*(g%2) & 0xFFFF) | (two >> 16*(g%2)) << 16;
  }
#endif
}

// Two floats as bfloat16 in one register
__device__ inline uint32_t pack(float low, float high) {
#if defined(__CUDACC__)
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
#else
  bf16 a, b;
  set(a, low);
  set(b, high);
  return a.bits | uint32_t(b.bits) << 16;
#endif
}
