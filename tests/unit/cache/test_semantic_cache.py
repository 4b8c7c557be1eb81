from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeClock, FakeEmbedding, FakeEncoder, FlatIndex, MemoryEntryStore

from cache.errors import EntryRefused, IndexFailed, StoreUnavailable
from cache.semantic_cache import SemanticCache
from cache.types import (
    Bounds,
    Draft,
    Head,
    Hit,
    Miss,
    MissReason,
    OperatingPoint,
    PartitionKey,
    Query,
    ReusePolicy,
    Selector,
    Vector,
    Vectors,
)

HERE, THERE = PartitionKey(b"h" * 32), PartitionKey(b"t" * 32)
POLICY = ReusePolicy(min_similarity=0.9)
POINT = OperatingPoint(min_p_right=0.8)


def permit_all(head: Head) -> MissReason | None:
    return None


def ask(text: str, **changes: object) -> Query:
    query = Query(partition=HERE, text=text, policy=POLICY, permit=permit_all, point=POINT)
    return replace(query, **changes)  # type: ignore[arg-type]


def answer(text: str, said: bytes = b"yes", **changes: object) -> Draft:
    draft = Draft(
        partition=HERE,
        namespace="shop",
        text=text,
        answer=said,
        model="small",
        input_tokens=5,
        output_tokens=7,
        ttl_s=100,
    )
    return replace(draft, **changes)  # type: ignore[arg-type]


class House:
    """A cache with everything it stands on within reach."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.clock = FakeClock()
        self.encoder = FakeEncoder()
        self.index = FlatIndex()
        self.rows = MemoryEntryStore()
        self.bounds = bounds or Bounds()
        self.cache = self.fresh()

    def fresh(self) -> SemanticCache:
        """Return a cache on the same store, not yet started."""
        return SemanticCache(self.encoder, None, self.index, self.rows, self.bounds, self.clock)

    async def reopen(self) -> None:
        """Restart: only what the store holds is left."""
        await self.cache.close()
        self.index = FlatIndex()
        self.cache = self.fresh()
        await self.cache.start()

    async def near(self, *queries: Query) -> list[Hit | Miss]:
        """Look up near-duplicates as a worker would."""
        embeddings = self.encoder.embed([query.text for query in queries])
        return await asyncio.to_thread(self.cache.find_near, queries, embeddings)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.cache.start()
    yield house
    await house.cache.close()


async def test_what_is_stored_is_found_by_the_same_text(house: House) -> None:
    """The bytes come back as they were, marked exact, with their age; white space is no matter."""
    head = await house.cache.store(answer("How do I  reset it?", b"\x00bytes\xff"))
    house.clock.advance(3)

    hit = await house.cache.find_exact(ask(" How do I reset it?\n"))

    assert isinstance(hit, Hit)
    assert (hit.answer, hit.is_exact, hit.age_s) == (b"\x00bytes\xff", True, 3)
    assert (hit.head, hit.text) == (head, "How do I reset it?")


async def test_another_text_or_partition_is_not_exact(house: House) -> None:
    """Case and punctuation count, and no lookup crosses a partition."""
    await house.cache.store(answer("How do I reset it?"))

    assert await house.cache.find_exact(ask("how do I reset it?")) is None
    assert await house.cache.find_exact(ask("How do I reset it?", partition=THERE)) is None


async def test_a_warm_exact_lookup_does_not_suspend(house: House) -> None:
    """The answer is in memory, so the coroutine ends at its first step."""
    await house.cache.store(answer("How do I reset it?"))

    lookup = house.cache.find_exact(ask("How do I reset it?"))

    with pytest.raises(StopIteration) as ended:
        lookup.send(None)
    assert isinstance(ended.value.value, Hit)


async def test_a_cold_exact_lookup_reads_the_store(house: House) -> None:
    """After a restart no answer is in memory, and every one is found."""
    await house.cache.store(answer("How do I reset it?", b"so"))
    await house.reopen()

    hit = await house.cache.find_exact(ask("How do I reset it?"))

    assert isinstance(hit, Hit)
    assert hit.answer == b"so"


async def test_an_expired_entry_is_refused_with_its_reason(house: House) -> None:
    """At the moment of expiry it is expired; hits before do not extend its life."""
    await house.cache.store(answer("How do I reset it?"))
    house.clock.advance(99.9)
    assert isinstance(await house.cache.find_exact(ask("How do I reset it?")), Hit)
    house.clock.advance(0.1)

    found = await house.cache.find_exact(ask("How do I reset it?"))

    assert isinstance(found, Miss)
    assert found.reason is MissReason.EXPIRED


async def test_a_request_may_want_it_younger_than_its_ttl(house: House) -> None:
    """``max_age_s`` refuses what is older, for exact and near lookups."""
    await house.cache.store(answer("please tell me how I reset my router at home"))
    house.clock.advance(50)

    exact = await house.cache.find_exact(
        ask("please tell me how I reset my router at home", max_age_s=49)
    )
    [near] = await house.near(ask("please do tell me how I reset my router at home", max_age_s=49))

    assert isinstance(exact, Miss)
    assert isinstance(near, Miss)
    assert exact.reason is near.reason is MissReason.EXPIRED


async def test_the_caller_may_refuse_an_entry(house: House) -> None:
    """The permit's word is the miss's reason."""
    await house.cache.store(answer("How do I reset it?"))

    def only_large(head: Head) -> MissReason | None:
        return None if head.model == "large" else MissReason.MODEL_NOT_ALLOWED

    found = await house.cache.find_exact(ask("How do I reset it?", permit=only_large))

    assert isinstance(found, Miss)
    assert found.reason is MissReason.MODEL_NOT_ALLOWED


async def test_a_paraphrase_is_served(house: House) -> None:
    """Near enough, nothing objects: the stored bytes, marked as near, with both numbers."""
    await house.cache.store(answer("please tell me how I reset my router at home", b"so"))

    [found] = await house.near(ask("please do tell me how I reset my router at home"))

    assert isinstance(found, Hit)
    assert (found.answer, found.is_exact) == (b"so", False)
    assert 0.9 <= found.similarity < 1
    assert 0.5 < found.p_right < 1


@pytest.mark.parametrize(
    ("stored", "asked", "reason"),
    [
        ("wait for 3 days then reset it", "wait for 4 days then reset it", "guard_number"),
        ("should I really restart my old router now", "why is the sky so blue", "nothing_similar"),
        ("one two three four five six seven", "one two three four five six nine", "guard_number"),
    ],
)
async def test_a_miss_says_why(house: House, stored: str, asked: str, reason: str) -> None:
    """The most similar candidate's reason, with its similarity."""
    await house.cache.store(answer(stored))

    [found] = await house.near(ask(asked, policy=ReusePolicy(min_similarity=0.5)))

    assert isinstance(found, Miss)
    assert found.reason == reason


async def test_another_candidate_serves_when_the_nearest_may_not(house: House) -> None:
    """A vetoed or refused neighbour does not hide a good one behind it."""
    await house.cache.store(answer("tell me how I reset my router 3 at home now", b"no"))
    await house.cache.store(answer("tell me how I reset my router 4 at home now please", b"yes"))

    [found] = await house.near(ask("tell me how I reset my router 4 at home now"))

    assert isinstance(found, Hit)
    assert found.answer == b"yes"


async def test_the_part_beyond_the_window_must_be_equal(house: House) -> None:
    """Alike where the encoder looks and different behind it: no near-duplicate."""
    shared = " ".join(f"word{i}" for i in range(128))
    await house.cache.store(answer(shared + " then stop"))

    [found] = await house.near(ask(shared + " then go on"))

    assert isinstance(found, Miss)
    assert found.reason is MissReason.BEYOND_WINDOW


async def test_exact_only_queries_and_entries_have_no_near_duplicates(house: House) -> None:
    """The query's reason comes back; an entry kept for exact repeats has no vector."""
    await house.cache.store(answer("please tell me how I reset my router at home"))
    await house.cache.store(answer("ja", exact_only=True))

    text = "please do tell me how I reset my router at home"
    [found] = await house.near(ask(text, exact_only=MissReason.LANGUAGE))

    assert found == Miss(reason=MissReason.LANGUAGE)
    assert house.cache.stats().n_indexed == 1
    assert isinstance(await house.cache.find_exact(ask("ja")), Hit)


async def test_a_newer_answer_replaces_the_older(house: House) -> None:
    """One entry for a partition and text; the old one is gone everywhere."""
    first = await house.cache.store(answer("How do I reset it?", b"old"))
    second = await house.cache.store(answer("How do I  reset it?", b"new"))

    hit = await house.cache.find_exact(ask("How do I reset it?"))
    stats = house.cache.stats()

    assert isinstance(hit, Hit)
    assert (hit.answer, hit.head.id) == (b"new", second.id)
    assert second.id > first.id
    assert (stats.n_entries, stats.n_indexed, stats.n_replaced) == (1, 1, 1)


async def test_a_failed_store_leaves_nothing(house: House) -> None:
    """The caller hears StoreUnavailable and no lookup sees the answer."""
    house.rows.broken = True

    with pytest.raises(StoreUnavailable):
        await house.cache.store(answer("How do I reset it?"))

    assert await house.cache.find_exact(ask("How do I reset it?")) is None
    assert house.cache.stats().n_entries == 0


async def test_a_cancelled_store_is_finished(house: House) -> None:
    """The caller went away, the answer was paid for: it is kept whole."""
    task = asyncio.create_task(house.cache.store(answer("How do I reset it?")))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        await asyncio.sleep(0.001)
        if house.cache.stats().n_entries:
            break

    assert isinstance(await house.cache.find_exact(ask("How do I reset it?")), Hit)


async def test_an_entry_larger_than_the_cache_is_refused() -> None:
    """It would drive everything else out and then not fit."""
    house = House(Bounds(max_bytes=10))

    with pytest.raises(EntryRefused, match="max_bytes of 10"):
        await house.cache.store(answer("How do I reset it?"))


async def test_who_was_asked_for_again_stays() -> None:
    """Bounds hold after every store; the entry without a hit leaves, at once and from disk."""
    house = House(Bounds(max_entries=2))
    await house.cache.start()
    await house.cache.store(answer("one red apple"))
    await house.cache.store(answer("two green pears"))
    await house.cache.find_exact(ask("one red apple"))

    await house.cache.store(answer("three blue plums"))
    await house.cache.sweep()

    assert isinstance(await house.cache.find_exact(ask("one red apple")), Hit)
    assert await house.cache.find_exact(ask("two green pears")) is None
    assert [text for _, text in house.rows.heads()] == ["one red apple", "three blue plums"]
    assert (house.cache.stats().n_evicted, house.cache.stats().n_indexed) == (1, 2)
    await house.cache.close()


async def test_the_expired_leave_first() -> None:
    """Room is made with what could not be served any more."""
    house = House(Bounds(max_entries=2))
    await house.cache.store(answer("one red apple"))
    await house.cache.store(answer("two green pears", ttl_s=1))
    house.clock.advance(2)

    await house.cache.store(answer("three blue plums"))

    assert isinstance(await house.cache.find_exact(ask("one red apple")), Hit)
    assert house.cache.stats().n_evicted == 0


async def test_a_bound_that_is_lowered_holds_for_what_is_there_and_what_is_on_its_way(
    house: House,
) -> None:
    """An entry ends earlier from the next sweep on; one that is being stored ends so as well."""
    await house.cache.store(answer("one"))
    await house.cache.store(answer("other", namespace="forum"))
    house.clock.advance(50)

    house.cache.keep(lambda namespace: 40 if namespace == "shop" else 90)
    n_gone = [await house.cache.sweep()]
    await house.cache.store(answer("late"))
    for seconds in (39, 1):
        house.clock.advance(seconds)
        ended = await house.cache.find_exact(ask("other"))
        n_gone.append(await house.cache.sweep())

    assert n_gone == [1, 0, 2]
    assert isinstance(ended, Miss)  # also before it is swept
    assert ended.reason is MissReason.EXPIRED
    assert house.cache.stats().n_entries == 0
    assert list(house.rows.heads()) == []


async def test_a_bound_that_is_raised_lengthens_nothing_that_is_there(house: House) -> None:
    """What was cut short stays so: somebody was told that it would be gone."""
    house.cache.keep(lambda _: 40)
    await house.cache.store(answer("one"))
    await house.cache.sweep()

    house.cache.keep(None)
    await house.cache.store(answer("two"))
    await house.cache.sweep()
    house.clock.advance(41)
    await house.cache.sweep()

    assert isinstance(await house.cache.find_exact(ask("two")), Hit)
    assert await house.cache.find_exact(ask("one")) is None


async def test_a_sweep_removes_the_expired_everywhere(house: House) -> None:
    """Map, index and store forget together."""
    await house.cache.store(answer("one red apple", ttl_s=1))
    await house.cache.store(answer("two green pears"))
    house.clock.advance(2)

    assert await house.cache.sweep() == 1

    stats = house.cache.stats()
    assert (stats.n_entries, stats.n_indexed, stats.n_unremoved) == (1, 1, 0)
    assert len(list(house.rows.heads())) == 1


@pytest.mark.parametrize(
    ("selector", "n_left"),
    [
        (Selector(namespace="shop"), 1),
        (Selector(namespace="other"), 2),
        (Selector(tag="fruit"), 2),
        (Selector(model="small", user="ann"), 2),
        (Selector(model="large"), 3),
        (Selector(conversation="c1"), 2),
        (Selector(older_than_s=10), 2),
        (Selector(older_than_s=10, namespace="other"), 3),
    ],
)
async def test_invalidation_removes_what_matches_all_conditions(
    house: House, selector: Selector, n_left: int
) -> None:
    """A dry run only counts; the real one removes exactly those, from disk too."""
    await house.cache.store(answer("one red apple", tags=("fruit", "red")))
    house.clock.advance(10)
    await house.cache.store(answer("two green pears", user="ann"))
    await house.cache.store(answer("three plums", namespace="other", conversation="c1"))

    dry = await house.cache.invalidate(selector, dry_run=True)
    assert house.cache.stats().n_entries == 3
    real = await house.cache.invalidate(selector, dry_run=False)

    assert real == dry
    assert (house.cache.stats().n_entries, real.n_entries) == (n_left, 3 - n_left)
    assert len(list(house.rows.heads())) == n_left


async def test_an_empty_selector_is_refused(house: House) -> None:
    """Nobody empties a cache by leaving a field out."""
    with pytest.raises(ValueError, match="at least one condition"):
        await house.cache.invalidate(Selector(), dry_run=False)


async def test_a_store_under_way_is_invalidated_too(house: House) -> None:
    """What began before the invalidation does not come back behind its back."""
    begun, go_on = threading.Event(), threading.Event()
    encode = house.encoder.encode

    def slow(texts: list[str]) -> object:
        begun.set()
        go_on.wait(5)
        return encode(texts)

    house.encoder.encode = slow  # type: ignore[method-assign, assignment]
    storing = asyncio.create_task(house.cache.store(answer("one red apple", tags=("bad",))))
    await asyncio.to_thread(begun.wait, 5)

    await house.cache.invalidate(Selector(tag="bad"), dry_run=False)
    go_on.set()
    await storing

    assert await house.cache.find_exact(ask("one red apple")) is None
    assert list(house.rows.heads()) == []


async def test_a_failed_invalidation_hides_and_can_be_repeated(house: House) -> None:
    """Nothing is served from the moment of the call; the second call makes it durable."""
    await house.cache.store(answer("one red apple"))
    house.rows.broken = True
    with pytest.raises(StoreUnavailable):
        await house.cache.invalidate(Selector(namespace="shop"), dry_run=False)
    assert await house.cache.find_exact(ask("one red apple")) is None
    house.rows.broken = False

    await house.cache.invalidate(Selector(namespace="shop"), dry_run=False)

    assert list(house.rows.heads()) == []


async def test_another_encoder_re_embeds_while_exact_hits_go_on(house: House) -> None:
    """Vectors of two encoders are never compared; the texts are embedded anew in the background."""
    for n in range(40):
        await house.cache.store(answer(f"please tell me how I reset thing{n} at home"))
    house.encoder = FakeEncoder(encoder_id="fake-2")
    await house.reopen()

    before = house.cache.stats()
    exact = await house.cache.find_exact(ask("please tell me how I reset thing7 at home"))
    for _ in range(1000):
        if not house.cache.stats().n_unembedded:
            break
        await asyncio.sleep(0.005)
    [near] = await house.near(ask("please do tell me how I reset thing7 at home"))

    assert before.n_unembedded + before.n_indexed == 40
    assert isinstance(exact, Hit)
    assert isinstance(near, Hit)
    assert house.cache.stats().n_indexed == 40


async def test_a_pair_is_explained_by_the_same_decision(house: House) -> None:
    """Exact is 1, a veto 0, anything else the verifier's word however far apart."""
    exact, _ = house.cache.explain_pair("a  pear", "a pear", POLICY, POINT)
    assert exact.p_right == 1
    veto, _ = house.cache.explain_pair("wait 3 days for it", "wait 4 days for it", POLICY, POINT)
    assert (veto.p_right, veto.served, veto.reason) == (0, None, MissReason.GUARD_NUMBER)
    far, cosine = house.cache.explain_pair("is it cold", "tell me jokes", POLICY, POINT)
    assert far.p_right is not None
    assert far.p_right < 0.5
    assert far.served is None
    assert cosine < 0.5


async def test_texts_that_are_no_unicode_are_refused(house: House) -> None:
    """A lone surrogate can not be stored; looking it up finds nothing."""
    with pytest.raises(EntryRefused):
        await house.cache.store(
            answer("half a \ud800 pair", embedding=FakeEmbedding(np.ones(64, np.float32)))
        )
    assert await house.cache.find_exact(ask("half a \ud800 pair")) is None


@pytest.mark.parametrize("vector", [np.ones(3, np.float32), np.full(64, np.nan, np.float32)])
async def test_a_vector_that_is_none_is_refused(house: House, vector: Vector) -> None:
    """It would poison index and store; nothing of it is kept."""
    with pytest.raises(EntryRefused, match="64 finite numbers"):
        await house.cache.store(answer("one red apple", embedding=FakeEmbedding(vector)))
    assert list(house.rows.heads()) == []


async def test_an_index_that_fails_costs_only_near_duplicates(house: House) -> None:
    """The answer is kept and found exactly; the index gets it when it works again."""

    def broken(*args: object) -> None:
        raise IndexFailed("told to fail")

    works = house.index.add
    house.index.add = broken  # type: ignore[method-assign, assignment]
    await house.cache.store(answer("one red apple"))
    assert isinstance(await house.cache.find_exact(ask("one red apple")), Hit)
    assert (house.cache.stats().n_failures, house.cache.stats().n_unembedded) == (1, 1)

    house.index.add = works  # type: ignore[method-assign]
    await house.cache._upkeep.embed()

    [found] = await house.near(ask("one red apple"))
    assert isinstance(found, Hit)


async def test_what_the_index_refuses_is_tried_again(house: House) -> None:
    """A round that could embed an entry but not index it leaves it to the next round."""

    def broken(*args: object) -> None:
        raise IndexFailed("told to fail")

    works = house.index.add
    house.index.add = broken  # type: ignore[method-assign, assignment]
    await house.cache.store(answer("one red apple"))

    assert await house.cache._upkeep.embed() == 0
    assert house.cache.stats().n_unembedded == 1

    house.index.add = works  # type: ignore[method-assign]
    await house.cache._upkeep.embed()

    assert house.cache.stats().n_unembedded == 0
    [found] = await house.near(ask("one red apple"))
    assert isinstance(found, Hit)


async def test_an_encoder_that_fails_does_not_end_the_upkeep(house: House) -> None:
    """Counted, and tried again in the next round."""
    await house.cache.store(answer("one red apple"))

    class Failing(FakeEncoder):
        def encode(self, texts: Sequence[str]) -> Vectors:
            """Fail."""
            raise RuntimeError("no model")

    house.encoder = Failing(encoder_id="fake-2")
    await house.reopen()
    for _ in range(200):
        await asyncio.sleep(0.005)
        if house.cache.stats().n_failures:
            break

    assert house.cache.stats().n_failures == 1
    assert all(not task.done() for task in house.cache._upkeep._tasks)


async def test_without_an_encoder_exact_hits_go_on(house: House) -> None:
    """Nothing is near, no vector in the store is touched, and the next encoder finds all again."""
    await house.cache.store(answer("please tell me how I reset my router at home"))
    encoder, house.encoder = house.encoder, None  # type: ignore[assignment]
    await house.reopen()
    await house.cache.store(answer("please tell me how I sell my router at home"))

    exact = await house.cache.find_exact(ask("please tell me how I reset my router at home"))
    stats = house.cache.stats()

    assert isinstance(exact, Hit)
    assert (stats.n_indexed, stats.n_unembedded) == (0, 0)

    house.encoder = encoder
    await house.reopen()
    for _ in range(400):
        await asyncio.sleep(0.005)
        if house.cache.stats().n_indexed == 2:
            break
    assert house.cache.stats().n_indexed == 2
    assert encoder.n_encoded == 2
