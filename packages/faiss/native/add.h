#pragma once

#include <memory>
#include <vector>

#include "index_task.h"
#include "vectors.h"

// Adds vectors, with ids of the caller's or the next free ones.
std::unique_ptr<IndexTask> makeAddTask(std::shared_ptr<IndexState> state, Vectors vectors,
                                       std::vector<faiss::Index::idx_t> ids);
