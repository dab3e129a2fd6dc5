// A file that is being written, and on the disk when finish() returns.
#pragma once

#include <faiss/impl/io.h>

#include <cstdio>
#include <string>

#include "control.h"

class NewFile {
 public:
  // Throws FAISS_FILE when there is such a file already, or it cannot be made.
  explicit NewFile(const std::string& path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  FILE* get() const { return file_; }

  // Flushes, waits for the disk, and closes.
  void finish();

 private:
  FILE* file_;
};

// Remembers why writing failed: Faiss's message has the reason only as text. Stops when the task is cancelled.
class CheckedWriter : public faiss::IOWriter {
 public:
  CheckedWriter(FILE* file, TaskControl& control) : file_(file), control_(control) {}
  size_t operator()(const void* ptr, size_t size, size_t nitems) override;

 private:
  FILE* file_;
  TaskControl& control_;
};
