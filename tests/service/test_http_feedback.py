"""Feedback over HTTP: the rules of gRPC's, for whoever speaks HTTP alone."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from service.harness import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}


async def ask(http: aiohttp.ClientSession) -> tuple[str, str]:
    """Return what the cache did, and the response's id."""
    async with http.post("/v1/chat/completions", json=ASKED) as response:
        assert response.status == 200
        return response.headers["x-scrimp-cache"], response.headers["x-scrimp-response-id"]


async def report(
    http: aiohttp.ClientSession, response_id: str, verdict: str, **more: Any
) -> tuple[int, dict[str, Any]]:
    body = {"response_id": response_id, "verdict": verdict, **more.pop("body", {})}
    async with http.post("/v1/feedback", json=body, **more) as response:
        return response.status, await response.json()


async def test_a_wrong_hit_is_not_served_again(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """Its entry is gone when the report returns; the same word twice is no news."""
    service.puppet.says(PROMPT, "Wrong.", "Right.")
    await ask(http)
    outcome, response_id = await ask(http)

    told = [await report(http, response_id, "hit_wrong") for _ in range(2)]

    assert outcome == "exact"
    assert told == [(200, {"is_new": True}), (200, {"is_new": False})]
    assert (await ask(http))[0] == "miss"


async def test_an_answers_own_id_names_it(http: aiohttp.ClientSession, openai: AsyncOpenAI) -> None:
    """Clients keep ``chatcmpl-...``, not headers."""
    done = await openai.chat.completions.create(**ASKED)  # type: ignore[call-overload]

    assert await report(http, done.id, "adequate") == (200, {"is_new": True})


async def test_only_who_received_it_may_judge(http: aiohttp.ClientSession) -> None:
    """Another caller, or another namespace, learns only that it received no such thing."""
    _, response_id = await ask(http)

    for name in ("x-scrimp-caller", "x-scrimp-namespace"):
        status, body = await report(http, response_id, "adequate", headers={name: "other"})
        assert (status, body["error"]["code"]) == (404, "line_unknown")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"verdict": "bad"}, "verdict is 'bad', which is none of hit_wrong, hit_right"),
        ({"verdict": 5}, "verdict is int, expected a string"),
        ({"response_id": ""}, "response_id is missing"),
        ({"response_id": "x" * 300}, "response_id is a name of at most 256 characters"),
        ({"note": "x" * 2_001}, "note is at most 2000 characters"),
        ({"user": "u"}, "user is not known; there are: response_id"),
        ({"verdict": "hit_wrong"}, "is said of hits"),
    ],
)
async def test_a_word_that_is_none_is_refused(
    http: aiohttp.ClientSession, body: dict[str, Any], words: str
) -> None:
    """400, with a sentence that helps; a hit's word on a miss says nothing."""
    _, response_id = await ask(http)

    status, told = await report(http, response_id, "adequate", body=body)

    assert (status, told["error"]["type"]) == (400, "invalid_request_error")
    assert words in told["error"]["message"]


async def test_feedback_is_rate_limited_per_caller(http: aiohttp.ClientSession) -> None:
    """120 words a minute, whatever they are; one more is 429, with the time to come back."""
    caller = {"x-scrimp-caller": "chatty-over-http"}
    statuses = {(await report(http, "0" * 32, "adequate", headers=caller))[0] for _ in range(120)}

    async with http.post(
        "/v1/feedback", json={"response_id": "0" * 32, "verdict": "adequate"}, headers=caller
    ) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert statuses == {404}
