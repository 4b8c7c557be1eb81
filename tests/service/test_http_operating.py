"""What an operator sees of the HTTP face: health, sockets, starting and stopping beside gRPC."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
from service.harness import Service, eventually, serving
from service.subprocesses import served
from service.test_operating import slow_upstream, write_config

from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}


@pytest.mark.parametrize("path", ["/health", "/healthz"])
async def test_health_is_served(http: aiohttp.ClientSession, path: str) -> None:
    """200 while calls are taken, whatever else is asked."""
    async with http.get(path) as response:
        told = {"status": "serving", "settings": "current"}
        assert (response.status, await response.json()) == (200, told)
        assert response.headers["Server"] == "scrimp"


async def test_both_faces_stop_together(tmp_path: Path) -> None:
    """Told to stop: health says so and new requests get 503, the one in flight its answer."""
    overrides = {"service.drain_s": 10.0}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
    ):
        gate = service.puppet.hold(PROMPT)
        call = asyncio.create_task(http.post("/v1/chat/completions", json=ASKED))
        await gate.reached.wait()

        stopping = asyncio.create_task(service.running.stop())
        await eventually(lambda: service.running._edge.is_closed)
        async with http.get("/health") as health:
            assert (health.status, await health.json()) == (503, {"status": "stopping"})
        async with http.post("/v1/chat/completions", json=ASKED) as late:
            assert (late.status, (await late.json())["error"]["code"]) == (503, "stopping")
        gate.open()
        done = await call
        body = await done.json()
        await stopping

    assert body["choices"][0]["message"]["content"] == f"An answer to: {PROMPT}"


async def test_a_request_longer_than_the_drain_is_cancelled(tmp_path: Path) -> None:
    """After drain_s the rest is cut off, and the upstream call with it."""
    async with (
        serving(tmp_path / "data", overrides={"service.drain_s": 0.2}) as service,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
    ):
        gate = service.puppet.hold(PROMPT)
        call = asyncio.create_task(http.post("/v1/chat/completions", json=ASKED))
        await gate.reached.wait()

        await service.running.stop()
        with pytest.raises((aiohttp.ClientError, AssertionError)):
            assert (await call).status == 200

    assert PROMPT in service.puppet.cancelled


async def test_sigterm_lets_http_and_grpc_finish(tmp_path: Path) -> None:
    """As a process: both calls in flight get their answers, then it ends with 0."""
    asked, answered = asyncio.Event(), asyncio.Event()
    async with slow_upstream(asked, answered) as upstream:
        config = write_config(tmp_path, upstream)
        async with (
            served(config, env={"LOCAL_KEY": "sk-secret-0123456789"}) as process,
            Client(process.address, namespace="acme", timeout_s=20) as client,
            aiohttp.ClientSession() as http,
        ):
            await eventually(lambda: any("HTTP on" in line for line in process.log))
            line = next(line for line in process.log if "HTTP on" in line)
            url = f"http://{line.split()[-1]}/v1/chat/completions"
            over_grpc = asyncio.create_task(client.complete(PROMPT))
            over_http = asyncio.create_task(http.post(url, json=ASKED))
            await asyncio.wait_for(asked.wait(), 20)
            await asyncio.sleep(0.2)  # so that both are on their way

            process.process.send_signal(signal.SIGTERM)
            await eventually(lambda: any("stopping" in line for line in process.log))
            answered.set()
            body = await (await over_http).json()
            done = await over_grpc
            status = await process.ended()

    assert done.answer.text == "At last."
    assert body["choices"][0]["message"]["content"] == "At last."
    assert status == 0
    assert "Traceback" not in "".join(process.log)
    assert "sk-secret" not in "".join(process.log)
    assert PROMPT not in "".join(process.log)


async def test_http_listens_on_a_unix_socket(tmp_path: Path) -> None:
    """For its owner only, as gRPC's."""
    overrides = {"http.listen": f"unix:{tmp_path}/h"}
    async with (
        serving(tmp_path / "data", overrides=overrides),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{tmp_path}/h")) as http,
        http.post("http://scrimp/v1/chat/completions", json=ASKED) as response,
    ):
        assert response.status == 200
        assert (tmp_path / "h").stat().st_mode & 0o777 == 0o600


async def test_http_can_be_off(tmp_path: Path) -> None:
    """With an empty address there is gRPC alone."""
    async with (
        serving(tmp_path / "data", overrides={"http.listen": ""}) as service,
        service.client("acme") as client,
    ):
        assert service.running.http_address == ""
        assert (await client.complete(PROMPT)).answer.text


async def test_an_address_that_is_taken_stops_the_start(tmp_path: Path, service: Service) -> None:
    """With the setting's name in the sentence; nothing is left behind that holds the folder."""
    taken = {"http.listen": service.running.http_address}

    with pytest.raises(OSError, match=r"http.listen .* cannot be listened on"):
        async with serving(tmp_path / "data", overrides=taken):
            pass

    async with serving(tmp_path / "data", overrides={"http.listen": ""}):
        pass
