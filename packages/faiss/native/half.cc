#include "half.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

float widenHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  uint32_t bits;
  if (magnitude >= 0x7c00) {
    bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;  // infinity, NaN
  } else if (magnitude >= 0x400) {
    bits = sign | ((magnitude << 13) + 0x38000000);  // 127 - 15 = 112 more in the exponent
  } else {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;  // subnormal or zero
    return sign ? -value : value;
  }
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) size_t widenEights(const uint16_t* source, size_t n, float* target) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i));
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(halves));
  }
  return i;
}
#endif

}  // namespace

void widenHalves(const uint16_t* source, size_t n, float* target) {
  size_t i = 0;
#if defined(__x86_64__)
  static const bool f16c = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
  if (f16c) i = widenEights(source, n, target);
#endif
  for (; i < n; i++) target[i] = widenHalf(source[i]);
}
