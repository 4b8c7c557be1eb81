from __future__ import annotations

from collections.abc import Callable

from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProviderRejected, ProviderUnavailable
from router.fallback.circuit import Circuit, CircuitRule, CircuitState

DOWN = ProviderUnavailable("down", kind="http_503")
NO_CREDIT = ProviderUnavailable("pay first", kind="http_402", is_account_fault=True)
RULE = CircuitRule(failures=3, open_s=10.0, max_open_s=30.0)


def circuit() -> tuple[Circuit, FakeClock, list[CircuitState]]:
    clock, seen = FakeClock(), list[CircuitState]()
    return Circuit(RULE, clock, seen.append), clock, seen


def test_failures_in_a_row_open_it() -> None:
    """An answer between them begins the count anew."""
    tested, _, seen = circuit()

    for ended in (DOWN, DOWN, None, DOWN, DOWN):
        tested.answered() if ended is None else tested.failed(ended)
    assert tested.may_ask()
    tested.failed(DOWN)

    assert not tested.may_ask()
    assert tested.wait_s() == 10.0
    assert "3 failures in a row (http_503)" in tested.why()
    assert seen == [CircuitState.OPEN]


def test_a_fault_of_the_account_opens_it_at_once() -> None:
    """Everyone else's call with that key would fail the same."""
    tested, _, _ = circuit()

    tested.failed(NO_CREDIT)

    assert tested.state is CircuitState.OPEN
    assert tested.is_account_fault
    assert "key or account was refused (http_402)" in tested.why()


def test_half_open_one_call_tries_it() -> None:
    """An answer closes it; meanwhile nobody else asks."""
    tested, clock, seen = circuit()
    tested.failed(NO_CREDIT)
    clock.advance(10.0)

    assert tested.state is CircuitState.HALF_OPEN
    tested.asked()
    assert not tested.may_ask()
    tested.answered()

    assert tested.may_ask()
    assert seen == [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]


def test_every_failed_trial_doubles_the_pause_up_to_a_bound() -> None:
    """A provider that stays down is asked less and less."""
    tested, clock, _ = circuit()
    waits = []
    for _ in range(4):
        tested.failed(NO_CREDIT)
        waits.append(tested.wait_s())
        clock.advance(tested.wait_s())
        tested.asked()

    assert waits == [10.0, 20.0, 30.0, 30.0]


def test_a_trial_whose_caller_leaves_is_no_verdict() -> None:
    """The next caller may try."""
    tested, clock, _ = circuit()
    tested.failed(NO_CREDIT)
    clock.advance(10.0)
    tested.asked()

    tested.left()

    assert tested.may_ask()


def test_calls_that_began_before_it_opened_do_not_open_it_again() -> None:
    """A hundred calls that fail together are one outage."""
    tested, _, seen = circuit()

    for _ in range(100):
        tested.failed(DOWN)

    assert tested.wait_s() == 10.0
    assert seen == [CircuitState.OPEN]


def test_who_refuses_a_request_is_alive() -> None:
    """A refusal closes it like an answer."""
    tested, _, _ = circuit()
    tested.failed(DOWN)
    tested.failed(DOWN)

    tested.failed(ProviderRejected("policy", kind="http_400"))
    tested.failed(DOWN)

    assert tested.may_ask()


def test_a_retry_after_is_honoured_and_is_no_failure() -> None:
    """Everyone leaves the provider alone for as long as it asked; the circuit stays closed."""
    tested, clock, seen = circuit()
    busy = ProviderUnavailable("busy", kind="http_429", retry_after_s=3.0)

    for _ in range(5):
        tested.failed(busy)

    assert tested.is_held()
    assert not tested.may_ask()
    assert "left alone until" in tested.why()
    assert seen == []
    clock.advance(3.0)
    assert tested.may_ask()


def test_a_clock_that_is_set_back_closes_nothing_for_ever() -> None:
    """An hour of daylight saving is no hour of outage."""
    tested, clock, _ = circuit()
    tested.failed(NO_CREDIT)

    clock.advance(-3_600.0)

    assert tested.may_ask()


@given(st.lists(st.sampled_from(["answered", "failed", "refused", "left", "asked", "wait"])))
def test_it_never_stays_open_beyond_its_bound(steps: list[str]) -> None:
    """Whatever happens, after the longest pause a call may be made or one is under way."""
    tested, clock, _ = circuit()
    acts: dict[str, Callable[[], None]] = {
        "answered": tested.answered,
        "failed": lambda: tested.failed(DOWN),
        "refused": lambda: tested.failed(NO_CREDIT),
        "left": tested.left,
        "asked": tested.asked,
        "wait": lambda: clock.advance(7.0),
    }
    for step in steps:
        acts[step]()
    tested.left()

    clock.advance(RULE.max_open_s)

    assert tested.may_ask()
