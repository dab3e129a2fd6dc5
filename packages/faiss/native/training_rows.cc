#include "training_rows.h"

#include <algorithm>

#include "failure.h"
#include "vectors.h"

void TrainingRows::define(Napi::Env env, Napi::Object exports) {
  exports.Set("TrainingRows", DefineClass(env, "TrainingRows",
                                          {InstanceMethod<&TrainingRows::set>("set"),
                                           InstanceMethod<&TrainingRows::close>("close"),
                                           InstanceAccessor<&TrainingRows::filledRows>("filledRows")}));
}

// (dimension, rows), both checked by the caller.
TrainingRows::TrainingRows(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainingRows>(info) {
  state_ = std::make_shared<TrainingRowsState>();
  state_->dimension = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  state_->rows = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
  const size_t rowBytes = state_->dimension * sizeof(float);
  state_->data.reset(static_cast<float*>(std::calloc(state_->rows, rowBytes)));
  if (!state_->data) throw Napi::RangeError::New(info.Env(), "there is not enough memory");
  state_->filled.resize(state_->rows);
  account(info.Env(), static_cast<int64_t>(state_->rows * rowBytes));
}

void TrainingRows::Finalize(Napi::Env env) { account(env, 0); }

std::shared_ptr<TrainingRowsState> TrainingRows::from(const Napi::Value& value) {
  return Unwrap(value.As<Napi::Object>())->state_;
}

// (vectors [n, dimension], positions [n]): vectors[i] becomes row positions[i].
void TrainingRows::set(const Napi::CallbackInfo& info) {
  const Vectors vectors = Vectors::copy(info[0], state_->dimension);
  const auto positions = info[1].As<Napi::Float64Array>();
  try {
    vectors.check();
  } catch (const Failure& failure) {
    Napi::Error error = Napi::Error::New(info.Env(), failure.what());
    error.Set("code", Napi::String::New(info.Env(), failure.code));
    error.Set("row", Napi::Number::New(info.Env(), static_cast<double>(failure.row)));
    throw error;
  }
  std::vector<float> scratch;
  for (size_t i = 0; i < vectors.rows(); i++) {
    const auto position = static_cast<size_t>(positions[i]);
    if (position >= state_->rows) throw Napi::RangeError::New(info.Env(), "a position is outside of the rows");
    std::copy_n(vectors.widen(i, 1, scratch), state_->dimension,
                state_->data.get() + position * state_->dimension);
    if (!state_->filled[position]) state_->filledRows++;
    state_->filled[position] = true;
  }
}

// A training that runs keeps its rows until it ends.
void TrainingRows::close(const Napi::CallbackInfo& info) {
  state_ = std::make_shared<TrainingRowsState>();
  account(info.Env(), 0);
}

Napi::Value TrainingRows::filledRows(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_->filledRows));
}

void TrainingRows::account(Napi::Env env, int64_t bytes) {
  int64_t adjusted;
  napi_adjust_external_memory(env, bytes - accountedBytes_, &adjusted);
  accountedBytes_ = bytes;
}
