#pragma once

#include <memory>

#include "index_task.h"
#include "vectors.h"

// Finds the k nearest neighbours of each query; resolves with { distances, ids }.
std::unique_ptr<IndexTask> makeSearchTask(Napi::Env env, std::shared_ptr<IndexState> state, Vectors queries,
                                          size_t k);
