#include "add.h"

#include <algorithm>

namespace {

// Faiss allocates rows x 256 x subquantizers floats where a subvector has 16 dimensions or more, and a batch of 256
// stays in cache: 89 microseconds a vector against 123 in batches of 8,192 (1,024 dimensions, 64 bytes).
constexpr size_t kBatch = 256;
// Below 20 rows Faiss leaves BLAS for another summation order; the last batch takes such a rest with it, so that
// codes do not depend on how the rows were cut.
constexpr size_t kBlasThreshold = 20;

class AddTask : public IndexTask {
 public:
  AddTask(std::shared_ptr<IndexState> state, Vectors vectors, std::vector<faiss::Index::idx_t> ids)
      : IndexTask(std::move(state)), vectors_(std::move(vectors)), ids_(std::move(ids)) {}

 protected:
  void work(IndexState& state) override {
    vectors_.check();  // all rows first: a call adds everything or nothing
    if (!state.index->is_trained) throw Failure("FAISS_NOT_TRAINED", "the index is not trained");
    std::vector<float> scratch;
    for (size_t begin = 0; begin < vectors_.rows();) {
      size_t count = std::min(kBatch, vectors_.rows() - begin);
      if (vectors_.rows() - begin - count < kBlasThreshold) count = vectors_.rows() - begin;
      control().throwIfCancelled();
      const float* x = vectors_.widen(begin, count, scratch);
      const auto n = static_cast<faiss::Index::idx_t>(count);
      if (ids_.empty()) state.index->add(n, x);
      else state.index->add_with_ids(n, x, ids_.data() + begin);
      begin += count;
    }
  }

 private:
  Vectors vectors_;
  std::vector<faiss::Index::idx_t> ids_;
};

}  // namespace

std::unique_ptr<IndexTask> makeAddTask(std::shared_ptr<IndexState> state, Vectors vectors,
                                       std::vector<faiss::Index::idx_t> ids) {
  return std::make_unique<AddTask>(std::move(state), std::move(vectors), std::move(ids));
}
