"""What became known of near-duplicates, so that a restart forgets nothing of it.

No texts: of how two prompts differ, traits that hold some words of them. Those are taken out when
their time is over, and the rest goes on to count.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cache.calibration import DriftAlarm, Estimate, Observation, Source
from cache.traits import wordless
from router.ledger.types import AssuranceReport, AssuranceState

KEEP_S = 30 * 24 * 3600
"""Seconds that evidence counts; traffic of last season says little of today's."""

MAX_TRAITS = 6
MAX_TRAIT_CHARS = 64
_REPORT = "SELECT unseal(report, 'assurance.report', namespace) FROM assurance"
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
    connection: sqlite3.Connection,
    namespace: str,
    verifier: str,
    observation: Observation,
    keep_s: float = KEEP_S,
) -> None:
    """Keep an observation under the verifier that gave its ``p_right``; its words for a while."""
    traits = observation.traits
    texts_at_s = observation.texts_at_s or observation.at_s
    has_words = wordless(traits) != traits
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
            _SEPARATOR.join(traits),
            bytes.fromhex(observation.line_id),
            observation.entry_id,
            texts_at_s,
            texts_at_s + min(keep_s, KEEP_S) if has_words else None,
        ),
    )


def write_twin(connection: sqlite3.Connection, namespace: str, twin: Twin) -> None:
    """Keep what the comparator said of two answers to one prompt."""
    of_none = (b"", 0, twin.at_s, None)
    _write(
        connection, (namespace, twin.at_s, _TWIN, "", 1.0, not twin.is_different, 1.0, "", *of_none)
    )


def write_report(
    connection: sqlite3.Connection,
    verifier: str,
    report: AssuranceReport,
    at_s: float,
    keep_s: float = KEEP_S,
) -> None:
    """Keep how a namespace stands, instead of what was kept before; words in it for a while."""
    has_words = wordless(report.barred) != report.barred
    connection.execute(
        "INSERT OR REPLACE INTO assurance (namespace, verifier, at_s, report, words_until_s) "
        "VALUES (?1, ?, ?, seal(?, 'assurance.report', ?1), ?)",
        (
            report.namespace,
            verifier,
            at_s,
            json.dumps(asdict(report), ensure_ascii=False),
            at_s + min(keep_s, KEEP_S) if has_words else None,
        ),
    )


def read_evidence(connection: sqlite3.Connection, verifier: str, since_s: float) -> dict[str, Kept]:
    """Return what is kept by namespace; another verifier's P(right) is on another scale."""
    found: dict[str, Kept] = {}
    rows = connection.execute(
        "SELECT namespace, at_s, source, p_right, is_right, weight, "
        "unseal(traits, 'evidence.traits', namespace), texts_at_s FROM evidence "
        "WHERE at_s >= ? AND verifier IN (?, '') ORDER BY id",
        (since_s, verifier),
    )
    for namespace, at_s, source, p_right, is_right, weight, traits, texts_at_s in rows:
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
                texts_at_s=texts_at_s,
            )
        )
    reports = connection.execute(f"{_REPORT} WHERE verifier = ?", (verifier,))
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
        f"{_REPORT} WHERE ? IN ('', namespace) ORDER BY namespace", (namespace,)
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


def expire_words(connection: sqlite3.Connection, now_s: float, n: int) -> None:
    """Take the words out of up to ``n`` judged pairs, and reports, that may hold them no longer."""
    take_words(
        connection,
        "id IN (SELECT id FROM evidence WHERE words_until_s <= ? LIMIT ?)",
        (now_s, n),
    )
    take_words_of_reports(connection, "words_until_s <= ?", (now_s,))


def take_words(connection: sqlite3.Connection, rows: str, values: Sequence[Any]) -> int:
    """Leave in judged pairs what they came to, and no word of their texts; return how many.

    Args:
        connection: to the ledger.
        rows: a condition on ``evidence``.
        values: its.
    """
    connection.create_function("wordless", 1, _wordless, deterministic=True)
    return connection.execute(
        "UPDATE evidence SET traits = seal(wordless(unseal(traits, 'evidence.traits', namespace)), "
        "'evidence.traits', namespace), words_until_s = NULL "
        f"WHERE words_until_s IS NOT NULL AND {rows}",
        values,
    ).rowcount


def take_words_of_reports(
    connection: sqlite3.Connection, rows: str, values: Sequence[Any] = ()
) -> None:
    """Do the same in reports of how namespaces stand; ``rows``: a condition on ``assurance``."""
    connection.create_function("wordless_report", 1, _wordless_report, deterministic=True)
    connection.execute(
        "UPDATE assurance SET report = seal(wordless_report(unseal(report, 'assurance.report', "
        "namespace)), 'assurance.report', namespace), words_until_s = NULL "
        f"WHERE words_until_s IS NOT NULL AND {rows}",
        values,
    )


def _wordless(traits: str) -> str:
    return _SEPARATOR.join(wordless(traits.split(_SEPARATOR)))


def _wordless_report(raw: str) -> str:
    values = json.loads(raw)
    values["barred"] = wordless(values["barred"])
    return json.dumps(values, ensure_ascii=False)


def _write(connection: sqlite3.Connection, row: tuple[object, ...]) -> None:
    connection.execute(
        "INSERT INTO evidence (namespace, at_s, source, verifier, p_right, is_right, weight, "
        "traits, line_id, entry_id, texts_at_s, words_until_s) "
        "VALUES (?1, ?, ?, ?, ?, ?, ?, seal(?, 'evidence.traits', ?1), ?, ?, ?, ?)",
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
