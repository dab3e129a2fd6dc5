// Reads an index file, checked, with its lists in memory or mapped.
#pragma once

#include <faiss/Index.h>

#include <memory>
#include <string>

#include "mapped_lists.h"

struct OpenedIndex {
  std::unique_ptr<faiss::Index> index;
  MappedLists mapped;
};

// tables: also compute what only a search needs.
OpenedIndex openIndexFile(const std::string& path, bool map, bool tables);
