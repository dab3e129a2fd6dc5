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

// The lines of a row that kLanes elements from i on touch.
template <typename T>
inline void Prefetch(const void* row, size_t i) {
  const char* line = reinterpret_cast<const char*>(static_cast<const T*>(row) + i);
  for (size_t at = 0; at < kLanes * sizeof(T); at += 64) __builtin_prefetch(line + at, 0, 2);
}

template <typename T>
float DistanceGeneric(const float* query, const void* key, const void* ahead, size_t padded) {
  const T* row = static_cast<const T*>(key);
  alignas(64) float lanes[kLanes] = {};
  for (size_t i = 0; i < padded; i += kLanes) {
    Prefetch<T>(ahead, i);
    for (size_t j = 0; j < kLanes; j++) {
      const float difference = query[i + j] - Widen(row[i + j]);
      lanes[j] += difference * difference;
    }
  }
  return AddLanes(lanes);
}

void WidenGeneric(const uint16_t* source, size_t n, float* target) {
  for (size_t i = 0; i < n; i++) target[i] = WidenHalf(source[i]);
}

#if defined(__x86_64__)

#define KNN_LM_AVX2 __attribute__((target("avx2,f16c")))
#define KNN_LM_AVX512 __attribute__((target("avx512f,avx512vl")))

// The last lanes, added as AddLanes does.
KNN_LM_AVX2 inline float AddEight(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

KNN_LM_AVX2 inline __m256 Load8(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
KNN_LM_AVX2 inline __m256 Load8(const float* p) { return _mm256_loadu_ps(p); }

template <typename T>
KNN_LM_AVX2 float DistanceAvx2(const float* query, const void* key, const void* ahead, size_t padded) {
  const T* row = static_cast<const T*>(key);
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  for (size_t i = 0; i < padded; i += kLanes) {
    Prefetch<T>(ahead, i);
    for (size_t part = 0; part < 4; part++) {
      const __m256 difference = _mm256_sub_ps(_mm256_load_ps(query + i + 8 * part), Load8(row + i + 8 * part));
      sums[part] = _mm256_add_ps(sums[part], _mm256_mul_ps(difference, difference));
    }
  }
  return AddEight(_mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3])));
}

KNN_LM_AVX2 void WidenAvx2(const uint16_t* source, size_t n, float* target) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i))));
  WidenGeneric(source + i, n - i, target + i);
}

KNN_LM_AVX512 inline __m512 Load16(const uint16_t* p) {
  // The unmasked form makes GCC 12 warn about its own header.
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
KNN_LM_AVX512 inline __m512 Load16(const float* p) { return _mm512_loadu_ps(p); }

template <typename T>
KNN_LM_AVX512 float DistanceAvx512(const float* query, const void* key, const void* ahead, size_t padded) {
  const T* row = static_cast<const T*>(key);
  __m512 low = _mm512_setzero_ps();
  __m512 high = _mm512_setzero_ps();
  for (size_t i = 0; i < padded; i += kLanes) {
    Prefetch<T>(ahead, i);
    const __m512 a = _mm512_sub_ps(_mm512_load_ps(query + i), Load16(row + i));
    const __m512 b = _mm512_sub_ps(_mm512_load_ps(query + i + 16), Load16(row + i + 16));
    low = _mm512_add_ps(low, _mm512_mul_ps(a, a));
    high = _mm512_add_ps(high, _mm512_mul_ps(b, b));
  }
  const __m512 sixteen = _mm512_add_ps(low, high);
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sixteen), 1));
  return AddEight(_mm256_add_ps(_mm512_castps512_ps256(sixteen), upper));
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
