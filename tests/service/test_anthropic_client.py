"""Anthropic's own Python client, with nothing changed but its base URL."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import anthropic as sdk
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam
from openai import AsyncOpenAI
from service.harness import Service, completion, eventually, totals

from router.errors import ProviderRejected, ProviderUnavailable
from router.types import Answer, Completion, Role, ToolCall, Usage
from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ASKED: list[MessageParam] = [{"role": "user", "content": PROMPT}]
CALL = ToolCall(id="toolu_1", name="weather", arguments_json='{"city": "Oslo"}')
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


async def test_an_answer_is_a_message(service: Service, anthropic: AsyncAnthropic) -> None:
    """The client's own types, why it ended, and the tokens as Anthropic counts them."""
    cached = Usage(
        input_tokens=1_000, output_tokens=100, cache_read_tokens=600, cache_write_tokens=300
    )
    service.puppet.says(PROMPT, Completion(answer=Answer(text="By rising magma."), usage=cached))

    done = await anthropic.messages.create(model="auto", max_tokens=500, messages=ASKED)

    assert (done.type, done.role, done.stop_reason) == ("message", "assistant", "end_turn")
    (block,) = done.content
    assert block.type == "text"
    assert block.text == "By rising magma."
    assert (done.usage.input_tokens, done.usage.output_tokens) == (100, 100)
    assert done.usage.cache_read_input_tokens == 600
    assert done.usage.cache_creation_input_tokens == 300
    assert done.id.startswith("msg_")


async def test_a_hit_and_its_headers(anthropic: AsyncAnthropic) -> None:
    """What scrimp did is told as it is to OpenAI's clients."""
    ask = anthropic.messages.with_raw_response.create
    options: Any = {"model": "auto", "max_tokens": 500, "messages": ASKED}

    miss, hit = await ask(**options), await ask(**options)

    assert miss.headers["x-scrimp-miss-reason"] == "nothing_similar"
    assert hit.headers["x-scrimp-cache"] == "exact"
    assert (await hit.parse()).content == (await miss.parse()).content
    assert hit.headers["request-id"] == hit.headers["x-scrimp-response-id"]


async def test_a_stream_says_the_same_as_the_whole(anthropic: AsyncAnthropic) -> None:
    """Gathered by the client's own helper, of a miss and of a hit."""
    options: Any = {"model": "auto", "max_tokens": 500, "messages": ASKED}
    kinds = []
    for _ in range(2):
        async with anthropic.messages.stream(**options) as stream:
            kinds = [event.type async for event in stream]
            done = await stream.get_final_message()

        (block,) = done.content
        assert block.type == "text"
        assert block.text == f"An answer to: {PROMPT}"
        assert done.stop_reason == "end_turn"
        assert (done.usage.input_tokens, done.usage.output_tokens) == (1_000, 100)
    wire = [kind for kind in kinds if kind != "text"]
    assert wire[:2] == ["message_start", "content_block_start"]
    assert wire[-3:] == ["content_block_stop", "message_delta", "message_stop"]


async def test_pieces_come_as_they_are_made(service: Service, anthropic: AsyncAnthropic) -> None:
    """The first reaches the client while the model is still writing."""
    gate = service.puppet.hold(PROMPT, after_pieces=2)
    async with anthropic.messages.stream(model="auto", max_tokens=500, messages=ASKED) as stream:
        texts = stream.text_stream
        first = [await anext(texts), await anext(texts)]
        gate.open()
        rest = [text async for text in texts]

    assert first == ["An", " answer"]
    assert "".join(rest) == f" to: {PROMPT}"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_tools_go_both_ways(
    service: Service, anthropic: AsyncAnthropic, is_streamed: bool
) -> None:
    """The model sees the tools, the app its calls, the model the result as a turn of its own."""
    asked = f"What is the weather in Oslo, by the tool? {is_streamed}"
    messages: Any = [{"role": "user", "content": asked}]
    says = completion("I look.", finish_reason="tool_calls", tool_calls=(CALL,))
    service.puppet.says(asked, says)
    options: Any = {"model": "auto", "max_tokens": 500, "tools": [WEATHER]}

    if is_streamed:
        async with anthropic.messages.stream(messages=messages, **options) as stream:
            done = await stream.get_final_message()
    else:
        done = await anthropic.messages.create(
            messages=messages, tool_choice={"type": "any"}, **options
        )
        assert service.puppet.calls[-1].request.tool_choice_json == '"required"'

    (tool,) = service.puppet.calls[-1].request.tools
    assert (tool.name, tool.description) == ("weather", WEATHER["description"])
    assert json.loads(tool.parameters_json) == WEATHER["input_schema"]
    assert done.stop_reason == "tool_use"
    said, use = done.content
    assert said.type == "text"
    assert use.type == "tool_use"
    assert (use.id, use.name, use.input) == ("toolu_1", "weather", {"city": "Oslo"})

    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain."}
    thanks = {"type": "text", "text": f"And tomorrow? {is_streamed}"}
    turns: Any = [
        *messages,
        {"role": "assistant", "content": done.content},
        {"role": "user", "content": [result, thanks]},
    ]
    await anthropic.messages.create(messages=turns, **options)

    assistant, told, user = service.puppet.calls[-1].request.messages[-3:]
    assert (assistant.own_text, assistant.tool_calls) == ("I look.", (CALL,))
    assert (told.role, told.own_text, told.tool_call_id) == (Role.TOOL, "Rain.", "toolu_1")
    assert (user.role, user.own_text) == (Role.USER, thanks["text"])


async def test_what_is_asked_reaches_the_provider(
    service: Service, anthropic: AsyncAnthropic
) -> None:
    """System prompt, sampling, images, documents, formats, unknown fields; caching marks do not."""
    png = base64.b64encode(b"\x89PNG").decode()
    mark: Any = {"type": "ephemeral"}
    source: Any = {"type": "base64", "media_type": "image/png", "data": png}
    document: Any = {"type": "text", "media_type": "text/plain", "data": "A long report."}
    schema = {"type": "object", "properties": {}}
    config: Any = {"format": {"type": "json_schema", "schema": schema}}

    content: Any = [
        {"type": "document", "source": document},
        {"type": "image", "source": source},
        {"type": "text", "text": PROMPT, "cache_control": mark},
    ]
    await anthropic.messages.create(
        model="auto",
        max_tokens=500,
        system=[{"type": "text", "text": "Be brief.", "cache_control": mark}],
        messages=[{"role": "user", "content": content}],
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        extra_body={"output_config": config, "temperature": 0.5, "top_p": 0.9, "top_k": 40},
    )

    sent = service.puppet.calls[-1].request
    system, user = sent.messages
    assert (system.role, system.own_text) == (Role.SYSTEM, "Be brief.")
    context, image, text = user.parts
    assert (context.text, context.is_context) == ("A long report.", True)
    assert (image.media_type, image.data) == ("image/png", b"\x89PNG")
    assert (text.text, text.extra_json) == (PROMPT, "")
    assert (sent.sampling.temperature, sent.sampling.top_p) == (0.5, 0.9)
    assert (sent.sampling.max_tokens, sent.sampling.stop) == (500, ("END",))
    assert sent.response_format.kind == "json_schema"
    assert json.loads(sent.response_format.schema_json)["schema"] == schema
    assert json.loads(sent.extra["anthropic"]) == {"output_config": config}
    assert sent.extra["top_k"] == "40"
    assert set(sent.extra) == {"top_k", "anthropic", "anthropic-version"}
    assert sent.attribution.user == "u1"


async def test_thoughts_are_handed_back_as_they_came(
    service: Service, anthropic: AsyncAnthropic
) -> None:
    """With their signatures, for a provider that wants them, and as part of the key."""
    thought: Any = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
    said: Any = {"type": "text", "text": "Hello."}
    await anthropic.messages.create(
        model="auto",
        max_tokens=500,
        messages=[
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": [thought, said]},
            {"role": "user", "content": PROMPT},
        ],
    )

    assistant = service.puppet.calls[-1].request.messages[1]
    assert assistant.own_text == "Hello."
    assert json.loads(assistant.extra_json) == {"anthropic": {"thinking_blocks": [thought]}}


async def test_one_question_is_one_entry_in_both_apis(
    anthropic: AsyncAnthropic, openai: AsyncOpenAI
) -> None:
    """What Anthropic's client asked is a hit for OpenAI's."""
    await anthropic.messages.create(
        model="auto", max_tokens=500, system="Be brief.", messages=ASKED
    )

    response = await openai.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    )

    assert response.headers["x-scrimp-cache"] == "exact"


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("failure", "kind", "word"),
    [
        (
            ProviderRejected("status 400: too long", kind="http_400"),
            sdk.BadRequestError,
            "invalid_request_error",
        ),
        (
            ProviderUnavailable("down", kind="http_500", is_repeatable=False),
            sdk.InternalServerError,
            "overloaded_error",
        ),
    ],
)
async def test_a_provider_that_fails_is_an_error_of_the_clients_own(
    service: Service,
    anthropic: AsyncAnthropic,
    failure: ProviderRejected,
    kind: type[sdk.APIStatusError],
    word: str,
    is_streamed: bool,
) -> None:
    """In Anthropic's shape, by its status."""
    service.puppet.says(PROMPT, failure)

    with pytest.raises(kind) as caught:
        await anthropic.messages.create(
            model="auto", max_tokens=500, messages=ASKED, stream=is_streamed
        )

    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", word)
    assert str(failure) in body["error"]["message"]


async def test_a_stream_that_breaks_off_says_so(
    service: Service, anthropic: AsyncAnthropic
) -> None:
    """After the first piece: an error event, and no message_stop."""
    gate = service.puppet.hold(PROMPT, after_pieces=2)
    stream = await anthropic.messages.create(
        model="auto",
        max_tokens=500,
        messages=ASKED,
        stream=True,
        extra_headers={"x-scrimp-timeout-s": "0.3"},
    )
    kinds = [(await anext(stream)).type for _ in range(4)]
    with pytest.raises(sdk.APIStatusError, match="deadline"):
        await anext(stream)
    gate.open()

    assert kinds == ["message_start", "content_block_start", *["content_block_delta"] * 2]


async def test_a_client_that_leaves_stops_the_upstream_call(
    service: Service, client: Client, anthropic: AsyncAnthropic, namespace: str
) -> None:
    """Cancelled upstream, and accounted."""
    prompt = f"{PROMPT} (Anthropic)"
    gate = service.puppet.hold(prompt)
    call = asyncio.create_task(
        anthropic.messages.create(
            model="auto", max_tokens=500, messages=[{"role": "user", "content": prompt}]
        )
    )
    await gate.reached.wait()

    call.cancel()

    await eventually(lambda: prompt in service.puppet.cancelled)
    assert dict((await totals(client, namespace)).n_by_outcome) == {"failed": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": None}, "max_tokens is missing"),
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role is 'tool'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "a block of type 'video'",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "run at Anthropic"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type is 'some'"),
        ({"temperature": 9}, r"temperature is a number in \[0, 2\]"),
        ({"model": "claude-9"}, "there are: auto, scrimp"),
    ],
)
async def test_a_request_that_is_none_is_refused(
    anthropic: AsyncAnthropic, options: dict[str, object], words: str
) -> None:
    """With a sentence that names the field."""
    asked: Any = {"model": "auto", "max_tokens": 5, "messages": ASKED} | options
    with pytest.raises((sdk.BadRequestError, sdk.NotFoundError), match=words):
        await anthropic.post("/v1/messages", body=asked, cast_to=object)


async def test_models_are_listed_for_anthropics_client_too(anthropic: AsyncAnthropic) -> None:
    """One list serves both."""
    assert [one.id async for one in anthropic.models.list()][:3] == ["auto", "scrimp", "small"]
