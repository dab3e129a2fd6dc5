// One Faiss index, shared by its JavaScript object and the tasks that work on it.
#pragma once

#include <faiss/Index.h>
#include <faiss/IndexIVF.h>
#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "mapped_lists.h"

struct IndexState {
  explicit IndexState(std::unique_ptr<faiss::Index> owned, MappedLists mapped = {});

  std::unique_ptr<faiss::Index> index;
  const MappedLists mapped;
  std::mutex busy;  // one task at a time

  // What JavaScript may read while a task runs.
  std::atomic<int64_t> size{0};
  std::atomic<bool> trained{false};
  std::atomic<size_t> nprobe{0};  // also a request: applied when the next task begins
  std::atomic<int64_t> bytes{0};

  bool open = true;           // JavaScript thread only
  int64_t accountedBytes = 0;  // JavaScript thread only

  // The inverted file inside, or null.
  faiss::IndexIVF* ivf() const;

  // Refreshes what JavaScript may read; the caller holds `busy`.
  void publish();

  // Tells the garbage collector how much memory hangs on the JavaScript object.
  void account(napi_env env);
};
