// The kernels as PyTorch operators, for the Hub's kernel builder. The book itself calls them through ctypes.
#include <ATen/core/Tensor.h>
#include <torch/library.h>
#if defined(CUDA_KERNEL)
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif
#include <optional>
#include "registration.h"
#include "torch_binding.h"

using at::Tensor;
using Maybe = std::optional<Tensor>;

static void* pointer(const Tensor& t) { return t.data_ptr(); }
static void* pointer(const Maybe& t) { return t ? t->data_ptr() : nullptr; }
static float* floats(const Tensor& t) { return t.data_ptr<float>(); }
static int64_t type(const Tensor& t) {
  TORCH_CHECK(t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16, "the kernels take float32 and bfloat16");
  TORCH_CHECK(t.is_contiguous(), "the kernels take contiguous tensors");
  return t.scalar_type() == at::kBFloat16;
}
static int64_t rows(const Tensor& t) { return t.numel()/t.size(-1); }

// On the device of x and PyTorch's current stream
template <typename F> static void run(const Tensor& x, F f) {
#if defined(CUDA_KERNEL)
  const c10::cuda::CUDAGuard guard(x.device());
  const int code = f(static_cast<void*>(c10::cuda::getCurrentCUDAStream().stream()));
#else
  const int code = f(nullptr);
#endif
  TORCH_CHECK(code == 0, llmbook_error(code));
}

static void cross_entropy(Tensor logits, Tensor targets, Tensor loss, double scale, int64_t ignore, bool gradient, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(logits, [&](void* s) { return llmbook_cross_entropy(pointer(logits), targets.data_ptr<int64_t>(), floats(loss), rows(logits), logits.size(-1), scale, ignore, gradient, type(logits), pack, blocks, lanes, teams, s); });
}
static void rms_norm(Tensor x, Maybe residual, Tensor w, Maybe h, Tensor y, double eps, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(x, [&](void* s) { return llmbook_rms_norm(pointer(x), pointer(residual), pointer(w), pointer(h), pointer(y), rows(x), x.size(-1), eps, type(x), pack, blocks, lanes, teams, s); });
}
static void rms_norm_backward(Tensor h, Tensor w, Tensor dy, Maybe dh, Tensor dx, Tensor dw, double eps, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(h, [&](void* s) { return llmbook_rms_norm_backward(pointer(h), pointer(w), pointer(dy), pointer(dh), pointer(dx), floats(dw), rows(h), h.size(-1), eps, type(h), pack, blocks, lanes, teams, s); });
}
static void norm_rope(Tensor x, Tensor w, Tensor cosines, Tensor sines, Tensor y, double eps, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(x, [&](void* s) { return llmbook_norm_rope(pointer(x), pointer(w), floats(cosines), floats(sines), pointer(y), rows(x), x.size(-1), x.size(-2), rows(cosines), eps, type(x), pack, blocks, lanes, teams, s); });
}
static void norm_rope_backward(Tensor x, Tensor w, Tensor cosines, Tensor sines, Tensor dy, Tensor dx, Tensor dw, double eps, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(x, [&](void* s) { return llmbook_norm_rope_backward(pointer(x), pointer(w), floats(cosines), floats(sines), pointer(dy), pointer(dx), floats(dw), rows(x), x.size(-1), x.size(-2), rows(cosines), eps, type(x), pack, blocks, lanes, teams, s); });
}
static void swiglu(Tensor gate, Tensor up, Tensor y, int64_t pack, int64_t blocks, int64_t threads) {
  run(gate, [&](void* s) { return llmbook_swiglu(pointer(gate), pointer(up), pointer(y), gate.numel(), type(gate), pack, blocks, threads, s); });
}
static void swiglu_backward(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup, Maybe y, int64_t pack, int64_t blocks, int64_t threads) {
  run(gate, [&](void* s) { return llmbook_swiglu_backward(pointer(gate), pointer(up), pointer(dy), pointer(dgate), pointer(dup), pointer(y), gate.numel(), type(gate), pack, blocks, threads, s); });
}
static void attention(Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse, double scale, bool causal) {
  for (const Tensor& t : {q, k, v, o}) TORCH_CHECK(type(t) == 1 && t.dim() == 4 && t.size(3) == q.size(3), "attention takes bfloat16 of four dimensions and one width");
  run(q, [&](void* s) { return llmbook_attention(pointer(q), pointer(k), pointer(v), pointer(o), floats(lse), q.size(0)*q.size(1), q.size(1)/k.size(1), q.size(2), k.size(2), q.size(3), scale, causal, s); });
}
static void attention_backward(Tensor q, Tensor k, Tensor v, Tensor d, Tensor lse, Tensor delta, Tensor dq, Tensor dk, Tensor dv, double scale, bool causal) {
  for (const Tensor& t : {q, k, v, d, dq, dk, dv}) TORCH_CHECK(type(t) == 1 && t.dim() == 4 && t.size(3) == q.size(3), "attention takes bfloat16 of four dimensions and one width");
  run(q, [&](void* s) { return llmbook_attention_backward(pointer(q), pointer(k), pointer(v), pointer(d), floats(lse), floats(delta), pointer(dq), pointer(dk), pointer(dv), q.size(0)*q.size(1), q.size(1)/k.size(1), q.size(2), k.size(2), q.size(3), scale, causal, s); });
}
static void int8_matvec(Tensor q, Tensor scales, Tensor x, Tensor y, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  run(x, [&](void* s) { return llmbook_int8_matvec(q.data_ptr<int8_t>(), floats(scales), pointer(x), pointer(y), q.size(0), q.size(1), q.size(1)/scales.size(1), type(x), pack, blocks, lanes, teams, s); });
}
static void int4_matvec(Tensor q, Tensor scales, Tensor x, Tensor y, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams) {
  TORCH_CHECK(scales.scalar_type() == at::kBFloat16 && scales.is_contiguous(), "the scales of int4 weights are contiguous bfloat16");
  run(x, [&](void* s) { return llmbook_int4_matvec(q.data_ptr<uint8_t>(), pointer(scales), pointer(x), pointer(y), q.size(0), 2*q.size(1), 2*q.size(1)/scales.size(1), type(x), pack, blocks, lanes, teams, s); });
}

TORCH_LIBRARY_EXPAND(TORCH_EXTENSION_NAME, ops) {
#if defined(CUDA_KERNEL)
  constexpr auto where = c10::kCUDA;
#else
  constexpr auto where = c10::kCPU;
#endif
  const auto add = [&](const char* schema, const char* name, auto* f) { ops.def(schema); ops.impl(name, where, f); };
  add("cross_entropy(Tensor(a!) logits, Tensor targets, Tensor(b!) loss, float scale, int ignore, bool gradient, int pack, int blocks, int lanes, int teams) -> ()", "cross_entropy", &cross_entropy);
  add("rms_norm(Tensor x, Tensor? residual, Tensor w, Tensor(a!)? h, Tensor(b!) y, float eps, int pack, int blocks, int lanes, int teams) -> ()", "rms_norm", &rms_norm);
  add("rms_norm_backward(Tensor h, Tensor w, Tensor dy, Tensor? dh, Tensor(a!) dx, Tensor(b!) dw, float eps, int pack, int blocks, int lanes, int teams) -> ()", "rms_norm_backward", &rms_norm_backward);
  add("norm_rope(Tensor x, Tensor w, Tensor cosines, Tensor sines, Tensor(a!) y, float eps, int pack, int blocks, int lanes, int teams) -> ()", "norm_rope", &norm_rope);
  add("norm_rope_backward(Tensor x, Tensor w, Tensor cosines, Tensor sines, Tensor dy, Tensor(a!) dx, Tensor(b!) dw, float eps, int pack, int blocks, int lanes, int teams) -> ()", "norm_rope_backward", &norm_rope_backward);
  add("swiglu(Tensor gate, Tensor up, Tensor(a!) y, int pack, int blocks, int threads) -> ()", "swiglu", &swiglu);
  add("swiglu_backward(Tensor gate, Tensor up, Tensor dy, Tensor(a!) dgate, Tensor(b!) dup, Tensor(c!)? y, int pack, int blocks, int threads) -> ()", "swiglu_backward", &swiglu_backward);
  add("attention(Tensor q, Tensor k, Tensor v, Tensor(a!) o, Tensor(b!) lse, float scale, bool causal) -> ()", "attention", &attention);
  add("attention_backward(Tensor q, Tensor k, Tensor v, Tensor d, Tensor lse, Tensor delta, Tensor(a!) dq, Tensor(b!) dk, Tensor(c!) dv, float scale, bool causal) -> ()", "attention_backward", &attention_backward);
  add("int4_matvec(Tensor q, Tensor scales, Tensor x, Tensor(a!) y, int pack, int blocks, int lanes, int teams) -> ()", "int4_matvec", &int4_matvec);
  add("int8_matvec(Tensor q, Tensor scales, Tensor x, Tensor(a!) y, int pack, int blocks, int lanes, int teams) -> ()", "int8_matvec", &int8_matvec);
}

REGISTER_EXTENSION(TORCH_EXTENSION_NAME)
