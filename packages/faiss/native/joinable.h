#pragma once

#include <faiss/Index.h>

// Whether index files of this kind can be joined list by list: an inverted file, alone or behind transforms, with lists
// of single codes. Others keep more of a vector than its entry in a list, or codes in blocks.
bool isJoinable(const faiss::Index& index);
