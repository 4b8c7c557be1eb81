"""Disks and folders that are not as they should be, and models of another make."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest
from service.harness import (
    EXACT,
    LARGE_NANOS,
    MISS,
    NEAR,
    SMALL_NANOS,
    WIRE_USAGE,
    Service,
    eventually,
    refused,
    serving,
    totals,
)

from cache.errors import CacheError, DatabaseCorrupt, FolderForeign, FolderLocked, FolderUnusable
from classifier.artifact import ARTIFACTS
from classifier.encoder import OnnxEncoder, Window, encoder_id
from router.app import App
from router.ledger.errors import LedgerRefused
from scrimp.client import Client
from scrimp.v1 import chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
STORED = "How do I bake sourdough bread at home?"
ALIKE = "how do i bake sourdough bread at home"
LENIENT = {"cache.max_error_rate": 0.1}


async def start_and_stop(folder: Path) -> None:
    async with serving(folder):
        pass


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Stored answers are nobody else's business."""
    folder = tmp_path / "new" / "data"
    async with serving(folder) as service, service.client() as client:
        await client.complete(PROMPT)

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"cache.sqlite", "ledger.sqlite"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    """The service does not start, and says which path."""
    file = tmp_path / "data"
    file.write_text("mine")

    with pytest.raises(FolderUnusable, match=f"{file} is a file; choose another path"):
        await start_and_stop(file)

    assert file.read_text() == "mine"


async def test_a_folder_that_cannot_be_made_is_named() -> None:
    """/proc takes no folders, not even of root."""
    with pytest.raises(FolderUnusable, match="/proc/scrimp can not be made"):
        await start_and_stop(Path("/proc/scrimp"))


async def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    """Nothing can be written there: the service does not start."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with mounted(folder, "ro,size=1m"):
        with pytest.raises(FolderUnusable, match="can not be written to"):
            await start_and_stop(folder)


async def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    """Somebody's files and no mark of ours: refused, untouched, with an example."""
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(FolderForeign, match="thesis"):
        await start_and_stop(tmp_path)

    assert os.listdir(tmp_path) == ["thesis.tex"]


async def test_a_folder_has_one_process(tmp_path: Path) -> None:
    """The second service is refused with the first one's pid, and the first goes on."""
    async with serving(tmp_path / "data") as service, service.client() as client:
        with pytest.raises(FolderLocked, match=f"pid {os.getpid()}"):
            await start_and_stop(tmp_path / "data")

        assert (await client.complete(PROMPT)).answer.text


@pytest.mark.parametrize(
    ("name", "kind"), [("cache.sqlite", DatabaseCorrupt), ("ledger.sqlite", LedgerRefused)]
)
@pytest.mark.parametrize("damage", ["scrambled", "truncated", "no database"])
async def test_a_damaged_database_is_refused(
    tmp_path: Path, name: str, kind: type[Exception], damage: str
) -> None:
    """The service does not start on it: it names the file and leaves it as it was for a person."""
    folder = tmp_path / "data"
    async with serving(folder) as service, service.client() as client:
        for n in range(50):
            await client.complete(f"What is in room number {n}? " + "It is large. " * 20)
    file = folder / name
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in this one file
    whole = file.read_bytes()
    if damage == "scrambled":
        file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    elif damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.write_bytes(b"not a database at all, but long enough " * 200)
    damaged = file.read_bytes()

    with pytest.raises(kind, match=name):
        await start_and_stop(folder)

    assert file.read_bytes() == damaged
    file.write_bytes(whole)
    await start_and_stop(folder)  # nothing of the failed start is in the way


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """An SQLite file of our name that is not ours: refused."""
    folder = tmp_path / "data"
    await start_and_stop(folder)
    (folder / "cache.sqlite").unlink()
    with closing(sqlite3.connect(folder / "cache.sqlite")) as other:
        other.execute("CREATE TABLE theses (title TEXT)")
        other.commit()

    with pytest.raises(CacheError, match=r"cache\.sqlite"):
        await start_and_stop(folder)


async def test_a_taken_address_is_named(tmp_path: Path) -> None:
    """A second service at one address does not start, and lets its folder go."""
    async with serving(tmp_path / "one") as service:
        taken = {"service.listen": service.running.address}

        with pytest.raises(OSError, match="cannot be listened on"):
            async with serving(tmp_path / "two", overrides=taken):
                pass

    await start_and_stop(tmp_path / "two")


async def set_most_pages(service: Service, database: str, n_more: int | None) -> None:
    """Let a database grow by so many pages at most, as on a disk that is full then."""
    app = service.running.app
    writer = app.cache._store.writer if database == "cache" else app.ledger._writer  # type: ignore[attr-defined]

    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        most = 1_073_741_823 if n_more is None else pages + n_more
        connection.execute(f"PRAGMA max_page_count = {most}")

    await writer.submit(limit)


async def test_a_full_disk_costs_no_answer(tmp_path: Path) -> None:
    """The cache cannot grow: answers go out, unkept and counted; with room it keeps again."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        await client.complete(PROMPT)
        await set_most_pages(service, "cache", 0)
        long = "A long answer. " * 4_000
        service.puppet.says("How is glass made?", long)

        unkept = await client.complete("How is glass made?")
        still = await client.complete(PROMPT)
        await set_most_pages(service, "cache", None)
        await client.complete("How is glass made?")
        kept = await client.complete("How is glass made?")
        page = service.running.app.metrics.exposition().decode()

    assert unkept.answer.text == long
    assert not unkept.report.cache.entry_id
    assert still.report.cache.outcome == EXACT
    assert kept.report.cache.outcome == EXACT
    assert 'part="cache"' in page


async def test_a_store_on_a_full_disk_can_be_repeated(tmp_path: Path) -> None:
    """UNAVAILABLE and nothing changed: with room again the same ticket takes the answer."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        found = await client.look_up(PROMPT)
        await set_most_pages(service, "cache", 0)
        long = "A long answer. " * 4_000

        with refused(grpc.StatusCode.UNAVAILABLE, "cache.sqlite could not be written"):
            await client.store(found, long, usage=WIRE_USAGE, model="small")
        await set_most_pages(service, "cache", None)
        stored = await client.store(found, long, usage=WIRE_USAGE, model="small")
        hit = await client.look_up(PROMPT)

    assert stored.cost.cost_usd_nanos == SMALL_NANOS
    assert hit.hit.answer.text == long


async def test_a_ledger_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    """Requests are answered, the loss is counted; a look-up gives its advice without a ticket."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        await client.complete(PROMPT)
        await set_most_pages(service, "ledger", 0)
        for n in range(300):  # until the last page is full
            await client.complete(client.request(f"What is in room {n}?", user="u" * 200))

        done = await client.complete("How is glass made?")
        hit = await client.complete(PROMPT)
        found = await client.look_up("Why is the sky blue?")
        await set_most_pages(service, "ledger", None)
        later = await client.look_up("Why is the sky blue?")
        page = service.running.app.metrics.exposition().decode()

    assert done.answer.text == "An answer to: How is glass made?"
    assert hit.report.cache.outcome == EXACT
    assert found.advice.routing.chain[0] == "small"
    assert not found.advice.HasField("ticket")
    assert later.advice.HasField("ticket")
    assert 'part="ledger"' in page


@asynccontextmanager
async def mounted(folder: Path, options: str) -> AsyncIterator[None]:
    """Mount a file system in memory; skip the test where that is not allowed."""
    mount = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", options, "none", str(folder), stderr=-3
    )
    if await mount.wait() != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        umount = await asyncio.create_subprocess_exec("umount", str(folder))
        assert await umount.wait() == 0


async def test_a_disk_that_fills_up_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """On a full disk answers go on; what was acknowledged is there after a start elsewhere."""
    small, roomy = tmp_path / "small", tmp_path / "roomy"
    small.mkdir()
    acknowledged = []
    async with mounted(small, "size=1m"):
        async with serving(small / "data") as service, service.client("acme") as client:
            n_unkept = 0
            for n in range(200):
                prompt = f"What is in room number {n}?"
                service.puppet.says(prompt, f"Answer {n}. " * 1_000)
                done = await client.complete(prompt)
                assert done.answer.text.startswith(f"Answer {n}.")
                if done.report.cache.entry_id:
                    acknowledged.append(n)
                else:
                    n_unkept += 1
                if n_unkept == 5:
                    break
        shutil.copytree(small / "data", roomy)

    assert n_unkept == 5
    assert acknowledged
    async with serving(roomy) as service, service.client("acme") as client:
        for n in acknowledged:
            hit = await client.complete(f"What is in room number {n}?")
            assert hit.report.cache.outcome == EXACT
            assert hit.answer.text == f"Answer {n}. " * 1_000


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A copy of the encoder's artifact that a test may change."""
    copy = tmp_path / "encoder"
    shutil.copytree(ARTIFACTS / "encoder", copy)
    return copy


def use_encoder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let services start with the encoder of a folder."""
    load = OnnxEncoder.load
    monkeypatch.setattr(OnnxEncoder, "load", lambda: load(folder))


def change_card(folder: Path, **fields: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **fields}))


async def hits_of(client: Client) -> tuple[chat_pb2.CacheReport, chat_pb2.CacheReport]:
    """Return what an exact repeat and a paraphrase of the stored prompt come to."""
    exact = await client.look_up(STORED)
    near = await client.look_up(ALIKE)
    return exact.cache, near.cache


@pytest.mark.parametrize("fault", ["another id", "another file", "no card"])
async def test_an_unfit_encoder_leaves_exact_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: Path, fault: str
) -> None:
    """The service starts and says what is missing; repeats hit, the rest misses as degraded."""
    folder = tmp_path / "data"
    async with serving(folder, overrides=LENIENT) as service, service.client() as client:
        await client.complete(STORED)
    if fault == "another id":
        change_card(artifacts, id="all-minilm-l6-v2-int8-00000000")
    elif fault == "another file":
        with (artifacts / "tokenizer.json").open("a") as file:
            file.write(" ")
    else:
        (artifacts / "card.json").unlink()

    with monkeypatch.context() as patch:
        use_encoder(patch, artifacts)
        async with serving(folder, overrides=LENIENT) as service, service.client() as client:
            notices = service.running.app.notices
            exact, near = await hits_of(client)
            fresh = await client.complete(PROMPT)
            again = await client.complete(PROMPT)
    async with serving(folder, overrides=LENIENT) as service, service.client() as client:
        back = await hits_of(client)
        await eventually(lambda: _n_unembedded(service.running.app) == 0)
        caught_up = await client.look_up("How do volcanoes form beneath the sea?")

    assert any("exact hits only" in notice for notice in notices)
    assert exact.outcome == EXACT
    assert near.miss_reason == chat_pb2.MISS_REASON_CACHE_DEGRADED
    assert fresh.report.model
    assert again.report.cache.outcome == EXACT
    assert [one.outcome for one in back] == [EXACT, NEAR]
    assert caught_up.cache.similarity > 0.9  # what was stored without an encoder has a vector now


def _n_unembedded(app: App) -> int:
    return app.cache.stats().n_unembedded


async def test_another_encoders_index_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: Path
) -> None:
    """Exact hits at once, near hits when the background has embedded every entry again."""
    folder = tmp_path / "data"
    async with serving(folder, overrides=LENIENT) as service, service.client() as client:
        await client.complete(STORED)
        for n in range(60):
            await client.complete(f"What is in room number {n}?")
    window = Window(head_tokens=60)
    other = encoder_id(
        (artifacts / "model.onnx").read_bytes(),
        (artifacts / "tokenizer.json").read_bytes(),
        window,
    )
    card = json.loads((artifacts / "card.json").read_text())
    change_card(artifacts, id=other, window={**card["window"], "head_tokens": 60})
    use_encoder(monkeypatch, artifacts)

    async with serving(folder, overrides=LENIENT) as service, service.client() as client:
        n_at_start = _n_unembedded(service.running.app)
        exact, _ = await hits_of(client)
        await eventually(lambda: _n_unembedded(service.running.app) == 0, 20)
        _, near = await hits_of(client)

    assert n_at_start == 61
    assert exact.outcome == EXACT
    assert near.outcome == NEAR


async def test_sums_do_not_suffer_from_restarts(tmp_path: Path) -> None:
    """Five starts, one request each: five lines, and the identity holds."""
    for n in range(5):
        async with serving(tmp_path / "data") as service, service.client("acme") as client:
            done = await client.complete(PROMPT)
            assert done.report.cache.outcome == (MISS if n == 0 else EXACT)
            sums = await totals(client, "acme")

    assert sums.n_requests == 5
    assert sums.saved_usd_nanos == 5 * LARGE_NANOS - SMALL_NANOS
