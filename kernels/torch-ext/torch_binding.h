// The C functions of the kernels; the numbers at the end of each are the plan of chapter 41b.
#pragma once
#include <cstdint>
extern "C" {
const char* llmbook_error(int64_t code);
int llmbook_cross_entropy(void* logits, const int64_t* targets, float* loss, int64_t rows, int64_t cols, float scale, int64_t ignore, int64_t gradient,
                          int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_rms_norm(const void* x, const void* residual, const void* w, void* h, void* y, int64_t rows, int64_t cols, float eps,
                     int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_rms_norm_backward(const void* h, const void* w, const void* dy, const void* dh, void* dx, float* dw, int64_t rows, int64_t cols, float eps,
                              int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_norm_rope(const void* x, const void* w, const float* cosines, const float* sines, void* y, int64_t rows, int64_t cols, int64_t heads, int64_t tokens, float eps,
                      int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_norm_rope_backward(const void* x, const void* w, const float* cosines, const float* sines, const void* dy, void* dx, float* dw, int64_t rows, int64_t cols, int64_t heads, int64_t tokens, float eps,
                               int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_swiglu(const void* gate, const void* up, void* y, int64_t count, int64_t type, int64_t pack, int64_t blocks, int64_t threads, void* stream);
int llmbook_swiglu_backward(const void* gate, const void* up, const void* dy, void* dgate, void* dup, void* y, int64_t count,
                            int64_t type, int64_t pack, int64_t blocks, int64_t threads, void* stream);
int llmbook_attention(const void* q, const void* k, const void* v, void* o, float* lse, int64_t heads, int64_t group, int64_t queries, int64_t keys,
                      int64_t width, float scale, int64_t causal, void* stream);
int llmbook_attention_backward(const void* q, const void* k, const void* v, const void* d, const float* lse, const float* delta, void* dq, void* dk, void* dv,
                               int64_t heads, int64_t group, int64_t queries, int64_t keys, int64_t width, float scale, int64_t causal, void* stream);
int llmbook_int4_matvec(const uint8_t* q, const void* scales, const void* x, void* y, int64_t rows, int64_t cols, int64_t group,
                        int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
int llmbook_int8_matvec(const int8_t* q, const float* scales, const void* x, void* y, int64_t rows, int64_t cols, int64_t group,
                        int64_t type, int64_t pack, int64_t blocks, int64_t lanes, int64_t teams, void* stream);
}
