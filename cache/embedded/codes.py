"""Half a byte for six dimensions: codes of many rows that FAISS scans whole, very fast.

Product quantization in 4 bits ("fast scan") tells near from far, not near from nearer: it names a
few dozen rows, and their vectors are compared afterwards. Codebooks are trained in well under a
second on a few thousand rows, so that they are made anew at each start and nothing is kept on disk.
"""

from __future__ import annotations

import threading

import faiss
import numpy as np

from cache.embedded.rows import BLOCK, RowNumbers, Rows
from cache.types import Vector

_TRAINED_ON = 4096  # rows; a code book has 16 entries, so this is plenty
_TRAINING_ROUNDS = 12
_DIMS_PER_CODE = 6
_LEAST_CODES = 32
_own = threading.local()


def use_one_thread() -> None:
    """Keep OpenMP in this thread from starting others, that would spin beside the event loop."""
    if not getattr(_own, "is_set", False):
        faiss.omp_set_num_threads(1)
        _own.is_set = True


class Codes:
    """Codes of the first ``n`` rows of one partition, the dead included. Thread-safe."""

    def __init__(self, rows: Rows, n: int) -> None:
        use_one_thread()
        self.n_trained = n
        self.n = 0
        self._rows = rows
        self._lock = threading.Lock()
        self._index = faiss.IndexPQFastScan(rows.dim, _n_codes(rows.dim), 4)
        self._index.metric_type = faiss.METRIC_INNER_PRODUCT
        self._index.pq.cp.niter = _TRAINING_ROUNDS
        sample = np.unique(np.linspace(0, n - 1, min(n, _TRAINED_ON)).astype(np.int64))
        self._index.train(rows.gather(sample))
        self.extend(n)

    def extend(self, n: int) -> None:
        """Encode rows up to ``n``, a few at a time so that no search waits long."""
        use_one_thread()
        while self.n < n:
            block, at = divmod(self.n, BLOCK)
            count = min(n - self.n, BLOCK - at, 512)
            with self._lock:
                self._index.add(self._rows.blocks[block][at : at + count])
                self.n += count

    def search(self, query: Vector, n_rows: int) -> tuple[RowNumbers, int]:
        """Return up to ``n_rows`` rows near the query, and how many rows were looked at."""
        use_one_thread()
        with self._lock:
            n = self.n
            _, found = self._index.search(query[np.newaxis, :], min(n_rows, n))
        return found[0][found[0] >= 0], n


def _n_codes(dim: int) -> int:
    """Return into how many equal parts a vector is cut: of six dimensions, short ones of fewer."""
    most = max(dim // _DIMS_PER_CODE, min(dim, _LEAST_CODES))
    return next(parts for parts in range(most, 0, -1) if dim % parts == 0)
