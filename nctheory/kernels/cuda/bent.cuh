// The second derivative of the division by lengths, and the penalty that fixes lengths and rotations.

// How the gradient sigma (g - b v) of a vector on a sphere, b = <v, g>/|v|^2, changes along a direction x, from what h and g
// become, h' = sigma (x - t v) and g': sigma (g' - c v) - t sigma (g - b v) - b h' - q v, with t, c and q the parts
// <v, x>/|v|^2, <v, g'>/|v|^2 and <h', g>/|v|^2.
struct Bend {
  double scale, tilt, normal, part, turn;  // sigma, t, b, c, q
  __device__ __forceinline__ double of(double v, double g, double moved, double changed) const {
    return scale * (changed - part * v) - tilt * scale * (g - normal * v) - normal * moved - turn * v;
  }
};

// A direction as the logits see it at a raised column: itself, or h'.
template <bool>
struct Moved {
  const double (&h)[D];
  __device__ __forceinline__ Moved(const Raised<false>&, const double (&)[D], const double (&x)[D]) : h(x) {}
};

template <>
struct Moved<true> {
  double h[D], tilt;
  __device__ __forceinline__ Moved(const Raised<true>& at, const double (&v)[D], const double (&x)[D]) {
    tilt = 0.0;
    for (int d = 0; d < D; d++) tilt += v[d] * x[d];
    tilt *= at.inverse;
    for (int d = 0; d < D; d++) h[d] = at.scale * (x[d] - tilt * v[d]);
  }
};

// The gradient in h at the point, W^T e, of a column.
template <class L>
__device__ __forceinline__ void clear_slope(L& l, int c) {
  for (int d = 0; d < D; d++) l.slope[c][d] = 0.0;
}

template <class L, class S>
__device__ __forceinline__ void add_slope(L& l, int c, const S& s) {
  add_transposed(s.weight, 1.0, l.e[c], l.slope[c]);
}

// What g' in `out` becomes in v.
template <class L, class A, class B>
__device__ __forceinline__ void lower_slope(const L& l, int c, const A& at, const B& along, const double (&v)[D],
                                            double (&out)[D]) {
  const double (&g)[D] = l.slope[c];
  Bend bend = {at.scale, along.tilt, 0.0, 0.0, 0.0};
  for (int d = 0; d < D; d++) {
    bend.normal += v[d] * g[d] * at.inverse;
    bend.part += v[d] * out[d] * at.inverse;
    bend.turn += along.h[d] * g[d] * at.inverse;
  }
  for (int d = 0; d < D; d++) out[d] = bend.of(v[d], g[d], along.h[d], out[d]);
}

// b of every group of W, from the gradient in s.slope.
template <class S>
__device__ __forceinline__ void keep_normals(S& s) {
  each_group<1>([&](int i, double (&x)[1]) { x[0] += s.own[i] * s.slope[i]; },
                [&](int g, double (&x)[1]) { s.normal[g] = x[0] * s.inverse[g]; }, s);
}

// What becomes of the gradient of W's own numbers, from g' in s.product and h' in s.other.
template <class S>
__device__ __forceinline__ void lower_groups_along(Vector& out, S& s) {
  each_group<2>([&](int i, double (&x)[2]) {
                  x[0] += s.own[i] * s.product[i];
                  x[1] += s.other[i] * s.slope[i];
                },
                [&](int g, double (&x)[2]) {
                  s.part[g] = x[0] * s.inverse[g];
                  s.turn_of[g] = x[1] * s.inverse[g];
                }, s);
  for (int j = 0; j < WEIGHTS; j++) {
    const int i = thread() + THREADS * j, g = i < K * D ? i / GROUP : 0;
    const Bend bend = {s.scale[g], s.tilt[g], s.normal[g], s.part[g], s.turn_of[g]};
    out.w[j] = i < K * D ? bend.of(s.own[i], s.slope[i], s.other[i], s.product[i]) : 0.0;
  }
}

// W's own numbers at the point, and along the direction.
template <class S>
__device__ __forceinline__ const double* own_numbers(const S& s) {
  if constexpr (GROUPS > 0) return s.own; else return s.weight;
}

template <class S>
__device__ __forceinline__ const double* own_numbers_along(const S& s) {
  if constexpr (GROUPS > 0) return s.moved; else return s.other;
}

// out += factor P v with the penalty of `SphericalFeatures.gauge_penalty`: with the rows of W and the columns of H as the rows
// of Y, and X those of the direction, Y (M - M^T) with M = Y^T X for the rotations, and t v for the lengths.
template <class S>
__device__ __noinline__ void add_sphere_penalty(const Vector& y, const Vector& v, double factor, Vector& out, S& s) {
  if constexpr (!GIVEN) {
    // The columns' part of M, as many of its rows at a time as a sum over columns has.
    for (int first = 0; first < D; first += K) {
      Outer<K, false> outer;
      outer.clear();
      for (int c = 0; c < COLUMNS; c++) {
        double some[K];
        for (int k = 0; k < K; k++) some[k] = first + k < D ? y.h[c][first + k] : 0.0;
        lay_left(some, s);
        lay_right(v.h[c], s);
        outer.gather<false>(s);
      }
      outer.publish(s.turned + first * D, s.rows);
    }
    // A = M - M^T, with the part of W; one thread makes both numbers of a pair, and nobody else reads them before the barrier.
    const double *w = own_numbers(s), *x = own_numbers_along(s);
    for (int i = thread(); i < D * D; i += THREADS) {
      const int a = i / D, b = i % D;
      if (a > b) continue;
      double total = s.turned[a * D + b] - s.turned[b * D + a];
      for (int k = 0; k < K; k++) total += w[k * D + a] * x[k * D + b] - w[k * D + b] * x[k * D + a];
      s.turned[a * D + b] = total;
      s.turned[b * D + a] = -total;
    }
    sync();
    EACH_NUMBER(j, i) {
      double total = 0.0;
      for (int d = 0; d < D; d++) total += w[i - i % D + d] * s.turned[d * D + i % D];
      if constexpr (GROUPS > 0) total += s.tilt[i / GROUP] * w[i];
      out.w[j] += factor * total;
    }
  }
  for (int c = 0; c < COLUMNS; c++) {
    if (thread() + THREADS * c >= N) continue;
    double squared = 0.0, along = 0.0;
    for (int d = 0; d < D; d++) {
      squared += y.h[c][d] * y.h[c][d];
      along += y.h[c][d] * v.h[c][d];
    }
    for (int d = 0; d < D; d++) {
      double total = along / squared * y.h[c][d];
      if constexpr (!GIVEN)
        for (int k = 0; k < D; k++) total += y.h[c][k] * s.turned[k * D + d];
      out.h[c][d] += factor * total;
    }
  }
}
