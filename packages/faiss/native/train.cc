#include "train.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>

#include <optional>

#include "large_blocks.h"
#include "threads.h"

namespace {

constexpr int kFewDimensions = 64;

// Stands in for the index that k-means searches for the nearest centroids: the same one, that counts iterations and
// stops between two. Faiss reports neither.
struct CountingFlat : faiss::IndexFlatL2 {
  CountingFlat(size_t dimension, TaskControl& control) : IndexFlatL2(dimension), control(control) {}

  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters* params) const override {
    control.throwIfCancelled();
    // Products of a subvector's few dimensions are over before OpenBLAS has woken its threads: a quarter of the CPU
    // time of a training on 20,000 vectors of 256 dimensions went there.
    std::optional<SingleBlasThread> alone;
    if (d < kFewDimensions) alone.emplace();
    IndexFlatL2::search(n, x, k, distances, labels, params);
    control.iterations++;
  }

  TaskControl& control;
};

// Faiss warns on stderr when it has fewer than 39 points a centroid. The caller knows the numbers and says it better.
void silence(faiss::ClusteringParameters& parameters) { parameters.min_points_per_centroid = 1; }

// Behind transforms, and below the index that refines its results.
faiss::Index* innermost(faiss::Index* index) {
  for (;;) {
    if (auto* outer = dynamic_cast<faiss::IndexPreTransform*>(index)) index = outer->index;
    else if (auto* refined = dynamic_cast<faiss::IndexRefine*>(index)) index = refined->base_index;
    else return index;
  }
}

void silence(IndexState& state) {
  auto* index = innermost(state.index.get());
  auto* ivf = dynamic_cast<faiss::IndexIVF*>(index);
  if (ivf != nullptr) silence(ivf->cp);
  if (auto* found = dynamic_cast<faiss::IndexIVFPQ*>(ivf)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexIVFPQFastScan*>(ivf)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexPQ*>(index)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexPQFastScan*>(index)) silence(found->pq.cp);
}

// The optimized rotation of OPQ trains codes of its own, with warnings of its own, unless it is lent a quantizer.
class QuietRotation {
 public:
  explicit QuietRotation(faiss::Index& index) {
    auto* outer = dynamic_cast<faiss::IndexPreTransform*>(&index);
    if (outer == nullptr) return;
    for (auto* transform : outer->chain) {
      if (auto* found = dynamic_cast<faiss::OPQMatrix*>(transform)) lend(*found);
    }
  }
  ~QuietRotation() {
    if (rotation_ != nullptr) rotation_->pq = nullptr;
  }

 private:
  // As OPQMatrix::train makes it.
  void lend(faiss::OPQMatrix& rotation) {
    if (rotation.pq != nullptr) return;
    const int dimension = rotation.d_out == -1 ? rotation.d_in : rotation.d_out;
    quantizer_ = std::make_unique<faiss::ProductQuantizer>(dimension, rotation.M, 8);
    silence(quantizer_->cp);
    rotation_ = &rotation;
    rotation_->pq = quantizer_.get();
  }

  faiss::OPQMatrix* rotation_ = nullptr;
  std::unique_ptr<faiss::ProductQuantizer> quantizer_;
};

class TrainTask : public IndexTask {
 public:
  TrainTask(std::shared_ptr<IndexState> state, std::shared_ptr<TrainingRowsState> rows, size_t coarseRows,
            size_t productRows)
      : IndexTask(std::move(state)), rows_(std::move(rows)), coarseRows_(coarseRows), productRows_(productRows) {}

 protected:
  void work(IndexState& state) override {
    keepLargeBlocks();
    silence(state);
    auto* ivfPq = dynamic_cast<faiss::IndexIVFPQ*>(state.index.get());
    if (ivfPq == nullptr) {
      const QuietRotation quiet(*state.index);
      state.index->train(static_cast<faiss::Index::idx_t>(rows_->rows), rows_->data.get());
      return;
    }
    CountingFlat coarse(ivfPq->d, control());
    CountingFlat product(ivfPq->pq.dsub, control());
    ivfPq->clustering_index = &coarse;
    ivfPq->pq.assign_index = &product;
    try {
      trainIvfPq(*ivfPq);
    } catch (...) {
      restore(*ivfPq);
      // A half-trained quantizer would be taken for a trained one the next time.
      ivfPq->quantizer->reset();
      throw;
    }
    restore(*ivfPq);
  }

 private:
  // IndexIVF::train in its two parts, each with the rows that Faiss itself would pick from a larger set.
  void trainIvfPq(faiss::IndexIVFPQ& index) {
    index.quantizer->reset();  // centroids that were read from a file would be kept
    index.train_q1(coarseRows_, rows_->data.get(), false, index.metric_type);
    index.train_residual(static_cast<faiss::Index::idx_t>(productRows_), rows_->data.get());
    index.is_trained = true;
  }

  static void restore(faiss::IndexIVFPQ& index) {
    index.clustering_index = nullptr;
    index.pq.assign_index = nullptr;
  }

  std::shared_ptr<TrainingRowsState> rows_;
  size_t coarseRows_;
  size_t productRows_;
};

}  // namespace

std::unique_ptr<IndexTask> makeTrainTask(std::shared_ptr<IndexState> state,
                                         std::shared_ptr<TrainingRowsState> rows, size_t coarseRows,
                                         size_t productRows) {
  return std::make_unique<TrainTask>(std::move(state), std::move(rows), coarseRows, productRows);
}
