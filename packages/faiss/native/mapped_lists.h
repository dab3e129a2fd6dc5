// Inverted lists that stay in a file: which file that is, and whether it still holds them.
#pragma once

#include <faiss/IndexIVF.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

#include <cstdint>
#include <string>

struct MappedLists {
  std::string path;    // empty: all lists are in memory
  uint64_t bytes = 0;  // of the file, when it was mapped

  // Throws FAISS_LISTS_FILE when the file is gone or shorter than it was: reading beyond the end of a mapped file kills
  // the process.
  void check() const;
};

// The lists of an index as they are on disk, or null.
faiss::OnDiskInvertedLists* listsOnDisk(faiss::IndexIVF* ivf);

// Maps the lists of an index that was read with IO_FLAG_MMAP, after checking that the file holds them. Lists in a file of
// their own are looked for beside the index, where they are after both were moved, and then where the index says.
MappedLists mapLists(faiss::IndexIVF* ivf, const std::string& indexPath);

// Throws FAISS_INDEX_FORMAT when a list reaches beyond the end of the file.
void checkListRanges(const faiss::OnDiskInvertedLists& lists);
