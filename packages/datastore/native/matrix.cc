#include "matrix.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

// One compilation for each instruction set, chosen when the addon is loaded.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define KNN_LM_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define KNN_LM_CLONES
#endif

// Compiled with -ffp-contract=off: a fused multiply-add would round once where the other paths round twice.
namespace knn_lm {
namespace {

// A block of c that stays in registers. (With 16 columns GCC 12 unrolls the loop before it could be vectorized, and
// doubles are 20 times slower.)
constexpr size_t kBlockRows = 4;
constexpr size_t kColumns = 32;

// c [Rows, kColumns] at a distance of m; a [Rows, k]; b [k, kColumns] without gaps.
template <typename T, size_t Rows>
inline __attribute__((always_inline)) void Block(const T* a, const T* b, T* c, size_t m, size_t k) {
  T sums[Rows][kColumns];
  for (size_t i = 0; i < Rows; i++)
    for (size_t j = 0; j < kColumns; j++) sums[i][j] = c[i * m + j];
  for (size_t p = 0; p < k; p++) {
    for (size_t i = 0; i < Rows; i++) {
      const T factor = a[i * k + p];
      for (size_t j = 0; j < kColumns; j++) sums[i][j] += factor * b[p * kColumns + j];
    }
  }
  for (size_t i = 0; i < Rows; i++)
    for (size_t j = 0; j < kColumns; j++) c[i * m + j] = sums[i][j];
}

// The columns of b that a block needs are copied together, and stay in the cache while all rows go past them. (In their
// place they are a power of two apart in practice, and evict each other.)
template <typename T>
inline __attribute__((always_inline)) void Rows(const T* a, const T* b, T* c, size_t n, size_t m, size_t k, T* panel) {
  size_t j = 0;
  for (; j + kColumns <= m; j += kColumns) {
    for (size_t p = 0; p < k; p++) std::copy_n(b + p * m + j, kColumns, panel + p * kColumns);
    size_t i = 0;
    for (; i + kBlockRows <= n; i += kBlockRows) Block<T, kBlockRows>(a + i * k, panel, c + i * m + j, m, k);
    for (; i < n; i++) Block<T, 1>(a + i * k, panel, c + i * m + j, m, k);
  }
  for (; j < m; j++) {
    for (size_t i = 0; i < n; i++) {
      T sum = c[i * m + j];
      for (size_t p = 0; p < k; p++) sum += a[i * k + p] * b[p * m + j];
      c[i * m + j] = sum;
    }
  }
}

KNN_LM_CLONES void RowsF32(const float* a, const float* b, float* c, size_t n, size_t m, size_t k, float* panel) {
  Rows(a, b, c, n, m, k, panel);
}

KNN_LM_CLONES void RowsF64(const double* a, const double* b, double* c, size_t n, size_t m, size_t k, double* panel) {
  Rows(a, b, c, n, m, k, panel);
}

void RowsOf(const float* a, const float* b, float* c, size_t n, size_t m, size_t k, float* panel) {
  RowsF32(a, b, c, n, m, k, panel);
}
void RowsOf(const double* a, const double* b, double* c, size_t n, size_t m, size_t k, double* panel) {
  RowsF64(a, b, c, n, m, k, panel);
}

}  // namespace

template <typename T>
void MultiplyAdd(const T* a, const T* b, T* c, size_t n, size_t m, size_t k, size_t threads) {
  const size_t count = std::max<size_t>(1, std::min(threads, n / kBlockRows));
  const size_t share = (n / count + kBlockRows - 1) / kBlockRows * kBlockRows;
  const size_t parts = (n + share - 1) / share;
  const size_t panel_size = k * kColumns;
  // Before any thread runs: nothing can fail to be allocated inside one.
  std::vector<T> panels(parts * panel_size);
  std::vector<std::thread> others;
  others.reserve(parts);
  auto work = [=, &panels](size_t part) {
    const size_t first = part * share;
    RowsOf(a + first * k, b, c + first * m, std::min(share, n - first), m, k, panels.data() + part * panel_size);
  };
  for (size_t part = 1; part < parts; part++) {
    try {
      others.emplace_back(work, part);
    } catch (const std::system_error&) {
      work(part);  // No more threads are to be had.
    }
  }
  work(0);
  for (std::thread& other : others) other.join();
}

template void MultiplyAdd<float>(const float*, const float*, float*, size_t, size_t, size_t, size_t);
template void MultiplyAdd<double>(const double*, const double*, double*, size_t, size_t, size_t, size_t);

}  // namespace knn_lm
