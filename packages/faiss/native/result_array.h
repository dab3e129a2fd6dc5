// A typed array that a task fills on its own thread and gives to JavaScript when it is done: results of 12 MB are neither
// cleared before nor copied afterwards. Nobody else knows the array until then, so that nobody can detach its memory.
#pragma once

#include <napi.h>

#include <cstddef>

class ResultArray {
 public:
  // On the JavaScript thread. The memory holds zeros.
  ResultArray(Napi::Env env, size_t byteLength);
  ~ResultArray();
  ResultArray(const ResultArray&) = delete;
  ResultArray& operator=(const ResultArray&) = delete;

  // On any thread, until the task is done.
  template <typename T>
  T* data() {
    return static_cast<T*>(data_);
  }

  // On the JavaScript thread: the array, or null when the environment is going away.
  napi_value take(napi_env env, napi_typedarray_type type, size_t length) const;

 private:
  napi_env env_;
  napi_ref buffer_ = nullptr;
  void* data_ = nullptr;
};
