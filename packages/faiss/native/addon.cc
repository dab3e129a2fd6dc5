// What JavaScript sees of the addon. The TypeScript of this package is its only caller.
#include <napi.h>
#include <omp.h>

#include "control.h"
#include "index_object.h"
#include "library_info.h"
#include "merge.h"
#include "permutation.h"
#include "read_index.h"
#include "task.h"
#include "training_rows.h"

namespace {

// (path, map)
Napi::Value read(const Napi::CallbackInfo& info) {
  return Task::start(info.Env(), makeReadTask(info[0].As<Napi::String>(), info[1].As<Napi::Boolean>()));
}

// (paths, firstIds, path, listsPath, listsStored, threads, control)
Napi::Value merge(const Napi::CallbackInfo& info) {
  const auto paths = info[0].As<Napi::Array>();
  const auto firstIds = info[1].As<Napi::Float64Array>();
  std::vector<MergePart> parts;
  for (uint32_t i = 0; i < paths.Length(); i++) {
    parts.push_back({paths.Get(i).As<Napi::String>(), static_cast<uint64_t>(firstIds[i])});
  }
  auto task = makeMergeTask(std::move(parts), {info[2].As<Napi::String>(), info[3].As<Napi::String>(),
                                               info[4].As<Napi::String>()});
  task->configure(info[5].As<Napi::Number>().Int32Value(), Control::from(info[6]));
  return Task::start(info.Env(), std::move(task));
}

// (n, count, seed)
Napi::Value permutation(const Napi::CallbackInfo& info) {
  const auto number = [&](size_t i) { return info[i].As<Napi::Number>().Int64Value(); };
  return Task::start(info.Env(), makePermutationTask(number(0), number(1), number(2)));
}

void cancelAll(const Napi::CallbackInfo& info) { Task::cancelAll(info.Env()); }

Napi::Object init(Napi::Env env, Napi::Object exports) {
  Control::define(env, exports);
  TrainingRows::define(env, exports);
  IndexObject::define(env, exports);
  exports.Set("read", Napi::Function::New<read>(env, "read"));
  exports.Set("merge", Napi::Function::New<merge>(env, "merge"));
  exports.Set("permutation", Napi::Function::New<permutation>(env, "permutation"));
  exports.Set("cancelAll", Napi::Function::New<cancelAll>(env, "cancelAll"));
  exports.Set("processors", Napi::Number::New(env, omp_get_num_procs()));
  exports.Set("library", libraryInfo(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(faiss, init)
