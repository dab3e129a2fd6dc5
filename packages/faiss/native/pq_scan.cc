#include "pq_scan.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#define VBMI __attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")))

namespace {

constexpr size_t kBlock = 64;  // entries at a time
constexpr size_t kColumnBytes = 256 << 10;  // stay in the second-level cache from one query to the next
constexpr int kLargest = 127;  // two of them fit a byte

// The sum for one code, in the order of faiss::IndexIVFPQ: eight partial sums, then pairs of them.
VBMI float measure(const float* distances, const uint8_t* code, size_t codes) {
  const __m256i rows = _mm256_setr_epi32(0, 256, 512, 768, 1024, 1280, 1536, 1792);
  __m256 sums = _mm256_setzero_ps();
  for (size_t m = 0; m < codes; m += 8) {
    const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(code + m)));
    sums = _mm256_add_ps(sums, _mm256_i32gather_ps(distances + m * 256, _mm256_add_epi32(at, rows), 4));
  }
  const __m256 pairs = _mm256_hadd_ps(sums, sums);
  const __m256 fours = _mm256_hadd_ps(pairs, pairs);
  return _mm_cvtss_f32(_mm_add_ss(_mm256_extractf128_ps(fours, 1), _mm256_castps256_ps128(fours)));
}

// 16 entries of a list's table: the part of the list less twice the product with the query.
VBMI inline __m512 distancesOf(const float* query, const float* list, size_t at) {
  return _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), _mm512_loadu_ps(query + at), _mm512_loadu_ps(list + at));
}

VBMI inline float smallest(const __m512* row) {
  __m512 low = row[0];
  for (size_t i = 1; i < 16; i++) low = _mm512_min_ps(low, row[i]);
  return _mm512_reduce_min_ps(low);
}

VBMI inline __m512 largest(const __m512* row) {
  __m512 high = row[0];
  for (size_t i = 1; i < 16; i++) high = _mm512_max_ps(high, row[i]);
  return high;
}

// Rows of 16 bytes of 64 entries become 16 columns of 64 bytes: four squares of 16 x 16 bytes, one in each quarter of the
// registers.
VBMI inline void transpose(const uint8_t* rows, size_t stride, __m512i* columns) {
  __m512i a[16], b[16];
  for (size_t i = 0; i < 16; i++) {
    const auto quarter = [&](size_t q) VBMI {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + (q * 16 + i) * stride));
    };
    __m512i row = _mm512_castsi128_si512(quarter(0));
    row = _mm512_inserti32x4(row, quarter(1), 1);
    row = _mm512_inserti32x4(row, quarter(2), 2);
    a[i] = _mm512_inserti32x4(row, quarter(3), 3);
  }
  for (size_t i = 0; i < 8; i++) {
    b[2 * i] = _mm512_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm512_unpackhi_epi8(a[i], a[i + 8]);
  }
  for (size_t i = 0; i < 8; i++) {
    a[2 * i] = _mm512_unpacklo_epi8(b[i], b[i + 8]);
    a[2 * i + 1] = _mm512_unpackhi_epi8(b[i], b[i + 8]);
  }
  for (size_t i = 0; i < 8; i++) {
    b[2 * i] = _mm512_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm512_unpackhi_epi8(a[i], a[i + 8]);
  }
  for (size_t i = 0; i < 8; i++) {
    columns[2 * i] = _mm512_unpacklo_epi8(b[i], b[i + 8]);
    columns[2 * i + 1] = _mm512_unpackhi_epi8(b[i], b[i + 8]);
  }
}

// 64 look-ups in a table of 256 bytes.
VBMI inline __m512i lookUp(const uint8_t* table, __m512i at) {
  const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(table), at, _mm512_load_si512(table + 64));
  const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(table + 128), at, _mm512_load_si512(table + 192));
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high);
}

}  // namespace

bool canScanInRegisters() {
  static const bool can = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi");
  return can;
}

PqScanner::PqScanner(size_t codes)
    : codes_(codes),
      most_(std::max(kBlock, kColumnBytes / codes / kBlock * kBlock)),
      storage_(codes * 256 + most_ * codes + 64),
      padded_(kBlock * codes),
      distances_(codes * 256) {
  const auto address = reinterpret_cast<uintptr_t>(storage_.data());
  table_ = storage_.data() + (64 - address % 64) % 64;
  columns_ = table_ + codes * 256;
}

// The distances of this list, and the same rounded down to steps. What is a step is what the lists before needed: where a
// distance is more than 127 of them, 127 is less than it, too.
VBMI PqScanner::Bounds PqScanner::computeTable(const float* query, const float* list, const float* next,
                                                float offset) {
  if (step_ == 0) step_ = largestSpread(query, list) / kLargest;
  const __m512i inOrder = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const float perStep = 1 / step_;
  __m512 spread = _mm512_setzero_ps();
  float base = offset, size = std::abs(offset);
  for (size_t m = 0; m < codes_; m++) {
    __m512 row[16];
    for (size_t i = 0; i < 16; i++) {
      const size_t at = m * 256 + i * 16;
      if (next != nullptr) _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T1);
      row[i] = distancesOf(query, list, at);
      _mm512_storeu_ps(distances_.data() + at, row[i]);
    }
    const float lowest = smallest(row);
    base += lowest;
    size += std::abs(lowest);
    spread = _mm512_max_ps(spread, _mm512_sub_ps(largest(row), _mm512_set1_ps(lowest)));
    const __m512 scale = _mm512_set1_ps(perStep), low = _mm512_set1_ps(lowest * perStep);
    for (size_t i = 0; i < 16; i += 4) {
      const auto steps = [&](size_t j) VBMI { return _mm512_cvttps_epi32(_mm512_fmsub_ps(row[i + j], scale, low)); };
      const __m512i words = _mm512_packs_epi32(steps(0), steps(1)), others = _mm512_packs_epi32(steps(2), steps(3));
      // Saturated at 127, which is kLargest. Rounding may have made a zero negative.
      const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(words, others), _mm512_setzero_si512());
      _mm512_store_si512(table_ + m * 256 + i * 16, _mm512_permutexvar_epi32(inOrder, bytes));
    }
  }
  const float widest = _mm512_reduce_max_ps(spread);
  // Sums of so many terms of this size, in single precision, and a step for rounding in the table.
  const Bounds bounds{base, step_, (size + widest * static_cast<float>(codes_)) * 1e-5f + step_};
  step_ = std::max(step_, widest / kLargest);
  return bounds;
}

// Which of 64 entries have a sum below the limit. columns: [codes, 64].
VBMI uint64_t PqScanner::below(const uint8_t* columns, uint32_t limit) const {
  __m512i even = _mm512_setzero_si512(), odd = even;
  const __m512i lowBytes = _mm512_set1_epi16(0xff);
  for (size_t m = 0; m < codes_; m += 2) {
    const __m512i two = _mm512_add_epi8(lookUp(table_ + m * 256, _mm512_load_si512(columns + m * kBlock)),
                                        lookUp(table_ + (m + 1) * 256, _mm512_load_si512(columns + (m + 1) * kBlock)));
    even = _mm512_add_epi16(even, _mm512_and_si512(two, lowBytes));
    odd = _mm512_add_epi16(odd, _mm512_srli_epi16(two, 8));
  }
  const __m512i most = _mm512_set1_epi16(static_cast<int16_t>(limit));
  const uint64_t evens = _mm512_cmplt_epu16_mask(even, most);
  const uint64_t odds = _mm512_cmplt_epu16_mask(odd, most);
  const auto spread = [](uint64_t bits) VBMI { return _pdep_u64(bits, 0x5555555555555555u); };
  return spread(evens) | spread(odds) << 1;
}

VBMI float PqScanner::largestSpread(const float* query, const float* list) const {
  float spread = 1e-30f;
  for (size_t m = 0; m < codes_; m++) {
    __m512 low = distancesOf(query, list, m * 256), high = low;
    for (size_t i = 16; i < 256; i += 16) {
      const __m512 values = distancesOf(query, list, m * 256 + i);
      low = _mm512_min_ps(low, values);
      high = _mm512_max_ps(high, values);
    }
    spread = std::max(spread, _mm512_reduce_max_ps(high) - _mm512_reduce_min_ps(low));
  }
  return spread;
}

// Transposing takes more than twice as long as a scan: that is why a list is scanned for many queries together.
VBMI void PqScanner::take(const uint8_t* entries, const int64_t* ids, size_t count) {
  entries_ = entries;
  ids_ = ids;
  count_ = count;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const uint8_t* block = entries + begin * codes_;
    if (count - begin < kBlock) {
      std::memcpy(padded_.data(), block, (count - begin) * codes_);
      block = padded_.data();
    }
    for (size_t m = 0; m < codes_; m += 16) {
      __m512i columns[16];
      transpose(block + m, codes_, columns);
      for (size_t i = 0; i < 16; i++) _mm512_store_si512(columns_ + begin * codes_ + (m + i) * kBlock, columns[i]);
    }
  }
}

VBMI void PqScanner::scan(const float* query, const float* list, const float* next, float offset,
                          Nearest& nearest) {
  if (std::isinf(nearest.threshold()) && nearest.room() >= count_) return measureAll(query, list, offset, nearest);
  const Bounds bounds = computeTable(query, list, next, offset);
  for (size_t begin = 0; begin < count_; begin += kBlock) {
    const float reach = (nearest.threshold() - bounds.base + bounds.slack) / bounds.step;
    if (reach <= 0) return;  // no entry of this list can be near enough
    uint64_t candidates = ~uint64_t{0} >> (kBlock - std::min(kBlock, count_ - begin));
    if (reach < 65535) candidates &= below(columns_ + begin * codes_, static_cast<uint32_t>(std::ceil(reach)));
    for (; candidates != 0; candidates &= candidates - 1) {
      const size_t at = begin + static_cast<size_t>(__builtin_ctzll(candidates));
      const float distance = offset + measure(distances_.data(), entries_ + at * codes_, codes_);
      if (distance < nearest.threshold()) nearest.add(distance, ids_[at]);
    }
  }
}

// Every entry is among the nearest so far: bounds are of no use.
VBMI void PqScanner::measureAll(const float* query, const float* list, float offset, Nearest& nearest) {
  for (size_t i = 0; i < codes_ * 256; i += 16) {
    _mm512_storeu_ps(distances_.data() + i, distancesOf(query, list, i));
  }
  for (size_t i = 0; i < count_; i++) {
    // Not a number, or infinite: no neighbour, as in Faiss.
    const float distance = offset + measure(distances_.data(), entries_ + i * codes_, codes_);
    if (distance < nearest.threshold()) nearest.add(distance, ids_[i]);
  }
}

#else

bool canScanInRegisters() { return false; }
PqScanner::PqScanner(size_t codes) : codes_(codes), most_(1), table_(nullptr), columns_(nullptr) {}
void PqScanner::take(const uint8_t*, const int64_t*, size_t) {}
void PqScanner::scan(const float*, const float*, const float*, float, Nearest&) {}

#endif
