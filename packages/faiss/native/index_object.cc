#include "index_object.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>

#include "add.h"
#include "create_index.h"
#include "joinable.h"
#include "list_sizes.h"
#include "search.h"
#include "train.h"
#include "vectors.h"
#include "write_index.h"

namespace {

size_t sizeArgument(const Napi::Value& value) { return static_cast<size_t>(value.As<Napi::Number>().Int64Value()); }

// ('flatL2', d) | ('ivfPq', d, lists, codeSize, bits) | ('factory', d, description, innerProduct)
std::unique_ptr<faiss::Index> create(const Napi::CallbackInfo& info) {
  const std::string kind = info[0].As<Napi::String>();
  const size_t dimension = sizeArgument(info[1]);
  if (kind == "flatL2") return createFlatL2(dimension);
  if (kind == "ivfPq") {
    return createIvfPq(dimension, sizeArgument(info[2]), sizeArgument(info[3]), sizeArgument(info[4]));
  }
  return createFromDescription(dimension, info[2].As<Napi::String>(), info[3].As<Napi::Boolean>());
}

// The last two arguments of every task: (..., threads, control).
Napi::Value start(const Napi::CallbackInfo& info, size_t firstOption, std::unique_ptr<Task> task) {
  task->configure(info[firstOption].As<Napi::Number>().Int32Value(), Control::from(info[firstOption + 1]));
  return Task::start(info.Env(), std::move(task));
}

class ResetTask : public IndexTask {
 public:
  using IndexTask::IndexTask;

 protected:
  void work(IndexState& state) override { state.index->reset(); }
};

}  // namespace

void IndexObject::define(Napi::Env env, Napi::Object exports) {
  exports.Set("Index",
              DefineClass(env, "Index",
                          {InstanceMethod<&IndexObject::train>("train"), InstanceMethod<&IndexObject::add>("add"),
                           InstanceMethod<&IndexObject::search>("search"),
                           InstanceMethod<&IndexObject::write>("write"),
                           InstanceMethod<&IndexObject::reset>("reset"),
                           InstanceMethod<&IndexObject::listSizes>("listSizes"),
                           InstanceMethod<&IndexObject::describe>("describe"),
                           InstanceAccessor<&IndexObject::memoryBytes>("memoryBytes"),
                           InstanceMethod<&IndexObject::close>("close"), InstanceAccessor<&IndexObject::size>("size"),
                           InstanceAccessor<&IndexObject::trained>("trained"),
                           InstanceAccessor<&IndexObject::nprobe, &IndexObject::setNprobe>("nprobe")}));
}

// An External from read(), or the arguments of create().
IndexObject::IndexObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<IndexObject>(info) {
  try {
    if (info[0].IsExternal()) {
      // Moved out, so that closing the index frees it and not the garbage collector some day.
      state_ = std::move(*info[0].As<Napi::External<std::shared_ptr<IndexState>>>().Data());
    } else {
      state_ = std::make_shared<IndexState>(create(info));
    }
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), "there is not enough memory");
  } catch (const std::exception& error) {  // Faiss's, and those of std::stoi for a factory string's numbers
    throw Napi::Error::New(info.Env(), error.what());
  }
  dimension_ = static_cast<size_t>(state_->index->d);
  state_->account(info.Env());
}

void IndexObject::Finalize(Napi::Env env) {
  state_->open = false;
  state_->account(env);
}

// (rows, coarseRows, productRows, threads, control)
Napi::Value IndexObject::train(const Napi::CallbackInfo& info) {
  return start(info, 3,
               makeTrainTask(state_, TrainingRows::from(info[0]), sizeArgument(info[1]), sizeArgument(info[2])));
}

// (vectors, ids | undefined, threads, control)
Napi::Value IndexObject::add(const Napi::CallbackInfo& info) {
  std::vector<faiss::Index::idx_t> ids;
  if (!info[1].IsUndefined()) {
    const auto array = info[1].As<Napi::Float64Array>();
    ids.assign(array.Data(), array.Data() + array.ElementLength());
  }
  return start(info, 2, makeAddTask(state_, Vectors::copy(info[0], dimension_), std::move(ids)));
}

// (queries, k, threads, control)
Napi::Value IndexObject::search(const Napi::CallbackInfo& info) {
  return start(info, 2, makeSearchTask(info.Env(), state_, Vectors::copy(info[0], dimension_), sizeArgument(info[1])));
}

// (path, threads, control)
Napi::Value IndexObject::write(const Napi::CallbackInfo& info) {
  return start(info, 1, makeWriteTask(state_, info[0].As<Napi::String>()));
}

// (threads, control)
Napi::Value IndexObject::reset(const Napi::CallbackInfo& info) {
  return start(info, 0, std::make_unique<ResetTask>(state_));
}

// (threads, control)
Napi::Value IndexObject::listSizes(const Napi::CallbackInfo& info) {
  return start(info, 0, makeListSizesTask(state_));
}

Napi::Value IndexObject::memoryBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_->bytes.load()));
}

// Numbers that never change after creation, so no lock is needed.
Napi::Value IndexObject::describe(const Napi::CallbackInfo& info) {
  auto description = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, size_t value) {
    description.Set(name, Napi::Number::New(info.Env(), static_cast<double>(value)));
  };
  set("dimension", dimension_);
  const auto* ivf = state_->ivf();
  const auto* ivfPq = dynamic_cast<const faiss::IndexIVFPQ*>(ivf);
  if (ivf != nullptr) set("centroids", ivf->nlist);
  if (ivfPq != nullptr) {
    set("codeSize", ivfPq->pq.M);
    set("bitsPerIndex", ivfPq->pq.nbits);
    set("coarseIterations", ivfPq->cp.niter);
    set("productIterations", ivfPq->pq.cp.niter);
  }
  const bool flat = dynamic_cast<const faiss::IndexFlat*>(state_->index.get()) != nullptr;
  const bool plainIvfPq = ivfPq != nullptr && static_cast<const faiss::Index*>(ivfPq) == state_->index.get();
  description.Set("joinable", isJoinable(*state_->index));
  description.Set("type", flat ? "IndexFlat" : plainIvfPq ? "IndexIVFPQ" : "other");
  return description;
}

Napi::Value IndexObject::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_->size.load()));
}

Napi::Value IndexObject::trained(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), state_->trained.load());
}

Napi::Value IndexObject::nprobe(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_->nprobe.load()));
}

void IndexObject::setNprobe(const Napi::CallbackInfo&, const Napi::Value& value) {
  state_->nprobe = sizeArgument(value);
}

// Gives the memory back at once, or when the task that still works on it has ended.
void IndexObject::close(const Napi::CallbackInfo& info) {
  state_->open = false;
  state_->account(info.Env());
  state_ = std::make_shared<IndexState>(std::make_unique<faiss::IndexFlatL2>(1));
  state_->open = false;
}
