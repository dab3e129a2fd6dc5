#include "open_index.h"

#include <faiss/IVFlib.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_io.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>

#include "checked_reader.h"
#include "consistency.h"
#include "failure.h"

namespace {

struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};

faiss::Index* read(CheckedReader& reader, int flags) {
  try {
    return faiss::read_index(&reader, flags);
  } catch (const faiss::FaissException& error) {
    throw Failure("FAISS_INDEX_FORMAT", error.what());
  } catch (const std::length_error&) {
    throw Failure("FAISS_INDEX_FORMAT", "a size in the file is impossible");
  }
}

}  // namespace

OpenedIndex openIndexFile(const std::string& path, bool map, bool tables) {
  std::unique_ptr<FILE, CloseFile> file(fopen(path.c_str(), "rb"));
  if (!file) throw Failure("FAISS_FILE", "cannot open the file", -1, errno);
  CheckedReader reader(file.get());
  reader.name = path;
  // Tables are computed after the parts have been checked against each other.
  const int flags =
      faiss::IO_FLAG_READ_ONLY | faiss::IO_FLAG_SKIP_PRECOMPUTE_TABLE | (map ? faiss::IO_FLAG_MMAP : 0);
  OpenedIndex opened;
  opened.index.reset(read(reader, flags));
  auto* ivf = faiss::ivflib::try_extract_index_ivf(opened.index.get());
  opened.mapped = mapLists(ivf, path);
  checkConsistency(*opened.index);
  if (ivf != nullptr) checkConsistency(*ivf);
  auto* ivfPq = dynamic_cast<faiss::IndexIVFPQ*>(ivf);
  if (tables && ivfPq != nullptr && ivfPq->by_residual && ivfPq->is_trained) ivfPq->precompute_table();
  return opened;
}
