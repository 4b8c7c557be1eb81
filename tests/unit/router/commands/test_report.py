from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from fakes_ledger import a_hit, a_line, an_attempt
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cache.calibration import DriftAlarm, Estimate
from cache.embedded.sqlite_schema import Schema, open_database
from router.commands.report import Money, as_object, render, report
from router.ledger.schema import SCHEMA, ledger_path
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.sums import report_of
from router.ledger.types import (
    AssuranceReport,
    AssuranceState,
    Cause,
    LedgerLine,
    LineState,
    Outcome,
    SavingsQuery,
    SavingsReport,
    Shadow,
)

EVERYTHING = SavingsQuery()


def shown(found: SavingsReport) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render(found))
    return capture.get()


def a_report(*lines: LedgerLine, group_by: tuple[str, ...] = ()) -> SavingsReport:
    return report_of(lines, SavingsQuery(group_by=group_by))


@settings(deadline=None)
@given(nanos=st.integers(-(10**24), 10**24))
def test_dollars_are_written_exactly(nanos: int) -> None:
    """No nano is lost between ledger and eye, however large the sum."""
    written = Money()(nanos).replace("$", "").replace(",", "")

    assert Decimal(written) * 10**9 == nanos


def test_amounts_share_the_fewest_decimals_that_round_nothing_away() -> None:
    """Columns line up, and every digit shown is true."""
    assert Money(2)(1_234_500_000_000) == "$1,234.50"
    assert Money(2)(-5_000_000_000) == "-$5.00"
    assert Money.exact_for(a_report(a_hit(baseline_nanos=5_000_000_000))).n_decimals == 2
    assert Money.exact_for(a_report(a_hit(baseline_nanos=5_000_000_001))).n_decimals == 9


def test_the_tables_show_the_identity_and_its_causes() -> None:
    """Cost, baseline and saved of an example, as a person reads them."""
    text = shown(a_report(a_line(0), a_hit(1)))

    assert "$0.00520" in text, "baseline"
    assert "$0.00052" in text, "cost"
    assert "saved (90.0% of baseline)" in text
    assert "$0.00468" in text, "saved"
    assert "exact hits" in text
    assert "routing to cheaper models" in text
    assert "nothing_similar" in text
    assert "as many tokens" in text, "the baseline's assumption"


def test_the_tables_show_what_is_wasted_and_what_is_unknown() -> None:
    """Failed calls with their cost; requests nobody can account for, as unknown and not as 0."""
    failed = a_line(
        outcome=Outcome.FAILED,
        cause=Cause.FAILED,
        baseline_nanos=0,
        attempts=(an_attempt(status="timeout"),),
    )

    text = shown(a_report(failed, a_line(1, state=LineState.USAGE_UNKNOWN), a_line(2)))

    assert "attempts that gave no answer" in text
    assert "failed requests (paid, nothing delivered)" in text
    assert "-$0.00052" in text
    (unseen,) = (line for line in text.splitlines() if "usage nobody told" in line)
    assert unseen.split()[-2:] == ["1", "unknown"]


def test_shadow_and_groups_have_tables_of_their_own() -> None:
    """What would have been saved is never mixed with what was."""
    shadow = Shadow(outcome=Outcome.NEAR, model="small", saved_nanos=10_000_000)

    text = shown(a_report(a_line(shadow=shadow), group_by=("user", "day")))

    assert "Mode shadow: would have" in text
    assert "$0.01000" in text
    assert "By user and day" in text


def test_no_requests_are_said_in_words() -> None:
    """An empty report has no empty tables."""
    assert "No requests" in shown(a_report())


def test_json_holds_integers_and_the_identity() -> None:
    """Amounts are nano-dollars; nothing went through a float on the way."""
    found = a_report(a_line(0), a_hit(1), group_by=("model",))

    totals = json.loads(json.dumps(as_object(found)))["totals"]

    assert totals["cost_nanos"] + totals["saved_nanos"] == totals["baseline_nanos"] == 5_200_000
    assert totals["saved_by_cause"] == {"exact": 2_600_000, "routing": 2_080_000}


async def test_a_report_reads_beside_a_running_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service writes on while the report reads what is committed."""
    ledger = SqliteLedger.open(tmp_path, on_failure=lambda error: None)
    await ledger.record(a_line(0))

    assert report(tmp_path, EVERYTHING, True) == 0
    await ledger.record(a_line(1))
    await ledger.aclose()

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["totals"]["n_requests"] == 1


async def test_a_report_reads_what_a_stopped_service_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No service needs to run."""
    ledger = SqliteLedger.open(tmp_path, on_failure=lambda error: None)
    await ledger.record(a_line(0))
    await ledger.aclose()

    assert report(tmp_path, EVERYTHING, False) == 0
    assert "$0.00208" in capsys.readouterr().out


def _foreign(folder: Path) -> None:
    with closing(sqlite3.connect(ledger_path(folder))) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _older(folder: Path) -> None:
    first = Schema(
        name=SCHEMA.name, application_id=SCHEMA.application_id, migrations=SCHEMA.migrations[:1]
    )
    open_database(ledger_path(folder), first).close()


def _damaged(folder: Path) -> None:
    ledger_path(folder).write_bytes(b"no database at all" * 300)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.rmdir(), "there is no data folder"),
        (lambda folder: None, "holds no ledger"),
        (_foreign, "no ledger of scrimp"),
        (_older, "start `scrimp serve` once"),
        (_damaged, "can not be read as a ledger"),
    ],
    ids=["no folder", "no ledger", "foreign", "older schema", "damaged"],
)
def test_what_can_not_be_reported_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, words: str
) -> None:
    """Exit status 1, a sentence that helps on stderr, nothing on stdout."""
    assert callable(make)
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)

    assert report(folder, EVERYTHING, True) == 1

    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_an_impossible_grouping_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says what can be grouped by."""
    open_database(ledger_path(tmp_path), SCHEMA).close()

    assert report(tmp_path, SavingsQuery(group_by=("caller",)), False) == 1
    assert "namespace, user" in capsys.readouterr().err


MEASURED = AssuranceReport(
    namespace="shop",
    state=AssuranceState.UNCERTIFIED,
    target=0.02,
    min_p_right=0.95,
    labels_still_needed=49,
    error_rate=Estimate(value=0.012, low=0.003, high=0.034, n=250),
    barred=("slot:for",),
    drift=DriftAlarm(before=0.98, recent=0.9, p_value=1e-5),
)
UNMEASURED = AssuranceReport(
    namespace="wiki", state=AssuranceState.THIN_EVIDENCE, target=0.001, min_p_right=None
)


def test_the_tables_say_how_sure_near_duplicates_are() -> None:
    """State, target and estimate with its interval; without audits "not measured", never 0."""
    text = shown(replace(a_report(a_line(0)), assurance=(MEASURED, UNMEASURED)))

    assert "1.20% (0.30% to 3.40% of 250)" in text
    assert "49 audits" in text
    for words in ("uncertified", "slot:for", "drift:", "thin", "not measured", "exact only"):
        assert words in text


def test_the_object_says_how_sure_near_duplicates_are() -> None:
    """The same for programs; null is not measured."""
    found = json.loads(json.dumps(as_object(replace(a_report(), assurance=(MEASURED, UNMEASURED)))))

    measured, unmeasured = found["assurance"]
    assert measured["state"] == "uncertified"
    assert measured["error_rate"] == {"value": 0.012, "low": 0.003, "high": 0.034, "n": 250}
    assert unmeasured["error_rate"] is None
