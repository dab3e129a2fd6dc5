#include "recompute.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <thread>

namespace knn_lm {
namespace {

// Rows are far apart, and each costs a TLB miss and a memory latency. Copying eight at a time keeps their loads in
// flight together, and touching one line of each of the next eight starts their page walks early: measured 0.35 ms for
// 1024 rows of 2 KB where computing on the mapping itself takes 0.7 ms.
constexpr size_t kGroup = 8;

// Pairs that a thread takes at a time: enough to make taking them cheap, few enough to share the last ones fairly.
constexpr size_t kPairsPerTask = 512;

// A row that takes longer than this was read from the disk (from memory it takes 0.4 microseconds); the rows of the
// next task are then asked for all at once, so that the disk works on many of them together.
constexpr std::chrono::nanoseconds kSlowRow(10'000);

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::unique_ptr<uint8_t, Free> Aligned(size_t bytes) {
  void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (p == nullptr) throw std::bad_alloc();
  std::memset(p, 0, bytes);
  return std::unique_ptr<uint8_t, Free>(static_cast<uint8_t*>(p));
}

class Thread {
 public:
  explicit Thread(Recompute* job)
      : job_(*job),
        padded_(PaddedDimension(job->dimension)),
        row_bytes_(job->dimension * ElementBytes(job->dtype)),
        stride_(padded_ * ElementBytes(job->dtype)),
        last_row_(static_cast<int64_t>(job->keys->size() / row_bytes_) - 1),
        kernel_(job->kernels->distance(job->dtype)),
        query_(Aligned(padded_ * sizeof(float))),
        scratch_(Aligned(kGroup * stride_)) {}

  void Work(std::atomic<size_t>* next) {
    const size_t total = job_.rows.size();
    bool slow = false;
    for (;;) {
      const size_t begin = next->fetch_add(kPairsPerTask);
      if (begin >= total) return;
      const size_t end = std::min(begin + kPairsPerTask, total);
      if (slow)
        for (size_t pair = begin; pair < end; pair++) job_.keys->WillNeed(Offset(pair), row_bytes_);
      const auto started = std::chrono::steady_clock::now();
      Pairs(begin, end);
      slow = std::chrono::steady_clock::now() - started > kSlowRow * (end - begin);
    }
  }

 private:
  size_t Offset(size_t pair) const {
    const int64_t row = job_.rows[pair];
    return static_cast<size_t>(row == Recompute::kMissing ? last_row_ : row) * row_bytes_;
  }

  void Pairs(size_t begin, size_t end) {
    const uint8_t* data = job_.keys->data();
    for (size_t pair = begin; pair < end;) {
      const size_t query = pair / job_.k;
      const size_t count = std::min({kGroup, end - pair, (query + 1) * job_.k - pair});
      for (size_t ahead = pair + count; ahead < std::min(pair + count + kGroup, end); ahead++)
        __builtin_prefetch(data + Offset(ahead));
      for (size_t i = 0; i < count; i++) std::memcpy(scratch_.get() + i * stride_, data + Offset(pair + i), row_bytes_);
      SelectQuery(query);
      kernel_(Query(), scratch_.get(), count, padded_, job_.distances.data() + pair);
      for (size_t i = 0; i < count; i++)
        if (job_.rows[pair + i] == Recompute::kMissing)
          job_.distances[pair + i] = std::numeric_limits<float>::infinity();
      pair += count;
    }
  }

  float* Query() { return reinterpret_cast<float*>(query_.get()); }

  void SelectQuery(size_t query) {
    if (selected_ == query) return;
    selected_ = query;
    std::memcpy(Query(), job_.queries.data() + query * job_.dimension, job_.dimension * sizeof(float));
  }

  Recompute& job_;
  const size_t padded_;
  const size_t row_bytes_;
  const size_t stride_;
  const int64_t last_row_;
  const DistanceKernel kernel_;
  std::unique_ptr<uint8_t, Free> query_;
  std::unique_ptr<uint8_t, Free> scratch_;
  size_t selected_ = std::numeric_limits<size_t>::max();
};

}  // namespace

void Recompute::Run() {
  keys->CheckSize();
  distances.resize(rows.size());
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      Thread(this).Work(&next);
    } catch (...) {
      std::lock_guard<std::mutex> guard(failure_mutex);
      failure = std::current_exception();
    }
  };
  const size_t tasks = (rows.size() + kPairsPerTask - 1) / kPairsPerTask;
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, tasks); i++) {
    try {
      others.emplace_back(work);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: those there do the work
    }
  }
  work();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace knn_lm
