"""From a decision and what came of it to its ledger line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cache.types import Hit
from router.decision import Decision
from router.ledger.accounting import Price, account, opened
from router.ledger.types import Attempt, Choice, LedgerLine, Outcome, Shadow
from router.types import Face, Usage

_HITS = (Outcome.EXACT, Outcome.NEAR)
_ROUTED = (Outcome.MISS, Outcome.BYPASS, Outcome.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What a request came to.

    Attributes:
        outcome: how it ended.
        model: whose answer was delivered, or that was named to the app; may be empty.
        usage: of the call that made the delivered answer.
        attempts: upstream calls made for this request.
        entry_id: the entry served or stored; 0 when none.
        status: ``OK`` or the status the caller got.
        is_open: a ticket is out, and the figures come with it.
    """

    outcome: Outcome
    model: str = ""
    usage: Usage | None = None
    attempts: Sequence[Attempt] = ()
    entry_id: int = 0
    status: str = "OK"
    is_open: bool = False


class Accountant:
    """Writes the line of a request; the arithmetic is ``router.ledger.accounting``'s.

    Args:
        baseline_model: what traffic that names no baseline would go to without scrimp.
        price: ``(model, usage)`` to nano-dollars.
        now_s: seconds since the epoch.
    """

    def __init__(self, baseline_model: str, price: Price, now_s: Callable[[], float]) -> None:
        self._baseline_model = baseline_model
        self._price = price
        self._now_s = now_s

    def line(
        self, decision: Decision, delivered: Delivered, *, face: Face, line_id: str
    ) -> LedgerLine:
        """Return the line as it stands now."""
        request = decision.request
        baseline = request.wishes.baseline_model or self._baseline_model
        figures = (
            opened(delivered.outcome)
            if delivered.is_open
            else account(
                outcome=delivered.outcome,
                attempts=delivered.attempts,
                usage=delivered.usage,
                baseline_model=baseline,
                price=self._price,
            )
        )
        similarity, p_right, age_s = _judgement(decision)
        return LedgerLine(
            line_id=line_id,
            at_ms=int(self._now_s() * 1e3),
            namespace=request.namespace,
            caller=request.caller,
            attribution=request.attribution,
            face=face,
            mode=decision.mode,
            state=figures.state,
            outcome=delivered.outcome,
            cause=figures.cause,
            request_id=request.request_id,
            miss_reason=_reason(decision, delivered),
            entry_id=delivered.entry_id,
            similarity=similarity,
            p_right=p_right,
            age_s=age_s,
            model=delivered.model,
            baseline_model=baseline,
            usage=delivered.usage,
            cost_nanos=figures.cost_nanos,
            baseline_nanos=figures.baseline_nanos,
            attempts=tuple(delivered.attempts),
            shadow=self._shadow(decision, delivered, baseline),
            stage_ms=decision.clock.readings(),
            status=delivered.status,
            scorer=decision.routing.scorer if decision.routing else "",
            choice=_choice(decision) if delivered.outcome in _ROUTED else None,
        )

    def closed(
        self, line: LedgerLine, *, model: str, usage: Usage | None, attempts: Sequence[Attempt]
    ) -> LedgerLine:
        """Return an open line with what the app told of its call.

        A call that failed makes the request failed, except for an audit, which is no request.
        """
        outcome = line.outcome
        if outcome is Outcome.AUDIT:
            usage = None
        elif not attempts or attempts[-1].status != "ok":
            outcome = Outcome.FAILED
        figures = account(
            outcome=outcome,
            attempts=attempts,
            usage=usage,
            baseline_model=line.baseline_model,
            price=self._price,
        )
        return replace(
            line,
            state=figures.state,
            outcome=outcome,
            cause=figures.cause,
            model=model,
            usage=usage,
            cost_nanos=figures.cost_nanos,
            baseline_nanos=figures.baseline_nanos,
            attempts=tuple(attempts),
            shadow=line.shadow
            and self._would_be(line.shadow.outcome, line.shadow.model, usage, line.baseline_model),
        )

    def _shadow(self, decision: Decision, delivered: Delivered, baseline: str) -> Shadow | None:
        """Say what mode on would have done; its savings rest on the delivered answer's tokens."""
        if decision.hit is not None and not decision.is_served:
            outcome = Outcome.EXACT if decision.hit.is_exact else Outcome.NEAR
            return self._would_be(outcome, decision.hit.head.model, delivered.usage, baseline)
        if decision.would_be is None:
            return None
        return self._would_be(Outcome.MISS, decision.would_be.chain[0], delivered.usage, baseline)

    def _would_be(self, outcome: Outcome, model: str, usage: Usage | None, baseline: str) -> Shadow:
        cost = 0 if outcome in _HITS else self._cost(model, usage)
        without = self._cost(baseline, usage)
        saved = None if without is None or cost is None else without - cost
        return Shadow(outcome=outcome, model=model, saved_nanos=saved)

    def _cost(self, model: str, usage: Usage | None) -> int | None:
        return None if usage is None else self._price(model, usage)


def _choice(decision: Decision) -> Choice | None:
    """Return what the namespace's own rules chose, or in shadow mode would have chosen, from."""
    routing = decision.would_be or decision.routing
    if routing is None or not routing.is_plain:
        return None
    return Choice(
        models=tuple([one.model for one in routing.candidates]),
        p=tuple([one.p_adequate if one.fits else None for one in routing.candidates]),
        chosen=routing.chain[0],
    )


def _judgement(decision: Decision) -> tuple[float | None, float | None, float | None]:
    found = decision.hit or decision.miss
    if found is None:
        return None, None, None
    age_s = found.age_s if isinstance(found, Hit) and decision.is_served else None
    return found.similarity, found.p_right, age_s


def _reason(decision: Decision, delivered: Delivered) -> str:
    if delivered.outcome in (Outcome.EXACT, Outcome.NEAR, Outcome.SHARED):
        return ""
    return decision.reason.value if decision.reason else ""
