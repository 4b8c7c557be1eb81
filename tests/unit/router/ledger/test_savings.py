"""The SQL against an oracle that adds lines up one by one, in the plainest way."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from fakes_ledger import a_line, an_attempt
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.embedded.vault import PLAIN, lend
from router.ledger.hours import HOUR_MS, QUIET_MS, hours_to_sum, keep, mark, sum_up
from router.ledger.lines import attempt_rows, line_row, read_line, write_line
from router.ledger.savings import read_savings
from router.ledger.schema import SCHEMA
from router.ledger.sums import GROUP_KEYS, report_of
from router.ledger.types import (
    Cause,
    Group,
    LedgerLine,
    LineState,
    Outcome,
    SavingsQuery,
    Shadow,
    Stage,
    Totals,
)
from router.types import Attribution, Usage

modest = settings(max_examples=40, deadline=None)

amounts = st.none() | st.integers(0, 10**12)
tokens = st.integers(0, 10**7)
usages = st.none() | st.builds(
    Usage,
    input_tokens=tokens,
    output_tokens=tokens,
    cache_read_tokens=tokens,
    cache_write_tokens=tokens,
)
words = st.sampled_from(["", "a", "b", "ü 'quoted'"])
shadows = st.none() | st.builds(
    Shadow,
    outcome=st.sampled_from([Outcome.EXACT, Outcome.NEAR, Outcome.MISS]),
    model=words,
    saved_nanos=st.none() | st.integers(-(10**12), 10**12),
)
made = st.builds(
    an_attempt,
    status=st.sampled_from(["ok", "timeout"]),
    usage=usages,
    cost_nanos=amounts,
    wall_ms=st.floats(0, 1e6),
)


@st.composite
def any_lines(draw: st.DrawFn) -> list[LedgerLine]:
    return [
        a_line(
            n,
            at_ms=draw(st.integers(0, 4 * 86_400_000)),
            namespace=draw(st.sampled_from(["shop", "lab"])),
            attribution=Attribution(user=draw(words), feature=draw(words)),
            state=draw(st.sampled_from(LineState)),
            outcome=draw(st.sampled_from(Outcome)),
            cause=draw(st.sampled_from(Cause)),
            miss_reason=draw(st.sampled_from(["", "expired", "guard_number"])),
            model=draw(words),
            usage=draw(usages),
            cost_nanos=draw(amounts),
            baseline_nanos=draw(amounts),
            attempts=tuple(draw(st.lists(made, max_size=2))),
            shadow=draw(shadows),
            stage_ms=tuple(
                (stage, draw(st.floats(0, 1e5))) for stage in draw(st.sets(st.sampled_from(Stage)))
            ),
        )
        for n in range(draw(st.integers(0, 12)))
    ]


queries = st.builds(
    SavingsQuery,
    namespace=st.sampled_from(["", "shop"]),
    user=words,
    feature=words,
    since_ms=st.none() | st.integers(0, 86_400_000),
    until_ms=st.none() | st.integers(86_400_000, 4 * 86_400_000),
    group_by=st.lists(st.sampled_from(GROUP_KEYS), max_size=2, unique=True).map(tuple),
)


@contextmanager
def a_file(lines: Sequence[LedgerLine]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        lend(PLAIN, connection)
        for step in SCHEMA.migrations:
            step(connection)
        for line in lines:
            write_line(connection, line_row(line), attempt_rows(line))
        yield connection


def holds(totals: Totals) -> bool:
    """Tell whether everything that must add up does."""
    counts = totals.n_priced + totals.n_unpriced + totals.n_usage_unknown + totals.n_open
    return (
        totals.cost_nanos + totals.saved_nanos == totals.baseline_nanos
        and sum(amount for _, amount in totals.saved_by_cause) == totals.saved_nanos
        and counts == totals.n_requests + totals.n_audits
        and totals.n_requests == sum(n for _, n in totals.n_by_outcome)
        and totals.failed_cost_nanos >= 0
    )


def is_priced(line: LedgerLine) -> bool:
    return line.state is LineState.CLOSED and line.saved_nanos is not None


def tally(items: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(items.items(), key=lambda item: (-item[1], item[0])))


def oracle(lines: Sequence[LedgerLine]) -> Totals:
    """Add up line by line; written from the promises of ``Totals``, not from the code."""
    n: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    reason_costs: Counter[str] = Counter()
    by_model: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for line in lines:
        if line.outcome is Outcome.AUDIT:
            n["audits"] += 1
        else:
            outcomes[line.outcome] += 1
        if line.outcome is Outcome.MISS:
            reasons[line.miss_reason] += 1
        if line.outcome in (Outcome.MISS, Outcome.BYPASS) and line.model:
            by_model[line.model] += 1
        known = sum(attempt.cost_nanos or 0 for attempt in line.attempts)
        if is_priced(line):
            n["priced"] += 1
            n["cost"] += line.cost_nanos or 0
            n["baseline"] += line.baseline_nanos or 0
            causes[line.cause] += line.saved_nanos or 0
            n["failed cost"] += sum(a.cost_nanos or 0 for a in line.attempts if a.status != "ok")
            if line.outcome is Outcome.MISS:
                reason_costs[line.miss_reason] += line.cost_nanos or 0
        else:
            n[f"{line.state}"] += 1
            n["outside"] += known if line.cost_nanos is None else line.cost_nanos
        for attempt in line.attempts:
            n["attempts"] += 1
            n["failed"] += attempt.status != "ok"
            n["input"] += attempt.usage.input_tokens if attempt.usage else 0
            n["output"] += attempt.usage.output_tokens if attempt.usage else 0
        if line.shadow is not None:
            n["shadow hits"] += line.shadow.outcome is not Outcome.MISS
            n["shadow saved"] += line.shadow.saved_nanos or 0
            n["shadow unknown"] += line.shadow.saved_nanos is None
    return Totals(
        n_requests=len(lines) - n["audits"],
        n_audits=n["audits"],
        n_by_outcome=tally(outcomes),
        n_by_miss_reason=tally(reasons),
        n_by_model=tally(by_model),
        n_priced=n["priced"],
        n_unpriced=n["closed"],
        n_usage_unknown=n["usage_unknown"],
        n_open=n["open"],
        cost_nanos=n["cost"],
        baseline_nanos=n["baseline"],
        saved_nanos=n["baseline"] - n["cost"],
        saved_by_cause=tally(causes),
        unpriced_cost_nanos=n["outside"],
        input_tokens=n["input"],
        output_tokens=n["output"],
        n_attempts=n["attempts"],
        n_failed_attempts=n["failed"],
        failed_cost_nanos=n["failed cost"],
        miss_cost_by_reason=tally(reason_costs),
        n_shadow_hits=n["shadow hits"],
        shadow_saved_nanos=n["shadow saved"],
        n_shadow_unknown=n["shadow unknown"],
    )


@modest
@given(lines=any_lines())
def test_every_sum_is_the_sum_of_its_lines(lines: list[LedgerLine]) -> None:
    """SQL, to the nano, says what adding up line by line says."""
    with a_file(lines) as connection:
        assert read_savings(connection, SavingsQuery()).totals == oracle(lines)


@modest
@given(lines=any_lines(), query=queries)
def test_cost_and_saved_make_the_baseline_in_every_sum(
    lines: list[LedgerLine], query: SavingsQuery
) -> None:
    """The identity, the causes and the counts hold in the totals and in every group."""
    with a_file(lines) as connection:
        report = read_savings(connection, query)

    assert all(holds(totals) for totals in (report.totals, *(g.totals for g in report.groups)))


@modest
@given(lines=any_lines(), query=queries)
def test_groups_add_up_to_the_totals(lines: list[LedgerLine], query: SavingsQuery) -> None:
    """No line is in two groups, none is in no group."""
    with a_file(lines) as connection:
        report = read_savings(connection, query)

    if query.group_by:
        for name in ("n_requests", "cost_nanos", "saved_nanos", "unpriced_cost_nanos", "n_open"):
            assert _sum(report.groups, name) == getattr(report.totals, name)


@modest
@given(lines=any_lines(), query=queries)
def test_memory_and_file_say_the_same(lines: list[LedgerLine], query: SavingsQuery) -> None:
    """``report_of`` and the SQL are one report, groups and stages included."""
    with a_file(lines) as connection:
        assert read_savings(connection, query) == report_of(lines, query)


@modest
@given(lines=any_lines(), late=any_lines(), query=queries, data=st.data())
def test_sums_of_hours_change_no_report(
    lines: list[LedgerLine], late: list[LedgerLine], query: SavingsQuery, data: st.DataObject
) -> None:
    """Whatever is summed by hour, and whatever changes after that, a report is the same."""
    changed = {line.line_id: line for line in lines}
    with a_file(lines) as connection:
        for hour in hours_to_sum(connection, data.draw(st.sampled_from([2, 5, 5])) * 86_400_000):
            mark(connection, [hour])
            keep(connection, hour, sum_up(connection, hour))
        assert read_savings(connection, query) == report_of(lines, query)
        for line in late[::2]:
            if write_line(connection, line_row(line), attempt_rows(line)):
                changed[line.line_id] = line
        assert read_savings(connection, query) == report_of(list(changed.values()), query)


def test_an_hour_that_changes_while_it_is_summed_is_summed_later() -> None:
    """The mark is gone, so what was summed too early is not kept."""
    line = a_line(state=LineState.OPEN)
    with a_file([line]) as connection:
        (hour,) = hours_to_sum(connection, line.at_ms + 4 * HOUR_MS)
        mark(connection, [hour])
        early = sum_up(connection, hour)
        write_line(connection, line_row(a_line()), attempt_rows(a_line()))

        assert not keep(connection, hour, early)
        assert hours_to_sum(connection, line.at_ms + 4 * HOUR_MS) == [hour]
        assert read_savings(connection, SavingsQuery()).totals == oracle([a_line()])


def test_an_hour_is_summed_when_its_tickets_are_over() -> None:
    """The running hour and the ones just past are read line by line."""
    line = a_line()
    end_ms = (line.at_ms // HOUR_MS + 1) * HOUR_MS
    with a_file([line]) as connection:
        assert hours_to_sum(connection, end_ms + QUIET_MS - 1) == []
        assert hours_to_sum(connection, end_ms + QUIET_MS) == [line.at_ms // HOUR_MS]


@modest
@given(lines=any_lines())
def test_recording_everything_twice_changes_no_sum(lines: list[LedgerLine]) -> None:
    """A line id counts once, however often it is written."""
    with a_file([*lines, *lines]) as connection:
        assert read_savings(connection, SavingsQuery()).totals == oracle(lines)


@modest
@given(lines=any_lines())
def test_a_line_comes_back_as_it_was(lines: list[LedgerLine]) -> None:
    """Written and read again, nothing is lost; stages come in the order of the path."""
    order = list(Stage)
    with a_file(lines) as connection:
        for line in lines:
            read = read_line(connection, line.line_id)
            assert read is not None
            assert read.stage_ms == tuple(sorted(line.stage_ms, key=lambda s: order.index(s[0])))
            assert line_row(read) == line_row(line)
            assert read.attempts == line.attempts


def test_sums_stay_exact_beyond_what_a_float_can_hold() -> None:
    """Nanos are integers to the last one, also where 2**53 is far behind."""
    lines = [a_line(n, cost_nanos=2**47 + 1, baseline_nanos=2**48 - n) for n in range(300)]

    with a_file(lines) as connection:
        totals = read_savings(connection, SavingsQuery()).totals

    assert totals.cost_nanos == 300 * (2**47 + 1)
    assert totals.baseline_nanos == sum(2**48 - n for n in range(300))


def _sum(groups: Sequence[Group], name: str) -> int:
    return sum(getattr(group.totals, name) for group in groups)
