// Rows of equal size in one or more files, one after the other: an array of a datastore, or of a list of datastores.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mapped_file.h"

namespace knn_lm {

class RowFiles {
 public:
  struct Source {
    std::string path;
    size_t rows;
  };

  // Throws std::runtime_error as MappedFile does.
  RowFiles(const std::vector<Source>& sources, size_t row_bytes);

  size_t rows() const { return first_rows_.back(); }
  size_t row_bytes() const { return row_bytes_; }
  size_t file_count() const { return files_.size(); }
  const MappedFile& file(size_t index) const { return *files_[index]; }

  // The file that has a row; the first row of a file.
  size_t FileOf(size_t row) const;
  size_t FirstRow(size_t file) const { return first_rows_[file]; }

  // A row in its mapping.
  const uint8_t* Row(size_t row) const {
    if (files_.size() == 1) return files_[0]->data() + row * row_bytes_;
    const size_t file = FileOf(row);
    return files_[file]->data() + (row - first_rows_[file]) * row_bytes_;
  }

  // Copies consecutive rows through read(2).
  void Read(size_t start, size_t count, uint8_t* target) const;

  void CheckSize() const;

  // Says that rows were touched in the mappings. Pages that are mapped count as the process's memory: beyond a limit
  // they are given back, unless they are held.
  void Touched(size_t rows) const;

  // Keeps mapped pages from now on.
  void Hold() const { held_ = true; }
  bool held() const { return held_; }

 private:
  std::vector<std::unique_ptr<const MappedFile>> files_;
  std::vector<size_t> first_rows_;  // one more than files: the last is the number of rows
  size_t row_bytes_;
  size_t size_ = 0;
  mutable std::atomic<bool> held_{false};
  mutable std::atomic<size_t> touched_{0};
};

}  // namespace knn_lm
