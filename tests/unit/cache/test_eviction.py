from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cache.eviction import ExpiryQueue, Sieve
from cache.types import EntryId


def sieve_of(*numbers: int) -> Sieve:
    sieve = Sieve()
    for number in numbers:
        sieve.add(EntryId(number))
    return sieve


def test_without_hits_the_oldest_leaves_first() -> None:
    """As in a queue."""
    sieve = sieve_of(1, 2, 3)

    assert [sieve.evict() for _ in range(4)] == [1, 2, 3, None]


def test_a_hit_saves_once() -> None:
    """The hand takes the bit and goes on; the next time around nothing saves the entry."""
    sieve = sieve_of(1, 2, 3)
    sieve.visit(EntryId(1))

    assert [sieve.evict() for _ in range(3)] == [2, 3, 1]


def test_the_hand_stays_where_it_was() -> None:
    """What was spared is not looked at again before the newer ones: SIEVE, not CLOCK."""
    sieve = sieve_of(1, 2, 3)
    sieve.visit(EntryId(1))
    assert sieve.evict() == 2
    sieve.add(EntryId(4))

    assert [sieve.evict(), sieve.evict(), sieve.evict()] == [3, 4, 1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "visit", "remove", "evict"]), st.integers(1, 12)),
        max_size=200,
    )
)
def test_it_always_names_one_of_those_present(steps: list[tuple[str, int]]) -> None:
    """After any history; and an unvisited one as long as there is one."""
    sieve, present, visited = Sieve(), set[int](), set[int]()
    for act, number in steps:
        if act == "add":
            sieve.add(EntryId(number))
            present.add(number)
            visited.discard(number)
        elif act == "visit":
            sieve.visit(EntryId(number))
            visited |= present & {number}
        elif act == "remove":
            sieve.remove(EntryId(number))
            present.discard(number)
        else:
            chosen = sieve.evict()
            assert (chosen is None) == (not present)
            if chosen is not None:
                assert chosen in present
                present.remove(chosen)
                visited &= present
        assert len(sieve) == len(present)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 100)), unique_by=lambda t: t[0]))
def test_the_expired_come_in_order(entries: list[tuple[int, float]]) -> None:
    """All whose moment has come, earliest first, and no other."""
    due = ExpiryQueue()
    for number, moment in entries:
        due.add(EntryId(number), moment)

    popped = []
    while (entry_id := due.pop(50)) is not None:
        popped.append(entry_id)

    assert popped == [n for _, n in sorted((m, n) for n, m in entries if m <= 50)]
