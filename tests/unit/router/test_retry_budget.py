from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.fallback.budget import RetryBudget


def test_a_burst_is_allowed_and_then_a_share() -> None:
    """What was saved up goes first; then every fifth request may be repeated."""
    budget = RetryBudget(0.2, 2)

    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(5):
        budget.earn()

    assert [budget.spend(), budget.spend()] == [True, False]


@given(st.floats(0, 1), st.integers(0, 50), st.lists(st.booleans(), max_size=300))
def test_repeats_never_exceed_the_burst_and_the_share(
    share: float, burst: int, is_request: list[bool]
) -> None:
    """Whatever the order of requests and failures: the outage is not doubled."""
    budget = RetryBudget(share, burst)
    n_repeated = 0
    for one in is_request:
        if one:
            budget.earn()
        else:
            n_repeated += budget.spend()

    assert n_repeated <= burst + share * sum(is_request) + 1e-6
