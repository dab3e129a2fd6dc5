// The JavaScript object around an index. Arguments come checked from the TypeScript class above it.
#pragma once

#include <napi.h>

#include <memory>

#include "index_state.h"

class IndexObject : public Napi::ObjectWrap<IndexObject> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit IndexObject(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  Napi::Value train(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value search(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value reset(const Napi::CallbackInfo& info);
  Napi::Value listSizes(const Napi::CallbackInfo& info);
  Napi::Value memoryBytes(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value trained(const Napi::CallbackInfo& info);
  Napi::Value nprobe(const Napi::CallbackInfo& info);
  void setNprobe(const Napi::CallbackInfo& info, const Napi::Value& value);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<IndexState> state_;
  size_t dimension_ = 0;
};
