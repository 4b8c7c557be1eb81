"""What a request cost, and what it would have cost. Pure: integers in, integers out.

====================  =========================  =======================================  =======
outcome               cost                       baseline                                 cause
====================  =========================  =======================================  =======
exact, near           0                          the stored call's usage, baseline model  its own
shared                0: the leader pays         the delivered usage, baseline model      shared
miss, bypass          all attempts               the delivered usage, baseline model      routing
failed                all attempts               0: nothing was delivered                 failed
audit                 all attempts               0: without scrimp nobody would audit     audit
====================  =========================  =======================================  =======

An audit is a line of its own beside that of the hit it checks, so that the hit's figures stay what
they are, and what checking costs is told apart: as negative savings.

Every amount is one rounded price; the rest is integer sums, so ``cost + saved == baseline`` to the
nano wherever all are known. What is unknown is None and stays None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from router.ledger.types import Attempt, Cause, LedgerLine, LineState, Outcome
from router.types import Attribution, Usage

Price = Callable[[str, Usage], int | None]
"""(model, usage) -> nano-dollars, rounded once; None when the model has no known price."""

_CAUSES = {
    Outcome.EXACT: Cause.EXACT,
    Outcome.NEAR: Cause.NEAR,
    Outcome.SHARED: Cause.SHARED,
    Outcome.MISS: Cause.ROUTING,
    Outcome.BYPASS: Cause.ROUTING,
    Outcome.FAILED: Cause.FAILED,
    Outcome.AUDIT: Cause.AUDIT,
}
_NOTHING_DELIVERED = (Outcome.FAILED, Outcome.AUDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The figures of a line, named as in ``LedgerLine``."""

    cost_nanos: int | None
    baseline_nanos: int | None
    cause: Cause
    state: LineState


def account(
    *,
    outcome: Outcome,
    attempts: Sequence[Attempt],
    usage: Usage | None,
    baseline_model: str,
    price: Price,
) -> Account:
    """Return the final figures of a request.

    Args:
        outcome: how it ended.
        attempts: every upstream call this request made, with its cost.
        usage: tokens of the delivered answer, for a hit those of the call that made it.
        baseline_model: what the delivered answer is priced at.
        price: see ``Price``.
    """
    return Account(
        cost_nanos=total_cost(attempts),
        baseline_nanos=_baseline(outcome, usage, baseline_model, price),
        cause=_CAUSES[outcome],
        state=_state(outcome, attempts, usage),
    )


def opened(outcome: Outcome) -> Account:
    """Return the figures of a line whose ticket is out: nothing is known yet."""
    return Account(
        cost_nanos=None, baseline_nanos=None, cause=_CAUSES[outcome], state=LineState.OPEN
    )


def audit_line(hit: LedgerLine, *, line_id: str, at_ms: int) -> LedgerLine:
    """Return the open line of the audit of a hit.

    It is the namespace's, not the user's who happened to be served: whose bill it is was decided by
    the operator.
    """
    figures = opened(Outcome.AUDIT)
    return replace(
        hit,
        line_id=line_id,
        at_ms=at_ms,
        attribution=Attribution(),
        state=figures.state,
        outcome=Outcome.AUDIT,
        cause=figures.cause,
        request_id="",
        age_s=None,
        usage=None,
        cost_nanos=figures.cost_nanos,
        baseline_nanos=figures.baseline_nanos,
        attempts=(),
        stage_ms=(),
        status="OK",
        scorer="",
        choice=None,
    )


def closed_audit(line: LedgerLine, attempts: Sequence[Attempt], price: Price) -> LedgerLine:
    """Return the line of an audit with what its calls came to.

    Args:
        line: from ``audit_line``.
        attempts: every call that was made for it.
        price: of a model's usage.
    """
    figures = account(
        outcome=Outcome.AUDIT,
        attempts=attempts,
        usage=None,
        baseline_model=line.baseline_model,
        price=price,
    )
    return replace(
        line,
        state=figures.state,
        cost_nanos=figures.cost_nanos,
        baseline_nanos=figures.baseline_nanos,
        attempts=tuple(attempts),
    )


def attempt_cost(
    model: str, usage: Usage | None, price: Price, *, is_billable: bool = True
) -> int | None:
    """Return what one upstream call cost.

    Args:
        model: its name in the settings.
        usage: as the provider counted, None when it did not say.
        price: see ``Price``.
        is_billable: False when the provider can not have begun to answer (no connection, refused
            before any work); such a call costs 0 when it tells no usage.
    """
    if usage is not None:
        return price(model, usage)
    return None if is_billable else 0


def total_cost(attempts: Sequence[Attempt]) -> int | None:
    """Return the cost of all attempts, None when any of them is unknown."""
    total = 0
    for attempt in attempts:
        if attempt.cost_nanos is None:
            return None
        total += attempt.cost_nanos
    return total


def _baseline(
    outcome: Outcome, usage: Usage | None, baseline_model: str, price: Price
) -> int | None:
    if outcome in _NOTHING_DELIVERED:
        return 0
    return None if usage is None else price(baseline_model, usage)


def _state(outcome: Outcome, attempts: Sequence[Attempt], usage: Usage | None) -> LineState:
    is_told = usage is not None or outcome in _NOTHING_DELIVERED
    if is_told and all(a.usage is not None or a.cost_nanos is not None for a in attempts):
        return LineState.CLOSED
    return LineState.USAGE_UNKNOWN
