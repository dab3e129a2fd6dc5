// A task on one index: takes its turn, applies the requested nprobe, refreshes the published numbers.
#pragma once

#include "index_state.h"
#include "task.h"

class IndexTask : public Task {
 public:
  explicit IndexTask(std::shared_ptr<IndexState> state) : state_(std::move(state)) {}

 protected:
  virtual void work(IndexState& state) = 0;

  void run() final {
    std::lock_guard<std::mutex> turn(state_->busy);
    if (auto* ivf = state_->ivf()) ivf->nprobe = state_->nprobe;
    try {
      work(*state_);
    } catch (...) {
      state_->publish();
      throw;
    }
    state_->publish();
  }

  void settled(napi_env env) override {
    if (state_->open) state_->account(env);
  }

 private:
  std::shared_ptr<IndexState> state_;
};
