// The squared distance of a query to a row, in the fastest instructions that the processor has.
#pragma once
#include <cstddef>
#include <cstdint>

namespace knn_lm {

enum class Dtype { kF16, kF32 };

inline size_t ElementBytes(Dtype dtype) { return dtype == Dtype::kF16 ? 2 : 4; }

// Element i is added to lane i mod 32; the lanes are then added in halves: 16, 8, 4, 2, 1. Every path, the one in
// TypeScript included, keeps to this order and rounds each product and each sum, so that all give the same bits.
constexpr size_t kLanes = 32;

// Dimension rounded up to whole steps; the elements beyond it are zero in query and rows and add nothing.
inline size_t PaddedDimension(size_t dimension) { return (dimension + kLanes - 1) / kLanes * kLanes; }

// query: [padded] float, aligned to 64 bytes; row: [padded] in the keys' precision, anywhere; ahead: a row that is wanted
// soon, which is brought into the second-level cache line by line meanwhile, or the same row.
using DistanceKernel = float (*)(const float* query, const void* row, const void* ahead, size_t padded);

// Widens n half-precision numbers.
using WidenKernel = void (*)(const uint16_t* source, size_t n, float* target);

struct KernelSet {
  const char* name;  // avx512, avx2, generic
  DistanceKernel distance_f16;
  DistanceKernel distance_f32;
  WidenKernel widen;

  DistanceKernel distance(Dtype dtype) const { return dtype == Dtype::kF16 ? distance_f16 : distance_f32; }
};

// The kernel sets that this processor can run, best first; never empty. Ends at count.
const KernelSet* SupportedKernels(size_t* count);

}  // namespace knn_lm
