"""Savings from the ledger's file: SQL makes the cells, ``sums`` adds them up."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from router.ledger.evidence import read_reports
from router.ledger.hours import HOUR_MS, IS_PRICED, SUMS, SUMS_OF_SUMS, summed_until
from router.ledger.hours import KEYS as HOUR_KEYS
from router.ledger.lines import STATE_RANK
from router.ledger.routing import drift_reports
from router.ledger.sums import (
    ASSUMPTIONS,
    MAX_GROUPS,
    MAX_STAGE_LINES,
    OTHER,
    Cell,
    check_query,
    fold_small_groups,
    groups_of,
    stage_times,
    totals_of,
)
from router.ledger.types import SavingsQuery, SavingsReport, Stage, StageTime

_STATES = tuple(STATE_RANK)

_ALIKE = """
    state, outcome, cause,
    CASE WHEN outcome = 'miss' THEN miss_reason ELSE '' END,
    CASE WHEN outcome IN ('miss', 'bypass') THEN model ELSE '' END,
    {is_priced}
"""
_N_ALIKE = 6


@dataclass(frozen=True, slots=True)
class _Source:
    """A table that holds lines, or sums of them.

    Attributes:
        table: its name.
        at_ms: the column, or expression, that says when.
        alike: what lines of a cell have in common.
        sums: what is added up.
    """

    table: str
    at_ms: str
    alike: str
    sums: str

    def key(self, name: str) -> str:
        """Return the expression for a name in ``GROUP_KEYS``."""
        if name == "day":
            return f"strftime('%Y-%m-%d', {self.at_ms} / 1000, 'unixepoch')"
        return name


_LINES = _Source("lines", "at_ms", _ALIKE.format(is_priced=IS_PRICED), SUMS)
_HOURS = _Source(
    "hour_sums", f"hour * {HOUR_MS}", _ALIKE.format(is_priced="is_priced"), SUMS_OF_SUMS
)


def read_savings(connection: sqlite3.Connection, query: SavingsQuery) -> SavingsReport:
    """Sum what the connection sees, in one read transaction.

    Raises:
        ValueError: ``group_by`` names something else than it may, or more than two.
        sqlite3.Error: as it comes.
    """
    check_query(query)
    connection.execute("BEGIN")
    try:
        cells = _all_cells(connection, query)
        stages = _stage_times(connection, query)
        assurance = read_reports(connection, query.namespace)
        drift = drift_reports(connection, query.namespace)
    finally:
        connection.execute("COMMIT")
    return SavingsReport(
        totals=totals_of(cell for of_group in cells.values() for cell in of_group),
        groups=groups_of(cells) if query.group_by else (),
        stages=stages,
        assumptions=ASSUMPTIONS,
        group_by=query.group_by,
        assurance=assurance,
        drift=tuple(drift),
    )


def _all_cells(
    connection: sqlite3.Connection, query: SavingsQuery
) -> dict[tuple[str, ...], list[Cell]]:
    """Return the cells of every group, from sums of hours as far as there are any."""
    begin_ms, end_ms = _summed_span(connection, query)
    if begin_ms >= end_ms:
        return _cells(connection, _LINES, query, is_folded=True)
    cells = _cells(connection, _HOURS, replace(query, since_ms=begin_ms, until_ms=end_ms))
    for edge in (
        replace(query, until_ms=begin_ms),
        replace(query, since_ms=end_ms),
    ):
        for keys, more in _cells(connection, _LINES, edge).items():
            cells.setdefault(keys, []).extend(more)
    return fold_small_groups(cells) if query.group_by else cells


def _summed_span(connection: sqlite3.Connection, query: SavingsQuery) -> tuple[int, int]:
    """Return the whole hours of the query that are summed, in milliseconds; empty when none."""
    is_apart = query.user or query.conversation or not {*query.group_by} <= {*HOUR_KEYS, "day"}
    if is_apart:
        return 0, 0
    begin = -(-(query.since_ms or 0) // HOUR_MS)
    end = summed_until(connection)
    if query.until_ms is not None:
        end = min(end, query.until_ms // HOUR_MS)
    return begin * HOUR_MS, end * HOUR_MS


def _where(source: _Source, query: SavingsQuery) -> tuple[str, list[Any]]:
    """Return the condition and its values."""
    parts = [
        (f"{name} = ?", value)
        for name in ("namespace", "user", "feature", "conversation")
        if (value := getattr(query, name))
    ]
    if query.since_ms is not None:
        parts.append((f"{source.at_ms} >= ?", query.since_ms))
    if query.until_ms is not None:
        parts.append((f"{source.at_ms} < ?", query.until_ms))
    condition = " AND ".join(part for part, _ in parts) or "1"
    return f"WHERE {condition}", [value for _, value in parts]


def _cells(
    connection: sqlite3.Connection,
    source: _Source,
    query: SavingsQuery,
    *,
    is_folded: bool = False,
) -> dict[tuple[str, ...], list[Cell]]:
    """Return the cells of every group; folded: beyond ``MAX_GROUPS`` they are one group."""
    where, values = _where(source, query)
    keys = [source.key(name) for name in query.group_by]
    top = _top_groups(connection, keys, where, values) if keys and is_folded else []
    with_top, join = "", ""
    if len(top) > MAX_GROUPS:
        top = top[:MAX_GROUPS]
        names = [f"k{n}" for n in range(len(keys))]
        rows = ", ".join(f"({', '.join('?' * len(keys))})" for _ in top)
        with_top = f"WITH top ({', '.join(names)}) AS (VALUES {rows})"
        on = " AND ".join(f"top.{k} = {key}" for k, key in zip(names, keys, strict=True))
        join = f"LEFT JOIN top ON {on}"
        values = [value for row in top for value in row] + values
        keys = [f"coalesce(top.{name}, '{OTHER}')" for name in names]
    by = ", ".join(str(n) for n in range(1, len(keys) + _N_ALIKE + 1))
    columns = ", ".join([*keys, source.alike, source.sums])
    sql = f"{with_top} SELECT {columns} FROM {source.table} {join} {where} GROUP BY {by}"
    cells: dict[tuple[str, ...], list[Cell]] = {}
    for row in connection.execute(sql, values):
        cells.setdefault(row[: len(keys)], []).append(_cell(row[len(keys) :]))
    return cells


def _top_groups(
    connection: sqlite3.Connection, keys: list[str], where: str, values: list[Any]
) -> list[tuple[str, ...]]:
    """Return the keys of the groups with most requests, one more than are shown apart."""
    by = ", ".join(str(n) for n in range(1, len(keys) + 1))
    return connection.execute(
        f"SELECT {', '.join(keys)} FROM lines {where} "
        f"GROUP BY {by} ORDER BY count(*) DESC, {by} LIMIT {MAX_GROUPS + 1}",
        values,
    ).fetchall()


def _cell(row: tuple[Any, ...]) -> Cell:
    state, outcome, cause, miss_reason, model, is_priced, n, *sums = row
    cost, baseline, known, failed, *others = (value or 0 for value in sums)
    return Cell(
        _STATES[state],
        outcome,
        cause,
        miss_reason,
        model,
        n,
        bool(is_priced),
        cost if is_priced else 0,
        baseline if is_priced else 0,
        0 if is_priced else known,
        failed if is_priced else 0,
        *others,
    )


def _stage_times(connection: sqlite3.Connection, query: SavingsQuery) -> tuple[StageTime, ...]:
    where, values = _where(_LINES, query)
    columns = ", ".join(f"{stage.value}_ms" for stage in Stage)
    rows = connection.execute(
        f"SELECT {columns} FROM lines {where} ORDER BY id DESC LIMIT {MAX_STAGE_LINES}", values
    ).fetchall()
    return stage_times(
        {
            stage: [ms for row in rows if (ms := row[column]) is not None]
            for column, stage in enumerate(Stage)
        }
    )
