from __future__ import annotations

import pytest
from fakes_ledger import USAGE, a_hit, an_attempt
from hypothesis import given, settings
from hypothesis import strategies as st

from router.ledger.accounting import account, attempt_cost, audit_line, opened, total_cost
from router.ledger.types import Attempt, Cause, LineState, Outcome
from router.types import Attribution, Usage

PRICES = {"small": (400, 1_600), "large": (2_000, 8_000)}  # nanos per input and output token


def price(model: str, usage: Usage) -> int | None:
    if model not in PRICES:
        return None
    per_input, per_output = PRICES[model]
    return usage.input_tokens * per_input + usage.output_tokens * per_output


usages = st.builds(
    Usage, input_tokens=st.integers(0, 2_000_000), output_tokens=st.integers(0, 200_000)
)
models = st.sampled_from(["small", "large", "unpriced"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    model, usage = draw(models), draw(st.none() | usages)
    cost = attempt_cost(model, usage, price, is_billable=draw(st.booleans()))
    status = draw(st.sampled_from(["ok", "timeout", "unavailable"]))
    return an_attempt(model=model, status=status, usage=usage, cost_nanos=cost)


@settings(deadline=None)
@given(
    outcome=st.sampled_from(Outcome),
    made=st.lists(attempts(), max_size=4),
    usage=st.none() | usages,
    baseline=models,
)
def test_the_figures_of_a_request_are_known_or_none(
    outcome: Outcome, made: list[Attempt], usage: Usage | None, baseline: str
) -> None:
    """No amount is guessed: what is None has an unknown part, what is not is exact."""
    figures = account(
        outcome=outcome, attempts=made, usage=usage, baseline_model=baseline, price=price
    )

    costs = [attempt.cost_nanos for attempt in made]
    assert (figures.cost_nanos is None) == (None in costs)
    if figures.cost_nanos is not None:
        assert figures.cost_nanos == sum(cost for cost in costs if cost is not None)
    if outcome in (Outcome.FAILED, Outcome.AUDIT):
        assert figures.baseline_nanos == 0
    else:
        assert figures.baseline_nanos == (None if usage is None else price(baseline, usage))
    if figures.state is LineState.CLOSED:
        assert all(a.usage is not None or a.cost_nanos == 0 for a in made)
        assert usage is not None or outcome in (Outcome.FAILED, Outcome.AUDIT)
    else:
        assert figures.state is LineState.USAGE_UNKNOWN


@pytest.mark.parametrize(
    ("outcome", "cause"), [(Outcome.EXACT, Cause.EXACT), (Outcome.NEAR, Cause.NEAR)]
)
def test_a_hit_costs_nothing(outcome: Outcome, cause: Cause) -> None:
    """All of what the stored answer's call would have cost on the baseline is saved."""
    figures = account(
        outcome=outcome, attempts=(), usage=USAGE, baseline_model="large", price=price
    )

    assert (figures.cost_nanos, figures.baseline_nanos) == (0, 900 * 2_000 + 200 * 8_000)
    assert (figures.cause, figures.state) == (cause, LineState.CLOSED)


def test_a_hit_of_unknown_usage_saves_nothing_that_anyone_could_name() -> None:
    """Without the stored call's usage there is no baseline; the line is counted apart."""
    figures = account(
        outcome=Outcome.EXACT, attempts=(), usage=None, baseline_model="large", price=price
    )

    assert (figures.baseline_nanos, figures.state) == (None, LineState.USAGE_UNKNOWN)


def test_an_audit_is_paid_for_and_delivers_nothing() -> None:
    """Its cost has no baseline, so that it is taken off what was saved, under its own cause."""
    figures = account(
        outcome=Outcome.AUDIT,
        attempts=(an_attempt(cost_nanos=680_000), an_attempt(cost_nanos=20_000)),
        usage=None,
        baseline_model="large",
        price=price,
    )

    assert (figures.cost_nanos, figures.baseline_nanos) == (700_000, 0)
    assert (figures.cause, figures.state) == (Cause.AUDIT, LineState.CLOSED)


def test_the_line_of_an_audit_is_the_namespaces() -> None:
    """No user, no request id and no answer of its own: feedback and reports find the hit."""
    hit = a_hit(outcome=Outcome.NEAR, cause=Cause.NEAR, request_id="r-1")

    line = audit_line(hit, line_id="0" * 32, at_ms=5)

    assert (line.outcome, line.cause, line.state) == (Outcome.AUDIT, Cause.AUDIT, LineState.OPEN)
    assert (line.namespace, line.model, line.entry_id) == (hit.namespace, hit.model, hit.entry_id)
    assert (line.attribution, line.request_id, line.usage) == (Attribution(), "", None)
    assert (line.cost_nanos, line.baseline_nanos, line.stage_ms) == (None, None, ())


def test_a_shared_call_is_paid_by_its_leader() -> None:
    """Who joined a call in flight pays nothing and saves all of the baseline."""
    figures = account(
        outcome=Outcome.SHARED, attempts=(), usage=USAGE, baseline_model="large", price=price
    )

    assert (figures.cost_nanos, figures.cause) == (0, Cause.SHARED)


@pytest.mark.parametrize("outcome", [Outcome.MISS, Outcome.BYPASS])
def test_a_miss_pays_for_every_attempt(outcome: Outcome) -> None:
    """A retry is paid twice, and what is saved is owed to routing."""
    failed = an_attempt(status="timeout", cost_nanos=10)
    figures = account(
        outcome=outcome,
        attempts=(failed, an_attempt(cost_nanos=680_000)),
        usage=USAGE,
        baseline_model="large",
        price=price,
    )

    assert (figures.cost_nanos, figures.cause) == (680_010, Cause.ROUTING)


def test_a_failed_request_delivers_nothing() -> None:
    """Its baseline is 0, so what was paid for it is saved with a minus."""
    figures = account(
        outcome=Outcome.FAILED,
        attempts=(an_attempt(status="rejected", cost_nanos=5),),
        usage=None,
        baseline_model="large",
        price=price,
    )

    assert (figures.cost_nanos, figures.baseline_nanos) == (5, 0)
    assert (figures.cause, figures.state) == (Cause.FAILED, LineState.CLOSED)


def test_an_unknown_price_is_no_unknown_usage() -> None:
    """The line closes, unpriced: the tokens are known, the money is not."""
    unpriced = an_attempt(model="new", cost_nanos=attempt_cost("new", USAGE, price))
    figures = account(
        outcome=Outcome.MISS, attempts=(unpriced,), usage=USAGE, baseline_model="large", price=price
    )

    assert (figures.cost_nanos, figures.state) == (None, LineState.CLOSED)


def test_a_call_that_never_began_is_free() -> None:
    """Without a connection nothing was billed; with one, nobody can say."""
    assert attempt_cost("small", None, price, is_billable=False) == 0
    assert attempt_cost("small", None, price) is None
    assert total_cost(()) == 0


def test_an_open_line_knows_nothing() -> None:
    """A ticket is out: its request is not 0, it is unknown."""
    figures = opened(Outcome.MISS)

    assert (figures.cost_nanos, figures.baseline_nanos) == (None, None)
    assert (figures.state, figures.cause) == (LineState.OPEN, Cause.ROUTING)
