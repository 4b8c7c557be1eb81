"""A client in another language, with nothing of ours but the .proto files."""

from __future__ import annotations

from pathlib import Path

import pytest
from node.npm import HERE, seen_by
from service.harness import LARGE_NANOS, SMALL_NANOS, serving

PROTOS = HERE.parents[1] / "protos"
PACKAGES = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")

pytestmark = pytest.mark.node


async def test_a_node_client_finds_the_contract(tmp_path: Path) -> None:
    """Health, both doors, a stream, the savings and an error, by the .proto files alone."""
    async with serving(tmp_path / "data") as service:
        args = service.running.address, str(PROTOS)
        seen = await seen_by("check.mjs", *args, packages=PACKAGES, folder=tmp_path / "node")

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
