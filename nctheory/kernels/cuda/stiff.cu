// The gradient flow in long valleys, by the Runge-Kutta-Chebyshev method of order two, as `_chebyshev.py` takes its steps.

// The rows (T_j, T_j', T_j'')(w0) for j-2, j-1 and j, where stage j is the one that is next.
struct Polynomials {
  double t[3][3];
};

// T_{j+1} = 2 w0 T_j - T_{j-1}, and its derivatives.
__device__ __forceinline__ void next(Polynomials& p, double w0) {
  const double value = 2.0 * w0 * p.t[2][0] - p.t[1][0], first = 2.0 * w0 * p.t[2][1] + 2.0 * p.t[2][0] - p.t[1][1];
  const double second = 2.0 * w0 * p.t[2][2] + 4.0 * p.t[2][1] - p.t[1][2];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) p.t[i][j] = p.t[i + 1][j];
  p.t[2][0] = value;
  p.t[2][1] = first;
  p.t[2][2] = second;
}

__device__ __forceinline__ Polynomials first_polynomials(double w0) {
  Polynomials p = {{{1.0, 0.0, 0.0}, {1.0, 0.0, 0.0}, {w0, 1.0, 0.0}}};
  next(p, w0);
  return p;
}

// b_j = T_j''/T_j'^2 of the three rows; b_0 = b_1 = b_2.
__device__ __forceinline__ void weights_of(const Polynomials& p, double (&b)[3]) {
  double own[3];
  for (int i = 0; i < 3; i++) own[i] = p.t[i][2] / (p.t[i][1] > 0.0 ? p.t[i][1] * p.t[i][1] : 1.0);
  b[2] = own[2];
  b[1] = p.t[1][2] > 0.0 ? own[1] : own[2];
  b[0] = p.t[0][2] > 0.0 ? own[0] : b[1];
}

// w0 and w1 of the method of so many stages, by w0 = cosh(theta) and T_s(cosh theta) = cosh(s theta).
__device__ __forceinline__ void damped_weights(double stages, double& w0, double& w1) {
  const double theta = 2.0 * asinh(sqrt(0.5 * DAMPING) / stages), sine = sinh(theta), cosine = cosh(theta);
  const double first = stages * sinh(stages * theta) / sine;
  const double second = (stages * stages * cosh(stages * theta) - first * cosine) / (sine * sine);
  w0 = 1.0 + DAMPING / (stages * stages);
  w1 = first / second;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) stiff_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, gradient, direction, last, before, slope, at;
  double curvature = 0.0;
  read(direction, directions + NUMBERS);
  begin_flow(r, y, gradient, STIFF_FLOW, m, budget, polish, s);
  while (r.stage == STIFF_FLOW) {
    for (int i = 0; i < STIFF_STEPS; i++) {
      const double h = (r.time + r.step) - r.time, extent = block_norm(y, s);
      // The distance of the two gradients whose difference stands for a product with the Hessian: sqrt(eps) |y|.
      const double apart = sqrt(EPS) * (extent > 0.0 ? extent : 1.0);
      const double former_curvature = curvature;
      const int powers = curvature > 0.0 ? POWER_ITERATIONS : FIRST_POWER_ITERATIONS;
      Vector along = direction;
      double value = 0.0, w0, w1, stages = MIN_STAGES;
      for (int power = 0; power < powers; power++) {
        // Power iteration: A v ~ (g(y + apart v) - g(y)) / apart, its norm the curvature, its direction (of -A v) the next v.
        combined(at, y, apart, along);
        evaluate_apart(at, slope, m, s);
        each([=](double& a, double b) { a = -(a - b) / apart; }, slope, gradient);
        const double length = block_norm(slope, s);
        if (length > 0.0 && is_finite(length)) {
          scaled(along, 1.0 / length, slope);
          curvature = length;
        }
      }
      // The least s with h L <= 0.65 (s^2 - 1), where L is the curvature with its safety factor.
      const double wanted = ceil(sqrt(1.0 + h * CURVATURE_SAFETY * curvature / STABILITY));
      stages = wanted != wanted ? MAX_STAGES : wanted < MIN_STAGES ? MIN_STAGES : wanted > MAX_STAGES ? MAX_STAGES : wanted;
      damped_weights(stages, w0, w1);
      Polynomials p = first_polynomials(w0);
      double b[3];
      weights_of(p, b);
      // Stage 1, Y_1 = y - b_1 w_1 h g, and then for j >= 2
      // Y_j = (1 - mu - nu) y + mu Y_{j-1} + nu Y_{j-2} - scaled h g(Y_{j-1}) - start h g.
      before = y;
      combined(last, y, -b[0] * w1 * h, gradient);
      for (double count = 1.0; count < stages; count += 1.0) {
        evaluate_apart(last, slope, m, s);
        weights_of(p, b);
        const double sized = 2.0 * b[2] * w1 / b[1], mu = 2.0 * b[2] * w0 / b[1], nu = -b[2] / b[0];
        const double begin = -(1.0 - b[1] * p.t[1][0]) * sized;
        at = y;
        each([=](double& a, double x, double z) { a = (1.0 - mu - nu) * a + mu * x + nu * z; }, at, last, before);
        each([=](double& a, double f, double g) { a -= h * (sized * f + begin * g); }, at, slope, gradient);
        before = last;
        last = at;
        next(p, w0);
      }
      value = evaluate_apart(last, slope, m, s);
      // The error estimate 4/5 (y_0 - y_1) + 2/5 h (f_0 + f_1), against the displacement of the step.
      combined(at, y, -1.0, last);
      double squares[3] = {value, own_dot(at, at), 0.0};
      each([=](double& a, double f, double g) { a = 0.8 * a - 0.4 * h * (f + g); }, at, gradient, slope);
      squares[2] = own_dot(at, at);
      block_sums(squares, s);
      const double displacement = sqrt(squares[1] / NUMBERS), missed = sqrt(squares[2] / NUMBERS);
      r.steps += powers + (long long)stages;
      if (controlled(r, displacement, missed / (rtol * displacement), STIFF_ORDER)) {
        y = last;
        gradient = slope;
        direction = along;
        r.value = squares[0];
      } else {
        curvature = former_curvature;  // a refused step leaves no trace
      }
    }
    r.grad_norm = block_norm(gradient, s);
    r.steps++;
    observe(r, STIFF_FLOW, budget, polish);
  }
  put_back(r);
  write(y, r.point);
}
