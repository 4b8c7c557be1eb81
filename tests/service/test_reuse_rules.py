"""Which stored answers may serve which requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from service.harness import BYPASS, EXACT, MISS, NEAR, Service, report, totals

from scrimp.client import Client, text_message
from scrimp.v1 import chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
Change = Callable[[chat_pb2.ChatRequest], object]


def put_first(request: chat_pb2.ChatRequest, message: chat_pb2.Message) -> None:
    messages = [message, *request.messages]
    del request.messages[:]
    request.messages.extend(messages)


def with_earlier_turns(request: chat_pb2.ChatRequest) -> None:
    put_first(request, text_message("Hello!", chat_pb2.ROLE_ASSISTANT))
    put_first(request, text_message("Hi."))


def with_image(request: chat_pb2.ChatRequest) -> None:
    media = chat_pb2.Media(media_type="image/png", data=b"\x89PNG")
    request.messages[-1].parts.append(chat_pb2.Part(media=media))


REACHES_THE_PROVIDER: dict[str, Change] = {
    "system prompt": lambda r: put_first(r, text_message("Be brief.", chat_pb2.ROLE_SYSTEM)),
    "developer prompt": lambda r: put_first(r, text_message("Be brief.", chat_pb2.ROLE_DEVELOPER)),
    "earlier turns": with_earlier_turns,
    "context": lambda r: r.messages[-1].parts.append(
        chat_pb2.Part(text="A retrieved page.", context=True)
    ),
    "image": with_image,
    "speaker's name": lambda r: setattr(r.messages[-1], "name", "ann"),
    "tools": lambda r: r.tools.append(chat_pb2.Tool(name="search", parameters_json="{}")),
    "tool choice": lambda r: setattr(r, "tool_choice_json", '"none"'),
    "response format": lambda r: setattr(
        r.response_format, "kind", chat_pb2.ResponseFormat.KIND_JSON_OBJECT
    ),
    "temperature 0": lambda r: setattr(r.sampling, "temperature", 0.0),
    "top_p": lambda r: setattr(r.sampling, "top_p", 0.5),
    "stop": lambda r: r.sampling.stop.append("\n"),
    "seed": lambda r: setattr(r.sampling, "seed", 7),
    "n": lambda r: setattr(r.sampling, "n", 2),
    "presence penalty": lambda r: setattr(r.sampling, "presence_penalty", 0.5),
    "frequency penalty": lambda r: setattr(r.sampling, "frequency_penalty", 0.5),
    "logprobs": lambda r: setattr(r.sampling, "logprobs", True),
    "top_logprobs": lambda r: setattr(r.sampling, "top_logprobs", 3),
    "logit bias": lambda r: r.sampling.logit_bias.update({"42": -1.0}),
    "reasoning effort": lambda r: setattr(r.reasoning, "effort", "high"),
    "reasoning budget": lambda r: setattr(r.reasoning, "budget_tokens", 1_024),
    "unknown field": lambda r: r.extra_json.update({"verbosity": '"low"'}),
}

HARMLESS: dict[str, Change] = {
    "attribution": lambda r: r.attribution.MergeFrom(
        chat_pb2.Attribution(user="bob", feature="f", task="t", conversation="c")
    ),
    "tags": lambda r: r.tags.append("other"),
    "longer max_tokens": lambda r: setattr(r.sampling, "max_tokens", 4_000),
    "another temperature above 0": lambda r: setattr(r.sampling, "temperature", 0.9),
    "user for the provider": lambda r: r.extra_json.update({"user": '"bob"'}),
    "metadata": lambda r: r.extra_json.update({"metadata": '{"a": 1}'}),
    "stream options": lambda r: r.extra_json.update({"stream_options": "{}"}),
    "request id": lambda r: setattr(r, "request_id", "id-1"),
    "plain text asked for": lambda r: setattr(
        r.response_format, "kind", chat_pb2.ResponseFormat.KIND_TEXT
    ),
}


@pytest.mark.parametrize("change", REACHES_THE_PROVIDER.values(), ids=REACHES_THE_PROVIDER.keys())
async def test_whatever_reaches_the_provider_keeps_answers_apart(
    service: Service, client: Client, change: Change
) -> None:
    """One field changed, the text the same: the model is asked anew, and both answers are kept."""
    plain, changed = client.request(PROMPT), client.request(PROMPT)
    change(changed)
    await client.complete(plain)
    n_before = len(service.puppet.calls)

    done = await client.complete(changed)

    assert done.report.cache.outcome == MISS
    assert len(service.puppet.calls) == n_before + 1
    again = [await client.complete(request) for request in (plain, changed)]
    assert [one.report.cache.outcome for one in again] == [EXACT, EXACT]


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_changes_no_answer_keeps_no_answers_apart(
    client: Client, change: Change
) -> None:
    """Who asks, and how the answer is carried, is no part of the question."""
    await client.complete(client.request(PROMPT))
    changed = client.request(PROMPT)
    change(changed)

    done = await client.complete(changed)

    assert done.report.cache.outcome == EXACT


async def test_near_duplicates_do_not_cross_earlier_turns(client: Client) -> None:
    """A paraphrase after other turns is another question."""
    first = client.request("How do I bake sourdough bread at home?")
    second = client.request("how do i bake sourdough bread at home")
    with_earlier_turns(second)
    await client.complete(first)

    done = await client.complete(second)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_NEEDS_CONTEXT


def after(client: Client, turn: str, answer: str, prompt: str) -> chat_pb2.ChatRequest:
    return client.request(
        [
            text_message(turn),
            text_message(answer, chat_pb2.ROLE_ASSISTANT),
            text_message(prompt),
        ]
    )


async def test_the_same_words_after_other_turns_never_meet(
    service: Service, client: Client
) -> None:
    """Whom "he" means is said in the turns before: two answers, each kept for its own."""
    newton = after(client, "Who found gravity?", "Isaac Newton.", "Where was he born?")
    darwin = after(client, "Who sailed on the Beagle?", "Charles Darwin.", "Where was he born?")
    service.puppet.says("Where was he born?", "In Woolsthorpe.", "In Shrewsbury.")
    await client.complete(newton)

    done = await client.complete(darwin)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_NOTHING_SIMILAR
    assert done.answer.text == "In Shrewsbury."
    again = [await client.complete(request) for request in (newton, darwin)]
    assert [one.answer.text for one in again] == ["In Woolsthorpe.", "In Shrewsbury."]
    assert [one.report.cache.outcome for one in again] == [EXACT, EXACT]


async def test_a_whole_question_after_other_turns_is_counted_apart(
    client: Client, namespace: str
) -> None:
    """The turns before keep it from an answer that is there: a miss, under a reason of its own."""
    await client.complete(PROMPT)

    done = await client.complete(after(client, "Tell me of lava.", "It is hot.", PROMPT))

    assert done.report.cache.outcome == MISS
    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_NEEDS_CONTEXT
    counted = (await totals(client, namespace)).n_by_miss_reason
    assert counted["needs_context"] == 1


async def test_a_system_prompt_alone_makes_no_follow_up(client: Client) -> None:
    """The app's own instructions are no earlier turn: nothing similar is there, and that is all."""
    request = client.request(PROMPT)
    put_first(request, text_message("Be brief.", chat_pb2.ROLE_SYSTEM))

    done = await client.complete(request)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_NOTHING_SIMILAR


async def test_near_duplicates_share_equal_context(client: Client) -> None:
    """Context must match exactly and is outside the compared text, so a paraphrase still hits."""
    context = chat_pb2.Part(text="A retrieved page on bread.", context=True)
    first = client.request("How do I bake sourdough bread at home?")
    second = client.request("how do i bake sourdough bread at home")
    for request in (first, second):
        request.messages[-1].parts.append(context)
    await client.complete(first)

    done = await client.complete(second)

    assert done.report.cache.outcome == NEAR


async def test_namespaces_share_nothing(service: Service, client: Client) -> None:
    """The same request of another tenant is a miss."""
    await client.complete(PROMPT)

    async with service.client("somebody-else") as other:
        done = await other.complete(PROMPT)

    assert done.report.cache.outcome == MISS


@pytest.mark.parametrize(
    "prompt",
    [
        "What is in my order number 4711?",
        "Draft a reply to ann.smith@example.org about the delivery.",
        "What does account number 12345678 owe?",
    ],
)
async def test_a_personal_prompt_stays_with_its_user(client: Client, prompt: str) -> None:
    """Its answer is reused for the user who asked, and for nobody else."""
    await client.complete(client.request(prompt, user="ann"))

    own = await client.complete(client.request(prompt, user="ann"))
    others = await client.complete(client.request(prompt, user="bob"))

    assert own.report.cache.outcome == EXACT
    assert others.report.cache.outcome == MISS


async def test_a_personal_prompt_without_a_user_is_not_kept(client: Client) -> None:
    """Nobody to keep it for: neither stored nor served, and the reason says so."""
    prompt = "What is in my order number 4711?"

    done = [await client.complete(prompt) for _ in range(2)]

    for one in done:
        assert one.report.cache.miss_reason == chat_pb2.MISS_REASON_PERSONAL_WITHOUT_USER
        assert not one.report.cache.entry_id


async def test_a_personal_conversation_makes_later_turns_personal(client: Client) -> None:
    """What the user said before is part of the question."""
    turns = [
        text_message("I am writing from ann.smith@example.org."),
        text_message("Thank you.", chat_pb2.ROLE_ASSISTANT),
        text_message("How long does delivery to Norway take?"),
    ]

    done = await client.complete(client.request(turns))

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_PERSONAL_WITHOUT_USER


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the weather in Oslo today?",
        "What is the latest version of Python?",
        "Who is the chancellor of Germany right now?",
        "What is the current price of copper?",
    ],
)
async def test_a_time_bound_prompt_is_not_reused(client: Client, prompt: str) -> None:
    """Without a configured freshness it is neither stored nor served, exact repeats included."""
    done = [await client.complete(prompt) for _ in range(2)]

    for one in done:
        assert one.report.cache.miss_reason == chat_pb2.MISS_REASON_TIME_BOUND
        assert not one.report.cache.entry_id


async def test_a_time_bound_prompt_is_reused_while_it_is_fresh(service: Service) -> None:
    """Within the namespace's freshness (60 s) it is a hit, afterwards a miss."""
    prompt = "What is the weather in Oslo today?"
    async with service.client("fresh") as client:
        await client.complete(prompt)
        service.clock.advance(59)
        within = await client.complete(prompt)
        service.clock.advance(2)
        after = await client.complete(prompt)

    assert within.report.cache.outcome == EXACT
    assert after.report.cache.outcome == MISS


async def test_share_user_keeps_everything_within_its_user(service: Service) -> None:
    """With share = user every prompt is treated as personal."""
    async with service.client("by-user") as client:
        await client.complete(client.request(PROMPT, user="ann"))

        own = await client.complete(client.request(PROMPT, user="ann"))
        others = await client.complete(client.request(PROMPT, user="bob"))
        nobodys = await client.complete(PROMPT)

    assert own.report.cache.outcome == EXACT
    assert others.report.cache.outcome == MISS
    assert nobodys.report.cache.miss_reason == chat_pb2.MISS_REASON_PERSONAL_WITHOUT_USER


async def test_other_languages_get_exact_hits_only(client: Client) -> None:
    """Outside the calibrated languages only a repeat by the same user is a hit."""
    await client.complete(
        client.request("Wie backe ich zu Hause ein gutes Sauerteigbrot?", user="ann")
    )

    again = await client.complete(
        client.request("Wie backe ich zu Hause ein gutes Sauerteigbrot?", user="ann")
    )
    near = await client.complete(
        client.request("Wie backe ich daheim ein gutes Sauerteigbrot?", user="ann")
    )

    assert again.report.cache.outcome == EXACT
    assert near.report.cache.outcome == MISS
    assert near.report.cache.miss_reason == chat_pb2.MISS_REASON_LANGUAGE


@pytest.mark.parametrize(("text", "variant"), [("yes", "Yes."), ("continue", "Continue!")])
async def test_content_free_messages_get_exact_hits_only(
    client: Client, text: str, variant: str
) -> None:
    """They mean what was said before; alike is not the same."""
    await client.complete(text)

    again = await client.complete(text)
    near = await client.complete(variant)

    assert again.report.cache.outcome == EXACT
    assert near.report.cache.miss_reason == chat_pb2.MISS_REASON_CONTENT_FREE


async def test_a_conversation_that_ends_without_the_user_gets_exact_hits_only(
    client: Client,
) -> None:
    """A tool's result has no compared text: all of it must be equal."""
    call = chat_pb2.ToolCall(id="1", name="search", arguments_json="{}")
    turns = [
        text_message("Search for it."),
        chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[call]),
        chat_pb2.Message(
            role=chat_pb2.ROLE_TOOL, tool_call_id="1", parts=[chat_pb2.Part(text="Found it.")]
        ),
    ]
    first = await client.complete(client.request(turns))

    again = await client.complete(client.request(turns))

    assert first.report.cache.miss_reason == chat_pb2.MISS_REASON_NOT_COMPARABLE
    assert again.report.cache.outcome == EXACT


async def test_a_quick_repeat_in_a_conversation_asks_for_another_answer(
    service: Service, client: Client
) -> None:
    """Same user, same conversation, within two minutes: "regenerate" is a miss; later it is not."""
    service.puppet.says(PROMPT, "One.", "Two.", "Three.")
    request = client.request(PROMPT, user="ann", conversation="c1")
    await client.complete(request)

    service.clock.advance(119)
    again = await client.complete(request)
    service.clock.advance(121)
    later = await client.complete(request)

    assert again.report.cache.miss_reason == chat_pb2.MISS_REASON_REGENERATE
    assert again.answer.text == "Two."
    assert later.report.cache.outcome == EXACT
    assert later.answer.text == "Two."


async def test_one_more_space_is_still_a_repeat(client: Client) -> None:
    """Regenerate looks at what is compared, as the cache does."""
    await client.complete(client.request(PROMPT, user="ann", conversation="c1"))

    again = await client.complete(client.request(f"{PROMPT} ", user="ann", conversation="c1"))

    assert again.report.cache.miss_reason == chat_pb2.MISS_REASON_REGENERATE


@pytest.mark.parametrize(
    ("user", "conversation"), [("ann", "c2"), ("bob", "c1"), ("ann", ""), ("", "")]
)
async def test_a_repeat_elsewhere_is_no_regenerate(
    client: Client, user: str, conversation: str
) -> None:
    """Another user or conversation, or none, gets the stored answer at once."""
    await client.complete(client.request(PROMPT, user="ann", conversation="c1"))

    done = await client.complete(client.request(PROMPT, user=user, conversation=conversation))

    assert done.report.cache.outcome == EXACT


async def test_a_policy_may_serve_quick_repeats(service: Service) -> None:
    """With regenerate_s = 0 a repeat is served as any other."""
    async with service.client("repeating") as client:
        request = client.request(PROMPT, user="ann", conversation="c1")
        await client.complete(request)

        again = await client.complete(request)

    assert again.report.cache.outcome == EXACT


async def test_bypass_looks_nothing_up_and_keeps_the_fresh_answer(
    service: Service, client: Client
) -> None:
    """The caller wants a new answer; the next one gets that."""
    service.puppet.says(PROMPT, "Old.", "New.")
    await client.complete(PROMPT)
    request = client.request(PROMPT)
    request.cache_control.bypass = True

    fresh = await client.complete(request)
    after = await client.complete(PROMPT)

    assert fresh.report.cache.outcome == BYPASS
    assert fresh.report.cache.miss_reason == chat_pb2.MISS_REASON_UNSPECIFIED
    assert fresh.answer.text == "New."
    assert after.report.cache.outcome == EXACT
    assert after.answer.text == "New."


async def test_no_store_keeps_no_answer(client: Client) -> None:
    """It may be served from the cache, and leaves nothing there."""
    request = client.request(PROMPT)
    request.cache_control.no_store = True
    await client.complete(request)

    second = await client.complete(request)
    await client.complete(PROMPT)
    third = await client.complete(request)

    assert second.report.cache.outcome == MISS
    assert third.report.cache.outcome == EXACT


async def test_max_age_refuses_older_answers(service: Service, client: Client) -> None:
    """A stored answer of 100 seconds serves whoever takes 101, and not whoever takes 99."""
    await client.complete(PROMPT)
    service.clock.advance(100)
    strict, lax = client.request(PROMPT), client.request(PROMPT)
    strict.cache_control.max_age_s, lax.cache_control.max_age_s = 99, 101

    served = await client.complete(lax)
    refused = await client.complete(strict)

    assert served.report.cache.outcome == EXACT
    assert served.report.cache.age_s == pytest.approx(100)
    assert refused.report.cache.miss_reason == chat_pb2.MISS_REASON_EXPIRED


async def test_a_hit_does_not_extend_the_ttl(service: Service) -> None:
    """An entry of ten minutes ends ten minutes after it was stored, however often it served."""
    async with service.client("short-lived") as client:
        await client.complete(PROMPT)
        service.clock.advance(599)
        within = await client.complete(PROMPT)
        service.clock.advance(1)
        after = await client.complete(PROMPT)

    assert within.report.cache.outcome == EXACT
    assert after.report.cache.outcome == MISS


async def test_a_cheap_models_answer_does_not_serve_a_pinned_request(
    service: Service, client: Client
) -> None:
    """Pinned to the strong model: a miss with the reason; its answer then serves everyone."""
    service.puppet.says(PROMPT, "Cheap.", "Strong.")
    await client.complete(PROMPT)
    pinned = client.request(PROMPT)
    pinned.wishes.pinned_model = "large"

    first = await client.complete(pinned)
    unpinned = await client.complete(PROMPT)

    assert first.report.cache.miss_reason == chat_pb2.MISS_REASON_MODEL_NOT_ALLOWED
    assert (first.report.model, first.answer.text) == ("large", "Strong.")
    assert unpinned.report.cache.outcome == EXACT
    assert (unpinned.report.model, unpinned.answer.text) == ("large", "Strong.")


async def test_a_near_duplicate_of_another_model_does_not_serve_a_pinned_request(
    client: Client,
) -> None:
    """The rule holds for paraphrases as well."""
    await client.complete("How do I bake sourdough bread at home?")
    pinned = client.request("how do i bake sourdough bread at home")
    pinned.wishes.pinned_model = "large"

    done = await client.complete(pinned)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_MODEL_NOT_ALLOWED


async def test_allowed_models_hold_for_stored_answers(client: Client) -> None:
    """An answer of a model outside the request's list is not served to it."""
    await client.complete(PROMPT)
    request = client.request(PROMPT)
    request.wishes.allowed_models.append("large")

    done = await client.complete(request)

    assert done.report.cache.miss_reason == chat_pb2.MISS_REASON_MODEL_NOT_ALLOWED


async def test_an_inadequate_models_answer_does_not_serve_others(client: Client) -> None:
    """Who pinned a weak model gets its answer; whoever asks for quality does not."""
    weak = client.request(PROMPT)
    weak.wishes.pinned_model = "weak"
    await client.complete(weak)

    own = await client.complete(weak)
    others = await client.complete(PROMPT)

    assert own.report.cache.outcome == EXACT
    assert others.report.cache.miss_reason == chat_pb2.MISS_REASON_MODEL_NOT_ALLOWED


async def test_a_namespace_may_pin_a_model(service: Service) -> None:
    """What the settings pin needs no wish."""
    async with service.client("large-only") as client:
        done = await client.complete(PROMPT)

    assert done.report.model == "large"


async def test_a_stored_answer_must_fit_max_tokens(client: Client) -> None:
    """The stored answer has 100 tokens: it serves 100 and not 99."""
    await client.complete(PROMPT)
    fits, too_short = client.request(PROMPT), client.request(PROMPT)
    fits.sampling.max_tokens, too_short.sampling.max_tokens = 100, 99

    served = await client.complete(fits)
    refused = await client.complete(too_short)

    assert served.report.cache.outcome == EXACT
    assert refused.report.cache.miss_reason == chat_pb2.MISS_REASON_MAX_TOKENS


async def test_volatile_spans_of_system_prompts_can_be_masked(service: Service) -> None:
    """With a mask for dates a new day does not empty the cache; other words still do."""
    async with service.client("masked") as client:
        await client.complete(client.request(PROMPT, system="Today is 2026-11-23. Be brief."))

        next_day = await client.complete(
            client.request(PROMPT, system="Today is 2026-11-24. Be brief.")
        )
        other = await client.complete(
            client.request(PROMPT, system="Today is 2026-11-24. Be thorough.")
        )

    assert next_day.report.cache.outcome == EXACT
    assert other.report.cache.outcome == MISS


async def test_partition_churn_is_reported_with_its_cause(client: Client, namespace: str) -> None:
    """A repeat that missed because the system prompt changed is counted under that field."""
    for day in (23, 24, 25):
        await client.complete(client.request(PROMPT, system=f"Today is 2026-11-{day}."))

    found = await report(client, namespace)

    mine = {(c.field, c.n_misses) for c in found.churn if c.namespace == namespace}
    assert mine == {("system", 2)}
