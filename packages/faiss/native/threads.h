// How many threads Faiss works with: OpenMP's, and those of OpenBLAS, which keeps its own.
#pragma once

// OpenMP's count holds for the calling thread alone, OpenBLAS's for the process. 0 for all cores.
void useThreads(int threads);

// Threads that useThreads gave this thread.
int usedThreads();

// OpenBLAS works alone where OpenMP has split the work already, or where products are too small to be shared.
class SingleBlasThread {
 public:
  SingleBlasThread();
  ~SingleBlasThread();
};
