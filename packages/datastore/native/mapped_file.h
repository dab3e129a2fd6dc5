// A file mapped read-only for random access, with its descriptor for sequential reads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace knn_lm {

class MappedFile {
 public:
  // Maps the first `size` bytes. Throws std::runtime_error when the file cannot be opened, is shorter, or cannot be
  // mapped.
  MappedFile(const std::string& path, size_t size);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Touching a mapped page beyond the end of the file would kill the process (SIGBUS): checked before every use, so
  // that only a truncation during a call can do that.
  void CheckSize() const;

  // Copies bytes through read(2): the kernel reads ahead, and no mapped page stays behind.
  void ReadAt(size_t offset, size_t size, void* target) const;

  // Asks for a range of the mapping to be read in the background.
  void WillNeed(size_t offset, size_t size) const;

  // Brings a range into memory and maps it, so that later accesses fault no more.
  void Populate(size_t offset, size_t size) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace knn_lm
