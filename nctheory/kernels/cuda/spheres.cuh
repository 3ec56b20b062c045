// Points on spheres, which are searched by free vectors v: the logits see h = rho v/|v|. With sigma = rho/|v|, a gradient g
// in h becomes sigma (g - a v) in v, where a = <v, g>/|v|^2. A classifier is held in the same way, by groups of its numbers:
// every row of it, or the whole.

// A column as the logits see it: itself, or divided by its length.
template <bool>
struct Raised {
  const double (&h)[D];
  template <class M>
  __device__ __forceinline__ Raised(const double (&v)[D], const M&, bool) : h(v) {}
};

template <>
struct Raised<true> {
  double h[D], scale, inverse;  // sigma and 1/|v|^2; both are zero beyond the last column
  template <class M>
  __device__ __forceinline__ Raised(const double (&v)[D], const M& m, bool inside) {
    double squared = 0.0;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) squared += v[d] * v[d];
    inverse = inside ? 1.0 / squared : 0.0;
    scale = inside ? m.radius / sqrt(squared) : 0.0;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) h[d] = scale * v[d];
  }
};

// The same within the objective, where the column lies in h already, with its squared length: it comes out as the logits see
// it, and sigma is returned.
template <class M>
__device__ __forceinline__ double raise(double (&h)[D], double squared, const M& m, bool inside) {
  const double scale = inside ? m.radius / sqrt(squared) : 0.0;
#pragma unroll UNROLLED
  for (int d = 0; d < D; d++) h[d] *= scale;
  return scale;
}

// The gradient in v from that in h.
template <class M>
__device__ __forceinline__ void lower(const double (&h)[D], double scale, const M& m, double (&g)[D]) {
  double along = 0.0;
#pragma unroll UNROLLED
  for (int d = 0; d < D; d++) along += h[d] * g[d];
  along /= m.radius * m.radius;
#pragma unroll UNROLLED
  for (int d = 0; d < D; d++) g[d] = scale * (g[d] - along * h[d]);
}

// A sum over the numbers of every group of W: `term(i, x)` adds a number's part to x, and `put(g, x)` gets the sums.
template <int M, class Term, class Put, class S>
__device__ __forceinline__ void each_group(Term term, Put put, S& s) {
  if constexpr (GROUPS == 1) {
    double x[M] = {};
    for (int i = thread(); i < K * D; i += THREADS) term(i, x);
    block_sums(x, s);
    if (thread() == 0) put(0, x);
  } else {
    for (int g = thread(); g < GROUPS; g += THREADS) {
      double x[M] = {};
      for (int i = g * GROUP; i < (g + 1) * GROUP; i++) term(i, x);
      put(g, x);
    }
  }
  sync();
}

// W, from its own numbers in s.own: those of each group are divided by their length.
template <class M, class S>
__device__ __forceinline__ void raise_groups(const M& m, S& s) {
  sync();
  each_group<1>([&](int i, double (&x)[1]) { x[0] += s.own[i] * s.own[i]; },
                [&](int g, double (&x)[1]) {
                  s.inverse[g] = 1.0 / x[0];
                  s.scale[g] = m.size / sqrt(x[0]);
                }, s);
  for (int i = thread(); i < K * D; i += THREADS) s.weight[i] = s.scale[i / GROUP] * s.own[i];
  sync();
}

// What becomes of W along the direction in s.moved: sigma (x - t v), with t = <v, x>/|v|^2.
template <class S>
__device__ __forceinline__ void raise_groups_along(S& s) {
  sync();
  each_group<1>([&](int i, double (&x)[1]) { x[0] += s.own[i] * s.moved[i]; },
                [&](int g, double (&x)[1]) { s.tilt[g] = x[0] * s.inverse[g]; }, s);
  for (int i = thread(); i < K * D; i += THREADS) {
    const int g = i / GROUP;
    s.other[i] = s.scale[g] * (s.moved[i] - s.tilt[g] * s.own[i]);
  }
  sync();
}

// The gradient of W's own numbers, from that of W in s.product.
template <class S>
__device__ __forceinline__ void lower_groups(Vector& out, S& s) {
  each_group<1>([&](int i, double (&x)[1]) { x[0] += s.own[i] * s.product[i]; },
                [&](int g, double (&x)[1]) { s.part[g] = x[0] * s.inverse[g]; }, s);
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) {
    const int i = thread() + THREADS * j, g = i < K * D ? i / GROUP : 0;
    out.w[j] = i < K * D ? s.scale[g] * (s.product[i] - s.part[g] * s.own[i]) : 0.0;
  }
}

// The lengths of a member, from where its numbers have them.
template <class M>
__device__ __forceinline__ void put_lengths(M& m, const double* numbers) {
  m.radius = numbers[0];
  m.size = numbers[1];
  m.given = numbers + 2;
}
