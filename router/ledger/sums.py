"""Sums over lines. Pure: the SQL of the ledger and a list of lines in memory come together here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from router.ledger.types import (
    Attempt,
    Group,
    LedgerLine,
    LineState,
    Outcome,
    SavingsQuery,
    SavingsReport,
    Stage,
    StageTime,
    Totals,
)

GROUP_KEYS = ("namespace", "user", "feature", "task", "conversation", "model", "day")
MAX_GROUPS = 100  # the rest is one group more
MAX_STAGE_LINES = 20_000  # quantiles look at the newest so many lines
OTHER = "(other)"
OK = "ok"  # the status of an attempt that answered

ASSUMPTIONS = (
    "The baseline is every delivered answer at its baseline model's price, without cache: the "
    "baseline model is assumed to use as many tokens as the model that answered.",
    "A hit is measured against the usage of the call that made the stored answer; what providers' "
    "own prompt caches would have taken off that call is as it was then.",
    "Requests with an unknown price or unknown usage and open tickets are counted, and stand "
    "outside cost, baseline and saved.",
    "Failed requests delivered nothing: their baseline is 0 and their cost counts against savings.",
    "Audits are no requests: their baseline is 0 and their cost counts against savings.",
    "The service's own machine time is not part of the cost.",
    f"Stage times are exact, by nearest rank, over the newest {MAX_STAGE_LINES:,} requests asked "
    f"for.",
)


class Cell(NamedTuple):
    """Sums over lines that are alike in everything that is counted apart."""

    state: LineState
    outcome: str
    cause: str
    miss_reason: str
    model: str
    n: int
    is_priced: bool
    cost_nanos: int  # 0 unless priced
    baseline_nanos: int  # 0 unless priced
    unpriced_cost_nanos: int  # 0 when priced
    failed_cost_nanos: int  # 0 unless priced
    n_attempts: int
    n_failed_attempts: int
    input_tokens: int
    output_tokens: int
    n_shadow_hits: int
    shadow_saved_nanos: int
    n_shadow_unknown: int


class AttemptSums(NamedTuple):
    """Sums over the attempts of a line, in the order of the table's last columns."""

    n_attempts: int = 0
    n_failed_attempts: int = 0
    known_cost_nanos: int = 0
    failed_cost_nanos: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


_NO_ATTEMPTS = AttemptSums()
_HITS = (Outcome.EXACT, Outcome.NEAR)
_ANSWERED = (Outcome.MISS, Outcome.BYPASS)


def sum_attempts(attempts: Sequence[Attempt]) -> AttemptSums:
    """Add up what is known of a line's attempts."""
    if not attempts:
        return _NO_ATTEMPTS
    n_failed = known = failed = n_input = n_output = 0
    for attempt in attempts:
        cost = attempt.cost_nanos or 0
        known += cost
        if attempt.status != OK:
            n_failed += 1
            failed += cost
        if attempt.usage is not None:
            n_input += attempt.usage.input_tokens
            n_output += attempt.usage.output_tokens
    return AttemptSums(len(attempts), n_failed, known, failed, n_input, n_output)


def cell_of(line: LedgerLine) -> Cell:
    """Return the sums over one line."""
    cost, baseline, shadow = line.cost_nanos, line.baseline_nanos, line.shadow
    sums = sum_attempts(line.attempts)
    is_priced = line.state is LineState.CLOSED and cost is not None and baseline is not None
    return Cell(
        state=line.state,
        outcome=line.outcome.value,
        cause=line.cause.value,
        miss_reason=line.miss_reason if line.outcome is Outcome.MISS else "",
        model=line.model if line.outcome in _ANSWERED else "",
        n=1,
        is_priced=is_priced,
        cost_nanos=(cost or 0) if is_priced else 0,
        baseline_nanos=(baseline or 0) if is_priced else 0,
        unpriced_cost_nanos=0 if is_priced else sums.known_cost_nanos if cost is None else cost,
        failed_cost_nanos=sums.failed_cost_nanos if is_priced else 0,
        n_attempts=sums.n_attempts,
        n_failed_attempts=sums.n_failed_attempts,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        n_shadow_hits=int(shadow is not None and shadow.outcome in _HITS),
        shadow_saved_nanos=(shadow.saved_nanos or 0) if shadow else 0,
        n_shadow_unknown=int(shadow is not None and shadow.saved_nanos is None),
    )


def totals_of(cells: Iterable[Cell]) -> Totals:
    """Add cells up."""
    cells = list(cells)
    priced = [cell for cell in cells if cell.is_priced]
    misses = [cell for cell in cells if cell.outcome == Outcome.MISS.value]
    requests = [cell for cell in cells if cell.outcome != Outcome.AUDIT.value]
    n_requests = sum(cell.n for cell in requests)
    cost = sum(cell.cost_nanos for cell in priced)
    baseline = sum(cell.baseline_nanos for cell in priced)
    return Totals(
        n_requests=n_requests,
        n_audits=sum(cell.n for cell in cells) - n_requests,
        n_by_outcome=_tally((cell.outcome, cell.n) for cell in requests),
        n_by_miss_reason=_tally((cell.miss_reason, cell.n) for cell in misses),
        n_by_model=_tally((cell.model, cell.n) for cell in cells if cell.model),
        n_priced=sum(cell.n for cell in priced),
        n_unpriced=sum(
            cell.n for cell in cells if cell.state is LineState.CLOSED and not cell.is_priced
        ),
        n_usage_unknown=sum(cell.n for cell in cells if cell.state is LineState.USAGE_UNKNOWN),
        n_open=sum(cell.n for cell in cells if cell.state is LineState.OPEN),
        cost_nanos=cost,
        baseline_nanos=baseline,
        saved_nanos=baseline - cost,
        saved_by_cause=_tally(
            (cell.cause, cell.baseline_nanos - cell.cost_nanos) for cell in priced
        ),
        unpriced_cost_nanos=sum(cell.unpriced_cost_nanos for cell in cells),
        input_tokens=sum(cell.input_tokens for cell in cells),
        output_tokens=sum(cell.output_tokens for cell in cells),
        n_attempts=sum(cell.n_attempts for cell in cells),
        n_failed_attempts=sum(cell.n_failed_attempts for cell in cells),
        failed_cost_nanos=sum(cell.failed_cost_nanos for cell in priced),
        miss_cost_by_reason=_tally(
            (cell.miss_reason, cell.cost_nanos) for cell in misses if cell.is_priced
        ),
        n_shadow_hits=sum(cell.n_shadow_hits for cell in cells),
        shadow_saved_nanos=sum(cell.shadow_saved_nanos for cell in cells),
        n_shadow_unknown=sum(cell.n_shadow_unknown for cell in cells),
    )


def groups_of(cells: Mapping[tuple[str, ...], Sequence[Cell]]) -> tuple[Group, ...]:
    """Return the totals of every group, most requests first, the folded one last."""
    groups = [Group(keys=keys, totals=totals_of(of_group)) for keys, of_group in cells.items()]
    return tuple(sorted(groups, key=_group_order))


def fold_small_groups(
    cells: Mapping[tuple[str, ...], list[Cell]],
) -> dict[tuple[str, ...], list[Cell]]:
    """Keep the ``MAX_GROUPS`` groups with most requests apart and make one of the others."""
    n_of = {keys: sum(cell.n for cell in of_group) for keys, of_group in cells.items()}
    order = sorted(cells, key=lambda keys: (-n_of[keys], keys))
    folded = {keys: cells[keys] for keys in order[:MAX_GROUPS]}
    for keys in order[MAX_GROUPS:]:
        folded.setdefault((OTHER,) * len(keys), []).extend(cells[keys])
    return folded


def report_of(lines: Sequence[LedgerLine], query: SavingsQuery) -> SavingsReport:
    """Sum lines in memory as the ledger sums its own; for replays and fakes.

    Args:
        lines: in the order in which they were recorded.
        query: which of them count.

    Raises:
        ValueError: ``group_by`` names something else than it may, or more than two.
    """
    check_query(query)
    matching = [line for line in lines if is_asked_for(line, query)]
    cells: dict[tuple[str, ...], list[Cell]] = {}
    for line in matching:
        keys = tuple(_KEY_OF[name](line) for name in query.group_by)
        cells.setdefault(keys, []).append(cell_of(line))
    return SavingsReport(
        totals=totals_of(cell for of_group in cells.values() for cell in of_group),
        groups=groups_of(fold_small_groups(cells)) if query.group_by else (),
        stages=stage_times(_milliseconds(matching[-MAX_STAGE_LINES:])),
        assumptions=ASSUMPTIONS,
        group_by=query.group_by,
    )


def is_asked_for(line: LedgerLine, query: SavingsQuery) -> bool:
    """Tell whether the query sums this line."""
    attribution = line.attribution
    return (
        query.namespace in ("", line.namespace)
        and query.user in ("", attribution.user)
        and query.feature in ("", attribution.feature)
        and query.conversation in ("", attribution.conversation)
        and (query.since_ms is None or line.at_ms >= query.since_ms)
        and (query.until_ms is None or line.at_ms < query.until_ms)
    )


def check_query(query: SavingsQuery) -> None:
    """Refuse a grouping that can not be made.

    Raises:
        ValueError: says what ``group_by`` may be.
    """
    unknown = [name for name in query.group_by if name not in GROUP_KEYS]
    is_repeated = len(set(query.group_by)) < len(query.group_by)
    if unknown or is_repeated or len(query.group_by) > 2:
        raise ValueError(
            f"group_by takes up to two different of {', '.join(GROUP_KEYS)}, "
            f"got {', '.join(query.group_by)}"
        )


def stage_times(by_stage: Mapping[Stage, Iterable[float]]) -> tuple[StageTime, ...]:
    """Return the quantiles of every stage that somebody passed, by nearest rank."""
    ordered = {stage: sorted(by_stage.get(stage, ())) for stage in Stage}
    return tuple(
        StageTime(
            stage=stage.value,
            n=len(times),
            p50_ms=_nearest_rank(times, 0.50),
            p99_ms=_nearest_rank(times, 0.99),
        )
        for stage, times in ordered.items()
        if times
    )


def _nearest_rank(ordered: Sequence[float], p: float) -> float:
    return ordered[max(math.ceil(p * len(ordered)), 1) - 1]


def _milliseconds(lines: Sequence[LedgerLine]) -> dict[Stage, list[float]]:
    by_stage: dict[Stage, list[float]] = {}
    for line in lines:
        for stage, ms in line.stage_ms:
            by_stage.setdefault(stage, []).append(ms)
    return by_stage


def _tally(amounts: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Add amounts of the same name; greatest first."""
    sums: dict[str, int] = {}
    for name, amount in amounts:
        sums[name] = sums.get(name, 0) + amount
    return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _group_order(group: Group) -> tuple[bool, int, tuple[str, ...]]:
    return all(key == OTHER for key in group.keys), -group.totals.n_requests, group.keys


_KEY_OF: dict[str, Callable[[LedgerLine], str]] = {
    "namespace": lambda line: line.namespace,
    "user": lambda line: line.attribution.user,
    "feature": lambda line: line.attribution.feature,
    "task": lambda line: line.attribution.task,
    "conversation": lambda line: line.attribution.conversation,
    "model": lambda line: line.model,
    "day": lambda line: datetime.fromtimestamp(line.at_ms // 1000, UTC).strftime("%Y-%m-%d"),
}
