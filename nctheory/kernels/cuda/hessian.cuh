// Products with the Hessian of the chain Z = W_L ... W_1 H + b 1^T, with a multiple of the penalty that fixes its gauge.

// What a product with the Hessian at y needs besides y: for this thread's columns q times the loss's gradient, the softmax,
// and W_1 h; on spheres the gradient in h besides.
template <bool>
struct Sloped {};
template <>
struct Sloped<true> {
  double slope[COLUMNS][D];
};
struct Linearised : Sloped<SPHERES> {
  double e[COLUMNS][K], p[COLUMNS][K], above[COLUMNS][LOWEST];
};

// W_1 of the point, and of the direction.
template <class S>
__device__ __forceinline__ const double* lowest(const S& s) {
  if constexpr (DEEP) return s.at.factor; else return s.weight;
}

template <class S>
__device__ __forceinline__ const double* lowest_along(const S& s) {
  if constexpr (DEEP) return s.along.factor; else return s.other;
}

// G, the sum over columns of e h^T at the point, which a chain of several layers needs for every product with its Hessian, as
// does a classifier that is held by lengths.
template <class S>
__device__ __forceinline__ void keep_slope(const Vector& y, const Linearised& l, const Member& m, S& s) {
  if constexpr (DEEP || GROUPS > 0) {
    Outer<K, false> outer;
    outer.clear();
    for (int c = 0; c < COLUMNS; c++) {
      const Raised<SPHERES> at(y.h[c], m, thread() + THREADS * c < N);
      lay_left(l.e[c], s);
      lay_right(at.h, s);
      outer.gather<false>(s);
    }
    outer.publish(s.slope, s.rows);
  }
  if constexpr (GROUPS > 0) keep_normals(s);
}

// What becomes of a layer's gradient along a direction: S^T dG P^T + S'^T G P^T + S^T G P'^T + decay V, from dG in s.product.
template <class S>
__device__ __forceinline__ void spread_along(const Vector& v, Vector& out, const Member& m, S& s) {
  if constexpr (DEEP) {
#pragma unroll
    for (int l = 0; l < LAYERS; l++) {
      const int n = width(l + 1);
      const double *above = s.at.suffix + suffix_at(l), *moved = s.along.suffix + suffix_at(l);
      const double *below = s.at.prefix + prefix_at(l), *turned = s.along.prefix + prefix_at(l);
      const double *g = s.slope, *dg = s.product;
      multiplied(n, 2 * K, D, [=](int r, int k) { return k < K ? above[k * n + r] : moved[(k - K) * n + r]; },
                 [=](int k, int c) { return k < K ? dg[k * D + c] : g[(k - K) * D + c]; }, s.turned);
      multiplied(n, K, D, [=](int r, int k) { return above[k * n + r]; }, [=](int k, int c) { return g[k * D + c]; },
                 s.turned_too);
      sync();
#pragma unroll UNROLLED
      for (int j = 0; j < WEIGHTS; j++) {
        const int i = thread() + THREADS * j;
        if (i < offset(l) || i >= offset(l + 1)) continue;
        const int r = (i - offset(l)) / width(l), c = (i - offset(l)) % width(l);
        double total = m.decay_w[l] * v.w[j];
        for (int d = 0; d < D; d++)
          total += s.turned[r * D + d] * below[c * D + d] + s.turned_too[r * D + d] * turned[c * D + d];
        out.w[j] = total;
      }
      sync();
    }
#pragma unroll UNROLLED
    for (int j = 0; j < WEIGHTS; j++)
      if (thread() + THREADS * j >= LAYER_NUMBERS) out.w[j] = 0.0;
  } else if constexpr (GROUPS > 0) {
    lower_groups_along(out, s);
  } else {
    spread([&](int j) { return v.w[j]; }, out, m, s);
  }
}

// out += factor P v of the spaces between layers, where A = W_l lies above F = W_{l-1}: with M = v_F F^T - A^T v_A and
// half = A^T A (M - M^T) the generator half - half^T moves F along it, and A against it.
template <class S>
__device__ __forceinline__ void add_inner_penalties(double factor, Vector& out, S& s) {
  if constexpr (DEEP) {
    for (int l = 1; l < LAYERS; l++) {
      const int up = width(l + 1), n = width(l), down = width(l - 1);
      if (n == 1) continue;
      const double *a = s.at.factor + offset(l), *f = s.at.factor + offset(l - 1);
      const double *va = s.along.factor + offset(l), *vf = s.along.factor + offset(l - 1);
      for (int i = thread(); i < n * n; i += THREADS) {
        const int r = i / n, c = i % n;
        double met = 0.0, square = 0.0;
        for (int k = 0; k < down; k++) met += vf[r * down + k] * f[c * down + k];
        for (int k = 0; k < up; k++) {
          met -= a[k * n + r] * va[k * n + c];
          square += a[k * n + r] * a[k * n + c];
        }
        s.met[i] = met;
        s.square[i] = square;
      }
      sync();
      const double *met = s.met, *square = s.square, *half = s.half;
      multiplied(n, n, n, [=](int r, int k) { return square[r * n + k]; },
                 [=](int k, int c) { return met[k * n + c] - met[c * n + k]; }, s.half);
      sync();
#pragma unroll UNROLLED
      for (int j = 0; j < WEIGHTS; j++) {
        const int i = thread() + THREADS * j;
        double total = 0.0;
        if (i >= offset(l) && i < offset(l + 1)) {
          const int r = (i - offset(l)) / n, c = (i - offset(l)) % n;
          for (int k = 0; k < n; k++) total -= a[r * n + k] * (half[k * n + c] - half[c * n + k]);
        } else if (i >= offset(l - 1) && i < offset(l)) {
          const int r = (i - offset(l - 1)) / down, c = (i - offset(l - 1)) % down;
          for (int k = 0; k < n; k++) total += (half[r * n + k] - half[k * n + r]) * f[k * down + c];
        }
        out.w[j] += factor * total;
      }
      sync();
    }
  }
}

// out = A B^T of two matrices of LOWEST x D numbers that all threads see.
__device__ __forceinline__ void gram_of(const double* a, const double* b, double* out) {
  for (int i = thread(); i < LOWEST * LOWEST; i += THREADS) {
    double total = 0.0;
    for (int d = 0; d < D; d++) total += a[(i / LOWEST) * D + d] * b[(i % LOWEST) * D + d];
    out[i] = total;
  }
}

// W and b of y go to where all threads see them, and stay there until something else is evaluated.
__device__ __noinline__ void linearise(const Vector& y, Linearised& l, const Member& m, Shared& s) {
  publish_place(Here{y}, m, s);
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    for (int k = 0; k < K; k++) l.e[c][k] = l.p[c][k] = 0.0;
    for (int k = 0; k < LOWEST; k++) l.above[c][k] = 0.0;
    if constexpr (SPHERES) clear_slope(l, c);
    if (n >= N) continue;
    const Raised<SPHERES> at(y.h[c], m, true);
    if constexpr (!SPHERES) add_column(lowest(s), at.h, l.above[c]);
    add_column(s.weight, at.h, l.e[c]);
    for (int k = 0; k < K; k++) l.e[c][k] += BIAS ? s.bias[k] : 0.0;
    column_loss<true>(l.e[c], m.targets + n, l.p[c]);
    for (int k = 0; k < K; k++) l.e[c][k] *= m.fit[n];
    if constexpr (SPHERES) add_slope(l, c, s);
  }
  if constexpr (!SPHERES) gram_of(lowest(s), lowest(s), s.gram);
  sync();
  keep_slope(y, l, m, s);
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
  Outer<K, BIAS> outer;
  outer.clear();
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    const bool inside = n < N;
    const double q = inside ? m.fit[n] : 0.0, decay = inside ? m.decay_h * m.multiplicity[n] : 0.0;
    const Raised<SPHERES> at(y.h[c], m, inside);
    const Moved<SPHERES> along(at, y.h[c], v.h[c]);
    double e[K];
    // The logits change by v_W h + W v_h + v_b, and q times the loss's gradient by its Hessian times that.
    for (int k = 0; k < K; k++) e[k] = BIAS ? s.other_bias[k] : 0.0;
    add_column(s.other, at.h, e);
    add_column(s.weight, along.h, e);
    loss_hessian(l.p[c], q, e);
    // The gradient of W is e h^T + lambda W, and changes by (de) h^T + e v_h^T; that of b by the sum of de alone.
    lay_left(e, s);
    lay_right(at.h, s);
    if constexpr (!GIVEN) outer.gather<true>(s);
    for (int d = 0; d < D; d++) out.h[c][d] = decay * v.h[c][d];
    add_transposed(s.weight, 1.0, e, out.h[c]);
    for (int k = 0; k < K; k++) e[k] = l.e[c][k];
    lay_left(e, s);
    lay_right(along.h, s);
    if constexpr (!GIVEN) outer.gather<false>(s);
    add_transposed(s.other, 1.0, e, out.h[c]);
    if constexpr (SPHERES) lower_slope(l, c, at, along, y.h[c], out.h[c]);
  }
  if constexpr (!GIVEN) outer.publish(s.product, s.rows);
  spread_along(v, out, m, s);
  for (int j = 0; j < BIASES; j++) {
    const int i = thread() + THREADS * j;
    out.b[j] = BIAS && i < K ? s.rows[i] + m.decay_b * v.b[j] : 0.0;
  }
}

// out += factor P v with the penalty of `chain_gauge_penalty`: with C = (W v_H) H^T - (W H) v_H^T - W W^T v_W + W v_W^T W it
// moves W by (W C^T) W - (W W^T) C, and H by W^T (C H) - C^T (W H). Here W is W_1, and W W^T lies in s.gram.
__device__ __noinline__ void add_penalty(const Vector& y, const Linearised& l, const Vector& v, double factor, Vector& out,
                                         Shared& s) {
  if constexpr (SPHERES) {
    add_sphere_penalty(y, v, factor, out, s);
    return;
  }
  add_inner_penalties(factor, out, s);
  if (D == 1) return;  // no rotation
  const double *w = lowest(s), *along_w = lowest_along(s);
  Outer<LOWEST, false> outer;
  outer.clear();
  for (int c = 0; c < COLUMNS; c++) {
    double along[LOWEST];
    for (int k = 0; k < LOWEST; k++) along[k] = 0.0;
    lay_right(y.h[c], s);
    if (thread() + THREADS * c < N) add_column(w, v.h[c], along);
    lay_left(along, s);
    outer.gather<false>(s);
    for (int k = 0; k < LOWEST; k++) along[k] = -l.above[c][k];
    lay_left(along, s);
    lay_right(v.h[c], s);
    outer.gather<false>(s);
  }
  gram_of(w, along_w, s.mixed);
  outer.publish(s.turn, s.rows);
  for (int i = thread(); i < LOWEST * D; i += THREADS) {
    double total = s.turn[i];
    for (int k = 0; k < LOWEST; k++) {
      total -= s.gram[(i / D) * LOWEST + k] * along_w[k * D + i % D];
      total += s.mixed[(i / D) * LOWEST + k] * w[k * D + i % D];
    }
    s.turn[i] = total;  // nobody else reads this number before the next barrier
  }
  sync();
  gram_of(w, s.turn, s.mixed);
  sync();
  EACH_NUMBER(j, i) {
    if (i >= LOWEST * D) continue;
    double total = 0.0;
    for (int k = 0; k < LOWEST; k++) {
      total += s.mixed[(i / D) * LOWEST + k] * w[k * D + i % D];
      total -= s.gram[(i / D) * LOWEST + k] * s.turn[k * D + i % D];
    }
    out.w[j] += factor * total;
  }
  for (int c = 0; c < COLUMNS; c++) {
    if (thread() + THREADS * c >= N) continue;
    double along[LOWEST];
    for (int k = 0; k < LOWEST; k++) along[k] = 0.0;
    add_column(s.turn, y.h[c], along);
    add_transposed(w, factor, along, out.h[c]);
    add_transposed(s.turn, -factor, l.above[c], out.h[c]);
  }
}
