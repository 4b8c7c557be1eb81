"""What became known of near-duplicates, so that a restart forgets nothing of it.

No texts: of how two prompts differ, traits that hold two words at most.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from cache.calibration import DriftAlarm, Estimate, Observation, Source
from router.ledger.types import AssuranceReport, AssuranceState

KEEP_S = 30 * 24 * 3600
"""Seconds that evidence counts; traffic of last season says little of today's."""

MAX_TRAITS = 6
MAX_TRAIT_CHARS = 64
_TWIN = "twin"
_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One model asked twice for one prompt: whether the comparator called the answers different."""

    is_different: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a namespace.

    Attributes:
        observations: oldest first.
        twins: oldest first.
        report: as it was last written; None: never.
    """

    observations: list[Observation] = field(default_factory=list)
    twins: list[Twin] = field(default_factory=list)
    report: AssuranceReport | None = None


def keepable(traits: Sequence[str]) -> tuple[str, ...]:
    """Return the traits that are kept: longer ones are left out, not cut to look like others."""
    return tuple(
        trait for trait in traits if len(trait) <= MAX_TRAIT_CHARS and _SEPARATOR not in trait
    )[:MAX_TRAITS]


def write_observation(
    connection: sqlite3.Connection, namespace: str, verifier: str, observation: Observation
) -> None:
    """Keep an observation under the verifier that gave its ``p_right``."""
    _write(
        connection,
        (
            namespace,
            observation.at_s,
            observation.source.value,
            verifier,
            observation.p_right,
            observation.is_right,
            observation.weight,
            _SEPARATOR.join(observation.traits),
        ),
    )


def write_twin(connection: sqlite3.Connection, namespace: str, twin: Twin) -> None:
    """Keep what the comparator said of two answers to one prompt."""
    _write(connection, (namespace, twin.at_s, _TWIN, "", 1.0, not twin.is_different, 1.0, ""))


def write_report(
    connection: sqlite3.Connection, verifier: str, report: AssuranceReport, at_s: float
) -> None:
    """Keep how a namespace stands, instead of what was kept before."""
    connection.execute(
        "INSERT OR REPLACE INTO assurance (namespace, verifier, at_s, report) VALUES (?, ?, ?, ?)",
        (report.namespace, verifier, at_s, json.dumps(asdict(report), ensure_ascii=False)),
    )


def read_evidence(connection: sqlite3.Connection, verifier: str, since_s: float) -> dict[str, Kept]:
    """Return what is kept by namespace; another verifier's P(right) is on another scale."""
    found: dict[str, Kept] = {}
    rows = connection.execute(
        "SELECT namespace, at_s, source, p_right, is_right, weight, traits FROM evidence "
        "WHERE at_s >= ? AND verifier IN (?, '') ORDER BY id",
        (since_s, verifier),
    )
    for namespace, at_s, source, p_right, is_right, weight, traits in rows:
        kept = found.setdefault(namespace, Kept())
        if source == _TWIN:
            kept.twins.append(Twin(is_different=not is_right, at_s=at_s))
            continue
        kept.observations.append(
            Observation(
                p_right=p_right,
                is_right=bool(is_right),
                weight=weight,
                traits=tuple(traits.split(_SEPARATOR)) if traits else (),
                source=Source(source),
                at_s=at_s,
            )
        )
    reports = connection.execute("SELECT report FROM assurance WHERE verifier = ?", (verifier,))
    for (raw,) in reports.fetchall():
        report = _report(raw)
        kept = found.get(report.namespace, Kept())
        found[report.namespace] = Kept(kept.observations, kept.twins, report)
    return found


def read_reports(
    connection: sqlite3.Connection, namespace: str = ""
) -> tuple[AssuranceReport, ...]:
    """Return how namespaces stand, by name; all of them where none is named."""
    rows = connection.execute(
        "SELECT report FROM assurance WHERE ? IN ('', namespace) ORDER BY namespace", (namespace,)
    )
    return tuple(_report(raw) for (raw,) in rows.fetchall())


def trim_evidence(connection: sqlite3.Connection, namespace: str, n: int) -> None:
    """Keep a namespace's latest ``n`` rows."""
    connection.execute(
        "DELETE FROM evidence WHERE namespace = ?1 AND id <= "
        "(SELECT id FROM evidence WHERE namespace = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (namespace, n),
    )


def expire_evidence(connection: sqlite3.Connection, now_s: float, n: int) -> None:
    """Delete up to ``n`` rows that are too old to count."""
    connection.execute(
        "DELETE FROM evidence WHERE id IN "
        "(SELECT id FROM evidence WHERE at_s < ? ORDER BY at_s LIMIT ?)",
        (now_s - KEEP_S, n),
    )


def _write(connection: sqlite3.Connection, row: tuple[object, ...]) -> None:
    connection.execute(
        "INSERT INTO evidence "
        "(namespace, at_s, source, verifier, p_right, is_right, weight, traits) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def _report(raw: str) -> AssuranceReport:
    values = json.loads(raw)
    estimate, drift = values["error_rate"], values["drift"]
    return AssuranceReport(
        **values
        | {
            "state": AssuranceState(values["state"]),
            "barred": tuple(values["barred"]),
            "error_rate": None if estimate is None else Estimate(**estimate),
            "drift": None if drift is None else DriftAlarm(**drift),
        }
    )
