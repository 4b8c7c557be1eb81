"""What the service knows of a request, as wire messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cache.types import MissReason
from router.advisor import LookedUp, Stored, TicketOut
from router.erasure import Erasure
from router.faces.wire import write_answer, write_usage
from router.gateway import Answered, Begun
from router.ledger.types import (
    AssuranceReport,
    AssuranceState,
    LedgerLine,
    Outcome,
    SavingsReport,
    Shadow,
    Stage,
    Totals,
)
from router.once import Replayed
from router.types import Routing
from scrimp.v1 import admin_pb2, advisor_pb2, chat_pb2, gateway_pb2, savings_pb2

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
_WITHOUT_CALL = (Outcome.EXACT, Outcome.NEAR, Outcome.SHARED)
_STAGE_FIELDS: Mapping[Stage, str] = {stage: f"{stage.value}_ms" for stage in Stage}
_STATES: Mapping[AssuranceState, savings_pb2.AssuranceState.ValueType] = {
    state: savings_pb2.AssuranceState.Value(f"ASSURANCE_STATE_{state.name}")
    for state in AssuranceState
}


def completed(answered: Answered, *, without_answer: bool = False) -> gateway_pb2.CompleteResponse:
    """Write the end of a gateway request."""
    completion = answered.completion
    wire = gateway_pb2.CompleteResponse()
    if not without_answer:
        write_answer(wire.answer, completion.answer)
    report = wire.report
    report.provider_model = completion.provider_model
    if completion.usage is not None:
        write_usage(report.usage, completion.usage)
    if answered.routing is not None:
        _write_routing(report.routing, answered.routing)
    _write_line(report, answered.line)
    return wire


def erased(done: Erasure) -> admin_pb2.EraseUserResponse:
    """Write what an erasure came to."""
    held = done.erased
    return admin_pb2.EraseUserResponse(
        n_entries=done.n_entries,
        n_requests=held.n_lines,
        n_outcomes=held.n_kept,
        n_tickets=held.n_tickets,
        n_pairs=held.n_pairs + held.n_labels,
        n_notes=held.n_notes,
        n_observations=held.n_observations,
        n_verdicts=held.n_verdicts,
        is_freed=done.is_freed,
    )


def encode_completed(answered: Answered, without_answer: bool) -> bytes:
    """Return the end of a gateway request as it is kept for retries."""
    return completed(answered, without_answer=without_answer).SerializeToString()


def replayed(kept: Replayed) -> gateway_pb2.CompleteResponse:
    """Write the end of an earlier request with the same id."""
    response = gateway_pb2.CompleteResponse.FromString(kept.response)
    response.report.replayed = True
    return response


def begun(known: Begun) -> gateway_pb2.GatewayReport:
    """Write what is known of a streamed request before its first piece."""
    report = gateway_pb2.GatewayReport()
    _write_line(report, known.line)
    return report


def _write_line(report: gateway_pb2.GatewayReport, line: LedgerLine) -> None:
    report.response_id = line.line_id
    report.model = line.model
    _write_cache(report.cache, line)
    _write_cost(report.cost, line)
    _write_stages(report.stages, line)
    if line.shadow is not None:
        _write_shadow(report.shadow, line.shadow)


def looked_up(found: LookedUp, *, without_answer: bool = False) -> advisor_pb2.LookUpResponse:
    """Write the end of a look-up."""
    line = found.line
    wire = advisor_pb2.LookUpResponse(response_id=line.line_id)
    if found.hit is None:
        wire.advice.SetInParent()
        if found.routing is not None:
            _write_routing(wire.advice.routing, found.routing)
        if found.ticket is not None:
            _write_ticket(wire.advice.ticket, found.ticket)
    else:
        hit = wire.hit
        hit.model = line.model
        hit.SetInParent()
        if not without_answer:
            write_answer(hit.answer, found.hit.answer)
        if found.hit.usage is not None:
            write_usage(hit.usage, found.hit.usage)
        if found.ticket is not None:
            _write_ticket(hit.audit_ticket, found.ticket)
        _write_cost(wire.cost, line)
    _write_cache(wire.cache, line)
    _write_stages(wire.stages, line)
    if line.shadow is not None:
        _write_shadow(wire.shadow, line.shadow)
    return wire


def stored(done: Stored) -> advisor_pb2.StoreResponse:
    """Write the end of a store."""
    wire = advisor_pb2.StoreResponse(
        entry_id=entry_id(done.kept.entry_id), not_stored_reason=done.kept.reason
    )
    _write_cost(wire.cost, done.line)
    return wire


def entry_id(value: int) -> str:
    """Write an entry's id; 0 is none."""
    return str(value) if value else ""


# A message that is handed to another one's constructor is copied, so these fill in what is there.


def _write_ticket(wire: advisor_pb2.Ticket, ticket: TicketOut) -> None:
    wire.token = ticket.token
    wire.expires_at_ms = ticket.expires_at_ms


def _write_cache(wire: chat_pb2.CacheReport, line: LedgerLine) -> None:
    """Write what the cache did."""
    wire.outcome = _OUTCOMES[line.outcome]
    if line.outcome not in _WITHOUT_CALL:
        reason = _REASONS.get(line.miss_reason)
        wire.miss_reason = reason or chat_pb2.MISS_REASON_UNSPECIFIED
    wire.entry_id = entry_id(line.entry_id)
    if line.similarity is not None:
        wire.similarity = line.similarity
    if line.p_right is not None:
        wire.p_right = line.p_right
    if line.age_s is not None:
        wire.age_s = line.age_s
    wire.SetInParent()


def _write_routing(wire: chat_pb2.Routing, decided: Routing) -> None:
    """Write a routing decision."""
    wire.chain.extend(decided.chain)
    for candidate in decided.candidates:
        wire.candidates.add(
            model=candidate.model,
            p_adequate=candidate.p_adequate,
            expected_cost_usd_nanos=candidate.expected_cost_nanos,
            rejection=candidate.rejection,
        )
    wire.reason = decided.reason
    wire.scorer = decided.scorer
    wire.quality_target = decided.quality_target
    wire.SetInParent()


def _write_cost(wire: chat_pb2.Cost, line: LedgerLine) -> None:
    """Write what a request cost and saved; what is unknown stays absent."""
    saved_nanos = line.saved_nanos
    if line.cost_nanos is not None:
        wire.cost_usd_nanos = line.cost_nanos
    if line.baseline_nanos is not None:
        wire.baseline_usd_nanos = line.baseline_nanos
    if saved_nanos is not None:
        wire.saved_usd_nanos = saved_nanos
    wire.baseline_model = line.baseline_model
    wire.SetInParent()


def _write_stages(wire: chat_pb2.StageTimes, line: LedgerLine) -> None:
    """Write the milliseconds per stage."""
    for stage, ms in line.stage_ms:
        setattr(wire, _STAGE_FIELDS[stage], ms)
    wire.SetInParent()


def _write_shadow(wire: chat_pb2.Shadow, would_be: Shadow) -> None:
    """Write what mode on would have done."""
    wire.outcome = _OUTCOMES[would_be.outcome]
    wire.model = would_be.model
    if would_be.saved_nanos is not None:
        wire.saved_usd_nanos = would_be.saved_nanos
    wire.SetInParent()


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
        assurance=[_assurance(one) for one in report.assurance],
    )


def _assurance(report: AssuranceReport) -> savings_pb2.Assurance:
    rate, drift = report.error_rate, report.drift
    written = savings_pb2.Assurance(
        namespace=report.namespace,
        state=_STATES[report.state],
        target=report.target,
        min_p_right=report.min_p_right,
        n_observations=report.n_observations,
        labels_still_needed=report.labels_still_needed,
        barred=report.barred,
    )
    if rate is not None:
        written.error_rate.CopyFrom(
            savings_pb2.ErrorRate(value=rate.value, low=rate.low, high=rate.high, n_audits=rate.n)
        )
    if drift is not None:
        written.drift.CopyFrom(
            savings_pb2.Drift(before=drift.before, recent=drift.recent, p_value=drift.p_value)
        )
    return written


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
