#include "merge.h"

#include <faiss/IVFlib.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <unistd.h>

#include <cerrno>

#include "joinable.h"
#include "joined_lists.h"
#include "new_file.h"
#include "open_index.h"

namespace {

// An index file without its lists: what has to be the same in all, and where the lists are.
struct Opened {
  std::unique_ptr<faiss::Index> index;
  faiss::IndexIVF* ivf;
  ListsOfFile lists;
};

void replaceLists(faiss::IndexIVF& ivf, std::unique_ptr<faiss::InvertedLists> lists) {
  ivf.replace_invlists(lists.get(), true);
  lists.release();
}

std::vector<uint8_t> bytesOf(faiss::Index& index) {
  faiss::VectorIOWriter writer;
  faiss::write_index(&index, &writer);
  return std::move(writer.data);
}

class MergeTask : public Task {
 public:
  MergeTask(std::vector<MergePart> parts, MergeTarget target) : parts_(std::move(parts)), target_(std::move(target)) {}

 protected:
  void run() override {
    std::vector<ListsOfFile> files;
    Opened first = open(parts_[0]);
    uint64_t total = first.lists.entries;
    files.push_back(std::move(first.lists));
    const size_t nprobe = first.ivf->nprobe;
    const std::vector<uint8_t> expected = withoutEntries(first);
    for (size_t i = 1; i < parts_.size(); i++) {
      Opened other = open(parts_[i]);
      if (withoutEntries(other) != expected) {
        throw Failure("FAISS_MERGE_TRAINING",
                      parts_[i].path + " was not built from the same trained index as " + parts_[0].path);
      }
      total += other.lists.entries;
      files.push_back(std::move(other.lists));
    }
    first.ivf->nprobe = nprobe;
    first.ivf->ntotal = first.index->ntotal = static_cast<faiss::Index::idx_t>(total);
    write(first, std::move(files));
  }

 private:
  Opened open(const MergePart& part) {
    control().throwIfCancelled();
    OpenedIndex read = openIndexFile(part.path, true, false);
    auto* ivf = faiss::ivflib::try_extract_index_ivf(read.index.get());
    auto* lists = listsOnDisk(ivf);
    if (lists == nullptr || !isJoinable(*read.index)) {
      throw Failure("FAISS_MERGE_KIND",
                    part.path + ": only an inverted file with lists that can be mapped can be joined");
    }
    Opened opened{std::move(read.index), ivf, {}};
    opened.lists.path = read.mapped.path;
    const auto close = [](FILE* file) {
      if (file != nullptr) fclose(file);
    };
    opened.lists.file.reset(fopen(read.mapped.path.c_str(), "rb"), close);
    if (!opened.lists.file) throw Failure("FAISS_FILE", "cannot open the file", -1, errno);
    for (const auto& list : lists->lists) opened.lists.lists.push_back({list.size, list.capacity, list.offset});
    opened.lists.firstId = part.firstId;
    opened.lists.entries = static_cast<uint64_t>(ivf->ntotal);
    return opened;
  }

  // Everything that is trained, as bytes; the index is empty afterwards.
  static std::vector<uint8_t> withoutEntries(Opened& opened) {
    auto& ivf = *opened.ivf;
    replaceLists(ivf, std::make_unique<faiss::ArrayInvertedLists>(ivf.nlist, ivf.code_size));
    ivf.ntotal = opened.index->ntotal = 0;
    ivf.nprobe = 1;
    return bytesOf(*opened.index);
  }

  void write(Opened& result, std::vector<ListsOfFile> files) {
    auto lists = std::make_unique<JoinedLists>(result.ivf->nlist, result.ivf->code_size, std::move(files), control());
    std::unique_ptr<NewFile> listsFile;
    if (!target_.listsPath.empty()) {
      listsFile = std::make_unique<NewFile>(target_.listsPath);
      lists->writeTo(listsFile->get(), target_.listsPath, target_.listsStored);
    }
    replaceLists(*result.ivf, std::move(lists));
    NewFile index(target_.path);
    CheckedWriter writer(index.get(), control());
    writer.name = target_.path;
    faiss::write_index(result.index.get(), &writer);
    if (listsFile) listsFile->finish();
    index.finish();
  }

  std::vector<MergePart> parts_;
  MergeTarget target_;
};

}  // namespace

std::unique_ptr<Task> makeMergeTask(std::vector<MergePart> parts, MergeTarget target) {
  return std::make_unique<MergeTask>(std::move(parts), std::move(target));
}
