// The gradient flow by Tsitouras' method of order five, down to where a hand-over is worth trying, as `_ode.py` follows it.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) flow_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, end, gradients[7];  // slope i is minus gradient i
  begin_flow(r, y, gradients[0], FLOW, m, budget, polish, s);
  while (r.stage == FLOW) {
    for (int i = 0; i < FLOW_STEPS; i++) {
      const double h = (r.time + r.step) - r.time;
      double value = 0.0;
      for (int stage = 0; stage < 6; stage++) {
        // y + h sum_j a_j k_j; the last of these is the end of the step, whose slope is the first of the next one.
        scaled(end, -TSIT5_LOWER[stage][0], gradients[0]);
        for (int j = 1; j <= stage; j++) combined(end, end, -TSIT5_LOWER[stage][j], gradients[j]);
        combined(end, y, h, end);
        value = evaluate_apart(end, gradients[stage + 1], m, s);
      }
      // The local error h sum_j b_j k_j, against the displacement of the step.
      double squares[3] = {value, 0.0, 0.0};
      Vector error, apart;
      scaled(error, -TSIT5_ERROR[0], gradients[0]);
      for (int j = 1; j < 7; j++) combined(error, error, -TSIT5_ERROR[j], gradients[j]);
      scaled(error, h, error);
      combined(apart, end, -1.0, y);
      squares[1] = own_dot(apart, apart);
      squares[2] = own_dot(error, error);
      block_sums(squares, s);
      const double displacement = sqrt(squares[1] / NUMBERS), missed = sqrt(squares[2] / NUMBERS);
      r.steps += 6;
      if (controlled(r, displacement, missed / (rtol * displacement), FLOW_ORDER)) {
        each(y, end, [](double& a, double b) { a = b; });
        each(gradients[0], gradients[6], [](double& a, double b) { a = b; });
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
