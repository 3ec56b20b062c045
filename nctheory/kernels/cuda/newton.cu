// The hand-over's test, Newton steps within a slow polish, and the acceptance of ends, as `_handover.py` has them.

struct Solved {
  double residual;
  long long iterations;
  bool negative;
};

struct Point {
  const Vector& y;
  const Linearised& l;
  const Member& m;
  double fixing;
};

// out = (A + fixing P + shift) v at a point.
__device__ __noinline__ void shifted_product(const Point& at, double shift, const Vector& v, Vector& out, Shared& s) {
  publish_direction(v, s);
  curvature_of(at.y, at.l, v, out, at.m, s);
  add_penalty(at.y, at.l, v, at.fixing, out, s);
  each([=](double& o, double x) { o += shift * x; }, out, v);
}

// Conjugate gradients for (A + fixing P + shift) x = b down to a relative residual; they end at a direction of curvature
// <= 0, and where x is longer than `longest`. W of the point must lie in s.weight. On entry `left` holds b.
__device__ __noinline__ Solved conjugate_gradients(const Point& at, double shift, Vector& left, double residual,
                                                   int iterations, double longest, Vector& x, Shared& s) {
  Vector direction = left, image;
  Solved found = {0.0, 0, false};
  scaled(x, 0.0, left);
  const double whole = block_sum(own_dot(left, left), s), target = residual * residual * whole;
  double squared = whole, length = 0.0;
  while (squared > target && found.iterations < iterations && !found.negative && length <= longest * longest) {
    // Along the direction d: a = |r|^2 / d.A d, x + a d, r - a A d; where d.A d <= 0 the loop ends.
    shifted_product(at, shift, direction, image, s);
    const double curvature = block_sum(own_dot(direction, image), s);
    found.negative = !(curvature > 0.0);
    const double step = found.negative ? 0.0 : squared / curvature;
    combined(left, left, -step, image);
    combined(x, x, step, direction);
    // The next direction is conjugate to all before it: r' + |r'|^2/|r|^2 d.
    double sums[2] = {own_dot(left, left), own_dot(x, x)};
    block_sums(sums, s);
    combined(direction, left, sums[0] / squared, direction);
    squared = sums[0];
    length = sums[1];
    found.iterations++;
  }
  found.residual = sqrt(squared / whole);
  return found;
}

// The four tasks at a point: Newton's correction, the simplified correction, the saddle probe, and the value at 2 y.
struct Corrections {
  double value[4], grad_norm[4], length[4], residual[4];
  bool negative[4], local[4];
  long long iterations;
};

__device__ __forceinline__ bool waiting(const Seed& r) {
  return r.stage == HANDOVER_TEST || r.stage == NEWTON || r.stage == CONFIRM_POLISH || r.stage == CONFIRM_FLOW;
}

// Where the record goes on; `target` is the point that the corrections led to, `y` the point itself.
__device__ __forceinline__ void decide(Seed& r, Vector& y, const Vector& target, const Corrections& found, double extent,
                                       double wanted, double radius, long long budget, int flow, int polish) {
  const bool testing = r.stage == HANDOVER_TEST, refining = r.stage == NEWTON, reached = r.stage == CONFIRM_FLOW;
  const double value = found.value[2], reduced = found.grad_norm[2], length = found.length[0];
  // The natural monotonicity test: both solves met positive curvature, p is local, and |q| <= |p|/4.
  const bool solved = !found.negative[0] && !found.negative[1] && found.residual[0] <= wanted && is_finite(value);
  const bool safe = solved && found.local[0] && found.length[1] <= MAX_CONTRACTION * length;
  // After the polish the correction is kept if it lowers |g| within the ball; within the polish it also must not raise the
  // value by more than its rounding, nor lead to a saddle.
  const bool saddle = found.negative[2];
  const double value_error = 8.0 * EPS * sqrt((double)NUMBERS) * fabs(r.value);
  bool better = reduced < r.grad_norm && length <= radius && polish;
  if (refining && (saddle || !(value <= r.value + value_error))) better = false;
  const bool moves = testing ? safe : better;
  const double resolved = RESOLVED_STEP * larger(extent, r.length);
  const bool again = !refining && better && reduced <= REPEAT_DECREASE * r.grad_norm && length > resolved;
  const bool faster = better && !found.negative[0] && reduced <= NEWTON_DECREASE * r.grad_norm;
  const long long attempts = r.attempts + (testing ? 1 : 0), steps = r.steps + 2 * found.iterations + 3;
  // Where it is not accepted: the flow goes on, by the stabilised method in a convex region or after many refusals; the
  // polish goes on, by Newton's method while that is fast; a saddle that the flow came to is its end.
  const bool convex = testing && !found.negative[0] && !found.negative[1];
  int resume = convex || attempts >= LATE_ATTEMPTS ? STIFF_FLOW : FLOW;
  if (attempts >= MAX_ATTEMPTS) resume = STALLED;
  if (refining) resume = faster ? NEWTON : POLISH;
  if (refining && reduced <= r.tolerance && better) resume = CONFIRM_POLISH;
  if (reached) resume = SADDLE;
  if (steps >= budget && !reached) resume = BUDGET_SPENT;
  const bool accepted = testing ? safe : !refining && !saddle;
  const bool falls = found.value[3] < r.value - value_error;
  int end = reached || falls ? SMALL_GRADIENT : CONVERGED;
  if (again && steps < budget) end = r.stage;
  if (testing) end = POLISH;
  if (testing) write(y, r.anchor);
  const double relative = r.grad_norm / (r.peak > 0.0 ? r.peak : 1.0);
  if (!testing && !refining && saddle && !reached) read(y, r.anchor);
  else if (moves) y = target;
  r.radius = testing ? BALL_RADIUS * length : r.radius - (moves ? length : 0.0);
  if (testing) r.trigger = RETRY_FACTOR * (r.trigger < relative ? r.trigger : relative);
  if (moves) {
    r.value = value;
    r.grad_norm = reduced;
  }
  r.steps = steps;
  r.attempts = attempts;
  r.stage = accepted ? end : resume;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) newton_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, target, gradient, step, probe;
  Linearised l;
  read(y, r.point);
  while (waiting(r)) {
    const bool testing = r.stage == HANDOVER_TEST, refining = r.stage == NEWTON, confirming = !testing;
    // The multiple of the penalty makes the curvature along the symmetry orbit as large as elsewhere, both as a random
    // direction shows them.
    read(probe, directions);
    linearise(y, l, m, s);
    publish_direction(probe, s);
    curvature_of(y, l, probe, step, m, s);
    scaled(target, 0.0, y);
    add_penalty(y, l, probe, 1.0, target, s);
    double sizes[4] = {own_dot(step, step), own_dot(target, target), own_dot(probe, probe), own_dot(y, y)};
    block_sums(sizes, s);
    const double along = sqrt(sizes[1]), steep = sqrt(sizes[0]), extent = sqrt(sizes[3]);
    const Point at = {y, l, m, steep / (along > 0.0 ? along : 1.0)};
    const double wanted = confirming ? FINAL_RESIDUAL : NEWTON_RESIDUAL;
    const double radius = r.stage == CONFIRM_FLOW || (refining && !flow) ? MAX_STEP * extent : r.radius;
    // The shift s of the saddle probe: 10^3 |g|/|y|, next to zero at most a tenth of |A|.
    const double far_shift = PROBE_SHIFT * r.grad_norm / (extent > 0.0 ? extent : 1.0);
    const double near_most = MAX_PROBE_SHIFT * (steep / sqrt(sizes[2]));
    const double near_shift = far_shift < near_most ? far_shift : near_most;
    Corrections found;
    found.iterations = 0;
    bool failed = false;
    target = y;
    for (int task = 0; task < 4; task++) {
      const bool probing = task == 2;
      if (task == 3) scaled(step, 2.0, y); else step = target;
      double sums[3] = {evaluate_apart(step, gradient, m, s), own_dot(gradient, gradient), own_dot(target, target)};
      block_sums(sums, s);
      const double reduced = sqrt(sums[1]);
      const double shift = !probing ? 0.0 : sqrt(sums[2]) <= MAX_STEP * extent ? near_shift : far_shift;
      // A gradient at the tolerance is too close to rounding, which lies along the gauge too, to be solved for again.
      int iterations = NEWTON_ITERATIONS;
      if (task == 1 && (confirming || failed || reduced <= r.tolerance)) iterations = 0;
      // After a polish that followed the flow, and after the flow, the point must be no saddle; and so must it be for Newton
      // steps without a flow.
      if (probing) iterations = confirming && refining != (flow != 0) ? PROBE_ITERATIONS : 0;
      if (task == 3) iterations = 0;
      // In the test a correction longer than 0.3 |y| is given up, or after some refusals one longer than 1.1 |y|.
      const double part = r.attempts >= LATE_ATTEMPTS ? MAX_LATE_STEP : MAX_STEP;
      const double longest = confirming || probing ? LIMITLESS : part * extent;
      if (probing) gradient = probe; else scaled(gradient, -1.0, gradient);
      publish_place(Here{y}, m, s);
      const double residual = probing ? PROBE_RESIDUAL : wanted;
      const Solved solved = conjugate_gradients(at, shift, gradient, residual, iterations, longest, step, s);
      combined(gradient, target, 1.0, step);
      double lengths[2] = {own_dot(step, step), own_dot(gradient, gradient)};
      block_sums(lengths, s);
      const double length = sqrt(lengths[0]);
      // A step is local if |p| <= 0.3 |y|, or if it leads to zero: |y + p| <= 0.3 |y|.
      const bool local = confirming || length <= MAX_STEP * extent || sqrt(lengths[1]) <= MAX_STEP * extent;
      found.value[task] = sums[0];
      found.grad_norm[task] = reduced;
      found.length[task] = length;
      found.residual[task] = solved.residual;
      found.negative[task] = solved.negative;
      found.local[task] = local;
      found.iterations += solved.iterations;
      failed = failed || solved.negative || !(solved.residual <= wanted) || !local;
      if (task < 2) target = gradient;
    }
    decide(r, y, target, found, extent, wanted, radius, budget, flow, polish);
  }
  put_back(r);
  write(y, r.point);
}
