"""One pipeline: what HTTP answers, keeps and accounts is what gRPC does, request by request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from service.harness import Service, completion, eventually, streamed, totals

from router.types import ToolCall
from scrimp.client import Client, text_message
from scrimp.v1 import chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
Change = Callable[[chat_pb2.ChatRequest], object]


def turns(*said: tuple[chat_pb2.Role.ValueType, str]) -> Change:
    """Put these turns before the last message."""

    def change(request: chat_pb2.ChatRequest) -> None:
        last = request.messages.pop()
        request.messages.extend([*(text_message(text, role) for role, text in said), last])

    return change


def with_tools(request: chat_pb2.ChatRequest) -> None:
    request.tools.add(name="weather", parameters_json=json.dumps(SCHEMA))
    request.tool_choice_json = '"auto"'


def with_image(request: chat_pb2.ChatRequest) -> None:
    media = chat_pb2.Media(media_type="image/png", data=b"\x89PNG", detail="low")
    request.messages[0].parts.append(chat_pb2.Part(media=media))


def with_format(request: chat_pb2.ChatRequest) -> None:
    request.response_format.kind = chat_pb2.ResponseFormat.KIND_JSON_OBJECT


def sampled(**fields: Any) -> Change:
    return lambda request: request.sampling.MergeFrom(chat_pb2.Sampling(**fields))


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


# The same request twice: as fields of an OpenAI body, and as a change of the contract's message.
REQUESTS: dict[str, tuple[dict[str, Any], Change]] = {
    "plain": ({}, lambda request: None),
    "system prompt": (
        {"messages": [{"role": "system", "content": "Be brief."}, user(PROMPT)]},
        turns((chat_pb2.ROLE_SYSTEM, "Be brief.")),
    ),
    "earlier turns": (
        {"messages": [user("Hi."), {"role": "assistant", "content": "Hello."}, user(PROMPT)]},
        turns((chat_pb2.ROLE_USER, "Hi."), (chat_pb2.ROLE_ASSISTANT, "Hello.")),
    ),
    "tools": (
        {
            "tools": [
                {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
            ],
            "tool_choice": "auto",
        },
        with_tools,
    ),
    "an image": (
        {
            "messages": [
                user(
                    [
                        {"type": "text", "text": PROMPT},
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"},
                        },
                    ]
                )
            ]
        },
        with_image,
    ),
    "JSON mode": ({"response_format": {"type": "json_object"}}, with_format),
    "sampling": (
        {"temperature": 0, "top_p": 0.5, "max_tokens": 500, "stop": ["END"], "seed": 7, "n": 1},
        sampled(temperature=0, top_p=0.5, max_tokens=500, stop=["END"], seed=7, n=1),
    ),
    "penalties": (
        {"presence_penalty": 1, "frequency_penalty": -1, "logit_bias": {"5": 1}},
        sampled(presence_penalty=1, frequency_penalty=-1, logit_bias={"5": 1}),
    ),
    "log probabilities": (
        {"logprobs": True, "top_logprobs": 2}, sampled(logprobs=True, top_logprobs=2)
    ),
    "reasoning": (
        {"reasoning_effort": "low"}, lambda request: setattr(request.reasoning, "effort", "low")
    ),
    "unknown fields": (
        {"verbosity": "low"}, lambda request: request.extra_json.update({"verbosity": '"low"'})
    ),
    "a user": ({"user": "u1"}, lambda request: setattr(request.attribution, "user", "u1")),
}  # fmt: skip


@pytest.fixture(params=list(REQUESTS.values()), ids=list(REQUESTS))
def pair(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Change]:
    """One request, in both languages."""
    fields, change = request.param
    return {"model": "auto", "messages": [user(PROMPT)], **fields}, change


def over_grpc(client: Client, change: Change, namespace: str = "") -> chat_pb2.ChatRequest:
    request = client.request(PROMPT, namespace=namespace)
    change(request)
    return request


async def over_http(
    service: Service, namespace: str, body: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    async with (
        aiohttp.ClientSession(headers={"x-scrimp-namespace": namespace}) as session,
        session.post(f"{service.url}/chat/completions", json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json(), dict(response.headers)


async def test_an_answer_over_one_face_is_a_hit_over_the_other(
    service: Service, client: Client, namespace: str, pair: tuple[dict[str, Any], Change]
) -> None:
    """The keys agree in every field, both ways, so the cache is one."""
    body, change = pair
    made, headers = await over_http(service, namespace, body)
    found = await client.complete(over_grpc(client, change))

    assert headers["x-scrimp-cache"] == "miss"
    assert found.report.cache.outcome == chat_pb2.CACHE_OUTCOME_EXACT
    assert found.answer.text == made["choices"][0]["message"]["content"]

    other = f"{namespace}-2"
    await client.complete(over_grpc(client, change, other))
    assert (await over_http(service, other, body))[1]["x-scrimp-cache"] == "exact"


async def test_answers_reports_and_books_agree(
    service: Service, client: Client, namespace: str, pair: tuple[dict[str, Any], Change]
) -> None:
    """A miss and a hit over each: same text, figures and model, and the same sums in the ledger."""
    body, change = pair
    sums = []
    for _ in range(2):
        made, headers = await over_http(service, namespace, body)
        wire = await client.complete(over_grpc(client, change, f"{namespace}-2"))
        report = wire.report

        assert made["choices"][0]["message"]["content"] == wire.answer.text
        assert made["model"] == report.provider_model
        assert made["usage"]["prompt_tokens"] == report.usage.input_tokens
        assert made["usage"]["completion_tokens"] == report.usage.output_tokens
        outcome = chat_pb2.CacheOutcome.Name(report.cache.outcome).lower()
        assert outcome == f"cache_outcome_{headers['x-scrimp-cache']}"
        reason = chat_pb2.MissReason.Name(report.cache.miss_reason).lower()
        assert reason.endswith(headers.get("x-scrimp-miss-reason", "unspecified"))
        assert headers["x-scrimp-model"] == report.model
        assert headers["x-scrimp-cost-usd-nanos"] == str(report.cost.cost_usd_nanos)
        assert headers["x-scrimp-saved-usd-nanos"] == str(report.cost.saved_usd_nanos)
    for name in (namespace, f"{namespace}-2"):
        sums.append(await totals(client, name))
    assert sums[0] == sums[1]


async def test_streams_agree_piece_by_piece(
    service: Service, client: Client, namespace: str, pair: tuple[dict[str, Any], Change]
) -> None:
    """The same pieces in the same order, of a miss and of a hit."""
    body, change = pair
    for _ in range(2):
        pieces, _ = await streamed(client, over_grpc(client, change, f"{namespace}-2"))
        async with (
            aiohttp.ClientSession(headers={"x-scrimp-namespace": namespace}) as session,
            session.post(
                f"{service.url}/chat/completions", json=body | {"stream": True}
            ) as response,
        ):
            events = (await response.text()).split("\n\n")

        chunks = [json.loads(event[6:]) for event in events if event.startswith("data: {")]
        texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        assert [text for text in texts if text] == pieces


async def test_tool_calls_agree(service: Service, client: Client, namespace: str) -> None:
    """A call that the model asks for is told the same way."""
    call = ToolCall(id="c1", name="weather", arguments_json='{"city": "Oslo"}')
    service.puppet.says(PROMPT, completion("", finish_reason="tool_calls", tool_calls=(call,)))

    made, _ = await over_http(service, namespace, {"model": "auto", "messages": [user(PROMPT)]})
    wire = await client.complete(PROMPT)

    (told,) = made["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == wire.answer.tool_calls[0].arguments_json
    assert made["choices"][0]["finish_reason"] == wire.answer.finish_reason


async def test_faces_share_a_call_in_flight(
    service: Service, client: Client, namespace: str
) -> None:
    """A gRPC caller joins what an HTTP caller began: one upstream call."""
    before = len(service.puppet.calls)
    gate = service.puppet.hold(PROMPT)
    body = {"model": "auto", "messages": [user(PROMPT)]}
    first = asyncio.create_task(over_http(service, namespace, body))
    await gate.reached.wait()
    second = asyncio.create_task(client.complete(PROMPT))
    await eventually(lambda: service.running._edge.n_running == 2)

    gate.open()
    (made, _), wire = await first, await second

    assert made["choices"][0]["message"]["content"] == wire.answer.text
    assert wire.report.cache.outcome == chat_pb2.CACHE_OUTCOME_SHARED
    assert len(service.puppet.calls) == before + 1


async def test_a_stream_over_http_shares_a_whole_answer_over_grpc(
    service: Service, client: Client, openai: AsyncOpenAI
) -> None:
    """It comes in pieces all the same, after headers that say whose answer it is."""
    gate = service.puppet.hold(PROMPT)
    whole = asyncio.create_task(client.complete(PROMPT))
    await gate.reached.wait()
    before = len(service.puppet.calls)

    async def ask() -> Any:
        return await openai.chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": PROMPT}], stream=True
        )

    joining = asyncio.create_task(ask())
    await asyncio.sleep(0.1)
    gate.open()

    response = await joining
    text = ""
    async for chunk in response.parse():
        text += "".join(choice.delta.content or "" for choice in chunk.choices)

    assert response.headers["x-scrimp-cache"] == "shared"
    assert response.headers["x-scrimp-model"] == "small"
    assert text == (await whole).answer.text
    assert len(service.puppet.calls) == before
