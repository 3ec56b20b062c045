// Objective and gradient of the chain Z = W H + b 1^T, W the product of its layers, and sums over its columns.

// Every thread lays down a column e and a column h; the sums over columns of e h^T and of e are made of these.
template <int R>
__device__ __forceinline__ void lay_left(const double (&e)[R], Shared& s) {
#pragma unroll UNROLLED
  for (int k = 0; k < R; k++) s.left[k * PITCH + thread()] = e[k];
}

__device__ __forceinline__ void lay_right(const double (&h)[D], Shared& s) {
#pragma unroll UNROLLED
  for (int d = 0; d < D; d++) s.right[d * PITCH + thread()] = h[d];
}

// Into how many parts neighbours share so many numbers: as many as there are neighbours, or fewer where the numbers are.
__device__ constexpr int parts_of(int numbers, int neighbours) {
  return neighbours > numbers ? parts_of(numbers, neighbours / 2) : neighbours;
}

// These sums, for columns e of R numbers, with the sums of e alone where asked for: a thread adds up one tile of the product
// over every SLICES-th column, and neighbours add up their slices.
template <int R, bool ROWS>
struct Outer {
  static constexpr int OWN = ((R + TILE_K - 1) / TILE_K) * TILES_D, TILE = TILE_K * TILE_D;
  static constexpr int COUNT = TILE + (ROWS ? TILE_K : 0), PARTS = parts_of(COUNT, SLICES);
  static constexpr int SHARE = (COUNT + PARTS - 1) / PARTS;

  double x[SHARE * PARTS];  // the tile, row by row, and then the sums of its rows of e; the rest is zero

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < SHARE * PARTS; i++) x[i] = 0.0;
  }

  // Adds what the threads have laid down; COUNTED where it counts for the sums of e.
  template <bool COUNTED>
  __device__ __forceinline__ void gather(Shared& s) {
    sync();
    const int one = thread() / SLICES, k0 = (one / TILES_D) * TILE_K, d0 = (one % TILES_D) * TILE_D;
    if (one < OWN)
#pragma unroll 4
      for (int n = thread() % SLICES; n < (N < THREADS ? N : THREADS); n += SLICES) {
        double b[TILE_D];
#pragma unroll UNROLLED
        for (int j = 0; j < TILE_D; j++) b[j] = d0 + j < D ? s.right[(d0 + j) * PITCH + n] : 0.0;
#pragma unroll
        for (int i = 0; i < TILE_K; i++) {
          const double a = k0 + i < R ? s.left[(k0 + i) * PITCH + n] : 0.0;
          if (ROWS && COUNTED) x[TILE + i] += a;
#pragma unroll
          for (int j = 0; j < TILE_D; j++) x[i * TILE_D + j] += a * b[j];
        }
      }
    sync();
  }

  // A round of the sums over neighbours, of the first M numbers, and the rounds after it: each of a pair hands over the half
  // that the other one keeps.
  template <int M>
  __device__ __forceinline__ void halve() {
    if constexpr (M > SHARE) {
      const int apart = M / SHARE * (SLICES / PARTS) / 2;
      const bool upper = (thread() & apart) != 0;
#pragma unroll
      for (int i = 0; i < M / 2; i++) {
        const double kept = upper ? x[i + M / 2] : x[i], given = upper ? x[i] : x[i + M / 2];
        x[i] = kept + __shfl_xor_sync(0xffffffffu, given, apart);
      }
      halve<M / 2>();
    }
  }

  // The sums, for all threads to read; the slices of a tile are neighbours within a warp, and each ends with a share of them.
  __device__ __forceinline__ void publish(double* product, double* rows) {
    const int one = thread() / SLICES, k0 = (one / TILES_D) * TILE_K, d0 = (one % TILES_D) * TILE_D;
    halve<SHARE * PARTS>();
    for (int apart = SLICES / PARTS / 2; apart > 0; apart /= 2)
#pragma unroll
      for (int i = 0; i < SHARE; i++) x[i] += __shfl_xor_sync(0xffffffffu, x[i], apart);
    const int first = thread() % SLICES / (SLICES / PARTS) * SHARE;
#pragma unroll
    for (int i = 0; i < SHARE; i++) {
      const int at = first + i, k = k0 + (at < TILE ? at / TILE_D : at - TILE), d = d0 + at % TILE_D;
      if (one >= OWN || k >= R || thread() % (SLICES / PARTS) != 0) continue;
      if (at < TILE && d < D) product[k * D + d] = x[i];
      if (ROWS && at >= TILE && at < COUNT && d0 == 0) rows[k] = x[i];
    }
    sync();
  }
};

// out += W h for one column.
template <int R>
__device__ __forceinline__ void add_column(const double* weight, const double (&h)[D], double (&out)[R]) {
#pragma unroll UNROLLED
  for (int k = 0; k < R; k++) {
    double total = 0.0;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) total += weight[k * D + d] * h[d];
    out[k] += total;
  }
}

// out += factor W^T e for one column.
template <int R>
__device__ __forceinline__ void add_transposed(const double* weight, double factor, const double (&e)[R], double (&out)[D]) {
#pragma unroll UNROLLED
  for (int k = 0; k < R; k++) {
    const double scale = factor * e[k];
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) out[d] += weight[k * D + d] * scale;
  }
}

// e^x for x <= 0 by 2^n p(r), with n the whole number next to x/log 2, r = x - n log 2 the rest (log 2 in two parts, so that n
// times the first is exact) and p the polynomial of degree 11 that departs least from e^r, relatively, for |r| <= log(2)/2: by
// 3.1e-18. Unlike the compiler's own it has no branches, so that a thread has the exponentials of all logits under way at a
// time. Below -708 it is e^-708; not a number remains one.
__device__ __forceinline__ double falling_exp(double x) {
  constexpr double POWERS[] = {1.0, 1.0, 0x1.0000000000010p-1, 0x1.55555555554a2p-3, 0x1.555555554f35cp-5,
                               0x1.1111111130e3dp-7, 0x1.6c16c18785410p-10, 0x1.a01a011041631p-13, 0x1.a01992c5b57bfp-16,
                               0x1.71df453b57fd7p-19, 0x1.28b31c48ebd6dp-22, 0x1.ad66108cafa56p-26};
  constexpr double TO_WHOLE = 0x1.8p52, LOG_2 = 0x1.62e42fee00000p-1, LOG_2_REST = 0x1.a39ef35793c76p-33;
  x = x < -708.0 ? -708.0 : x;
  const double shifted = x * 0x1.71547652b82fep0 + TO_WHOLE, n = shifted - TO_WHOLE;  // n lies in the lowest bits of `shifted`
  const double r = (x - n * LOG_2) - n * LOG_2_REST;
  double p = POWERS[11];
#pragma unroll
  for (int i = 10; i >= 0; i--) p = p * r + POWERS[i];
  return p * __longlong_as_double((long long)((unsigned long long)(__double_as_longlong(shifted) + 1023) << 52));
}

// The loss of one column of logits, which become its gradient; `softmax`, where asked for, is what the Hessian needs besides.
template <bool KEPT>
__device__ __forceinline__ double column_loss(double (&z)[K], const double* targets, double* softmax) {
  double value = 0.0;
  if (CROSS_ENTROPY) {
    // l = log sum_k e^(z_k - max z) - <y, z - max z>, as the engine has it.
    double top = z[0], total = 0.0;
#pragma unroll UNROLLED
    for (int k = 1; k < K; k++) top = larger(top, z[k]);
#pragma unroll UNROLLED
    for (int k = 0; k < K; k++) {
      value -= targets[k * N] * (z[k] - top);
      z[k] = falling_exp(z[k] - top);
      total += z[k];
    }
    const double over = 1.0 / total;
#pragma unroll UNROLLED
    for (int k = 0; k < K; k++) {
      z[k] *= over;
      if (KEPT) softmax[k] = z[k];
      z[k] -= targets[k * N];
    }
    return value + log(total);
  }
#pragma unroll UNROLLED
  for (int k = 0; k < K; k++) {
    z[k] -= targets[k * N];
    value += z[k] * z[k];
  }
  return 0.5 * value;
}

// Where the objective is evaluated: at a vector, or at y - t g, which is never put together as a whole.
struct Here {
  const Vector& v;
  __device__ __forceinline__ double h(int c, int d) const { return v.h[c][d]; }
  __device__ __forceinline__ double w(int j) const { return v.w[j]; }
  __device__ __forceinline__ double b(int j) const { return v.b[j]; }
};

struct Ahead {
  const Vector &y, &g;
  double step;
  __device__ __forceinline__ double h(int c, int d) const { return y.h[c][d] - step * g.h[c][d]; }
  __device__ __forceinline__ double w(int j) const { return y.w[j] - step * g.w[j]; }
  __device__ __forceinline__ double b(int j) const { return y.b[j] - step * g.b[j]; }
};

// This thread's part of the objective at a place, and its part of the gradient.
template <class Place>
__device__ __forceinline__ double evaluate(const Place& at, Vector& gradient, const Member& m, Shared& s) {
  double value = 0.0;
  Outer<K, BIAS> outer;
  outer.clear();
  publish_place(at, m, s);
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
    double e[K], h[D], squared = 0.0, q = 0.0, decay = 0.0;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) {
      h[d] = at.h(c, d);
      squared += h[d] * h[d];
    }
    double scale = 1.0;
    if constexpr (SPHERES) scale = raise(h, squared, m, n < N);
    lay_right(h, s);
#pragma unroll UNROLLED
    for (int k = 0; k < K; k++) e[k] = BIAS ? s.bias[k] : 0.0;
    add_column(s.weight, h, e);
    if (n < N) {
      q = m.fit[n];
      decay = m.decay_h * m.multiplicity[n];
      value += q * column_loss<false>(e, m.targets + n, nullptr) + 0.5 * decay * squared;
    }
#pragma unroll UNROLLED
    for (int k = 0; k < K; k++) e[k] = n < N ? q * e[k] : 0.0;
    lay_left(e, s);
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) gradient.h[c][d] = decay * at.h(c, d);
    add_transposed(s.weight, 1.0, e, gradient.h[c]);
    if constexpr (SPHERES) lower(h, scale, m, gradient.h[c]);
    if constexpr (!GIVEN) outer.template gather<true>(s);
  }
  if constexpr (!GIVEN) outer.publish(s.product, s.rows);
  spread([&](int j) { return at.w(j); }, gradient, m, s);
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) {
    const double w = at.w(j);
    value += 0.5 * decay_of(m, thread() + THREADS * j) * w * w;
  }
#pragma unroll UNROLLED
  for (int j = 0; j < BIASES; j++) {
    const int i = thread() + THREADS * j;
    const double b = at.b(j);
    gradient.b[j] = BIAS && i < K ? s.rows[i] + m.decay_b * b : 0.0;
    value += 0.5 * m.decay_b * b * b;
  }
  return value;
}

// The same at a vector, called and not written out, where vectors lie in memory anyway.
__device__ __noinline__ double evaluate_apart(const Vector& v, Vector& gradient, const Member& m, Shared& s) {
  const Here at = {v};
  return evaluate(at, gradient, m, s);
}
