#include "recompute.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>

#include "parallel.h"

namespace knn_lm {
namespace {

// Rows are far apart, and each costs a page walk and the latency of memory. While one is computed, the lines of one that
// many bytes further on are asked for: into the second-level cache, which has room for more loads under way than the first.
// The walks for the rows after it are begun some at a time, because one that a line has to wait for holds up the next. Random
// rows of 512 bytes and of 2 KB then take as long as copying them alone.
constexpr size_t kBytesAhead = 12 << 10;
constexpr size_t kWalksTogether = 4;

// Pairs that a thread takes at a time: enough to make taking them cheap, few enough to share the last ones fairly.
constexpr size_t kPairsPerTask = 512;

class Thread {
 public:
  explicit Thread(Recompute* job)
      : job_(*job),
        padded_(job->padded()),
        row_bytes_(job->keys->row_bytes()),
        in_place_(padded_ == job->dimension),
        ahead_(std::max<size_t>(2, kBytesAhead / row_bytes_)),
        last_row_(job->keys->rows() - 1),
        only_file_(job->keys->file_count() == 1 ? job->keys->file(0).data() : nullptr),
        kernel_(job->kernels->distance(job->dtype)),
        scratch_(Aligned(padded_ * ElementBytes(job->dtype))) {}

  void Work(std::atomic<size_t>* next) {
    const size_t total = job_.rows.size();
    for (;;) {
      const size_t begin = next->fetch_add(kPairsPerTask);
      if (begin >= total) return;
      const size_t end = std::min(begin + kPairsPerTask, total);
      for (size_t pair = begin; pair < end;) pair = Query(pair, end);
    }
  }

 private:
  const uint8_t* Row(size_t pair) const {
    const int64_t row = job_.rows[pair];
    const size_t known = row == Recompute::kMissing ? last_row_ : static_cast<size_t>(row);
    return only_file_ != nullptr ? only_file_ + known * row_bytes_ : job_.keys->Row(known);
  }

  void BeginWalks(size_t begin, size_t end) const {
    for (size_t pair = begin; pair < std::min(begin + kWalksTogether, end); pair++) __builtin_prefetch(Row(pair), 0, 2);
  }

  // One query's pairs from begin on; returns where they end. Others of the task, up to `end`, are asked for ahead.
  size_t Query(size_t begin, size_t end) {
    const size_t index = begin / job_.k;
    const float* query = job_.Query(index);
    const size_t last = std::min(end, (index + 1) * job_.k);
    for (size_t pair = begin; pair < last; pair++) {
      if (pair % kWalksTogether == 0) BeginWalks(pair + ahead_ + kWalksTogether, end);
      const uint8_t* row = Row(pair);
      if (in_place_) {
        job_.distances[pair] = kernel_(query, row, Row(std::min(pair + ahead_, end - 1)), padded_);
      } else {
        std::memcpy(scratch_.get(), row, row_bytes_);
        job_.distances[pair] = kernel_(query, scratch_.get(), scratch_.get(), padded_);
      }
      if (job_.rows[pair] == Recompute::kMissing) job_.distances[pair] = std::numeric_limits<float>::infinity();
    }
    return last;
  }

  Recompute& job_;
  const size_t padded_;
  const size_t row_bytes_;
  const bool in_place_;  // rows need no zeros behind them
  const size_t ahead_;   // rows
  const size_t last_row_;
  const uint8_t* const only_file_;
  const DistanceKernel kernel_;
  AlignedBytes scratch_;
};

}  // namespace

void RecomputeMapped(Recompute* job) {
  job->keys->CheckSize();
  std::atomic<size_t> next{0};
  const size_t tasks = (job->rows.size() + kPairsPerTask - 1) / kPairsPerTask;
  RunOnThreads(std::min(job->threads, tasks), [&] { Thread(job).Work(&next); });
  job->keys->Touched(job->rows.size());
}

void Recompute::Run() {
  distances.resize(rows.size());
  if (mapped) {
    RecomputeMapped(this);
  } else {
    RecomputeRead(this);
  }
}

}  // namespace knn_lm
