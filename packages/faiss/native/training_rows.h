// The rows an index is trained on, in single precision, filled piece by piece and in any order.
#pragma once

#include <napi.h>

#include <cstdlib>
#include <memory>
#include <vector>

struct TrainingRowsState {
  size_t dimension = 0;
  size_t rows = 0;
  // From calloc: pages appear as they are filled, and making gigabytes does not hold up the event loop.
  std::unique_ptr<float[], void (*)(void*)> data{nullptr, std::free};
  std::vector<bool> filled;
  size_t filledRows = 0;
};

class TrainingRows : public Napi::ObjectWrap<TrainingRows> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit TrainingRows(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

  static std::shared_ptr<TrainingRowsState> from(const Napi::Value& value);

 private:
  void set(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  Napi::Value filledRows(const Napi::CallbackInfo& info);
  void account(Napi::Env env, int64_t bytes);

  std::shared_ptr<TrainingRowsState> state_;
  int64_t accountedBytes_ = 0;
};
