"""Lines and their attempts as rows, and back."""

from __future__ import annotations

import sqlite3
from typing import Any

from router.ledger.errors import LineRefused
from router.ledger.sums import sum_attempts
from router.ledger.types import Attempt, Cause, LedgerLine, LineState, Outcome, Shadow, Stage
from router.types import Attribution, Face, Mode, Usage

Row = tuple[Any, ...]

STATE_RANK = {LineState.OPEN: 0, LineState.USAGE_UNKNOWN: 1, LineState.CLOSED: 2}
"""A line's state never goes down."""

_STATES = tuple(STATE_RANK)
_STAGES = tuple(Stage)
_NO_USAGE = (None, None, None, None)
_NO_SHADOW = (None, None, None)

MAX_AMOUNT = 1 << 48
"""Tokens or nano-dollars of one request (281,000 USD); 32,000 such lines fit a 64-bit sum."""

_COLUMNS = (
    "line_id",
    "at_ms",
    "namespace",
    "caller",
    "user",
    "feature",
    "task",
    "conversation",
    "face",
    "mode",
    "state",
    "outcome",
    "cause",
    "request_id",
    "miss_reason",
    "entry_id",
    "similarity",
    "p_right",
    "age_s",
    "model",
    "baseline_model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_nanos",
    "baseline_nanos",
    "shadow_outcome",
    "shadow_model",
    "shadow_saved_nanos",
    "exact_ms",
    "near_ms",
    "route_ms",
    "upstream_ms",
    "store_ms",
    "total_ms",
    "status",
    "scorer",
    "n_attempts",
    "n_failed_attempts",
    "known_cost_nanos",
    "failed_cost_nanos",
    "billed_input_tokens",
    "billed_output_tokens",
)
_N_READ = _COLUMNS.index("n_attempts")

_INSERT = (
    f"INSERT INTO lines ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (line_id) DO NOTHING"
)
_UPDATE = (
    f"UPDATE lines SET {', '.join(f'{name} = ?{n}' for n, name in enumerate(_COLUMNS, 1))} "
    f"WHERE line_id = ?1 AND state <= ?{_COLUMNS.index('state') + 1} RETURNING id"
)
_INSERT_ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = f"SELECT id, {', '.join(_COLUMNS[:_N_READ])} FROM lines WHERE line_id = ?"
_SELECT_ATTEMPTS = (
    "SELECT model, provider, status, input_tokens, output_tokens, cache_read_tokens, "
    "cache_write_tokens, cost_nanos, wall_ms FROM attempts WHERE line = ? ORDER BY n"
)


def line_row(line: LedgerLine) -> Row:
    """Return the values of a line's row, in the order of the table.

    Raises:
        LineRefused: an amount is beyond reason; a few of its kind would overflow a sum.
        ValueError: ``line_id`` is not hexadecimal.
    """
    attribution, shadow = line.attribution, line.shadow
    stages = dict(line.stage_ms)
    amounts = (*_usage_columns(line.usage), line.cost_nanos, line.baseline_nanos)
    shadows = (shadow.outcome.value, shadow.model, shadow.saved_nanos) if shadow else _NO_SHADOW
    sums = sum_attempts(line.attempts)
    for amount in (*amounts, shadows[2], *sums):
        if amount is not None and not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
            raise LineRefused(
                f"line {line.line_id} holds the amount {amount}; tokens and nano-dollars of one "
                f"request are at most {MAX_AMOUNT}, so that sums over many stay exact"
            )
    return (
        bytes.fromhex(line.line_id),
        line.at_ms,
        line.namespace,
        line.caller,
        attribution.user,
        attribution.feature,
        attribution.task,
        attribution.conversation,
        line.face.value,
        line.mode.value,
        STATE_RANK[line.state],
        line.outcome.value,
        line.cause.value,
        line.request_id,
        line.miss_reason,
        line.entry_id,
        line.similarity,
        line.p_right,
        line.age_s,
        line.model,
        line.baseline_model,
        *amounts,
        *shadows,
        *[stages.get(stage) for stage in _STAGES],
        line.status,
        line.scorer,
        *sums,
    )


def attempt_rows(line: LedgerLine) -> list[Row]:
    """Return the values of a line's attempts, without the line's row id in front."""
    return [
        (
            n,
            attempt.model,
            attempt.provider,
            attempt.status,
            *_usage_columns(attempt.usage),
            attempt.cost_nanos,
            attempt.wall_ms,
        )
        for n, attempt in enumerate(line.attempts)
    ]


def write_line(connection: sqlite3.Connection, row: Row, attempts: list[Row]) -> bool:
    """Insert a line, or replace its earlier state; False when a later state stands already."""
    cursor = connection.execute(_INSERT, row)
    if cursor.rowcount == 1:
        line = cursor.lastrowid
    else:
        updated = connection.execute(_UPDATE, row).fetchone()
        if updated is None:
            return False
        line = updated[0]
        connection.execute("DELETE FROM attempts WHERE line = ?", (line,))
    for attempt in attempts:
        connection.execute(_INSERT_ATTEMPT, (line, *attempt))
    return True


def read_line(connection: sqlite3.Connection, line_id: str) -> LedgerLine | None:
    """Return a line, None when there is none or ``line_id`` is no id."""
    found = find_line(connection, line_id)
    return None if found is None else found[1]


def find_line(connection: sqlite3.Connection, line_id: str) -> tuple[int, LedgerLine] | None:
    """Return a line with its row id."""
    try:
        key = bytes.fromhex(line_id)
    except ValueError:
        return None
    row = connection.execute(_SELECT, (key,)).fetchone()
    if row is None:
        return None
    attempts = connection.execute(_SELECT_ATTEMPTS, (row[0],)).fetchall()
    return row[0], _line(row[1:], attempts)


def close_as_unknown(connection: sqlite3.Connection, line_id: bytes) -> None:
    """Close an open line whose ticket nobody brought back."""
    connection.execute(
        "UPDATE lines SET state = 1, cost_nanos = NULL, baseline_nanos = NULL "
        "WHERE line_id = ? AND state = 0",
        (line_id,),
    )


def _line(row: Row, attempts: list[Row]) -> LedgerLine:
    values = dict(zip(_COLUMNS, row, strict=False))
    shadow = None
    if values["shadow_outcome"] is not None:
        shadow = Shadow(
            outcome=Outcome(values["shadow_outcome"]),
            model=values["shadow_model"],
            saved_nanos=values["shadow_saved_nanos"],
        )
    stages = ((stage, values[f"{stage.value}_ms"]) for stage in _STAGES)
    return LedgerLine(
        line_id=values["line_id"].hex(),
        attribution=Attribution(
            **{name: values[name] for name in ("user", "feature", "task", "conversation")}
        ),
        face=Face(values["face"]),
        mode=Mode(values["mode"]),
        state=_STATES[values["state"]],
        outcome=Outcome(values["outcome"]),
        cause=Cause(values["cause"]),
        usage=_usage(row[_FIRST_TOKENS : _FIRST_TOKENS + 4]),
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        shadow=shadow,
        stage_ms=tuple((stage, ms) for stage, ms in stages if ms is not None),
        **{name: values[name] for name in _AS_THEY_ARE},
    )


_FIRST_TOKENS = _COLUMNS.index("input_tokens")
_AS_THEY_ARE = (
    "at_ms",
    "namespace",
    "caller",
    "request_id",
    "miss_reason",
    "entry_id",
    "similarity",
    "p_right",
    "age_s",
    "model",
    "baseline_model",
    "cost_nanos",
    "baseline_nanos",
    "status",
    "scorer",
)


def _attempt(row: Row) -> Attempt:
    model, provider, status, *tokens, cost_nanos, wall_ms = row
    return Attempt(
        model=model,
        provider=provider,
        status=status,
        usage=_usage(tokens),
        cost_nanos=cost_nanos,
        wall_ms=wall_ms,
    )


def _usage_columns(usage: Usage | None) -> tuple[int | None, ...]:
    if usage is None:
        return _NO_USAGE
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    )


def _usage(columns: Any) -> Usage | None:  # noqa: ANN401 - a slice of a row
    if columns[0] is None:
        return None
    return Usage(
        input_tokens=columns[0],
        output_tokens=columns[1],
        cache_read_tokens=columns[2],
        cache_write_tokens=columns[3],
    )
