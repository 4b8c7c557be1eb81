from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fakes import FlatIndex
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.embedded.faiss_index import FaissIndex
from cache.errors import IndexMismatch
from cache.ports import VectorIndex
from cache.types import EntryId, PartitionKey, Vectors

DIM = 16
HERE, THERE = PartitionKey(b"h" * 32), PartitionKey(b"t" * 32)


def units(n: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ids(*numbers: int) -> list[EntryId]:
    return [EntryId(number) for number in numbers]


MAKERS: dict[str, Callable[[], VectorIndex]] = {
    "flat": FlatIndex,
    "faiss": lambda: FaissIndex(DIM),
}


@pytest.fixture(params=MAKERS)
def index(request: pytest.FixtureRequest) -> Iterator[VectorIndex]:
    index = MAKERS[request.param]()
    yield index
    index.close()


def test_best_first_and_at_most_k(index: VectorIndex) -> None:
    """Most similar first, with true cosines, and never more than asked for."""
    rows = units(20)
    index.add(HERE, ids(*range(1, 21)), rows)

    found = index.search(HERE, rows[6], 5)

    cosines = rows @ rows[6]
    assert [n.id for n in found] == [int(i) + 1 for i in np.argsort(-cosines)[:5]]
    np.testing.assert_allclose([n.similarity for n in found], np.sort(cosines)[::-1][:5], atol=1e-5)


def test_what_is_below_the_floor_is_left_out(index: VectorIndex) -> None:
    """Only those that reach the floor come, the same and in the same order as without one."""
    rows = units(400)
    index.add(HERE, ids(*range(1, 401)), rows)
    everyone = index.search(HERE, rows[6], 400)
    for n in (1, 5, 300):
        floor = (everyone[n - 1].similarity + everyone[n].similarity) / 2

        assert index.search(HERE, rows[6], 400, floor) == everyone[:n]
        assert index.search(HERE, rows[6], 4, floor) == everyone[: min(n, 4)]


def test_where_all_are_below_the_floor_the_nearest_living_one_comes_alone(
    index: VectorIndex,
) -> None:
    """It says how far away the best was; a removed one is never it, and of equals the lower id."""
    rows = units(3)
    index.add(HERE, ids(1, 2, 3), rows)
    nearest, second, _ = index.search(HERE, -rows[0], 3)

    assert index.search(HERE, -rows[0], 3, 1.0) == [nearest]

    index.remove([nearest.id])
    index.add(HERE, ids(9), rows[int(second.id) - 1 : int(second.id)])

    assert index.search(HERE, -rows[0], 3, 1.0) == [second]


def test_equally_similar_ones_come_by_id(index: VectorIndex) -> None:
    """The same vectors always give the same order."""
    row = units(1)
    for entry_id in (5, 2, 9, 1):
        index.add(HERE, ids(entry_id), row)

    assert [n.id for n in index.search(HERE, row[0], 3)] == [1, 2, 5]


def test_no_search_crosses_a_partition(index: VectorIndex) -> None:
    """The very vector in another partition is not seen; an unknown partition is empty."""
    row = units(1)
    index.add(THERE, ids(1), row)

    assert index.search(HERE, row[0], 4) == []
    assert [n.id for n in index.search(THERE, row[0], 4)] == [1]


def test_a_removed_entry_is_gone_at_once(index: VectorIndex) -> None:
    """And removing it again, or what never was, is no error."""
    rows = units(3)
    index.add(HERE, ids(1, 2, 3), rows)

    index.remove(ids(2, 77))
    index.remove(ids(2))

    assert {n.id for n in index.search(HERE, rows[1], 3)} == {1, 3}
    assert len(index) == 2


def test_a_known_id_moves(index: VectorIndex) -> None:
    """Adding it again gives it the new vector and the new partition, and only those."""
    rows = units(2)
    index.add(HERE, ids(1), rows[:1])

    index.add(THERE, ids(1), rows[1:])

    assert index.search(HERE, rows[0], 1) == []
    [found] = index.search(THERE, rows[1], 1)
    assert found.similarity == pytest.approx(1, abs=1e-5)
    assert len(index) == 1


def test_an_index_answers_as_well_after_settling(index: VectorIndex) -> None:
    """Settling changes how, not what."""
    rows = units(30)
    index.add(HERE, ids(*range(1, 31)), rows)
    before = index.search(HERE, rows[3], 7)

    index.settle()

    assert index.search(HERE, rows[3], 7) == before


def test_vectors_of_another_length_are_refused() -> None:
    """The sentence says both lengths; the index is unharmed."""
    index = FaissIndex(DIM)
    with pytest.raises(IndexMismatch, match=r"16 dimensions, got shape \(1, 8\)"):
        index.add(HERE, ids(1), np.ones((1, 8), np.float32))
    with pytest.raises(IndexMismatch, match="16 dimensions"):
        index.search(HERE, np.ones(8, np.float32), 1)
    assert len(index) == 0


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "settle"]),
            st.integers(1, 40),
            st.sampled_from([HERE, THERE]),
            st.integers(0, 60),
        ),
        max_size=80,
    ),
    query=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_the_flat_index_is_the_oracle(
    steps: list[tuple[str, int, PartitionKey, int]], query: int
) -> None:
    """After any adds, moves and removals both answer the same, partition by partition."""
    pool = units(61, seed=5)
    oracle, index = FlatIndex(), FaissIndex(DIM)
    for act, number, partition, row in steps:
        for one in (oracle, index):
            if act == "add":
                one.add(partition, ids(number), pool[row : row + 1])
            elif act == "remove":
                one.remove(ids(number))
            else:
                one.settle()

    for partition in (HERE, THERE):
        expected = oracle.search(partition, pool[query], 6)
        found = index.search(partition, pool[query], 6)
        np.testing.assert_allclose(
            [n.similarity for n in found], [n.similarity for n in expected], atol=1e-5
        )
        assert {n.id for n in found if n.similarity > expected[-1].similarity + 1e-5} == {
            n.id for n in expected if n.similarity > expected[-1].similarity + 1e-5
        }
    assert len(index) == len(oracle)
    index.close()
