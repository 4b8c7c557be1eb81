"""What the ledger keeps of routing besides its lines: choices, and drift from calibration."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from router.ledger.types import Choice, DriftReport, ModelDrift

MAX_CHOICES = 1_000_000
"""Lines whose choice is kept, the latest: at two models some 20 bytes each, 2 more a model."""

MAX_MODELS = 256
_UNFIT = 65_535
_SCALE = 65_000
_SEPARATOR = "\n"  # no model's name has one

TABLES = (
    """
CREATE TABLE pools (                       -- which models there were to choose from
    id INTEGER PRIMARY KEY, models TEXT NOT NULL UNIQUE    -- one a line, in order
)
""",
    """
CREATE TABLE choices (                     -- requests that the rules of their namespace routed
    line INTEGER PRIMARY KEY,              -- lines.id
    pool INTEGER NOT NULL, chosen INTEGER NOT NULL,        -- its place in the pool
    p BLOB NOT NULL                        -- P(adequate) a model, two bytes each: 0 to 65000, and
                                           -- 65535 where it did not fit the request
)
""",
    """
CREATE TABLE drift (                       -- calibrated namespaces, as the service last knew them
    namespace TEXT PRIMARY KEY, basis TEXT NOT NULL, counts TEXT NOT NULL, report TEXT NOT NULL
) WITHOUT ROWID
""",
)

ChoiceRow = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftState:
    """What a namespace's traffic says of its calibration.

    Attributes:
        basis: which calibration.
        counts: JSON, for whoever counts on.
        report: how it stands.
    """

    basis: str
    counts: str
    report: DriftReport


def choice_row(choice: Choice | None) -> ChoiceRow | None:
    """Return a choice as it is written; None: it is not."""
    if choice is None or len(choice.models) > MAX_MODELS or choice.chosen not in choice.models:
        return None
    p = array("H", [_UNFIT if one is None else round(one * _SCALE) for one in choice.p])
    return _SEPARATOR.join(choice.models), choice.models.index(choice.chosen), p.tobytes()


def write_choice(connection: sqlite3.Connection, line_id: bytes, row: ChoiceRow) -> None:
    """Keep a choice with its line, which is written already."""
    models, chosen, p = row
    connection.execute("INSERT OR IGNORE INTO pools (models) VALUES (?)", (models,))
    connection.execute(
        "INSERT OR REPLACE INTO choices (line, pool, chosen, p) SELECT lines.id, pools.id, ?, ? "
        "FROM lines, pools WHERE line_id = ? AND models = ?",
        (chosen, p, line_id, models),
    )


def chosen_for(connection: sqlite3.Connection, line: int) -> str:
    """Return whom a line was routed to by its namespace's own rules; empty: by something else."""
    found = connection.execute(
        "SELECT models, chosen FROM choices JOIN pools ON pools.id = pool WHERE line = ?", (line,)
    ).fetchone()
    return "" if found is None else str(found[0]).split(_SEPARATOR)[found[1]]


def read_p(models: str, p: bytes) -> list[tuple[str, float]]:
    """Return the models that fitted, each with its P(adequate)."""
    values = array("H")
    values.frombytes(p)
    return [
        (model, value / _SCALE)
        for model, value in zip(models.split(_SEPARATOR), values, strict=True)
        if value != _UNFIT
    ]


def read_calls(connection: sqlite3.Connection, most: int) -> list[tuple[str, str, int, int, int]]:
    """Return the latest calls, oldest first: namespace, model, when (ms), tokens in and out."""
    rows = connection.execute(
        "SELECT namespace, model, at_ms, input_tokens, output_tokens FROM lines WHERE id > "
        "(SELECT coalesce(max(id), 0) FROM lines) - ? AND outcome IN ('miss', 'bypass') "
        "AND output_tokens > 0 ORDER BY id",
        (most,),
    )
    return rows.fetchall()


def trim_choices(connection: sqlite3.Connection, most: int = MAX_CHOICES) -> None:
    """Forget the oldest beyond the bound; ids of lines only grow."""
    connection.execute(
        "DELETE FROM choices WHERE line <= (SELECT max(line) FROM choices) - ?", (most,)
    )


def write_drift(connection: sqlite3.Connection, state: DriftState) -> None:
    """Keep how a namespace stands, instead of what was kept before."""
    report = json.dumps(asdict(state.report), ensure_ascii=False)
    connection.execute(
        "INSERT OR REPLACE INTO drift (namespace, basis, counts, report) VALUES (?, ?, ?, ?)",
        (state.report.namespace, state.basis, state.counts, report),
    )


def read_drift(connection: sqlite3.Connection, namespace: str = "") -> dict[str, DriftState]:
    """Return how namespaces stand; all of them where none is named."""
    rows = connection.execute(
        "SELECT namespace, basis, counts, report FROM drift WHERE ? IN ('', namespace) "
        "ORDER BY namespace",
        (namespace,),
    ).fetchall()
    return {
        name: DriftState(basis=basis, counts=counts, report=_report(json.loads(report)))
        for name, basis, counts, report in rows
    }


def drift_reports(connection: sqlite3.Connection, namespace: str = "") -> Sequence[DriftReport]:
    """Return how namespaces stand, by name."""
    return [state.report for state in read_drift(connection, namespace).values()]


def _report(values: dict[str, object]) -> DriftReport:
    models = values.pop("models")
    if not isinstance(models, list):
        raise TypeError("a drift report lists its models")
    return DriftReport(
        **values,  # type: ignore[arg-type]
        models=tuple(ModelDrift(**one) for one in models),
    )
