// How a running task is stopped and watched from the JavaScript thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <memory>

struct TaskControl {
  std::atomic<bool> cancelled{false};
  std::atomic<uint32_t> iterations{0};

  // Throws the failure that rejects with FAISS_INTERRUPTED.
  void throwIfCancelled() const;
};

// Makes Faiss's interrupt callback, which is one for the whole process, ask the control of the task that the
// calling thread runs: trainings in other threads go on when one is stopped.
class ControlScope {
 public:
  explicit ControlScope(TaskControl* control);
  ~ControlScope();
};

// Control of the task that this thread runs, or null.
TaskControl* currentControl();

// The JavaScript object around a control: cancel(), iterations.
class Control : public Napi::ObjectWrap<Control> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit Control(const Napi::CallbackInfo& info);

  // The control inside an argument, or a fresh one where it is undefined.
  static std::shared_ptr<TaskControl> from(const Napi::Value& value);

 private:
  void cancel(const Napi::CallbackInfo& info);
  Napi::Value iterations(const Napi::CallbackInfo& info);

  std::shared_ptr<TaskControl> control_ = std::make_shared<TaskControl>();
};
