"""OpenAI's responses API, by OpenAI's own Python client with another base URL."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI
from service.harness import LARGE_NANOS, Service, completion, eventually, totals

from router.errors import ProviderRejected, ProviderUnavailable
from router.types import Role, ToolCall
from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
CALL = ToolCall(id="call_1", name="weather", arguments_json='{"city": "Oslo"}')
OTHER = ToolCall(id="call_2", name="weather", arguments_json='{"city": "Bergen"}')
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}


async def test_an_answer_is_a_response(openai: AsyncOpenAI) -> None:
    """The client's own types; what was asked is said back, and nothing is claimed to be kept."""
    done = await openai.responses.create(
        model="auto", input=PROMPT, instructions="Be brief.", max_output_tokens=500, temperature=0.5
    )

    assert (done.object, done.status, done.error) == ("response", "completed", None)
    assert done.output_text == f"An answer to: {PROMPT}"
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens) == (1_000, 100)
    assert (done.instructions, done.max_output_tokens) == ("Be brief.", 500)
    assert (done.temperature, done.tool_choice, done.tools) == (0.5, "auto", [])
    assert done.model == "puppet-small-2026"


async def test_a_hit_and_its_headers(openai: AsyncOpenAI) -> None:
    """What scrimp did is told as it is for chats."""
    ask = openai.responses.with_raw_response.create

    await ask(model="auto", input=PROMPT)
    hit = await ask(model="auto", input=PROMPT)

    assert hit.headers["x-scrimp-cache"] == "exact"
    assert hit.headers["x-scrimp-saved-usd-nanos"] == str(LARGE_NANOS)
    assert hit.parse().output_text == f"An answer to: {PROMPT}"


async def test_one_question_is_one_entry_in_both_apis(openai: AsyncOpenAI) -> None:
    """What was asked as a response is a hit as a chat."""
    await openai.responses.create(model="auto", input=PROMPT, instructions="Be brief.")

    chat = await openai.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    )

    assert chat.headers["x-scrimp-cache"] == "exact"


async def test_a_stream_says_the_same_as_the_whole(openai: AsyncOpenAI) -> None:
    """Numbered events in the API's order, of a miss and of a hit."""
    for _ in range(2):
        stream = await openai.responses.create(model="auto", input=PROMPT, stream=True)
        events = [event async for event in stream]

        kinds = [event.type for event in events]
        deltas = kinds.count("response.output_text.delta")
        assert kinds == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * deltas,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
        assert "".join(pieces) == f"An answer to: {PROMPT}"
        last = events[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == f"An answer to: {PROMPT}"
        assert last.response.usage is not None


async def test_the_clients_own_helper_gathers_a_stream(openai: AsyncOpenAI) -> None:
    """It checks what it gets against the events it has seen."""
    async with openai.responses.stream(model="auto", input=PROMPT) as stream:
        async for _ in stream:
            pass
        done = await stream.get_final_response()

    assert done.output_text == f"An answer to: {PROMPT}"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_tools_go_both_ways(service: Service, openai: AsyncOpenAI, is_streamed: bool) -> None:
    """The model sees the tools, the app its calls, and the model what came of them."""
    asked = f"What is the weather in Oslo, by the tool? {is_streamed}"
    says = completion("I look.", finish_reason="tool_calls", tool_calls=(CALL, OTHER))
    service.puppet.says(asked, says)

    if is_streamed:
        async with openai.responses.stream(model="auto", input=asked, tools=[WEATHER]) as stream:
            done: Any = await stream.get_final_response()
    else:
        done = await openai.responses.create(
            model="auto",
            input=asked,
            tools=[WEATHER],
            tool_choice={"type": "function", "name": "weather"},
        )
        choice = json.loads(service.puppet.calls[-1].request.tool_choice_json)
        assert choice == {"type": "function", "function": {"name": "weather"}}

    (tool,) = service.puppet.calls[-1].request.tools
    assert (tool.name, tool.is_strict, tool.extra_json) == ("weather", True, "")
    assert json.loads(tool.parameters_json) == WEATHER["parameters"]
    said, *calls = done.output
    assert said.content[0].text == "I look."
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        (call.id, "weather", call.arguments_json) for call in (CALL, OTHER)
    ]

    turns: Any = [
        {"role": "user", "content": asked},
        *done.output,
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
    ]
    await openai.responses.create(model="auto", input=turns)

    _, assistant, result = service.puppet.calls[-1].request.messages
    assert (assistant.own_text, assistant.tool_calls) == ("I look.", (CALL, OTHER))
    assert (result.role, result.own_text, result.tool_call_id) == (Role.TOOL, "Rain.", "call_1")


async def test_what_is_asked_reaches_the_provider(service: Service, openai: AsyncOpenAI) -> None:
    """Formats, images, effort, verbosity, unknown fields."""
    schema = {"type": "object", "properties": {}}
    form: Any = {"type": "json_schema", "name": "s", "schema": schema, "strict": True}
    content: Any = [
        {"type": "input_text", "text": PROMPT},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "low"},
    ]

    await openai.responses.create(
        model="auto",
        input=[{"role": "user", "content": content}],
        text={"format": form, "verbosity": "low"},
        reasoning={"effort": "low"},
        user="u1",
        store=False,
        extra_body={"top_k": 40},
    )

    sent = service.puppet.calls[-1].request
    text, image = sent.messages[0].parts
    assert text.text == PROMPT
    assert (image.media_type, image.data, image.detail) == ("image/png", b"\x89PNG", "low")
    assert json.loads(sent.response_format.schema_json) == {
        "name": "s",
        "schema": schema,
        "strict": True,
    }
    assert sent.reasoning.effort == "low"
    assert dict(sent.extra) == {"verbosity": '"low"', "top_k": "40"}
    assert sent.attribution.user == "u1"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_cut_short_is_incomplete(
    service: Service, openai: AsyncOpenAI, is_streamed: bool
) -> None:
    """And says why."""
    service.puppet.says(PROMPT, completion("By rising", finish_reason="length"))

    if is_streamed:
        stream = await openai.responses.create(model="auto", input=PROMPT, stream=True)
        last = [event async for event in stream][-1]
        assert last.type == "response.incomplete"
        done = last.response
    else:
        done = await openai.responses.create(model="auto", input=PROMPT)

    assert done.status == "incomplete"
    assert done.incomplete_details is not None
    assert done.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_refusal_is_told_as_one(
    service: Service, openai: AsyncOpenAI, is_streamed: bool
) -> None:
    """In its own kind of content."""
    service.puppet.says(PROMPT, completion("", refusal="I would rather not."))

    if is_streamed:
        stream = await openai.responses.create(model="auto", input=PROMPT, stream=True)
        last = [event async for event in stream][-1]
        assert last.type == "response.completed"
        done = last.response
    else:
        done = await openai.responses.create(model="auto", input=PROMPT)

    (message,) = done.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "refusal"
    assert part.refusal == "I would rather not."


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_log_probabilities_come_along(
    service: Service, openai: AsyncOpenAI, is_streamed: bool
) -> None:
    """Where they were asked for, beside the text."""
    logprobs = {"content": [{"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": []}]}
    service.puppet.says(PROMPT, completion("A", logprobs_json=json.dumps(logprobs)))
    options: Any = {"include": ["message.output_text.logprobs"]}

    if is_streamed:
        async with openai.responses.stream(model="auto", input=PROMPT, **options) as stream:
            done: Any = await stream.get_final_response()
    else:
        done = await openai.responses.create(model="auto", input=PROMPT, **options)

    assert service.puppet.calls[-1].request.sampling.logprobs is True
    assert done.output[0].content[0].logprobs[0].token == "A"


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ProviderRejected("status 400: too long", kind="http_400"), sdk.BadRequestError),
        (
            ProviderUnavailable("down", kind="http_500", is_repeatable=False),
            sdk.InternalServerError,
        ),
    ],
)
async def test_a_provider_that_fails_is_an_error_of_the_clients_own(
    service: Service,
    openai: AsyncOpenAI,
    failure: ProviderRejected,
    kind: type[sdk.APIStatusError],
    is_streamed: bool,
) -> None:
    """By its status, streamed or not."""
    service.puppet.says(PROMPT, failure)

    with pytest.raises(kind, match=str(failure)):
        await openai.responses.create(model="auto", input=PROMPT, stream=is_streamed)


async def test_a_stream_that_breaks_off_says_so(service: Service, openai: AsyncOpenAI) -> None:
    """After the first piece: an error event, at which the client raises."""
    gate = service.puppet.hold(PROMPT, after_pieces=2)
    stream = await openai.responses.create(
        model="auto", input=PROMPT, stream=True, extra_headers={"x-scrimp-timeout-s": "0.3"}
    )
    kinds = [(await anext(stream)).type for _ in range(6)]
    with pytest.raises(sdk.APIError, match="deadline"):
        await anext(stream)
    gate.open()

    assert kinds[-1] == "response.output_text.delta"


async def test_a_client_that_leaves_stops_the_upstream_call(
    service: Service, client: Client, openai: AsyncOpenAI, namespace: str
) -> None:
    """Cancelled upstream, and accounted."""
    prompt = f"{PROMPT} (responses)"
    gate = service.puppet.hold(prompt)
    call = asyncio.create_task(openai.responses.create(model="auto", input=prompt, stream=True))
    await gate.reached.wait()

    call.cancel()

    await eventually(lambda: prompt in service.puppet.cancelled)
    assert dict((await totals(client, namespace)).n_by_outcome) == {"failed": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input": []}, "input is empty"),
        ({"input": 7}, "input is int"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "'item_reference', which is not"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "part of type 'video'"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "without image_url"),
        ({"previous_response_id": "resp_1"}, "send the earlier turns in input"),
        ({"background": True}, "background is not supported"),
        ({"tools": [{"type": "web_search"}]}, "only functions of the app's own"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type is 'allowed_tools'"),
        ({"temperature": 9}, r"temperature is a number in \[0, 2\]"),
        ({"model": "gpt-9"}, "there are: auto, scrimp"),
    ],
)
async def test_a_request_that_is_none_is_refused(
    openai: AsyncOpenAI, options: dict[str, object], words: str
) -> None:
    """With a sentence that names the field; what would need a memory says so."""
    asked: Any = {"model": "auto", "input": PROMPT} | options

    with pytest.raises((sdk.BadRequestError, sdk.NotFoundError), match=words):
        await openai.post("/responses", body=asked, cast_to=object)
