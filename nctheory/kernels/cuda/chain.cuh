// Objective and gradient of the chain Z = W H + b 1^T, and sums over its columns.

// The sums over columns of e h^T and of e. Every thread lays down a column of each; then a thread adds up one tile of the
// product over every SLICES-th column, and neighbours add up their slices at the end.
struct Outer {
  double tile[TILE_K][TILE_D], row[TILE_K];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < TILE_K; i++) {
      row[i] = 0.0;
#pragma unroll
      for (int j = 0; j < TILE_D; j++) tile[i][j] = 0.0;
    }
  }

  __device__ __forceinline__ void add(const double (&e)[K], const double (&h)[D], Shared& s) {
#pragma unroll
    for (int k = 0; k < K; k++) s.left[k * PITCH + thread()] = e[k];
#pragma unroll
    for (int d = 0; d < D; d++) s.right[d * PITCH + thread()] = h[d];
    sync();
    const int one = thread() / SLICES, k0 = (one / TILES_D) * TILE_K, d0 = (one % TILES_D) * TILE_D;
    if (one < TILES)
      for (int n = thread() % SLICES; n < (N < THREADS ? N : THREADS); n += SLICES) {
        double a[TILE_K], b[TILE_D];
#pragma unroll
        for (int i = 0; i < TILE_K; i++) a[i] = k0 + i < K ? s.left[(k0 + i) * PITCH + n] : 0.0;
#pragma unroll
        for (int j = 0; j < TILE_D; j++) b[j] = d0 + j < D ? s.right[(d0 + j) * PITCH + n] : 0.0;
#pragma unroll
        for (int i = 0; i < TILE_K; i++) {
          row[i] += a[i];
#pragma unroll
          for (int j = 0; j < TILE_D; j++) tile[i][j] += a[i] * b[j];
        }
      }
    sync();
  }

  // The sums, for all threads to read; the slices of a tile are neighbours within a warp.
  __device__ __forceinline__ void publish(double* product, double* rows) {
    const int one = thread() / SLICES, k0 = (one / TILES_D) * TILE_K, d0 = (one % TILES_D) * TILE_D;
    for (int apart = SLICES / 2; apart > 0; apart /= 2) {
#pragma unroll
      for (int i = 0; i < TILE_K; i++) {
        row[i] += __shfl_xor_sync(0xffffffffu, row[i], apart);
#pragma unroll
        for (int j = 0; j < TILE_D; j++) tile[i][j] += __shfl_xor_sync(0xffffffffu, tile[i][j], apart);
      }
    }
    if (one < TILES && thread() % SLICES == 0) {
#pragma unroll
      for (int i = 0; i < TILE_K; i++) {
        if (d0 == 0 && k0 + i < K) rows[k0 + i] = row[i];
#pragma unroll
        for (int j = 0; j < TILE_D; j++)
          if (k0 + i < K && d0 + j < D) product[(k0 + i) * D + d0 + j] = tile[i][j];
      }
    }
    sync();
  }
};

// W and b of a vector, for all threads to read.
__device__ __forceinline__ void publish(const Vector& v, double* weight, double* bias) {
  sync();  // nobody reads the former ones any more
  EACH_NUMBER(j, i) weight[i] = v.w[j];
  EACH_BIAS(j, i) bias[i] = v.b[j];
  sync();
}

// W h for one column.
__device__ __forceinline__ void times_column(const double* weight, const double (&h)[D], double (&out)[K]) {
#pragma unroll UNROLLED
  for (int k = 0; k < K; k++) {
    double total = 0.0;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) total += weight[k * D + d] * h[d];
    out[k] = total;
  }
}

// out += factor W^T e for one column.
__device__ __forceinline__ void add_transposed(const double* weight, double factor, const double (&e)[K], double (&out)[D]) {
#pragma unroll UNROLLED
  for (int k = 0; k < K; k++) {
    const double scale = factor * e[k];
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) out[d] += weight[k * D + d] * scale;
  }
}

// The loss of one column of logits z; p becomes the softmax of z (what the Hessian needs), z the loss's gradient.
__device__ __forceinline__ double column_loss(double (&z)[K], double (&p)[K], const double* targets) {
  double value = 0.0;
  if (CROSS_ENTROPY) {
    // l = log sum_k e^(z_k - max z) - <y, z - max z>, as the engine has it
    double top = z[0], total = 0.0;
#pragma unroll
    for (int k = 1; k < K; k++) top = larger(top, z[k]);
#pragma unroll
    for (int k = 0; k < K; k++) {
      p[k] = exp(z[k] - top);
      total += p[k];
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
      const double y = targets[k * N];
      value -= y * (z[k] - top);
      p[k] /= total;
      z[k] = p[k] - y;
    }
    return value + log(total);
  }
#pragma unroll
  for (int k = 0; k < K; k++) {
    p[k] = 0.0;
    z[k] -= targets[k * N];
    value += 0.5 * z[k] * z[k];
  }
  return value;
}

// This thread's part of the objective at v, and its part of the gradient g.
__device__ __forceinline__ double evaluate(const Vector& v, Vector& g, const Member& m, Shared& s) {
  double value = 0.0;
  Outer outer;
  outer.clear();
  publish(v, s.weight, s.bias);
#pragma unroll
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    double e[K], p[K];
    if (n < N) {
      times_column(s.weight, v.h[c], e);
      if (BIAS)
#pragma unroll
        for (int k = 0; k < K; k++) e[k] += s.bias[k];
      const double q = m.fit[n], decay = m.decay_h * m.multiplicity[n];
      value += q * column_loss(e, p, m.targets + n);
#pragma unroll
      for (int d = 0; d < D; d++) {
        value += 0.5 * decay * v.h[c][d] * v.h[c][d];
        g.h[c][d] = decay * v.h[c][d];
      }
#pragma unroll
      for (int k = 0; k < K; k++) e[k] *= q;
      add_transposed(s.weight, 1.0, e, g.h[c]);
    } else {
#pragma unroll
      for (int k = 0; k < K; k++) e[k] = 0.0;
#pragma unroll
      for (int d = 0; d < D; d++) g.h[c][d] = 0.0;
    }
    outer.add(e, v.h[c], s);
  }
  outer.publish(s.product, s.rows);
#pragma unroll
  for (int j = 0; j < WEIGHTS; j++) {
    const int i = thread() + THREADS * j;
    g.w[j] = i < K * D ? s.product[i] + m.decay_w * v.w[j] : 0.0;
    value += 0.5 * m.decay_w * v.w[j] * v.w[j];
  }
#pragma unroll
  for (int j = 0; j < BIASES; j++) {
    const int i = thread() + THREADS * j;
    g.b[j] = BIAS && i < K ? s.rows[i] + m.decay_b * v.b[j] : 0.0;
    value += 0.5 * m.decay_b * v.b[j] * v.b[j];
  }
  return value;
}

// The same, called and not written out, where the vectors lie in memory anyway.
__device__ __noinline__ double evaluate_apart(const Vector& v, Vector& g, const Member& m, Shared& s) {
  return evaluate(v, g, m, s);
}
