// What the emulator is called by: it launches one of the kernels on so many blocks.

namespace {
struct Arguments {
  const int* index;
  double *points, *anchors, *reals;
  long long* counts;
  const double *members, *directions;
  double rtol;
  long long budget;
  int flow, polish;
} passed;
}  // namespace

#define BODY(kernel)                                                                                                      \
  [] {                                                                                                                    \
    const Arguments& a = passed;                                                                                          \
    kernel(a.index, a.points, a.anchors, a.reals, a.counts, a.members, a.directions, a.rtol, a.budget, a.flow, a.polish); \
  }

extern "C" long long shared_bytes() { return sizeof(Shared); }

extern "C" int launch(int kernel, int blocks, int order, ARGUMENTS) {
  static void (*const bodies[])() = {BODY(polish_seeds), BODY(flow_seeds), BODY(stiff_seeds), BODY(newton_seeds)};
  passed = {index, points, anchors, reals, counts, members, directions, rtol, budget, flow, polish};
  for (int i = 0; i < blocks; i++) {
    blockIdx.x = i;
    if (emulator::run_block(THREADS, WARP, order, sizeof(Shared), bodies[kernel]) != emulator::FINISHED) return 1;
  }
  return 0;
}
