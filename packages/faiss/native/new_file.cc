#include "new_file.h"

#include <unistd.h>

#include <cerrno>

#include "failure.h"

NewFile::NewFile(const std::string& path) : file_(fopen(path.c_str(), "wbx")) {
  if (file_ == nullptr) throw Failure("FAISS_FILE", "cannot create the file", -1, errno);
}

NewFile::~NewFile() {
  if (file_ != nullptr) fclose(file_);
}

void NewFile::finish() {
  const bool flushed = fflush(file_) == 0 && fsync(fileno(file_)) == 0;
  const int reason = errno;
  const bool closed = fclose(file_) == 0;
  file_ = nullptr;
  if (!closed || !flushed) throw Failure("FAISS_FILE", "cannot write", -1, flushed ? errno : reason);
}

size_t CheckedWriter::operator()(const void* ptr, size_t size, size_t nitems) {
  control_.throwIfCancelled();
  const size_t done = fwrite(ptr, size, nitems, file_);
  if (done != nitems) throw Failure("FAISS_FILE", "cannot write", -1, errno);
  return done;
}
