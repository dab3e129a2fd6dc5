#include "control.h"

#include <faiss/impl/AuxIndexStructures.h>

#include "failure.h"

namespace {

thread_local TaskControl* running = nullptr;

struct AskRunningTask : faiss::InterruptCallback {
  bool want_interrupt() override { return running != nullptr && running->cancelled; }
};

}  // namespace

void TaskControl::throwIfCancelled() const {
  if (cancelled) throw Failure("FAISS_INTERRUPTED", "interrupted");
}

ControlScope::ControlScope(TaskControl* control) {
  // Set once and never replaced: another thread may be inside the callback at any time.
  static const bool installed = [] {
    faiss::InterruptCallback::instance.reset(new AskRunningTask());
    return true;
  }();
  (void)installed;
  running = control;
}

ControlScope::~ControlScope() { running = nullptr; }

TaskControl* currentControl() { return running; }

void Control::define(Napi::Env env, Napi::Object exports) {
  exports.Set("Control", DefineClass(env, "Control",
                                     {InstanceMethod<&Control::cancel>("cancel"),
                                      InstanceAccessor<&Control::iterations>("iterations")}));
}

Control::Control(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Control>(info) {}

std::shared_ptr<TaskControl> Control::from(const Napi::Value& value) {
  if (!value.IsObject()) return std::make_shared<TaskControl>();
  return Unwrap(value.As<Napi::Object>())->control_;
}

void Control::cancel(const Napi::CallbackInfo&) { control_->cancelled = true; }

Napi::Value Control::iterations(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), control_->iterations.load());
}
