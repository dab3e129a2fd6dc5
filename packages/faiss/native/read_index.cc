#include "read_index.h"

#include <faiss/IVFlib.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_io.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>

#include "checked_reader.h"
#include "consistency.h"
#include "index_state.h"

namespace {

struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};

class ReadTask : public Task {
 public:
  ReadTask(std::string path, bool map) : path_(std::move(path)), map_(map) {}

 protected:
  void run() override {
    std::unique_ptr<FILE, CloseFile> file(fopen(path_.c_str(), "rb"));
    if (!file) throw Failure("FAISS_FILE", "cannot open the file", -1, errno);
    CheckedReader reader(file.get());
    reader.name = path_;
    // Tables are computed after the parts have been checked against each other.
    const int flags = faiss::IO_FLAG_SKIP_PRECOMPUTE_TABLE | (map_ ? faiss::IO_FLAG_MMAP : 0);
    std::unique_ptr<faiss::Index> index(readIndex(reader, flags));
    auto* ivf = faiss::ivflib::try_extract_index_ivf(index.get());
    checkConsistency(*index);
    if (ivf != nullptr) checkConsistency(*ivf);
    if (auto* ivfPq = dynamic_cast<faiss::IndexIVFPQ*>(ivf)) {
      if (ivfPq->by_residual && ivfPq->is_trained) ivfPq->precompute_table();
    }
    state_ = std::make_shared<IndexState>(std::move(index));
  }

  napi_value result(napi_env env) override {
    napi_value external;
    auto* holder = new std::shared_ptr<IndexState>(state_);
    const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<IndexState>*>(data); };
    if (napi_create_external(env, holder, release, nullptr, &external) == napi_ok) return external;
    delete holder;
    return nullptr;
  }

 private:
  static faiss::Index* readIndex(CheckedReader& reader, int flags) {
    try {
      return faiss::read_index(&reader, flags);
    } catch (const faiss::FaissException& error) {
      throw Failure("FAISS_INDEX_FORMAT", error.what());
    } catch (const std::length_error&) {
      throw Failure("FAISS_INDEX_FORMAT", "a size in the file is impossible");
    }
  }

  std::string path_;
  bool map_;
  std::shared_ptr<IndexState> state_;
};

}  // namespace

std::unique_ptr<Task> makeReadTask(std::string path, bool map) {
  return std::make_unique<ReadTask>(std::move(path), map);
}
