"""What is deleted leaves the file and its log, down to the last byte."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from cache.embedded.sqlite_schema import UPKEEP, Schema, connect, statements
from cache.embedded.sqlite_writer import SqliteWriter
from cache.embedded.tidying import LOG_EMPTIED_EVERY_S, Tidying, due_now

SCHEMA = Schema(
    name="notes",
    application_id=0x6E6F7465,
    migrations=[
        statements(
            "CREATE TABLE notes (id BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID",
            UPKEEP,
            "INSERT INTO upkeep VALUES (-1)",
        )
    ],
)


def word(n: int) -> str:
    return f"<{random.Random(n).randbytes(12).hex()}>"


async def write_and_delete(
    writer: SqliteWriter, n_notes: int = 1_500, *, seed: int = 7
) -> list[bytes]:
    """Write notes in random order and delete most of them; return what was in those."""
    rng = random.Random(seed)
    gone = []
    for n in range(n_notes):
        row = rng.randbytes(16), word(n) * rng.randint(1, 40)
        await writer.submit(partial(_run, "INSERT INTO notes VALUES (?, ?)", row))
        if rng.random() < 0.9:
            await writer.submit(partial(_run, "DELETE FROM notes WHERE id = ?", row[:1]))
            gone.append(word(n).encode())
    return gone


def _run(sql: str, values: Sequence[object], connection: sqlite3.Connection) -> None:
    connection.execute(sql, values)


def left(path: Path, gone: list[bytes]) -> int:
    data = b"".join(file.read_bytes() for file in path.parent.iterdir())
    return sum(one in data for one in gone)


async def test_freeing_a_file_leaves_nothing_of_what_was_deleted(tmp_path: Path) -> None:
    """Before that much of it is to be read in the log, and afterwards nothing anywhere."""
    writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
    gone = await write_and_delete(writer)
    assert left(writer.path, gone) > 0

    assert await Tidying(writer).free(1.0)

    assert left(writer.path, gone) == 0
    writer.close()


async def test_the_log_is_emptied_from_time_to_time(tmp_path: Path) -> None:
    """Once in half a minute in which something was written, and not while nothing was."""
    writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
    log = tmp_path / "notes.sqlite-wal"
    tidying = Tidying(writer)
    await write_and_delete(writer, 3)

    await tidying.tend(100.0)
    assert log.stat().st_size == 0
    await write_and_delete(writer, 3, seed=8)
    await tidying.tend(100.0 + LOG_EMPTIED_EVERY_S - 1)
    assert log.stat().st_size > 0
    await tidying.tend(100.0 + LOG_EMPTIED_EVERY_S)
    assert log.stat().st_size == 0
    writer.close()


async def test_a_reader_at_work_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """The log stays until it has ended, and goes with the next look."""
    writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
    await write_and_delete(writer, 3)
    reader = connect(writer.path, read_only=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM notes").fetchone()
    tidying = Tidying(writer)
    await write_and_delete(writer, 3, seed=8)

    assert not await tidying.free(1.0)
    reader.close()
    await tidying.tend(2.0)

    assert (tmp_path / "notes.sqlite-wal").stat().st_size == 0
    writer.close()


def _note(times: list[float], now_s: float, _: sqlite3.Connection) -> None:
    times.append(now_s)


async def test_a_file_is_rewritten_as_often_as_told_across_restarts(tmp_path: Path) -> None:
    """When it was is in the file, so that restarts do not put it off."""
    times: list[float] = []
    for now_s in (1_000.0, 1_500.0, 2_001.0):
        writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
        tidying = Tidying(writer, every_s=1_000.0, rewrite=partial(_note, times, now_s))
        await tidying.tend(now_s)
        await tidying.tend(now_s)
        writer.close()

    assert times == [1_000.0, 2_001.0]


async def test_what_an_erasure_owes_is_done_by_the_next_start(tmp_path: Path) -> None:
    """Noted with the deletion, so that a process that died before the rewrite leaves it due."""
    writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
    gone = await write_and_delete(writer, 200)
    await writer.submit(due_now)
    writer.close()

    writer = SqliteWriter(tmp_path / "notes.sqlite", SCHEMA)
    times: list[float] = []
    tidying = Tidying(writer, rewrite=partial(_note, times, 0.0))
    await tidying.tend(5.0)
    await tidying.tend(6.0)

    assert left(writer.path, gone) == 0
    assert times == []  # the whole file, not what is rewritten from time to time
    with closing(connect(writer.path, read_only=True)) as connection:
        assert connection.execute("SELECT * FROM upkeep").fetchall() == [(5.0,)]
    writer.close()
