// Products with the Hessian of the chain Z = W H + b 1^T, with a multiple of the penalty that fixes its gauge.

// What a product with the Hessian at y needs besides y: for this thread's columns q times the loss's gradient, the softmax,
// and W h.
struct Linearised {
  double e[COLUMNS][K], p[COLUMNS][K], above[COLUMNS][K];
};

// out = A B^T of two K x D matrices that all threads see.
__device__ __forceinline__ void gram_of(const double* a, const double* b, double* out) {
  for (int i = thread(); i < K * K; i += THREADS) {
    double total = 0.0;
    for (int d = 0; d < D; d++) total += a[(i / K) * D + d] * b[(i % K) * D + d];
    out[i] = total;
  }
}

// W and b of y go to where all threads see them, and stay there until something else is evaluated.
__device__ __noinline__ void linearise(const Vector& y, Linearised& l, const Member& m, Shared& s) {
  publish(y, s.weight, s.bias);
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    for (int k = 0; k < K; k++) l.e[c][k] = l.p[c][k] = l.above[c][k] = 0.0;
    if (n >= N) continue;
    add_column(s.weight, y.h[c], l.above[c]);
    for (int k = 0; k < K; k++) l.e[c][k] = l.above[c][k] + (BIAS ? s.bias[k] : 0.0);
    column_loss<true>(l.e[c], m.targets + n, l.p[c]);
    for (int k = 0; k < K; k++) l.e[c][k] *= m.fit[n];
  }
  gram_of(s.weight, s.weight, s.gram);
  sync();
}

// q times the loss's Hessian, diag(p) - p p^T or the identity, on one column of logits.
__device__ __forceinline__ void loss_hessian(const double (&p)[K], double q, double (&z)[K]) {
  double mean = 0.0;
  if (CROSS_ENTROPY)
    for (int k = 0; k < K; k++) mean += p[k] * z[k];
  for (int k = 0; k < K; k++) z[k] = q * (CROSS_ENTROPY ? p[k] * (z[k] - mean) : z[k]);
}

// out = A v, the Hessian at y applied to v, whose W and b lie in s.other.
__device__ __noinline__ void curvature_of(const Vector& y, const Linearised& l, const Vector& v, Vector& out, const Member& m,
                                          Shared& s) {
  Outer outer;
  outer.clear();
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    const bool inside = n < N;
    const double q = inside ? m.fit[n] : 0.0, decay = inside ? m.decay_h * m.multiplicity[n] : 0.0;
    double e[K];
    // The logits change by v_W h + W v_h + v_b, and q times the loss's gradient by its Hessian times that.
    for (int k = 0; k < K; k++) e[k] = BIAS ? s.other_bias[k] : 0.0;
    add_column(s.other, y.h[c], e);
    add_column(s.weight, v.h[c], e);
    loss_hessian(l.p[c], q, e);
    // The gradient of W is e h^T + lambda W, and changes by (de) h^T + e v_h^T; that of b by the sum of de alone.
    lay_left(e, s);
    lay_right(y.h[c], s);
    outer.gather(s);
    double rows[TILE_K];
    for (int i = 0; i < TILE_K; i++) rows[i] = outer.row[i];
    for (int d = 0; d < D; d++) out.h[c][d] = decay * v.h[c][d];
    add_transposed(s.weight, 1.0, e, out.h[c]);
    for (int k = 0; k < K; k++) e[k] = l.e[c][k];
    lay_left(e, s);
    lay_right(v.h[c], s);
    outer.gather(s);
    for (int i = 0; i < TILE_K; i++) outer.row[i] = rows[i];
    add_transposed(s.other, 1.0, e, out.h[c]);
  }
  outer.publish(s.product, s.rows);
  for (int j = 0; j < WEIGHTS; j++) {
    const int i = thread() + THREADS * j;
    out.w[j] = i < K * D ? s.product[i] + m.decay_w * v.w[j] : 0.0;
  }
  for (int j = 0; j < BIASES; j++) {
    const int i = thread() + THREADS * j;
    out.b[j] = BIAS && i < K ? s.rows[i] + m.decay_b * v.b[j] : 0.0;
  }
}

// out += factor P v with the penalty of `chain_gauge_penalty`: with C = (W v_H) H^T - (W H) v_H^T - W W^T v_W + W v_W^T W it
// moves W by (W C^T) W - (W W^T) C, and H by W^T (C H) - C^T (W H). W and v_W lie in s.weight and s.other, W W^T in s.gram.
__device__ __noinline__ void add_penalty(const Vector& y, const Linearised& l, const Vector& v, double factor, Vector& out,
                                         Shared& s) {
  if (D == 1) return;  // no rotation
  Outer outer;
  outer.clear();
  for (int c = 0; c < COLUMNS; c++) {
    double along[K];
    for (int k = 0; k < K; k++) along[k] = 0.0;
    lay_right(y.h[c], s);
    if (thread() + THREADS * c < N) add_column(s.weight, v.h[c], along);
    lay_left(along, s);
    outer.gather(s);
    for (int k = 0; k < K; k++) along[k] = -l.above[c][k];
    lay_left(along, s);
    lay_right(v.h[c], s);
    outer.gather(s);
  }
  gram_of(s.weight, s.other, s.mixed);
  outer.publish(s.turn, s.rows);
  for (int i = thread(); i < K * D; i += THREADS) {
    double total = s.turn[i];
    for (int k = 0; k < K; k++) {
      total -= s.gram[(i / D) * K + k] * s.other[k * D + i % D];
      total += s.mixed[(i / D) * K + k] * s.weight[k * D + i % D];
    }
    s.turn[i] = total;  // nobody else reads this number before the next barrier
  }
  sync();
  gram_of(s.weight, s.turn, s.mixed);
  sync();
  EACH_NUMBER(j, i) {
    double total = 0.0;
    for (int k = 0; k < K; k++) {
      total += s.mixed[(i / D) * K + k] * s.weight[k * D + i % D];
      total -= s.gram[(i / D) * K + k] * s.turn[k * D + i % D];
    }
    out.w[j] += factor * total;
  }
  for (int c = 0; c < COLUMNS; c++) {
    if (thread() + THREADS * c >= N) continue;
    double along[K];
    for (int k = 0; k < K; k++) along[k] = 0.0;
    add_column(s.turn, y.h[c], along);
    add_transposed(s.weight, factor, along, out.h[c]);
    add_transposed(s.turn, -factor, l.above[c], out.h[c]);
  }
}
