"""What the ledger's file keeps of near-duplicates."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes_ledger import NOW_MS

from cache.calibration import DriftAlarm, Estimate, Observation, Source
from cache.embedded.sqlite_schema import Schema, open_database
from router.ledger.evidence import KEEP_S, MAX_TRAIT_CHARS, Twin, keepable
from router.ledger.schema import SCHEMA, ledger_path
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import AssuranceReport, AssuranceState, SavingsQuery

NOW_S = NOW_MS / 1e3
VERIFIER = "pair-1"
AUDIT = Observation(
    p_right=1 - 5e-7,
    is_right=False,
    weight=1 / 3,
    traits=("slot:for", "words:acme|globex"),
    at_s=NOW_S - 0.123456789,
)
SHADOW = Observation(p_right=0.7, is_right=True, source=Source.SHADOW, at_s=NOW_S)
REPORT = AssuranceReport(
    namespace="shop",
    state=AssuranceState.UNCERTIFIED,
    target=0.02,
    min_p_right=0.95,
    n_observations=2,
    labels_still_needed=235,
    error_rate=Estimate(value=0.02, low=0.0, high=0.1, n=50),
    barred=("slot:for",),
    drift=DriftAlarm(before=0.9, recent=0.5, p_value=1e-6),
)


def opened(folder: Path) -> SqliteLedger:
    return SqliteLedger.open(folder, on_failure=lambda error: pytest.fail(str(error)))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = opened(tmp_path)
    yield ledger
    await ledger.aclose()


async def test_evidence_survives_a_restart_to_the_last_digit(tmp_path: Path) -> None:
    """Its halves and its fair sample depend on every digit."""
    first = opened(tmp_path)
    first.note_observation("shop", VERIFIER, AUDIT)
    first.note_observation("shop", VERIFIER, SHADOW)
    first.note_twin("shop", Twin(is_different=True, at_s=NOW_S))
    first.note_assurance(VERIFIER, REPORT, NOW_S)
    await first.aclose()
    second = opened(tmp_path)

    found = await second.evidence(VERIFIER, NOW_S)

    await second.aclose()
    assert set(found) == {"shop"}
    assert found["shop"].observations == [AUDIT, SHADOW]
    assert found["shop"].twins == [Twin(is_different=True, at_s=NOW_S)]
    assert found["shop"].report == REPORT


async def test_another_verifiers_evidence_does_not_count(ledger: SqliteLedger) -> None:
    """Its P(right) is on another scale; the comparator's false alarms are the same."""
    ledger.note_observation("shop", "pair-0", AUDIT)
    ledger.note_assurance("pair-0", REPORT, NOW_S)
    ledger.note_twin("shop", Twin(is_different=False, at_s=NOW_S))

    found = (await ledger.evidence(VERIFIER, NOW_S))["shop"]

    assert (found.observations, found.report, len(found.twins)) == ([], None, 1)


async def test_what_is_too_old_neither_counts_nor_stays(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    """Thirty days."""
    ledger.note_observation("shop", VERIFIER, AUDIT)
    later_s = NOW_S + KEEP_S

    assert await ledger.evidence(VERIFIER, later_s) == {}
    await ledger.expire_tickets(int(later_s * 1e3))

    with closing(sqlite3.connect(ledger_path(tmp_path))) as connection:
        assert connection.execute("SELECT count(*) FROM evidence").fetchone() == (0,)


async def test_the_latest_rows_are_kept(ledger: SqliteLedger) -> None:
    """Of this namespace only; others lose nothing."""
    for n in range(5):
        row = Observation(p_right=n / 10, is_right=True, at_s=NOW_S)
        ledger.note_observation("shop", VERIFIER, row)
        ledger.note_observation("other", VERIFIER, row)

    ledger.trim_evidence("shop", 2)

    found = await ledger.evidence(VERIFIER, NOW_S)
    assert [o.p_right for o in found["shop"].observations] == [0.3, 0.4]
    assert len(found["other"].observations) == 5


async def test_the_savings_report_says_how_namespaces_stand(ledger: SqliteLedger) -> None:
    """The latest word on each; the query's namespace narrows it."""
    ledger.note_assurance(VERIFIER, REPORT, NOW_S)
    ledger.note_assurance(VERIFIER, REPORT, NOW_S + 1)

    assert (await ledger.savings(SavingsQuery())).assurance == (REPORT,)
    assert (await ledger.savings(SavingsQuery(namespace="shop"))).assurance == (REPORT,)
    assert (await ledger.savings(SavingsQuery(namespace="other"))).assurance == ()


async def test_a_ledger_from_before_takes_evidence(tmp_path: Path) -> None:
    """The step to this schema is taken when it is opened."""
    before = Schema(
        name=SCHEMA.name,
        application_id=SCHEMA.application_id,
        migrations=SCHEMA.migrations[:3],
    )
    open_database(ledger_path(tmp_path), before).close()
    ledger = opened(tmp_path)
    ledger.note_observation("shop", VERIFIER, AUDIT)

    found = await ledger.evidence(VERIFIER, NOW_S)

    await ledger.aclose()
    assert found["shop"].observations == [AUDIT]


def test_long_traits_are_left_out() -> None:
    """Cut ones could look like others; six at most, and none that would break a row."""
    long = "words:" + "x" * MAX_TRAIT_CHARS

    assert keepable(("form", long, "a\nb")) == ("form",)
    assert len(keepable([f"slot:{n}" for n in range(9)])) == 6
