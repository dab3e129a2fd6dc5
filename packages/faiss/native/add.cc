#include "add.h"

#include <faiss/IndexIVFPQ.h>

#include <algorithm>
#include <optional>

#include "large_blocks.h"
#include "threads.h"

namespace {

// Faiss allocates rows x 256 x subquantizers floats where a subvector has 16 dimensions or more, and a batch of 256
// stays in cache: 89 microseconds a vector against 123 in batches of 8,192 (1,024 dimensions, 64 bytes).
constexpr size_t kBatch = 256;
// Below 20 rows Faiss leaves BLAS for another summation order; the last batch takes such a rest with it, so that
// codes do not depend on how the rows were cut.
constexpr size_t kBlasThreshold = 20;
// Centroids x dimensions. A batch's product with fewer is over before OpenBLAS has woken its threads: on busy cores
// adding with two threads took three times the CPU time of one (64 centroids, 256 dimensions).
constexpr size_t kSmallQuantizer = size_t{1} << 19;

class AddTask : public IndexTask {
 public:
  AddTask(std::shared_ptr<IndexState> state, Vectors vectors, std::vector<faiss::Index::idx_t> ids)
      : IndexTask(std::move(state)), vectors_(std::move(vectors)), ids_(std::move(ids)) {}

 protected:
  void work(IndexState& state) override {
    keepLargeBlocks();
    vectors_.check();  // all rows first: a call adds everything or nothing
    if (!state.mapped.path.empty()) {
      throw Failure("FAISS_READ_ONLY", "its lists are mapped from " + state.mapped.path + " and cannot grow");
    }
    if (!state.index->is_trained) throw Failure("FAISS_NOT_TRAINED", "the index is not trained");
    std::vector<float> scratch;
    for (size_t begin = 0; begin < vectors_.rows();) {
      size_t count = std::min(kBatch, vectors_.rows() - begin);
      if (vectors_.rows() - begin - count < kBlasThreshold) count = vectors_.rows() - begin;
      control().throwIfCancelled();
      const float* x = vectors_.widen(begin, count, scratch);
      const auto n = static_cast<faiss::Index::idx_t>(count);
      const faiss::Index::idx_t* ids = ids_.empty() ? nullptr : ids_.data() + begin;
      if (auto* ivfPq = dynamic_cast<faiss::IndexIVFPQ*>(state.index.get())) addToLists(*ivfPq, n, x, ids);
      else if (ids == nullptr) state.index->add(n, x);
      else state.index->add_with_ids(n, x, ids);
      begin += count;
    }
  }

 private:
  // IndexIVF::add_with_ids in its two parts, each with the threads that suit it. The products of the second have a
  // subvector's few dimensions.
  void addToLists(faiss::IndexIVFPQ& index, faiss::Index::idx_t n, const float* x, const faiss::Index::idx_t* ids) {
    lists_.resize(static_cast<size_t>(n));
    std::optional<SingleBlasThread> alone;
    if (index.nlist * static_cast<size_t>(index.d) < kSmallQuantizer) alone.emplace();
    index.quantizer->assign(n, x, lists_.data());
    if (!alone) alone.emplace();
    index.add_core(n, x, ids, lists_.data());
  }

  std::vector<faiss::Index::idx_t> lists_;
  Vectors vectors_;
  std::vector<faiss::Index::idx_t> ids_;
};

}  // namespace

std::unique_ptr<IndexTask> makeAddTask(std::shared_ptr<IndexState> state, Vectors vectors,
                                       std::vector<faiss::Index::idx_t> ids) {
  return std::make_unique<AddTask>(std::move(state), std::move(vectors), std::move(ids));
}
