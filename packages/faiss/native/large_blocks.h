// Where large pieces of memory go when they are freed: one setting of the C library for the process, which each kind of
// work makes as it begins. A limit that is given in the environment (MALLOC_MMAP_THRESHOLD_) stays.
#pragma once

// A search: pieces of 4 MB and more go back to the operating system at once. By default the C library raises that limit
// to the largest piece freed so far (up to 32 MB), after which the queries and results of every search stay with each
// thread that has made one: 200 MB at k = 1024, for 4 % of the time.
void returnLargeBlocks();

// Training and adding: pieces of up to 32 MB are kept. Each batch asks for its tables of 16 MB anew; given back and
// fetched every time, training took 1.4 times and adding 2.8 times the time.
void keepLargeBlocks();
