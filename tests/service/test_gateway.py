"""The gateway's door: what a caller gets, whole and piece by piece."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from service.harness import (
    EXACT,
    LARGE_NANOS,
    MISS,
    NEAR,
    SMALL_NANOS,
    USAGE,
    WIRE_USAGE,
    Service,
    completion,
    refused,
    serving,
    streamed,
    totals,
)

from router.errors import ProviderRejected, ProviderUnavailable
from router.types import Completion, ToolCall
from scrimp.client import Client
from scrimp.v1 import chat_pb2, gateway_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def test_a_new_question_is_answered_by_a_model(service: Service, client: Client) -> None:
    """Nothing stored: one upstream call, and the response says why and by whom."""
    service.puppet.says(PROMPT, "By rising magma.")
    before = len(service.puppet.calls)

    done = await client.complete(PROMPT)

    assert done.answer == chat_pb2.Answer(text="By rising magma.", finish_reason="stop")
    assert done.report.cache.outcome == MISS
    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_NOTHING_SIMILAR
    assert done.report.cache.entry_id
    assert (done.report.model, done.report.provider_model) == ("small", "puppet-small-2026")
    assert done.report.usage == WIRE_USAGE
    assert len(service.puppet.calls) == before + 1


async def test_a_routing_decision_explains_every_model(client: Client) -> None:
    """Each configured model is a candidate; whoever was not taken carries the reason."""
    done = await client.complete(PROMPT)

    routing = done.report.routing
    assert routing.chain[0] == "small"
    assert routing.reason
    assert routing.scorer
    assert routing.quality_target == 1
    by_name = {candidate.model: candidate for candidate in routing.candidates}
    assert set(by_name) == {"small", "large", "weak", "unpriced"}
    assert not by_name["small"].rejection
    assert "P(adequate)" in by_name["weak"].rejection
    assert by_name["small"].expected_cost_usd_nanos < by_name["large"].expected_cost_usd_nanos
    assert not by_name["unpriced"].HasField("expected_cost_usd_nanos")


async def test_a_decision_says_whose_circuit_was_open(tmp_path: Path) -> None:
    """A key out of credit is found out once; the next request is told why its model was not it."""
    no_credit = ProviderUnavailable("pay first", kind="http_402", is_account_fault=True)
    async with serving(tmp_path / "data") as service, service.client() as client:
        service.puppet.says("Who built the first bridge?", no_credit, "Someone.")
        await client.complete("Who built the first bridge?")

        done = await client.complete("Which river is the longest?")

    assert done.report.model == "large"
    by_name = {one.model: one.rejection for one in done.report.routing.candidates}
    assert by_name["small"].startswith("circuit open until")
    assert "pay first" not in by_name["small"]  # another caller's error may quote its prompt


async def test_load_that_no_provider_has_a_place_for_is_shed(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED, and the time after which gRPC's own retries come back."""
    places = {"providers.puppet.max_connections": 1, "providers.puppet.max_waiting": 0}
    async with (
        serving(tmp_path / "data", overrides=places) as service,
        service.client("crowded") as client,
    ):
        gate = service.puppet.hold("Who built the first bridge?")
        first = asyncio.create_task(client.complete("Who built the first bridge?"))
        await asyncio.wait_for(gate.reached.wait(), 5)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.complete("Which river is the longest?")
        gate.open()
        await first

        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("grpc-retry-pushback-ms", "1000") in tuple(caught.value.trailing_metadata())
        sums = await totals(client, "crowded")
    assert dict(sums.n_by_outcome) == {"miss": 1, "failed": 1}
    assert sums.n_attempts == 1


async def test_the_same_question_is_answered_from_the_cache(
    service: Service, client: Client
) -> None:
    """An exact repeat gets the stored answer of the entry that the miss named; nobody is called."""
    first = await client.complete(PROMPT)
    before = len(service.puppet.calls)

    again = await client.complete(PROMPT)

    assert again.answer == first.answer
    assert again.report.cache.outcome == EXACT
    assert again.report.cache.entry_id == first.report.cache.entry_id
    assert again.report.cache.similarity == 1
    assert again.report.cache.p_right == 1
    assert again.report.cache.age_s == 0
    assert (again.report.model, again.report.provider_model) == ("small", "puppet-small-2026")
    assert not again.report.HasField("routing")
    assert again.report.response_id != first.report.response_id
    assert len(service.puppet.calls) == before


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("  Where is the old cafe\u0301 in Oslo? \n", id="white space and NFD"),
        pytest.param("Where is\tthe  old\ncafé in Oslo?", id="inner white space"),
        pytest.param("Where is the old\u00a0café in Oslo?", id="no-break space"),
    ],
)
async def test_what_never_changes_a_meaning_is_no_difference(client: Client, variant: str) -> None:
    """Texts that are equal after NFC, trimming and collapsing white space are exact repeats."""
    await client.complete("Where is the old café in Oslo?")

    done = await client.complete(variant)

    assert done.report.cache.outcome == EXACT


async def test_another_wording_is_a_near_duplicate(service: Service, client: Client) -> None:
    """A paraphrase is served with its similarity, its probability and the age of the answer."""
    first = await client.complete("How do I bake sourdough bread at home?")
    service.clock.advance(7)

    near = await client.complete("how do i bake sourdough bread at home")

    assert near.answer == first.answer
    assert near.report.cache.outcome == NEAR
    assert near.report.cache.entry_id == first.report.cache.entry_id
    assert 0.85 <= near.report.cache.similarity < 1
    assert 0 < near.report.cache.p_right < 1
    assert near.report.cache.age_s == pytest.approx(7)
    assert not near.report.HasField("routing")


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        pytest.param(
            "What is 15 percent of 200 dollars?", "What is 25 percent of 200 dollars?", id="number"
        ),
        pytest.param(
            "Which mushrooms can be eaten raw?",
            "Which mushrooms can not be eaten raw?",
            id="negation",
        ),
        pytest.param(
            "What is the capital city of France?",
            "What is the capital city of Germany?",
            id="name",
        ),
    ],
)
async def test_a_hard_near_miss_is_a_miss(client: Client, stored: str, asked: str) -> None:
    """Another number, another name, a negation: alike, and never served."""
    await client.complete(stored)

    done = await client.complete(asked)

    assert done.report.cache.outcome == MISS
    assert done.answer.text == f"An answer to: {asked}"


async def test_a_long_prompt_is_no_near_duplicate_by_its_visible_part(client: Client) -> None:
    """What lies outside the encoder's window must be identical; else a miss that says so."""
    filler = " ".join(f"The {n}th reader agreed with the committee." for n in range(400))
    middle = len(filler) // 2

    await client.complete(f"Summarize: {filler[:middle]} cats {filler[middle:]}")
    done = await client.complete(f"Summarize: {filler[:middle]} dogs {filler[middle:]}")

    assert done.report.cache.outcome == MISS
    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_BEYOND_WINDOW


async def test_cost_and_saved_make_the_baseline_to_the_nano(client: Client) -> None:
    """A routed miss saves the difference of two models, a hit the whole baseline."""
    miss = await client.complete(PROMPT)
    hit = await client.complete(PROMPT)

    assert miss.report.cost == chat_pb2.Cost(
        cost_usd_nanos=SMALL_NANOS,
        baseline_usd_nanos=LARGE_NANOS,
        saved_usd_nanos=LARGE_NANOS - SMALL_NANOS,
        baseline_model="large",
    )
    assert hit.report.cost == chat_pb2.Cost(
        cost_usd_nanos=0,
        baseline_usd_nanos=LARGE_NANOS,
        saved_usd_nanos=LARGE_NANOS,
        baseline_model="large",
    )


async def test_a_hit_carries_the_usage_of_the_call_that_made_it(
    service: Service, client: Client
) -> None:
    """Cached input tokens included, also when the entry is read back."""
    usage = chat_pb2.Usage(
        input_tokens=900, output_tokens=30, cache_read_tokens=500, cache_write_tokens=200
    )
    answer = completion("By rising magma.")
    told = type(USAGE)(
        input_tokens=900, output_tokens=30, cache_read_tokens=500, cache_write_tokens=200
    )
    service.puppet.says(
        "Why is lava red?", Completion(answer=answer.answer, usage=told, provider_model="p")
    )
    await client.complete("Why is lava red?")

    hit = await client.complete("Why is lava red?")

    assert hit.report.usage == usage


async def test_stages_are_timed_where_they_are_passed(client: Client) -> None:
    """A miss passes every stage; an exact hit only the first."""
    miss = await client.complete(PROMPT)
    hit = await client.complete(PROMPT)

    passed = {field.name for field, _ in miss.report.stages.ListFields()}
    assert passed == {"exact_ms", "near_ms", "route_ms", "upstream_ms", "store_ms", "total_ms"}
    assert {field.name for field, _ in hit.report.stages.ListFields()} == {"exact_ms", "total_ms"}
    assert miss.report.stages.total_ms >= miss.report.stages.near_ms > 0


async def test_a_streamed_answer_is_the_same_answer(service: Service, client: Client) -> None:
    """The pieces make the whole, which comes again at the end with the same kind of report."""
    text = "By rising  magma,\nthat cools. "
    service.puppet.says(PROMPT, text)

    pieces, done = await streamed(client, PROMPT)

    assert "".join(pieces) == done.answer.text == text
    assert len(pieces) > 1
    assert done.report.cache.outcome == MISS
    assert done.report.cost.cost_usd_nanos == SMALL_NANOS
    assert done.report.usage == WIRE_USAGE


async def test_a_stored_answer_is_replayed_in_chunks(service: Service, client: Client) -> None:
    """A streamed hit comes in pieces that make the very same text, white space and all."""
    text = "  First:\n\n" + "\n".join(f"- step number {n} of  many" for n in range(20)) + "\n"
    service.puppet.says(PROMPT, text)
    await client.complete(PROMPT)

    pieces, done = await streamed(client, PROMPT)

    assert done.report.cache.outcome == EXACT
    assert len(pieces) > 5
    assert "".join(pieces) == done.answer.text == text


async def test_an_answer_that_was_streamed_is_stored(client: Client) -> None:
    """Streaming changes nothing about reuse: the stream's answer serves a unary call."""
    _, first = await streamed(client, PROMPT)

    hit = await client.complete(PROMPT)

    assert hit.report.cache.outcome == EXACT
    assert hit.answer == first.answer


async def test_a_tool_result_goes_to_the_model_that_called_it(
    service: Service, client: Client
) -> None:
    """No change of model inside a tool loop, though a cheaper one would do."""
    call = ToolCall(id="call_loop", name="f", arguments_json="{}")
    service.puppet.says(PROMPT, completion("", finish_reason="tool_calls", tool_calls=(call,)))
    wire = chat_pb2.ToolCall(id="call_loop", name="f", arguments_json="{}")
    tools = [chat_pb2.Tool(name="f", parameters_json="{}")]
    first = chat_pb2.ChatRequest(
        messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=PROMPT)])],
        tools=tools,
        wishes=chat_pb2.Wishes(pinned_model="large"),
    )
    await client.complete(first)

    second = chat_pb2.ChatRequest(
        messages=[
            *first.messages,
            chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[wire]),
            chat_pb2.Message(
                role=chat_pb2.ROLE_TOOL, tool_call_id="call_loop", parts=[chat_pb2.Part(text="42")]
            ),
        ],
        tools=tools,
    )
    answered = await client.complete(second)

    assert answered.report.routing.chain[0] == "large"
    assert service.puppet.models("42") == ["puppet-large"]


async def test_a_request_may_name_its_own_baseline(client: Client) -> None:
    """Then its savings are measured against what the app would have called."""
    wish = chat_pb2.Wishes(baseline_model="small")

    done = await client.complete(
        chat_pb2.ChatRequest(messages=asked("Which lake is the deepest?"), wishes=wish)
    )

    cost = done.report.cost
    assert (cost.baseline_model, cost.baseline_usd_nanos) == ("small", SMALL_NANOS)
    assert (cost.cost_usd_nanos, cost.saved_usd_nanos) == (SMALL_NANOS, 0)


async def test_a_request_may_say_what_it_costs_at_most(client: Client) -> None:
    """A model that is expected to cost more is passed over, and where none is left, it is told."""
    for most, model in ((1_000_000, "small"), (1, "")):
        wish = chat_pb2.Wishes(max_cost_usd_nanos=most, allowed_models=["small", "large"])
        request = chat_pb2.ChatRequest(messages=asked("Which sea is the saltiest?"), wishes=wish)
        if model:
            assert (await client.complete(request)).report.model == model
        else:
            request.cache_control.bypass = True
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "no configured model fits"):
                await client.complete(request)


def asked(text: str) -> list[chat_pb2.Message]:
    return [chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=text)])]


async def test_tool_calls_come_whole(service: Service, client: Client) -> None:
    """In a stream a tool call is one piece of its own, and stands in the whole answer again."""
    call = ToolCall(id="c1", name="search", arguments_json='{"q": "lava"}')
    service.puppet.says(PROMPT, completion("Wait", finish_reason="tool_calls", tool_calls=(call,)))

    events = [event async for event in client.stream(PROMPT)]

    wire = chat_pb2.ToolCall(id="c1", name="search", arguments_json='{"q": "lava"}')
    assert [list(event.delta.tool_calls) for event in events[:-1]] == [[], [wire]]
    assert list(events[-1].done.answer.tool_calls) == [wire]


async def test_further_fields_go_both_ways(service: Service, client: Client) -> None:
    """Of messages, parts, tools and calls to the provider; of answers and calls back."""
    own = '{"anthropic": {"content": [{"type": "text", "text": "I look."}]}}'
    call = ToolCall(id="c1", name="f", arguments_json="{}", extra_json='{"signature": "s"}')
    says = completion("I look.", finish_reason="tool_calls", tool_calls=(call,), extra_json=own)
    service.puppet.says(PROMPT, says)
    request = client.request(PROMPT)
    (asked,) = request.messages
    asked.extra_json, asked.parts[0].extra_json = '{"a": 1}', '{"b": 2}'
    request.tools.add(name="f", extra_json='{"c": 3}')

    done = await client.complete(request)
    request.messages.add(role=chat_pb2.ROLE_ASSISTANT, tool_calls=done.answer.tool_calls)
    request.messages.add(role=chat_pb2.ROLE_TOOL, tool_call_id="c1")
    await client.complete(request)

    assert (done.answer.extra_json, done.answer.tool_calls[0].extra_json) == (own, call.extra_json)
    sent = service.puppet.calls[-1].request
    assert sent.messages[-3].extra_json == '{"a": 1}'
    assert sent.messages[-3].parts[0].extra_json == '{"b": 2}'
    assert sent.messages[-2].tool_calls == (call,)
    assert sent.tools[0].extra_json == '{"c": 3}'


async def test_all_of_an_answer_is_replayed(service: Service, client: Client) -> None:
    """Further choices and log probabilities are part of what is stored."""
    service.puppet.says(
        PROMPT,
        completion("One.", extra_choices_json='[{"index": 1}]', logprobs_json='{"content": []}'),
    )
    first = await client.complete(PROMPT)

    hit = await client.complete(PROMPT)

    assert hit.report.cache.outcome == EXACT
    assert hit.answer == first.answer
    assert hit.answer.extra_choices_json == '[{"index": 1}]'
    assert hit.answer.logprobs_json == '{"content": []}'


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(completion("Well, it", finish_reason="length"), id="truncated"),
        pytest.param(
            completion(
                "",
                finish_reason="tool_calls",
                tool_calls=(ToolCall(id="1", name="f", arguments_json="{}"),),
            ),
            id="tool call",
        ),
        pytest.param(completion("I'm sorry, but I can't help with that."), id="refusal in words"),
        pytest.param(completion("", refusal="I can't help with that."), id="marked refusal"),
        pytest.param(completion("Filtered", finish_reason="content_filter"), id="filtered"),
        pytest.param(completion("  "), id="empty"),
        pytest.param(completion("Well", finish_reason=""), id="unfinished"),
    ],
)
async def test_what_is_no_whole_answer_is_delivered_and_not_kept(
    service: Service, client: Client, answer: Completion
) -> None:
    """Refusals, errors, truncated and tool-call answers go out once and are never replayed."""
    service.puppet.says(PROMPT, answer, "A whole answer.")

    first = await client.complete(PROMPT)
    second = await client.complete(PROMPT)

    assert first.answer.text == answer.answer.text
    assert not first.report.cache.entry_id
    assert second.report.cache.outcome == MISS
    assert second.answer.text == "A whole answer."


async def test_a_pinned_model_answers(service: Service, client: Client) -> None:
    """Whoever names a model gets it, and nothing is saved by routing."""
    request = client.request(PROMPT)
    request.wishes.pinned_model = "large"

    done = await client.complete(request)

    assert done.report.model == "large"
    assert list(done.report.routing.chain) == ["large"]
    assert done.report.cost.saved_usd_nanos == 0


async def test_only_allowed_models_answer(client: Client) -> None:
    """The cheapest adequate one of those that the request allows."""
    request = client.request(PROMPT)
    request.wishes.allowed_models[:] = ["large", "weak"]

    done = await client.complete(request)

    assert done.report.model == "large"


async def test_the_next_model_answers_where_one_fails(service: Service, client: Client) -> None:
    """A failed call is accounted with the request that it failed for; the answer still comes."""
    down = ProviderUnavailable("upstream is down", kind="http_503")
    service.puppet.says(PROMPT, down, down, "From the next.")

    done = await client.complete(PROMPT)

    assert done.answer.text == "From the next."
    assert service.puppet.models(PROMPT)[-3:] == ["puppet-small", "puppet-small", "puppet-large"]
    assert done.report.model == "large"
    assert done.report.cost.cost_usd_nanos == LARGE_NANOS


async def test_when_nobody_answers_every_attempt_is_told(
    service: Service, client: Client, namespace: str
) -> None:
    """UNAVAILABLE with each model's own failure; the ledger has a failed line that cost nothing."""
    prompt = "Why does nobody answer this question?"
    service.puppet.says(prompt, ProviderUnavailable("upstream is down", kind="http_503"))

    with refused(grpc.StatusCode.UNAVAILABLE, "small: upstream is down", "large: upstream is down"):
        await client.complete(prompt)

    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"failed": 1}
    assert sums.n_failed_attempts == len(service.puppet.models(prompt))
    assert (sums.cost_usd_nanos, sums.saved_usd_nanos) == (0, 0)


async def test_a_failed_stream_ends_without_done(service: Service, client: Client) -> None:
    """Its status says what happened, as for a unary call."""
    prompt = "Why does no stream answer this question?"
    service.puppet.says(prompt, ProviderUnavailable("upstream is down", kind="http_503"))

    with refused(grpc.StatusCode.UNAVAILABLE, "upstream is down"):
        async for event in client.stream(prompt):
            assert event.WhichOneof("event") == "delta"


async def test_a_rejected_request_is_not_sent_to_another_model(
    service: Service, client: Client
) -> None:
    """What one provider refuses would be refused again: one call, FAILED_PRECONDITION."""
    prompt = "Is this against the policy of the provider?"
    service.puppet.says(prompt, ProviderRejected("against our policy", kind="policy"))

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "against our policy"):
        await client.complete(prompt)

    assert service.puppet.models(prompt) == ["puppet-small"]


async def test_a_paid_failure_is_waste(service: Service, client: Client, namespace: str) -> None:
    """A call that may have been billed makes the request's cost unknown, never 0."""
    prompt = "What does a broken answer cost?"
    service.puppet.says(
        prompt, ProviderUnavailable("broke off", kind="broken", is_billable=True), "All well."
    )

    done = await client.complete(prompt)

    assert not done.report.cost.HasField("cost_usd_nanos")
    assert not done.report.cost.HasField("saved_usd_nanos")
    assert done.report.cost.baseline_usd_nanos == LARGE_NANOS
    sums = await totals(client, namespace)
    assert (sums.n_usage_unknown, sums.n_priced) == (1, 0)
    assert sums.unpriced_cost_usd_nanos == SMALL_NANOS


async def test_an_answer_of_unknown_usage_has_no_cost(service: Service, client: Client) -> None:
    """What the provider did not count is absent, not 0."""
    whole = completion("Just so.")
    service.puppet.says(PROMPT, Completion(answer=whole.answer, usage=None, provider_model="p"))

    done = await client.complete(PROMPT)

    assert not done.report.HasField("usage")
    assert done.report.cost == chat_pb2.Cost(baseline_model="large")


async def test_a_request_says_nothing_of_its_caller_to_the_provider(
    service: Service, client: Client
) -> None:
    """Unary and streamed calls reach the provider as they were sent, by its own model name."""
    request = client.request(PROMPT, system="Be brief.", user="ann", tags=["t"])
    request.sampling.temperature = 0.3

    await client.gateway.Complete(gateway_pb2.CompleteRequest(request=request))

    call = service.puppet.calls[-1]
    assert call.model == "puppet-small"
    assert [message.own_text for message in call.request.messages] == ["Be brief.", PROMPT]
    assert call.request.sampling.temperature == 0.3
