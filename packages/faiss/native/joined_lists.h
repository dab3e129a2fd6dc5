// The inverted lists of several index files, one after the other, as one index: written piece by piece, never held.
#pragma once

#include <faiss/impl/io.h>
#include <faiss/invlists/InvertedLists.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "control.h"

// One index file as far as its lists are concerned.
struct ListsOfFile {
  struct Place {
    uint64_t entries;
    uint64_t capacity;
    uint64_t offset;  // bytes
  };

  std::string path;  // the file that holds the lists
  std::shared_ptr<FILE> file;
  std::vector<Place> lists;
  // Ids have to be in [firstId, firstId + entries): other ones belong to another datastore, or to another part of it.
  uint64_t firstId = 0;
  uint64_t entries = 0;

  // Throws FAISS_LISTS_FILE when the file ends too early.
  void read(uint64_t offset, void* target, uint64_t bytes) const;
};

// What faiss::write_index writes in the place of lists in memory: the lists of all files, either behind the index or in
// a file of their own (as OnDiskInvertedLists).
class JoinedLists : public faiss::InvertedLists {
 public:
  JoinedLists(size_t lists, size_t codeSize, std::vector<ListsOfFile> files, TaskControl& control);

  // Writes the lists to this file, which has been created, and only their places to the index; storedName is how the
  // index names it.
  void writeTo(FILE* listsFile, std::string listsPath, std::string storedName);

  size_t list_size(size_t list) const override;
  void write(faiss::IOWriter* index) const;

  const uint8_t* get_codes(size_t) const override;
  const idx_t* get_ids(size_t) const override;
  size_t add_entries(size_t, size_t, const idx_t*, const uint8_t*) override;
  void update_entries(size_t, size_t, size_t, const idx_t*, const uint8_t*) override;
  void resize(size_t, size_t) override;

 private:
  class Sink;

  void writeBehindIndex(faiss::IOWriter* index) const;
  void writeToOwnFile(faiss::IOWriter* index) const;
  void writeLists(Sink& sink) const;
  void copyCodes(size_t list, Sink& sink) const;
  void copyIds(size_t list, Sink& sink) const;

  std::vector<ListsOfFile> files_;
  TaskControl& control_;
  FILE* listsFile_ = nullptr;
  std::string listsPath_;
  std::string storedName_;
  mutable std::vector<uint8_t> buffer_;
};
