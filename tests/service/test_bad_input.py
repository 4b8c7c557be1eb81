"""Bad input: each kind gets the right status and a sentence that helps, and the service goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from service.harness import EXACT, MISS, Service, eventually, refused, serving, totals

from scrimp.client import Client, text_message
from scrimp.v1 import (
    admin_pb2,
    advisor_pb2,
    chat_pb2,
    feedback_pb2,
    gateway_pb2,
    savings_pb2,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
METHODS = [
    (f"/{service.full_name}/{method.name}", bool(method.server_streaming))
    for module in (gateway_pb2, advisor_pb2, feedback_pb2, admin_pb2, savings_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
Change = Callable[[chat_pb2.ChatRequest], object]


async def send_bytes(client: Client, path: str, is_streamed: bool, raw: bytes) -> None:
    """Call a method with bytes of our own."""
    if is_streamed:
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = client.channel.unary_stream(path)
        await stream(raw).read()
    else:
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = client.channel.unary_unary(path)
        await unary(raw)


@pytest.mark.parametrize(("path", "is_streamed"), METHODS)
async def test_bytes_that_are_no_message_are_refused(
    client: Client, path: str, is_streamed: bool
) -> None:
    """INVALID_ARGUMENT at every method; the sentence names the message that was expected."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "is no valid scrimp.v1."):
        await send_bytes(client, path, is_streamed, b"\xff\xff\xff\xff\x00scrambled")

    assert (await client.complete(PROMPT)).answer.text


def complete_bytes(client: Client, text: str) -> bytes:
    return gateway_pb2.CompleteRequest(request=client.request(text)).SerializeToString()


@pytest.mark.parametrize("bad", [b"\xff\xfe\xfd\xfc", b"\xc3\x28AA", b"\xed\xa0\x80A", b"AAA\xc3"])
async def test_invalid_utf8_is_refused(client: Client, bad: bytes) -> None:
    """Text that is no UTF-8 never reaches key, cache or provider."""
    raw = complete_bytes(client, "AAAA").replace(b"AAAA", bad)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "UTF-8"):
        await send_bytes(client, "/scrimp.v1.Gateway/Complete", False, raw)


async def test_a_truncated_message_is_refused(client: Client) -> None:
    """Half a message is no message."""
    raw = complete_bytes(client, PROMPT)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "scrimp.v1.CompleteRequest"):
        await send_bytes(client, "/scrimp.v1.Gateway/Complete", False, raw[: len(raw) // 2])


async def test_an_empty_message_is_refused(client: Client) -> None:
    """A request without messages says what is missing."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "messages is empty"):
        await send_bytes(client, "/scrimp.v1.Gateway/Complete", False, b"")


async def test_an_oversized_message_is_refused(client: Client) -> None:
    """Beyond max_message_bytes the wire itself refuses: RESOURCE_EXHAUSTED with both sizes."""
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max", "8388608"):
        await client.complete("x" * (9 << 20))

    assert (await client.complete(PROMPT)).answer.text


async def test_an_oversized_prompt_is_refused(client: Client) -> None:
    """Beyond max_prompt_bytes: INVALID_ARGUMENT, the sizes, and the setting to raise."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "4194304", "limits.max_prompt_bytes"):
        await client.complete("x" * (5 << 20))


def with_role(role: int) -> Change:
    return lambda r: setattr(r.messages[0], "role", role)


def with_text(text: str) -> Change:
    return lambda r: setattr(r.messages[0].parts[0], "text", text)


def with_sampling(**fields: object) -> Change:
    return lambda r: r.sampling.MergeFrom(chat_pb2.Sampling(**fields))  # type: ignore[arg-type]


def with_part(part: chat_pb2.Part) -> Change:
    return lambda r: r.messages[0].parts.append(part)


def with_extra(value: str) -> Change:
    return lambda r: r.extra_json.update({"x": value})


NAN, INF = float("nan"), float("inf")
DEEP = '{"a":' * 129 + "1" + "}" * 129
BAD: dict[str, tuple[Change, str]] = {
    "no messages": (lambda r: r.ClearField("messages"), "messages is empty"),
    "role unspecified": (with_role(0), "messages[0].role is 0, which is none of ROLE_SYSTEM"),
    "role unknown": (with_role(77), "messages[0].role is 77"),
    "NUL in text": (with_text("a\0b"), "messages[0].parts[0].text holds a NUL character at 1"),
    "NUL in a name": (lambda r: setattr(r.messages[0], "name", "\0"), "messages[0].name"),
    "empty part": (with_part(chat_pb2.Part()), "messages[0].parts[1] is empty"),
    "media without type": (
        with_part(chat_pb2.Part(media=chat_pb2.Media(data=b"x"))),
        "media_type is ''",
    ),
    "media without source": (
        with_part(chat_pb2.Part(media=chat_pb2.Media(media_type="image/png"))),
        "has no source",
    ),
    "temperature NaN": (with_sampling(temperature=NAN), "sampling.temperature is a number"),
    "temperature negative": (with_sampling(temperature=-0.1), "in [0, 2], got -0.1"),
    "temperature infinite": (with_sampling(temperature=INF), "got inf"),
    "top_p above 1": (with_sampling(top_p=1.1), "sampling.top_p"),
    "top_p NaN": (with_sampling(top_p=NAN), "sampling.top_p"),
    "max_tokens 0": (with_sampling(max_tokens=0), "sampling.max_tokens"),
    "n 0": (with_sampling(n=0), "sampling.n"),
    "n huge": (with_sampling(n=10_000), "sampling.n"),
    "penalty": (with_sampling(presence_penalty=3.0), "sampling.presence_penalty"),
    "penalty NaN": (with_sampling(frequency_penalty=NAN), "sampling.frequency_penalty"),
    "logit bias NaN": (with_sampling(logit_bias={"1": NAN}), "sampling.logit_bias"),
    "logit bias huge": (with_sampling(logit_bias={"1": 101.0}), "sampling.logit_bias"),
    "quality target 0": (
        lambda r: setattr(r.wishes, "quality_target", 0.0),
        "wishes.quality_target is a share in (0, 1], got 0",
    ),
    "quality target NaN": (
        lambda r: setattr(r.wishes, "quality_target", NAN),
        "wishes.quality_target",
    ),
    "max age negative": (lambda r: setattr(r.cache_control, "max_age_s", -1.0), "max_age_s"),
    "max age NaN": (lambda r: setattr(r.cache_control, "max_age_s", NAN), "max_age_s"),
    "max age infinite": (lambda r: setattr(r.cache_control, "max_age_s", INF), "max_age_s"),
    "cost negative": (
        lambda r: setattr(r.wishes, "max_cost_usd_nanos", -1),
        "wishes.max_cost_usd_nanos is a number of nano-dollars",
    ),
    "baseline unknown": (
        lambda r: setattr(r.wishes, "baseline_model", "gpt-9"),
        "wishes.baseline_model 'gpt-9' is not configured; there are: small,",
    ),
    "format unknown": (
        lambda r: setattr(r.response_format, "kind", 9),
        "response_format.kind is 9",
    ),
    "schema missing": (
        lambda r: setattr(r.response_format, "kind", chat_pb2.ResponseFormat.KIND_JSON_SCHEMA),
        "KIND_JSON_SCHEMA needs it",
    ),
    "tool without name": (lambda r: r.tools.append(chat_pb2.Tool()), "tools[0].name is empty"),
    "tool parameters": (
        lambda r: r.tools.append(chat_pb2.Tool(name="f", parameters_json="{")),
        "tools[0].parameters_json is not JSON",
    ),
    "tool choice": (lambda r: setattr(r, "tool_choice_json", "auto"), "tool_choice_json is not"),
    "further fields that are no object": (
        lambda r: setattr(r.messages[0].parts[0], "extra_json", "[1]"),
        "messages[0].parts[0].extra_json is '[1]', expected a JSON object",
    ),
    "extra empty": (with_extra(""), "extra_json['x'] is empty, expected JSON"),
    "extra broken": (with_extra("{'a': 1}"), "extra_json['x'] is not JSON"),
    "extra with NUL": (
        lambda r: r.extra_json.update({"{x}": "a\0"}),
        "extra_json['{x}'] holds a NUL character at 1",
    ),
    "tool call with NUL": (
        lambda r: r.messages[0].tool_calls.add(id="a\0"),
        "messages[0].tool_calls holds a NUL character at 1",
    ),
    "extra NaN": (with_extra("NaN"), "extra_json['x'] is not JSON"),
    "extra infinite": (with_extra('{"a": [-Infinity]}'), "extra_json['x'] is not JSON"),
    "extra bottomless": (with_extra("[" * 100_000), "extra_json['x'] is nested deeper than 128"),
    "too many parts": (
        lambda r: r.messages[0].parts.extend([chat_pb2.Part()] * 10_001),
        "the messages hold more than 10000 parts and tool calls",
    ),
    "extra deep": (with_extra("[" * 900 + "]" * 900), "extra_json['x'] is nested deeper than 128"),
    "tool parameters deep": (
        lambda r: r.tools.append(chat_pb2.Tool(name="f", parameters_json=DEEP)),
        "tools[0].parameters_json is nested deeper than 128 levels",
    ),
    "tool choice deep": (
        lambda r: setattr(r, "tool_choice_json", DEEP),
        "tool_choice_json is nested deeper than 128 levels",
    ),
    "namespace with a line end": (
        lambda r: setattr(r, "namespace", "a\nb"),
        "namespace holds control characters",
    ),
    "namespace long": (lambda r: setattr(r, "namespace", "x" * 257), "at most 256 characters"),
    "user long": (lambda r: setattr(r.attribution, "user", "x" * 257), "attribution.user"),
    "request id with NUL": (lambda r: setattr(r, "request_id", "a\0"), "request_id holds control"),
    "tag with NUL": (lambda r: r.tags.append("\0"), "tags[0] holds control"),
    "too many tags": (lambda r: r.tags.extend(["t"] * 33), "tags holds 33 items, at most 32"),
    "too many messages": (
        lambda r: r.messages.extend([text_message("x")] * 1_000),
        "messages holds 1001 items, at most 1000",
    ),
    "too many tools": (
        lambda r: r.tools.extend([chat_pb2.Tool(name="f")] * 129),
        "tools holds 129 items, at most 128",
    ),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD.keys())
async def test_a_bad_request_is_refused_with_the_reason(
    service: Service, client: Client, change: Change, words: str
) -> None:
    """INVALID_ARGUMENT at every door, the field and what was seen; nobody is called."""
    request = client.request(PROMPT)
    change(request)
    n_before = len(service.puppet.calls)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, words):
        await client.complete(request)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, words):
        await client.look_up(request)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, words):
        async for _ in client.stream(request):
            pass

    assert len(service.puppet.calls) == n_before


@pytest.mark.parametrize("text", ["", "   ", "\n"])
async def test_an_empty_prompt_is_nobodys_near_duplicate(client: Client, text: str) -> None:
    """It is a request like any other, with exact hits only."""
    done = await client.complete(text)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_CONTENT_FREE


async def test_a_message_without_parts_is_taken(client: Client) -> None:
    """A model decides what an empty message means."""
    done = await client.complete(client.request([chat_pb2.Message(role=chat_pb2.ROLE_USER)]))

    assert done.answer.text


async def test_a_prompt_of_1_mb_is_answered(service: Service, client: Client) -> None:
    """Soon, found again for its user, and never served to one that differs in the middle."""
    words = "The committee met again and talked about the budget. "
    prompt = words * (1_048_576 // len(words))
    service.puppet.says(prompt, "A long story.")
    began = time.perf_counter()

    done = await client.complete(prompt, user="ann")
    again = await client.complete(prompt, user="ann")
    other = await client.complete(f"{prompt[:500_000]} not {prompt[500_000:]}", user="ann")

    assert done.report.cache.outcome == MISS
    assert again.report.cache.outcome == EXACT
    assert other.report.cache.outcome == MISS
    assert time.perf_counter() - began < 10  # generous: the machine is shared


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 1_048_576, id="one word"),
        pytest.param("\u200b" * 300_000, id="invisible"),
        pytest.param("🦀" * 200_000, id="emoji"),
        pytest.param("1 2 3 4 5 " * 100_000, id="numbers"),
        pytest.param('"' * 500_000, id="quotes"),
        pytest.param("http://a.b/" * 90_000, id="URLs"),
        pytest.param("a@b.c " * 170_000, id="addresses"),
        pytest.param("((" * 500_000, id="brackets"),
        pytest.param("not " * 250_000, id="negations"),
    ],
)
async def test_no_text_takes_for_ever(client: Client, text: str) -> None:
    """Whatever a megabyte holds, reading it is linear: rules and guards answer in seconds."""
    began = time.perf_counter()

    for prompt in (text, text + " x"):
        await client.complete(client.request(prompt, user="ann"))

    assert time.perf_counter() - began < 15  # generous: quadratic would be minutes


async def test_a_pinned_model_must_be_configured(client: Client) -> None:
    """FAILED_PRECONDITION, and the sentence lists what there is."""
    request = client.request(PROMPT)
    request.wishes.pinned_model = "gpt-99"

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "'gpt-99' is not configured", "small, large"):
        await client.complete(request)


async def test_what_no_model_can_do_is_refused(client: Client) -> None:
    """An image for a model that cannot see: FAILED_PRECONDITION, with each model's reason."""
    request = client.request(PROMPT)
    image = chat_pb2.Media(media_type="image/png", uri="https://example.org/a.png")
    request.messages[0].parts.append(chat_pb2.Part(media=image))
    request.wishes.pinned_model = "unpriced"

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "unpriced: "):
        await client.complete(request)


@pytest.mark.parametrize("caller", ["x" * 300])
async def test_a_caller_is_a_name(service: Service, caller: str) -> None:
    """What stands in scrimp-caller is bounded as every name is."""
    async with service.client("acme", caller) as client:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "scrimp-caller", "256"):
            await client.complete(PROMPT)


async def test_a_closed_set_of_namespaces_is_closed(tmp_path: Path) -> None:
    """NOT_FOUND for every other one at every door, with whom to ask; nothing is called or set."""
    closed = "[namespaces]\nclosed = true\n[namespaces.acme]\n"
    async with serving(tmp_path / "data", more=closed) as service:
        async with service.client("acme") as known:
            assert (await known.complete(PROMPT)).answer.text
        async with service.client("acne") as client:
            with refused(grpc.StatusCode.NOT_FOUND, "'acne'", "ask its operator"):
                await client.complete(PROMPT)
            with refused(grpc.StatusCode.NOT_FOUND, "'acne'"):
                await client.look_up(PROMPT)
            with refused(grpc.StatusCode.NOT_FOUND, "'acne'"):
                await client.set_mode(admin_pb2.MODE_OFF)
            with refused(grpc.StatusCode.NOT_FOUND, "'acne'"):
                await client.admin.GetMode(admin_pb2.GetModeRequest(namespace="acne"))
        async with service.client() as client:
            with refused(grpc.StatusCode.NOT_FOUND, "'default'"):
                await client.complete(PROMPT)

        assert len(service.puppet.calls) == 1


async def test_a_deadline_shorter_than_the_work_is_told(
    service: Service, client: Client, namespace: str
) -> None:
    """DEADLINE_EXCEEDED; the upstream call ends, its line is written, the service goes on."""
    prompt = "What takes longer than the caller has?"
    service.puppet.hold(prompt)

    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        await client.gateway.Complete(
            gateway_pb2.CompleteRequest(request=client.request(prompt)), timeout=0.3
        )
    await eventually(lambda: prompt in service.puppet.cancelled)

    sums = await totals(client, namespace)
    assert (sums.n_requests, sums.n_usage_unknown) == (1, 1)
    assert (await client.complete(PROMPT)).answer.text


async def test_a_stream_keeps_its_deadline(
    service: Service, client: Client, namespace: str
) -> None:
    """A stream whose caller's time is up ends, with its line written."""
    prompt = "What streams longer than the caller has?"
    service.puppet.hold(prompt, after_pieces=1)
    call = client.gateway.StreamComplete(
        gateway_pb2.StreamCompleteRequest(request=client.request(prompt)), timeout=0.3
    )

    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        async for _ in call:
            pass
    await eventually(lambda: prompt in service.puppet.cancelled)

    assert (await totals(client, namespace)).n_usage_unknown == 1


async def test_calls_without_a_deadline_get_one(tmp_path: Path) -> None:
    """default_deadline_s holds for callers that bring none, unary and streamed."""
    overrides = {"limits.default_deadline_s": 0.3}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        service.puppet.hold(PROMPT)
        request = client.request(PROMPT)

        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline"):
            await client.gateway.Complete(gateway_pb2.CompleteRequest(request=request))
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline"):
            async with asyncio.timeout(5):
                stream = client.gateway.StreamComplete(
                    gateway_pb2.StreamCompleteRequest(request=request)
                )
                async for _ in stream:
                    pass


async def test_a_watch_has_no_deadline_of_ours(tmp_path: Path) -> None:
    """Who watches savings stays as long as it likes."""
    overrides = {"limits.default_deadline_s": 0.3}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        watch = client.savings.WatchSavings(savings_pb2.WatchSavingsRequest(interval_s=1))

        reports = [await watch.read() for _ in range(2)]
        watch.cancel()

    assert all(isinstance(one, savings_pb2.WatchSavingsResponse) for one in reports)


@pytest.mark.parametrize("door", ["unary", "stream"])
async def test_a_cancelled_call_ends_its_upstream_call(
    service: Service, client: Client, namespace: str, door: str
) -> None:
    """The caller leaves: nothing goes on for it, and the line says that its usage is unknown."""
    prompt = f"Who leaves in the middle of a {door} call?"
    gate = service.puppet.hold(prompt)
    request = client.request(prompt)
    request.cache_control.bypass = True  # not shared with anybody
    call: grpc.aio.Call
    if door == "unary":
        call = client.gateway.Complete(gateway_pb2.CompleteRequest(request=request))
    else:
        call = client.gateway.StreamComplete(gateway_pb2.StreamCompleteRequest(request=request))
    await gate.reached.wait()

    call.cancel()
    await eventually(lambda: prompt in service.puppet.cancelled)

    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"failed": 1}
    assert sums.n_usage_unknown == 1
    await eventually(lambda: service.running._edge.n_running == 0)


async def code_of(call: grpc.aio.Call) -> grpc.StatusCode:
    """Wait for the end of a call, however it ends."""
    return await call.code()


async def test_a_cancelled_store_is_whole_or_nothing(client: Client, namespace: str) -> None:
    """A store whose caller leaves is finished or not begun; its ticket is never half spent."""
    codes = set()
    for n in range(20):
        found = await client.look_up(f"What is in room number {n}?")
        store = advisor_pb2.StoreRequest(
            ticket=found.advice.ticket.token,
            namespace=namespace,
            answer=chat_pb2.Answer(text=f"Answer {n}."),
            usage=chat_pb2.Usage(input_tokens=10, output_tokens=10),
            model="small",
        )
        call = client.advisor.Store(store)
        await asyncio.sleep(0.0005 * n)
        call.cancel()
        codes.add(await code_of(client.advisor.Store(store)))
        hit = await client.look_up(f"What is in room number {n}?")
        assert hit.hit.answer.text == f"Answer {n}."

    # The first either went through, so that the ticket is spent, or never was.
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION}
    sums = await totals(client, namespace)
    assert sums.n_open == 0
    assert (sums.n_by_outcome["miss"], sums.n_by_outcome["exact"]) == (20, 20)


async def test_too_many_in_flight_are_refused(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED at once, with the limit; whoever comes after is served again."""
    overrides = {"limits.max_in_flight": 2}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        gate = service.puppet.hold(PROMPT)
        running = [asyncio.create_task(client.complete(PROMPT)) for _ in range(2)]
        await gate.reached.wait()
        await eventually(lambda: service.running._edge.n_running == 2)

        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "2 requests are in flight", "try again"):
            await client.complete(PROMPT)

        gate.open()
        await asyncio.gather(*running)
        assert (await client.complete(PROMPT)).report.cache.outcome == EXACT


@pytest.mark.parametrize(
    "message",
    [
        admin_pb2.InvalidateRequest(namespace="x" * 257),
        admin_pb2.InvalidateRequest(tag="a\0b"),
        admin_pb2.InvalidateRequest(user="a\nb"),
    ],
)
async def test_names_are_names_everywhere(client: Client, message: Message) -> None:
    """The operator's requests are held to the same bounds."""
    assert isinstance(message, admin_pb2.InvalidateRequest)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await client.admin.Invalidate(message)
