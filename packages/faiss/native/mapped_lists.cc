#include "mapped_lists.h"

#include <sys/stat.h>

#include <cerrno>

#include "failure.h"

namespace {

constexpr uint64_t kAbsent = ~uint64_t{0};

uint64_t fileSize(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return kAbsent;
  return static_cast<uint64_t>(status.st_size);
}

std::string besides(const std::string& indexPath, const std::string& file) {
  const size_t folder = indexPath.rfind('/');
  const size_t name = file.rfind('/');
  return (folder == std::string::npos ? "./" : indexPath.substr(0, folder + 1)) +
         (name == std::string::npos ? file : file.substr(name + 1));
}

std::string findListsFile(const std::string& stored, const std::string& indexPath) {
  const std::string near = besides(indexPath, stored);
  if (fileSize(near) != kAbsent) return near;
  if (fileSize(stored) != kAbsent) return stored;
  throw Failure("FAISS_LISTS_FILE", "its lists are in the file " + near + ", which does not exist" +
                                        (stored == near ? "" : ", nor does " + stored));
}

}  // namespace

void MappedLists::check() const {
  if (path.empty()) return;
  const uint64_t size = fileSize(path);
  if (size == kAbsent) throw Failure("FAISS_LISTS_FILE", "the file of its lists, " + path + ", is gone");
  if (size >= bytes) return;
  throw Failure("FAISS_LISTS_FILE", "the file of its lists, " + path + ", has " + std::to_string(size) +
                                        " bytes, but had " + std::to_string(bytes) + " when it was opened");
}

faiss::OnDiskInvertedLists* listsOnDisk(faiss::IndexIVF* ivf) {
  return ivf == nullptr ? nullptr : dynamic_cast<faiss::OnDiskInvertedLists*>(ivf->invlists);
}

void checkListRanges(const faiss::OnDiskInvertedLists& lists) {
  for (const auto& list : lists.lists) {
    const uint64_t entryBytes = lists.code_size + sizeof(faiss::Index::idx_t);
    if (list.size == 0 && list.capacity == 0) continue;
    if (list.size > list.capacity || list.offset > lists.totsize ||
        list.capacity > (lists.totsize - list.offset) / entryBytes) {
      throw Failure("FAISS_INDEX_FORMAT",
                    "the file has " + std::to_string(lists.totsize) + " bytes, but an inverted list of " +
                        std::to_string(list.capacity) + " entries begins at byte " + std::to_string(list.offset));
    }
  }
}

MappedLists mapLists(faiss::IndexIVF* ivf, const std::string& indexPath) {
  auto* lists = listsOnDisk(ivf);
  if (lists == nullptr) return {};
  // Faiss's own prefetching sums up every byte of every list: as much work as the search itself.
  lists->prefetch_nthread = 0;
  checkListRanges(*lists);
  // Within the index file itself; its own name has no meaning then.
  if (lists->ptr != nullptr && lists->filename.empty()) return {indexPath, lists->totsize};
  if (lists->ptr == nullptr) lists->filename = findListsFile(lists->filename, indexPath);
  const uint64_t size = fileSize(lists->filename);
  if (size == kAbsent || size < lists->totsize) {
    throw Failure("FAISS_LISTS_FILE", "the file of its lists, " + lists->filename + ", has " + std::to_string(size) +
                                          " bytes, but " + std::to_string(lists->totsize) + " are expected");
  }
  if (lists->ptr != nullptr) return {lists->filename, lists->totsize};
  lists->read_only = true;
  if (lists->totsize > 0) lists->do_mmap();
  return {lists->filename, lists->totsize};
}
