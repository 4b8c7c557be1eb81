from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache.embedded.sqlite_schema import Schema, open_database, quick_check, statements
from cache.embedded.sqlite_writer import Operation, SqliteWriter
from cache.errors import (
    DatabaseCorrupt,
    DatabaseForeign,
    DatabaseTooNew,
    StoreOverloaded,
    StoreUnavailable,
)

FIRST = statements("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT UNIQUE)")
SCHEMA = Schema(name="notes", application_id=0x6E6F7465, migrations=[FIRST])


def insert(note: str) -> Operation[int]:
    def operation(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO notes (note) VALUES (?)", (note,)).lastrowid or 0

    return operation


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    writer = SqliteWriter(path, SCHEMA)
    yield writer
    writer.close()


class Held:
    """Keeps the writer busy until it is let go, so that what follows shares one batch."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        writer.post(self._wait)
        assert self._begun.wait(5)

    def _wait(self, connection: sqlite3.Connection) -> None:
        self._begun.set()
        assert self._go_on.wait(5)

    def let_go(self) -> None:
        """End the batch that keeps the writer busy."""
        self._go_on.set()


async def test_what_was_awaited_is_in_the_file(writer: SqliteWriter, path: Path) -> None:
    """Another connection sees it as soon as the future has its result."""
    assert await writer.submit(insert("a")) == 1

    with sqlite3.connect(path) as other:
        assert count(other) == 1
    other.close()


async def test_many_operations_share_a_commit(writer: SqliteWriter) -> None:
    """What queues up while a commit runs goes into the next one, in order."""
    before = writer.stats().n_commits
    held = Held(writer)
    waiting = [writer.submit(insert(str(n))) for n in range(100)]
    held.let_go()

    assert await asyncio.gather(*waiting) == list(range(1, 101))
    assert writer.stats().n_commits - before == 2


async def test_a_failing_operation_leaves_its_neighbours_alone(writer: SqliteWriter) -> None:
    """Its own exception reaches its own caller; what it had written is undone."""

    def half(connection: sqlite3.Connection) -> None:
        insert("half")(connection)
        raise LookupError("changed my mind")

    held = Held(writer)
    waiting = [writer.submit(op) for op in (insert("a"), half, insert("a"), insert("b"))]
    held.let_go()
    first, second, third, fourth = await asyncio.gather(*waiting, return_exceptions=True)

    assert (first, fourth) == (1, 2)
    assert isinstance(second, LookupError)
    assert isinstance(third, sqlite3.IntegrityError)
    assert await writer.submit(count) == 2


async def test_a_full_disk_fails_the_batch_and_only_that(writer: SqliteWriter) -> None:
    """StoreUnavailable for everyone, nothing kept, and it works again when there is room."""

    def limit(pages: int) -> Operation[None]:
        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        return operation

    await writer.submit(limit(4))
    held = Held(writer)
    waiting = [writer.submit(insert("x" * 50_000 + str(n))) for n in range(3)]
    held.let_go()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    await writer.submit(limit(100_000))

    assert [type(error) for error in errors] == [StoreUnavailable] * 3
    assert "full" in str(errors[0])
    assert await writer.submit(count) == 0
    assert await writer.submit(insert("y" * 50_000)) == 1


async def test_a_posted_operation_is_committed_soon(path: Path) -> None:
    """Nobody waits; a failure is counted and told to the listener."""
    failures: list[BaseException] = []
    writer = SqliteWriter(path, SCHEMA, on_failure=failures.append)
    writer.post(insert("a"))
    writer.post(insert("a"))

    assert await writer.submit(count) == 1
    writer.close()

    assert [type(error) for error in failures] == [sqlite3.IntegrityError]
    assert writer.stats().n_failed == 1


async def test_a_posted_operation_is_committed_without_company(path: Path) -> None:
    """It lingers for others, but not for ever."""
    writer = SqliteWriter(path, SCHEMA, linger_s=0.001)
    writer.post(insert("a"))
    for _ in range(500):
        await asyncio.sleep(0.002)
        if writer.stats().n_done:
            break
    assert writer.stats().n_done == 1
    writer.close()


async def test_a_listener_that_fails_does_no_harm(path: Path) -> None:
    """The writer goes on."""

    def listener(error: BaseException) -> None:
        raise RuntimeError("no ears")

    writer = SqliteWriter(path, SCHEMA, on_failure=listener)
    writer.post(insert("a"))
    writer.post(insert("a"))
    assert await writer.submit(count) == 1
    writer.close()


async def test_the_queue_is_bounded(path: Path) -> None:
    """One more than may wait is refused at once, and said so."""
    writer = SqliteWriter(path, SCHEMA, max_waiting=2)
    held = Held(writer)
    waiting = [writer.submit(insert(str(n))) for n in range(2)]

    with pytest.raises(StoreOverloaded, match=r"2 writes to notes\.sqlite3 wait already"):
        writer.post(insert("c"))
    held.let_go()

    assert await asyncio.gather(*waiting) == [1, 2]
    writer.close()


async def test_closing_commits_what_waits(path: Path) -> None:
    """Then nothing more is taken."""
    writer = SqliteWriter(path, SCHEMA)
    held = Held(writer)
    waiting = [writer.submit(insert(str(n))) for n in range(700)]
    threading.Timer(0.05, held.let_go).start()
    await asyncio.to_thread(writer.close)

    assert len(await asyncio.gather(*waiting)) == 700
    with pytest.raises(StoreUnavailable, match="closed"):
        writer.submit(count)
    writer.close()


async def test_a_cancelled_wait_does_not_take_the_operation_back(writer: SqliteWriter) -> None:
    """Whoever stops waiting stops only that."""
    writer.submit(insert("a")).cancel()

    assert await writer.submit(count) == 1


async def test_files_are_for_their_owner_only(writer: SqliteWriter, path: Path) -> None:
    """The log and its index too."""
    await writer.submit(insert("a"))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert set(modes) == {"notes.sqlite3", "notes.sqlite3-wal", "notes.sqlite3-shm"}
    assert set(modes.values()) == {0o600}


def test_an_old_schema_is_migrated(path: Path) -> None:
    """Every missing step, in order, keeping what was there."""
    old = SqliteWriter(path, SCHEMA)
    old.post(insert("kept"))
    old.close()
    second = statements("ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 3")

    connection = open_database(
        path, Schema(name="notes", application_id=SCHEMA.application_id, migrations=[FIRST, second])
    )

    assert connection.execute("SELECT note, stars FROM notes").fetchall() == [("kept", 3)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_failing_migration_changes_nothing(path: Path) -> None:
    """The old program can still open the file."""
    SqliteWriter(path, SCHEMA).close()
    broken = statements("CREATE TABLE half (a)", "SELECT * FROM nowhere")
    newer = Schema(name="notes", application_id=SCHEMA.application_id, migrations=[FIRST, broken])

    with pytest.raises(StoreUnavailable):
        open_database(path, newer)

    connection = open_database(path, SCHEMA)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall() == []
    connection.close()


def test_a_newer_schema_is_refused(path: Path) -> None:
    """Says both versions and what to do."""
    newer = Schema(
        name="notes", application_id=SCHEMA.application_id, migrations=[FIRST, statements()]
    )
    open_database(path, newer).close()

    with pytest.raises(DatabaseTooNew, match="has schema 2, this version of scrimp knows notes"):
        SqliteWriter(path, SCHEMA)


def test_a_foreign_database_is_refused_and_untouched(path: Path) -> None:
    """One with tables and no mark, and one with another mark."""
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE theirs (a)")
    foreign.close()
    before = path.read_bytes()

    with pytest.raises(DatabaseForeign, match="another data folder"):
        SqliteWriter(path, SCHEMA)

    assert path.read_bytes() == before


def test_a_corrupt_database_is_named_with_the_remedy(path: Path) -> None:
    """Whether it is no database at all or a damaged one."""
    path.write_bytes(b"this is no database" * 100)

    with pytest.raises(DatabaseCorrupt, match=r"notes\.sqlite3 .* move it and its -wal and -shm"):
        SqliteWriter(path, SCHEMA)


def test_a_quick_check_finds_damage(path: Path) -> None:
    """Empty when all is well."""
    writer = SqliteWriter(path, SCHEMA)
    for n in range(500):
        writer.post(insert("x" * 500 + str(n)))
    writer.close()
    assert quick_check(path) == []

    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 9] = b"\xaa" * (4096 * 6)
    path.write_bytes(data)

    assert quick_check(path) != []


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, say."""
    with pytest.raises(StoreUnavailable, match="can not be opened for writing"):
        SqliteWriter(tmp_path / "nowhere" / "a.sqlite3", SCHEMA)
