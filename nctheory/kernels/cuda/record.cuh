// The state of a seed between two stages, as the solver's records hold it: the numbers of a seed lie side by side.

enum Real { STEP, TIME, VALUE, GRAD_NORM, PEAK, TRIGGER, RADIUS, TOLERANCE, LENGTH, REALS };
enum Count { STEPS, ATTEMPTS, STAGE, MEMBER, COUNTS };

#define ARGUMENTS                                                                                                         \
  const int *__restrict__ index, double *__restrict__ points, double *__restrict__ anchors, double *__restrict__ reals,   \
      long long *__restrict__ counts, const double *__restrict__ members, const double *__restrict__ directions,          \
      double rtol, long long budget, int flow, int polish

struct Seed {
  double *point, *anchor, *reals;
  long long* counts;
  double step, time, value, grad_norm, peak, trigger, radius, tolerance, length;
  long long steps, attempts;
  int stage;
};

__device__ __forceinline__ Seed seed_of(const int* index, double* points, double* anchors, double* reals, long long* counts) {
  const long long i = index[blockIdx.x];
  const double* r = reals + i * REALS;
  const long long* c = counts + i * COUNTS;
  return {points + i * NUMBERS, anchors + i * NUMBERS, reals + i * REALS, counts + i * COUNTS,
          r[STEP], r[TIME], r[VALUE], r[GRAD_NORM], r[PEAK], r[TRIGGER], r[RADIUS], r[TOLERANCE], r[LENGTH],
          c[STEPS], c[ATTEMPTS], (int)c[STAGE]};
}

__device__ __forceinline__ Member member_of(const Seed& r, const double* members) {
  constexpr int OWN = K * N + 2 * N + LAYERS + 2, LENGTHS = SPHERES ? 2 + (GIVEN ? K * D : 0) : 0;
  const double* m = members + r.counts[MEMBER] * (OWN + LENGTHS);
  const double* decays = m + K * N + 2 * N;
  Member found = {{}, m, m + K * N, m + K * N + N, {}, decays[LAYERS], decays[LAYERS + 1]};
  for (int l = 0; l < LAYERS; l++) found.decay_w[l] = decays[l];
  if constexpr (SPHERES) put_lengths(found, m + OWN);
  return found;
}

// All threads have read the record and what it points to before one of them writes it back.
__device__ __forceinline__ void put_back(const Seed& r) {
  sync();
  if (thread() > 0) return;
  const double all[REALS] = {r.step, r.time, r.value, r.grad_norm, r.peak, r.trigger, r.radius, r.tolerance, r.length};
  for (int i = 0; i < REALS; i++) r.reals[i] = all[i];
  r.counts[STEPS] = r.steps;
  r.counts[ATTEMPTS] = r.attempts;
  r.counts[STAGE] = r.stage;
}

// What follows a look at the flow: does it go on? A later condition wins (`_observe` of the flow).
__device__ __forceinline__ void observe(Seed& r, int running, long long budget, int polish) {
  r.peak = larger(r.peak, r.grad_norm);
  r.stage = running;
  if (!(r.step > 1e-14 * r.time) && r.time > 0.0) r.stage = STALLED;
  if (r.steps >= budget) r.stage = BUDGET_SPENT;
  if (polish && r.grad_norm <= r.trigger * r.peak) r.stage = HANDOVER_TEST;
  if (r.grad_norm <= r.tolerance) r.stage = CONFIRM_FLOW;
  if (!(is_finite(r.value) && is_finite(r.grad_norm))) r.stage = NOT_FINITE;
}

// Where a flow begins or goes on: the seed's point, the gradient there, a look at both, and its first step where it has none
// yet, a hundredth of |y|/|g|, the time in which the flow would move the point by its own length.
__device__ __forceinline__ void begin_flow(Seed& r, Vector& y, Vector& gradient, int running, const Member& m,
                                           long long budget, int polish, Shared& s) {
  read(y, r.point);
  double sums[3] = {evaluate_apart(y, gradient, m, s), own_dot(gradient, gradient), own_dot(y, y)};
  block_sums(sums, s);
  r.value = sums[0];
  r.grad_norm = sqrt(sums[1]);
  r.steps++;
  observe(r, running, budget, polish);
  const double extent = sums[2] > 0.0 ? sqrt(sums[2]) : 1.0;
  if (!(r.step > 0.0)) r.step = 0.01 * extent / (r.grad_norm > 0.0 ? r.grad_norm : 1.0);
}

// The step-size controller of the flow: whether a step is kept, and how long the next one is. `error` is the norm of the
// local error over what is allowed of it.
__device__ __forceinline__ bool controlled(Seed& r, double displacement, double error, double order) {
  const double end = r.time + r.step, before = end - r.time;
  bool keep = error < 1.0;
  double factor = SAFETY * pow(1.0 / error, 1.0 / order);
  const double least = keep ? 1.0 : FACTOR_MIN, most = keep ? FACTOR_MAX : SAFETY;
  if (factor < least) factor = least;
  if (factor > most) factor = most;
  const double start = keep ? end : r.time, stop = start + before * factor;
  // A step that overflows tells the controller nothing: it is refused, and the next one is shorter.
  if (!(is_finite(displacement) && is_finite(stop))) {
    r.step = (r.time + OVERFLOW_SHRINK * r.step) - r.time;
    return false;
  }
  r.time = start;
  r.step = stop - start;
  return keep;
}
