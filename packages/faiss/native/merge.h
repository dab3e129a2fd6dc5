#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "task.h"

struct MergePart {
  std::string path;
  uint64_t firstId;
};

struct MergeTarget {
  std::string path;
  std::string listsPath;    // empty: the lists go into the index file
  std::string listsStored;  // how the index names that file
};

// Joins index files over one trained quantizer into a new one; memory does not grow with them.
std::unique_ptr<Task> makeMergeTask(std::vector<MergePart> parts, MergeTarget target);
