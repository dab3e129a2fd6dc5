#include "search.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "ivfpq_search.h"
#include "large_blocks.h"
#include "result_array.h"
#include "threads.h"

namespace {

class SearchTask : public IndexTask {
 public:
  SearchTask(Napi::Env env, std::shared_ptr<IndexState> state, Vectors queries, size_t k)
      : IndexTask(std::move(state)),
        queries_(std::move(queries)),
        k_(k),
        distances_(env, queries_.rows() * k * sizeof(float)),
        ids_(env, queries_.rows() * k * sizeof(faiss::Index::idx_t)) {}

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
    auto* distances = distances_.data<float>();
    auto* labels = ids_.data<faiss::Index::idx_t>();
    // An inverted file splits the queries among OpenMP's threads, and each of them calls BLAS.
    std::optional<SingleBlasThread> alone;
    if (state.ivf() != nullptr) alone.emplace();
    if (canSearchInRegisters(*state.index)) {
      searchInRegisters(dynamic_cast<const faiss::IndexIVFPQ&>(*state.index), rows, queries.data(), found,
                        distances, labels, control());
    } else {
      state.index->search(static_cast<faiss::Index::idx_t>(rows), queries.data(),
                          static_cast<faiss::Index::idx_t>(found), distances, labels);
    }
    control().throwIfCancelled();  // an inverted file stops early without saying so
    for (const size_t row : unusable) {
      std::fill_n(distances + row * found, found, std::numeric_limits<float>::max());
      std::fill_n(labels + row * found, found, -1);
    }
    widen(distances, rows, found, std::numeric_limits<float>::max());
    widen(labels, rows, found, faiss::Index::idx_t{-1});
    asDoubles(labels, rows * k_);
  }

  napi_value result(napi_env env) override {
    const size_t size = queries_.rows() * k_;
    napi_value distances = distances_.take(env, napi_float32_array, size);
    napi_value ids = ids_.take(env, napi_float64_array, size);
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

  // Rows of k from rows of fewer, in place and so from the last one on; the rest is missing.
  template <typename T>
  void widen(T* values, size_t rows, size_t found, T missing) const {
    if (found == k_) return;
    for (size_t row = rows; row-- > 0;) {
      if (row > 0) std::copy_backward(values + row * found, values + (row + 1) * found, values + row * k_ + found);
      std::fill_n(values + row * k_ + found, k_ - found, missing);
    }
  }

  // JavaScript's numbers, which are as long as ids, in their place.
  static void asDoubles(faiss::Index::idx_t* ids, size_t count) {
    static_assert(sizeof(double) == sizeof(faiss::Index::idx_t));
    for (size_t i = 0; i < count; i++) {
      const auto number = static_cast<double>(ids[i]);
      std::memcpy(ids + i, &number, sizeof number);
    }
  }

  Vectors queries_;
  size_t k_;
  ResultArray distances_;
  ResultArray ids_;
};

}  // namespace

std::unique_ptr<IndexTask> makeSearchTask(Napi::Env env, std::shared_ptr<IndexState> state, Vectors queries,
                                          size_t k) {
  return std::make_unique<SearchTask>(env, std::move(state), std::move(queries), k);
}
