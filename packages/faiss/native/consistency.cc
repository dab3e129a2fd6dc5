#include "consistency.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/invlists/BlockInvertedLists.h>

#include <string>

#include "failure.h"
#include "vectors.h"

namespace {

void expectEqual(const char* what, uint64_t found, uint64_t expected) {
  if (found == expected) return;
  throw Failure("FAISS_INDEX_FORMAT", std::string("the file contradicts itself: ") + what + " is " +
                                          std::to_string(found) + ", but " + std::to_string(expected) +
                                          " follows from the rest");
}

// Where a centroid is NaN, no list may be the nearest, and Faiss goes on with a list number that it never set.
void checkCentroids(const faiss::Index& quantizer) {
  auto* flat = dynamic_cast<const faiss::IndexFlat*>(&quantizer);
  if (flat == nullptr) return;
  try {
    checkRows(flat->get_xb(), flat->ntotal, flat->d, 0);
  } catch (const Failure& failure) {
    throw Failure("FAISS_INDEX_FORMAT",
                  "coarse centroid " + std::to_string(failure.row) + " has NaN or infinity or is too large");
  }
}

void checkInvertedFile(const faiss::IndexIVF& ivf) {
  if (ivf.quantizer == nullptr) throw Failure("FAISS_INDEX_FORMAT", "the file has no coarse quantizer");
  expectEqual("the dimension of the coarse quantizer", ivf.quantizer->d, ivf.d);
  if (ivf.is_trained) expectEqual("the number of coarse centroids", ivf.quantizer->ntotal, ivf.nlist);
  checkConsistency(*ivf.quantizer);
  checkCentroids(*ivf.quantizer);
  if (ivf.invlists == nullptr) throw Failure("FAISS_INDEX_FORMAT", "the file has no inverted lists");
  expectEqual("the number of inverted lists", ivf.invlists->nlist, ivf.nlist);
  const bool blocks = dynamic_cast<const faiss::BlockInvertedLists*>(ivf.invlists) != nullptr;
  if (!blocks) expectEqual("the code size of the inverted lists", ivf.invlists->code_size, ivf.code_size);
  uint64_t entries = 0;
  for (size_t list = 0; list < ivf.nlist; list++) entries += ivf.invlists->list_size(list);
  expectEqual("the number of vectors", ivf.ntotal, entries);
}

}  // namespace

void checkConsistency(const faiss::Index& index) {
  if (auto* flat = dynamic_cast<const faiss::IndexFlatCodes*>(&index)) {
    expectEqual("the length of the codes", flat->codes.size(), flat->ntotal * flat->code_size);
  }
  auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index);
  if (ivf != nullptr) checkInvertedFile(*ivf);
  if (auto* ivfPq = dynamic_cast<const faiss::IndexIVFPQ*>(&index)) {
    expectEqual("the dimension of the product quantizer", ivfPq->pq.d, ivfPq->d);
    expectEqual("the size of a code", ivfPq->code_size, ivfPq->pq.code_size);
    expectEqual("the number of product centroids", ivfPq->pq.centroids.size(), ivfPq->pq.d * ivfPq->pq.ksub);
  }
}
