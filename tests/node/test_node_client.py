"""A client in another language, with nothing of ours but the .proto files."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from service.harness import LARGE_NANOS, SMALL_NANOS, serving

HERE = Path(__file__).parent
PROTOS = HERE.parents[1] / "protos"
PACKAGES = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")

pytestmark = pytest.mark.node


async def run(*command: str, folder: Path, within_s: float) -> tuple[int, str, str]:
    """Run a command in a folder; return its status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, "", f"not done within {within_s:g} s"
    return await process.wait(), out.decode(), err.decode()


async def seen_by_node(address: str, folder: Path) -> dict[str, Any]:
    """Install the client's packages and let it look; skip where that cannot be done."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("needs node and npm")
    (folder / "package.json").write_text('{"private": true}')
    install = ("install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES)
    status, _, err = await run(npm, *install, folder=folder, within_s=180)
    if status != 0:
        pytest.skip(f"the npm registry gave no packages: {err.strip()[-200:]}")
    check = (str(HERE / "check.mjs"), address, str(PROTOS))
    status, out, err = await run(node, *check, folder=folder, within_s=60)
    assert status == 0, err
    return dict(json.loads(out))


async def test_a_node_client_finds_the_contract(tmp_path: Path) -> None:
    """Health, both doors, a stream, the savings and an error, by the .proto files alone."""
    folder = tmp_path / "node"
    folder.mkdir()
    async with serving(tmp_path / "data") as service:
        seen = await seen_by_node(service.running.address, folder)

    assert seen["health"] == {"status": "SERVING"}
    miss, hit = seen["miss"], seen["hit"]
    assert miss["answer"] == {
        "text": "An answer to: How do volcanoes form?",
        "finish_reason": "stop",
    }
    assert miss["report"]["cache"]["outcome"] == "CACHE_OUTCOME_MISS"
    assert miss["report"]["cache"]["miss_reason"] == "MISS_REASON_NOTHING_SIMILAR"
    assert miss["report"]["routing"]["chain"][0] == "small"
    assert miss["report"]["cost"]["cost_usd_nanos"] == str(SMALL_NANOS)
    assert hit["answer"] == miss["answer"]
    assert hit["report"]["cache"]["outcome"] == "CACHE_OUTCOME_EXACT"
    assert hit["report"]["cost"]["saved_usd_nanos"] == str(LARGE_NANOS)
    *deltas, done = seen["events"]
    assert "".join(event["delta"]["text"] for event in deltas) == miss["answer"]["text"]
    assert done["done"]["answer"] == miss["answer"]
    assert len(seen["advice"]["advice"]["ticket"]["token"]["data"]) == 16
    assert seen["stored"]["entry_id"]
    assert seen["looked_up"]["hit"]["answer"]["text"] == "From sand."
    assert seen["looked_up"]["hit"]["model"] == "small"
    assert seen["savings"]["report"]["totals"]["n_requests"] == "5"
    assert seen["refused"]["code"] == 3
    assert "messages is empty" in seen["refused"]["details"]
