// The same work on several threads.
#pragma once
#include <algorithm>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace knn_lm {

// Calls `work` on the calling thread and on up to `threads - 1` others, and throws what one of them has thrown.
template <typename Work>
void RunOnThreads(size_t threads, const Work& work) {
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      std::lock_guard<std::mutex> guard(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; i++) {
    try {
      others.emplace_back(guarded);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: those there do the work
    }
  }
  guarded();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace knn_lm
