#include "ivfpq_search.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <vector>

#include "failure.h"
#include "nearest.h"
#include "pq_scan.h"

namespace {

using idx_t = faiss::Index::idx_t;

// Queries that look for their lists together.
constexpr size_t kQueriesAtATime = 64;

// One thread's part of a search.
class Searcher {
 public:
  Searcher(const faiss::IndexIVFPQ& index, size_t k)
      : index_(index),
        tableSize_(index.pq.M * index.pq.ksub),
        probes_(std::min(index.nprobe, index.nlist)),
        scanner_(index.pq.M),
        nearest_(k),
        queryTable_(tableSize_),
        lists_(kQueriesAtATime * probes_),
        listDistances_(kQueriesAtATime * probes_) {}

  void search(size_t rows, const float* queries, size_t k, float* distances, idx_t* ids) {
    index_.quantizer->search(static_cast<idx_t>(rows), queries, static_cast<idx_t>(probes_), listDistances_.data(),
                             lists_.data());
    index_.invlists->prefetch_lists(lists_.data(), static_cast<int>(rows * probes_));
    for (size_t row = 0; row < rows; row++) {
      index_.pq.compute_inner_prod_table(queries + row * static_cast<size_t>(index_.d), queryTable_.data());
      nearest_.clear();
      const idx_t* lists = lists_.data() + row * probes_;
      for (size_t i = 0; i < probes_; i++) {
        scanList(lists[i], i + 1 < probes_ ? lists[i + 1] : -1, listDistances_[row * probes_ + i]);
      }
      nearest_.write(distances + row * k, ids + row * k);
    }
  }

 private:
  void scanList(idx_t list, idx_t next, float distance) {
    if (list < 0) return;
    const size_t size = index_.invlists->list_size(static_cast<size_t>(list));
    if (size == 0) return;
    // |q - c - r|^2 = |q - c|^2 + (|r|^2 + 2 c.r) - 2 q.r, the second of which does not depend on the query.
    faiss::InvertedLists::ScopedCodes codes(index_.invlists, static_cast<size_t>(list));
    faiss::InvertedLists::ScopedIds ids(index_.invlists, static_cast<size_t>(list));
    scanner_.scan(queryTable_.data(), tableOf(list), next < 0 ? nullptr : tableOf(next), distance, codes.get(), ids.get(), size, nearest_);
  }

  const float* tableOf(idx_t list) const {
    return index_.precomputed_table.data() + static_cast<size_t>(list) * tableSize_;
  }

  const faiss::IndexIVFPQ& index_;
  size_t tableSize_;
  size_t probes_;
  PqScanner scanner_;
  Nearest nearest_;
  std::vector<float> queryTable_;
  std::vector<idx_t> lists_;
  std::vector<float> listDistances_;
};

}  // namespace

bool canSearchInRegisters(const faiss::Index& index) {
  const auto* ivfPq = dynamic_cast<const faiss::IndexIVFPQ*>(&index);
  if (ivfPq == nullptr || !canScanInRegisters()) return false;
  return ivfPq->metric_type == faiss::METRIC_L2 && ivfPq->by_residual && ivfPq->pq.nbits == 8 &&
         ivfPq->pq.M % 16 == 0 && ivfPq->pq.M <= 256 && ivfPq->use_precomputed_table == 1 && ivfPq->polysemous_ht == 0 &&
         ivfPq->max_codes == 0 && ivfPq->parallel_mode == 0;
}

void searchInRegisters(const faiss::IndexIVFPQ& index, size_t rows, const float* queries, size_t k, float* distances,
                       faiss::Index::idx_t* ids, const TaskControl& control) {
  const auto blocks = static_cast<int64_t>((rows + kQueriesAtATime - 1) / kQueriesAtATime);
  const auto d = static_cast<size_t>(index.d);
  const int threads = static_cast<int>(std::min<int64_t>(omp_get_max_threads(), blocks));
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failing;
#pragma omp parallel num_threads(threads)
  {
    try {
      Searcher searcher(index, k);
      for (int64_t block = next++; block < blocks && !control.cancelled; block = next++) {
        const size_t begin = static_cast<size_t>(block) * kQueriesAtATime;
        const size_t count = std::min(kQueriesAtATime, rows - begin);
        searcher.search(count, queries + begin * d, k, distances + begin * k, ids + begin * k);
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(failing);
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}
