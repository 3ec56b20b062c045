// The polish: safeguarded Barzilai-Borwein steps y - t g down to the tolerance, as `_polish.py` takes them.

__device__ __forceinline__ int after_step(const Seed& r, double shrink, long long taken, long long budget) {
  int stage = POLISH;
  if (taken >= MAX_POLISH_STEPS) stage = NEWTON;
  if (shrink < MIN_SHRINK) stage = STALLED;
  if (r.steps >= budget) stage = BUDGET_SPENT;
  if (r.grad_norm <= r.tolerance) stage = CONFIRM_POLISH;
  if (!(is_finite(r.value) && is_finite(r.grad_norm))) stage = NOT_FINITE;
  return stage;
}

// |y - y_0|, where y_0 is the point in memory, at which the polish began.
__device__ __forceinline__ double moved(const Vector& y, const double* start, Shared& s) {
  Vector apart;
  read(apart, start);
  combined(apart, y, -1.0, apart);
  return block_norm(apart, s);
}

extern "C" __global__ void __launch_bounds__(THREADS, POLISH_BLOCKS) polish_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, g, slope;
  double recent[MEMORY], shrink = 1.0, length = 0.0, step = 0.0;
  long long before_polish = 0;
  int in_block = -1;  // the first evaluation is no step
  read(y, r.point);
  scaled(g, 0.0, y);
  do {
    // f and its gradient at y - t g, and the two inner products that the next length is made of.
    const Ahead ahead = {y, g, step};
    double sums[3] = {evaluate(ahead, slope, m, s), own_dot(slope, slope), own_dot(slope, g)};
    block_sums(sums, s);
    const double value = sums[0], squared = sums[1], across = sums[2];
    bool keep = true;
    if (in_block < 0) {
      // The first step moves the point by a tenth of the ball, or of the unit of parameters where that is less.
      r.value = value;
      r.grad_norm = sqrt(squared);
      r.peak = larger(r.peak, r.grad_norm);
      before_polish = ++r.steps;
      length = 0.1 * (r.radius < r.length ? r.radius : r.length) / (r.grad_norm > 0.0 ? r.grad_norm : 1.0);
      for (int i = 0; i < MEMORY; i++) recent[i] = value;
    } else {
      // Non-monotone Armijo test: f(y - tg) <= max of the last values - 1e-4 t |g|^2, up to the value's rounding.
      const double before = r.grad_norm * r.grad_norm;
      const double value_error = 8.0 * EPS * sqrt((double)NUMBERS) * fabs(r.value);
      double most = recent[0];
#pragma unroll
      for (int i = 1; i < MEMORY; i++) most = larger(most, recent[i]);
      keep = value <= most - SUFFICIENT_DECREASE * step * before + value_error;
      if (keep) {
        // The next length is |s|^2/s.c and s.c/|c|^2 in turns; on negative curvature, s.c <= 0, it is |s|/|c|.
        const double along = step * (before - across), change = squared - 2.0 * across + before;
        const double longer = step * step * before / along, shorter = along / change;
        const double found = along > 0.0 ? (r.steps % 2 == 0 ? longer : shorter) : step * sqrt(before / change);
        if (is_finite(found) && found > 0.0) length = found;
#pragma unroll
        for (int i = MEMORY - 1; i > 0; i--) recent[i] = recent[i - 1];
        recent[0] = r.value = value;
        r.grad_norm = sqrt(squared);
      }
      shrink = keep ? 1.0 : SHRINK * shrink;
      r.steps++;
    }
    if (keep) {
      combined(y, y, -step, g);
      each([](double& a, double b) { a = b; }, g, slope);
    }
    r.stage = after_step(r, shrink, r.steps - before_polish, budget);
    step = shrink * length;
    // After every block of steps, and at the end: a polish that has left its ball goes back to the flow.
    if (++in_block == STEPS_PER_BLOCK || r.stage != POLISH) {
      in_block = 0;
      if (r.stage != NOT_FINITE && r.stage != BUDGET_SPENT && moved(y, r.point, s) > r.radius) r.stage = FLOW;
    }
  } while (r.stage == POLISH);
  // One that goes to Newton's method keeps the rest of its ball.
  if (r.stage == NEWTON) r.radius -= moved(y, r.point, s);
  if (r.stage == FLOW) read(y, r.anchor);
  put_back(r);
  write(y, r.point);
}
