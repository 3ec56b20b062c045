// What a CUDA compiler has and g++ has not, for the source on a CPU; before it a header says which thread is the current one.

#define __global__
#define __device__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

static struct {
  struct {
    operator unsigned() const { return (unsigned)emulator::current; }
  } x;
} threadIdx;
static struct {
  unsigned x;
} blockIdx;

static long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof x);
  return bits;
}
static double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
