#include "large_blocks.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

void setLimit(int bytes) {
#if defined(__GLIBC__)
  static const bool isGiven = std::getenv("MALLOC_MMAP_THRESHOLD_") != nullptr;
  if (isGiven) return;
  mallopt(M_MMAP_THRESHOLD, bytes);
  // What the C library does itself when it raises the limit: what is kept is not to be cut off at the end of the heap.
  mallopt(M_TRIM_THRESHOLD, 2 * bytes);
#else
  (void)bytes;
#endif
}

}  // namespace

void returnLargeBlocks() { setLimit(4 << 20); }

void keepLargeBlocks() { setLimit(32 << 20); }
