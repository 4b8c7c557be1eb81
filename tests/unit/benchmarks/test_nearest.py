from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import nearest
from benchmarks.nearest import NearestEarlier, Stored
from cache.types import Vectors


def _vectors(n: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8), st.integers(0, 9))
def test_the_nearest_stored_row_is_found_whatever_is_stored(
    kept: list[bool], n_kept: int, seed: int
) -> None:
    """Against a look at every stored row, also where none of the neighbours kept was stored."""
    vectors = _vectors(len(kept), seed)
    stored, rows = Stored(NearestEarlier(vectors, n_kept)), list[int]()

    for row, is_kept in enumerate(kept):
        found = stored.nearest(row)
        if not rows:
            assert found is None
        else:
            best = max(rows, key=lambda other: float(vectors[other] @ vectors[row]))
            assert found is not None
            assert found[0] == best
            assert found[1] == pytest.approx(float(vectors[best] @ vectors[row]), abs=1e-5)
        if is_kept:
            stored.add(row)
            rows.append(row)


def test_only_earlier_rows_are_neighbours_the_earlier_of_ties_first() -> None:
    """Rows 0 and 1 are equal: row 2 has both, 0 first; row 0 has none."""
    found = NearestEarlier(np.array([[1, 0], [1, 0], [0.6, 0.8]], dtype=np.float32))

    assert found.kept(0)[0].tolist() == []
    assert found.kept(1)[0].tolist() == [0]
    assert found.kept(2)[0].tolist() == [0, 1]


def test_neighbours_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks bound the memory and change nothing."""
    vectors = _vectors(50, 1)
    whole = NearestEarlier(vectors, 6)

    monkeypatch.setattr(nearest, "_BLOCK", 7)
    blocks = NearestEarlier(vectors, 6)

    for row in range(50):
        assert whole.kept(row)[0].tolist() == blocks.kept(row)[0].tolist()
