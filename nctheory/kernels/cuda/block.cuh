// What the threads of a block do together: one block works on one seed, and every decision is taken by all of its threads
// alike, from sums that are the same in each.
//
// A point of two factors is W (K x D), H (D x N) and, with a bias, b (K). A thread owns whole columns of H, which it keeps in
// registers, and every THREADS-th number of W and of b. The header that precedes this file defines the shape (K, D, N, BIAS,
// CROSS_ENTROPY), the plan (THREADS, WARP, TILE_K, TILE_D, SLICES), the stages and the constants of the solver.

constexpr int COLUMNS = (N + THREADS - 1) / THREADS, WEIGHTS = (K * D + THREADS - 1) / THREADS;
constexpr int BIASES = (K + THREADS - 1) / THREADS, WARPS = THREADS / WARP, NUMBERS = K * D + D * N + (BIAS ? K : 0);
constexpr int TILES_D = (D + TILE_D - 1) / TILE_D, TILES = ((K + TILE_K - 1) / TILE_K) * TILES_D;
constexpr int PITCH = THREADS + 1;  // odd, so that neighbouring rows lie in different banks
constexpr int MOST_SUMS = 4;
constexpr int EVEN = K * D + K * D % 2;  // so that two numbers of W can be read at a time
static_assert(TILES * SLICES <= THREADS && SLICES <= WARP && THREADS % WARP == 0, "a plan that does not fit its block");

// One vector of the size of a point: what one thread owns of it. What lies beyond the last column or number is zero.
struct Vector {
  double h[COLUMNS][D], w[WEIGHTS], b[BIASES];
};

// The problem's numbers, the same for all seeds of a member.
struct Member {
  const double *targets, *fit, *multiplicity;  // K x N, and the weights q and m of the columns
  double decay_w, decay_h, decay_b;
};

struct alignas(16) Shared {
  double weight[EVEN];   // W of the point that is evaluated, or at which the Hessian is taken
  double other[EVEN];    // that of the direction that the Hessian is applied to
  double turn[EVEN];     // what the gauge penalty makes of a direction
  double product[EVEN];  // the sum over columns of e h^T, and in rows that of e
  double bias[K], other_bias[K], rows[K], gram[K * K], mixed[K * K];
  double left[K * PITCH], right[D * PITCH];  // one column e and one column h of every thread
  double sums[WARPS * MOST_SUMS];
};

#define EACH_NUMBER(j, i) for (int j = 0, i = thread(); j < WEIGHTS; j++, i += THREADS) if (i < K * D)
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

// f(a, b) on every number of two vectors, and of three: the arithmetic on points.
template <class F>
__device__ __forceinline__ void each(Vector& a, const Vector& b, F f) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++)
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) f(a.h[c][d], b.h[c][d]);
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) f(a.w[j], b.w[j]);
#pragma unroll UNROLLED
  for (int j = 0; j < (BIAS ? BIASES : 0); j++) f(a.b[j], b.b[j]);
}

template <class F>
__device__ __forceinline__ void each(Vector& a, const Vector& b, const Vector& c, F f) {
#pragma unroll UNROLLED
  for (int i = 0; i < COLUMNS; i++)
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) f(a.h[i][d], b.h[i][d], c.h[i][d]);
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) f(a.w[j], b.w[j], c.w[j]);
#pragma unroll UNROLLED
  for (int j = 0; j < (BIAS ? BIASES : 0); j++) f(a.b[j], b.b[j], c.b[j]);
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
  each(out, a, [=](double& o, double x) { o = factor * x; });
}

// out = a + factor b
__device__ __forceinline__ void combined(Vector& out, const Vector& a, double factor, const Vector& b) {
  each(out, a, b, [=](double& o, double x, double y) { o = x + factor * y; });
}

// A flat vector in memory: W row by row, then H row by row, then b.
__device__ __forceinline__ void read(Vector& v, const double* flat) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++) v.h[c][d] = n < N ? flat[K * D + d * N + n] : 0.0;
  }
#pragma unroll UNROLLED
  for (int j = 0; j < WEIGHTS; j++) v.w[j] = thread() + THREADS * j < K * D ? flat[thread() + THREADS * j] : 0.0;
#pragma unroll UNROLLED
  for (int j = 0; j < BIASES; j++)
    v.b[j] = BIAS && thread() + THREADS * j < K ? flat[K * D + D * N + thread() + THREADS * j] : 0.0;
}

__device__ __forceinline__ void write(const Vector& v, double* flat) {
#pragma unroll UNROLLED
  for (int c = 0; c < COLUMNS; c++) {
    const int n = thread() + THREADS * c;
#pragma unroll UNROLLED
    for (int d = 0; d < D; d++)
      if (n < N) flat[K * D + d * N + n] = v.h[c][d];
  }
  EACH_NUMBER(j, i) flat[i] = v.w[j];
  EACH_BIAS(j, i) flat[K * D + D * N + i] = v.b[j];
}

// The larger of two numbers; not a number where either is none (fmax would drop it).
__device__ __forceinline__ double larger(double a, double b) { return a >= b || a != a ? a : b; }

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0.0; }
