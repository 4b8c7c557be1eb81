"""OpenAI's own Python client, with nothing changed but its base URL."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from service.harness import (
    LARGE_NANOS,
    SMALL_NANOS,
    Service,
    completion,
    eventually,
    serving,
    totals,
)

from router.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.types import Completion, ToolCall
from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
CALL = ToolCall(id="call_1", name="weather", arguments_json='{"city": "Oslo"}')


async def streamed(
    openai: AsyncOpenAI, *, includes_usage: bool = True
) -> tuple[dict[str, str], list[ChatCompletionChunk]]:
    """Stream the usual prompt; return headers and chunks."""
    response = await openai.chat.completions.with_raw_response.create(
        model="auto",
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": includes_usage},
    )
    return dict(response.headers), [chunk async for chunk in response.parse()]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(
        choice.delta.content or ""
        for chunk in chunks
        for choice in chunk.choices
        if choice.index == 0
    )


async def test_an_answer_is_a_chat_completion(service: Service, openai: AsyncOpenAI) -> None:
    """The client's own types, the tokens as the provider counted them, the provider's model."""
    service.puppet.says(PROMPT, "By rising magma.")

    done = await openai.chat.completions.create(model="auto", messages=ASKED)

    assert done.object == "chat.completion"
    assert done.id.startswith("chatcmpl-")
    assert done.created == service.clock()
    assert done.model == "puppet-small-2026"
    (choice,) = done.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert choice.message.content == "By rising magma."
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (1_000, 100)
    assert done.usage.total_tokens == 1_100


async def test_what_scrimp_did_is_in_the_headers(openai: AsyncOpenAI) -> None:
    """Outcome, reason or figures, model, money; a hit names the entry that the miss made."""
    ask = openai.chat.completions.with_raw_response.create

    miss = (await ask(model="auto", messages=ASKED)).headers
    hit = (await ask(model="auto", messages=ASKED)).headers

    assert (miss["x-scrimp-cache"], miss["x-scrimp-miss-reason"]) == ("miss", "nothing_similar")
    assert (miss["x-scrimp-model"], miss["x-scrimp-baseline-model"]) == ("small", "large")
    assert miss["x-scrimp-cost-usd-nanos"] == str(SMALL_NANOS)
    assert miss["x-scrimp-baseline-usd-nanos"] == str(LARGE_NANOS)
    assert miss["x-scrimp-saved-usd-nanos"] == str(LARGE_NANOS - SMALL_NANOS)
    assert hit["x-scrimp-cache"] == "exact"
    assert "x-scrimp-miss-reason" not in hit
    assert hit["x-scrimp-entry-id"] == miss["x-scrimp-entry-id"]
    assert (hit["x-scrimp-similarity"], hit["x-scrimp-p-right"]) == ("1", "1")
    assert hit["x-scrimp-age-s"] == "0"
    assert hit["x-scrimp-cost-usd-nanos"] == "0"
    assert hit["x-request-id"] == hit["x-scrimp-response-id"]


async def test_a_stream_says_the_same_as_the_whole(openai: AsyncOpenAI) -> None:
    """Piece by piece, then why it ended, then the usage in a chunk of its own."""
    headers, chunks = await streamed(openai)

    assert headers["content-type"].startswith("text/event-stream")
    assert text_of(chunks) == f"An answer to: {PROMPT}"
    assert len(chunks) > 4
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 1_100
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_streams_headers_say_what_is_known_before_its_first_byte(
    openai: AsyncOpenAI,
) -> None:
    """Of a miss the reason and the model, of a hit all of it; the ids are those of the ledger."""
    miss, chunks = await streamed(openai)
    hit, _ = await streamed(openai)

    assert (miss["x-scrimp-cache"], miss["x-scrimp-model"]) == ("miss", "small")
    assert "x-scrimp-cost-usd-nanos" not in miss
    assert chunks[0].id == f"chatcmpl-{miss['x-scrimp-response-id']}"
    assert hit["x-scrimp-cache"] == "exact"
    assert hit["x-scrimp-saved-usd-nanos"] == str(LARGE_NANOS)


async def test_a_hit_is_replayed_as_a_stream(openai: AsyncOpenAI) -> None:
    """To whoever asks for one, usage included, however it was asked for the first time."""
    whole = await openai.chat.completions.create(model="auto", messages=ASKED)

    headers, chunks = await streamed(openai)

    assert headers["x-scrimp-cache"] == "exact"
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_usage_comes_only_when_it_was_asked_for(openai: AsyncOpenAI) -> None:
    """As OpenAI does: without include_usage no chunk speaks of usage."""
    _, chunks = await streamed(openai, includes_usage=False)

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_pieces_come_as_they_are_made(service: Service, openai: AsyncOpenAI) -> None:
    """The first reaches the client while the model is still writing."""
    gate = service.puppet.hold(PROMPT, after_pieces=2)
    stream = await openai.chat.completions.create(model="auto", messages=ASKED, stream=True)

    first = [(await anext(stream)).choices[0].delta.content for _ in range(3)]
    gate.open()
    rest = [chunk.choices[0].delta.content async for chunk in stream]

    assert first == ["", "An", " answer"]
    assert "".join(piece or "" for piece in rest) == f" to: {PROMPT}"


async def test_tools_go_both_ways(service: Service, openai: AsyncOpenAI) -> None:
    """The model sees the tools, the app its calls, whole or streamed, and the model the result."""
    asked = "What is the weather in Oslo, by the tool?"
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": asked}]
    service.puppet.says(asked, completion("", finish_reason="tool_calls", tool_calls=(CALL,)))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    done = await openai.chat.completions.create(
        model="auto", messages=messages, tools=tools, tool_choice="auto"
    )

    sent = service.puppet.calls[-1].request
    assert json.loads(sent.tools[0].parameters_json) == schema
    assert sent.tool_choice_json == '"auto"'
    (choice,) = done.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert call.function.arguments == CALL.arguments_json

    echoed: Any = choice.message.model_dump()
    messages += [echoed, {"role": "tool", "tool_call_id": "call_1", "content": "Rain."}]
    await openai.chat.completions.create(model="auto", messages=messages)

    assistant, result = service.puppet.calls[-1].request.messages[-2:]
    assert assistant.tool_calls == (CALL,)
    assert not assistant.extra_json
    assert (result.role, result.own_text, result.tool_call_id) == ("tool", "Rain.", "call_1")


async def test_tool_calls_are_streamed(service: Service, openai: AsyncOpenAI) -> None:
    """With their index, so that the client's own helper gathers them."""
    asked = "What is the weather in Bergen, by the tool?"
    service.puppet.says(asked, completion("", finish_reason="tool_calls", tool_calls=(CALL, CALL)))

    async with openai.chat.completions.stream(
        model="auto", messages=[{"role": "user", "content": asked}]
    ) as stream:
        done = await stream.get_final_completion()

    message = done.choices[0].message
    assert [call.function.arguments for call in message.tool_calls or ()] == [
        CALL.arguments_json
    ] * 2
    assert done.choices[0].finish_reason == "tool_calls"


async def test_formats_images_and_unknown_fields_pass_through(
    service: Service, openai: AsyncOpenAI
) -> None:
    """The provider gets them as the app wrote them."""
    png = base64.b64encode(b"\x89PNG").decode()
    form: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}

    await openai.chat.completions.create(
        model="auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": PROMPT},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{png}", "detail": "low"},
                    },
                    {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
                ],
            }
        ],
        response_format=form,
        extra_body={"top_k": 40},
        logit_bias={"50256": -100},
        seed=7,
    )

    sent = service.puppet.calls[-1].request
    assert sent.response_format.kind == "json_schema"
    assert json.loads(sent.response_format.schema_json) == form["json_schema"]
    _, inline, linked = sent.messages[0].parts
    assert (inline.media_type, inline.data, inline.detail) == ("image/png", b"\x89PNG", "low")
    assert linked.uri == "https://example.com/cat.png"
    assert dict(sent.extra) == {"top_k": "40"}
    assert (sent.sampling.seed, sent.sampling.logit_bias) == (7, (("50256", -100),))


def many_choices() -> Completion:
    """Two choices and log probabilities, as a provider gives them."""
    logprobs = {"content": [{"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": []}]}
    other = {
        "index": 1,
        "message": {"role": "assistant", "content": "B"},
        "finish_reason": "length",
        "logprobs": None,
    }
    return completion(
        "A", extra_choices_json=json.dumps([other]), logprobs_json=json.dumps(logprobs)
    )


async def test_several_choices_and_log_probabilities(service: Service, openai: AsyncOpenAI) -> None:
    """All of them come, in the whole answer and in the stream."""
    service.puppet.says(PROMPT, many_choices())
    options: dict[str, Any] = {"model": "auto", "messages": ASKED, "n": 2, "logprobs": True}

    done = await openai.chat.completions.create(**options)
    chunks = [
        chunk
        async for chunk in await openai.chat.completions.create(
            stream=True, extra_headers={"x-scrimp-cache-control": "bypass"}, **options
        )
    ]

    assert [choice.message.content for choice in done.choices] == ["A", "B"]
    assert [choice.finish_reason for choice in done.choices] == ["stop", "length"]
    assert done.choices[0].logprobs.content[0].token == "A"
    ends = {c.index: c.finish_reason for k in chunks for c in k.choices if c.finish_reason}
    assert ends == {0: "stop", 1: "length"}
    texts = {c.index: c.delta.content for k in chunks for c in k.choices if c.delta.content}
    assert texts == {0: "A", 1: "B"}
    tokens = [c.logprobs.content[0].token for k in chunks for c in k.choices if c.logprobs]
    assert tokens == ["A"]


async def test_models_are_listed(openai: AsyncOpenAI) -> None:
    """The routed name, every configured model, and the encoder; one by one, too."""
    names = [model.id async for model in openai.models.list()]

    assert names == ["auto", "scrimp", "small", "large", "weak", "unpriced", "scrimp-encoder"]
    assert (await openai.models.retrieve("small")).owned_by == "puppet"
    assert (await openai.models.retrieve("scrimp-encoder")).owned_by == "scrimp"
    with pytest.raises(sdk.NotFoundError, match="there are: auto, scrimp, small"):
        await openai.models.retrieve("gpt-9")


async def test_the_built_in_encoder_makes_embeddings(openai: AsyncOpenAI) -> None:
    """Unit vectors, as numbers or packed; alike texts are near each other."""
    texts = ["How do I reset my password?", "How can I reset a password?", "Volcanoes"]

    made = await openai.embeddings.create(model="scrimp-encoder", input=texts)
    plain = await openai.embeddings.create(
        model="scrimp-encoder", input=texts[0], encoding_format="float"
    )

    first, second, third = (row.embedding for row in made.data)
    assert len(first) == 384
    assert sum(x * x for x in first) == pytest.approx(1)
    near = sum(x * y for x, y in zip(first, second, strict=True))
    far = sum(x * y for x, y in zip(first, third, strict=True))
    assert near > 0.8 > far
    assert plain.data[0].embedding == pytest.approx(first, abs=1e-6)
    assert made.usage.prompt_tokens > plain.usage.prompt_tokens > 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "text-embedding-3-small"}, "makes no embeddings here"),
        ({"input": []}, "expected 1 to 2048"),
        ({"input": [[1, 2]]}, r"input\[0\] is list, expected a string"),
        ({"input": [""]}, r"input\[0\] is empty"),
        ({"dimensions": 256}, "scrimp-encoder makes 384"),
    ],
)
async def test_embeddings_of_another_kind_are_refused(
    openai: AsyncOpenAI, options: dict[str, Any], words: str
) -> None:
    """Vectors of another model, or shorter ones, would silently be wrong ones."""
    with pytest.raises((sdk.BadRequestError, sdk.NotFoundError), match=words):
        await openai.embeddings.create(**({"model": "scrimp-encoder", "input": "x"} | options))


async def test_a_named_model_is_pinned_and_its_own_baseline(
    service: Service, openai: AsyncOpenAI
) -> None:
    """By its name here or the provider's; what was not saved is not claimed."""
    for name in ("large", "puppet-large"):
        response = await openai.chat.completions.with_raw_response.create(
            model=name, messages=[{"role": "user", "content": f"{PROMPT} ({name})"}]
        )

        assert response.headers["x-scrimp-model"] == "large"
        assert response.headers["x-scrimp-baseline-model"] == "large"
        assert response.headers["x-scrimp-saved-usd-nanos"] == "0"
        assert service.puppet.calls[-1].model == "puppet-large"


async def test_a_cheap_models_answer_never_serves_a_named_strong_one(openai: AsyncOpenAI) -> None:
    """The entry of a routed request is no hit for who asks for another model."""
    ask = openai.chat.completions.with_raw_response.create
    await ask(model="auto", messages=ASKED)

    response = await ask(model="large", messages=ASKED)

    assert response.headers["x-scrimp-miss-reason"] == "model_not_allowed"


async def test_named_models_may_be_routed_under(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By one setting: the cheapest adequate model that costs no more, measured against the name."""
    folder = tmp_path_factory.mktemp("routed") / "data"
    async with (
        serving(folder, overrides={"http.named_models": "routed"}) as service,
        AsyncOpenAI(base_url=service.url, api_key="unused", max_retries=0) as openai,
    ):
        ask = openai.chat.completions.with_raw_response.create
        large = (await ask(model="large", messages=ASKED)).headers
        small = (
            await ask(model="small", messages=[{"role": "user", "content": f"{PROMPT} Briefly."}])
        ).headers

    assert (large["x-scrimp-model"], large["x-scrimp-baseline-model"]) == ("small", "large")
    assert large["x-scrimp-saved-usd-nanos"] == str(LARGE_NANOS - SMALL_NANOS)
    assert (small["x-scrimp-model"], small["x-scrimp-baseline-model"]) == ("small", "small")
    assert small["x-scrimp-saved-usd-nanos"] == "0"


ERRORS = [
    pytest.param(
        ProviderRejected("status 400: too long", kind="http_400"),
        sdk.BadRequestError,
        "provider_rejected",
        id="rejected",
    ),
    pytest.param(
        ProviderUnavailable("down", kind="http_500", is_repeatable=False),
        sdk.InternalServerError,
        "no_model_available",
        id="unavailable",
    ),
    pytest.param(
        ProviderTimeout("slow", kind="timeout", is_billable=True),
        sdk.InternalServerError,
        "no_model_available",
        id="late",
    ),
]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(("failure", "kind", "code"), ERRORS)
async def test_a_provider_that_fails_is_an_error_of_the_clients_own(
    service: Service,
    openai: AsyncOpenAI,
    failure: Exception,
    kind: type[sdk.APIStatusError],
    code: str,
    is_streamed: bool,
) -> None:
    """Before the first byte a stream fails as the whole does: by its status."""
    service.puppet.says(PROMPT, failure)  # type: ignore[arg-type]

    with pytest.raises(kind) as caught:
        await openai.chat.completions.create(model="auto", messages=ASKED, stream=is_streamed)

    assert caught.value.code == code
    assert str(failure) in caught.value.message
    assert caught.value.type


async def test_a_stream_that_breaks_off_says_so(service: Service, openai: AsyncOpenAI) -> None:
    """After the first piece: an error in the stream, no end mark, and nothing is stored."""
    gate = service.puppet.hold(PROMPT, after_pieces=2)
    stream = await openai.chat.completions.create(
        model="auto",
        messages=ASKED,
        stream=True,
        extra_headers={"x-scrimp-timeout-s": "0.3"},
    )
    pieces = [(await anext(stream)).choices[0].delta.content for _ in range(3)]
    with pytest.raises(sdk.APIError) as caught:
        await anext(stream)
    gate.open()

    assert pieces == ["", "An", " answer"]
    assert caught.value.code == "timeout_error"
    await eventually(lambda: PROMPT in service.puppet.cancelled)
    again = await openai.chat.completions.with_raw_response.create(model="auto", messages=ASKED)
    assert again.headers["x-scrimp-cache"] == "miss"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_stops_the_upstream_call(
    service: Service, client: Client, openai: AsyncOpenAI, namespace: str, is_streamed: bool
) -> None:
    """As over gRPC: cancelled upstream, and one line that says nobody knows what it used."""
    prompt = f"{PROMPT} {is_streamed}"
    gate = service.puppet.hold(prompt, after_pieces=0)

    call = asyncio.create_task(
        openai.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": prompt}], stream=is_streamed
        )
    )
    await gate.reached.wait()
    call.cancel()

    await eventually(lambda: prompt in service.puppet.cancelled)
    await eventually(lambda: service.running._edge.n_running == 0)
    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"failed": 1}
    assert sums.n_usage_unknown == 1
