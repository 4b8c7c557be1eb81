"""What the process writes holds no prompt, no answer and no key, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from fakes_upstream import Handler, body, chunk, events_of, hang, json_of, raw, upstream_server
from service.harness import eventually
from service.subprocesses import served

from scrimp.client import Client, text_message
from scrimp.v1 import chat_pb2, feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "What helps my zebrafinch, that is ill?"
ANSWER = "Give it quinoaflakes."
UPSTREAM_KEY = "sk-upstream-9f8e7d6c5b4a39281706"
CALLER_KEY = "sk-scrimp-0a1b2c3d4e5f60718293"
DATA_KEY = "5e" * 32
SECRETS = ("zebrafinch", "quinoaflakes", UPSTREAM_KEY[3:15], CALLER_KEY[3:15], DATA_KEY[:12])
CONFIG = """
[service]
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
data_folder = "data"

[http]
listen = "127.0.0.1:0"

[encryption]
key_env = "DATA_KEY"

[routing]
backoff_s = 0.01
max_backoff_s = 0.02
total_s = 1.0
first_token_s = 0.5
between_tokens_s = 0.3
connect_s = 0.5
max_attempts = 2
circuit_failures = 10000
circuit_open_s = 0.001      # a refused key is asked again at once
circuit_max_open_s = 0.001

[providers.up]
base_url = "{url}"
api_key_env = "UP_KEY"

[models.m]
provider = "up"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0

[[auth.keys]]
name = "app"
sha256 = "{digest}"
namespaces = ["*"]
roles = ["call", "admin"]
"""


def echoing(status: int, **fields: Any) -> Handler:
    """Answer with an error that says prompt and key back."""

    async def answer(request: web.Request) -> web.StreamResponse:
        said = f"{(await request.read()).decode()} {request.headers.get('Authorization')} {ANSWER}"
        return web.json_response({"error": {"message": said, **fields}}, status=status)

    return answer


def answers() -> list[Handler]:
    """Return everything that an upstream may do."""
    content = {"content": ANSWER}
    return [
        json_of(body(content)),
        *[echoing(status) for status in (400, 401, 402, 403, 404, 408, 422, 429, 500, 503)],
        echoing(400, code="insufficient_quota"),
        raw(f"{PROMPT} {ANSWER} {UPSTREAM_KEY}".encode()),
        raw(f'{{"choices": "{PROMPT} {ANSWER}"}}'.encode()),
        json_of({"error": {"message": f"{PROMPT} {UPSTREAM_KEY}"}}),
        json_of(body({"content": {"odd": ANSWER}})),
        events_of(chunk(content), chunk({}, "stop")),
        events_of(chunk(content), ends=False),
        events_of(chunk(content), {"error": {"message": f"{PROMPT} {ANSWER}"}}),
        events_of(f"data: {ANSWER} {PROMPT}".encode()),
        events_of(chunk(content), chunk(content), pause_s=0.6),
        hang(3.0),
    ]


def bodies() -> list[bytes]:
    """Return requests that are wrong, each in a way of its own, around the prompt."""
    message = {"role": "user", "content": PROMPT}
    wrong: list[Any] = [
        {"model": "m", "messages": PROMPT},
        {"model": PROMPT, "messages": [message]},
        {"model": "m", "messages": [{"role": PROMPT, "content": PROMPT}]},
        {"model": "m", "messages": [message], "temperature": PROMPT},
        {"model": "m", "messages": [message], "tools": [{"function": PROMPT}]},
        {"model": "m", "messages": [message], "metadata": {"user": [PROMPT]}},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": PROMPT}]}]},
        {"model": "m", "messages": [message], "response_format": {"type": PROMPT}},
        [message],
    ]
    deep = b"[" * 5_000 + PROMPT.encode()
    return [*[json.dumps(one).encode() for one in wrong], PROMPT.encode(), b"\xff" + deep, deep]


async def over_http(url: str, upstream: Any) -> int:
    """Ask in every way that goes wrong; return how many were refused or failed."""
    n_failed = 0
    headers = {"Authorization": f"Bearer {CALLER_KEY}"}
    async with aiohttp.ClientSession(url, headers=headers) as http:
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
            for one in bodies():
                async with http.post(path, data=one) as response:
                    n_failed += response.status >= 400
        async with http.post(
            "/v1/chat/completions", data=bodies()[0], headers={"Authorization": f"Bearer {PROMPT}"}
        ) as response:
            n_failed += response.status == 401
        for n, answer in enumerate(answers()):
            for is_streamed in (False, True):
                upstream.next(answer)
                asked = {
                    "model": "m",
                    "stream": is_streamed,
                    "messages": [{"role": "user", "content": f"{PROMPT} {n} {is_streamed}"}],
                }
                words = {"x-scrimp-request-id": f"r{n}{is_streamed}"}
                async with http.post("/v1/chat/completions", json=asked, headers=words) as response:
                    n_failed += response.status >= 400
                    await response.read()
        upstream.next(hang(1.0))
        leaving = asyncio.create_task(http.post("/v1/chat/completions", json=asked))
        await asyncio.sleep(0.2)
        leaving.cancel()
    return n_failed


async def over_grpc(address: str, upstream: Any) -> int:
    """Do as ``over_http``."""
    n_failed = 0
    async with Client(address, api_key=CALLER_KEY, timeout_s=5) as client:
        for n, answer in enumerate(answers()):
            upstream.next(answer)
            request = chat_pb2.ChatRequest(messages=[text_message(f"{PROMPT} {n}")])
            try:
                done = await client.complete(request)
                await client.feedback.Report(
                    feedback_pb2.ReportRequest(
                        response_id=done.report.response_id,
                        verdict=feedback_pb2.VERDICT_NOT_ADEQUATE,
                        note=PROMPT,
                    ),
                    metadata=client.metadata,
                )
            except grpc.aio.AioRpcError:
                n_failed += 1
        channel = grpc.aio.insecure_channel(address)
        broken: Any = channel.unary_unary("/scrimp.v1.Gateway/Complete")
        for bad in (PROMPT.encode(), b"\x0a\xff" + PROMPT.encode()):
            with pytest.raises(grpc.aio.AioRpcError):
                await broken(bad, metadata=(("authorization", f"Bearer {CALLER_KEY}"),))
        await channel.close()
    return n_failed


async def test_nothing_that_was_said_is_written(tmp_path: Path) -> None:
    """Success and failure over both faces: log and metrics page hold no mark of any secret."""
    config = tmp_path / "scrimp.toml"
    async with upstream_server() as upstream:
        digest = sha256(CALLER_KEY.encode()).hexdigest()
        text = CONFIG.replace("{url}", upstream.url).replace("{digest}", digest)
        config.write_text(text)
        env = {"UP_KEY": UPSTREAM_KEY, "DATA_KEY": DATA_KEY}
        async with served(config, env=env) as process:
            upstream.next(answers()[0])
            where = await addresses(process.log)
            n_over_http = await over_http(f"http://{where['HTTP']}", upstream)
            n_over_grpc = await over_grpc(process.address, upstream)
            bearer = {"Authorization": f"Bearer {CALLER_KEY}"}
            async with (
                aiohttp.ClientSession(headers=bearer) as http,
                http.get(where["metrics"]) as page,
            ):
                metrics = await page.text()
            wrong = text.replace('key_env = "DATA_KEY"', f'key_env = "{DATA_KEY}"')
            config.write_text(wrong.replace('name = "app"\nsha256 = "', f'sha256 = "{CALLER_KEY}'))
            process.process.send_signal(signal.SIGHUP)
            await eventually(lambda: any("are not used" in line for line in process.log))
            process.process.terminate()
            await process.ended()
            written = "".join(process.log)

    assert len(upstream.seen) > 2 * 2 * len(answers())  # most are tried twice
    assert n_over_http > 60
    assert 10 < n_over_grpc < len(answers())
    assert 'scrimp_requests_total{namespace="default"' in metrics
    assert any(UPSTREAM_KEY in (seen.authorization or "") for seen in upstream.seen)
    for secret in SECRETS:
        assert secret not in written
        assert secret not in metrics


async def addresses(log: list[str]) -> dict[str, str]:
    """Return where a service listens, by its own words."""
    async with asyncio.timeout(10):
        while not any("metrics on" in line for line in log):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    found = {}
    for line in log:
        for word in ("HTTP", "metrics"):
            if f": {word} on " in line:
                found[word] = line.rsplit(" on ", 1)[1].strip()
    return found
