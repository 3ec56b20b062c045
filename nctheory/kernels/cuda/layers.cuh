// The layers of a chain, which meet the columns of H in their product W alone: with the sum G over columns of e h^T the
// gradient of layer l is S_l^T G P_l^T, where S_l is the product of the layers above it and P_l that of those below. All of these are
// small matrices in shared memory, which all threads make together.

// out = a b for matrices that all threads see, given by functions of a row and a column; `rows` x `columns`.
template <class A, class B>
__device__ __forceinline__ void multiplied(int rows, int inner, int columns, A a, B b, double* out) {
  for (int i = thread(); i < rows * columns; i += THREADS) {
    double total = 0.0;
    for (int k = 0; k < inner; k++) total += a(i / columns, k) * b(k, i % columns);
    out[i] = total;
  }
}

__device__ constexpr int suffix_at(int l) { return l <= 0 ? 0 : suffix_at(l - 1) + K * width(l); }
__device__ constexpr int prefix_at(int l) { return l <= 0 ? 0 : prefix_at(l - 1) + width(l - 1) * D; }

// The products above and below every layer, S_{l-1} = S_l W_l and P_{l+1} = W_l P_l; the last of these is W.
__device__ __noinline__ void compose(Layers& a, double* whole) {
  const int top = suffix_at(LAYERS - 1);
  for (int i = thread(); i < K * K; i += THREADS) a.suffix[top + i] = i / K == i % K ? 1.0 : 0.0;
  for (int i = thread(); i < D * D; i += THREADS) a.prefix[i] = i / D == i % D ? 1.0 : 0.0;
  for (int l = 0; l < LAYERS; l++) {
    sync();
    const double *w = a.factor + offset(l), *below = a.prefix + prefix_at(l);
    multiplied(width(l + 1), width(l), D, [=](int r, int k) { return w[r * width(l) + k]; },
               [=](int k, int c) { return below[k * D + c]; }, l + 1 < LAYERS ? a.prefix + prefix_at(l + 1) : whole);
  }
  for (int l = LAYERS - 1; l > 0; l--) {
    const double *w = a.factor + offset(l), *above = a.suffix + suffix_at(l);
    multiplied(K, width(l + 1), width(l), [=](int r, int k) { return above[r * width(l + 1) + k]; },
               [=](int k, int c) { return w[k * width(l) + c]; }, a.suffix + suffix_at(l - 1));
    sync();
  }
  sync();
}

// What becomes of these products along a direction V: P'_{l+1} = V_l P_l + W_l P'_l, and S'_{l-1} = S'_l W_l + S_l V_l.
__device__ __noinline__ void compose_along(const Layers& a, Layers& v, double* whole) {
  const int top = suffix_at(LAYERS - 1);
  for (int i = thread(); i < K * K; i += THREADS) v.suffix[top + i] = 0.0;
  for (int i = thread(); i < D * D; i += THREADS) v.prefix[i] = 0.0;
  for (int l = 0; l < LAYERS; l++) {
    sync();
    const double *w = a.factor + offset(l), *below = a.prefix + prefix_at(l);
    const double *dw = v.factor + offset(l), *moved = v.prefix + prefix_at(l);
    const int n = width(l);
    multiplied(width(l + 1), 2 * n, D, [=](int r, int k) { return k < n ? dw[r * n + k] : w[r * n + k - n]; },
               [=](int k, int c) { return k < n ? below[k * D + c] : moved[(k - n) * D + c]; },
               l + 1 < LAYERS ? v.prefix + prefix_at(l + 1) : whole);
  }
  for (int l = LAYERS - 1; l > 0; l--) {
    const double *w = a.factor + offset(l), *above = a.suffix + suffix_at(l);
    const double *dw = v.factor + offset(l), *moved = v.suffix + suffix_at(l);
    const int n = width(l + 1);
    multiplied(K, 2 * n, width(l), [=](int r, int k) { return k < n ? moved[r * n + k] : above[r * n + k - n]; },
               [=](int k, int c) { return k < n ? w[k * width(l) + c] : dw[(k - n) * width(l) + c]; },
               v.suffix + suffix_at(l - 1));
    sync();
  }
  sync();
}

// The layers and b of a place go to where all threads see them, and W is made of them.
template <class S, class Place, class M>
__device__ __forceinline__ void publish_place(const Place& at, const M& m, S& s) {
  sync();  // nobody reads the former ones any more
  EACH_BIAS(j, i) s.bias[i] = at.b(j);
  if constexpr (DEEP) {
    EACH_NUMBER(j, i) s.at.factor[i] = at.w(j);
    compose(s.at, s.weight);
  } else if constexpr (GROUPS > 0) {
    EACH_NUMBER(j, i) s.own[i] = at.w(j);
    raise_groups(m, s);
  } else if constexpr (GIVEN) {
    for (int i = thread(); i < K * D; i += THREADS) s.weight[i] = m.given[i];
    sync();
  } else {
    EACH_NUMBER(j, i) s.weight[i] = at.w(j);
    sync();
  }
}

// Those of a direction, and what becomes of W along it from the point that was published last.
template <class S>
__device__ __forceinline__ void publish_direction(const Vector& v, S& s) {
  sync();
  EACH_BIAS(j, i) s.other_bias[i] = v.b[j];
  if constexpr (DEEP) {
    EACH_NUMBER(j, i) s.along.factor[i] = v.w[j];
    compose_along(s.at, s.along, s.other);
  } else if constexpr (GROUPS > 0) {
    EACH_NUMBER(j, i) s.moved[i] = v.w[j];
    raise_groups_along(s);
  } else if constexpr (GIVEN) {
    for (int i = thread(); i < K * D; i += THREADS) s.other[i] = 0.0;
    sync();
  } else {
    EACH_NUMBER(j, i) s.other[i] = v.w[j];
    sync();
  }
}

// The decay of a number of the layers.
__device__ __forceinline__ double decay_of(const Member& m, int i) {
  if (LAYERS > 2 && i >= offset(2)) return m.decay_w[LAYERS > 2 ? 2 : 0];
  return DEEP && i >= offset(1) ? m.decay_w[DEEP ? 1 : 0] : m.decay_w[0];
}

// The gradient of every layer, S_l^T G P_l^T + decay W_l, from G in s.product; `w(j)` are this thread's numbers.
template <class S, class W>
__device__ __forceinline__ void spread(W w, Vector& out, const Member& m, S& s) {
  if constexpr (DEEP) {
#pragma unroll
    for (int l = 0; l < LAYERS; l++) {
      const double *above = s.at.suffix + suffix_at(l), *below = s.at.prefix + prefix_at(l), *g = s.product;
      multiplied(width(l + 1), K, D, [=](int r, int k) { return above[k * width(l + 1) + r]; },
                 [=](int k, int c) { return g[k * D + c]; }, s.turned);
      sync();
#pragma unroll UNROLLED
      for (int j = 0; j < WEIGHTS; j++) {
        const int i = thread() + THREADS * j;
        if (i < offset(l) || i >= offset(l + 1)) continue;
        const int r = (i - offset(l)) / width(l), c = (i - offset(l)) % width(l);
        double total = 0.0;
        for (int d = 0; d < D; d++) total += s.turned[r * D + d] * below[c * D + d];
        out.w[j] = total + m.decay_w[l] * w(j);
      }
      sync();
    }
#pragma unroll UNROLLED
    for (int j = 0; j < WEIGHTS; j++)
      if (thread() + THREADS * j >= LAYER_NUMBERS) out.w[j] = 0.0;
  } else if constexpr (GROUPS > 0) {
    lower_groups(out, s);
  } else {
#pragma unroll UNROLLED
    for (int j = 0; j < WEIGHTS; j++) {
      const int i = thread() + THREADS * j;
      out.w[j] = i < LAYER_NUMBERS ? s.product[i] + m.decay_w[0] * w(j) : 0.0;
    }
  }
}
