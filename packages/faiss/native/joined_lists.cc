#include "joined_lists.h"

#include <faiss/impl/io.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/impl/io_macros.h>
#include <faiss/invlists/InvertedListsIOHook.h>
#include <faiss/invlists/OnDiskInvertedLists.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "failure.h"

namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

// Makes faiss::write_index call JoinedLists::write; nothing is ever read under this key.
struct JoinedListsHook : faiss::InvertedListsIOHook {
  JoinedListsHook() : InvertedListsIOHook("iljn", typeid(JoinedLists).name()) {}
  void write(const faiss::InvertedLists* lists, faiss::IOWriter* index) const override {
    dynamic_cast<const JoinedLists*>(lists)->write(index);
  }
  faiss::InvertedLists* read(faiss::IOReader*, int) const override { return nullptr; }
};

[[noreturn]] void neverInMemory() { throw Failure("FAISS_FAILED", "joined lists are not in memory"); }

}  // namespace

void ListsOfFile::read(uint64_t offset, void* target, uint64_t bytes) const {
  auto* next = static_cast<uint8_t*>(target);
  while (bytes > 0) {
    const ssize_t done = pread(fileno(file.get()), next, bytes, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      throw Failure("FAISS_LISTS_FILE", path + (done < 0 ? ": cannot be read at byte " : ": ends at byte ") +
                                            std::to_string(offset) + ", within an inverted list");
    }
    next += done;
    offset += static_cast<uint64_t>(done);
    bytes -= static_cast<uint64_t>(done);
  }
}

// Where the bytes of the lists go.
class JoinedLists::Sink {
 public:
  explicit Sink(faiss::IOWriter& writer) : writer_(&writer) {}
  Sink(FILE* file, const std::string& path) : file_(file), path_(path) {}

  void write(const void* bytes, size_t size) {
    if (writer_ != nullptr) (*writer_)(bytes, 1, size);  // throws where it fails
    else if (fwrite(bytes, 1, size, file_) != size) throw Failure("FAISS_FILE", "cannot write " + path_, -1, errno);
  }

 private:
  faiss::IOWriter* writer_ = nullptr;
  FILE* file_ = nullptr;
  std::string path_;
};

JoinedLists::JoinedLists(size_t lists, size_t codeSize, std::vector<ListsOfFile> files, TaskControl& control)
    : InvertedLists(lists, codeSize), files_(std::move(files)), control_(control), buffer_(kBufferBytes) {
  static const bool registered = [] {
    faiss::InvertedListsIOHook::add_callback(new JoinedListsHook());
    return true;
  }();
  (void)registered;
}

void JoinedLists::writeTo(FILE* listsFile, std::string listsPath, std::string storedName) {
  listsFile_ = listsFile;
  listsPath_ = std::move(listsPath);
  storedName_ = std::move(storedName);
}

size_t JoinedLists::list_size(size_t list) const {
  size_t entries = 0;
  for (const auto& file : files_) entries += file.lists[list].entries;
  return entries;
}

void JoinedLists::write(faiss::IOWriter* index) const {
  if (listsFile_ == nullptr) writeBehindIndex(index);
  else writeToOwnFile(index);
}

// The layout of write_InvertedLists (faiss/impl/index_write.cpp) for lists in memory, byte for byte.
void JoinedLists::writeBehindIndex(faiss::IOWriter* f) const {
  const uint32_t kind = faiss::fourcc("ilar");
  WRITE1(kind);
  WRITE1(nlist);
  WRITE1(code_size);
  std::vector<size_t> all(nlist);
  std::vector<size_t> pairs;
  for (size_t list = 0; list < nlist; list++) {
    all[list] = list_size(list);
    if (all[list] > 0) pairs.insert(pairs.end(), {list, all[list]});
  }
  const bool full = pairs.size() / 2 > nlist / 2;
  const uint32_t form = faiss::fourcc(full ? "full" : "sprs");
  WRITE1(form);
  WRITEVECTOR((full ? all : pairs));
  Sink sink(*f);
  writeLists(sink);
}

// The layout of OnDiskInvertedListsIOHook::write, without gaps between the lists.
void JoinedLists::writeToOwnFile(faiss::IOWriter* f) const {
  const uint32_t kind = faiss::fourcc("ilod");
  WRITE1(kind);
  WRITE1(nlist);
  WRITE1(code_size);
  std::vector<faiss::OnDiskOneList> places(nlist);
  size_t offset = 0;
  for (size_t list = 0; list < nlist; list++) {
    const size_t entries = list_size(list);
    places[list].size = places[list].capacity = entries;
    places[list].offset = offset;
    offset += entries * (code_size + sizeof(idx_t));
  }
  WRITEVECTOR(places);
  const std::vector<faiss::OnDiskInvertedLists::Slot> noSlots;
  WRITEVECTOR(noSlots);
  const std::vector<char> name(storedName_.begin(), storedName_.end());
  WRITEVECTOR(name);
  WRITE1(offset);
  Sink sink(listsFile_, listsPath_);
  writeLists(sink);
}

void JoinedLists::writeLists(Sink& sink) const {
  for (size_t list = 0; list < nlist; list++) {
    control_.throwIfCancelled();
    copyCodes(list, sink);
    copyIds(list, sink);
    control_.iterations++;
  }
}

void JoinedLists::copyCodes(size_t list, Sink& sink) const {
  for (const auto& file : files_) {
    const auto& place = file.lists[list];
    const uint64_t bytes = place.entries * code_size;
    for (uint64_t done = 0; done < bytes;) {
      const uint64_t count = std::min<uint64_t>(bytes - done, buffer_.size());
      file.read(place.offset + done, buffer_.data(), count);
      sink.write(buffer_.data(), count);
      done += count;
    }
  }
}

void JoinedLists::copyIds(size_t list, Sink& sink) const {
  for (const auto& file : files_) {
    const auto& place = file.lists[list];
    const uint64_t begin = place.offset + place.capacity * code_size;
    const uint64_t bytes = place.entries * sizeof(idx_t);
    for (uint64_t done = 0; done < bytes;) {
      const uint64_t count = std::min<uint64_t>(bytes - done, buffer_.size());
      file.read(begin + done, buffer_.data(), count);
      for (uint64_t at = 0; at < count; at += sizeof(idx_t)) {
        uint64_t id;
        std::memcpy(&id, buffer_.data() + at, sizeof id);
        if (id >= file.firstId && id - file.firstId < file.entries) continue;
        throw Failure("FAISS_MERGE_IDS", file.path + ": id " + std::to_string(static_cast<int64_t>(id)) + " in list " +
                                             std::to_string(list) + " is not from " + std::to_string(file.firstId) +
                                             " to " + std::to_string(file.firstId + file.entries - 1));
      }
      sink.write(buffer_.data(), count);
      done += count;
    }
  }
}

const uint8_t* JoinedLists::get_codes(size_t) const { neverInMemory(); }
const JoinedLists::idx_t* JoinedLists::get_ids(size_t) const { neverInMemory(); }
size_t JoinedLists::add_entries(size_t, size_t, const idx_t*, const uint8_t*) { neverInMemory(); }
void JoinedLists::update_entries(size_t, size_t, size_t, const idx_t*, const uint8_t*) { neverInMemory(); }
void JoinedLists::resize(size_t, size_t) { neverInMemory(); }
