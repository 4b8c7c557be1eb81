"""Erasing a user: over gRPC, over HTTP and from the command line."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from service.harness import (
    EXACT,
    MISS,
    NEAR,
    WIRE_USAGE,
    Service,
    refused,
    report,
    serving,
    totals,
)
from service.subprocesses import run_scrimp, served

from scrimp.client import Client, text_message
from scrimp.v1 import admin_pb2, chat_pb2, feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNS = "What helps against the zebrafinch disease?"
ALIKE = "what helps against the zebrafinch disease"
BENS = "How do volcanoes form under the sea?"
MARK = b"zebrafinch"
LENIENT = {"cache.max_error_rate": 0.1}


def asked(
    text: str, user: str, *, namespace: str = "acme", request_id: str = ""
) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(
        messages=[text_message(text)],
        namespace=namespace,
        request_id=request_id,
        attribution=chat_pb2.Attribution(user=user, conversation=f"of {user}"),
    )


async def erase(
    client: Client, user: str, *, namespace: str = "", dry_run: bool = False
) -> admin_pb2.EraseUserResponse:
    wanted = admin_pb2.EraseUserRequest(namespace=namespace, user=user, dry_run=dry_run)
    return await client.admin.EraseUser(wanted, metadata=client.metadata)


async def a_life(client: Client) -> None:
    """Ann asks, with an id; Ben is served her answer, by likeness, and says so; both go on."""
    await client.complete(asked(ANNS, "ann", request_id="r-1"))
    near = await client.complete(asked(ALIKE, "ben"))
    assert near.report.cache.outcome == NEAR
    await client.feedback.Report(
        feedback_pb2.ReportRequest(
            namespace="acme",
            response_id=near.report.response_id,
            verdict=feedback_pb2.VERDICT_HIT_RIGHT,
        ),
        metadata=client.metadata,
    )
    await client.complete(asked(BENS, "ben"))
    served_bens = await client.complete(asked(BENS, "ann"))
    assert served_bens.report.cache.outcome == EXACT
    await client.feedback.Report(
        feedback_pb2.ReportRequest(
            namespace="acme",
            response_id=served_bens.report.response_id,
            verdict=feedback_pb2.VERDICT_HIT_RIGHT,
            note="ask at zebrafinch street 1",
        ),
        metadata=client.metadata,
    )
    await client.look_up(asked("Is the zebrafinch in danger?", "ann"))


def found_in(folder: Path, mark: bytes) -> list[str]:
    """Return the files of a data folder in which a mark stands."""
    return [file.name for file in sorted(folder.iterdir()) if mark in file.read_bytes()]


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path) -> AsyncIterator[Service]:
    """A service of the test's own."""
    async with serving(tmp_path / "data", overrides=LENIENT) as running:
        yield running


async def test_nothing_of_an_erased_user_is_left(own: Service) -> None:
    """Not in the cache, nor in any file, down to the bytes; Ben's own stays."""
    async with own.client("acme") as client:
        await a_life(client)
        assert found_in(own.folder, MARK) != []
        dry = await erase(client, "ann", dry_run=True)
        before = await totals(client, "acme")

        done = await erase(client, "ann")

        assert (done.n_entries, done.n_requests, done.n_outcomes) == (1, 3, 1)
        assert (done.n_tickets, done.n_pairs, done.n_notes) == (1, 2, 1)
        assert done.is_freed
        done.is_freed = dry.is_freed
        assert done == dry
        again = await erase(client, "ann")
        after = await totals(client, "acme")
        by_user = {group.keys[0] for group in (await report(client, "acme", "user")).groups}
        lookup = await client.look_up(asked(BENS, "carl"))

    assert again == admin_pb2.EraseUserResponse(is_freed=True)
    assert after.cost_usd_nanos == before.cost_usd_nanos
    assert after.saved_usd_nanos == before.saved_usd_nanos
    assert after.baseline_usd_nanos == after.cost_usd_nanos + after.saved_usd_nanos
    assert after.n_requests == before.n_requests
    assert by_user == {"", "ben"}
    assert lookup.cache.outcome == EXACT
    assert found_in(own.folder, MARK) == []
    assert found_in(own.folder, b"of ann") == []


async def test_lookups_and_retries_forget_at_once(own: Service) -> None:
    """The running index, the answers at hand and kept outcomes: her prompt is a miss again."""
    async with own.client("acme") as client:
        await a_life(client)

        await erase(client, "ann")

        exact = await client.look_up(asked(ANNS, "carl"))
        near = await client.look_up(asked(ALIKE, "carl"))
        retried = await client.complete(asked(ANNS, "ann", request_id="r-1"))

    assert exact.cache.outcome == MISS
    assert near.cache.outcome == MISS
    assert near.cache.similarity < 0.5  # her entry is not even near any more
    assert not retried.report.replayed


async def test_what_came_under_other_settings_is_erased_as_well(own: Service) -> None:
    """Terms that a reading of the settings put aside keep nothing back, a ticket's vector neither.

    An answer that comes for an erased ticket then is refused, whichever settings it was given by.
    """
    running = own.running
    async with own.client("acme") as client:
        await a_life(client)
        waiting = await client.look_up(asked("How does a zebrafinch sleep?", "ann"))
        settings = running.app.settings
        await running.switch(replace(settings, service=settings.service))
        await client.complete(asked("What does a zebrafinch eat?", "ann"))
        assert running.app._lasting.ticketed

        done = await erase(client, "ann")

        assert not running.app._lasting.ticketed
        with refused(grpc.StatusCode.NOT_FOUND):
            await client.store(waiting, "On a twig.", usage=WIRE_USAGE, model="small")
    assert (done.n_entries, done.n_tickets) == (2, 2)
    assert found_in(own.folder, MARK) == []


async def test_what_routing_learned_of_an_erased_user_is_gone(tmp_path: Path) -> None:
    """Vectors of her prompts: in the file, in memory, and of a comparison that is under way."""
    explores = {
        **LENIENT,
        "audits.route_share": 1.0,
        "namespaces": {"acme": {"allowed_models": ["small", "large"]}},
    }
    async with (
        serving(tmp_path / "data", overrides=explores) as service,
        service.client("acme") as client,
    ):
        app = service.running.app
        for user, prompt in (("ann", "What lake is deepest?"), ("ben", "What lake is widest?")):
            await client.complete(asked(prompt, user))
            await app.exploring.idle()
        before = len(await app.ledger.verdicts(app.learned._scorer))
        late = "What lake is oldest?"
        caller = service.puppet.hold(late)
        asking = asyncio.create_task(client.complete(asked(late, "ann")))
        await caller.reached.wait()
        compared = service.puppet.hold(late)
        caller.opened.set()
        await asking
        await compared.reached.wait()

        done = await erase(client, "ann")
        compared.opened.set()
        await app.exploring.idle()

        left = await app.ledger.verdicts(app.learned._scorer)
        known = app.learned._known["acme", "small"].labels
        assert not app.learned._seen
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite")) as connection:
        of_users = connection.execute("SELECT DISTINCT user FROM lines ORDER BY user").fetchall()
    assert of_users == [("",), ("ben",)]  # the audit's own line, written after, as well
    assert (before, done.n_verdicts) == (2, 1)
    assert len(left) == len(known) == 1


async def test_another_namespaces_user_of_that_name_stays(own: Service) -> None:
    """Where a namespace is named; where none is, all of them go."""
    async with own.client("acme") as acme, own.client("beta") as beta:
        for client, namespace in ((acme, "acme"), (beta, "beta")):
            await client.complete(asked(ANNS, "ann", namespace=namespace))

        one = await erase(acme, "ann", namespace="acme")
        there = (await beta.look_up(asked(ANNS, "carl", namespace="beta"))).cache.outcome
        all_of_them = await erase(acme, "ann")

    assert (one.n_entries, one.n_requests) == (1, 1)
    assert there == EXACT
    assert (all_of_them.n_entries, all_of_them.n_requests) == (1, 1)


async def test_nobody_is_not_erased(own: Service) -> None:
    """Without a name it would be everyone whom no app named."""
    async with own.client() as client:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "user is empty", "name whom to erase"):
            await erase(client, "")


async def test_http_says_the_same(own: Service) -> None:
    """Fields and counts are those of the contract."""
    async with own.client("acme") as client, aiohttp.ClientSession() as http:
        await a_life(client)
        url = f"http://{own.running.http_address}/scrimp/v1/erase"

        async def post(**body: Any) -> tuple[int, Any]:
            async with http.post(url, json=body) as response:
                return response.status, await response.json()

        dry = await post(user="ann", namespace="acme", dry_run=True)
        done = await post(user="ann", namespace="acme")
        again = await post(user="ann")
        wrong = await post(users="ann")
        http.headers["x-scrimp-namespace"] = "acme"
        elsewhere = await post(user="ann", namespace="beta")
        http.headers["x-scrimp-namespace"] = "beta"
        of_header = await post(user="ben", dry_run=True)
        del http.headers["x-scrimp-namespace"]
        nobody = await post()

    assert dry == done
    assert done == (
        200,
        {
            "n_entries": 1,
            "n_requests": 3,
            "n_outcomes": 1,
            "n_tickets": 1,
            "n_pairs": 2,
            "n_notes": 1,
            "n_observations": done[1]["n_observations"],
            "n_verdicts": 0,
            "is_freed": True,
        },
    )
    assert again[1]["n_requests"] == 0
    assert (wrong[0], nobody[0], elsewhere[0]) == (400, 400, 400)
    assert (of_header[0], of_header[1]["n_requests"]) == (200, 0)  # all of ben's are in acme
    assert "users is not known here" in wrong[1]["error"]["message"]
    assert found_in(own.folder, MARK) == []


@pytest.mark.parametrize(
    ("roles", "namespaces", "user", "asks", "status"),
    [
        (["call"], ["acme"], "", "acme", 403),
        (["call"], ["acme"], "ann", "acme", 403),  # not even those of its own user
        (["metrics"], ["*"], "", "", 403),
        (["admin"], ["beta"], "", "acme", 403),
        (["admin"], ["acme", "beta"], "", "", 400),
        (["admin"], ["acme"], "", "", 200),
        (["admin"], ["*"], "", "", 200),
    ],
)
async def test_it_takes_an_admin_of_the_namespace(
    tmp_path: Path, roles: list[str], namespaces: list[str], user: str, asks: str, status: int
) -> None:
    """Over both faces, and of all namespaces where none is named."""
    key = "sk-scrimp-of-somebody"
    table = f"""
[[auth.keys]]
name = "one"
sha256 = "{sha256(key.encode()).hexdigest()}"
namespaces = {namespaces}
roles = {roles}
user = "{user}"
"""
    codes = {
        200: None,
        400: grpc.StatusCode.INVALID_ARGUMENT,
        403: grpc.StatusCode.PERMISSION_DENIED,
    }
    async with serving(tmp_path / "data", more=table) as service, aiohttp.ClientSession() as http:
        async with http.post(
            f"http://{service.running.http_address}/scrimp/v1/erase",
            json={"user": "ann", "namespace": asks},
            headers={"Authorization": f"Bearer {key}"},
        ) as response:
            over_http = response.status
        async with Client(service.running.address, api_key=key, timeout_s=20) as client:
            code = None
            try:
                await erase(client, "ann", namespace=asks)
            except grpc.aio.AioRpcError as error:
                code = error.code()

    assert over_http == status
    assert code is codes[status]


CONFIG = """
[service]
listen = "127.0.0.1:0"
metrics_listen = ""
data_folder = "data"

[http]
listen = ""

[providers.none]
kind = "scripted"

[models.one]
provider = "none"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


async def ask_often(client: Client, n: int) -> None:
    async def one(i: int) -> None:
        found = await client.look_up(asked(f"Prompt {i} of the zebrafinch {i * 7}?", "ann"))
        await client.store(found, f"Answer {i} on the zebrafinch", usage=WIRE_USAGE, model="one")

    for start in range(0, n, 50):
        await asyncio.gather(*(one(i) for i in range(start, min(n, start + 50))))


async def test_a_killed_erasure_is_finished_by_the_next(tmp_path: Path) -> None:
    """``kill -9`` amid it: unacknowledged, the sums are right, and the same call finishes it."""
    config = tmp_path / "scrimp.toml"
    config.write_text(CONFIG)
    async with served(config) as process, Client(process.address, namespace="acme") as client:
        await ask_often(client, 300)
        before = await totals(client, "acme")
        erasing = asyncio.create_task(erase(client, "ann"))
        await asyncio.sleep(0.02)
        process.process.kill()
        await process.ended()
        with pytest.raises(grpc.aio.AioRpcError):
            await erasing

    async with served(config) as process, Client(process.address, namespace="acme") as client:
        between = await totals(client, "acme")
        done = await erase(client, "ann")
        after = await totals(client, "acme")

    assert done.is_freed
    assert found_in(tmp_path / "data", MARK) == []
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite")) as connection:
        assert connection.execute("SELECT DISTINCT user FROM lines").fetchall() == [("",)]
    for sums in (between, after):
        assert sums.cost_usd_nanos == before.cost_usd_nanos
        assert sums.cost_usd_nanos + sums.saved_usd_nanos == sums.baseline_usd_nanos
        assert sums.n_requests == before.n_requests


async def test_the_command_erases_where_no_service_runs(tmp_path: Path) -> None:
    """It prints the counts; where a service runs it says whom to ask instead."""
    config = tmp_path / "scrimp.toml"
    config.write_text(CONFIG)
    args = ("erase", "--user", "ann", "--config", str(config))
    async with served(config) as process, Client(process.address, namespace="acme") as client:
        await ask_often(client, 3)
        status, _, err = await run_scrimp(*args)
        assert status == 1
        assert "a running service erases by itself" in err
        process.process.terminate()
        await process.ended()

    dry = await run_scrimp(*args, "--dry-run")
    done = await run_scrimp(*args)

    assert (dry[0], done[0]) == (0, 0), done[2]
    assert json.loads(dry[1]) == json.loads(done[1])
    assert json.loads(done[1])["n_entries"] == 3
    assert json.loads(done[1])["n_lines"] == 3
    assert found_in(tmp_path / "data", MARK) == []
