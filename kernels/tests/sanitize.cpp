// Every kernel on buffers that end where the data end, under every schedule: a main program for the address sanitizer.
// `sanitize overrun` gives one kernel a row too many, to show that the sanitizer would have seen it.
#include <memory>
#include "../llmbook_kernels/attention.cu"
#include "../llmbook_kernels/common.cu"
#include "../llmbook_kernels/cross_entropy.cu"
#include "../llmbook_kernels/int4_matvec.cu"
#include "../llmbook_kernels/int8_matvec.cu"
#include "../llmbook_kernels/norm_rope.cu"
#include "../llmbook_kernels/rms_norm.cu"
#include "../llmbook_kernels/swiglu.cu"

struct Plan { int64_t blocks, lanes, teams; };
static Plan plan(int64_t rows, int64_t packs, int64_t held, int64_t most, int64_t blocks = 1 << 30) {
  int64_t lanes = 1;
  while (lanes < 32 && lanes < packs) lanes *= 2;
  if (packs > 32*held) lanes = std::min(most, (packs + 32*held - 1)/(32*held)*32);
  int64_t teams = lanes <= 32 ? 128/lanes : 1;
  return {std::min((rows + teams - 1)/teams, blocks), lanes, teams};
}

template <typename T> struct Buffer {
  std::unique_ptr<T[]> p; size_t n;
  Buffer(size_t n) : p(new T[n]), n(n) { for (size_t i = 0; i < n; i++) { if constexpr (std::is_integral_v<T>) p[i] = 0; else set(p[i], 1.f + i%7); } }
  operator T*() { return p.get(); }
};

static int launches = 0;
static void ok(int code) { launches++; if (code) { std::fprintf(stderr, "%s\n", llmbook_error(code)); std::exit(1); } }

template <typename T> void all(int64_t rows, int64_t cols, int extra) {
  const int64_t type = sizeof(T) == 2, full = 16/sizeof(T), size = rows*cols;
  auto pack = [&](int64_t n) { return n%full ? 1 : full; };
  {
    int64_t n = pack(cols);
    Plan a = plan(rows + extra, cols/n, 4, 256), b = plan(rows, cols/n, 2, 256, 2), c = plan(rows, cols/n, 6, 512);
    Buffer<T> x(size), r(size), w(cols), h(size), y(size), dx(size), again(size);
    Buffer<float> dw(b.blocks*b.teams*cols), loss(rows);
    Buffer<int64_t> target(rows);
    ok(llmbook_rms_norm(x, r, w, h, y, rows + extra, cols, .1f, type, n, a.blocks, a.lanes, a.teams, nullptr));
    ok(llmbook_rms_norm(x, nullptr, w, nullptr, y, rows, cols, .1f, type, n, a.blocks, a.lanes, a.teams, nullptr));
    ok(llmbook_rms_norm_backward(h, w, y, r, dx, dw, rows, cols, .1f, type, n, b.blocks, b.lanes, b.teams, nullptr));
    ok(llmbook_cross_entropy(y, target, loss, rows, cols, 1.f, -100, 1, type, n, c.blocks, c.lanes, c.teams, nullptr));
    int64_t m = pack(size);
    ok(llmbook_swiglu(x, r, y, size, type, m, (size/m + 127)/128, 128, nullptr));
    ok(llmbook_swiglu_backward(x, r, h, y, dx, again, size, type, m, 1, 128, nullptr));
    int64_t v = cols%16 ? 1 : full;
    Plan d = plan(rows, cols/(v > 1 ? 16 : 1), 4, 256);
    Buffer<int8_t> q(size);
    Buffer<float> scales(rows);
    Buffer<T> out(rows);
    ok(llmbook_int8_matvec(q, scales, w, out, rows, cols, cols, type, v, d.blocks, d.lanes, d.teams, nullptr));
    int64_t twice = 2*cols, u = twice%32 ? 1 : full, group = u > 1 ? 32 : 2;
    Plan e = plan((rows + 1)/2, (twice/group + 3)/4, 1, 256);
    Buffer<uint8_t> nibbles(size);
    Buffer<bf16> steps(rows*twice/group);
    Buffer<T> in(twice);
    ok(llmbook_int4_matvec(nibbles, steps, in, out, rows, twice, group, type, u, e.blocks, e.lanes, e.teams, nullptr));
  }
  for (int64_t heads : {1, 3}) {
    int64_t K = 2*cols, tokens = 2, n = pack(cols), count = tokens*heads*rows;
    Plan a = plan(count, cols/n, 1, 256), b = plan(count, cols/n, 1, 256, 2);
    Buffer<T> x(count*K), w(K), y(count*K), dx(count*K);
    Buffer<float> c(tokens*cols), s(tokens*cols), dw(b.blocks*b.teams*K);
    ok(llmbook_norm_rope(x, w, c, s, y, count, K, heads, tokens, .1f, type, n, a.blocks, a.lanes, a.teams, nullptr));
    ok(llmbook_norm_rope_backward(x, w, c, s, y, dx, dw, count, K, heads, tokens, .1f, type, n, b.blocks, b.lanes, b.teams, nullptr));
  }
}

static void attention(int64_t heads, int64_t group, int64_t queries, int64_t keys, int64_t K, int64_t causal) {
  const int64_t rows = heads*queries, others = heads/group*keys;
  Buffer<bf16> q(rows*K), k(others*K), v(others*K), o(rows*K), d(rows*K), dq(rows*K), dk(others*K), dv(others*K);
  Buffer<float> lse(rows), delta(rows);
  ok(llmbook_attention(q, k, v, o, lse, heads, group, queries, keys, K, .1f, causal, nullptr));
  ok(llmbook_attention_backward(q, k, v, d, lse, delta, dq, dk, dv, heads, group, queries, keys, K, .1f, causal, nullptr));
}

int main(int count, char**) {
  const int64_t sizes[][2] = {{1, 1}, {3, 7}, {2, 16}, {5, 40}, {2, 257}, {1, 1040}, {1, 2056}};
  for (int64_t s = 0; s < 6; s++) {
    llmbook_schedule(s);
    for (auto& [rows, cols] : sizes) { all<float>(rows, cols, count - 1); all<bf16>(rows, cols, count - 1); }
    for (int64_t K : {32, 64, 128}) { attention(2, 2, 1, 1, K, 1); attention(2, 1, 65, 65, K, 1); attention(4, 2, 3, 67, K, 0); }
  }
  std::printf("%d launches, nothing touched outside its bounds\n", launches);
}
