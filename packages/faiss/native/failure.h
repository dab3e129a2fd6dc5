// One failure that becomes a rejected promise: a stable code, a message for people, and the numbers that were wrong.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

struct Failure : std::runtime_error {
  Failure(std::string code, const std::string& message, int64_t row = -1, int systemError = 0)
      : std::runtime_error(message), code(std::move(code)), row(row), systemError(systemError) {}

  std::string code;
  int64_t row;      // row of the input that was refused, or -1
  int systemError;  // errno of a file operation, or 0
};
