#pragma once

#include <memory>

#include "index_task.h"
#include "training_rows.h"

// Trains an index on the rows. An IndexIVFPQ takes the first coarseRows for its coarse quantizer and the first
// productRows for its product quantizer, in two steps; the others take all.
std::unique_ptr<IndexTask> makeTrainTask(std::shared_ptr<IndexState> state,
                                         std::shared_ptr<TrainingRowsState> rows, size_t coarseRows,
                                         size_t productRows);
