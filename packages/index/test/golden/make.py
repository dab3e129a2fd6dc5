"""Makes the golden file of this folder with numpy 1.24: python3 make.py"""
import hashlib
import json

import numpy as np

# Both of numpy's ways: Floyd's set, and from a fiftieth of more than 10,000 rows on the shuffled tail.
sizes = [(1, 1), (2, 1), (10, 3), (10, 10), (5, 0), (9999, 5000), (10000, 201), (10000, 10000), (10001, 200),
         (10001, 201), (10001, 10001), (20238, 12000), (300000, 6000), (300000, 6001), (1000000, 3), (400000, 399999)]
seeds = [0, 1, 7, 2**32 - 1, 2**32, 2**53 - 1]
samples = []
for rows, size in sizes:
    for seed in seeds if rows < 300000 else seeds[1:3]:
        keys = np.sort(np.random.default_rng(seed).choice(np.arange(rows), size, replace=False)).astype('<f8')
        samples.append({'rows': rows, 'size': size, 'seed': seed, 'sha256': hashlib.sha256(keys.tobytes()).hexdigest()})
words = [{'seed': seed, 'raw': [str(v) for v in np.random.default_rng(seed).bit_generator.random_raw(4)]} for seed in seeds]
with open('samples.json', 'w') as file:
    json.dump({'samples': samples, 'raw': words}, file)
