// A CPU in the place of a GPU once more, here with a thread of the operating system for every thread of a block, for a
// sanitizer to look at: two threads that touch one number without a barrier between them are seen whatever the order in which
// they ran. It is far slower than the emulator of the package, which takes fibers.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#include <pthread.h>

#define SHARED(s) Shared& s = *reinterpret_cast<Shared*>(emulator::shared)

namespace emulator {
enum { FINISHED };
// Two barriers that take turns: a sanitizer takes what a thread did before it comes to a barrier to be known to all that leave
// it, also to one that leaves it late, from the time before.
struct Barrier {
  pthread_barrier_t turns[2];
  explicit Barrier(int threads) {
    for (pthread_barrier_t& one : turns) pthread_barrier_init(&one, nullptr, threads);
  }
  ~Barrier() {
    for (pthread_barrier_t& one : turns) pthread_barrier_destroy(&one);
  }
  void wait(long& waited) { pthread_barrier_wait(&turns[waited++ % 2]); }
};
static char* shared;
// What a lane has for the others of its warp, this time and the last, and how often it has put something there.
struct Lane {
  std::atomic<double> sent[2];
  std::atomic<long> times{0};
};
static std::vector<Lane> lanes;
static std::vector<std::unique_ptr<Barrier>> warps;
static std::unique_ptr<Barrier> whole;
static thread_local int current;
static thread_local long waited_for_all, waited_for_warp;
static int width;

static int run_block(int threads, int warp, int, size_t bytes, void (*body)()) {
  shared = static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  std::memset(shared, 0xff, bytes);
  width = warp;
  lanes = std::vector<Lane>(threads);
  warps.clear();
  for (int i = 0; i < threads / warp; i++) warps.push_back(std::make_unique<Barrier>(warp));
  whole = std::make_unique<Barrier>(threads);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; i++)
    running.emplace_back([=] {
      current = i;
      body();
    });
  for (std::thread& one : running) one.join();
  std::free(shared);
  return FINISHED;
}
}  // namespace emulator


static void __syncthreads() { emulator::whole->wait(emulator::waited_for_all); }
static void __syncwarp() {
  emulator::warps[emulator::current / emulator::width]->wait(emulator::waited_for_warp);
}

// Lanes wait for each other here but are told nothing about memory, as on a GPU: relaxed atomics, which the processors that
// sanitizers run on keep in order, and which no sanitizer takes for a barrier.
static double __shfl_xor_sync(unsigned, double value, int apart) {
  using namespace emulator;
  Lane& own = lanes[current];
  const long time = own.times.load(std::memory_order_relaxed);
  own.sent[time % 2].store(value, std::memory_order_relaxed);
  asm volatile("" ::: "memory");
  own.times.store(time + 1, std::memory_order_relaxed);
  const int first = current - current % width;
  for (int i = first; i < first + width; i++)
    while (lanes[i].times.load(std::memory_order_relaxed) <= time) std::this_thread::yield();
  asm volatile("" ::: "memory");
  return lanes[current ^ apart].sent[time % 2].load(std::memory_order_relaxed);
}
