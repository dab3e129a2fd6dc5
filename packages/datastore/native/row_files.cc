#include "row_files.h"

#include <algorithm>

namespace knn_lm {
namespace {

// Files whose descriptors stay open; those beyond are opened for each use.
constexpr size_t kKeptOpen = 64;

// Bytes of mapped pages that are not given back.
constexpr size_t kMappedBytes = 192 << 20;

// What touching one row may map: the kernel maps the cached pages around a fault (fault_around_bytes).
constexpr size_t kBytesAround = 64 << 10;

}  // namespace

RowFiles::RowFiles(const std::vector<Source>& sources, size_t row_bytes) : first_rows_{0}, row_bytes_(row_bytes) {
  for (const Source& source : sources) {
    const size_t bytes = source.rows * row_bytes;
    files_.push_back(std::make_unique<const MappedFile>(source.path, bytes, files_.size() < kKeptOpen));
    first_rows_.push_back(first_rows_.back() + source.rows);
    size_ += bytes;
  }
}

size_t RowFiles::FileOf(size_t row) const {
  if (files_.size() == 1) return 0;
  return std::upper_bound(first_rows_.begin(), first_rows_.end(), row) - first_rows_.begin() - 1;
}

void RowFiles::Read(size_t start, size_t count, uint8_t* target) const {
  while (count > 0) {
    const size_t file = FileOf(start);
    const size_t here = std::min(count, first_rows_[file + 1] - start);
    MappedFile::Descriptor(*files_[file]).ReadAt((start - first_rows_[file]) * row_bytes_, here * row_bytes_, target);
    start += here;
    count -= here;
    target += here * row_bytes_;
  }
}

void RowFiles::CheckSize() const {
  for (const auto& file : files_) file->CheckSize();
}

void RowFiles::Touched(size_t rows) const {
  if (held_ || size_ <= kMappedBytes) return;
  if (touched_.fetch_add(rows) + rows <= kMappedBytes / kBytesAround) return;
  touched_ = 0;
  for (const auto& file : files_) file->Release();
}

}  // namespace knn_lm
