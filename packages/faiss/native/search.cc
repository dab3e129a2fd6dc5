#include "search.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "ivfpq_search.h"
#include "large_blocks.h"
#include "threads.h"

namespace {

class SearchTask : public IndexTask {
 public:
  SearchTask(std::shared_ptr<IndexState> state, Vectors queries, size_t k)
      : IndexTask(std::move(state)), queries_(std::move(queries)), k_(k) {}

 protected:
  void work(IndexState& state) override {
    returnLargeBlocks();
    if (!state.index->is_trained) throw Failure("FAISS_NOT_TRAINED", "the index is not trained");
    state.mapped.check();
    if (state.index->ntotal == 0) throw Failure("FAISS_EMPTY", "the index is empty");
    // More neighbours than there are vectors are missing ones; Faiss need not keep heaps for them.
    const size_t found = std::min(k_, static_cast<size_t>(state.index->ntotal));
    const size_t rows = queries_.rows();
    const size_t dimension = queries_.dimension();
    std::vector<float> queries(queries_.singles());
    const std::vector<size_t> unusable = blankUnusable(queries, rows, dimension);
    std::vector<faiss::Index::idx_t> labels(rows * found);
    std::vector<float> distances(rows * found);
    // An inverted file splits the queries among OpenMP's threads, and each of them calls BLAS.
    std::optional<SingleBlasThread> alone;
    if (state.ivf() != nullptr) alone.emplace();
    if (canSearchInRegisters(*state.index)) {
      searchInRegisters(dynamic_cast<const faiss::IndexIVFPQ&>(*state.index), rows, queries.data(), found,
                        distances.data(), labels.data(), control());
    } else {
      state.index->search(static_cast<faiss::Index::idx_t>(rows), queries.data(),
                          static_cast<faiss::Index::idx_t>(found), distances.data(), labels.data());
    }
    control().throwIfCancelled();  // an inverted file stops early without saying so
    for (const size_t row : unusable) {
      std::fill_n(distances.data() + row * found, found, std::numeric_limits<float>::max());
      std::fill_n(labels.data() + row * found, found, -1);
    }
    distances_ = widened(std::move(distances), found, std::numeric_limits<float>::max());
    ids_ = widened(std::move(labels), found, faiss::Index::idx_t{-1});
  }

  napi_value result(napi_env env) override {
    // A double is as long as an id: results of 16 MB are not copied once more.
    static_assert(sizeof(double) == sizeof(faiss::Index::idx_t));
    for (faiss::Index::idx_t& id : ids_) {
      const auto number = static_cast<double>(id);
      std::memcpy(&id, &number, sizeof number);
    }
    napi_value distances = copyToTypedArray(env, napi_float32_array, distances_.data(), distances_.size(), 4);
    napi_value ids = copyToTypedArray(env, napi_float64_array, ids_.data(), ids_.size(), 8);
    napi_value object;
    if (distances == nullptr || ids == nullptr || napi_create_object(env, &object) != napi_ok) return nullptr;
    napi_set_named_property(env, object, "distances", distances);
    napi_set_named_property(env, object, "ids", ids);
    return object;
  }

 private:
  // A query with NaN has no neighbours; with one list to probe Faiss would look into a list that it never chose.
  static std::vector<size_t> blankUnusable(std::vector<float>& queries, size_t rows, size_t dimension) {
    std::vector<size_t> unusable;
    for (size_t row = 0; row < rows; row++) {
      float* query = queries.data() + row * dimension;
      if (isUsable(query, dimension)) continue;
      std::fill_n(query, dimension, 0.0f);
      unusable.push_back(row);
    }
    return unusable;
  }

  // Rows of k from rows of fewer; the rest is missing.
  template <typename T>
  std::vector<T> widened(std::vector<T> values, size_t found, T missing) const {
    if (found == k_) return values;
    std::vector<T> wide(values.size() / found * k_, missing);
    for (size_t row = 0; row < values.size() / found; row++) {
      std::copy_n(values.data() + row * found, found, wide.data() + row * k_);
    }
    return wide;
  }

  Vectors queries_;
  size_t k_;
  std::vector<float> distances_;
  std::vector<faiss::Index::idx_t> ids_;
};

}  // namespace

std::unique_ptr<IndexTask> makeSearchTask(std::shared_ptr<IndexState> state, Vectors queries, size_t k) {
  return std::make_unique<SearchTask>(std::move(state), std::move(queries), k);
}
