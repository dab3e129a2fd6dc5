#pragma once

#include <memory>

#include "index_task.h"

// Resolves with the sizes of an inverted file's lists as a Float64Array; with undefined for other kinds.
std::unique_ptr<IndexTask> makeListSizesTask(std::shared_ptr<IndexState> state);
