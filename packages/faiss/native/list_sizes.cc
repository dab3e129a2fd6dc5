#include "list_sizes.h"

#include <vector>

namespace {

class ListSizesTask : public IndexTask {
 public:
  using IndexTask::IndexTask;

 protected:
  void work(IndexState& state) override {
    const auto* ivf = state.ivf();
    if (ivf == nullptr) return;
    for (size_t list = 0; list < ivf->nlist; list++) {
      sizes_.push_back(static_cast<double>(ivf->invlists->list_size(list)));
    }
  }

  napi_value result(napi_env env) override {
    return sizes_.empty() ? nullptr : copyToTypedArray(env, napi_float64_array, sizes_.data(), sizes_.size(), 8);
  }

 private:
  std::vector<double> sizes_;
};

}  // namespace

std::unique_ptr<IndexTask> makeListSizesTask(std::shared_ptr<IndexState> state) {
  return std::make_unique<ListSizesTask>(std::move(state));
}
