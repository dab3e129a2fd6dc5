#include "result_array.h"

#include <cstdlib>

namespace {

// V8 ends the process where there is no memory for an array: the C library is asked first.
bool hasRoom(size_t byteLength) {
  void* probe = std::malloc(byteLength);
  std::free(probe);
  return probe != nullptr || byteLength == 0;
}

}  // namespace

ResultArray::ResultArray(Napi::Env env, size_t byteLength) : env_(env) {
  if (!hasRoom(byteLength)) {
    Napi::Error error = Napi::Error::New(env, "there is not enough memory");
    error.Set("code", Napi::String::New(env, "FAISS_OUT_OF_MEMORY"));
    throw error;
  }
  napi_value buffer;
  if (napi_create_arraybuffer(env, byteLength, &data_, &buffer) != napi_ok ||
      napi_create_reference(env, buffer, 1, &buffer_) != napi_ok) {
    throw Napi::Error::New(env, "cannot make room for the results");
  }
}

ResultArray::~ResultArray() {
  if (buffer_ != nullptr) napi_delete_reference(env_, buffer_);
}

napi_value ResultArray::take(napi_env env, napi_typedarray_type type, size_t length) const {
  napi_value buffer, array;
  if (napi_get_reference_value(env, buffer_, &buffer) != napi_ok || buffer == nullptr) return nullptr;
  if (napi_create_typedarray(env, type, length, buffer, 0, &array) != napi_ok) return nullptr;
  return array;
}
