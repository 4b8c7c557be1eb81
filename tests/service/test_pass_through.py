"""What we do not model goes through: to providers of the caller's own wire, and back from them.

The service stands between the official clients and real HTTP servers that speak both wires.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic, BadRequestError
from fakes_upstream import Handler, UpstreamServer, chunk, events_of, json_of, upstream_server
from fakes_wires import ANTHROPIC as MESSAGES
from fakes_wires import THOUGHT, completed, thought_over
from openai import AsyncOpenAI
from service.harness import Service, serving

from router.types import ToolCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODELS = """
[providers.chats]
kind = "openai"
base_url = "{chats}"

[providers.messages]
kind = "anthropic"
base_url = "{messages}"

[models.gpt]
provider = "chats"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0

[models.claude]
provider = "messages"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
max_output_tokens = 9000
context_window = 100000
"""
PROMPT = "How do volcanoes form under the sea?"
CITATION = {"type": "url_citation", "url_citation": {"url": "https://e.org", "title": "Lava"}}
DETAILS = {"reasoning_tokens": 3, "accepted_prediction_tokens": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The service, and the two servers behind it."""

    service: Service
    chats: UpstreamServer
    messages: UpstreamServer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for all tests here; each asks in a namespace of its own."""
    folder = tmp_path_factory.mktemp("pass-through") / "data"
    async with upstream_server() as chats, upstream_server() as messages:
        more = MODELS.format(chats=chats.url, messages=messages.url)
        async with serving(folder, more=more) as service:
            yield World(service=service, chats=chats, messages=messages)


@pytest_asyncio.fixture(loop_scope="session")
async def openai(world: World, namespace: str) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client of it."""
    headers = {"x-scrimp-namespace": namespace}
    async with AsyncOpenAI(
        base_url=world.service.url, api_key="unused", max_retries=0, default_headers=headers
    ) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="session")
async def anthropic(world: World, namespace: str) -> AsyncIterator[AsyncAnthropic]:
    """Anthropic's client of it."""
    base_url = world.service.url.removesuffix("/v1")
    headers = {"x-scrimp-namespace": namespace}
    async with AsyncAnthropic(
        base_url=base_url, api_key="unused", max_retries=0, default_headers=headers
    ) as connected:
        yield connected


def chat_completion() -> dict[str, Any]:
    """A chat completion with fields at every level that we do not model."""
    message = {
        "role": "assistant",
        "content": "By rising magma.",
        "reasoning_content": "Hm, lava.",
        "annotations": [CITATION],
    }
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "gpt-2026",
        "system_fingerprint": "fp_1",
        "service_tier": "flex",
        "choices": [
            {"index": 0, "message": message, "finish_reason": "stop", "matched_stop": 7},
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 5,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": DETAILS,
            "cost": 0.01,
        },
    }


def chunks() -> list[dict[str, Any]]:
    """The same as chunks."""
    whole = chat_completion()
    frame: dict[str, Any] = {"system_fingerprint": "fp_1", "service_tier": "flex"}
    usage: dict[str, Any] = {"choices": [], "usage": whole["usage"]}
    said = [
        chunk({"role": "assistant", "reasoning_content": "Hm, "}, **frame),
        chunk({"reasoning_content": "lava."}, **frame),
        chunk({"content": "By rising "}, **frame),
        chunk({"content": "magma.", "annotations": [CITATION]}, **frame),
        chunk({}, "stop", **frame),
    ]
    said[-1]["choices"][0]["matched_stop"] = 7
    return [*said, chunk(**frame) | usage]


def check_chat(found: Mapping[str, Any], *, is_hit: bool) -> None:
    """What the caller of a chat completion must see; what was the call's own is told once."""
    choice = found["choices"][0]
    assert choice["message"]["content"] == "By rising magma."
    assert choice["message"]["reasoning_content"] == "Hm, lava."
    assert choice["message"]["annotations"] == [CITATION]
    assert choice["matched_stop"] == 7
    assert found["system_fingerprint"] == "fp_1"
    assert found["usage"]["completion_tokens_details"] == DETAILS
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 4, "audio_tokens": 0}
    assert ("service_tier" in found) is not is_hit
    assert ("cost" in found["usage"]) is not is_hit


async def test_an_openai_answer_comes_back_whole(world: World, openai: AsyncOpenAI) -> None:
    """Fields of message, choice, body and usage, on the miss and on the hit."""
    world.chats.next(json_of(chat_completion()))
    ask = openai.chat.completions.with_raw_response.create
    asked: Any = {"model": "gpt", "messages": [{"role": "user", "content": PROMPT}]}

    miss, hit = await ask(**asked), await ask(**asked)

    assert hit.headers["x-scrimp-cache"] == "exact"
    check_chat(json.loads(miss.content), is_hit=False)
    check_chat(json.loads(hit.content), is_hit=True)


@pytest.mark.parametrize("is_first_streamed", [False, True])
async def test_an_openai_stream_says_the_same(
    world: World, openai: AsyncOpenAI, is_first_streamed: bool
) -> None:
    """As it comes, and replayed; thoughts before the text."""
    first = events_of(*chunks()) if is_first_streamed else json_of(chat_completion())
    world.chats.next(first)
    asked: Any = {"model": "gpt", "messages": [{"role": "user", "content": PROMPT}]}
    if not is_first_streamed:
        await openai.chat.completions.create(**asked)

    for is_hit in (not is_first_streamed, True):
        stream = await openai.chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **asked
        )
        pieces = [piece.model_dump(exclude_unset=True) async for piece in stream]
        check_chat(gathered(pieces), is_hit=is_hit)
        names = [name for piece in pieces for name in spoken(piece)]
        assert names.index("reasoning_content") < names.index("content")


def spoken(piece: Mapping[str, Any]) -> list[str]:
    deltas = [choice["delta"] for choice in piece["choices"]]
    return [name for delta in deltas for name, value in delta.items() if value]


def gathered(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """Add chunks up, as clients do."""
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    for piece in pieces:
        whole |= {name: one for name, one in piece.items() if one is not None}
        for one in piece["choices"]:
            choice |= one
            for name, value in one["delta"].items():
                if value is not None:
                    message[name] = message.get(name, type(value)()) + value
    return whole | {"choices": [choice | {"message": message}]}


async def test_thoughts_come_back_and_go_out_again(world: World, anthropic: AsyncAnthropic) -> None:
    """On the miss, on the hit, and with the next turn, to the letter."""
    says = thought_over(completed("By rising magma.", model="claude-2026"))
    world.messages.next(MESSAGES.says(says, is_streamed=False))
    asked: Any = {"role": "user", "content": PROMPT}
    options: Any = {
        "model": "claude",
        "max_tokens": 4_000,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }

    found = [await anthropic.messages.create(messages=[asked], **options) for _ in range(2)]
    turn: Any = {"role": "assistant", "content": found[1].content}
    again: Any = {"role": "user", "content": "And on land?"}
    await anthropic.messages.create(messages=[asked, turn, again], **options)

    for one in found:
        thought, text = (block.model_dump(exclude_none=True) for block in one.content)
        assert (thought, text["text"]) == (THOUGHT, "By rising magma.")
    sent = world.messages.seen[-1].body["messages"]
    assert sent[1]["content"][0] == THOUGHT


@pytest.mark.parametrize("is_first_streamed", [False, True])
async def test_a_stream_of_anthropics_is_told_event_by_event(
    world: World, anthropic: AsyncAnthropic, is_first_streamed: bool
) -> None:
    """Thoughts, their signatures and citations, gathered by the client's own helper."""
    cited = {"type": "text", "text": "By magma.", "citations": [{"cited_text": "A", "url": "u"}]}
    content = [THOUGHT, {"type": "text", "text": "So: "}, cited]
    body = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    own = json.dumps({"anthropic": {"content": content, "body": body}})
    says = completed("So: By magma.", extra_json=own)
    world.messages.next(MESSAGES.says(says, is_streamed=is_first_streamed))
    asked: Any = {
        "model": "claude",
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": PROMPT}],
        "stop_sequences": ["END"],
    }
    if not is_first_streamed:
        await anthropic.messages.create(**asked)

    for _ in range(2):
        async with anthropic.messages.stream(**asked) as stream:
            kinds = [event.type async for event in stream]
            done = await stream.get_final_message()

        blocks = [block.model_dump(exclude_none=True) for block in done.content]
        assert blocks[0] == THOUGHT
        assert [block.get("text") for block in blocks[1:]] == ["So: ", "By magma."]
        assert blocks[2]["citations"] == cited["citations"]
        assert (done.stop_reason, done.stop_sequence) == ("stop_sequence", "END")
        assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3


async def test_a_tool_call_is_streamed_as_it_comes(world: World, anthropic: AsyncAnthropic) -> None:
    """Once, with its thoughts, and not a second time at the end."""
    call = ToolCall(id="toolu_1", name="look", arguments_json='{"city": "Oslo"}')
    says = thought_over(completed("I look.", "tool_calls", tool_calls=(call,)))
    world.messages.next(MESSAGES.says(says, is_streamed=True))

    async with anthropic.messages.stream(
        model="claude",
        max_tokens=4_000,
        tools=[{"name": "look", "input_schema": {"type": "object"}}],
        messages=[{"role": "user", "content": PROMPT}],
    ) as stream:
        done = await stream.get_final_message()

    assert [block.type for block in done.content] == ["thinking", "text", "tool_use"]
    assert done.content[2].model_dump(exclude_none=True)["input"] == {"city": "Oslo"}
    assert done.stop_reason == "tool_use"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_another_wires_words_are_left_out(
    world: World, openai: AsyncOpenAI, is_streamed: bool
) -> None:
    """An OpenAI client gets Anthropic's text, and no thoughts; streamed or not."""
    says = thought_over(completed("By rising magma."))
    world.messages.next(MESSAGES.says(says, is_streamed=is_streamed))
    asked: Any = {"model": "claude", "messages": [{"role": "user", "content": PROMPT}]}

    if is_streamed:
        stream = await openai.chat.completions.create(stream=True, **asked)
        pieces = [piece.model_dump(exclude_unset=True) async for piece in stream]
        message = gathered(pieces)["choices"][0]["message"]
    else:
        done = await openai.chat.completions.create(**asked)
        message = done.choices[0].message.model_dump(exclude_unset=True)

    assert message["content"] == "By rising magma."
    assert "lava" not in json.dumps(message)


async def test_without_a_bound_the_models_own_holds(world: World, openai: AsyncOpenAI) -> None:
    """Anthropic wants one: ``max_output_tokens`` of the settings."""
    world.messages.next(MESSAGES.says(completed("Yes."), is_streamed=False))

    await openai.chat.completions.create(
        model="claude", messages=[{"role": "user", "content": PROMPT}]
    )

    assert world.messages.seen[-1].body["max_tokens"] == 9_000


async def test_headers_of_anthropics_pass_and_are_part_of_the_key(
    world: World, anthropic: AsyncAnthropic, openai: AsyncOpenAI
) -> None:
    """Betas and unknown versions change what is meant; known ones share with the other API."""
    world.messages.next(MESSAGES.says(completed("Yes."), is_streamed=False))
    asked: Any = {
        "model": "claude",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    ask = anthropic.messages.with_raw_response.create

    usual = {"anthropic-version": "2023-06-01"}
    newer = {"anthropic-version": "2026-10-21"}
    plain = await ask(**asked, extra_headers=usual)
    beta = await ask(**asked, extra_headers=newer | {"anthropic-beta": "a-2026, b-2026"})
    again = await ask(**asked, extra_headers=usual | {"anthropic-beta": "a-2026,b-2026"})
    other = await ask(**asked, extra_headers={"anthropic-version": "2099-01-01"})
    chat = await openai.chat.completions.with_raw_response.create(
        model="claude", messages=asked["messages"]
    )

    outcomes = [one.headers["x-scrimp-cache"] for one in (plain, beta, again, other, chat)]
    assert outcomes == ["miss", "miss", "exact", "miss", "exact"]
    sent = [seen.headers for seen in world.messages.seen[-3:]]
    assert [one.get("anthropic-beta") for one in sent] == [None, "a-2026,b-2026", None]
    assert [one["anthropic-version"] for one in sent] == ["2023-06-01", "2026-10-21", "2099-01-01"]


async def test_tokens_are_counted_by_anthropic(world: World, anthropic: AsyncAnthropic) -> None:
    """What bears on the answer alone is not sent; where it refuses, its words are told."""
    world.messages.next(json_of({"input_tokens": 17}))
    asked: Any = {"role": "user", "content": [{"type": "text", "text": PROMPT}]}

    counted = await anthropic.messages.with_raw_response.count_tokens(
        model="claude", messages=[asked], system="Be brief."
    )

    assert (await counted.parse()).input_tokens == 17
    assert "x-scrimp-estimate" not in counted.headers
    assert world.messages.seen[-1].path == "/v1/messages/count_tokens"
    assert world.messages.seen[-1].body == {
        "model": "claude",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [asked],
    }
    world.messages.next(json_of({"error": {"message": "too many tools"}}, 400))
    with pytest.raises(BadRequestError, match="too many tools"):
        await anthropic.messages.count_tokens(model="claude", messages=[asked])


@pytest.mark.parametrize("answer", [json_of({"input_tokens": "x"}), json_of({}, 503)])
async def test_a_count_that_fails_is_estimated(
    world: World, anthropic: AsyncAnthropic, answer: Handler
) -> None:
    """Whoever counts has something to decide."""
    world.messages.next(answer)

    counted = await anthropic.messages.with_raw_response.count_tokens(
        model="claude", messages=[{"role": "user", "content": PROMPT}]
    )

    assert counted.headers["x-scrimp-estimate"] == "true"


async def test_responses_tell_what_chat_completions_cite_and_thought(
    world: World, openai: AsyncOpenAI
) -> None:
    """In the words that responses have for it."""
    world.chats.next(json_of(chat_completion()))

    done = await openai.responses.create(model="gpt", input=PROMPT)

    (message,) = done.output
    part = message.model_dump()["content"][0]
    assert part["annotations"][0]["url"] == "https://e.org"
    assert done.usage is not None
    assert done.usage.output_tokens_details.reasoning_tokens == 3


async def test_unknown_fields_reach_the_provider_at_every_level(
    world: World, namespace: str
) -> None:
    """Of body, message, part, call, its function, tool, choice and format: as they were sent."""
    world.chats.next(json_of(chat_completion()))
    body = {
        "model": "gpt",
        "guided_regex": "[a-z]+",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi.", "x_part": 1}]},
            {
                "role": "assistant",
                "content": "Hm.",
                "x_message": [1],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}", "x_function": True},
                        "extra_content": {"google": {"thought_signature": "s"}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "4", "x_result": {"a": None}},
            {"role": "user", "content": PROMPT},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "x_f": 1}, "x_tool": 2}],
        "tool_choice": {"type": "function", "function": {"name": "f"}, "x_choice": 3},
        "response_format": {"type": "json_object", "x_format": 4},
    }
    async with (
        aiohttp.ClientSession(headers={"x-scrimp-namespace": namespace}) as http,
        http.post(f"{world.service.url}/chat/completions", json=body) as response,
    ):
        assert response.status == 200

    assert world.chats.seen[-1].body == body
