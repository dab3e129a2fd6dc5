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

size_t digitOf(uint32_t order, size_t digit) { return order >> (digit * kDigitBits) & (kDigitValues - 1); }

}  // namespace

Nearest::Nearest(size_t k) : k_(k), entries_(2 * k + 64), keys_(entries_.size()), other_(entries_.size()) {}

void Nearest::clear() {
  count_ = 0;
  threshold_ = std::numeric_limits<float>::infinity();
}

void Nearest::shrink() {
  const auto last = entries_.begin() + static_cast<ptrdiff_t>(k_ - 1);
  std::nth_element(entries_.begin(), last, entries_.begin() + static_cast<ptrdiff_t>(count_));
  count_ = k_;
  // An entry at the same distance with a smaller id still comes first.
  threshold_ = std::nextafter(last->distance, std::numeric_limits<float>::infinity());
}

void Nearest::write(float* distances, int64_t* ids) {
  const size_t found = std::min(count_, k_);
  sortKeys();
  for (size_t begin = 0; begin < found;) {
    const size_t end = sortEqual(begin);
    for (size_t i = begin; i < std::min(end, found); i++) {
      const Entry& entry = entries_[placeOf(keys_[i])];
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
void Nearest::sortKeys() {
  size_t begins[kDigits][kDigitValues] = {};
  for (size_t i = 0; i < count_; i++) {
    const uint32_t order = orderOf(entries_[i].distance);
    keys_[i] = static_cast<uint64_t>(order) << 32 | i;
    for (size_t digit = 0; digit < kDigits; digit++) begins[digit][digitOf(order, digit)]++;
  }
  for (size_t digit = 0; digit < kDigits; digit++) {
    size_t begin = 0;
    for (size_t& count : begins[digit]) begin += std::exchange(count, begin);
    for (size_t i = 0; i < count_; i++) {
      const uint64_t key = keys_[i];
      other_[begins[digit][digitOf(static_cast<uint32_t>(key >> 32), digit)]++] = key;
    }
    keys_.swap(other_);
  }
}

// Entries at one distance, from here on, in the order of their ids; returns where they end.
size_t Nearest::sortEqual(size_t begin) {
  size_t end = begin + 1;
  while (end < count_ && keys_[end] >> 32 == keys_[begin] >> 32) end++;
  if (end > begin + 1) {
    const auto first = keys_.begin() + static_cast<ptrdiff_t>(begin);
    std::sort(first, keys_.begin() + static_cast<ptrdiff_t>(end),
              [this](uint64_t a, uint64_t b) { return entries_[placeOf(a)].id < entries_[placeOf(b)].id; });
  }
  return end;
}

// Unsigned numbers in the order of the distances.
uint32_t Nearest::orderOf(float distance) {
  uint32_t bits;
  const float positiveZero = distance + 0.0f;
  std::memcpy(&bits, &positiveZero, sizeof bits);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}
