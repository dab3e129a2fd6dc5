#include "create_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/index_factory.h>

std::unique_ptr<faiss::Index> createFlatL2(size_t dimension) {
  return std::make_unique<faiss::IndexFlatL2>(static_cast<faiss::Index::idx_t>(dimension));
}

std::unique_ptr<faiss::Index> createIvfPq(size_t dimension, size_t lists, size_t codeSize, size_t bits) {
  auto quantizer = createFlatL2(dimension);
  auto index = std::make_unique<faiss::IndexIVFPQ>(quantizer.get(), dimension, lists, codeSize, bits);
  index->own_fields = true;
  quantizer.release();
  return index;
}

std::unique_ptr<faiss::Index> createFromDescription(size_t dimension, const std::string& description,
                                                    bool innerProduct) {
  const auto metric = innerProduct ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2;
  return std::unique_ptr<faiss::Index>(
      faiss::index_factory(static_cast<int>(dimension), description.c_str(), metric));
}
