// Zeroed memory aligned to a cache line.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace knn_lm {

struct FreeAligned {
  void operator()(void* p) const { std::free(p); }
};

using AlignedBytes = std::unique_ptr<uint8_t, FreeAligned>;

constexpr size_t kAlignment = 64;

inline size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

inline AlignedBytes Aligned(size_t bytes) {
  void* p = std::aligned_alloc(kAlignment, AlignUp(bytes));
  if (p == nullptr) throw std::bad_alloc();
  std::memset(p, 0, bytes);
  return AlignedBytes(static_cast<uint8_t*>(p));
}

}  // namespace knn_lm
