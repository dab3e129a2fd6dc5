// Products of matrices for reducing the dimension of keys.
#pragma once
#include <cstddef>

namespace knn_lm {

// c [n, m] += a [n, k] * b [k, m], all row-major. Each element of c is its old value to which the k products are added
// in order, every product and every sum rounded: the same bits on every path, the one in TypeScript included. Rows are
// divided among the threads. Memory: 32 k elements a thread.
template <typename T>
void MultiplyAdd(const T* a, const T* b, T* c, size_t n, size_t m, size_t k, size_t threads);

}  // namespace knn_lm
