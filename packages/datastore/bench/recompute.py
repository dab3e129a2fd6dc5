"""The recomputation as the Python recipe does it: gather, cast, subtract, square, sum. Prints the median ms.

    recompute.py FOLDER ROWS DIMENSION QUERIES K ROUNDS
"""
import sys
import time

import numpy as np

folder = sys.argv[1]
rows, dimension, queries, k, rounds = map(int, sys.argv[2:])
keys = np.memmap(folder + '/keys.npy', np.float16, 'r', shape=(rows, dimension))
query = np.array(keys[:queries], np.float32)
random = np.random.default_rng(1)
times = []
for _ in range(rounds):
    ids = random.integers(0, rows, (queries, k))
    start = time.process_time()
    for i in range(queries):
        np.square(query[i] - keys[ids[i]].astype(np.float32)).sum(-1)
    times.append(1000 * (time.process_time() - start))
print(sorted(times)[rounds // 2])
