#include "permutation.h"

#include <faiss/utils/random.h>

#include <unordered_map>
#include <vector>

namespace {

class PermutationTask : public Task {
 public:
  PermutationTask(size_t n, size_t count, int64_t seed) : n_(n), count_(count), seed_(seed) {}

 protected:
  // faiss::rand_perm is a Fisher-Yates shuffle from the front: entry i is settled by step i. Only entries that were
  // swapped are kept, so memory goes with `count`, not with n.
  void run() override {
    std::unordered_map<int, int> moved;
    moved.reserve(count_);
    faiss::RandomGenerator random(seed_);
    prefix_.resize(count_);
    for (size_t i = 0; i < count_; i++) {
      const int here = static_cast<int>(i);
      const int there = i + 1 < n_ ? here + random.rand_int(static_cast<int>(n_ - i)) : here;
      const int valueHere = take(moved, here);
      prefix_[i] = there == here ? valueHere : take(moved, there);
      if (there != here) moved[there] = valueHere;
      moved.erase(here);
    }
  }

  napi_value result(napi_env env) override {
    return copyToTypedArray(env, napi_int32_array, prefix_.data(), prefix_.size(), sizeof(int));
  }

 private:
  static int take(const std::unordered_map<int, int>& moved, int position) {
    const auto found = moved.find(position);
    return found == moved.end() ? position : found->second;
  }

  size_t n_;
  size_t count_;
  int64_t seed_;
  std::vector<int> prefix_;
};

}  // namespace

std::unique_ptr<Task> makePermutationTask(size_t n, size_t count, int64_t seed) {
  return std::make_unique<PermutationTask>(n, count, seed);
}
