// Where large pieces of memory go when they are freed.
#pragma once

// Makes the C library give pieces of 4 MB and more back to the operating system at once. By default it raises that limit
// to the largest piece freed so far (up to 32 MB), after which the queries and results of every search stay with each
// thread that has made one: 265 MB at k = 1024. Mapping fresh pages instead takes 4 % more CPU time. One setting for the process; a limit that is given in
// the environment (MALLOC_MMAP_THRESHOLD_) stays.
void returnLargeBlocks();
