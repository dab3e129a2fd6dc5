// Scans inverted lists of 8-bit product codes for the k nearest, with table look-ups in registers (AVX-512 VBMI).
//
// Each list's table of distances is rounded down to 7 bits; 64 codes at a time are looked up in it, which gives lower
// bounds of their distances. Only codes whose bound is below the k-th best distance so far are measured, in single
// precision and in the order of faiss::IndexIVFPQ: the result is exact. Byte-wise look-ups as lower bounds: André,
// Kermarrec and Le Scouarnec, "Cache locality is not enough", VLDB 2015.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nearest.h"

// Whether this processor has the instructions.
bool canScanInRegisters();

class PqScanner {
 public:
  // codes: bytes of a code, a multiple of 16.
  explicit PqScanner(size_t codes);

  // Entries that take() takes at most.
  size_t most() const { return most_; }

  // The entries that scan() goes through from now on: those of a list, or some of them. They are kept in columns, one for
  // each byte of a code; codes and ids stay the caller's.
  void take(const uint8_t* entries, const int64_t* ids, size_t count);

  // query: [codes, 256] products of the query with the centroids of each subquantizer; list: [codes, 256], what a centroid
  // adds in this list; offset: what all distances of the list have in common. A distance is offset + sum(list - 2 query).
  // next: of the query after this one, or null; it is fetched meanwhile.
  void scan(const float* query, const float* list, const float* next, float offset, Nearest& nearest);

 private:
  struct Bounds {
    float base;   // what a sum of 0 stands for
    float step;   // what 1 stands for
    float slack;  // for rounding
  };

  Bounds computeTable(const float* query, const float* list, const float* next, float offset);
  void measureAll(const float* query, const float* list, float offset, Nearest& nearest);
  float largestSpread(const float* query, const float* list) const;
  uint64_t below(const uint8_t* columns, uint32_t limit) const;

  size_t codes_;
  size_t most_;
  std::vector<uint8_t> storage_;
  uint8_t* table_;                // [codes, 256], aligned
  uint8_t* columns_;              // [blocks, codes, 64], aligned
  const uint8_t* entries_ = nullptr;
  const int64_t* ids_ = nullptr;
  size_t count_ = 0;
  std::vector<uint8_t> padded_;   // the last block of a list
  std::vector<float> distances_;  // [codes, 256]
  float step_ = 0;                // of the tables
};
