#include "vectors.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "failure.h"
#include "half.h"

namespace {

constexpr size_t kRowsAtATime = 256;

// (|x| + |c|)^2 has to stay below the largest float, 3.4e38, for every two vectors: otherwise distances become
// infinite and no neighbour is the nearest.
constexpr double kLargestSquaredNorm = 8e37;

// In double precision: the square of every finite float fits.
double squaredNorm(const float* vector, size_t dimension) {
  double sum = 0;
  for (size_t i = 0; i < dimension; i++) sum += static_cast<double>(vector[i]) * vector[i];
  return sum;
}

}  // namespace

Vectors Vectors::copy(const Napi::Value& value, size_t dimension) {
  Vectors vectors;
  vectors.dimension_ = dimension;
  const auto array = value.As<Napi::TypedArray>();
  const size_t length = array.ElementLength();
  if (dimension == 0 || length % dimension != 0) {
    throw Napi::TypeError::New(value.Env(), "the length is not a multiple of the dimension");
  }
  vectors.rows_ = length / dimension;
  if (array.TypedArrayType() == napi_float32_array) {
    const float* data = value.As<Napi::Float32Array>().Data();
    vectors.singles_.assign(data, data + length);
  } else {
    const uint16_t* data = value.As<Napi::Uint16Array>().Data();
    vectors.halves_.assign(data, data + length);
  }
  return vectors;
}

void Vectors::check() const {
  std::vector<float> scratch;
  for (size_t row = 0; row < rows_; row += kRowsAtATime) {
    const size_t count = std::min(kRowsAtATime, rows_ - row);
    checkRows(widen(row, count, scratch), count, dimension_, row);
  }
}

std::vector<float> Vectors::singles() const {
  if (halves_.empty()) return singles_;
  std::vector<float> widened(halves_.size());
  widenHalves(halves_.data(), halves_.size(), widened.data());
  return widened;
}

const float* Vectors::widen(size_t begin, size_t count, std::vector<float>& scratch) const {
  if (halves_.empty()) return singles_.data() + begin * dimension_;
  scratch.resize(count * dimension_);
  widenHalves(halves_.data() + begin * dimension_, count * dimension_, scratch.data());
  return scratch.data();
}

bool isUsable(const float* vector, size_t dimension) {
  return squaredNorm(vector, dimension) <= kLargestSquaredNorm;  // false for NaN
}

void checkRows(const float* rows, size_t count, size_t dimension, size_t firstRow) {
  for (size_t row = 0; row < count; row++) {
    const double norm = squaredNorm(rows + row * dimension, dimension);
    if (norm <= kLargestSquaredNorm) continue;
    const bool finite = std::isfinite(norm);
    throw Failure(finite ? "FAISS_TOO_LARGE" : "FAISS_NOT_FINITE",
                  finite ? "a vector is too long for distances in single precision" : "a vector has NaN or infinity",
                  static_cast<int64_t>(firstRow + row));
  }
}
