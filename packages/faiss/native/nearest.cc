#include "nearest.h"

#include <algorithm>
#include <cmath>

Nearest::Nearest(size_t k) : k_(k), entries_(2 * k + 64) {}

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
  std::partial_sort(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(found),
                    entries_.begin() + static_cast<ptrdiff_t>(count_));
  for (size_t i = 0; i < k_; i++) {
    distances[i] = i < found ? entries_[i].distance : std::numeric_limits<float>::max();
    ids[i] = i < found ? entries_[i].id : -1;
  }
}
