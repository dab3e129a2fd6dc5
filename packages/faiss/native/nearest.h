// The k nearest entries seen so far. A heap of a thousand moves ten entries for each that comes in; here they are gathered
// until there are twice as many as wanted, and half of them are dropped at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

// Memory for putting neighbours in order; one serves many queries.
struct NearestSorter {
  std::vector<uint64_t> keys;  // the order of a distance, and the place of its entry
  std::vector<uint64_t> other;
};

class Nearest {
 public:
  struct Entry {
    float distance;
    int64_t id;
    bool operator<(const Entry& other) const {
      return distance < other.distance || (distance == other.distance && id < other.id);
    }
  };

  // Entries that one needs room for.
  static size_t placesFor(size_t k) { return 2 * k + 64; }

  // entries: [placesFor(k)], the caller's; those of many queries are one piece of memory, which goes back to the operating
  // system where small pieces would stay with each thread that ever searched.
  Nearest(size_t k, Entry* entries) : k_(k), places_(placesFor(k)), entries_(entries) {}

  void clear();

  // Entries as far as this or farther are not among the nearest.
  float threshold() const { return threshold_; }

  // How many more may be added before the threshold changes.
  size_t room() const { return places_ - count_ - 1; }

  void add(float distance, int64_t id) {
    entries_[count_++] = {distance, id};
    if (count_ == places_) shrink();
  }

  // Writes the nearest, in order of distance and then of id; the rest is missing (id -1).
  void write(float* distances, int64_t* ids, NearestSorter& sorter) const;

 private:
  void shrink();
  bool dropByHistogram();
  void dropAllButNearest();
  void sort(NearestSorter& sorter) const;
  size_t sortEqual(std::vector<uint64_t>& keys, size_t begin) const;

  size_t k_;
  size_t places_;
  size_t count_ = 0;
  float threshold_ = std::numeric_limits<float>::infinity();
  Entry* entries_;
};
