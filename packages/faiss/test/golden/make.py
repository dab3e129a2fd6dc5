"""Makes the golden files of this folder with Python's Faiss 1.7.3: python3 make.py"""
import json

import faiss
import numpy as np

faiss.omp_set_num_threads(1)
rng = np.random.default_rng(5)
# Clusters apart from each other, so that other processors' rounding changes no assignment.
centers = rng.normal(size=(12, 16)) * 4
vectors = (centers[rng.integers(0, 12, 900)] + rng.normal(size=(900, 16))).astype('f2')
vectors.tofile('vectors.f16')
queries = vectors[:20].astype('f4') + np.float32(0.25)
x = vectors.astype('f4')


def permutation(n, seed):
    result = np.zeros(n, 'i4')
    faiss.rand_perm(faiss.swig_ptr(result), n, seed)
    return result


def search(index, k, rows=20):
    distances, ids = index.search(queries[:rows], k)
    return {'k': k, 'rows': rows, 'ids': ids.ravel().tolist(), 'distances': [round(float(v), 6) for v in distances.ravel()]}


ivfpq = faiss.IndexIVFPQ(faiss.IndexFlatL2(16), 16, 12, 4, 6)
ivfpq.nprobe = 3
ivfpq.train(x)
faiss.write_index(ivfpq, 'ivfpq.trained_index')
ivfpq.add_with_ids(x, np.arange(len(x)))
faiss.write_index(ivfpq, 'ivfpq.index')
flat = faiss.IndexFlatL2(16)
flat.add(x)

golden = {
    'ivfpq': [search(ivfpq, 5), search(ivfpq, 300, 2)],
    'flat': [search(flat, 5)],
    'permutations': [
        {'n': n, 'seed': seed, 'prefix': permutation(n, seed)[:20].tolist(), 'sum': int(permutation(n, seed)[:1000].astype('i8').sum())}
        for n, seed in ((1, 1234), (20, 1234), (5000, 1234), (1000000, 1234), (5000, 7))
    ],
}
with open('golden.json', 'w') as file:
    json.dump(golden, file)
