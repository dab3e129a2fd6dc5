#include "write_index.h"

#include <faiss/index_io.h>

#include "new_file.h"

namespace {

class WriteTask : public IndexTask {
 public:
  WriteTask(std::shared_ptr<IndexState> state, std::string path)
      : IndexTask(std::move(state)), path_(std::move(path)) {}

 protected:
  void work(IndexState& state) override {
    if (!state.mapped.path.empty()) {
      throw Failure("FAISS_READ_ONLY",
                    "its lists are mapped from " + state.mapped.path + "; only whole indexes are written");
    }
    NewFile file(path_);
    CheckedWriter writer(file.get(), control());
    writer.name = path_;
    faiss::write_index(state.index.get(), &writer);
    file.finish();
  }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<IndexTask> makeWriteTask(std::shared_ptr<IndexState> state, std::string path) {
  return std::make_unique<WriteTask>(std::move(state), std::move(path));
}
