from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cache.embedded import faiss_index
from cache.embedded.faiss_index import FaissIndex
from cache.types import EntryId, PartitionKey, Vectors

DIM = 48
HERE = PartitionKey(b"h" * 32)


def prompts(n: int, seed: int = 1) -> Vectors:
    """Vectors in clusters of clusters, as those of texts are."""
    rng = np.random.default_rng(seed)
    topics = np.random.default_rng(99).standard_normal((200, DIM))
    rows = topics[rng.integers(0, 200, n)] + 0.7 * rng.standard_normal((n, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def numbered(start: int, count: int) -> list[EntryId]:
    return [EntryId(number) for number in range(start, start + count)]


def recall_at_1(index: FaissIndex, rows: Vectors, queries: Vectors) -> float:
    best = (queries @ rows.T).max(axis=1)
    found = [index.search(HERE, query, 1)[0].similarity for query in queries]
    return float(np.mean(np.array(found) >= best - 1e-5))


def until(done: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.01)
    assert done()  # type: ignore[operator]


@pytest.fixture
def rows() -> Vectors:
    return prompts(9000)


def coded(index: FaissIndex) -> int:
    codes = index._partitions[HERE].view[1]
    return codes.n if codes is not None else 0


def test_a_large_partition_finds_nearly_always_the_nearest(rows: Vectors) -> None:
    """Recall@1 of at least 0.99 against the exact search, with exact similarities."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, len(rows)), rows)
    index.settle(wait=True)

    assert coded(index) == len(rows)
    assert recall_at_1(index, rows, prompts(300, seed=2)) >= 0.99


def test_it_answers_exactly_while_the_codes_are_made(rows: Vectors) -> None:
    """Settling without waiting leaves the caller free; both before and after it finds."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, len(rows)), rows)
    assert coded(index) == 0
    assert recall_at_1(index, rows, prompts(50, seed=2)) == 1

    index.settle()

    until(lambda: coded(index) == len(rows))
    assert recall_at_1(index, rows, prompts(50, seed=2)) >= 0.98
    index.close()


def test_new_entries_are_found_at_once_and_encoded_later(rows: Vectors) -> None:
    """Between add and the background's work they are compared exactly."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, 8000), rows[:8000])
    index.settle(wait=True)

    for at in range(8000, 9000):
        index.add(HERE, numbered(at + 1, 1), rows[at : at + 1])
        assert index.search(HERE, rows[at], 1)[0].id == at + 1

    until(lambda: coded(index) > 8400)
    index.close()


def test_removed_entries_do_not_hide_the_living(rows: Vectors) -> None:
    """Though the codes still name thousands of dead rows, k living ones come back."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, len(rows)), rows)
    index.settle(wait=True)
    order = np.argsort(-(rows @ rows[0]))
    index._is_closed = True  # keeps the background from tidying up

    index.remove([EntryId(int(row) + 1) for row in order[:2000]])

    found = index.search(HERE, rows[0], 8)
    assert len(found) == 8
    assert {n.id for n in found} <= {int(row) + 1 for row in order[2000:]}
    assert found[0].similarity == pytest.approx(float(rows[order[2000]] @ rows[0]), abs=0.05)


def test_the_room_of_the_removed_is_won_back(rows: Vectors) -> None:
    """In the background, with everything that happened meanwhile kept."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, len(rows)), rows)
    index.settle(wait=True)

    index.remove(numbered(1, 3000))
    for at in range(50):  # goes on while the background rebuilds
        index.add(HERE, numbered(20_001 + at, 1), rows[at : at + 1])
        index.remove(numbered(8000 + at, 1))

    until(lambda: index._partitions[HERE].view[0].n < 7000)
    gone = set(numbered(1, 3000)) | set(numbered(8000, 50))
    living = [i for i in range(len(rows)) if i + 1 not in gone] + list(range(50))
    assert len(index) == len(living)
    assert recall_at_1(index, rows[living], prompts(100, seed=3)) >= 0.97
    for at in range(50):
        assert index.search(HERE, rows[at], 1)[0].id == 20_001 + at
        assert index.search(HERE, rows[7999 + at], 1)[0].id != 8000 + at
    index.close()


def test_a_small_partition_holds_no_faiss_index() -> None:
    """Thousands of partitions must be cheap."""
    index = FaissIndex(DIM)
    index.settle()
    rows = prompts(2000)
    for at, row in enumerate(rows):
        index.add(PartitionKey(at.to_bytes(32)), [EntryId(at + 1)], row[np.newaxis])

    assert all(home.view[1] is None for home in index._partitions.values())
    assert index._thread is None
    assert index.search(PartitionKey((7).to_bytes(32)), rows[7], 1)[0].id == 8


def test_an_emptied_partition_is_forgotten() -> None:
    """Partition churn leaves nothing behind."""
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, 10), prompts(10))

    index.remove(numbered(1, 10))

    assert (len(index), index._partitions) == (0, {})


def test_searches_and_changes_may_happen_together(
    rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No search fails, tears a vector from its id, or returns what was removed before it."""
    monkeypatch.setattr(faiss_index, "_TAIL", 64)
    index = FaissIndex(DIM)
    index.add(HERE, numbered(1, 6000), rows[:6000])
    index.settle()
    errors: list[str] = []
    is_over = threading.Event()

    def look() -> None:
        rng = np.random.default_rng(threading.get_ident() % 1000)
        while not is_over.is_set():
            at = int(rng.integers(0, len(rows)))
            for found in index.search(HERE, rows[at], 4):
                true = float(rows[(found.id - 1) % len(rows)] @ rows[at])
                if abs(true - found.similarity) > 1e-4:
                    errors.append(f"{found} is {true}")

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for at in range(6000, 9000):
        index.add(HERE, numbered(at + 1, 1), rows[at : at + 1])
        index.remove(numbered(at - 5999, 1))
        if at % 100 == 0 and any(n.id == at - 5999 for n in index.search(HERE, rows[at - 6000], 4)):
            errors.append(f"{at - 5999} was removed")
    is_over.set()
    for thread in threads:
        thread.join()
    index.close()

    assert errors == []
    assert len(index) == 6000
