#include "checked_reader.h"

#include <sys/stat.h>

#include <cstring>
#include <string>

#include "failure.h"

namespace {

// Numbers that are no sizes may be larger than a small file: the two reserved fields of every header are 2^20.
constexpr uint64_t kAlwaysAllowed = uint64_t{1} << 20;
// What lists for fast scan have in the place of a code size (InvertedLists::INVALID_CODE_SIZE). As the length of a
// vector Faiss refuses it itself.
constexpr uint64_t kNoCodeSize = ~uint64_t{0};

}  // namespace

CheckedReader::CheckedReader(FILE* file) : FileIOReader(file) {
  struct stat status {};
  if (fstat(::fileno(file), &status) == 0) fileSize_ = static_cast<uint64_t>(status.st_size);
}

size_t CheckedReader::operator()(void* ptr, size_t size, size_t nitems) {
  const long position = ftell(f);
  const uint64_t remaining = position < 0 ? 0 : fileSize_ - static_cast<uint64_t>(position);
  if (size > 0 && nitems > remaining / size) {
    throw Failure("FAISS_INDEX_FORMAT", "the file ends at byte " + std::to_string(fileSize_) + ", but " +
                                            std::to_string(size * nitems) + " bytes are expected from byte " +
                                            std::to_string(position) + " on");
  }
  const size_t done = FileIOReader::operator()(ptr, size, nitems);
  if (size == 4 && nitems == 1 && done == 1 && std::memcmp(ptr, "ilod", 4) == 0) elsewhere_ = true;
  // The number of vectors, which may be in another file: the letters of an index and its dimension come before it.
  const bool counts = size == 8 && sinceIndex_ == 2;
  const bool isWord = size == 4 && nitems == 1;
  sinceIndex_ = !isWord ? 0 : sinceIndex_ == 1 ? 2 : static_cast<const char*>(ptr)[0] == 'I' ? 1 : 0;
  if (size == 8 && nitems == 1 && done == 1 && !elsewhere_ && !counts) {
    uint64_t number;
    std::memcpy(&number, ptr, 8);
    checkNumber(number);
  }
  return done;
}

void CheckedReader::checkNumber(uint64_t number) const {
  if (number <= fileSize_ || number <= kAlwaysAllowed || number == kNoCodeSize) return;
  throw Failure("FAISS_INDEX_FORMAT", "the file has " + std::to_string(fileSize_) + " bytes and cannot hold the " +
                                          std::to_string(number) + " elements that it names before byte " +
                                          std::to_string(ftell(f)));
}
