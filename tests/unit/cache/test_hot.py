from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cache.hot import HotAnswers
from cache.policy import Wording
from cache.types import EntryId


def wording(text: str) -> Wording:
    return Wording(text, lambda text: "")


def test_the_least_recently_used_leaves_first() -> None:
    """A look counts as use."""
    hot = HotAnswers(max_bytes=20_000)
    for number in range(8):
        hot.put(EntryId(number), wording(""), b"x" * 1500)
    hot.get(EntryId(0))

    for number in range(8, 12):
        hot.put(EntryId(number), wording(""), b"x" * 1500)

    assert hot.get(EntryId(0)) is not None
    assert hot.get(EntryId(1)) is None


def test_a_giant_is_handed_out_but_not_kept() -> None:
    """It would drive out everything else."""
    hot = HotAnswers(max_bytes=8000)

    assert hot.put(EntryId(1), wording("a"), b"x" * 2000).answer == b"x" * 2000

    assert (len(hot), hot.n_bytes) == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3000)), max_size=80))
def test_the_bound_holds_and_the_count_is_true(steps: list[tuple[bool, int, int]]) -> None:
    """After any puts, replacements and discards."""
    hot, held = HotAnswers(max_bytes=10_000), set()
    for is_put, number, size in steps:
        if is_put:
            hot.put(EntryId(number), wording(""), b"x" * size)
        else:
            hot.discard(EntryId(number))
            assert hot.get(EntryId(number)) is None
        held = {n for n in range(10) if hot.get(EntryId(n)) is not None}
        assert len(hot) == len(held)
        assert hot.n_bytes <= 10_000
    for number in held:
        hot.discard(EntryId(number))
    assert hot.n_bytes == 0
