// What the threads of a block do together: one block works on one seed, and every decision is taken by all of its threads
// alike, from sums that are the same in each.
//
// A point is W_1, ..., W_L (one to three layers between spaces of D, HIDDEN_1, HIDDEN_2 and K dimensions), H (D x N) and,
// with a bias, b (K). A thread owns whole columns of H, which it keeps in registers, and every THREADS-th number of the layers and of
// b. The header that precedes this file defines the shape (K, D, N, LAYERS, HIDDEN_1, HIDDEN_2, BIAS, CROSS_ENTROPY, SPHERES,
// GROUPS, GIVEN), the plan (THREADS, WARP, TILE_K, TILE_D, SLICES), the stages and the constants of the solver.

// The widths of the spaces: layer l, counted from 0, leads from width(l) to width(l + 1), and its numbers begin at offset(l).
__device__ constexpr int width(int l) { return l <= 0 ? D : l >= LAYERS ? K : l == 1 ? HIDDEN_1 : HIDDEN_2; }
__device__ constexpr int offset(int l) { return l <= 0 ? 0 : offset(l - 1) + width(l - 1) * width(l); }
__device__ constexpr int most(int a, int b) { return a > b ? a : b; }
constexpr bool DEEP = LAYERS > 1;
// On spheres the numbers of W may be held by their lengths, in so many groups, or W is given, and no part of a point.
constexpr int LAYER_NUMBERS = GIVEN ? 0 : offset(LAYERS), GROUP = K * D / most(GROUPS, 1);
constexpr int LOWEST = width(1), TALL = most(K, LOWEST);
constexpr int WIDEST = most(most(K, D), DEEP ? most(width(1), width(2)) : 1);

constexpr int COLUMNS = (N + THREADS - 1) / THREADS, WEIGHTS = most(1, (LAYER_NUMBERS + THREADS - 1) / THREADS);
constexpr int BIASES = (K + THREADS - 1) / THREADS, WARPS = THREADS / WARP;
constexpr int NUMBERS = LAYER_NUMBERS + D * N + (BIAS ? K : 0);
constexpr int TILES_D = (D + TILE_D - 1) / TILE_D, TILES = ((TALL + TILE_K - 1) / TILE_K) * TILES_D;
constexpr int PITCH = THREADS + 1;  // odd, so that neighbouring rows lie in different banks
constexpr int MOST_SUMS = 4;
constexpr int EVEN = K * D + K * D % 2;  // so that two numbers of W can be read at a time
constexpr int EVEN_LOWEST = LOWEST * D + LOWEST * D % 2;
static_assert(TILES * SLICES <= THREADS && SLICES <= WARP && THREADS % WARP == 0, "a plan that does not fit its block");

// One vector of the size of a point: what one thread owns of it. What lies beyond the last column or number is zero.
struct Vector {
  double h[COLUMNS][D], w[WEIGHTS], b[BIASES];
};

// The lengths of features and classifier on spheres, and a given classifier, K x D.
template <bool>
struct Lengths {};
template <>
struct Lengths<true> {
  double radius, size;
  const double* given;
};

// The problem's numbers, the same for all seeds of a member.
struct Member : Lengths<SPHERES> {
  const double *targets, *fit, *multiplicity;  // K x N, and the weights q and m of the columns
  double decay_w[LAYERS], decay_h, decay_b;
};

// What a chain of several layers needs besides, for all threads to read: the layers of a point, or of a direction, and the
// products S_l of the layers above each, K x width(l + 1), and P_l of those below, width(l) x D, or what becomes of these.
constexpr int SUFFIXES = K * (width(1) + (DEEP ? width(2) : 0) + (LAYERS > 2 ? width(3) : 0));
constexpr int PREFIXES = D * (width(0) + (DEEP ? width(1) : 0) + (LAYERS > 2 ? width(2) : 0));
struct Layers {
  double factor[most(1, LAYER_NUMBERS)], suffix[SUFFIXES], prefix[PREFIXES];
};
template <bool>
struct Deep {};
template <>
struct alignas(16) Deep<true> {
  Layers at, along;
  double slope[K * D];                              // the sum over columns of e h^T at the point
  double turned[WIDEST * D], turned_too[WIDEST * D];
  double met[WIDEST * WIDEST], square[WIDEST * WIDEST], half[WIDEST * WIDEST];
};

// What spheres need: the sum over vectors of v x^T for the penalty, as many rows at a time as there are logits; and of a
// classifier that is held by lengths its own numbers, those of a direction, its gradient at the point, and for every group
// sigma, 1/|v|^2 and the parts along v of what `spheres.cuh` and `bent.cuh` project.
template <bool>
struct Turned {};
template <>
struct alignas(16) Turned<true> {
  double turned[(D + K - 1) / K * K * D];
};
template <bool>
struct Held {};
template <>
struct alignas(16) Held<true> {
  double own[K * D], moved[K * D], slope[K * D];
  double scale[most(GROUPS, 1)], inverse[most(GROUPS, 1)], tilt[most(GROUPS, 1)];
  double normal[most(GROUPS, 1)], part[most(GROUPS, 1)], turn_of[most(GROUPS, 1)];
};

struct alignas(16) Shared : Deep<DEEP>, Turned<SPHERES && !GIVEN>, Held<(GROUPS > 0)> {
  double weight[EVEN];      // W of the point that is evaluated, or at which the Hessian is taken: the product of its layers
  double other[EVEN];       // what becomes of it along the direction that the Hessian is applied to
  double turn[EVEN_LOWEST]; // what the gauge penalty makes of a direction
  double product[EVEN];     // the sum over columns of e h^T, and in rows that of e
  double bias[K], other_bias[K], rows[TALL], gram[LOWEST * LOWEST], mixed[LOWEST * LOWEST];
  double left[TALL * PITCH], right[D * PITCH];  // one column e and one column h of every thread
  double sums[WARPS * MOST_SUMS];
};

#define EACH_NUMBER(j, i) for (int j = 0, i = thread(); j < WEIGHTS; j++, i += THREADS) if (i < LAYER_NUMBERS)
#define EACH_BIAS(j, i) for (int j = 0, i = thread(); BIAS && j < BIASES; j++, i += THREADS) if (i < K)

__device__ __forceinline__ int thread() { return (int)threadIdx.x; }

__device__ __forceinline__ void sync() {
  if (WARPS == 1) __syncwarp(); else __syncthreads();
}

// The sums over all threads, the same to the last bit in each: a butterfly within warps, then over the warps in order.
template <int M>
__device__ __forceinline__ void block_sums(double (&x)[M], Shared& s) {
  static_assert(M <= MOST_SUMS, "more sums than there is room for");
#pragma unroll
  for (int i = 0; i < M; i++)
    for (int apart = WARP / 2; apart > 0; apart /= 2) x[i] += __shfl_xor_sync(0xffffffffu, x[i], apart);
  if (WARPS == 1) return;
  if (thread() % WARP == 0)
    for (int i = 0; i < M; i++) s.sums[(thread() / WARP) * MOST_SUMS + i] = x[i];
  sync();
#pragma unroll
  for (int i = 0; i < M; i++) {
    x[i] = s.sums[i];
    for (int w = 1; w < WARPS; w++) x[i] += s.sums[w * MOST_SUMS + i];
  }
  sync();
}

__device__ __forceinline__ double block_sum(double x, Shared& s) {
  double one[1] = {x};
  block_sums(one, s);
  return one[0];
}

// f(a, b, ...) on every number of some vectors: the arithmetic on points.
template <class F, class... V>
__device__ __forceinline__ void each(F f, V&... v) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++)
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) f(v.h[c][d]...);
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) f(v.w[j]...);
#pragma unroll UNROLLED
  for (int j = 0; j < (BIAS ? BIASES : 0); j++) f(v.b[j]...);
}

// This thread's part of an inner product.
__device__ __forceinline__ double own_dot(const Vector& a, const Vector& b) {
  double total = 0.0;
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++)
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) total += a.h[c][d] * b.h[c][d];
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) total += a.w[j] * b.w[j];
#pragma unroll UNROLLED
  for (int j = 0; j < (BIAS ? BIASES : 0); j++) total += a.b[j] * b.b[j];
  return total;
}

__device__ __forceinline__ double block_norm(const Vector& a, Shared& s) { return sqrt(block_sum(own_dot(a, a), s)); }

__device__ __forceinline__ void scaled(Vector& out, double factor, const Vector& a) {
  each([=](double& o, double x) { o = factor * x; }, out, a);
}

// out = a + factor b
__device__ __forceinline__ void combined(Vector& out, const Vector& a, double factor, const Vector& b) {
  each([=](double& o, double x, double y) { o = x + factor * y; }, out, a, b);
}

// A flat vector in memory: the layers, each row by row, then H row by row, then b.
__device__ __forceinline__ void read(Vector& v, const double* flat) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) v.h[c][d] = n < N ? flat[LAYER_NUMBERS + d * N + n] : 0.0;
  }
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) v.w[j] = thread() + THREADS * j < LAYER_NUMBERS ? flat[thread() + THREADS * j] : 0.0;
#pragma unroll UNROLLED
  for (int j = 0; j < BIASES; j++)
    v.b[j] = BIAS && thread() + THREADS * j < K ? flat[LAYER_NUMBERS + D * N + thread() + THREADS * j] : 0.0;
}

__device__ __forceinline__ void write(const Vector& v, double* flat) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++)
      if (n < N) flat[LAYER_NUMBERS + d * N + n] = v.h[c][d];
  }
  EACH_NUMBER(j, i) flat[i] = v.w[j];
  EACH_BIAS(j, i) flat[LAYER_NUMBERS + D * N + i] = v.b[j];
}

// The larger of two numbers; not a number where either is none (fmax would drop it).
__device__ __forceinline__ double larger(double a, double b) { return a >= b || a != a ? a : b; }

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0.0; }
