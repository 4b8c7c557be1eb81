"""What a caller says to scrimp beside an HTTP request: headers, and keys of the body's metadata."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from service.harness import SMALL_NANOS, Service, eventually, report, totals

from router.faces.http.words import report_headers
from scrimp.client import Client
from scrimp.v1 import admin_pb2, chat_pb2, feedback_pb2, gateway_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def ask(
    http: aiohttp.ClientSession,
    prompt: str = PROMPT,
    *,
    body: Mapping[str, Any] | None = None,
    **headers: Any,
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    """Ask for a chat completion; ``cache_control="bypass"`` is a header of ours."""
    asked = {"model": "auto", "messages": [{"role": "user", "content": prompt}], **(body or {})}
    said = {f"x-scrimp-{name.replace('_', '-')}": value for name, value in headers.items()}
    async with http.post("/v1/chat/completions", json=asked, headers=said) as response:
        return response.status, response.headers, await response.json()


async def test_a_request_is_accounted_to_whom_its_headers_name(
    http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """User, feature, task and conversation, as over gRPC."""
    await ask(http, user="u1", feature="support", task="summary", conversation="c1")

    for group, key in (("user", "u1"), ("feature", "support"), ("conversation", "c1")):
        found = await report(client, namespace, group)
        assert [list(one.keys) for one in found.groups] == [[key]]


async def test_metadata_says_the_same_and_a_header_more_loudly(
    http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """For clients that cannot set headers; other keys are the app's own business."""
    metadata = {"x-scrimp-feature": "search", "x-scrimp-user": "u1", "color": "red"}

    await ask(http, body={"metadata": metadata}, user="u2")

    found = await report(client, namespace, "user", "feature")
    assert [list(one.keys) for one in found.groups] == [["u2", "search"]]


async def test_the_bodys_user_is_the_user(
    http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """Where nothing else names one; a personal prompt is then reused within that user."""
    prompt = "When will my order 1234 arrive?"
    outcomes = [
        (await ask(http, prompt, body={"user": user}))[1]["x-scrimp-cache"]
        for user in ("u1", "u1", "u2")
    ]

    assert outcomes == ["miss", "exact", "miss"]
    found = await report(client, namespace, "user")
    assert sorted(list(one.keys) for one in found.groups) == [["u1"], ["u2"]]


@pytest.mark.parametrize(
    ("control", "outcomes"),
    [
        ("bypass", ["bypass", "bypass"]),
        ("no-store", ["miss", "miss"]),
        ("bypass, no-store", ["bypass", "bypass"]),
        ("max-age=60", ["miss", "exact"]),
    ],
)
async def test_the_cache_does_as_it_is_told(
    http: aiohttp.ClientSession, control: str, outcomes: list[str]
) -> None:
    """Bypass looks nothing up, no-store keeps nothing, max-age bounds the age of what serves."""
    seen = [
        (await ask(http, cache_control=control))[1]["x-scrimp-cache"] for _ in range(len(outcomes))
    ]

    assert seen == outcomes


async def test_an_answer_older_than_max_age_does_not_serve(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """Whatever its TTL says."""
    await ask(http)
    service.clock.advance(100)

    assert (await ask(http, cache_control="max-age=60"))[1]["x-scrimp-cache"] == "miss"


async def test_tags_are_kept_for_invalidation(
    http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """Separated by commas."""
    await ask(http, tags="release-7, docs")

    request = admin_pb2.InvalidateRequest(namespace=namespace, tag="docs")
    assert (await client.admin.Invalidate(request)).n_entries == 1


async def test_a_retry_with_the_same_id_gets_the_same_answer(
    service: Service, http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """One call, one line, and the header that says it is a repetition; streamed or not."""
    before = len(service.puppet.calls)

    first = await ask(http, request_id="r1", cache_control="bypass")
    again = await ask(http, request_id="r1", cache_control="bypass")

    assert again[2] == first[2]
    assert again[1]["x-scrimp-response-id"] == first[1]["x-scrimp-response-id"]
    assert again[1]["x-scrimp-replayed"] == "true"
    assert len(service.puppet.calls) == before + 1
    assert (await totals(client, namespace)).n_requests == 1


async def test_a_streamed_retry_streams_the_kept_answer(http: aiohttp.ClientSession) -> None:
    """In one piece, with its end mark."""
    texts = []
    for _ in range(2):
        asked = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
        async with http.post(
            "/v1/chat/completions", json=asked, headers={"x-scrimp-request-id": "r1"}
        ) as response:
            texts.append(await response.text())

    assert f'"content":"An answer to: {PROMPT}"' in texts[1]
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)


async def test_a_retry_joins_the_call_in_flight(
    service: Service, http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """A client that lost its patience and asks again waits for the same answer."""
    gate = service.puppet.hold(PROMPT)
    calls = [asyncio.create_task(ask(http, request_id="r1")) for _ in range(2)]
    await gate.reached.wait()
    await eventually(lambda: service.running._edge.n_running == 2)

    gate.open()
    first, second = await asyncio.gather(*calls)

    assert first[2] == second[2]
    assert (await totals(client, namespace)).n_requests == 1


async def test_an_id_that_was_used_for_another_body_conflicts(http: aiohttp.ClientSession) -> None:
    """409, and the header that keeps clients from trying the same again."""
    await ask(http, request_id="r1")

    status, headers, body = await ask(http, "Another question?", request_id="r1")

    assert (status, body["error"]["code"]) == (409, "already_exists")
    assert headers["x-should-retry"] == "false"


async def test_a_retry_without_kept_answer_is_told_so(http: aiohttp.ClientSession) -> None:
    """With no-store the outcome is kept and the answer is not."""
    await ask(http, request_id="r1", cache_control="no-store")

    status, _, body = await ask(http, request_id="r1", cache_control="no-store")

    assert (status, body["error"]["code"]) == (409, "answer_not_kept")


async def test_the_routing_follows_a_callers_wishes(http: aiohttp.ClientSession) -> None:
    """An allow-list, and the most an answer may be expected to cost."""
    _, headers, _ = await ask(http, allowed_models="large, weak", quality_target="0.99")
    assert headers["x-scrimp-model"] == "large"

    status, _, body = await ask(http, "And on land?", allowed_models="large", max_cost_usd="0.0001")
    assert (status, body["error"]["code"]) == (400, "no_model_fits")
    assert "large: expected up to $" in body["error"]["message"]


async def test_a_response_can_be_reported_wrong(
    http: aiohttp.ClientSession, client: Client, namespace: str
) -> None:
    """The id in the header is the one that feedback takes, from the caller who got it."""
    await ask(http, caller="app")
    _, hit, _ = await ask(http, caller="app")
    word = feedback_pb2.ReportRequest(
        namespace=namespace,
        response_id=hit["x-scrimp-response-id"],
        verdict=feedback_pb2.VERDICT_HIT_WRONG,
    )

    said = await client.feedback.Report(word, metadata=(("scrimp-caller", "app"),))

    assert said.is_new
    assert (await ask(http, caller="app"))[1]["x-scrimp-cache"] == "miss"


async def test_a_deadline_of_the_callers_own_holds(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """504 once it has passed; the call upstream is stopped."""
    gate = service.puppet.hold(PROMPT)

    status, _, body = await ask(http, timeout_s="0.2")
    gate.open()

    assert (status, body["error"]["type"]) == (504, "server_error")
    assert "deadline" in body["error"]["message"]
    await eventually(lambda: PROMPT in service.puppet.cancelled)


async def test_costs_are_the_same_as_over_grpc(http: aiohttp.ClientSession) -> None:
    """Integers of nano-dollars, never rounded for the header."""
    _, headers, _ = await ask(http)

    assert headers["x-scrimp-cost-usd-nanos"] == str(SMALL_NANOS)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"user": "x" * 257}, "x-scrimp-user is a name of at most 256 characters"),
        ({"usr": "u"}, "x-scrimp-usr is not known; there are: namespace"),
        ({"cache_control": "maybe"}, "holds 'maybe', which is none of bypass, no-store"),
        ({"cache_control": "max-age=-1"}, "max-age is a number of seconds >= 0"),
        ({"cache_control": "max-age=soon"}, "is 'soon', expected a number"),
        ({"quality_target": "2"}, "x-scrimp-quality-target is a share in (0, 1]"),
        ({"quality_target": "nan"}, "x-scrimp-quality-target is a share in (0, 1]"),
        ({"max_cost_usd": "-1"}, "x-scrimp-max-cost-usd is a number in [0, 1000000]"),
        ({"timeout_s": "inf"}, "x-scrimp-timeout-s is a number of seconds"),
        ({"tags": ",".join(f"t{n}" for n in range(33))}, "tags holds 33 items, at most 32"),
    ],
)
async def test_a_word_that_makes_no_sense_is_refused(
    http: aiohttp.ClientSession, headers: dict[str, Any], words: str
) -> None:
    """400 with a sentence; a word that nobody obeys would be worse."""
    status, _, body = await ask(http, **headers)

    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert words in body["error"]["message"]


@pytest.mark.parametrize("word", ["x-scrimp-namespace", "X-Scrimp-Namespace", "x-scrimp-caller"])
@pytest.mark.parametrize("headers", [{}, {"namespace": "own", "caller": "own"}])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
async def test_metadata_names_neither_tenant_nor_caller(
    http: aiohttp.ClientSession, word: str, headers: dict[str, str], path: str
) -> None:
    """Apps fill it with what their users say, who would choose whose answers they read."""
    asked = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], "input": PROMPT}
    said = {f"x-scrimp-{name}": value for name, value in headers.items()}

    async with http.post(path, json=asked | {"metadata": {word: "b"}}, headers=said) as response:
        body = await response.json()

    assert response.status == 400
    assert f"{word.lower()} stands in metadata" in body["error"]["message"]
    assert "send it as a header" in body["error"]["message"]


@pytest.mark.parametrize("value", [7, None, ["a"], {"a": 1}])
async def test_metadata_of_ours_are_strings(http: aiohttp.ClientSession, value: object) -> None:
    """As OpenAI's own metadata are."""
    status, _, body = await ask(http, body={"metadata": {"x-scrimp-user": value}})

    assert status == 400
    assert "x-scrimp-user is" in body["error"]["message"]


async def test_the_callers_deadline_reaches_the_gateway(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """So that nothing is waited for that would come too late."""
    await ask(http, timeout_s="7")
    left_s = (service.puppet.calls[-1].request.deadline_at or 0.0) - time.monotonic()

    assert 0 < left_s < 7


async def test_a_deadline_of_zero_has_passed(http: aiohttp.ClientSession) -> None:
    """It is a deadline, and not the lack of one."""
    assert (await ask(http, timeout_s="0"))[0] == 504


@pytest.mark.parametrize("nanos", [12_345_678_901, -12_345_678_901, 0, 2**62])
async def test_money_is_told_to_the_last_nano_dollar(nanos: int) -> None:
    """Nano-dollars are whole, and sums of them are exact; a share may be rounded."""
    report = gateway_pb2.GatewayReport(
        cost=chat_pb2.Cost(cost_usd_nanos=nanos, saved_usd_nanos=-nanos),
        cache=chat_pb2.CacheReport(outcome=chat_pb2.CACHE_OUTCOME_NEAR, similarity=0.1 + 0.2),
    )

    headers = report_headers(report)

    assert headers["x-scrimp-cost-usd-nanos"] == str(nanos)
    assert headers["x-scrimp-saved-usd-nanos"] == str(-nanos)
    assert headers["x-scrimp-similarity"] == "0.3"
