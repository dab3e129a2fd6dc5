#include "library_info.h"

#include <faiss/Index.h>
#include <faiss/utils/utils.h>

#include <string>

// Absent when another BLAS is linked.
extern "C" char* openblas_get_config() __attribute__((weak));

Napi::Object libraryInfo(Napi::Env env) {
  auto info = Napi::Object::New(env);
  info.Set("version", std::to_string(FAISS_VERSION_MAJOR) + "." + std::to_string(FAISS_VERSION_MINOR) + "." +
                          std::to_string(FAISS_VERSION_PATCH));
  info.Set("compileOptions", faiss::get_compile_options());
  info.Set("blas", openblas_get_config ? openblas_get_config() : "");
  return info;
}
