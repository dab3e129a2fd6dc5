// The vectors of one call: a copy of the caller's typed array, in its own precision.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

class Vectors {
 public:
  // Copies a Float32Array, or a Uint16Array of half-precision patterns, of [rows, dimension]. The copy makes it safe
  // for the caller to reuse, transfer or resize the array while the task runs.
  static Vectors copy(const Napi::Value& value, size_t dimension);

  size_t rows() const { return rows_; }
  size_t dimension() const { return dimension_; }

  // Throws FAISS_NOT_FINITE or FAISS_TOO_LARGE with the row's number. No centroid is nearest to such a row, and Faiss
  // 1.7.3 then goes on with a list number that it never set.
  void check() const;

  // All rows in single precision.
  std::vector<float> singles() const;

  // Single precision of rows [begin, begin + count), in the caller's scratch space or in place.
  const float* widen(size_t begin, size_t count, std::vector<float>& scratch) const;

 private:
  size_t rows_ = 0;
  size_t dimension_ = 0;
  std::vector<uint16_t> halves_;
  std::vector<float> singles_;
};

// Whether distances between this and every other such vector are finite.
bool isUsable(const float* vector, size_t dimension);

// Throws as Vectors::check does.
void checkRows(const float* rows, size_t count, size_t dimension, size_t firstRow);
