"""The service against an upstream that fails: a real HTTP server, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from service.harness import refused, totals
from service.subprocesses import ROOT, environment

from benchmarks import faults
from router.serve import start
from router.settings import parse
from scrimp.client import Client

SETTINGS = """
[service]
listen = "127.0.0.1:0"
metrics_listen = ""

[http]
listen = "127.0.0.1:0"

[routing]
baseline = "far"
quality_target = 1.0
backoff_s = 0.01

[providers.near]
base_url = "http://127.0.0.1:@NEAR@/v1"

[providers.far]
base_url = "http://127.0.0.1:@FAR@/v1"

[models.near]
provider = "near"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.1
ability = 50.0

[models.far]
provider = "far"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
ability = 50.0
"""

_UPSTREAM = """
import asyncio, json, sys
from aiohttp import web

async def handle(request):
    body = await request.json()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    chunk = {"choices": [{"index": 0, "delta": {"content": "word "}}]}
    for _ in range(int(sys.argv[1])):
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\\n\\n")
        await asyncio.sleep(0.01)
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
           "usage": {"prompt_tokens": 5, "completion_tokens": int(sys.argv[1])}}
    await response.write(b"data: " + json.dumps(end).encode() + b"\\n\\ndata: [DONE]\\n\\n")
    return response

async def main():
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def upstream(n_words: int) -> AsyncIterator[tuple[Process, int]]:
    """Run an upstream that streams so many words; yields its process and port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _UPSTREAM, str(n_words), cwd=ROOT, env=environment(), stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield process, int(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_upstream_killed_within_its_stream_is_told_as_it_is(tmp_path: Path) -> None:
    """Killed after the first words: an honest error, an attempt of unknown cost, nothing stored.

    The next request finds nobody there and goes to the other provider.
    """
    async with upstream(10_000) as (near, near_port), upstream(3) as (_, far_port):
        text = SETTINGS.replace("@NEAR@", str(near_port)).replace("@FAR@", str(far_port))
        running = await start(
            parse(text, {}, overrides={"service.data_folder": str(tmp_path / "data")})
        )
        try:
            async with Client(running.address, namespace="n", timeout_s=20) as client:
                prompt = "How do volcanoes form under the sea?"
                stream = client.stream(prompt)
                words = [(await anext(stream)).delta.text for _ in range(3)]

                near.kill()
                with refused(grpc.StatusCode.UNAVAILABLE, "broke off"):
                    words += [event.delta.text async for event in stream]
                *_, last = [event async for event in client.stream(prompt)]
                after = last.done

                assert set(words) == {"word "}
                assert after.report.model == "far"
                assert after.answer.text == "word word word "
                sums = await totals(client, "n")
        finally:
            await running.stop()

    assert dict(sums.n_by_outcome) == {"failed": 1, "miss": 1}
    assert sums.n_usage_unknown == 1
    assert sums.output_tokens == 3


@pytest.mark.parametrize("seed", [3])
def test_no_request_is_lost_and_the_books_agree(seed: int) -> None:
    """The scenario of the benchmark, small: every promise of it holds."""
    result = faults.run(argparse.Namespace(requests=150, seed=seed, show=0, json=True))

    assert result["recoverable_ok"] == 1.0
    assert (result["wrong_outcomes"], result["past_deadline"]) == (0, 0)
    assert result["ledger_calls"] == result["upstream_calls"]
    assert result["ledger_tokens"] == result["upstream_tokens"]
    assert result["ledger_untold"] == result["upstream_untold"]
    assert all(result["injected"].values())
