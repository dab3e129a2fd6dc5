#include "kernels.h"

#include <array>

#include "half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Compiled with -ffp-contract=off: a fused multiply-add would round once where the other paths round twice.
namespace knn_lm {
namespace {

inline float AddLanes(float* lanes) {
  for (size_t width = kLanes / 2; width > 0; width /= 2)
    for (size_t j = 0; j < width; j++) lanes[j] += lanes[j + width];
  return lanes[0];
}

inline float Widen(uint16_t half) { return WidenHalf(half); }
inline float Widen(float value) { return value; }

template <typename T>
void DistanceGeneric(const float* query, const void* rows, size_t count, size_t padded, float* out) {
  for (size_t r = 0; r < count; r++) {
    const T* row = static_cast<const T*>(rows) + r * padded;
    alignas(64) float lanes[kLanes] = {};
    for (size_t i = 0; i < padded; i += kLanes) {
      for (size_t j = 0; j < kLanes; j++) {
        const float difference = query[i + j] - Widen(row[i + j]);
        lanes[j] += difference * difference;
      }
    }
    out[r] = AddLanes(lanes);
  }
}

void WidenGeneric(const uint16_t* source, size_t n, float* target) {
  for (size_t i = 0; i < n; i++) target[i] = WidenHalf(source[i]);
}

#if defined(__x86_64__)

#define KNN_LM_AVX2 __attribute__((target("avx2,f16c")))
#define KNN_LM_AVX512 __attribute__((target("avx512f,avx512vl")))

KNN_LM_AVX2 inline __m256 Load8(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}
KNN_LM_AVX2 inline __m256 Load8(const float* p) { return _mm256_load_ps(p); }

template <typename T>
KNN_LM_AVX2 void DistanceAvx2(const float* query, const void* rows, size_t count, size_t padded, float* out) {
  for (size_t r = 0; r < count; r++) {
    const T* row = static_cast<const T*>(rows) + r * padded;
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t i = 0; i < padded; i += kLanes) {
      for (size_t part = 0; part < 4; part++) {
        const __m256 difference = _mm256_sub_ps(_mm256_load_ps(query + i + 8 * part), Load8(row + i + 8 * part));
        sums[part] = _mm256_add_ps(sums[part], _mm256_mul_ps(difference, difference));
      }
    }
    alignas(64) float lanes[kLanes];
    for (size_t part = 0; part < 4; part++) _mm256_store_ps(lanes + 8 * part, sums[part]);
    out[r] = AddLanes(lanes);
  }
}

KNN_LM_AVX2 void WidenAvx2(const uint16_t* source, size_t n, float* target) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i))));
  WidenGeneric(source + i, n - i, target + i);
}

KNN_LM_AVX512 inline __m512 Load16(const uint16_t* p) {
  // The unmasked form makes GCC 12 warn about its own header.
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
}
KNN_LM_AVX512 inline __m512 Load16(const float* p) { return _mm512_load_ps(p); }

template <typename T>
KNN_LM_AVX512 void DistanceAvx512(const float* query, const void* rows, size_t count, size_t padded, float* out) {
  for (size_t r = 0; r < count; r++) {
    const T* row = static_cast<const T*>(rows) + r * padded;
    __m512 low = _mm512_setzero_ps();
    __m512 high = _mm512_setzero_ps();
    for (size_t i = 0; i < padded; i += kLanes) {
      const __m512 a = _mm512_sub_ps(_mm512_load_ps(query + i), Load16(row + i));
      const __m512 b = _mm512_sub_ps(_mm512_load_ps(query + i + 16), Load16(row + i + 16));
      low = _mm512_add_ps(low, _mm512_mul_ps(a, a));
      high = _mm512_add_ps(high, _mm512_mul_ps(b, b));
    }
    alignas(64) float lanes[kLanes];
    _mm512_store_ps(lanes, low);
    _mm512_store_ps(lanes + 16, high);
    out[r] = AddLanes(lanes);
  }
}

#endif

struct Supported {
  std::array<KernelSet, 3> sets;
  size_t count = 0;

  Supported() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool f16c = __builtin_cpu_supports("f16c");
    if (f16c && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
      sets[count++] = {"avx512", DistanceAvx512<uint16_t>, DistanceAvx512<float>, WidenAvx2};
    if (f16c && __builtin_cpu_supports("avx2"))
      sets[count++] = {"avx2", DistanceAvx2<uint16_t>, DistanceAvx2<float>, WidenAvx2};
#endif
    sets[count++] = {"generic", DistanceGeneric<uint16_t>, DistanceGeneric<float>, WidenGeneric};
  }
};

}  // namespace

const KernelSet* SupportedKernels(size_t* count) {
  static const Supported supported;
  *count = supported.count;
  return supported.sets.data();
}

}  // namespace knn_lm
