// Distances of queries to given rows of a mapped matrix.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.h"
#include "mapped_file.h"

namespace knn_lm {

struct Recompute {
  std::shared_ptr<const MappedFile> keys;
  Dtype dtype;
  size_t dimension;
  std::vector<float> queries;  // [n, dimension]
  std::vector<int64_t> rows;   // [n, k], each checked; kMissing for a neighbour that is infinitely far
  size_t k;
  size_t threads;
  const KernelSet* kernels;
  std::vector<float> distances;  // [n, k], the result

  static constexpr int64_t kMissing = -1;

  // Runs on the calling thread and threads - 1 others.
  void Run();
};

}  // namespace knn_lm
