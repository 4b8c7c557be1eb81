from __future__ import annotations

from fakes import FakeClock

from router.ledger.allowance import DAY_S, Allowance


def test_what_is_set_aside_counts_at_once() -> None:
    """Two calls at a time cannot both take the last of it."""
    allowance = Allowance(100, FakeClock())

    assert allowance.reserve(60) is not None
    assert allowance.reserve(60) is None
    assert allowance.reserve(40) is not None


def test_settling_puts_what_was_spent_in_place_of_the_estimate() -> None:
    """Less than expected frees the rest, more takes from what is left."""
    allowance = Allowance(100, FakeClock())
    reserved = allowance.reserve(60)
    assert reserved is not None

    allowance.settle(reserved, 90)

    assert allowance.reserve(11) is None
    assert allowance.reserve(10) is not None


def test_an_unknown_cost_leaves_the_estimate() -> None:
    """What nobody knows is not taken for free."""
    allowance = Allowance(100, FakeClock())
    reserved = allowance.reserve(60)
    assert reserved is not None

    allowance.settle(reserved, None)

    assert allowance.reserve(41) is None


def test_every_day_begins_anew() -> None:
    """What is settled late belongs to the day it was set aside."""
    clock = FakeClock(10 * DAY_S - 1.0)
    allowance = Allowance(100, clock)
    reserved = allowance.reserve(100)
    assert reserved is not None

    clock.advance(1)
    allowance.settle(reserved, 500)

    assert allowance.reserve(100) is not None
    assert allowance.reserve(1) is None


def test_without_an_allowance_nothing_is_free() -> None:
    """A budget of 0 means none, also for models that cost nothing."""
    assert Allowance(0, FakeClock()).reserve(0) is None


def test_what_was_spent_before_the_start_counts() -> None:
    """A restart is no new day."""
    allowance = Allowance(100, FakeClock())

    allowance.used_before(95)

    assert allowance.reserve(6) is None
    assert allowance.reserve(5) is not None
