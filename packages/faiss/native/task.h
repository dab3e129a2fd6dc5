// Work off the event loop: run() on a thread of libuv's pool, then a promise settled on the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>

#include "control.h"
#include "failure.h"

class Task {
 public:
  virtual ~Task() = default;

  // Queues the task and returns its promise.
  static Napi::Value start(Napi::Env env, std::unique_ptr<Task> task);

  // Stops every task of this environment at its next check: process.exit() would wait for them otherwise.
  static void cancelAll(napi_env env);

  // threads: OpenMP threads, 0 for all cores.
  void configure(int threads, std::shared_ptr<TaskControl> control);

 protected:
  // On a pool thread. Throws Failure, or what Faiss throws.
  virtual void run() = 0;

  // On the JavaScript thread, through the C interface: while a worker is being terminated every call fails, and the
  // C++ wrappers would throw out of a callback that nothing catches. A null value resolves with undefined.
  virtual napi_value result(napi_env) { return nullptr; }

  // On the JavaScript thread, after success and failure: bookkeeping.
  virtual void settled(napi_env) {}

  TaskControl& control() { return *control_; }

 private:
  static void execute(napi_env env, void* data);
  static void complete(napi_env env, napi_status status, void* data);
  void runAndCatch();
  void reject(napi_env env);

  napi_async_work work_ = nullptr;
  napi_deferred deferred_ = nullptr;
  int threads_ = 0;
  std::shared_ptr<TaskControl> control_ = std::make_shared<TaskControl>();
  std::unique_ptr<Failure> failure_;
};

// A typed array holding a copy of the bytes, or null when the environment is going away.
napi_value copyToTypedArray(napi_env env, napi_typedarray_type type, const void* data, size_t length,
                            size_t bytesPerElement);
