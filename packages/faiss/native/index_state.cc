#include "index_state.h"

#include <faiss/IVFlib.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

namespace {

int64_t estimateBytes(const faiss::Index& index, const faiss::IndexIVF* ivf) {
  if (auto* flat = dynamic_cast<const faiss::IndexFlatCodes*>(&index)) return flat->codes.capacity();
  if (ivf == nullptr) return index.ntotal * index.d * static_cast<int64_t>(sizeof(float));
  int64_t bytes = static_cast<int64_t>(ivf->nlist * ivf->d * sizeof(float));
  if (auto* pq = dynamic_cast<const faiss::IndexIVFPQ*>(ivf)) {
    bytes += static_cast<int64_t>(pq->precomputed_table.nbytes() + pq->pq.centroids.size() * sizeof(float));
  }
  const bool mapped = dynamic_cast<const faiss::OnDiskInvertedLists*>(ivf->invlists) != nullptr;
  if (!mapped) bytes += ivf->ntotal * static_cast<int64_t>(ivf->code_size + sizeof(faiss::Index::idx_t));
  return bytes;
}

}  // namespace

IndexState::IndexState(std::unique_ptr<faiss::Index> owned, MappedLists mapped)
    : index(std::move(owned)), mapped(std::move(mapped)) {
  if (auto* lists = ivf()) nprobe = lists->nprobe;
  publish();
}

faiss::IndexIVF* IndexState::ivf() const { return faiss::ivflib::try_extract_index_ivf(index.get()); }

void IndexState::publish() {
  size = index->ntotal;
  trained = index->is_trained;
  bytes = estimateBytes(*index, ivf());
}

void IndexState::account(napi_env env) {
  const int64_t now = open ? bytes.load() : 0;
  int64_t adjusted;
  napi_adjust_external_memory(env, now - accountedBytes, &adjusted);
  accountedBytes = now;
}
