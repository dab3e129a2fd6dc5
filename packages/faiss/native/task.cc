#include "task.h"

#include <faiss/impl/FaissException.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "threads.h"

namespace {

std::mutex liveMutex;
std::map<TaskControl*, napi_env> live;

}  // namespace

void Task::configure(int threads, std::shared_ptr<TaskControl> control) {
  threads_ = threads;
  control_ = std::move(control);
}

Napi::Value Task::start(Napi::Env env, std::unique_ptr<Task> task) {
  napi_value promise;
  napi_value name;
  if (napi_create_promise(env, &task->deferred_, &promise) != napi_ok ||
      napi_create_string_utf8(env, "knn-lm.faiss", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, nullptr, name, execute, complete, task.get(), &task->work_) != napi_ok ||
      napi_queue_async_work(env, task->work_) != napi_ok) {
    throw Napi::Error::New(env, "cannot queue the work");
  }
  {
    // complete() runs on this thread too, so the task is still there.
    std::lock_guard<std::mutex> lock(liveMutex);
    live[task->control_.get()] = env;
  }
  task.release();  // owned by complete()
  return Napi::Value(env, promise);
}

void Task::cancelAll(napi_env env) {
  std::lock_guard<std::mutex> lock(liveMutex);
  for (const auto& [control, owner] : live) {
    if (owner == env) control->cancelled = true;
  }
}

void Task::execute(napi_env, void* data) { static_cast<Task*>(data)->runAndCatch(); }

void Task::runAndCatch() {
  try {
    control_->throwIfCancelled();
    ControlScope scope(control_.get());
    useThreads(threads_);
    run();
  } catch (const Failure& failure) {
    failure_ = std::make_unique<Failure>(failure);
  } catch (const std::bad_alloc&) {
    failure_ = std::make_unique<Failure>("FAISS_OUT_OF_MEMORY", "there is not enough memory");
  } catch (const faiss::FaissException& error) {
    failure_ = control_->cancelled ? std::make_unique<Failure>("FAISS_INTERRUPTED", "interrupted")
                                   : std::make_unique<Failure>("FAISS_FAILED", error.what());
  } catch (const std::exception& error) {
    failure_ = std::make_unique<Failure>("FAISS_FAILED", error.what());
  } catch (...) {
    failure_ = std::make_unique<Failure>("FAISS_FAILED", "an unknown failure");
  }
}

void Task::complete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<Task> task(static_cast<Task*>(data));
  {
    std::lock_guard<std::mutex> lock(liveMutex);
    live.erase(task->control_.get());
  }
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  try {
    task->settled(env);
    napi_delete_async_work(env, task->work_);
    if (status != napi_ok && !task->failure_) {
      task->failure_ = std::make_unique<Failure>("FAISS_INTERRUPTED", "interrupted");
    }
    if (task->failure_) {
      task->reject(env);
    } else {
      napi_value value = task->result(env);
      if (value == nullptr) napi_get_undefined(env, &value);
      napi_resolve_deferred(env, task->deferred_, value);
    }
  } catch (...) {
    // Only a dying environment gets here, and nobody waits for its promises.
  }
  napi_close_handle_scope(env, scope);
}

void Task::reject(napi_env env) {
  napi_value code, message, error, row, systemError;
  const Failure& failure = *failure_;
  if (napi_create_string_utf8(env, failure.code.data(), failure.code.size(), &code) != napi_ok ||
      napi_create_string_utf8(env, failure.what(), NAPI_AUTO_LENGTH, &message) != napi_ok ||
      napi_create_error(env, code, message, &error) != napi_ok ||
      napi_create_int64(env, failure.row, &row) != napi_ok ||
      napi_create_int32(env, failure.systemError, &systemError) != napi_ok)
    return;
  napi_set_named_property(env, error, "row", row);
  napi_set_named_property(env, error, "systemError", systemError);
  napi_reject_deferred(env, deferred_, error);
}

napi_value copyToTypedArray(napi_env env, napi_typedarray_type type, const void* data, size_t length,
                            size_t bytesPerElement) {
  void* bytes = nullptr;
  napi_value buffer, array;
  if (napi_create_arraybuffer(env, length * bytesPerElement, &bytes, &buffer) != napi_ok) return nullptr;
  if (length > 0) std::memcpy(bytes, data, length * bytesPerElement);
  if (napi_create_typedarray(env, type, length, buffer, 0, &array) != napi_ok) return nullptr;
  return array;
}
