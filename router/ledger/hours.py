"""Sums of past hours, kept so that a report need not read every line ever written.

They are derived: whenever a line of an hour changes, triggers forget that hour's sums in the same
transaction, and upkeep makes them again. Three steps make them without holding the writer: mark
the hour (writer), sum its lines (a reader), keep the sums if the mark still stands (writer); a
line that changes in between takes the mark away.
"""

from __future__ import annotations

import sqlite3
from typing import Any

HOUR_MS = 3_600_000
QUIET_MS = 2 * HOUR_MS  # an hour is summed so long after its end, when its tickets are over
MAX_HOURS = 24  # per call of the upkeep

KEYS = ("namespace", "feature", "task", "model")
"""What sums of hours can still be told apart by, besides the day."""

IS_PRICED = "state = 2 AND cost_nanos IS NOT NULL AND baseline_nanos IS NOT NULL"
SUMS = """
    count(*), sum(cost_nanos), sum(baseline_nanos), sum(coalesce(cost_nanos, known_cost_nanos)),
    sum(failed_cost_nanos), sum(n_attempts), sum(n_failed_attempts),
    sum(billed_input_tokens), sum(billed_output_tokens),
    sum(shadow_outcome IN ('exact', 'near')), sum(shadow_saved_nanos),
    sum(shadow_outcome IS NOT NULL AND shadow_saved_nanos IS NULL)
"""
SUMS_OF_SUMS = """
    sum(n), sum(cost_nanos), sum(baseline_nanos), sum(known_cost_nanos),
    sum(failed_cost_nanos), sum(n_attempts), sum(n_failed_attempts),
    sum(input_tokens), sum(output_tokens),
    sum(n_shadow_hits), sum(shadow_saved_nanos), sum(n_shadow_unknown)
"""

_SUM_UP = (
    f"SELECT at_ms / {HOUR_MS}, {', '.join(KEYS)}, state, outcome, cause, miss_reason, "
    f"{IS_PRICED}, {SUMS} FROM lines WHERE at_ms >= ? AND at_ms < ? "
    f"GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
)
_N_COLUMNS = 22


def hours_to_sum(connection: sqlite3.Connection, now_ms: int) -> list[int]:
    """Return the earliest hours that have lines, are over for a while, and have no sums."""
    return _unsummed(connection, (now_ms - QUIET_MS) // HOUR_MS, MAX_HOURS)


def mark(connection: sqlite3.Connection, hours: list[int]) -> None:
    """Say that sums are being made."""
    connection.executemany(
        "INSERT OR REPLACE INTO hours (hour, is_summed) VALUES (?, 0)", [(hour,) for hour in hours]
    )


def sum_up(connection: sqlite3.Connection, hour: int) -> list[Any]:
    """Return the rows of an hour's sums."""
    return connection.execute(_SUM_UP, (hour * HOUR_MS, (hour + 1) * HOUR_MS)).fetchall()


def keep(connection: sqlite3.Connection, hour: int, sums: list[Any]) -> bool:
    """Write an hour's sums; False when a line of it changed since it was marked."""
    marked = connection.execute(
        "UPDATE hours SET is_summed = 1 WHERE hour = ? AND is_summed = 0", (hour,)
    )
    if marked.rowcount == 0:
        return False
    connection.executemany(f"INSERT INTO hour_sums VALUES ({', '.join('?' * _N_COLUMNS)})", sums)
    return True


def summed_until(connection: sqlite3.Connection) -> int:
    """Return the first hour with lines and without sums; all before it is in ``hour_sums``."""
    found = _unsummed(connection, 2**62, 1)
    return found[0] if found else 2**31


def _unsummed(connection: sqlite3.Connection, before: int, limit: int) -> list[int]:
    summed = {row[0] for row in connection.execute("SELECT hour FROM hours WHERE is_summed = 1")}
    found: list[int] = []
    hour = _hour_of_next_line(connection, 0)
    while hour is not None and hour < before and len(found) < limit:
        if hour not in summed:
            found.append(hour)
        following = hour + 1
        while following in summed:
            following += 1
        hour = _hour_of_next_line(connection, following)
    return found


def _hour_of_next_line(connection: sqlite3.Connection, hour: int) -> int | None:
    at_ms = connection.execute(
        "SELECT min(at_ms) FROM lines WHERE at_ms >= ?", (hour * HOUR_MS,)
    ).fetchone()[0]
    return None if at_ms is None else int(at_ms) // HOUR_MS
