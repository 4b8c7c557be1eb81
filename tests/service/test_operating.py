"""What an operator sees: health, reflection, metrics, starting and stopping."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from service.harness import Service, eventually, serving
from service.subprocesses import run_scrimp, served

from scrimp.client import Client
from scrimp.v1 import gateway_pb2, savings_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
SERVICES = [f"scrimp.v1.{name}" for name in ("Gateway", "Advisor", "Feedback", "Admin", "Savings")]


async def health_of(client: Client, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


async def test_every_service_is_healthy(client: Client) -> None:
    """The standard health service answers for the server and for each service of the contract."""
    for name in ("", *SERVICES):
        assert await health_of(client, name) == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_service_has_no_health(client: Client) -> None:
    """NOT_FOUND, as the standard says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_of(client, "scrimp.v1.Nothing")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def reflected(
    client: Client, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo(iter([request]))
    async for response in call:
        return response
    raise AssertionError("reflection said nothing")


async def test_reflection_lists_the_services(client: Client) -> None:
    """A stranger with grpcurl finds the whole contract."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    listed = await reflected(client, request)

    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        *SERVICES,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("name", SERVICES)
async def test_reflection_describes_each_service(client: Client, name: str) -> None:
    """With its file and everything that imports."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)

    described = await reflected(client, request)

    assert described.file_descriptor_response.file_descriptor_proto


async def test_metrics_are_served(tmp_path: Path) -> None:
    """On their own address, for Prometheus."""
    overrides = {"service.metrics_listen": "127.0.0.1:0"}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
        aiohttp.ClientSession() as session,
    ):
        await client.complete(PROMPT)
        await client.complete(PROMPT)

        async with session.get(f"http://{service.running.metrics_address}/metrics") as response:
            page = await response.text()

    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    for line in page.splitlines():
        if line.startswith("scrimp_requests_total{") and 'outcome="exact"' in line:
            assert line.endswith(" 1.0")
            break
    else:
        pytest.fail(f"no exact hit counted:\n{page}")


async def test_a_unix_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    """The service listens on unix:/path, too."""
    overrides = {"service.listen": f"unix:{tmp_path}/s"}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        done = await client.complete(PROMPT)
        mode = (tmp_path / "s").stat().st_mode & 0o777

    assert done.answer.text
    assert mode == 0o600


async def test_a_stopping_service_says_so_and_finishes_its_work(tmp_path: Path) -> None:
    """NOT_SERVING at once, the call in flight gets its answer, an endless stream ends."""
    overrides = {"service.drain_s": 10.0}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        watch = client.savings.WatchSavings(savings_pb2.WatchSavingsRequest())
        await watch.read()
        gate = service.puppet.hold(PROMPT)
        call = asyncio.create_task(client.complete(PROMPT))
        await gate.reached.wait()

        stopping = asyncio.create_task(service.running.stop())
        await eventually(lambda: service.running._edge.n_running == 1)  # the watch has ended
        status = await health_of(client)
        gate.open()
        done = await call
        await stopping

    assert status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert done.answer.text == f"An answer to: {PROMPT}"
    assert await watch.code() is grpc.StatusCode.OK


async def test_a_call_longer_than_the_drain_is_cancelled_and_accounted(tmp_path: Path) -> None:
    """After drain_s the rest is cut off with UNAVAILABLE or CANCELLED; its line says so."""
    overrides = {"service.drain_s": 0.2}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        gate = service.puppet.hold(PROMPT)
        call = asyncio.create_task(client.complete(PROMPT))
        await gate.reached.wait()

        await service.running.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call

    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert PROMPT in service.puppet.cancelled
    async with serving(tmp_path / "data") as after, after.client("acme") as client:
        found = await client.savings.GetSavings(savings_pb2.GetSavingsRequest())
    assert found.report.totals.n_usage_unknown == 1


@asynccontextmanager
async def slow_upstream(asked: asyncio.Event, answered: asyncio.Event) -> AsyncIterator[str]:
    """An OpenAI-like upstream that answers when it is told to."""

    async def chat(request: web.Request) -> web.Response:
        asked.set()
        await answered.wait()
        message = {"role": "assistant", "content": "At last."}
        return web.json_response(
            {
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 3},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def write_config(folder: Path, upstream: str) -> Path:
    """A file as an operator writes it, for one model at an upstream of their own."""
    config = folder / "scrimp.toml"
    config.write_text(
        f"""
[service]
listen = "127.0.0.1:0"
metrics_listen = ""
data_folder = "data"

[http]
listen = "127.0.0.1:0"

[providers.local]
base_url = "{upstream}"
api_key_env = "LOCAL_KEY"

[models.one]
provider = "local"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
"""
    )
    return config


async def test_sigterm_lets_a_running_call_finish(tmp_path: Path) -> None:
    """Told to stop in the middle of a call: the answer comes, then the process ends with 0."""
    asked, answered = asyncio.Event(), asyncio.Event()
    async with slow_upstream(asked, answered) as upstream:
        config = write_config(tmp_path, upstream)
        async with (
            served(config, env={"LOCAL_KEY": "sk-secret-0123456789"}) as process,
            Client(process.address, namespace="acme", timeout_s=20) as client,
        ):
            call = asyncio.create_task(client.complete(PROMPT))
            await asyncio.wait_for(asked.wait(), 20)

            process.process.send_signal(signal.SIGTERM)
            await eventually(lambda: any("stopping" in line for line in process.log))
            answered.set()
            done = await call
            status = await process.ended()

    assert done.answer.text == "At last."
    assert done.report.cost.cost_usd_nanos == 13_000
    assert status == 0
    assert "Traceback" not in "".join(process.log)
    assert "sk-secret" not in "".join(process.log)


async def test_a_refused_start_is_one_sentence(tmp_path: Path) -> None:
    """Status 1, the sentence on stderr, no trace of Python."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("mine")
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")

    status, out, err = await run_scrimp(
        "serve", "--config", str(config), env={"LOCAL_KEY": "sk-secret-0123456789"}
    )

    assert status == 1
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("scrimp: the data folder ")
    assert "thesis.tex" in last
    assert "Traceback" not in err


async def test_mistakes_in_the_settings_stop_the_start(tmp_path: Path) -> None:
    """Negative and NaN values, unknown keys: all at once, with their lines."""
    config = tmp_path / "scrimp.toml"
    config.write_text(
        "[service]\ndrain_s = -1.0\n[cache]\nmin_similarity = nan\nttl_s = -5\ncolour = 'red'\n"
    )

    status, _, err = await run_scrimp("serve", "--config", str(config))

    assert status == 1
    for words in ("service.drain_s", "cache.min_similarity", "cache.ttl_s", "cache.colour"):
        assert words in err
    assert "Traceback" not in err


async def test_a_service_without_upstream_still_advises(tmp_path: Path) -> None:
    """The advisor needs no provider; a gateway call says that nobody can be reached."""
    config = write_config(tmp_path, "http://127.0.0.1:9/v1")
    async with (
        served(config, env={"LOCAL_KEY": "sk-secret-0123456789"}) as process,
        Client(process.address, namespace="acme", timeout_s=20) as client,
    ):
        found = await client.look_up(PROMPT)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.gateway.Complete(
                gateway_pb2.CompleteRequest(request=client.request(PROMPT))
            )

    assert list(found.advice.routing.chain) == ["one"]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "cannot be reached" in (caught.value.details() or "")


async def test_the_shared_service_is_well(service: Service) -> None:
    """Every part of it loaded: no notice of anything degraded."""
    assert service.running.app.notices == []
