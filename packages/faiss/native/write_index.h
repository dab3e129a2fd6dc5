#pragma once

#include <memory>
#include <string>

#include "index_task.h"

// Writes an index to a new file and waits until it is on the disk.
std::unique_ptr<IndexTask> makeWriteTask(std::shared_ptr<IndexState> state, std::string path);
