#include "read_index.h"

#include "index_state.h"
#include "open_index.h"

namespace {

class ReadTask : public Task {
 public:
  ReadTask(std::string path, bool map) : path_(std::move(path)), map_(map) {}

 protected:
  void run() override {
    OpenedIndex opened = openIndexFile(path_, map_, true);
    state_ = std::make_shared<IndexState>(std::move(opened.index), std::move(opened.mapped));
  }

  napi_value result(napi_env env) override {
    napi_value external;
    auto* holder = new std::shared_ptr<IndexState>(state_);
    const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<IndexState>*>(data); };
    if (napi_create_external(env, holder, release, nullptr, &external) == napi_ok) return external;
    delete holder;
    return nullptr;
  }

 private:
  std::string path_;
  bool map_;
  std::shared_ptr<IndexState> state_;
};

}  // namespace

std::unique_ptr<Task> makeReadTask(std::string path, bool map) {
  return std::make_unique<ReadTask>(std::move(path), map);
}
