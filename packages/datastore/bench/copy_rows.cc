// Copies random rows of a mapped file into a buffer: what recomputing distances costs without computing anything.
//
//   copy_rows FILE ROWS ROW_BYTES COUNT ROUNDS    prints the median CPU time of COUNT rows, in ms
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

int main(int, char** arguments) {
  const size_t rows = std::atoll(arguments[2]), row_bytes = std::atoll(arguments[3]);
  const size_t count = std::atoll(arguments[4]), rounds = std::atoll(arguments[5]);
  const int file = open(arguments[1], O_RDONLY);
  const void* mapped = mmap(nullptr, rows * row_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  if (mapped == MAP_FAILED) return 1;
  const uint8_t* data = static_cast<const uint8_t*>(mapped);
  std::vector<uint8_t> buffer(8 * row_bytes);
  std::vector<size_t> ids(count);
  std::vector<double> times(rounds);
  std::mt19937_64 random(1);
  unsigned sink = 0;
  for (double& time : times) {
    for (size_t& id : ids) id = random() % rows;
    const std::clock_t start = std::clock();
    for (size_t i = 0; i < count; i++) {
      std::memcpy(buffer.data() + i % 8 * row_bytes, data + ids[i] * row_bytes, row_bytes);
      sink += buffer[i % buffer.size()];
    }
    time = 1000.0 * (std::clock() - start) / CLOCKS_PER_SEC;
  }
  std::sort(times.begin(), times.end());
  std::printf("%f %u\n", times[rounds / 2], sink);
}
