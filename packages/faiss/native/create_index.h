#pragma once

#include <faiss/Index.h>

#include <cstddef>
#include <memory>
#include <string>

// What faiss::IndexFlatL2(dimension) makes.
std::unique_ptr<faiss::Index> createFlatL2(size_t dimension);

// What faiss::IndexIVFPQ(IndexFlatL2(dimension), dimension, lists, codeSize, bits) makes: residuals, and no
// polysemous training, which the factory string "PQ64" turns on.
std::unique_ptr<faiss::Index> createIvfPq(size_t dimension, size_t lists, size_t codeSize, size_t bits);

// What faiss::index_factory makes.
std::unique_ptr<faiss::Index> createFromDescription(size_t dimension, const std::string& description,
                                                    bool innerProduct);
