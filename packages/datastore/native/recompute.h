// Distances of queries to given rows of an array on disk.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "aligned.h"
#include "kernels.h"
#include "row_files.h"

namespace knn_lm {

struct Recompute {
  std::shared_ptr<const RowFiles> keys;
  Dtype dtype;
  size_t dimension;
  AlignedBytes queries;       // [n, padded dimension] float, zero beyond the dimension
  std::vector<int64_t> rows;  // [n, k], each checked; kMissing for a neighbour that is infinitely far
  size_t k;
  size_t threads;
  const KernelSet* kernels;
  // Whether rows are taken from the mappings in the order of the queries, which is fastest where the keys are held in
  // memory; else each row that is needed is read once, in the order of the rows.
  bool mapped;
  std::vector<float> distances;  // [n, k], the result

  static constexpr int64_t kMissing = -1;

  size_t padded() const { return PaddedDimension(dimension); }
  const float* Query(size_t query) const {
    return reinterpret_cast<const float*>(queries.get()) + query * padded();
  }

  // Runs on the calling thread and threads - 1 others.
  void Run();
};

// The two ways; both fill `distances`.
void RecomputeMapped(Recompute* job);
void RecomputeRead(Recompute* job);

}  // namespace knn_lm
