#pragma once

#include <memory>
#include <string>

#include "task.h"

// Reads an index file; resolves with an External that the Index constructor takes.
std::unique_ptr<Task> makeReadTask(std::string path, bool map);
