// IEEE 754 half to single precision, exactly, in integer arithmetic that compilers vectorise.
#pragma once
#include <cstdint>
#include <cstring>

namespace knn_lm {

inline float WidenHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  // Moving the exponent into place leaves it 112 too small; the multiplication corrects it, subnormals included.
  uint32_t bits = magnitude << 13;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  value *= 0x1p112f;
  std::memcpy(&bits, &value, sizeof bits);
  if (magnitude >= 0x7c00) bits |= 0x7f800000;  // infinity and NaN
  bits |= sign;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace knn_lm
