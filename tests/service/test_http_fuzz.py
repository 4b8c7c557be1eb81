"""The HTTP face on strange requests, the same every time; ``make fuzz`` looks for new ones."""

from __future__ import annotations

import json
from random import Random

import aiohttp
import pytest
from fuzz.mutations import mutated
from fuzz.targets import SEEDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

N_REQUESTS = 60
BODIES = {
    "/v1/chat/completions": SEEDS["chat body"],
    "/v1/responses": SEEDS["responses body"],
    "/v1/messages": SEEDS["messages body"],
    "/v1/messages/count_tokens": SEEDS["messages body"],
    "/v1/embeddings": (b'{"model": "scrimp-encoder", "input": ["Hi", "Ho"]}',),
    "/scrimp/v1/erase": (b'{"user": "nobody", "namespace": "fuzzed", "dry_run": true}',),
    "/v1/feedback": (b'{"response_id": "%s", "verdict": "adequate"}' % (b"0" * 32),),
}


@pytest.mark.parametrize("path", BODIES)
async def test_no_request_is_a_fault_of_ours(http: aiohttp.ClientSession, path: str) -> None:
    """Answered or refused, whatever its body; a refusal is JSON with a sentence."""
    rng = Random(path)

    for _ in range(N_REQUESTS):
        body = mutated(rng, rng.choice(BODIES[path]))
        headers = {"x-scrimp-caller": "fuzzer"}
        async with http.post(path, data=body, headers=headers) as response:
            raw = await response.read()
            assert response.status < 500, (response.status, raw, body)
            if response.status >= 400:
                assert json.loads(raw)["error"]["message"], body
