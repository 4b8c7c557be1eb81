"""The caller's word on what it received, and the operator's on what shall go."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from service.harness import EXACT, MISS, NEAR, Service, refused

from scrimp.client import Client
from scrimp.v1 import admin_pb2, chat_pb2, feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
WRONG = feedback_pb2.VERDICT_HIT_WRONG
RIGHT = feedback_pb2.VERDICT_HIT_RIGHT


async def test_a_wrong_hit_is_not_served_again(service: Service, client: Client) -> None:
    """Its entry is gone when the report returns; the next to ask gets a fresh answer."""
    service.puppet.says(PROMPT, "Wrong.", "Right.")
    await client.complete(PROMPT)
    hit = await client.complete(PROMPT)

    taken = await client.report(hit.report.response_id, WRONG, "it is about the sea")
    after = await client.complete(PROMPT)

    assert taken.is_new
    assert after.report.cache.outcome == MISS
    assert after.answer.text == "Right."


async def test_a_wrong_near_hit_is_refuted_for_that_text_alone(client: Client) -> None:
    """Who asks the stored question itself still gets its answer."""
    await client.complete("How do I bake sourdough bread at home?")
    near = await client.complete("how do i bake sourdough bread at home")
    assert near.report.cache.outcome == NEAR

    await client.report(near.report.response_id, WRONG)

    again = await client.complete("how do i bake sourdough bread at home")
    same = await client.complete("How do I bake sourdough bread at home?")
    assert again.report.cache.outcome == MISS
    assert same.report.cache.outcome == EXACT


async def test_a_refuted_pair_stays_refuted_when_the_entry_is_answered_anew(
    client: Client,
) -> None:
    """The new answer is to the same other question."""
    stored, asked = "How do I knead rye dough by hand?", "how do i knead rye dough by hand"
    no_store = client.request(asked)
    no_store.cache_control.no_store = True
    bypass = client.request(stored)
    bypass.cache_control.bypass = True
    await client.complete(stored)
    near = await client.complete(asked)
    assert near.report.cache.outcome == NEAR
    await client.report(near.report.response_id, WRONG)

    await client.complete(bypass)
    again = await client.complete(no_store)

    assert again.report.cache.outcome == MISS
    assert again.report.cache.miss_reason == chat_pb2.MISS_REASON_REFUTED


async def test_the_same_word_twice_is_one_word(client: Client) -> None:
    """The second report is no news."""
    await client.complete(PROMPT)
    hit = await client.complete(PROMPT)

    first = await client.report(hit.report.response_id, RIGHT)
    second = await client.report(hit.report.response_id, RIGHT)

    assert (first.is_new, second.is_new) == (True, False)


async def test_a_right_hit_stays(client: Client) -> None:
    """Praise removes nothing."""
    await client.complete(PROMPT)
    hit = await client.complete(PROMPT)

    await client.report(hit.report.response_id, RIGHT)

    assert (await client.complete(PROMPT)).report.cache.outcome == EXACT


@pytest.mark.parametrize(
    "verdict", [feedback_pb2.VERDICT_ADEQUATE, feedback_pb2.VERDICT_NOT_ADEQUATE]
)
async def test_a_models_answer_can_be_judged(
    client: Client, verdict: feedback_pb2.Verdict.ValueType
) -> None:
    """Adequate or not is said of fresh answers."""
    done = await client.complete(PROMPT)

    assert (await client.report(done.report.response_id, verdict)).is_new


async def test_a_look_up_can_be_judged(client: Client) -> None:
    """Feedback holds for both doors."""
    await client.complete(PROMPT)
    hit = await client.look_up(PROMPT)

    assert (await client.report(hit.response_id, WRONG)).is_new
    assert (await client.look_up(PROMPT)).WhichOneof("result") == "advice"


async def test_a_fresh_answer_is_no_hit(client: Client) -> None:
    """A hit's word on a miss says nothing: FAILED_PRECONDITION, with the words that would."""
    done = await client.complete(PROMPT)

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "is said of hits", "adequate"):
        await client.report(done.report.response_id, WRONG)


async def test_only_who_received_it_may_judge(service: Service, namespace: str) -> None:
    """Another caller, or another namespace, learns only that it received no such thing."""
    async with (
        service.client(namespace, "ann") as ann,
        service.client(namespace, "bob") as bob,
        service.client(f"{namespace}-2", "ann") as elsewhere,
    ):
        await ann.complete(PROMPT)
        hit = await ann.complete(PROMPT)

        for other in (bob, elsewhere):
            with refused(grpc.StatusCode.NOT_FOUND, "received no request"):
                await other.report(hit.report.response_id, WRONG)

        assert (await ann.complete(PROMPT)).report.cache.outcome == EXACT


@pytest.mark.parametrize("response_id", ["", "0" * 32, "no such thing", "x" * 300, "é" * 32])
async def test_an_unknown_response_is_not_found(client: Client, response_id: str) -> None:
    """Whatever is sent as an id: a sentence, never a fault of ours."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.report(response_id, WRONG)

    assert caught.value.code() in (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
    ), caught.value


@pytest.mark.parametrize("verdict", [feedback_pb2.VERDICT_UNSPECIFIED, 99])
async def test_a_verdict_is_one_of_four(client: Client, verdict: int) -> None:
    """Anything else is INVALID_ARGUMENT, and names the four."""
    done = await client.complete(PROMPT)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, f"verdict is {verdict}", "VERDICT_HIT_WRONG"):
        await client.report(done.report.response_id, verdict)  # type: ignore[arg-type]


async def test_a_note_is_bounded(client: Client) -> None:
    """2,000 characters are taken, one more is not."""
    done = await client.complete(PROMPT)
    verdict = feedback_pb2.VERDICT_ADEQUATE

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "2000", "2001"):
        await client.report(done.report.response_id, verdict, "x" * 2_001)

    assert (await client.report(done.report.response_id, verdict, "x" * 2_000)).is_new


async def test_feedback_is_rate_limited_per_caller(service: Service, namespace: str) -> None:
    """120 a minute; one more is RESOURCE_EXHAUSTED, for this caller only, until time passes."""
    async with (
        service.client(namespace, "chatty") as chatty,
        service.client(namespace, "calm") as calm,
    ):
        mine = await chatty.complete(PROMPT)
        theirs = await calm.complete(PROMPT)
        verdict = feedback_pb2.VERDICT_ADEQUATE
        for _ in range(120):
            await chatty.report(mine.report.response_id, verdict)

        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "120", "a minute"):
            await chatty.report(mine.report.response_id, verdict)

        assert (await calm.report(theirs.report.response_id, verdict)).is_new
        service.clock.advance(61)
        await chatty.report(mine.report.response_id, verdict)


def by_id(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.entry_ids.append(entry_id)


def by_tag(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.tag = "geology"


def by_model(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.model = "large"


def by_age(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.older_than_s = 100


def by_user(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.user = "ann"


def by_conversation(request: admin_pb2.InvalidateRequest, entry_id: str) -> None:
    request.conversation = "c1"


@pytest.mark.parametrize("select", [by_id, by_tag, by_model, by_age, by_user, by_conversation])
async def test_invalidation_removes_what_is_named(
    service: Service,
    client: Client,
    namespace: str,
    select: Callable[[admin_pb2.InvalidateRequest, str], None],
) -> None:
    """A dry run counts and leaves; then what matches is gone at once, and nothing else."""
    request = client.request(PROMPT, user="ann", conversation="c1", tags=["geology"])
    request.wishes.pinned_model = "large"
    named = await client.complete(request)
    service.clock.advance(100)
    await client.complete(
        client.request("How is glass made?", user="bob", conversation="c2", tags=["craft"])
    )
    selector = admin_pb2.InvalidateRequest(namespace=namespace, dry_run=True)
    select(selector, named.report.cache.entry_id)

    counted = await client.admin.Invalidate(selector)
    still = await client.complete(PROMPT)
    selector.dry_run = False
    removed = await client.admin.Invalidate(selector)
    gone = await client.complete(PROMPT)
    other = await client.complete("How is glass made?")

    assert (counted.n_entries, list(counted.entry_ids)) == (1, [named.report.cache.entry_id])
    assert removed == counted
    assert still.report.cache.outcome == EXACT
    assert gone.report.cache.outcome == MISS
    assert other.report.cache.outcome == EXACT


async def test_a_whole_namespace_can_be_emptied(
    service: Service, client: Client, namespace: str
) -> None:
    """Everything of it goes, and nothing of another."""
    prompts = [PROMPT, "How is glass made?", "Why is the sky blue?"]
    async with service.client(f"{namespace}-2") as other:
        for prompt in prompts:
            await client.complete(prompt)
            await other.complete(prompt)

        removed = await client.admin.Invalidate(admin_pb2.InvalidateRequest(namespace=namespace))
        kept = await other.complete(PROMPT)

    assert removed.n_entries == 3
    assert kept.report.cache.outcome == EXACT
    assert (await client.complete(PROMPT)).report.cache.outcome == MISS


async def test_all_conditions_must_hold(client: Client, namespace: str) -> None:
    """Two conditions that no entry meets together remove nothing."""
    await client.complete(client.request(PROMPT, tags=["geology"]))
    await client.complete(client.request("How is glass made?", user="ann"))

    found = await client.admin.Invalidate(
        admin_pb2.InvalidateRequest(namespace=namespace, tag="geology", user="ann")
    )

    assert found.n_entries == 0


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_empty_selector_is_refused(client: Client, dry_run: bool) -> None:
    """Nobody empties the whole cache by leaving out a field."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "no condition", "namespace"):
        await client.admin.Invalidate(admin_pb2.InvalidateRequest(dry_run=dry_run))


@pytest.mark.parametrize("age", [float("nan"), float("inf"), -1.0])
async def test_a_nonsensical_age_is_refused(client: Client, age: float) -> None:
    """INVALID_ARGUMENT, nothing removed."""
    await client.complete(PROMPT)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "older_than_s"):
        await client.admin.Invalidate(admin_pb2.InvalidateRequest(older_than_s=age))

    assert (await client.complete(PROMPT)).report.cache.outcome == EXACT


@pytest.mark.parametrize("entry_id", ["", "abc", "-1", "1.5", "9" * 20, "१"])
async def test_an_entry_id_is_as_a_response_gave_it(client: Client, entry_id: str) -> None:
    """Anything else is INVALID_ARGUMENT."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "an entry id is a number"):
        await client.admin.Invalidate(admin_pb2.InvalidateRequest(entry_ids=[entry_id]))


async def test_a_conversation_can_be_forgotten(client: Client) -> None:
    """Chat requests of it are no hits for anybody afterwards; similar ones neither."""
    await client.complete(
        client.request("How do I bake sourdough bread at home?", user="ann", conversation="c1")
    )
    await client.admin.Invalidate(admin_pb2.InvalidateRequest(user="ann", conversation="c1"))

    near = await client.complete("how do i bake sourdough bread at home")

    assert near.report.cache.miss_reason == chat_pb2.MISS_REASON_NOTHING_SIMILAR
