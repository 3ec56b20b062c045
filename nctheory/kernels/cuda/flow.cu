// The gradient flow by Tsitouras' method of order five, down to where a hand-over is worth trying, as `_ode.py` follows it.

constexpr int KEPT = 5;  // so many gradients are kept at a time

// What the first five slopes give the last two stages and the error.
template <int ROW>
__device__ __forceinline__ double sum_of(const double (&gradients)[KEPT]) {
  const double* row = ROW == 2 ? TSIT5_ERROR : TSIT5_LOWER[4 + ROW];
  double total = -row[0] * gradients[0];
#pragma unroll
  for (int j = 1; j < KEPT; j++) total += -row[j] * gradients[j];
  return total;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) flow_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, end, gradients[KEPT];
  begin_flow(r, y, gradients[0], FLOW, m, budget, polish, s);
  while (r.stage == FLOW) {
    for (int i = 0; i < FLOW_STEPS; i++) {
      const double h = (r.time + r.step) - r.time;
      for (int stage = 0; stage < KEPT - 1; stage++) {
        // y + h sum_j a_j k_j, where slope k_j is minus gradient j.
        scaled(end, -TSIT5_LOWER[stage][0], gradients[0]);
        for (int j = 1; j <= stage; j++) combined(end, end, -TSIT5_LOWER[stage][j], gradients[j]);
        combined(end, y, h, end);
        evaluate_apart(end, gradients[stage + 1], m, s);
      }
      // The last two sums, and that of the error, begin with the same slopes: they are read once for all three. Vectors lie in
      // local memory, of which there should be little: the sums take the places of slopes 1 and 2, and the slopes of the last
      // two stages those of 3 and 4.
      each([](double& o, double a, double& b, double& c, double d, double e) {
        const double slopes[] = {a, b, c, d, e};
        o = sum_of<0>(slopes);
        b = sum_of<1>(slopes);
        c = sum_of<2>(slopes);
      }, end, gradients[0], gradients[1], gradients[2], gradients[3], gradients[4]);
      combined(end, y, h, end);
      evaluate_apart(end, gradients[3], m, s);
      combined(end, gradients[1], -TSIT5_LOWER[5][5], gradients[3]);
      combined(end, y, h, end);
      // The end of the step, whose slope is the first of the next one.
      const double value = evaluate_apart(end, gradients[4], m, s);
      // The local error h sum_j b_j k_j, against the displacement of the step.
      double squares[3] = {value, 0.0, 0.0};
      Vector error, apart;
      combined(error, gradients[2], -TSIT5_ERROR[5], gradients[3]);
      combined(error, error, -TSIT5_ERROR[6], gradients[4]);
      scaled(error, h, error);
      combined(apart, end, -1.0, y);
      squares[1] = own_dot(apart, apart);
      squares[2] = own_dot(error, error);
      block_sums(squares, s);
      const double displacement = sqrt(squares[1] / NUMBERS), missed = sqrt(squares[2] / NUMBERS);
      r.steps += 6;
      if (controlled(r, displacement, missed / (rtol * displacement), FLOW_ORDER)) {
        each([](double& a, double b) { a = b; }, y, end);
        each([](double& a, double b) { a = b; }, gradients[0], gradients[4]);
        r.value = squares[0];
      }
    }
    // Value and gradient where the flow stands are known; the engine counts one more.
    r.grad_norm = block_norm(gradients[0], s);
    r.steps++;
    observe(r, FLOW, budget, polish);
  }
  put_back(r);
  write(y, r.point);
}
