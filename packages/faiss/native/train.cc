#include "train.h"

#include <faiss/IVFlib.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>

namespace {

// Stands in for the index that k-means searches for the nearest centroids: the same one, that counts iterations and
// stops between two. Faiss reports neither.
struct CountingFlat : faiss::IndexFlatL2 {
  CountingFlat(size_t dimension, TaskControl& control) : IndexFlatL2(dimension), control(control) {}

  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters* params) const override {
    control.throwIfCancelled();
    IndexFlatL2::search(n, x, k, distances, labels, params);
    control.iterations++;
  }

  TaskControl& control;
};

// Faiss warns on stderr when it has fewer than 39 points a centroid. The caller knows the numbers and says it better.
void silence(faiss::ClusteringParameters& parameters) { parameters.min_points_per_centroid = 1; }

void silence(IndexState& state) {
  auto* index = state.index.get();
  auto* ivf = state.ivf();
  if (ivf != nullptr) silence(ivf->cp);
  if (auto* found = dynamic_cast<faiss::IndexIVFPQ*>(ivf)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexIVFPQFastScan*>(ivf)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexPQ*>(index)) silence(found->pq.cp);
  if (auto* found = dynamic_cast<faiss::IndexPQFastScan*>(index)) silence(found->pq.cp);
}

class TrainTask : public IndexTask {
 public:
  TrainTask(std::shared_ptr<IndexState> state, std::shared_ptr<TrainingRowsState> rows, size_t coarseRows,
            size_t productRows)
      : IndexTask(std::move(state)), rows_(std::move(rows)), coarseRows_(coarseRows), productRows_(productRows) {}

 protected:
  void work(IndexState& state) override {
    silence(state);
    auto* ivfPq = dynamic_cast<faiss::IndexIVFPQ*>(state.index.get());
    if (ivfPq == nullptr) {
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
