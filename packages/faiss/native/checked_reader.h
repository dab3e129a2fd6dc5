// Reads an index file for Faiss and refuses sizes that the file cannot hold: Faiss 1.7.3 allocates up to 2^40
// elements before it notices that they are not there.
#pragma once

#include <faiss/impl/io.h>

#include <cstdint>

// A FileIOReader, for only that kind can be mapped into memory.
class CheckedReader : public faiss::FileIOReader {
 public:
  explicit CheckedReader(FILE* file);
  size_t operator()(void* ptr, size_t size, size_t nitems) override;

 private:
  void checkNumber(uint64_t number) const;

  uint64_t fileSize_ = 0;
  int sinceIndex_ = 0;      // 1 after the letters of an index, 2 after its dimension
  bool elsewhere_ = false;  // lists in another file: their sizes say nothing about this one
};
