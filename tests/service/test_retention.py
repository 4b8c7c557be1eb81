"""After the bound nothing of a text is in any file; until then it is where it should be."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from service.harness import (
    EXACT,
    MISS,
    NEAR,
    WIRE_USAGE,
    Service,
    eventually,
    serving,
    settings_for,
)
from service.test_erasure import asked, found_in

from cache.calibration import Observation, Source
from router.ledger.labels import labelled_pairs
from router.settings import SettingsError
from router.settings.changes import changes
from scrimp.client import Client
from scrimp.v1 import feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
STORED = "What helps against the zebrafinch disease?"
ALIKE = "what helps against the zebrafinch disease"
WAITING = "Is the zebrafinch in danger?"
MARK = b"zebrafinch"
BOUNDED = {"cache.max_error_rate": 0.1, "retention.text_s": DAY_S}
KEEPS = """
[namespaces.short]
text_s = 7200
"""


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path) -> AsyncIterator[Service]:
    """A service of the test's own, that keeps texts for a day, in one namespace for two hours."""
    async with serving(tmp_path / "data", more=KEEPS, overrides=BOUNDED) as running:
        yield running


async def leave_texts(service: Service, client: Client, namespace: str = "acme") -> None:
    """Let the marked word rest in every place that can hold a text."""
    await client.complete(asked(STORED, "ann", namespace=namespace, request_id="r-1"))
    near = await client.complete(asked(ALIKE, "ben", namespace=namespace, request_id="r-2"))
    assert near.report.cache.outcome == NEAR
    await client.feedback.Report(
        feedback_pb2.ReportRequest(
            namespace=namespace,
            response_id=near.report.response_id,
            verdict=feedback_pb2.VERDICT_HIT_RIGHT,
            note="ask at zebrafinch street 1",
        ),
        metadata=client.metadata,
    )
    await client.look_up(asked(WAITING, "ann", namespace=namespace, request_id="r-3"))
    app = service.running.app
    app.assurance.observe(
        namespace,
        Observation(
            p_right=0.9,
            is_right=False,
            traits=("slot:for", "words:volcano|zebrafinch", "kind:name"),
            source=Source.AUDIT,
            at_s=service.clock(),
        ),
    )


async def upkeep(service: Service, folder: Path) -> None:
    """Let everything that is done from time to time be done now."""
    app = service.running.app
    now_ms = int(service.clock() * 1e3)
    while await app.ledger.expire_tickets(now_ms):
        pass
    await app.assurance.refresh()
    await app.cache.sweep()
    await app.ledger.expire_tickets(now_ms)


async def test_nothing_of_a_text_is_left_after_its_bound(own: Service) -> None:
    """Entries, kept outcomes, tickets, pairs, labels, notes and words, in files and logs."""
    async with own.client("acme") as client:
        await leave_texts(own, client)
        await upkeep(own, own.folder)
        assert {name.split(".")[0] for name in found_in(own.folder, MARK)} == {"cache", "ledger"}
        own.clock.advance(DAY_S * 0.89)
        await upkeep(own, own.folder)
        before = await client.look_up(asked(STORED, "carl"))

        own.clock.advance(DAY_S * 0.06)
        await upkeep(own, own.folder)
        own.clock.advance(DAY_S * 0.05 - 1)
        await upkeep(own, own.folder)

        # carl's look-up of a moment ago holds nothing but what it was answered: of the same age
        assert before.cache.outcome == EXACT
        assert found_in(own.folder, MARK) == []
        after = await client.look_up(asked("Who painted the Mona Lisa?", "carl"))
        assert after.cache.outcome == MISS
    (line,) = [state.observations for state in own.running.app.assurance._namespaces.values()]
    # what was learned goes on to count
    assert [one.traits for one in line] == [("form",), ("kind:name",)]


async def test_a_namespace_may_keep_texts_for_less(own: Service) -> None:
    """Two hours there, and a day elsewhere."""
    async with own.client("acme") as acme, own.client("short") as short:
        await leave_texts(own, acme)
        await short.complete(asked("Where do okapis live?", "ann", namespace="short"))

        own.clock.advance(2 * HOUR_S - 720)
        await upkeep(own, own.folder)
        own.clock.advance(719)
        await upkeep(own, own.folder)

        assert found_in(own.folder, b"okapis") == []
        assert (await acme.look_up(asked(STORED, "carl"))).cache.outcome == EXACT


async def test_what_an_answer_says_is_as_old_as_the_answer(own: Service) -> None:
    """A hit late in the day leaves no copy that outlives the entry; an id's retry asks anew."""
    async with own.client("acme") as client:
        await client.complete(asked(STORED, "ann"))
        own.clock.advance(DAY_S * 0.85)
        hit = await client.complete(asked(ALIKE, "ben", request_id="late"))
        assert hit.report.cache.outcome == NEAR

        own.clock.advance(DAY_S * 0.1)
        await upkeep(own, own.folder)
        own.clock.advance(DAY_S * 0.05 - 1)
        await upkeep(own, own.folder)

        assert found_in(own.folder, MARK) == []


async def test_an_answer_brought_late_is_kept_for_less(own: Service) -> None:
    """Its prompt waited with the ticket."""
    async with own.client("acme") as client:
        found = await client.look_up(asked(STORED, "ann"))
        own.clock.advance(500)
        await client.store(found, "Nothing.", usage=WIRE_USAGE, model="small")

        own.clock.advance(DAY_S * 0.9 - 500 - 1)
        at_its_end = (await client.look_up(asked(STORED, "carl"))).cache.outcome
        own.clock.advance(2)
        after = (await client.look_up(asked(STORED, "dora"))).cache.outcome

    assert (at_its_end, after) == (EXACT, MISS)


async def test_a_lower_bound_holds_for_what_is_there(tmp_path: Path) -> None:
    """From the next start on, whatever was promised when it was written."""
    folder = tmp_path / "data"
    wide = {"cache.max_error_rate": 0.1}
    async with serving(folder, overrides=wide) as service, service.client("acme") as client:
        await leave_texts(service, client)
        clock = service.clock
    clock.advance(DAY_S - 1)

    async with serving(folder, overrides=BOUNDED, clock=clock) as service:
        await eventually(lambda: service.running.app.cache.stats().n_entries == 0)
        await upkeep(service, folder)

        assert found_in(folder, MARK) == []


async def test_a_bound_may_be_lowered_while_it_runs(tmp_path: Path) -> None:
    """What is there ends as if it had been so all along; what is in memory does as well."""
    folder = tmp_path / "data"
    wide = {"cache.max_error_rate": 0.1}
    async with serving(folder, overrides=wide) as service, service.client("acme") as client:
        await leave_texts(service, client)
        app = service.running.app
        found = changes(app.settings, settings_for(folder, overrides=BOUNDED))
        await service.running.switch(found.settings)
        kept_on = await client.look_up(asked(STORED, "carl"))
        service.clock.advance(DAY_S * 0.95)
        await upkeep(service, folder)
        retried = await client.complete(asked("Of what?", "ann", request_id="r-1"))
        service.clock.advance(DAY_S * 0.05 - 1)
        await upkeep(service, folder)

        assert found.applied == ("retention.text_s",)
        assert found.needs_restart == ()
        assert kept_on.cache.outcome == EXACT
        assert not retried.report.replayed
        assert found_in(folder, MARK) == []
        (known,) = [state.observations for state in app.assurance._namespaces.values()]
        assert [one.traits for one in known] == [("form",), ("kind:name",)]
        for name in ("cache.sqlite", "ledger.sqlite"):
            with closing(sqlite3.connect(folder / name)) as connection:
                (at_s,) = connection.execute("SELECT rewritten_at_s FROM upkeep").fetchone()
            assert at_s >= service.clock() - DAY_S * 0.1, name


async def test_a_namespace_may_get_a_bound_of_its_own_while_it_runs(tmp_path: Path) -> None:
    """It holds there, and not elsewhere; taken out again it holds no more for what comes."""
    folder = tmp_path / "data"
    day = {"cache.max_error_rate": 0.1, "retention.text_s": DAY_S}
    async with serving(folder, overrides=day) as service, service.client("short") as short:
        running = service.running
        before = running.app.settings
        own = settings_for(folder, more=KEEPS, overrides=day)
        await short.complete(asked("Where do okapis live?", "ann", namespace="short"))
        await short.complete(asked(STORED, "ann", namespace="acme"))

        await running.switch(changes(before, own).settings)
        service.clock.advance(2 * HOUR_S - 720)
        await upkeep(service, folder)
        service.clock.advance(719)
        await upkeep(service, folder)
        gone = found_in(folder, b"okapis")
        await running.switch(changes(own, before).settings)
        await short.complete(asked("Where do bongos live?", "ann", namespace="short"))
        service.clock.advance(3 * HOUR_S)
        await upkeep(service, folder)
        later = await short.look_up(asked("Where do bongos live?", "carl", namespace="short"))
        acme = await short.look_up(asked(STORED, "carl", namespace="acme"))

    assert gone == []
    assert (later.cache.outcome, acme.cache.outcome) == (EXACT, EXACT)


async def test_without_a_bound_each_kind_has_its_own(tmp_path: Path) -> None:
    """Words and notes go after 30 days, labels after theirs, answers after their TTL."""
    folder = tmp_path / "data"
    wide = {"cache.max_error_rate": 0.1}
    async with serving(folder, overrides=wide) as service, service.client("acme") as client:
        await leave_texts(service, client)
        service.clock.advance(30 * DAY_S + 1)
        await upkeep(service, folder)
        await service.running.app.ledger.free(service.clock())
        await service.running.app.cache.free()

        assert found_in(folder, MARK) == []


async def test_pairs_are_exported_until_their_time(own: Service) -> None:
    """What is over, though still in the file, is not handed on."""
    async with own.client("acme") as client:
        await leave_texts(own, client)
        await own.running.app.ledger.expire_tickets(int(own.clock() * 1e3))

        (pair,) = await asyncio.to_thread(labelled_pairs, own.folder)
        later = await asyncio.to_thread(labelled_pairs, own.folder, now_ms=pair.expires_at_ms)

    assert pair.expires_at_ms == int((own.clock() + DAY_S * 0.9) * 1e3)
    assert later == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"retention.text_s": 60}, "retention.text_s"),
        ({"retention.text_s": 3_600, "service.ticket_ttl_s": 3_600}, "ticket_ttl_s"),
    ],
)
async def test_a_bound_that_cannot_hold_is_a_mistake(
    tmp_path: Path, overrides: dict[str, object], words: str
) -> None:
    """Too short to be kept, or shorter than what a ticket promises."""
    with pytest.raises(SettingsError, match=words):
        async with serving(tmp_path / "data", overrides=overrides):
            pass
