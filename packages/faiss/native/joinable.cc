#include "joinable.h"

#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>

bool isJoinable(const faiss::Index& index) {
  const auto* outer = dynamic_cast<const faiss::IndexPreTransform*>(&index);
  const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(outer == nullptr ? &index : outer->index);
  return ivf != nullptr && ivf->invlists != nullptr &&
         ivf->invlists->code_size != faiss::InvertedLists::INVALID_CODE_SIZE;
}
