// The Node-API surface: one class over a datastore's two arrays. TypeScript checks shapes and phrases errors; this
// checks again whatever would touch memory that is not there.
// In an environment that is ending (a terminated worker thread) nothing can be thrown into JavaScript any more: without
// this, node-addon-api throws in C++ instead, where nobody catches it.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "free_memory.h"
#include "kernels.h"
#include "matrix.h"
#include "recompute.h"
#include "row_files.h"

namespace knn_lm {
namespace {

constexpr size_t kValueBytes = 8;
constexpr size_t kReadChunkBytes = 1 << 18;

Napi::Error MakeError(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

// Runs native code and turns its exceptions into JavaScript errors with code FILE.
template <typename Body>
auto Translate(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    throw MakeError(env, "MEMORY", "there is not enough memory");
  } catch (const std::runtime_error& error) {
    throw MakeError(env, "FILE", error.what());
  }
}

// A promise settled from a worker. The environment may be gone by then (a terminated worker thread): then nobody
// waits for the promise, and an exception here would end the whole process.
class PromiseWorker : public Napi::AsyncWorker {
 public:
  explicit PromiseWorker(Napi::Env env) : Napi::AsyncWorker(env), deferred_(env) {}
  Napi::Promise Promise() { return deferred_.Promise(); }

 protected:
  virtual void Settle(Napi::Env env) = 0;

  void OnOK() override {
    try {
      Settle(Env());
      deferred_.Resolve(Env().Undefined());
    } catch (const Napi::Error&) {
    }
  }
  void OnError(const Napi::Error& error) override {
    try {
      error.Value().Set("code", Napi::String::New(Env(), "FILE"));
      deferred_.Reject(error.Value());
    } catch (const Napi::Error&) {
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
};

class RecomputeWorker : public PromiseWorker {
 public:
  RecomputeWorker(Napi::Env env, Recompute job, Napi::Float32Array target)
      : PromiseWorker(env), job_(std::move(job)), target_(Napi::Persistent(target)) {}

 protected:
  void Execute() override { job_.Run(); }
  void Settle(Napi::Env) override {
    // The caller may have transferred the array away meanwhile: its length is then 0.
    Napi::Float32Array target = target_.Value();
    if (target.ElementLength() == job_.distances.size())
      std::memcpy(target.Data(), job_.distances.data(), job_.distances.size() * sizeof(float));
  }

 private:
  Recompute job_;
  Napi::Reference<Napi::Float32Array> target_;
};

class PopulateWorker : public PromiseWorker {
 public:
  PopulateWorker(Napi::Env env, std::shared_ptr<const RowFiles> files, size_t file, size_t offset, size_t size)
      : PromiseWorker(env), files_(std::move(files)), file_(file), offset_(offset), size_(size) {}

 protected:
  void Execute() override { files_->file(file_).Populate(offset_, size_); }
  void Settle(Napi::Env) override {}

 private:
  std::shared_ptr<const RowFiles> files_;
  size_t file_;
  size_t offset_;
  size_t size_;
};

class MappedMatrix : public Napi::ObjectWrap<MappedMatrix> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "MappedMatrix",
                       {InstanceMethod<&MappedMatrix::ReadKeys>("readKeys"),
                        InstanceMethod<&MappedMatrix::ReadValues>("readValues"),
                        InstanceMethod<&MappedMatrix::GatherKeys>("gatherKeys"),
                        InstanceMethod<&MappedMatrix::GatherValues>("gatherValues"),
                        InstanceMethod<&MappedMatrix::SquaredDistances>("squaredDistances"),
                        InstanceMethod<&MappedMatrix::Populate>("populate"),
                        InstanceMethod<&MappedMatrix::Hold>("hold"),
                        InstanceMethod<&MappedMatrix::Close>("close")});
  }

  // new MappedMatrix(keysPaths | undefined, valuesPaths | undefined, rowsOfFiles, dimension, 'fp16' | 'fp32')
  explicit MappedMatrix(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MappedMatrix>(info) {
    Napi::Env env = info.Env();
    const Napi::Array rows = info[2].As<Napi::Array>();
    dimension_ = Count(info[3], "dimension");
    dtype_ = info[4].As<Napi::String>().Utf8Value() == "fp16" ? Dtype::kF16 : Dtype::kF32;
    const size_t limit = std::numeric_limits<int64_t>::max() / 2;
    if (rows.Length() == 0 || dimension_ == 0 || dimension_ > limit / 8)
      throw MakeError(env, "ARGUMENT", "rows and dimension are out of range");
    row_bytes_ = dimension_ * ElementBytes(dtype_);
    rows_ = 0;
    for (uint32_t i = 0; i < rows.Length(); i++) {
      const size_t count = Count(rows.Get(i), "rows");
      if (count == 0 || count > limit / std::max(row_bytes_, kValueBytes) - rows_)
        throw MakeError(env, "ARGUMENT", "rows and dimension are out of range");
      rows_ += count;
    }
    Translate(env, [&] {
      keys_ = OpenFiles(info[0], rows, row_bytes_);
      values_ = OpenFiles(info[1], rows, kValueBytes);
    });
  }

 private:
  // readKeys(start, target): target.length / dimension rows, widened
  void ReadKeys(const Napi::CallbackInfo& info) {
    const std::shared_ptr<const RowFiles> keys = Open(info.Env(), keys_);
    const size_t start = Count(info[0], "start");
    Napi::Float32Array target = info[1].As<Napi::Float32Array>();
    const size_t count = target.ElementLength() / dimension_;
    CheckRange(info.Env(), start, count);
    Translate(info.Env(), [&] {
      if (dtype_ == Dtype::kF32) return keys->Read(start, count, reinterpret_cast<uint8_t*>(target.Data()));
      const size_t step = std::max<size_t>(1, kReadChunkBytes / row_bytes_);
      std::vector<uint16_t> chunk(std::min(step, count) * dimension_);
      for (size_t done = 0; done < count;) {
        const size_t rows = std::min(step, count - done);
        keys->Read(start + done, rows, reinterpret_cast<uint8_t*>(chunk.data()));
        Kernels().widen(chunk.data(), rows * dimension_, target.Data() + done * dimension_);
        done += rows;
      }
    });
  }

  // readValues(start, target): -1, or the row of the first value that no int32 can hold
  Napi::Value ReadValues(const Napi::CallbackInfo& info) {
    const std::shared_ptr<const RowFiles> values = Open(info.Env(), values_);
    const size_t start = Count(info[0], "start");
    Napi::Int32Array target = info[1].As<Napi::Int32Array>();
    const size_t count = target.ElementLength();
    CheckRange(info.Env(), start, count);
    return Translate(info.Env(), [&] {
      std::vector<int64_t> chunk(std::min(count, kReadChunkBytes / kValueBytes));
      for (size_t done = 0; done < count;) {
        const size_t elements = std::min(chunk.size(), count - done);
        values->Read(start + done, elements, reinterpret_cast<uint8_t*>(chunk.data()));
        for (size_t i = 0; i < elements; i++) {
          target[done + i] = static_cast<int32_t>(chunk[i]);
          if (target[done + i] != chunk[i])
            return Napi::Number::New(info.Env(), static_cast<double>(start + done + i));
        }
        done += elements;
      }
      return Napi::Number::New(info.Env(), -1);
    });
  }

  // gatherKeys(ids, target [ids.length, dimension])
  void GatherKeys(const Napi::CallbackInfo& info) {
    const std::shared_ptr<const RowFiles> keys = Open(info.Env(), keys_);
    const std::vector<int64_t> rows = Rows(info.Env(), info[0].As<Napi::Float64Array>(), true);
    Napi::Float32Array target = info[1].As<Napi::Float32Array>();
    if (target.ElementLength() != rows.size() * dimension_)
      throw MakeError(info.Env(), "ARGUMENT", "the target does not fit");
    Translate(info.Env(), [&] { keys->CheckSize(); });
    constexpr size_t kAhead = 8;
    for (size_t i = 0; i < rows.size(); i++) {
      if (i + kAhead < rows.size()) __builtin_prefetch(keys->Row(rows[i + kAhead]));
      const uint8_t* source = keys->Row(rows[i]);
      float* out = target.Data() + i * dimension_;
      if (dtype_ == Dtype::kF32) {
        std::memcpy(out, source, row_bytes_);
      } else {
        Kernels().widen(reinterpret_cast<const uint16_t*>(source), dimension_, out);
      }
    }
    keys->Touched(rows.size());
  }

  // gatherValues(ids, target [ids.length]): -1, or the row of the first value that no int32 can hold
  Napi::Value GatherValues(const Napi::CallbackInfo& info) {
    const std::shared_ptr<const RowFiles> values = Open(info.Env(), values_);
    const std::vector<int64_t> rows = Rows(info.Env(), info[0].As<Napi::Float64Array>(), true);
    Napi::Int32Array target = info[1].As<Napi::Int32Array>();
    if (target.ElementLength() != rows.size()) throw MakeError(info.Env(), "ARGUMENT", "the target does not fit");
    Translate(info.Env(), [&] { values->CheckSize(); });
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < rows.size(); i++) {
      if (i + kAhead < rows.size()) __builtin_prefetch(values->Row(rows[i + kAhead]));
      int64_t value;
      std::memcpy(&value, values->Row(rows[i]), kValueBytes);
      target[i] = static_cast<int32_t>(value);
      if (target[i] != value) return Napi::Number::New(info.Env(), static_cast<double>(rows[i]));
    }
    values->Touched(rows.size());
    return Napi::Number::New(info.Env(), -1);
  }

  // squaredDistances(queries, ids, k, target, threads, missingIsLastRow, kernelIndex, mapped): Promise<void>
  Napi::Value SquaredDistances(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Float32Array queries = info[0].As<Napi::Float32Array>();
    Napi::Float64Array ids = info[1].As<Napi::Float64Array>();
    Napi::Float32Array target = info[3].As<Napi::Float32Array>();
    Recompute job;
    job.keys = Open(env, keys_);
    job.dtype = dtype_;
    job.dimension = dimension_;
    job.k = Count(info[2], "k");
    job.threads = Count(info[4], "threads");
    size_t kernel_count;
    const KernelSet* kernels = SupportedKernels(&kernel_count);
    const size_t kernel = Count(info[6], "kernel");
    const size_t pairs = ids.ElementLength();
    if (job.k == 0 || pairs % job.k != 0 || queries.ElementLength() != pairs / job.k * dimension_ ||
        target.ElementLength() != pairs || kernel >= kernel_count)
      throw MakeError(env, "ARGUMENT", "queries, ids and target do not fit together");
    job.kernels = kernels + kernel;
    job.mapped = info[7].As<Napi::Boolean>().Value();
    // Copies, so that nothing JavaScript does to the arrays meanwhile can reach the threads. They are small beside
    // the rows: 8 bytes where a row has thousands.
    Translate(env, [&] {
      const size_t count = pairs / job.k;
      job.queries = Aligned(count * job.padded() * sizeof(float));
      for (size_t i = 0; i < count; i++)
        std::memcpy(const_cast<float*>(job.Query(i)), queries.Data() + i * dimension_, dimension_ * sizeof(float));
      job.rows = Rows(env, ids, info[5].As<Napi::Boolean>().Value());
    });
    auto* worker = new RecomputeWorker(env, std::move(job), target);
    Napi::Promise promise = worker->Promise();
    worker->Queue();
    return promise;
  }

  // populate(file, offset, size): brings a range of the keys into memory. Resolves when done.
  Napi::Value Populate(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const std::shared_ptr<const RowFiles> keys = Open(env, keys_);
    const size_t file = Count(info[0], "file"), offset = Count(info[1], "offset"), size = Count(info[2], "size");
    if (file >= keys->file_count() || offset > keys->file(file).size() || size > keys->file(file).size() - offset)
      throw MakeError(env, "ARGUMENT", "the range is beyond the end");
    auto* worker = new PopulateWorker(env, keys, file, offset, size);
    Napi::Promise promise = worker->Promise();
    worker->Queue();
    return promise;
  }

  // hold(): the mapped pages of the keys stay the process's from now on.
  void Hold(const Napi::CallbackInfo& info) { Open(info.Env(), keys_)->Hold(); }

  static std::shared_ptr<const RowFiles> OpenFiles(const Napi::Value& paths, const Napi::Array& rows, size_t row_bytes) {
    if (!paths.IsArray()) return nullptr;
    std::vector<RowFiles::Source> sources;
    for (uint32_t i = 0; i < rows.Length(); i++)
      sources.push_back({paths.As<Napi::Array>().Get(i).As<Napi::String>().Utf8Value(), Count(rows.Get(i), "rows")});
    return std::make_shared<const RowFiles>(sources, row_bytes);
  }

  // Work that is under way keeps the mappings until it ends.
  void Close(const Napi::CallbackInfo&) {
    keys_.reset();
    values_.reset();
  }

  static const KernelSet& Kernels() {
    size_t count;
    return SupportedKernels(&count)[0];
  }

  static std::shared_ptr<const RowFiles> Open(Napi::Env env, const std::shared_ptr<const RowFiles>& file) {
    if (file == nullptr) throw MakeError(env, "CLOSED", "the datastore is closed, or was opened without this array");
    return file;
  }

  static size_t Count(const Napi::Value& value, const char* name) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (!(number >= 0 && number <= 9007199254740991.0 && std::floor(number) == number))
      throw MakeError(value.Env(), "ARGUMENT", std::string(name) + " is not a count");
    return static_cast<size_t>(number);
  }

  void CheckRange(Napi::Env env, size_t start, size_t count) const {
    if (start > rows_ || count > rows_ - start) throw MakeError(env, "ARGUMENT", "the rows are out of range");
  }

  static bool InInt64(double id) { return id >= -9223372036854775808.0 && id < 9223372036854775808.0; }

  // Checks every id before any is used. -1 is the last row, or stays -1 for a neighbour that is missing.
  std::vector<int64_t> Rows(Napi::Env env, Napi::Float64Array ids, bool missing_is_last_row) const {
    const size_t count = ids.ElementLength();
    std::vector<int64_t> rows;
    Translate(env, [&] { rows.resize(count); });
    const double* data = ids.Data();
    const int64_t missing = missing_is_last_row ? static_cast<int64_t>(rows_) - 1 : Recompute::kMissing;
    const int64_t limit = static_cast<int64_t>(rows_);
    bool all_are_rows = true;
    // Without branches: there are a million ids in a search. What no int64 holds is not equal to what it becomes.
    for (size_t i = 0; i < count; i++) {
      const int64_t row = InInt64(data[i]) ? static_cast<int64_t>(data[i]) : -2;
      all_are_rows &= static_cast<double>(row) == data[i] && row >= -1 && row < limit;
      rows[i] = row == -1 ? missing : row;
    }
    if (!all_are_rows) throw MakeError(env, "ID", "an id is not a row of the datastore");
    return rows;
  }

  std::shared_ptr<const RowFiles> keys_;
  std::shared_ptr<const RowFiles> values_;
  size_t rows_;
  size_t dimension_;
  size_t row_bytes_;
  Dtype dtype_;
};

size_t Whole(const Napi::Value& value) {
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 4294967295.0 && std::floor(number) == number))
    throw MakeError(value.Env(), "ARGUMENT", "a size is not a count");
  return static_cast<size_t>(number);
}

template <typename Array>
void MultiplyAddArrays(const Napi::CallbackInfo& info) {
  Array a = info[0].As<Array>(), b = info[1].As<Array>(), c = info[2].As<Array>();
  const size_t n = Whole(info[3]), m = Whole(info[4]), k = Whole(info[5]);
  // All are below 2^32, so that no product overflows.
  if (a.ElementLength() != n * k || b.ElementLength() != k * m || c.ElementLength() != n * m)
    throw MakeError(info.Env(), "ARGUMENT", "the matrices do not fit together");
  if (n == 0 || m == 0 || k == 0) return;
  Translate(info.Env(), [&] { MultiplyAdd(a.Data(), b.Data(), c.Data(), n, m, k, Whole(info[6])); });
}

// multiplyAdd(a [n, k], b [k, m], c [n, m], n, m, k, threads); all arrays are Float32Array, or all are Float64Array
void MultiplyAddOfEither(const Napi::CallbackInfo& info) {
  auto is = [&](size_t i, napi_typedarray_type type) {
    return info[i].IsTypedArray() && info[i].As<Napi::TypedArray>().TypedArrayType() == type;
  };
  auto all = [&](napi_typedarray_type type) { return is(0, type) && is(1, type) && is(2, type); };
  if (all(napi_float32_array)) return MultiplyAddArrays<Napi::Float32Array>(info);
  if (all(napi_float64_array)) return MultiplyAddArrays<Napi::Float64Array>(info);
  throw MakeError(info.Env(), "ARGUMENT", "the matrices are not of one type");
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("MappedMatrix", MappedMatrix::Define(env));
  size_t count;
  const KernelSet* sets = SupportedKernels(&count);
  Napi::Array names = Napi::Array::New(env, count);
  for (size_t i = 0; i < count; i++) names.Set(static_cast<uint32_t>(i), Napi::String::New(env, sets[i].name));
  exports.Set("multiplyAdd", Napi::Function::New(env, MultiplyAddOfEither));
  exports.Set("releaseFreeMemory", Napi::Function::New(env, [](const Napi::CallbackInfo&) { ReleaseFreeMemory(); }));
  exports.Set("kernels", names);
  return exports;
}

NODE_API_MODULE(mapped_matrix, Init)

}  // namespace
}  // namespace knn_lm
