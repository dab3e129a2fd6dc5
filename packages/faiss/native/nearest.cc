#include "nearest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace {

constexpr uint32_t kSign = 0x80000000u;
constexpr size_t kDigitBits = 11;
constexpr size_t kDigitValues = size_t{1} << kDigitBits;
constexpr size_t kDigits = 3;
constexpr size_t kBins = 1024;  // of the histogram by which distances are dropped

size_t digitOf(uint32_t order, size_t digit) { return order >> (digit * kDigitBits) & (kDigitValues - 1); }

// Unsigned numbers in the order of the distances.
uint32_t orderOf(float distance) {
  uint32_t bits;
  const float positiveZero = distance + 0.0f;
  std::memcpy(&bits, &positiveZero, sizeof bits);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

size_t placeOf(uint64_t key) { return key & 0xffffffffu; }

}  // namespace

void Nearest::clear() {
  count_ = 0;
  threshold_ = std::numeric_limits<float>::infinity();
}

// Drops what is not among the nearest: by a histogram, which may keep some more than k, or exactly where that would keep
// too many. (nth_element alone mispredicts most of its branches and took a tenth of a search.)
void Nearest::shrink() {
  if (!dropByHistogram()) dropAllButNearest();
  float farthest = entries_[0].distance;
  for (size_t i = 1; i < count_; i++) farthest = std::max(farthest, entries_[i].distance);
  // An entry at the same distance with a smaller id still comes first.
  threshold_ = std::nextafter(farthest, std::numeric_limits<float>::infinity());
}

bool Nearest::dropByHistogram() {
  float low = entries_[0].distance, high = low;
  for (size_t i = 1; i < count_; i++) {
    low = std::min(low, entries_[i].distance);
    high = std::max(high, entries_[i].distance);
  }
  const float scale = static_cast<float>(kBins - 1) / (high - low);
  if (!(high > low) || !std::isfinite(scale)) return false;
  // Not decreasing in the distance: what lies in a later bin is farther.
  const auto binOf = [&](const Entry& entry) { return static_cast<uint32_t>((entry.distance - low) * scale); };
  uint32_t sizes[kBins + 1] = {};
  for (size_t i = 0; i < count_; i++) sizes[binOf(entries_[i])]++;
  uint32_t last = 0;
  size_t kept = sizes[0];
  while (kept < k_) kept += sizes[++last];
  if (kept > k_ + k_ / 4) return false;
  size_t to = 0;
  for (size_t i = 0; i < count_; i++) {
    entries_[to] = entries_[i];
    to += binOf(entries_[i]) <= last;
  }
  count_ = kept;
  return true;
}

void Nearest::dropAllButNearest() {
  std::nth_element(entries_, entries_ + (k_ - 1), entries_ + count_);
  count_ = k_;
}

void Nearest::write(float* distances, int64_t* ids, NearestSorter& sorter) const {
  const size_t found = std::min(count_, k_);
  sort(sorter);
  for (size_t begin = 0; begin < found;) {
    const size_t end = sortEqual(sorter.keys, begin);
    for (size_t i = begin; i < std::min(end, found); i++) {
      const Entry& entry = entries_[placeOf(sorter.keys[i])];
      distances[i] = entry.distance;
      ids[i] = entry.id;
    }
    begin = end;
  }
  std::fill(distances + found, distances + k_, std::numeric_limits<float>::max());
  std::fill(ids + found, ids + k_, -1);
}

// By digits, from the least significant on: comparing a thousand distances costs ten branches each that nobody can
// predict, which took a tenth of a search.
void Nearest::sort(NearestSorter& sorter) const {
  size_t begins[kDigits][kDigitValues] = {};
  sorter.keys.resize(places_);
  sorter.other.resize(places_);
  for (size_t i = 0; i < count_; i++) {
    const uint32_t order = orderOf(entries_[i].distance);
    sorter.keys[i] = static_cast<uint64_t>(order) << 32 | i;
    for (size_t digit = 0; digit < kDigits; digit++) begins[digit][digitOf(order, digit)]++;
  }
  for (size_t digit = 0; digit < kDigits; digit++) {
    size_t begin = 0;
    for (size_t& count : begins[digit]) begin += std::exchange(count, begin);
    for (size_t i = 0; i < count_; i++) {
      const uint64_t key = sorter.keys[i];
      sorter.other[begins[digit][digitOf(static_cast<uint32_t>(key >> 32), digit)]++] = key;
    }
    sorter.keys.swap(sorter.other);
  }
}

// Entries at one distance, from here on, in the order of their ids; returns where they end.
size_t Nearest::sortEqual(std::vector<uint64_t>& keys, size_t begin) const {
  size_t end = begin + 1;
  while (end < count_ && keys[end] >> 32 == keys[begin] >> 32) end++;
  if (end > begin + 1) {
    const auto first = keys.begin() + static_cast<ptrdiff_t>(begin);
    std::sort(first, keys.begin() + static_cast<ptrdiff_t>(end),
              [this](uint64_t a, uint64_t b) { return entries_[placeOf(a)].id < entries_[placeOf(b)].id; });
  }
  return end;
}
