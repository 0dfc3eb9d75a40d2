// A GPU made of fibers: CUDA C++ compiled for a CPU. Blocks run one after another; the threads of a block take turns,
// in an order that the caller chooses; a thread leaves its turn only where it waits: at a barrier or in a shuffle.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>
#if !(defined(__x86_64__) && defined(__linux__)) || defined(LLMBOOK_UCONTEXT)
#define EMU_UCONTEXT
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define API extern "C" __attribute__((visibility("default")))

struct dim3 { unsigned x, y, z; constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {} };

namespace emu {

enum State : uint8_t { READY, AT_BARRIER, IN_WARP, DONE };

struct Thread {
  dim3 index; unsigned number, mask, source, syncs; int line; State state; bool shuffles;
  alignas(16) unsigned char out[16], in[16], board[2][32]; unsigned boards;
#ifdef EMU_UCONTEXT
  ucontext_t context;
#else
  void* stack;
#endif
};

#ifndef EMU_UCONTEXT
// Save the registers that a function must preserve on this stack, and take them from the other one.
extern "C" void llmbook_emu_switch(void** save, void* load);
asm(".text\n.weak llmbook_emu_switch\n.hidden llmbook_emu_switch\n.type llmbook_emu_switch,@function\n"
    "llmbook_emu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
#endif

struct Mark { int writer = -1, reader = -1; unsigned wrote = 0, read = 0, wsync = 0, rsync = 0, warps = 0; };  // of one shared element
struct Site { std::vector<unsigned char> bytes; std::vector<Mark> marks; int64_t block = -1; };

struct Engine {
  static constexpr size_t STACK = 64*1024 + 704;       // not a power of two: stacks should not fall into the same cache lines
  std::vector<Thread> threads; std::vector<unsigned> waiting, alive; std::deque<unsigned> ready; std::vector<Site> sites;
  std::unique_ptr<char[]> stacks; size_t stack_count = 0;
  dim3 block, block_size, grid_size; Thread* now = nullptr; unsigned epoch = 0; int64_t block_number = 0;
  void (*body)(void*) = nullptr; void* argument = nullptr;
  std::mutex lock; int64_t schedule = 0; uint64_t random = 0; char error[256] = ""; bool failed = false;
#ifdef EMU_UCONTEXT
  ucontext_t outside;
  void leave() { swapcontext(&now->context, &outside); }
  void enter(Thread* t) { now = t; swapcontext(&outside, &t->context); }
#else
  void* outside = nullptr;
  void leave() { Thread* t = now; llmbook_emu_switch(&t->stack, outside); }
  void enter(Thread* t) { now = t; llmbook_emu_switch(&outside, t->stack); }
#endif

  template <typename... A> void fail(const char* format, A... a) {
    if (failed) return;
    failed = true;
    int n = std::snprintf(error, sizeof error, "block (%u,%u): ", block.x, block.y);
    std::snprintf(error + n, sizeof error - n, format, a...);
  }

  void prepare(unsigned i) {
    char* base = stacks.get() + STACK*i;
#ifdef EMU_UCONTEXT
    ucontext_t& c = threads[i].context;
    getcontext(&c); c.uc_stack.ss_sp = base; c.uc_stack.ss_size = STACK; c.uc_link = nullptr; makecontext(&c, &Engine::start, 0);
#else
    void** top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(base) + STACK) & ~uintptr_t(15));
    *--top = nullptr; *--top = reinterpret_cast<void*>(&Engine::start);
    for (int k = 0; k < 6; k++) *--top = nullptr;
    threads[i].stack = top;
#endif
  }
  static void start();

  // Schedules 0 and 1 go round, so all warps advance together; 2 and 3 let the warp that was set free last run on as far
  // as it can; odd ones begin with the last thread. From 4 on, chance picks, and the number is its seed.
  unsigned pick() {
    size_t k = 0;
    if (schedule == 2 || schedule == 3) k = ready.size() - 1;
    if (schedule >= 4) { random = random*6364136223846793005ull + 1442695040888963407ull; k = (random >> 33)%ready.size(); }
    unsigned i = ready[k];
    if (k == 0) ready.pop_front(); else { ready[k] = ready.back(); ready.pop_back(); }
    return i;
  }
  void free_threads(const std::vector<unsigned>& list) {
    bool backwards = (schedule & 1) ^ (schedule == 2 || schedule == 3);
    for (size_t k = 0; k < list.size(); k++) {
      unsigned i = backwards ? list[list.size() - 1 - k] : list[k];
      threads[i].state = READY;
      ready.push_back(i);
    }
  }

  // A group of lanes goes on when every lane of its mask that still runs has arrived; shuffled values change hands then.
  void try_warp(unsigned w) {
    for (unsigned rest = waiting[w]; rest;) {
      Thread& first = threads[w*32 + __builtin_ctz(rest)];
      unsigned here = 0;
      for (unsigned l = 0; l < 32; l++)
        if (waiting[w] >> l & 1 && threads[w*32 + l].mask == first.mask) here |= 1u << l;
      rest &= ~here;
      if (first.mask & alive[w] & ~here) continue;
      std::vector<unsigned> list;
      for (unsigned l = 0; l < 32; l++) if (here >> l & 1) {
        Thread& t = threads[w*32 + l];
        if (!(t.mask >> l & 1)) return fail("thread %u waits for a warp mask %08x that leaves it out", t.number, t.mask);
        if (t.shuffles != first.shuffles) return fail("some lanes of warp %u shuffle while others only wait", w);
        if (t.shuffles && !(here >> t.source & 1)) return fail("thread %u shuffles from lane %u, which takes no part", t.number, t.source);
        if (t.shuffles) std::memcpy(t.in, threads[w*32 + t.source].out, 16);
        t.syncs++;
        list.push_back(w*32 + l);
      }
      waiting[w] &= ~here;
      free_threads(list);
    }
  }

  void try_block(unsigned live) {
    std::vector<unsigned> list;
    int line = 0;
    for (Thread& t : threads) if (t.state == AT_BARRIER) {
      if (line && t.line != line) return fail("threads wait at different __syncthreads, lines %d and %d", line, t.line);
      line = t.line;
      list.push_back(t.number);
    }
    if (list.size() != live) return fail("%u of %u threads wait for others that never come", (unsigned)(live - list.size()), live);
    epoch++;
    free_threads(list);
  }

  void run_block(unsigned n) {
    std::vector<unsigned> all;
    for (unsigned i = 0; i < n; i++) {
      Thread& t = threads[i];
      t.number = i; t.syncs = t.boards = 0; t.index = dim3(i%block_size.x, i/block_size.x%block_size.y, i/(block_size.x*block_size.y));
      prepare(i);
      all.push_back(i);
    }
    for (unsigned w = 0; w < alive.size(); w++) { waiting[w] = 0; alive[w] = n - w*32 >= 32 ? ~0u : (1u << (n - w*32)) - 1; }
    ready.clear(); epoch++; random = schedule;
    free_threads(all);
    for (unsigned live = n; live && !failed;) {
      if (ready.empty()) { try_block(live); continue; }
      Thread& t = threads[pick()];
      enter(&t);
      unsigned w = t.number/32, bit = 1u << (t.number%32);
      if (t.state == DONE) { live--; alive[w] &= ~bit; }
      if (t.state == IN_WARP) waiting[w] |= bit;
      if (t.state != AT_BARRIER && waiting[w]) try_warp(w);
    }
  }
};

inline Engine& engine() { static Engine e; return e; }
inline Engine* current = nullptr;
inline void Engine::start() { Engine& e = *current; e.body(e.argument); e.now->state = DONE; for (;;) e.leave(); }

inline void barrier(int line) { Engine& e = *current; e.now->state = AT_BARRIER; e.now->line = line; e.leave(); }
inline void warp(unsigned mask, bool shuffles, unsigned source) {
  Thread* t = current->now;
  t->state = IN_WARP; t->mask = mask; t->shuffles = shuffles; t->source = source;
  current->leave();
}
template <typename T> T shuffle(unsigned mask, T v, unsigned source) {
  static_assert(sizeof(T) <= 16, "a shuffle moves at most 16 bytes");
  Thread* t = current->now;
  std::memcpy(t->out, &v, sizeof v);
  warp(mask, true, source & 31);
  std::memcpy(&v, t->in, sizeof v);
  return v;
}

// All lanes of a warp show each other a few registers. There are two boards, in turn: nobody can show a third time before
// everybody has come to the second, and so has read the first.
template <typename T> struct Shown { const Thread* warp; unsigned board; T operator[](int lane) const { T v; std::memcpy(&v, warp[lane].board[board], sizeof v); return v; } };
template <typename T> Shown<T> show(T v) {
  static_assert(sizeof(T) <= 32, "a lane shows at most 32 bytes");
  Thread* t = current->now;
  const unsigned board = t->boards++ & 1;
  std::memcpy(t->board[board], &v, sizeof v);
  warp(~0u, false, 0);
  return {t - t->number%32, board};
}

// An array in shared memory. Begins as NaN in every block, knows its bounds, and remembers who touched each element since
// the last barrier: a read and a write, or two writes, by two threads that nothing has put in order are a race.
template <typename T> struct Shared {
  Site& site; int n;
  struct Element {
    const Shared& a; int i;
    operator T() const { T v; a.touch(i, false); std::memcpy(&v, a.site.bytes.data() + i*sizeof(T), sizeof v); return v; }
    const Element& operator=(T v) const { a.touch(i, true); std::memcpy(a.site.bytes.data() + i*sizeof(T), &v, sizeof v); return *this; }
    const Element& operator=(const Element& o) const { return *this = T(o); }
  };
  Shared(int number, int n) : site(at(number)), n(n) {
    if (site.block == current->block_number) return;
    site.block = current->block_number;
    site.bytes.assign(n*sizeof(T), 0xFF);
    site.marks.assign(n, Mark());
  }
  static Site& at(int number) { auto& s = current->sites; if ((int)s.size() <= number) s.resize(number + 64); return s[number]; }
  Element operator[](int i) const {
    if (i < 0 || i >= n) { current->fail("element %d of a shared array of %d", i, n); i = 0; }
    return {*this, i};
  }
  void touch(int i, bool writes) const {
    Engine& e = *current; Thread& t = *e.now; Mark& m = site.marks[i]; int me = t.number; unsigned w = t.number/32;
    auto ordered = [&](int other, unsigned sync) { return other == me || ((unsigned)other/32 == w && sync < t.syncs); };
    if (m.read != e.epoch) { m.reader = -1; m.warps = 0; }
    bool race = m.writer >= 0 && m.wrote == e.epoch && !ordered(m.writer, m.wsync);
    if (writes) race |= (m.warps & ~(1u << w)) || (m.reader >= 0 && !ordered(m.reader, m.rsync));
    if (race) e.fail("race on element %d of a shared array: thread %d %s it, and no barrier stands between it and another thread's access", i, me, writes ? "writes" : "reads");
    if (writes) { m.writer = me; m.wrote = e.epoch; m.wsync = t.syncs; }
    else { m.reader = me; m.read = e.epoch; m.rsync = t.syncs; m.warps |= 1u << w; }
  }
};
inline int new_site() { static int n = 0; return n++; }

template <typename F> int run(dim3 grid, dim3 block, F f) {
  Engine& e = engine();
  std::lock_guard<std::mutex> hold(e.lock);
  const unsigned n = block.x*block.y*block.z;
  if (n == 0 || n > 1024) { e.failed = false; e.fail("a block of %u threads", n); return 1; }
  if (e.stack_count < n) { e.stacks.reset(new char[Engine::STACK*n]); e.stack_count = n; }
  e.threads.resize(n); e.waiting.resize((n + 31)/32); e.alive.resize((n + 31)/32);
  current = &e; e.block_size = block; e.grid_size = grid; e.failed = false;
  e.body = [](void* p) { (*static_cast<F*>(p))(); };
  e.argument = &f;
  for (unsigned z = 0; z < grid.z && !e.failed; z++) for (unsigned y = 0; y < grid.y && !e.failed; y++)
    for (unsigned x = 0; x < grid.x && !e.failed; x++) { e.block = dim3(x, y, z); e.block_number++; e.run_block(n); }
  return e.failed;
}

}  // namespace emu

#define threadIdx (emu::current->now->index)
#define blockIdx (emu::current->block)
#define blockDim (emu::current->block_size)
#define gridDim (emu::current->grid_size)
#define __syncthreads() emu::barrier(__LINE__)
inline void __syncwarp(unsigned mask = ~0u) { emu::warp(mask, false, 0); }
template <typename T> T __shfl_xor_sync(unsigned mask, T v, int x) { return emu::shuffle(mask, v, (emu::current->now->number & 31) ^ x); }
template <typename T> T __shfl_sync(unsigned mask, T v, int source) { return emu::shuffle(mask, v, source); }
inline float rsqrtf(float x) { return 1/std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
#define SHARED(T, name, n) static const int name##_site = emu::new_site(); emu::Shared<T> name(name##_site, n)

template <typename... P, typename... A> int launch(void (*kernel)(P...), dim3 grid, dim3 block, void*, A... a) {
  return emu::run(grid, block, [=] { kernel(static_cast<P>(a)...); });
}
