#pragma once

#include <faiss/Index.h>

// Throws FAISS_INDEX_FORMAT when the parts of an index that was read do not fit each other: Faiss would read outside
// of its arrays later.
void checkConsistency(const faiss::Index& index);
