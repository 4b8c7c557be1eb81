"""Sockets and connections: who may connect, how many, and how long one may be of no use."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service.harness import Service, eventually, refused, serving
from service.subprocesses import served
from service.test_operating import write_config

import router.serve
from scrimp.client import Client
from scrimp.v1 import gateway_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = {"model": "auto", "messages": [{"role": "user", "content": "Who is connected?"}]}


def mode(path: Path) -> int:
    found = path.lstat().st_mode
    assert stat.S_ISSOCK(found)
    return stat.S_IMODE(found)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sockets(folder: Path) -> dict[str, object]:
    return {
        "service.listen": f"unix:{folder}/g",
        "http.listen": f"unix:{folder}/h",
        "service.metrics_listen": f"unix:{folder}/m",
    }


async def status_at(path: Path, url: str) -> int:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(f"http://scrimp{url}") as response,
    ):
        return response.status


async def test_all_three_listen_at_sockets_that_are_their_owners_alone(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also where the process gives its files to everyone; and nothing is left behind."""
    names = ("g", "h", "m")
    before = os.umask(0)
    request.addfinalizer(lambda: os.umask(before))
    async with serving(tmp_path / "data", overrides=sockets(tmp_path)) as service:
        async with service.client("acme") as client:
            await client.complete("Who is connected?")
        statuses = [
            await status_at(tmp_path / "h", "/v1/models"),
            await status_at(tmp_path / "m", "/metrics"),
        ]
        modes = [mode(tmp_path / name) for name in names]
        there = names_in(tmp_path)

    assert statuses == [200, 200]
    assert modes == [0o600] * 3
    assert there == ["data", *names]
    assert names_in(tmp_path) == ["data"]


@pytest.mark.parametrize("key", ["service.listen", "http.listen", "service.metrics_listen"])
async def test_a_socket_left_behind_is_replaced(tmp_path: Path, key: str) -> None:
    """As after a process that was killed."""
    path = tmp_path / "s"
    for place in (path, Path(f"{path}~")):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(place))

    async with serving(tmp_path / "data", overrides={key: f"unix:{path}"}):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            await asyncio.to_thread(probe.connect, str(path))


@pytest.mark.parametrize("key", ["service.listen", "http.listen", "service.metrics_listen"])
async def test_a_socket_that_somebody_listens_at_is_left_alone(tmp_path: Path, key: str) -> None:
    """Two services do not take callers from one another; the sentence says what to do."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(OSError, match=rf"{key} .*another process listens at .*/s"):
            async with serving(tmp_path / "data", overrides={key: f"unix:{path}"}):
                pass
        assert path.is_socket()


@pytest.mark.parametrize("key", ["service.listen", "http.listen", "service.metrics_listen"])
async def test_a_file_is_not_taken_for_a_socket(tmp_path: Path, key: str) -> None:
    """It may be a thesis; and a folder that is not there is said to be missing."""
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(OSError, match=rf"{key} .*no socket"):
        async with serving(tmp_path / "data", overrides={key: f"unix:{path}"}):
            pass
    assert path.read_text() == "mine"
    with pytest.raises(OSError, match=rf"{key} .*there is no folder"):
        async with serving(tmp_path / "data", overrides={key: f"unix:{tmp_path}/no/s"}):
            pass


async def test_a_killed_service_starts_again_at_its_sockets(tmp_path: Path) -> None:
    """With kill -9 nobody tidies up."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    text = config.read_text().replace('listen = "127.0.0.1:0"', f'listen = "unix:{tmp_path}/g"', 1)
    config.write_text(text.replace('"127.0.0.1:0"', f'"unix:{tmp_path}/h"'))
    env = {"LOCAL_KEY": "sk-secret-0123456789"}
    async with served(config, env=env) as first:
        first.process.kill()
        await first.ended()
    assert (tmp_path / "g").is_socket()

    async with served(config, env=env), Client(f"unix:{tmp_path}/g", timeout_s=20) as client:
        found = await client.look_up("Is it there again?")
        assert await status_at(tmp_path / "h", "/health") == 200

    assert list(found.advice.routing.chain) == ["one"]


async def open_at(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = service.running.http_address.split(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize(
    "drops",
    [
        [],
        [b"GET /health HTTP/1.1\r\n"],
        [b"GET", b" /health", b" HTTP/1.1\r\nHost:", b" x\r\n", b"a: "],
        [b"\r\n\r\n"],
        [b"\r", b"\n\r", b"\n\n", b"\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n"],
    ],
    ids=["silent", "a line", "drop by drop", "blank lines", "blank lines first"],
)
async def test_headers_that_do_not_come_in_time_end_their_connection(
    tmp_path: Path, drops: list[bytes]
) -> None:
    """However it is spun out, a connection without a request is not kept beyond http.header_s."""
    overrides = {"http.header_s": 0.3}
    async with serving(tmp_path / "data", overrides=overrides) as service:
        reader, writer = await open_at(service)
        began = time.monotonic()
        for drop in drops:
            writer.write(drop)
            await asyncio.sleep(0.02)
        answer = await asyncio.wait_for(reader.read(), 10)
        took_s = time.monotonic() - began
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert took_s >= 0.25


async def test_a_request_in_time_may_take_its_time_after_that(tmp_path: Path) -> None:
    """Its headers came in pieces; its answer takes longer than headers may, and so may a later."""
    overrides = {"http.header_s": 0.2}
    async with serving(tmp_path / "data", overrides=overrides) as service:
        gate = service.puppet.hold("Who is connected?")
        reader, writer = await open_at(service)
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "Who is connected?"}]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r" % len(
            body
        )
        writer.write(head)
        await asyncio.sleep(0.05)
        writer.write(b"\n" + body)
        await asyncio.wait_for(gate.reached.wait(), 10)
        await asyncio.sleep(0.3)
        gate.open()
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await reader.readuntil(b"}}")
        await asyncio.sleep(0.3)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        second = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert first.startswith(b"HTTP/1.1 200 ")
    assert b"serving" in second


async def test_many_small_headers_are_refused(service: Service) -> None:
    """Their number is bounded as well as each one's length."""
    reader, writer = await open_at(service)
    lines = b"".join(b"x-%d: 1\r\n" % n for n in range(5_000))
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
    answer = await asyncio.wait_for(reader.readline(), 10)
    writer.close()

    assert b" 400 " in answer


async def test_an_answer_that_nobody_reads_ends_its_connection(tmp_path: Path) -> None:
    """After http.idle_s without taking any of it; who reads slowly gets all of it."""
    long = "word " * 1_000_000
    overrides = {"http.idle_s": 0.4}
    async with serving(tmp_path / "data", overrides=overrides) as service:
        service.puppet.says("Who is connected?", long)
        server = service.running._http._runner.server  # type: ignore[union-attr]
        assert server is not None
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "Who is connected?"}]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        host, port = service.running.http_address.split(":")
        deaf = socket.create_connection((host, int(port)))
        deaf.sendall(head + body)
        await eventually(lambda: len(server.connections) == 1)
        await eventually(lambda: not server.connections, within_s=15)
        deaf.close()

        reader, writer = await open_at(service)
        writer.write(head.replace(b"Host: x", b"Host: x\r\nConnection: close") + body)
        n_bytes = 0
        while piece := await asyncio.wait_for(reader.read(400_000), 10):
            n_bytes += len(piece)
            await asyncio.sleep(0.02)
        writer.close()

    assert n_bytes > len(long)


async def test_connections_over_grpc_are_bounded(tmp_path: Path) -> None:
    """One more than service.max_connections is refused; when one ends, the next is taken."""

    def channel(service: Service) -> grpc.aio.Channel:
        # Of its own: channels to one address share a connection otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.insecure_channel(service.running.address, options=options)

    async def asked(channel: grpc.aio.Channel) -> int:
        stub = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status)

    async with serving(tmp_path / "data", overrides={"service.max_connections": 2}) as service:
        async with channel(service) as one, channel(service) as other:
            await asked(one)
            await asked(other)
            async with channel(service) as third:
                with refused(grpc.StatusCode.UNAVAILABLE):
                    await asked(third)
            await asked(one)
        await asyncio.sleep(0.2)
        async with channel(service) as later:
            await asked(later)


async def test_metadata_beyond_the_limit_is_refused(service: Service, namespace: str) -> None:
    """Before anything is read of the request."""
    async with service.client(namespace) as client:
        request = client.request("How long is it?")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await client.gateway.Complete(
                gateway_pb2.CompleteRequest(request=request), metadata=(("x-long", "x" * 40_000),)
            )


async def test_a_grpc_connection_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has some seconds for its handshake."""
    monkeypatch.setattr(router.serve, "_HANDSHAKE_MS", 500)
    async with serving(tmp_path / "data") as service:
        host, port = service.running.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await asyncio.wait_for(reader.read(), 10)  # to its end
        writer.close()
