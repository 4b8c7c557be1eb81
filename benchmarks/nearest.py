"""The nearest stored row of a stream, whatever is stored: exact, and cheap to ask again and again.

For each row its nearest earlier rows are found once, in blocks. A replay that stores other rows
than the last one reads the first of them that it stored; only where it stored none of them does it
compare the row with all that it stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cache.types import Vectors

N_KEPT = 96
_BLOCK = 1024


class NearestEarlier:
    """The nearest earlier rows of each row.

    Args:
        vectors: shape (n, dim), the stream in its order.
        n_kept: how many are kept for each row.
    """

    def __init__(self, vectors: Vectors, n_kept: int = N_KEPT) -> None:
        self.vectors = vectors
        n_kept = max(1, min(n_kept, len(vectors)))
        self._rows = np.zeros((len(vectors), n_kept), dtype=np.int32)
        self._cosines = np.full((len(vectors), n_kept), -np.inf, dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK):
            self._keep(start, min(start + _BLOCK, len(vectors)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.vectors)

    def kept(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the nearest earlier rows, most similar first and the earlier of ties, and cosines.

        They are all the earlier rows there are, or ``n_kept``.
        """
        n = min(row, self._rows.shape[1])
        return self._rows[row, :n], self._cosines[row, :n]

    def _keep(self, start: int, end: int) -> None:
        cosines = self.vectors[start:end] @ self.vectors[:end].T
        cosines[np.arange(end)[None, :] >= np.arange(start, end)[:, None]] = -np.inf
        n = min(self._rows.shape[1], end)
        best = np.argpartition(-cosines, n - 1, axis=1)[:, :n]
        found = np.take_along_axis(cosines, best, axis=1)
        order = np.lexsort((best, -found), axis=1)
        self._rows[start:end, :n] = np.take_along_axis(best, order, axis=1)
        self._cosines[start:end, :n] = np.take_along_axis(found, order, axis=1)


class Stored:
    """The rows that one replay has stored so far.

    Args:
        nearest: of the stream.
    """

    def __init__(self, nearest: NearestEarlier) -> None:
        self._nearest = nearest
        self._is_stored = np.zeros(len(nearest), dtype=bool)
        self._rows: list[int] = []
        self._vectors = np.zeros_like(nearest.vectors)

    def add(self, row: int) -> None:
        """Store a row."""
        self._is_stored[row] = True
        self._vectors[len(self._rows)] = self._nearest.vectors[row]
        self._rows.append(row)

    def nearest(self, row: int) -> tuple[int, float] | None:
        """Return the stored row most similar to an asked one, and the cosine; None: none stored."""
        if not self._rows:
            return None
        rows, cosines = self._nearest.kept(row)
        stored = self._is_stored[rows]
        first = int(stored.argmax())
        if stored[first]:
            return int(rows[first]), float(cosines[first])
        all_cosines = self._vectors[: len(self._rows)] @ self._nearest.vectors[row]
        best = int(all_cosines.argmax())
        return self._rows[best], float(all_cosines[best])
