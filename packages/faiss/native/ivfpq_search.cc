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

// Queries that look for their lists together, so that each list is read and transposed for many of them: of 64, 128 and
// 256 queries over 512 lists the last are fastest, by 8 % each.
constexpr size_t kMostQueries = 256;
// Fewer where k is large: what is kept for each query is to fit the caches.
constexpr size_t kQueryBytes = size_t{24} << 20;
// All queries visit their nearest list, then the three after it, then twelve: a good threshold comes from near lists.
constexpr size_t kRoundGrowth = 4;

// One thread's part of a search.
class Searcher {
 public:
  Searcher(const faiss::IndexIVFPQ& index, size_t queries, size_t k, const TaskControl& control)
      : index_(index),
        control_(control),
        tableSize_(index.pq.M * index.pq.ksub),
        probes_(std::min(index.nprobe, index.nlist)),
        scanner_(index.pq.M),
        entries_(queries * Nearest::placesFor(k)),
        queryTables_(queries * tableSize_),
        lists_(queries * probes_),
        listDistances_(queries * probes_) {
    nearest_.reserve(queries);
    for (size_t i = 0; i < queries; i++) nearest_.emplace_back(k, entries_.data() + i * Nearest::placesFor(k));
  }

  void search(size_t rows, const float* queries, size_t k, float* distances, idx_t* ids) {
    index_.quantizer->search(static_cast<idx_t>(rows), queries, static_cast<idx_t>(probes_), listDistances_.data(),
                             lists_.data());
    index_.invlists->prefetch_lists(lists_.data(), static_cast<int>(rows * probes_));
    for (size_t row = 0; row < rows; row++) {
      index_.pq.compute_inner_prod_table(queries + row * static_cast<size_t>(index_.d), tableOfQuery(row));
      nearest_[row].clear();
    }
    for (size_t begin = 0, end = 1; begin < probes_; begin = end, end *= kRoundGrowth) {
      visit(rows, begin, std::min(end, probes_));
    }
    for (size_t row = 0; row < rows; row++) nearest_[row].write(distances + row * k, ids + row * k, sorter_);
  }

 private:
  struct Visit {
    idx_t list;
    size_t place;  // row * probes + rank of the list
    bool operator<(const Visit& other) const {
      return list < other.list || (list == other.list && place < other.place);
    }
  };

  // The lists of these ranks, each for all queries that want it.
  void visit(size_t rows, size_t begin, size_t end) {
    visits_.clear();
    for (size_t row = 0; row < rows; row++) {
      for (size_t place = row * probes_ + begin; place < row * probes_ + end; place++) {
        if (lists_[place] >= 0) visits_.push_back({lists_[place], place});
      }
    }
    std::sort(visits_.begin(), visits_.end());
    for (size_t first = 0; first < visits_.size() && !control_.cancelled;) {
      size_t last = first + 1;
      while (last < visits_.size() && visits_[last].list == visits_[first].list) last++;
      scanList(static_cast<size_t>(visits_[first].list), first, last);
      first = last;
    }
  }

  void scanList(size_t list, size_t first, size_t last) {
    const size_t size = index_.invlists->list_size(list);
    if (size == 0) return;
    faiss::InvertedLists::ScopedCodes codes(index_.invlists, list);
    faiss::InvertedLists::ScopedIds ids(index_.invlists, list);
    const float* table = index_.precomputed_table.data() + list * tableSize_;
    for (size_t at = 0; at < size; at += scanner_.most()) {
      scanner_.take(codes.get() + at * index_.pq.M, ids.get() + at, std::min(scanner_.most(), size - at));
      for (size_t i = first; i < last; i++) {
        const size_t place = visits_[i].place;
        const float* next = i + 1 < last ? tableOfQuery(visits_[i + 1].place / probes_) : nullptr;
        // |q - c - r|^2 = |q - c|^2 + (|r|^2 + 2 c.r) - 2 q.r, the second of which does not depend on the query.
        scanner_.scan(tableOfQuery(place / probes_), table, next, listDistances_[place], nearest_[place / probes_]);
      }
    }
  }

  float* tableOfQuery(size_t row) { return queryTables_.data() + row * tableSize_; }

  const faiss::IndexIVFPQ& index_;
  const TaskControl& control_;
  size_t tableSize_;
  size_t probes_;
  PqScanner scanner_;
  std::vector<Nearest::Entry> entries_;
  std::vector<Nearest> nearest_;
  NearestSorter sorter_;
  std::vector<float> queryTables_;
  std::vector<Visit> visits_;
  std::vector<idx_t> lists_;
  std::vector<float> listDistances_;
};

// Queries of a block: as many as each thread gets, and as their memory allows.
size_t queriesOfBlock(const faiss::IndexIVFPQ& index, size_t rows, size_t k) {
  const auto threads = static_cast<size_t>(omp_get_max_threads());
  const size_t bytesEach = index.pq.M * index.pq.ksub * sizeof(float) + Nearest::placesFor(k) * sizeof(Nearest::Entry);
  return std::max<size_t>(1, std::min({kMostQueries, (rows + threads - 1) / threads, kQueryBytes / bytesEach}));
}

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
  if (rows == 0) return;
  const size_t queriesAtATime = queriesOfBlock(index, rows, k);
  const auto blocks = static_cast<int64_t>((rows + queriesAtATime - 1) / queriesAtATime);
  const auto d = static_cast<size_t>(index.d);
  const int threads = static_cast<int>(std::min<int64_t>(omp_get_max_threads(), blocks));
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failing;
#pragma omp parallel num_threads(threads)
  {
    try {
      Searcher searcher(index, queriesAtATime, k, control);
      for (int64_t block = next++; block < blocks && !control.cancelled; block = next++) {
        const size_t begin = static_cast<size_t>(block) * queriesAtATime;
        const size_t count = std::min(queriesAtATime, rows - begin);
        searcher.search(count, queries + begin * d, k, distances + begin * k, ids + begin * k);
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(failing);
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}
