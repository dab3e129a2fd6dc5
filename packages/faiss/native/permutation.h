#pragma once

#include <memory>

#include "task.h"

// The first `count` entries of faiss::rand_perm(n, seed), without its array of n; resolves with an Int32Array.
std::unique_ptr<Task> makePermutationTask(size_t n, size_t count, int64_t seed);
