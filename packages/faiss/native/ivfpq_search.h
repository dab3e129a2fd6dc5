// Searches an IndexIVFPQ with PqScanner, where both allow it.
#pragma once

#include <faiss/IndexIVFPQ.h>

#include "control.h"

// Whether this index can be searched so, on this processor: squared L2 distances of residuals, 8 bits a code, tables
// precomputed, and nothing that asks for another way of searching.
bool canSearchInRegisters(const faiss::Index& index);

// What index.search does; at equal distances the smaller id comes first. Stops early when the task is cancelled.
void searchInRegisters(const faiss::IndexIVFPQ& index, size_t rows, const float* queries, size_t k, float* distances,
                       faiss::Index::idx_t* ids, const TaskControl& control);
