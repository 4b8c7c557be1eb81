"""Vectors of one partition, appended in blocks, read without a lock.

One thread at a time appends or kills (the index's lock sees to it); any number of threads read.
Rows never move: what a reader saw up to ``n`` stays as it was, but for ids that turn to ``DEAD``.
"""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from cache.types import EntryId, Vector, Vectors

Scores = NDArray[np.float32]
RowNumbers = NDArray[np.int64]

DEAD = -1
BLOCK = 1 << 17
"""Rows in a whole block: address space that takes memory only as far as it is written."""

_GROWS_UP_TO = 4096  # rows; the first block doubles up to here, then becomes a whole one
_COPIED_AT_ONCE = 4096


class Rows:
    """Ids and float32 vectors; ``n`` counts the dead as well."""

    __slots__ = ("blocks", "dim", "ids", "n", "row_of")

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.n = 0
        self.ids = np.full(1, DEAD, dtype=np.int64)
        self.blocks = [np.empty((1, dim), dtype=np.float32)]
        self.row_of: dict[EntryId, int] = {}

    @property
    def n_dead(self) -> int:
        """Rows of removed entries."""
        return self.n - len(self.row_of)

    def append(self, ids: Sequence[EntryId], vectors: Vectors) -> None:
        """Add entries that are not here yet."""
        self._reserve(self.n + len(ids))
        first, done = self.n, 0
        self.ids[first : first + len(ids)] = ids
        while done < len(ids):
            block, at = divmod(first + done, BLOCK)
            part = vectors[done : done + BLOCK - at]
            self.blocks[block][at : at + len(part)] = part
            done += len(part)
        self.row_of.update(zip(ids, range(first, first + len(ids)), strict=True))
        self.n = first + len(ids)  # last: readers look at n first

    def kill(self, entry_id: EntryId) -> None:
        """Mark an entry's row as dead; an unknown id is no error."""
        row = self.row_of.pop(entry_id, None)
        if row is not None:
            self.ids[row] = DEAD

    def score_range(self, start: int, stop: int, query: Vector) -> Scores:
        """Return the cosines of rows ``start`` to ``stop``."""
        if stop <= BLOCK:
            return _cosines(self.blocks[0][start:stop], query)
        scores = np.empty(stop - start, dtype=np.float32)
        row = start
        while row < stop:
            block, at = divmod(row, BLOCK)
            count = min(stop - row, BLOCK - at)
            vectors = self.blocks[block][at : at + count]
            scores[row - start : row - start + count] = _cosines(vectors, query)
            row += count
        return scores

    def score(self, rows: RowNumbers, query: Vector) -> Scores:
        """Return the cosines of single rows."""
        return _cosines(self.gather(rows), query)

    def gather(self, rows: RowNumbers) -> Vectors:
        """Return a copy of single rows' vectors."""
        blocks = self.blocks
        if len(blocks) == 1:
            return blocks[0][rows]
        found = np.empty((len(rows), self.dim), dtype=np.float32)
        of = rows // BLOCK
        for number, block in enumerate(blocks):
            here = of == number
            found[here] = block[rows[here] % BLOCK]
        return found

    def compacted(self, n: int) -> tuple[Rows, RowNumbers]:
        """Return the living among the first ``n`` rows as new rows, and where they stood."""
        seen = self.ids[:n].copy()  # others may die while we copy
        alive = np.flatnonzero(seen != DEAD)
        fresh = Rows(self.dim)
        ids = seen[alive].tolist()
        for start in range(0, len(alive), _COPIED_AT_ONCE):
            stop = start + _COPIED_AT_ONCE
            fresh.append(ids[start:stop], self.gather(alive[start:stop]))
        return fresh, alive

    def _reserve(self, n: int) -> None:
        """Make room for ``n`` rows in all."""
        if n > len(self.ids):
            grown = np.full(max(n, 2 * len(self.ids)), DEAD, dtype=np.int64)
            grown[: self.n] = self.ids[: self.n]
            self.ids = grown
        first = self.blocks[0]
        if n > len(first) and len(first) < BLOCK:
            room = max(n, 2 * len(first))
            room = room if room <= _GROWS_UP_TO else BLOCK
            wider = np.empty((room, self.dim), dtype=np.float32)
            wider[: self.n] = first[: self.n]
            self.blocks = [wider, *self.blocks[1:]]
        while n > len(self.blocks) * BLOCK:
            self.blocks.append(np.empty((BLOCK, self.dim), dtype=np.float32))


def _cosines(vectors: Vectors, query: Vector) -> Scores:
    """Compare unit vectors in the calling thread: no BLAS, so no threads of its own."""
    scores = np.empty(len(vectors), dtype=np.float32)
    faiss.fvec_inner_products_ny(  # type: ignore[attr-defined] # missing in FAISS's stub
        faiss.swig_ptr(scores),
        faiss.swig_ptr(query),
        faiss.swig_ptr(vectors),
        vectors.shape[1],
        len(vectors),
    )
    return scores
