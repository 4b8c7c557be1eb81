"""What the file promises besides ``Ledger``: durability, privacy, and whom it lets in."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes_ledger import NOW_MS, TOKEN, a_hit, a_line, a_ticket, an_open_line

from cache.calibration import Source
from cache.embedded.sqlite_schema import Schema, open_database
from cache.embedded.vault import PLAIN, lend
from router.ledger.errors import LedgerError, LedgerRefused, LedgerUnavailable, LineRefused
from router.ledger.kept import KeptBounds
from router.ledger.labels import labelled_pairs, read_labels, trim_labels, write_label
from router.ledger.lines import attempt_rows, line_row, write_line
from router.ledger.schema import SCHEMA, ledger_path
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import (
    Feedback,
    FeedbackKind,
    KeptOutcome,
    LabelledPair,
    LedgerLine,
    LineState,
    Outcome,
    Pair,
    RequestKey,
    SavingsQuery,
)
from router.types import Mode

ROOT = Path(__file__).parents[4]
DAY_MS = 86_400_000


def opened(folder: Path, bounds: KeptBounds | None = None) -> SqliteLedger:
    return SqliteLedger.open(folder, on_failure=lambda error: None, bounds=bounds)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = opened(tmp_path)
    yield ledger
    await ledger.aclose()


def key(n: int) -> RequestKey:
    return RequestKey(namespace="shop", caller="app", request_id=f"r-{n}")


def kept(n: int) -> KeptOutcome:
    return KeptOutcome(
        body_digest=bytes([n % 256]) * 32, response=b"answer", expires_at_ms=NOW_MS + DAY_MS + n
    )


def a_word(line: LedgerLine, kind: FeedbackKind) -> Feedback:
    return Feedback(
        line_id=line.line_id, kind=kind, at_ms=NOW_MS, keep_pair_until_ms=NOW_MS + DAY_MS
    )


def a_label(n: int, source: str = "audit", **changes: Any) -> LabelledPair:
    label = LabelledPair(
        line_id=a_line(n).line_id,
        namespace="shop",
        asked=f"how do I reset key {n}?",
        stored="how can a key be reset?",
        is_same=True,
        source=Source(source),
        at_ms=NOW_MS,
        expires_at_ms=NOW_MS + DAY_MS,
    )
    return replace(label, **changes)


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(ledger_path(folder))) as connection:
        return connection.execute(sql).fetchall()


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def modes_of_files(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


# --- survival

_RECORDER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = ["tests"]
from fakes_ledger import a_hit, a_line
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import KeptOutcome, RequestKey

async def main() -> None:
    ledger = SqliteLedger.open(Path(sys.argv[1]), on_failure=print)
    async def record(n):
        line = a_line(n)
        key = RequestKey(namespace="shop", caller="app", request_id=str(n))
        kept = KeptOutcome(body_digest=b"", response=b"%d" % n, expires_at_ms=2**60)
        await ledger.record(line, key=key, kept=kept)
        print(n, flush=True)
    for n in range(0, 1_000_000, 16):
        ledger.note(a_hit(n + 1_000_000))
        await asyncio.gather(*(record(m) for m in range(n, n + 16)))

asyncio.run(main())
"""


def acknowledged_until_killed(folder: Path, n: int) -> list[int]:
    """Run a recorder, kill it after ``n`` acknowledged lines, and return all it acknowledged."""
    command = [sys.executable, "-c", _RECORDER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = [int(process.stdout.readline()) for _ in range(n)]
        process.send_signal(signal.SIGKILL)
        return first + [int(line) for line in process.stdout.read().split("\n")[:-1]]


async def test_every_acknowledged_line_survives_kill_9(tmp_path: Path) -> None:
    """Killed while it writes: what was acknowledged is there, whole, with what was kept."""
    acknowledged = acknowledged_until_killed(tmp_path, 500)

    ledger = opened(tmp_path)
    for n in acknowledged:
        assert await ledger.line(a_line(n).line_id) == a_line(n)
        found = await ledger.kept(replace(key(0), request_id=str(n)), NOW_MS)
        assert found is not None
        assert found.response == str(n).encode()
    totals = (await ledger.savings(SavingsQuery())).totals
    assert totals.n_requests >= len(acknowledged)
    assert totals.cost_nanos + totals.saved_nanos == totals.baseline_nanos
    await ledger.aclose()


async def test_tickets_outcomes_and_modes_survive_a_restart(tmp_path: Path) -> None:
    """An advisor's ticket is as good after a restart as before."""
    line = an_open_line()
    before = opened(tmp_path)
    await before.open_ticket(a_ticket(line), line, key=key(1), kept=kept(1))
    await before.set_mode("shop", Mode.SHADOW)
    await before.aclose()

    after = opened(tmp_path)
    async with after.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        assert redemption.ticket == a_ticket(line)
        assert redemption.line == line
    assert await after.kept(key(1), NOW_MS) == kept(1)
    assert await after.modes() == {"shop": Mode.SHADOW}
    await after.aclose()


async def test_a_redeemer_killed_before_settling_leaves_the_ticket_whole(tmp_path: Path) -> None:
    """Spending and closing are one transaction: never a spent ticket with an open line."""
    line = an_open_line()
    ledger = opened(tmp_path)
    await ledger.open_ticket(a_ticket(line), line)
    task = asyncio.ensure_future(_hold(ledger))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ledger.aclose()

    assert rows(tmp_path, "SELECT spent_at_ms, is_over FROM tickets") == [(None, 0)]
    assert rows(tmp_path, "SELECT state FROM lines") == [(0,)]


async def _hold(ledger: SqliteLedger) -> None:
    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS):
        await asyncio.sleep(60)


async def test_what_was_noted_is_written_on_close(tmp_path: Path) -> None:
    """A service that stops in order loses nothing."""
    ledger = opened(tmp_path)
    for n in range(1_000):
        ledger.note(a_hit(n))
    await ledger.aclose()

    assert rows(tmp_path, "SELECT count(*) FROM lines") == [(1_000,)]


# --- trouble


async def test_a_full_disk_fails_the_write_and_nothing_else(tmp_path: Path) -> None:
    """The caller is told, noted lines are counted, reads go on, and so do writes later."""
    failures: list[LedgerError] = []
    ledger = SqliteLedger.open(tmp_path, on_failure=failures.append)
    await ledger.record(a_line())
    await _limit_pages(ledger, lambda connection: _pages(connection))

    big = replace(kept(1), response=bytes(200_000))
    with pytest.raises(LedgerUnavailable, match="full"):
        await ledger.record(a_line(1), key=key(1), kept=big)
    ledger.note(a_line(2), key=key(2), kept=big)
    assert await ledger.line(a_line().line_id) == a_line()
    assert [type(failure) for failure in failures] == [LedgerUnavailable]
    assert await ledger.kept(key(1), NOW_MS) == big, "a retry within this process gets its outcome"

    await _limit_pages(ledger, lambda connection: 1_000_000)
    await ledger.record(a_line(3))
    totals = (await ledger.savings(SavingsQuery())).totals
    assert totals.n_requests == 2
    await ledger.aclose()


async def test_a_ticket_that_was_not_written_is_not_kept_for_retries(tmp_path: Path) -> None:
    """No retry gets a ticket that nobody knows."""
    line = an_open_line()
    ledger = opened(tmp_path)
    await _limit_pages(ledger, lambda connection: _pages(connection))

    big = a_ticket(line, text="x" * 200_000)
    with pytest.raises(LedgerUnavailable):
        await ledger.open_ticket(big, line, key=key(1), kept=kept(1))

    assert await ledger.kept(key(1), NOW_MS) is None
    await ledger.aclose()


async def _limit_pages(ledger: SqliteLedger, limit: Callable[[sqlite3.Connection], int]) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit(connection)}").fetchall()

    await ledger._writer.submit(work)


def _pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA page_count").fetchone()[0])


async def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    """Every method raises the ledger's own error; a note only tells."""
    failures: list[LedgerError] = []
    ledger = SqliteLedger.open(tmp_path, on_failure=failures.append)
    await ledger.aclose()

    with pytest.raises(LedgerUnavailable):
        await ledger.record(a_line())
    with pytest.raises(LedgerUnavailable):
        await ledger.line(a_line().line_id)
    with pytest.raises(LedgerUnavailable):
        await ledger.savings(SavingsQuery())
    ledger.note(a_line())
    assert [type(failure) for failure in failures] == [LedgerUnavailable]


async def test_a_value_no_file_can_hold_is_refused_alone(ledger: SqliteLedger) -> None:
    """Broken text in one line does not take its neighbours along."""
    broken = ledger.record(a_line(0, request_id="\ud800"))
    good = ledger.record(a_line(1))

    results = await asyncio.gather(broken, good, return_exceptions=True)

    assert [type(result) for result in results] == [LineRefused, type(None)]
    assert await ledger.line(a_line(1).line_id) == a_line(1)


# --- whom it lets in


async def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    """The ledger knows who asked what for how much."""
    mask = os.umask(0)
    try:
        ledger = opened(tmp_path)
        await ledger.record(a_line())
        modes = modes_of_files(tmp_path)
        await ledger.aclose()
    finally:
        os.umask(mask)

    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Another program's file is neither read nor changed."""
    with closing(sqlite3.connect(ledger_path(tmp_path))) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute("PRAGMA application_id = 7")
    before = ledger_path(tmp_path).read_bytes()

    with pytest.raises(LedgerRefused, match="application id"):
        opened(tmp_path)

    assert ledger_path(tmp_path).read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """What is no database is not written over."""
    ledger_path(tmp_path).write_bytes(b"these are not the bytes of a database" * 200)

    with pytest.raises(LedgerRefused, match="not a readable"):
        opened(tmp_path)


def test_a_ledger_of_a_later_scrimp_is_refused(tmp_path: Path) -> None:
    """An older program does not write into a newer schema."""
    newer = replace(SCHEMA, migrations=(*SCHEMA.migrations, lambda connection: None))
    open_database(ledger_path(tmp_path), newer).close()

    with pytest.raises(LedgerRefused, match="newer scrimp"):
        opened(tmp_path)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(LedgerUnavailable, match="nowhere"):
        opened(tmp_path / "nowhere")


async def test_an_older_schema_moves_on_with_its_lines(tmp_path: Path) -> None:
    """A file of schema 1 keeps its lines and takes what schema 2 brought."""
    first = Schema(
        name=SCHEMA.name, application_id=SCHEMA.application_id, migrations=SCHEMA.migrations[:1]
    )
    with closing(open_database(ledger_path(tmp_path), first)) as connection:
        write_line(connection, line_row(a_hit()), attempt_rows(a_hit()))

    ledger = opened(tmp_path)
    feedback = Feedback(line_id=a_hit().line_id, kind=FeedbackKind.HIT_RIGHT, at_ms=NOW_MS)
    taken = await ledger.feedback(feedback, namespace="shop", caller="app")
    await ledger.aclose()

    assert taken.line == a_hit()
    assert rows(tmp_path, "PRAGMA user_version") == [(SCHEMA.version,)]


# --- privacy


async def test_a_token_is_nowhere_in_the_folder(tmp_path: Path) -> None:
    """Who reads the disk can not redeem; a no-store text is not there either."""
    token = b"sixteen bytes !!"
    line = an_open_line()
    ledger = opened(tmp_path)
    await ledger.open_ticket(a_ticket(line, token, is_no_store=True), line)

    written = all_bytes(tmp_path)
    await ledger.aclose()

    assert token not in written
    assert a_ticket(line).text.encode() not in written


async def test_texts_are_erased_when_a_ticket_is_over(tmp_path: Path) -> None:
    """Spent or expired: of a ticket remains only that it was."""
    spent, expired = an_open_line(0), an_open_line(1)
    ledger = opened(tmp_path)
    await ledger.open_ticket(a_ticket(spent), spent)
    await ledger.open_ticket(a_ticket(expired, b"2" * 16), expired)
    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        await redemption.settle(replace(spent, state=LineState.USAGE_UNKNOWN))
    await ledger.expire_tickets(NOW_MS + 700_000)
    await ledger.aclose()

    left = rows(tmp_path, "SELECT text, partition, user, conversation, tags FROM tickets")
    assert left == [("", b"", "", "", "[]")] * 2
    assert a_ticket(spent).text.encode() not in all_bytes(tmp_path), "erased, not only unlinked"


async def test_feedback_keeps_the_pair_it_speaks_of(tmp_path: Path) -> None:
    """A pair without feedback goes at its time; with feedback, training finds both texts."""
    pair = Pair(asked="reset my password", stored="how to reset it?", expires_at_ms=NOW_MS + 1)
    judged, silent = (a_hit(n, outcome=Outcome.NEAR, similarity=0.97) for n in range(2))
    ledger = opened(tmp_path)
    for line in (judged, silent):
        ledger.note(line, pair=pair)
    feedback = Feedback(
        line_id=judged.line_id,
        kind=FeedbackKind.HIT_WRONG,
        at_ms=NOW_MS,
        note="?",
        keep_pair_until_ms=NOW_MS + 1_000,
    )
    await ledger.feedback(feedback, namespace="shop", caller="app")
    await ledger.expire_tickets(NOW_MS + 1)
    await ledger.aclose()

    assert rows(tmp_path, "SELECT count(*) FROM pairs") == [(0,)]
    labelled = rows(tmp_path, "SELECT kind, entry_id, similarity, asked, stored FROM labelled")
    assert labelled == [("hit_wrong", 7, 0.97, "reset my password", "how to reset it?")]


async def test_personal_texts_become_no_labelled_pair(tmp_path: Path) -> None:
    """They are kept to act on a word, and go at their time; nothing to train on remains."""
    pair = Pair(asked="my order", stored="our order", expires_at_ms=NOW_MS + 1, is_personal=True)
    ledger = opened(tmp_path)
    ledger.note(a_hit(outcome=Outcome.NEAR), pair=pair)

    taken = await ledger.feedback(
        a_word(a_hit(), FeedbackKind.HIT_WRONG), namespace="shop", caller="app"
    )
    await ledger.aclose()

    assert taken.pair == pair
    assert labelled_pairs(tmp_path) == []


async def test_labelled_pairs_come_back_as_they_were_said(tmp_path: Path) -> None:
    """From all three sources, oldest first; of one source and line the latest word stands."""
    pair = Pair(asked="reset my key", stored="how to reset it?", expires_at_ms=NOW_MS + 1)
    audited, missed = (a_label(n, source) for n, source in ((1, "audit"), (2, "shadow")))
    ledger = opened(tmp_path)
    ledger.note(a_hit(outcome=Outcome.NEAR), pair=pair)
    for kind in (FeedbackKind.HIT_RIGHT, FeedbackKind.HIT_WRONG):
        await ledger.feedback(a_word(a_hit(), kind), namespace="shop", caller="app")
    ledger.label(replace(audited, is_same=False))
    ledger.label(audited)
    ledger.label(missed)
    await ledger.aclose()

    said, *others = labelled_pairs(tmp_path)
    assert (said.asked, said.stored, said.is_same) == ("reset my key", "how to reset it?", False)
    assert (said.source, said.line_id) == (Source.FEEDBACK, a_hit().line_id)
    assert others == [audited, missed]


async def test_labelled_pairs_go_at_their_time(tmp_path: Path) -> None:
    """Their texts are not kept for longer than the settings say."""
    ledger = opened(tmp_path)
    ledger.label(a_label(1))
    ledger.label(a_label(2, expires_at_ms=NOW_MS + 5))
    await ledger.expire_tickets(NOW_MS + 5)
    await ledger.aclose()

    assert [pair.line_id for pair in labelled_pairs(tmp_path)] == [a_label(1).line_id]


def test_of_too_many_labelled_pairs_the_oldest_go() -> None:
    """Their number is bounded, whatever traffic brings."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        lend(PLAIN, connection)
        for step in SCHEMA.migrations:
            step(connection)
        for n in range(5):
            write_label(connection, a_label(n))

        trim_labels(connection, max_labels=2)

        left = [pair.line_id for pair in read_labels(connection)]
    assert left == [a_label(3).line_id, a_label(4).line_id]


def test_what_the_rules_of_today_call_personal_is_not_read() -> None:
    """A pair that was kept before a rule was sharpened is not handed out either."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        lend(PLAIN, connection)
        for step in SCHEMA.migrations:
            step(connection)
        write_label(connection, a_label(1, asked="mail me at ann@example.com"))

        assert list(read_labels(connection)) == []


async def test_pairs_labelled_before_move_on_with_an_end(tmp_path: Path) -> None:
    """A file of schema 3 keeps what feedback labelled, for thirty days more than it has."""
    third = Schema(
        name=SCHEMA.name, application_id=SCHEMA.application_id, migrations=SCHEMA.migrations[:3]
    )
    with closing(open_database(ledger_path(tmp_path), third)) as connection:
        write_line(connection, line_row(a_hit()), attempt_rows(a_hit()))
        connection.execute(
            "INSERT INTO feedback VALUES (1, 'hit_right', ?, '', 'reset it', 'how to reset it?')",
            (NOW_MS,),
        )

    await opened(tmp_path).aclose()

    (pair,) = labelled_pairs(tmp_path)
    assert (pair.line_id, pair.is_same, pair.stored) == (a_hit().line_id, True, "how to reset it?")
    assert pair.expires_at_ms == NOW_MS + 30 * 86_400_000


# --- sums of past hours


async def test_upkeep_sums_past_hours_and_reports_stay_the_same(tmp_path: Path) -> None:
    """A report over summed hours is the report over their lines, also when one changes late."""
    ledger = opened(tmp_path)
    for n in range(0, 3 * 3600, 60):
        ledger.note(a_line(n))
    query = SavingsQuery(group_by=("namespace", "day"))
    before = await ledger.savings(query)

    await ledger.expire_tickets(NOW_MS + DAY_MS)
    assert rows(tmp_path, "SELECT count(*), sum(is_summed) FROM hours") == [(4, 4)]
    assert await ledger.savings(query) == before

    await ledger.record(a_line(0, cost_nanos=1, attempts=()))
    assert rows(tmp_path, "SELECT count(*) FROM hours") == [(3,)]
    after = await ledger.savings(query)
    assert after.totals.cost_nanos == before.totals.cost_nanos - 520_000 + 1
    await ledger.aclose()


# --- what is kept in memory


async def test_outcomes_beyond_the_bounds_are_read_from_the_file(tmp_path: Path) -> None:
    """Bounded memory forgets no outcome, neither running nor after a restart."""
    bounds = KeptBounds(max_keys=5, max_outcomes=2, max_bytes=1_000)
    ledger = opened(tmp_path, bounds)
    for n in range(20):
        ledger.note(a_hit(n), key=key(n), kept=kept(n))
    assert [await ledger.kept(key(n), NOW_MS) for n in range(20)] == [kept(n) for n in range(20)]
    await ledger.aclose()

    again = opened(tmp_path, bounds)
    assert [await again.kept(key(n), NOW_MS) for n in range(20)] == [kept(n) for n in range(20)]
    assert await again.kept(key(99), NOW_MS) is None
    await again.aclose()


async def test_a_new_request_id_costs_no_look_at_the_disk(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly every id is new: that is known in memory."""
    await ledger.record(a_line(), key=key(0), kept=kept(0))
    monkeypatch.setattr(ledger._quick, "run", lambda query: pytest.fail("the disk was asked"))

    assert await ledger.kept(key(1), NOW_MS) is None
    assert await ledger.kept(key(0), NOW_MS) == kept(0)


async def test_old_outcomes_are_deleted_in_bounded_steps(tmp_path: Path) -> None:
    """A call of the upkeep holds the writer only for a while, however much there is to do."""
    ledger = opened(tmp_path)
    for n in range(700):
        ledger.note(a_hit(n), key=key(n), kept=kept(n))

    await ledger.expire_tickets(NOW_MS + 2 * DAY_MS)
    assert rows(tmp_path, "SELECT count(*) FROM kept") == [(200,)]
    await ledger.expire_tickets(NOW_MS + 2 * DAY_MS)
    assert rows(tmp_path, "SELECT count(*) FROM kept") == [(0,)]
    assert "KeptIndex(0 keys, 0 outcomes)" in repr(ledger)
    await ledger.aclose()
