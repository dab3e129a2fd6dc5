#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace knn_lm {
namespace {

[[noreturn]] void Fail(const std::string& path, const char* what, int error) {
  throw std::runtime_error(path + ": " + what + ": " + std::strerror(error));
}

size_t PageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

MappedFile::MappedFile(const std::string& path, size_t size) : path_(path), size_(size) {
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) Fail(path, "cannot be opened", errno);
  try {
    CheckSize();
    void* mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (mapped == MAP_FAILED) Fail(path, "cannot be mapped", errno);
    data_ = static_cast<uint8_t*>(mapped);
  } catch (...) {
    close(descriptor_);
    throw;
  }
  // Neighbours lie anywhere: reading around a page would bring 30 pages in for one row.
  madvise(data_, size_, MADV_RANDOM);
}

MappedFile::~MappedFile() {
  munmap(data_, size_);
  close(descriptor_);
}

void MappedFile::CheckSize() const {
  struct stat status;
  if (fstat(descriptor_, &status) != 0) Fail(path_, "cannot be examined", errno);
  if (static_cast<uint64_t>(status.st_size) < size_) {
    throw std::runtime_error(path_ + " has " + std::to_string(status.st_size) + " bytes, but " +
                             std::to_string(size_) + " are needed: it was cut after it was opened");
  }
}

void MappedFile::ReadAt(size_t offset, size_t size, void* target) const {
  size_t done = 0;
  while (done < size) {
    const ssize_t count =
        pread(descriptor_, static_cast<uint8_t*>(target) + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail(path_, "cannot be read", errno);
    if (count == 0) Fail(path_, "ends early", EIO);
    done += static_cast<size_t>(count);
  }
}

void MappedFile::WillNeed(size_t offset, size_t size) const {
  const size_t start = offset / PageSize() * PageSize();
  madvise(data_ + start, offset + size - start, MADV_WILLNEED);
}

void MappedFile::Populate(size_t offset, size_t size) const {
  CheckSize();
  const size_t start = offset / PageSize() * PageSize();
  const size_t length = offset + size - start;
  // In order and with reading ahead, which the mapping's random hint has turned off.
#if defined(__linux__)
  readahead(descriptor_, static_cast<off_t>(start), length);
#endif
#if defined(MADV_POPULATE_READ)
  if (madvise(data_ + start, length, MADV_POPULATE_READ) == 0) return;
#endif
  // Kernels before 5.14: touch every page.
  volatile uint8_t sink = 0;
  for (size_t at = start; at < start + length; at += PageSize()) sink = data_[at];
  (void)sink;
}

}  // namespace knn_lm
