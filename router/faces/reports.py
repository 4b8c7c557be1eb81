"""What the service knows of a request, as wire messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cache.types import MissReason
from router.advisor import LookedUp, Stored, TicketOut
from router.faces.wire import write_answer, write_usage
from router.gateway import Answered
from router.ledger.types import LedgerLine, Outcome, SavingsReport, Shadow, Totals
from router.types import Routing
from scrimp.v1 import advisor_pb2, chat_pb2, gateway_pb2, savings_pb2

_OUTCOMES: Mapping[Outcome, chat_pb2.CacheOutcome.ValueType] = {
    Outcome.EXACT: chat_pb2.CACHE_OUTCOME_EXACT,
    Outcome.NEAR: chat_pb2.CACHE_OUTCOME_NEAR,
    Outcome.SHARED: chat_pb2.CACHE_OUTCOME_SHARED,
    Outcome.MISS: chat_pb2.CACHE_OUTCOME_MISS,
    Outcome.BYPASS: chat_pb2.CACHE_OUTCOME_BYPASS,
    Outcome.FAILED: chat_pb2.CACHE_OUTCOME_MISS,
}
_REASONS: Mapping[str, chat_pb2.MissReason.ValueType] = {
    reason.value: chat_pb2.MissReason.Value(f"MISS_REASON_{reason.name}") for reason in MissReason
}
_HITS = (Outcome.EXACT, Outcome.NEAR)


def completed(answered: Answered, *, without_answer: bool = False) -> gateway_pb2.CompleteResponse:
    """Write the end of a gateway request."""
    line, completion = answered.line, answered.completion
    return gateway_pb2.CompleteResponse(
        answer=None if without_answer else write_answer(completion.answer),
        report=gateway_pb2.GatewayReport(
            response_id=line.line_id,
            model=line.model,
            provider_model=completion.provider_model,
            usage=write_usage(completion.usage),
            cache=cache_report(line),
            routing=routing(answered.routing),
            cost=cost(line),
            stages=stages(line),
            shadow=shadow(line.shadow),
        ),
    )


def looked_up(found: LookedUp, *, without_answer: bool = False) -> advisor_pb2.LookUpResponse:
    """Write the end of a look-up."""
    line = found.line
    hit, advice = None, None
    if found.hit is None:
        advice = advisor_pb2.Advice(routing=routing(found.routing), ticket=_ticket(found.ticket))
    else:
        hit = advisor_pb2.StoredAnswer(
            answer=None if without_answer else write_answer(found.hit.answer),
            model=line.model,
            usage=write_usage(found.hit.usage),
            audit_ticket=_ticket(found.ticket),
        )
    return advisor_pb2.LookUpResponse(
        hit=hit,
        advice=advice,
        response_id=line.line_id,
        cache=cache_report(line),
        cost=cost(line) if found.hit else None,
        stages=stages(line),
        shadow=shadow(line.shadow),
    )


def stored(done: Stored) -> advisor_pb2.StoreResponse:
    """Write the end of a store."""
    return advisor_pb2.StoreResponse(
        entry_id=entry_id(done.kept.entry_id),
        not_stored_reason=done.kept.reason,
        cost=cost(done.line),
    )


def _ticket(ticket: TicketOut | None) -> advisor_pb2.Ticket | None:
    if ticket is None:
        return None
    return advisor_pb2.Ticket(token=ticket.token, expires_at_ms=ticket.expires_at_ms)


def entry_id(value: int) -> str:
    """Write an entry's id; 0 is none."""
    return str(value) if value else ""


def cache_report(line: LedgerLine) -> chat_pb2.CacheReport:
    """Write what the cache did."""
    is_miss = line.outcome not in (*_HITS, Outcome.SHARED)
    reason = _REASONS.get(line.miss_reason) if is_miss else None
    return chat_pb2.CacheReport(
        outcome=_OUTCOMES[line.outcome],
        miss_reason=reason or chat_pb2.MISS_REASON_UNSPECIFIED,
        entry_id=entry_id(line.entry_id),
        similarity=line.similarity,
        p_right=line.p_right,
        age_s=line.age_s,
    )


def routing(decided: Routing | None) -> chat_pb2.Routing | None:
    """Write a routing decision."""
    if decided is None:
        return None
    return chat_pb2.Routing(
        chain=decided.chain,
        candidates=[
            chat_pb2.Candidate(
                model=candidate.model,
                p_adequate=candidate.p_adequate,
                expected_cost_usd_nanos=candidate.expected_cost_nanos,
                rejection=candidate.rejection,
            )
            for candidate in decided.candidates
        ],
        reason=decided.reason,
        scorer=decided.scorer,
        quality_target=decided.quality_target,
    )


def cost(line: LedgerLine) -> chat_pb2.Cost:
    """Write what a request cost and saved; what is unknown stays absent."""
    return chat_pb2.Cost(
        cost_usd_nanos=line.cost_nanos,
        baseline_usd_nanos=line.baseline_nanos,
        saved_usd_nanos=line.saved_nanos,
        baseline_model=line.baseline_model,
    )


def stages(line: LedgerLine) -> chat_pb2.StageTimes:
    """Write the milliseconds per stage."""
    return chat_pb2.StageTimes(**{f"{stage.value}_ms": ms for stage, ms in line.stage_ms})


def shadow(would_be: Shadow | None) -> chat_pb2.Shadow | None:
    """Write what mode on would have done."""
    if would_be is None:
        return None
    return chat_pb2.Shadow(
        outcome=_OUTCOMES[would_be.outcome],
        model=would_be.model,
        saved_usd_nanos=would_be.saved_nanos,
    )


def savings(
    report: SavingsReport, churn: Iterable[tuple[str, str, int]]
) -> savings_pb2.SavingsReport:
    """Write a savings report."""
    return savings_pb2.SavingsReport(
        totals=_totals(report.totals),
        groups=[
            savings_pb2.SavingsGroup(keys=group.keys, totals=_totals(group.totals))
            for group in report.groups
        ],
        stages=[
            savings_pb2.StageTime(
                stage=time.stage, n=time.n, p50_ms=time.p50_ms, p99_ms=time.p99_ms
            )
            for time in report.stages
        ],
        assumptions=report.assumptions,
        churn=[
            savings_pb2.Churn(namespace=namespace, field=field, n_misses=n)
            for namespace, field, n in churn
        ],
    )


def _totals(totals: Totals) -> savings_pb2.Totals:
    return savings_pb2.Totals(
        n_requests=totals.n_requests,
        n_by_outcome=dict(totals.n_by_outcome),
        n_by_miss_reason=dict(totals.n_by_miss_reason),
        n_by_model=dict(totals.n_by_model),
        n_priced=totals.n_priced,
        n_unpriced=totals.n_unpriced,
        n_usage_unknown=totals.n_usage_unknown,
        n_open=totals.n_open,
        cost_usd_nanos=totals.cost_nanos,
        baseline_usd_nanos=totals.baseline_nanos,
        saved_usd_nanos=totals.saved_nanos,
        saved_usd_nanos_by_cause=dict(totals.saved_by_cause),
        unpriced_cost_usd_nanos=totals.unpriced_cost_nanos,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        n_attempts=totals.n_attempts,
        n_failed_attempts=totals.n_failed_attempts,
        failed_cost_usd_nanos=totals.failed_cost_nanos,
        n_shadow_hits=totals.n_shadow_hits,
        shadow_saved_usd_nanos=totals.shadow_saved_nanos,
        n_shadow_unknown=totals.n_shadow_unknown,
        n_audits=totals.n_audits,
    )
