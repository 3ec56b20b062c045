// A CPU in the place of a GPU: one block at a time, every thread a fiber that runs from barrier to barrier. Shared memory
// holds no numbers when a block begins. Threads take their turns in an order that the caller chooses, which must not show in
// the results: where it does, a barrier is missing.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <ucontext.h>

#define SHARED(s) Shared& s = *reinterpret_cast<Shared*>(emulator::shared.data())

namespace emulator {
enum { FINISHED, STUCK };
struct Barrier { int arrived = 0; long generation = 0; };
struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  bool done;
};
constexpr size_t STACK = 1 << 20;
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static std::vector<double> shared, mailbox;
static std::vector<Barrier> warps;
static Barrier whole;
static int current, width;
static bool moved;
static void (*job)();

static void wait(Barrier& barrier, int threads) {
  const long generation = barrier.generation;
  moved = true;
  if (++barrier.arrived == threads) {
    barrier.arrived = 0;
    barrier.generation++;
    return;
  }
  while (barrier.generation == generation) swapcontext(&fibers[current].context, &scheduler);
  moved = true;
}

static void enter() {
  job();
  fibers[current].done = moved = true;
}

// Runs one block; STUCK where its threads wait for each other at different barriers.
static int run_block(int threads, int warp, int order, size_t bytes, void (*body)()) {
  job = body;
  width = warp;
  shared.resize(bytes / sizeof(double));
  std::memset(shared.data(), 0xff, bytes);
  mailbox.assign(threads, 0.0);
  warps.assign(threads / warp, Barrier());
  whole = Barrier();
  fibers.resize(threads);
  for (Fiber& one : fibers) {
    one.done = false;
    one.stack.resize(STACK);
    getcontext(&one.context);
    one.context.uc_stack.ss_sp = one.stack.data();
    one.context.uc_stack.ss_size = STACK;
    one.context.uc_link = &scheduler;
    makecontext(&one.context, enter, 0);
  }
  for (int left = threads; left > 0;) {
    moved = false;
    left = 0;
    // 0: as they are numbered, 1: the other way round, else: another first one in every pass, in either direction.
    const int first = order < 2 ? 0 : std::rand() % threads, back = order < 2 ? order : std::rand() % 2;
    for (int i = 0; i < threads; i++) {
      current = (first + (back ? threads - 1 - i : i)) % threads;
      if (!fibers[current].done) swapcontext(&scheduler, &fibers[current].context);
    }
    for (const Fiber& one : fibers) left += !one.done;
    if (!moved && left > 0) return STUCK;
  }
  return FINISHED;
}
}  // namespace emulator


static void __syncthreads() { emulator::wait(emulator::whole, (int)emulator::fibers.size()); }
static void __syncwarp() { emulator::wait(emulator::warps[emulator::current / emulator::width], emulator::width); }

static double __shfl_xor_sync(unsigned, double value, int apart) {
  emulator::mailbox[emulator::current] = value;
  __syncwarp();
  const double other = emulator::mailbox[emulator::current ^ apart];
  __syncwarp();
  return other;
}
