// A file mapped read-only for random access, with its descriptor for reads.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace knn_lm {

class MappedFile {
 public:
  // Maps the first `size` bytes. With `keep_open` the descriptor stays open; without, it is opened again for each use,
  // so that a datastore of thousands of files does not need as many descriptors. Throws std::runtime_error when the
  // file cannot be opened, is shorter, or cannot be mapped.
  MappedFile(const std::string& path, size_t size, bool keep_open);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // An open descriptor of the file that is mapped, for as long as it lives.
  class Descriptor {
   public:
    explicit Descriptor(const MappedFile& file);
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    // Copies bytes through read(2): the kernel reads ahead, and no mapped page stays behind.
    void ReadAt(size_t offset, size_t size, uint8_t* target) const;

    enum class Cached { kYes, kNo, kUnknown };
    // Copies bytes if all of them are in memory. kUnknown where the file system cannot tell.
    Cached ReadCached(size_t offset, size_t size, uint8_t* target) const;

    // Asks for a range to be read in the background.
    void WillNeed(size_t offset, size_t size) const;

   private:
    friend class MappedFile;
    const MappedFile& file_;
    int descriptor_;
    bool owned_;
  };

  // Touching a mapped page beyond the end of the file would kill the process (SIGBUS): checked before every use, so
  // that only a truncation during a call can do that.
  void CheckSize() const;

  // Asks for a range of the mapping to be read in the background.
  void WillNeed(size_t offset, size_t size) const;

  // Brings a range into memory and maps it, so that later accesses fault no more.
  void Populate(size_t offset, size_t size) const;

  // Gives back the mapped pages; they stay in the operating system's cache.
  void Release() const;

 private:
  // Makes sure that every page of a range is there and mapped.
  void Touch(size_t start, size_t length) const;

  void CheckSize(int descriptor) const;

  std::string path_;
  int descriptor_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace knn_lm
