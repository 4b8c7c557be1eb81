"""The settings file changes while it runs: what holds from when on, and that nothing fails.

Real servers on both sides: the service with a file of its own, and upstreams that say who they are.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from aiohttp import web
from openai import AsyncOpenAI
from service.harness import eventually, refused, totals
from service.subprocesses import served

from router.rereading import Reading, Rereading
from router.serve import Running, start
from router.settings.source import Source
from scrimp.client import Client
from scrimp.v1 import admin_pb2, advisor_pb2, chat_pb2, savings_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
N_INPUT, N_OUTPUT = 10, 2

HEAD = """
[service]
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
data_folder = "data"
[http]
listen = "127.0.0.1:0"
[cache]
max_error_rate = 0.0  # each text of these tests is one of its own
"""


@dataclass
class Upstream:
    """A provider that answers with its name; a call may be held."""

    name: str
    url: str = ""
    n_calls: int = 0
    held: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.n_calls += 1
        body = await request.json()
        usage = {"prompt_tokens": N_INPUT, "completion_tokens": N_OUTPUT}
        if body.get("stream"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await self._piece(response, {"content": "said by "})
            await self._wait()
            await self._piece(response, {"content": self.name}, finish_reason="stop")
            await response.write(b'data: {"choices": [], "usage": ' + _json(usage) + b"}\n\n")
            await response.write(b"data: [DONE]\n\n")
            return response
        await self._wait()
        message = {"role": "assistant", "content": f"said by {self.name}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": usage})

    async def _piece(self, response: web.StreamResponse, delta: Any, **more: Any) -> None:
        choice = {"index": 0, "delta": delta, **more}
        await response.write(b"data: " + _json({"choices": [choice]}) + b"\n\n")

    async def _wait(self) -> None:
        self.begun.set()
        if self.held is not None:
            await self.held.wait()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@asynccontextmanager
async def upstream(name: str) -> AsyncIterator[Upstream]:
    made = Upstream(name)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield made
    finally:
        await runner.cleanup()


def to(provider: Upstream, *, model: str = "chat", price: float = 1.0, more: str = "") -> str:
    """Return a file by which everything goes to one provider at a price; the baseline is double."""
    return f"""{HEAD}{more}
[routing]
baseline = "base"
quality_target = 1.0
[providers.{provider.name}]
base_url = "{provider.url}"
api_key_env = ""
[models.{model}]
provider = "{provider.name}"
input_usd_per_mtok = {price}
output_usd_per_mtok = {price}
ability = 50.0
[models.base]
provider = "{provider.name}"
input_usd_per_mtok = {2 * price}
output_usd_per_mtok = {2 * price}
ability = 50.0
"""


def nanos(price: float) -> int:
    return round(price * 1_000) * (N_INPUT + N_OUTPUT)


@dataclass
class World:
    """A service in this process, its file, and what reads it again."""

    config: Path
    running: Running
    rereading: Rereading

    def client(self, **fields: Any) -> Client:
        return Client(self.running.address, timeout_s=20, **fields)

    def openai(self, key: str = "unused") -> AsyncOpenAI:
        url = f"http://{self.running.http_address}/v1"
        return AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=20)

    async def write(self, text: str) -> Reading | None:
        self.config.write_text(text)
        return await self.rereading.look(is_asked=True)


@asynccontextmanager
async def world(folder: Path, text: str) -> AsyncIterator[World]:
    config = folder / "scrimp.toml"
    config.write_text(text)
    source = Source(path=config, environ={}, overrides={})
    running = await start(source.parse(source.text()))
    try:
        yield World(config, running, running.rereading(source))
    finally:
        await running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def two() -> AsyncIterator[tuple[Upstream, Upstream]]:
    async with upstream("first") as first, upstream("second") as second:
        yield first, second


async def test_no_request_fails_and_none_sees_half_of_each(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """Under traffic by both faces the file changes again and again: provider, price, baseline.

    Every request is served, and its answer, cost and baseline are of one and the same file.
    """
    first, second = two
    files = [to(first, price=1.0), to(second, price=3.0)]
    whole = {
        ("said by first", nanos(1.0), nanos(2.0)),
        ("said by second", nanos(3.0), nanos(6.0)),
    }
    seen: list[tuple[str, int, int]] = []
    n_done = 0
    is_over = asyncio.Event()

    async def over_grpc(client: Client, worker: int) -> None:
        n = 0
        while not is_over.is_set():
            n += 1
            prompt = f"What is {worker} and {n} over gRPC?"
            if n % 2:
                done = await client.complete(prompt)
            else:
                events = [event async for event in client.stream(prompt)]
                done = events[-1].done
            cost = done.report.cost
            seen.append((done.answer.text, cost.cost_usd_nanos, cost.baseline_usd_nanos))

    async def over_http(openai: AsyncOpenAI, worker: int) -> None:
        n = 0
        while not is_over.is_set():
            n += 1
            asked: Any = [{"role": "user", "content": f"What is {worker} and {n} over HTTP?"}]
            raw = await openai.chat.completions.with_raw_response.create(
                model="auto", messages=asked
            )
            text = raw.parse().choices[0].message.content or ""
            words = raw.headers
            costs = (words["x-scrimp-cost-usd-nanos"], words["x-scrimp-baseline-usd-nanos"])
            seen.append((text, int(costs[0]), int(costs[1])))

    async with world(tmp_path, files[0]) as service, AsyncExitStack() as stack:
        client = await stack.enter_async_context(service.client(namespace="acme"))
        openai = await stack.enter_async_context(service.openai())
        workers = [asyncio.create_task(over_grpc(client, n)) for n in range(6)]
        workers += [asyncio.create_task(over_http(openai, n)) for n in range(6)]
        for n in range(1, 41):
            assert await service.write(files[n % 2]) is Reading.APPLIED
            await service.running.app.terms.let_go()
            n_done = len(seen)
            await eventually(lambda: len(seen) > n_done + 5)  # noqa: B023  awaited within the round
        is_over.set()
        await asyncio.gather(*workers)
        sums = [await totals(client, name) for name in ("acme", "default")]

    assert set(seen) == whole
    assert sum(one.n_requests for one in sums) == len(seen)
    assert sum(one.cost_usd_nanos for one in sums) == sum(cost for _, cost, _ in seen)
    assert first.n_calls + second.n_calls == len(seen)


async def test_a_stream_ends_where_it_began(tmp_path: Path, two: tuple[Upstream, Upstream]) -> None:
    """Its provider left the settings meanwhile: it is finished, priced as begun, then let go."""
    first, second = two
    first.held = asyncio.Event()
    async with world(tmp_path, to(first)) as service, service.client(namespace="acme") as client:
        events = client.stream("How long does it take?")
        piece = await anext(events)
        await service.write(to(second, price=3.0))
        other = await client.complete("And this one?")
        for _ in range(3):
            await service.running.app.terms.let_go()
        assert len(service.running.app._adapters) == 2
        first.held.set()
        rest = [event async for event in events]
        for _ in range(2):
            await service.running.app.terms.let_go()
        assert len(service.running.app._adapters) == 1

    assert piece.delta.text + rest[0].delta.text == "said by first"
    assert rest[-1].done.report.cost.cost_usd_nanos == nanos(1.0)
    assert rest[-1].done.report.cost.baseline_usd_nanos == nanos(2.0)
    assert other.answer.text == "said by second"
    assert other.report.cost.cost_usd_nanos == nanos(3.0)


async def test_a_body_that_comes_slowly_is_answered_as_of_its_beginning(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """Its headers came under settings that are no more, and so did its provider's connections."""
    first, second = two
    body = _json({"model": "auto", "messages": [{"role": "user", "content": "Slow?"}]})
    async with world(tmp_path, to(first)) as service:
        host, port = service.running.http_address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        await eventually(lambda: service.running.app.terms.now.fallback.is_held)
        await service.write(to(second))
        for _ in range(3):
            await service.running.app.terms.let_go()
        writer.write(body)
        answer = await reader.read()
        writer.close()

    assert b" 200 OK\r\n" in answer
    assert b"said by first" in answer


async def test_a_ticket_is_taken_back_under_other_settings(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """Its model is gone: what the app brings is priced as that model was, and kept."""
    first, second = two
    usage = chat_pb2.Usage(input_tokens=N_INPUT, output_tokens=N_OUTPUT)
    async with (
        world(tmp_path, to(first, model="gone")) as service,
        service.client(namespace="acme") as client,
    ):
        found = await client.look_up("Who is asked?")
        await service.write(to(second, model="other", price=3.0))
        done = await client.advisor.Store(
            advisor_pb2.StoreRequest(
                namespace="acme",
                ticket=found.advice.ticket.token,
                answer=chat_pb2.Answer(text="The one of then."),
                usage=usage,
            ),
            metadata=client.metadata,
        )

    assert found.advice.routing.chain[0] == "gone"
    assert done.cost.cost_usd_nanos == nanos(1.0)
    assert done.entry_id


async def test_a_retry_joins_what_began_under_other_settings(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """One request id, one call, one line; the outcome is the first one's."""
    first, second = two
    first.held = asyncio.Event()
    async with world(tmp_path, to(first)) as service, service.client(namespace="acme") as client:
        request = client.request("Once?", request_id="once-1")
        leading = asyncio.create_task(client.complete(request))
        await asyncio.wait_for(first.begun.wait(), 10)
        await service.write(to(second, price=3.0))
        joining = asyncio.create_task(client.complete(request))
        await asyncio.sleep(0.05)
        first.held.set()
        answers = [(await one).answer.text for one in (leading, joining)]
        after = await client.complete(request)
        sums = await totals(client, "acme")

    assert answers == ["said by first"] * 2
    assert after.report.replayed
    assert second.n_calls == 0
    assert (sums.n_requests, sums.cost_usd_nanos) == (1, nanos(1.0))


def a_key(name: str, key: str, more: str = "") -> str:
    digest = sha256(key.encode()).hexdigest()
    return f'\n[[auth.keys]]\nname = "{name}"\nsha256 = "{digest}"\nnamespaces = ["acme"]\n{more}\n'


async def test_a_key_taken_out_is_refused_from_the_next_request_on(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """By both faces, and on a stream that would go on for ever; a new one is let in."""
    first, _ = two
    old, new = a_key("old", "sk-old"), a_key("new", "sk-new")

    async def status(service: World, key: str) -> int:
        url = f"http://{service.running.http_address}/v1/models"
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
            return response.status

    async with world(tmp_path, to(first) + old) as service:
        async with service.client(api_key="sk-old") as client:
            await client.complete("Am I let in?")
            wanted = savings_pb2.WatchSavingsRequest(interval_s=1.0)
            watching = client.savings.WatchSavings(wanted, metadata=client.metadata)
            await anext(aiter(watching))
            assert await status(service, "sk-old") == 200

            assert await service.write(to(first) + new) is Reading.APPLIED

            with refused(UNAUTHENTICATED, "not known"):
                await client.complete("Am I let in?")
            assert await status(service, "sk-old") == 401
            with refused(UNAUTHENTICATED):
                _ = [one async for one in watching]
        async with service.client(api_key="sk-new") as client:
            await client.complete("Am I let in?")
        assert await status(service, "sk-new") == 200


async def test_a_service_that_had_no_keys_is_shut_by_the_first(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """And stays so when the last one is taken out: only a restart opens it to everyone."""
    first, _ = two
    async with world(tmp_path, to(first)) as service, service.client() as anyone:
        await anyone.complete("Is it open?")
        await service.write(to(first) + a_key("web", "sk-web"))
        with refused(UNAUTHENTICATED):
            await anyone.complete("Is it open?")
        await service.write(to(first))
        with refused(UNAUTHENTICATED):
            await anyone.complete("Is it open?")
        url = f"http://{service.running.http_address}/health"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            health = await response.json()

    assert health == {"status": "serving", "settings": "needs restart"}


async def test_a_mode_set_while_it_runs_wins_over_the_file(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """Whatever a reading says, until it is set back: then the file of now holds."""
    first, _ = two

    async def mode(client: Client) -> tuple[int, bool]:
        told = await client.admin.GetMode(admin_pb2.GetModeRequest(namespace="acme"))
        return told.mode, told.is_override

    async with world(tmp_path, to(first)) as service, service.client(namespace="acme") as client:
        await client.set_mode(admin_pb2.MODE_OFF, "acme")
        await service.write(to(first) + "[namespaces.acme]\nmode = 'shadow'\n")
        held = await mode(client)
        await client.set_mode(admin_pb2.MODE_UNSPECIFIED, "acme")
        given_way = await mode(client)

    assert held == (admin_pb2.MODE_OFF, True)
    assert given_way == (admin_pb2.MODE_SHADOW, False)


async def test_limits_hold_from_the_next_request_on(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """Of one request, and of all at once."""
    first, _ = two
    first.held = asyncio.Event()
    async with world(tmp_path, to(first)) as service, service.client(namespace="acme") as client:
        running = asyncio.create_task(client.complete("The only one?"))
        await asyncio.wait_for(first.begun.wait(), 10)
        await service.write(to(first, more="[limits]\nmax_in_flight = 1\nmax_field_chars = 16\n"))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await client.complete("One more?")
        first.held.set()
        await running
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "at most 16 characters"):
            await client.complete(client.request("Short?", namespace="a" * 17))


async def test_an_operator_edits_the_file_of_a_running_service(
    tmp_path: Path, two: tuple[Upstream, Upstream]
) -> None:
    """As a process: seen without a signal, at once with SIGHUP, and with mistakes not at all."""
    first, second = two
    config = tmp_path / "scrimp.toml"
    config.write_text(to(first))

    async with (
        served(config) as process,
        Client(process.address, namespace="acme", timeout_s=20) as client,
    ):

        async def logged(*words: str) -> None:
            def is_there() -> bool:
                return any(all(word in line for word in words) for line in process.log)

            await eventually(is_there, within_s=15)

        async def says(prompt: str) -> str:
            return (await client.complete(prompt)).answer.text

        assert await says("Who is first?") == "said by first"

        config.write_text(to(second))
        await logged("in use from now on", "providers.second (added)")
        assert await says("Who is second?") == "said by second"

        config.write_text(to(first).replace("[routing]", "[routing]\nmax_chain = 'many'"))
        await logged("routing.max_chain")
        assert await says("Who is it now?") == "said by second"

        config.write_text(to(first).replace('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:1"', 1))
        process.process.send_signal(signal.SIGHUP)
        await logged("needs restart: service.listen")
        assert await says("And who now?") == "said by first"

        config.write_text("")
        await logged("an empty file")
        assert await says("Still there?") == "said by first"
        process.process.send_signal(signal.SIGTERM)
        assert await process.ended() == 0

    log = "".join(process.log)
    assert "Traceback" not in log
    wrong = next(line for line in process.log if "routing.max_chain" in line)
    assert "line " in wrong
    assert "expected" in wrong


def audited(cheap: Upstream, base: Upstream, *, price: float = 2.0) -> str:
    """Return a file by which every answer of the one is also asked of the other."""
    return f"""{HEAD}
[audits]
route_share = 1.0
[routing]
baseline = "base"
quality_target = 0.1
backoff_s = 0.01
[providers.{cheap.name}]
base_url = "{cheap.url}"
api_key_env = ""
[providers.{base.name}]
base_url = "{base.url}"
api_key_env = ""
[models.cheap]
provider = "{cheap.name}"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
ability = 50.0
[models.base]
provider = "{base.name}"
input_usd_per_mtok = {price}
output_usd_per_mtok = {price}
ability = 50.0
"""


async def test_an_audit_of_routing_ends_as_it_began(tmp_path: Path) -> None:
    """Its call is made once, at the price of then, whatever the file says when it ends.

    So does one that waits for its turn: whom it was drawn against is whom it asks.
    """
    async with (
        upstream("first") as first,
        upstream("second") as second,
        upstream("third") as third,
        world(tmp_path, audited(first, second)) as service,
        service.client(namespace="acme") as client,
    ):
        app = service.running.app
        second.held = asyncio.Event()
        await client.complete("What is the capital of Peru, please?")
        await asyncio.wait_for(second.begun.wait(), 10)
        await client.complete("What is the capital of Chile, please?")
        await service.write(audited(first, third, price=9.0))
        for _ in range(3):
            await app.terms.let_go()
        second.held.set()
        await asyncio.wait_for(app.exploring.idle(), 20)
        sums = await totals(client, "acme")
        for _ in range(2):
            await app.terms.let_go()
        n_open = len(app._adapters)

    assert (second.n_calls, third.n_calls, sums.n_audits) == (2, 0, 2)
    assert sums.saved_usd_nanos_by_cause["audit"] == -2 * nanos(2.0)
    assert n_open == 2, "what it held is let go of"


def swapped(provider: Upstream, name: str) -> str:
    """Return a file by which the provider's so-named model stands behind ``chat``."""
    model = to(provider).replace("[models.chat]", f'[models.chat]\nname = "{name}"')
    return model.replace('data_folder = "data"', 'data_folder = "kept"')


async def test_another_model_behind_a_name_is_not_taken_for_the_former(tmp_path: Path) -> None:
    """Its stored answers are no more served, nor its lengths believed, also after a restart."""
    asked = "Name one river of Peru, please."
    async with upstream("first") as first:
        async with (
            world(tmp_path, swapped(first, "old")) as service,
            service.client(namespace="acme") as client,
        ):
            await client.complete(asked)
            repeated = await client.complete(asked)
            assert repeated.report.cache.outcome == chat_pb2.CACHE_OUTCOME_EXACT
            assert await service.write(swapped(first, "new")) is Reading.APPLIED
            fresh = await client.complete(asked)
            repeated = await client.complete(asked)
            n_lengths = service.running.app.lengths._calls["acme", "chat"].n
        async with (
            world(tmp_path, swapped(first, "newer")) as service,
            service.client(namespace="acme") as client,
        ):
            later = await client.complete(asked)

    assert fresh.report.cache.outcome == chat_pb2.CACHE_OUTCOME_MISS
    assert repeated.report.cache.outcome == chat_pb2.CACHE_OUTCOME_EXACT
    assert later.report.cache.outcome == chat_pb2.CACHE_OUTCOME_MISS
    assert (first.n_calls, n_lengths) == (3, 1)
