// Distances to rows that are read, each once: for keys that memory does not hold, or need not. The pairs of a batch of
// queries are sorted by row; rows that lie together are read together, and those of one window that are not in the
// operating system's cache are asked for all at once, so that the disk works on many of them.
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "parallel.h"
#include "recompute.h"

namespace knn_lm {
namespace {

// Rows that are read before their distances are computed: within the second-level cache, and some hundred rows deep,
// which is what keeps a disk busy.
constexpr size_t kWindowBytes = 1 << 20;

// Reading this many bytes that nobody wants takes no longer than another system call.
constexpr size_t kGapBytes = 2048;

// Pairs that a thread takes at a time.
constexpr size_t kPairsPerTask = 8192;

// Where the file system cannot tell what is cached: an extent that takes longer was read from the disk.
constexpr std::chrono::nanoseconds kSlowRead(20'000);

size_t BitsOf(size_t value) {
  size_t bits = 0;
  while (value >> bits != 0) bits++;
  return bits;
}

// Pairs in the order of their rows: row << pair_bits | pair. Missing neighbours are left out.
class SortedPairs {
 public:
  SortedPairs(const std::vector<int64_t>& rows, size_t row_count) : pair_bits_(BitsOf(rows.size())) {
    const size_t row_bits = BitsOf(row_count);
    if (pair_bits_ + row_bits > 64) throw std::runtime_error("too many neighbours at once");
    pairs_.reserve(rows.size());
    for (size_t pair = 0; pair < rows.size(); pair++)
      if (rows[pair] != Recompute::kMissing) pairs_.push_back(static_cast<uint64_t>(rows[pair]) << pair_bits_ | pair);
    Sort(row_bits);
  }

  size_t size() const { return pairs_.size(); }
  size_t row(size_t i) const { return pairs_[i] >> pair_bits_; }
  size_t pair(size_t i) const { return pairs_[i] & ((uint64_t{1} << pair_bits_) - 1); }

  // The first place from i on where another row begins, so that no two threads read one row.
  size_t RowBegin(size_t i) const {
    if (i >= size()) return size();
    while (i > 0 && i < size() && row(i) == row(i - 1)) i++;
    return i;
  }

 private:
  // From the least significant digit on; pairs are in order already.
  void Sort(size_t row_bits) {
    constexpr size_t kDigitBits = 11;
    std::vector<uint64_t> other(pairs_.size());
    for (size_t done = 0; done < row_bits; done += kDigitBits) {
      const size_t shift = pair_bits_ + done;
      std::vector<size_t> begin((size_t{1} << kDigitBits) + 1);
      const auto digit = [&](uint64_t pair) { return pair >> shift & ((size_t{1} << kDigitBits) - 1); };
      for (const uint64_t pair : pairs_) begin[digit(pair) + 1]++;
      for (size_t i = 1; i < begin.size(); i++) begin[i] += begin[i - 1];
      for (const uint64_t pair : pairs_) other[begin[digit(pair)]++] = pair;
      pairs_.swap(other);
    }
  }

  size_t pair_bits_;
  std::vector<uint64_t> pairs_;
};

class Reader {
 public:
  Reader(Recompute* job, const SortedPairs& pairs)
      : job_(*job),
        pairs_(pairs),
        padded_(job->padded()),
        row_bytes_(job->keys->row_bytes()),
        in_place_(padded_ == job->dimension),
        kernel_(job->kernels->distance(job->dtype)),
        window_bytes_(std::max(kWindowBytes, AlignUp(row_bytes_))),
        window_(Aligned(window_bytes_)),
        scratch_(Aligned(padded_ * ElementBytes(job->dtype))) {}

  void Work(std::atomic<size_t>* next) {
    for (;;) {
      const size_t begin = next->fetch_add(kPairsPerTask);
      if (begin >= pairs_.size()) return;
      size_t at = pairs_.RowBegin(begin);
      const size_t end = pairs_.RowBegin(begin + kPairsPerTask);
      while (at < end) {
        at = Plan(at, end);
        Read();
        Compute();
      }
    }
  }

 private:
  // Bytes of one file, and where they go.
  struct Extent {
    size_t file;
    size_t offset;
    size_t size;
    size_t target;
  };
  // A row with the pairs that want it.
  struct Wanted {
    size_t begin;
    size_t end;
    size_t target;
  };

  // Takes as many rows as fit into the window; returns the first pair that is left.
  size_t Plan(size_t at, size_t end) {
    extents_.clear();
    wanted_.clear();
    const RowFiles& keys = *job_.keys;
    size_t used = 0;
    size_t file = 0;
    while (at < end) {
      const size_t row = pairs_.row(at);
      if (extents_.empty() || row >= keys.FirstRow(file + 1)) file = keys.FileOf(row);
      const size_t offset = (row - keys.FirstRow(file)) * row_bytes_;
      Extent* last = extents_.empty() ? nullptr : &extents_.back();
      const bool joins =
          last != nullptr && last->file == file && offset - (last->offset + last->size) <= kGapBytes;
      const size_t target = joins ? last->target + (offset - last->offset) : AlignUp(used);
      if (target + row_bytes_ > window_bytes_) break;
      if (joins) {
        last->size = offset + row_bytes_ - last->offset;
      } else {
        extents_.push_back({file, offset, row_bytes_, target});
      }
      used = target + row_bytes_;
      size_t next = at + 1;
      while (next < end && pairs_.row(next) == row) next++;
      wanted_.push_back({at, next, target});
      at = next;
    }
    return at;
  }

  // What is cached is copied; what is not is asked for before the first of it is waited for.
  void Read() {
    missing_.clear();
    for (size_t begin = 0; begin < extents_.size();) {
      const size_t file = extents_[begin].file;
      const MappedFile::Descriptor descriptor(job_.keys->file(file));
      size_t end = begin;
      for (; end < extents_.size() && extents_[end].file == file; end++) Try(descriptor, extents_[end]);
      const auto started = std::chrono::steady_clock::now();
      for (const Extent& extent : missing_) descriptor.ReadAt(extent.offset, extent.size, window_.get() + extent.target);
      if (!missing_.empty() && !told_)
        slow_ = std::chrono::steady_clock::now() - started > kSlowRead * missing_.size();
      missing_.clear();
      begin = end;
    }
  }

  void Try(const MappedFile::Descriptor& descriptor, const Extent& extent) {
    using Cached = MappedFile::Descriptor::Cached;
    const Cached cached =
        told_ ? descriptor.ReadCached(extent.offset, extent.size, window_.get() + extent.target) : Cached::kUnknown;
    if (cached == Cached::kYes) return;
    if (cached == Cached::kUnknown) told_ = false;
    if (cached == Cached::kNo || slow_) descriptor.WillNeed(extent.offset, extent.size);
    missing_.push_back(extent);
  }

  void Compute() {
    for (const Wanted& row : wanted_) {
      const uint8_t* key = window_.get() + row.target;
      if (!in_place_) {
        std::memcpy(scratch_.get(), key, row_bytes_);
        key = scratch_.get();
      }
      for (size_t i = row.begin; i < row.end; i++) {
        const size_t pair = pairs_.pair(i);
        job_.distances[pair] = kernel_(job_.Query(pair / job_.k), key, key, padded_);
      }
    }
  }

  Recompute& job_;
  const SortedPairs& pairs_;
  const size_t padded_;
  const size_t row_bytes_;
  const bool in_place_;  // rows need no zeros behind them
  const DistanceKernel kernel_;
  const size_t window_bytes_;
  AlignedBytes window_;
  AlignedBytes scratch_;
  std::vector<Extent> extents_;
  std::vector<Extent> missing_;
  std::vector<Wanted> wanted_;
  bool told_ = true;   // the file system tells what is cached
  bool slow_ = false;  // where it does not: the last reads were slow
};

}  // namespace

void RecomputeRead(Recompute* job) {
  for (size_t pair = 0; pair < job->rows.size(); pair++)
    if (job->rows[pair] == Recompute::kMissing) job->distances[pair] = std::numeric_limits<float>::infinity();
  const SortedPairs pairs(job->rows, job->keys->rows());
  std::atomic<size_t> next{0};
  const size_t tasks = (pairs.size() + kPairsPerTask - 1) / kPairsPerTask;
  RunOnThreads(std::min(job->threads, tasks), [&] { Reader(job, pairs).Work(&next); });
}

}  // namespace knn_lm
