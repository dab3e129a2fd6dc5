#include "write_index.h"

#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace {

// Remembers why writing failed: Faiss's message has the reason only as text. Stops when the task is cancelled.
class CheckedWriter : public faiss::IOWriter {
 public:
  CheckedWriter(FILE* file, TaskControl& control) : file_(file), control_(control) {}

  size_t operator()(const void* ptr, size_t size, size_t nitems) override {
    control_.throwIfCancelled();
    const size_t done = fwrite(ptr, size, nitems, file_);
    if (done != nitems) throw Failure("FAISS_FILE", "cannot write", -1, errno);
    return done;
  }

 private:
  FILE* file_;
  TaskControl& control_;
};

class WriteTask : public IndexTask {
 public:
  WriteTask(std::shared_ptr<IndexState> state, std::string path)
      : IndexTask(std::move(state)), path_(std::move(path)) {}

 protected:
  void work(IndexState& state) override {
    FILE* file = fopen(path_.c_str(), "wbx");
    if (file == nullptr) throw Failure("FAISS_FILE", "cannot create the file", -1, errno);
    try {
      CheckedWriter writer(file, control());
      writer.name = path_;
      faiss::write_index(state.index.get(), &writer);
    } catch (...) {
      fclose(file);
      throw;
    }
    const bool flushed = fflush(file) == 0 && fsync(fileno(file)) == 0;
    const int reason = errno;
    if (fclose(file) != 0 || !flushed) throw Failure("FAISS_FILE", "cannot write", -1, flushed ? errno : reason);
  }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<IndexTask> makeWriteTask(std::shared_ptr<IndexState> state, std::string path) {
  return std::make_unique<WriteTask>(std::move(state), std::move(path));
}
