#include "threads.h"

#include <omp.h>

// Absent when another BLAS is linked.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace {

void useBlasThreads(int threads) {
  if (openblas_set_num_threads) openblas_set_num_threads(threads);
}

}  // namespace

void useThreads(int threads) {
  const int count = threads > 0 ? threads : omp_get_num_procs();
  omp_set_num_threads(count);
  useBlasThreads(count);
}

int usedThreads() { return omp_get_max_threads(); }

SingleBlasThread::SingleBlasThread() { useBlasThreads(1); }

SingleBlasThread::~SingleBlasThread() { useBlasThreads(usedThreads()); }
