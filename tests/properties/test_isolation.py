"""Nobody is served an answer that was made for another question, user, tenant or setting.

100,000 made-up pairs and 500 written by hand go through the service's own parts, with an encoder
that finds all texts alike and a verifier that is always sure, so that only rules can stop a hit.
Fewer go through the whole service, gateway and advisor, with the models that are shipped.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
from fakes import FakeClock
from properties import isolation_cases
from properties.isolation_cases import APART, TOGETHER, Case
from properties.isolation_world import SETTINGS, BlindEncoder, world

from cache.types import ReusePolicy
from router.advisor import LookedUp
from router.app import App, build
from router.gateway import Answered
from router.ledger.types import LedgerLine, Outcome
from router.ports import ModelCall
from router.settings import parse
from router.types import (
    Answer,
    Attribution,
    ChatRequest,
    Completion,
    Message,
    Part,
    Role,
    Share,
    Usage,
    Wishes,
)

N_PAIRS = 100_000
N_PAIRS_EACH = -(-N_PAIRS // len(APART))
N_WORLD = 250  # answers in one cache
N_KNOWN_GAPS = 35  # may only fall
N_THROUGH_THE_SERVICE = 2  # of each dimension
BY_HAND = Path(__file__).parents[1] / "data" / "isolation.jsonl"
_HITS = (Outcome.EXACT, Outcome.NEAR)


@pytest.mark.parametrize("dimension", APART)
async def test_requests_that_differ_in_one_dimension_share_no_answer(dimension: str) -> None:
    """The answer is there, as its twin shows, and is served to none of those that differ."""
    rng = Random(f"apart {dimension}")
    n_pairs = n_twins = 0
    while n_pairs < N_PAIRS_EACH:
        async with world() as tested:
            for n in range(N_WORLD):
                case = APART[dimension](rng)
                await tested.keep(case)
                for asked in case.asked:
                    decision = await tested.ask(asked, case.share)
                    assert not decision.is_served, f"{asked} was served the answer to {case.stored}"
                n_pairs += len(case.asked)
                if case.twin is not None and n % 8 == 0:
                    twin = await tested.ask(case.twin, case.share)
                    assert twin.is_served, f"{twin.reason}: {case.twin} after {case.stored}"
                    n_twins += 1
                if n_pairs >= N_PAIRS_EACH:
                    break
            assert not tested.degraded

    assert n_twins or dimension in {
        "personal text of nobody",
        "time-bound text",
        "a time-bound turn before",
    }


@pytest.mark.parametrize("dimension", TOGETHER)
async def test_requests_that_differ_harmlessly_share_their_answers(dimension: str) -> None:
    """What changes no answer costs no second one; and lookups in this world do find."""
    rng = Random(f"together {dimension}")
    async with world() as tested:
        for _ in range(100):
            case = TOGETHER[dimension](rng)
            await tested.keep(case)
            for asked in case.asked:
                decision = await tested.ask(asked, case.share)
                assert decision.is_served, f"{decision.reason}: {asked} after {case.stored}"


def test_what_makes_up_the_cases_knows_no_rule() -> None:
    """A generator that shared code with the rules would share their mistakes."""
    tree = ast.parse(Path(isolation_cases.__file__).read_text(encoding="utf-8"))

    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [name.name for name in node.names]

    ours = {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}
    assert ours == {"router.types"}


def test_the_blind_encoder_leaves_it_to_the_rules() -> None:
    """Of texts that say nothing alike, every pair is similar enough to be served."""
    texts = ["yes", "", "why is the sky blue?", "x" * 5_000, "Wie spät ist es?", "3 mg", "30 mg"]

    vectors = BlindEncoder().encode(texts)

    assert (vectors @ vectors.T).min() > ReusePolicy().min_similarity


# ----------------------------------------------------------------------------------- by hand


def _by_hand() -> list[dict[str, str]]:
    with BY_HAND.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _asks(namespace: str, user: str, text: str) -> ChatRequest:
    return ChatRequest(
        namespace=namespace,
        caller="local",
        messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
        attribution=Attribution(user=user),
    )


async def test_pairs_written_by_hand_are_told_apart_by_rules_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Either way round, for two users: no more slips through than what is known to.

    A pair marked ``known_gap`` differs in a word that no rule knows; there the cache relies on its
    judge alone. Those that are still open are printed.
    """
    rows = _by_hand()
    served = []
    async with world() as tested:
        for n, row in enumerate(rows):
            both = (row["a"], row["b"]), (row["b"], row["a"])
            for way, (stored, asked) in enumerate(both):
                namespace = f"pair-{n}-{way}"
                first = _asks(namespace, "ann", stored)
                await tested.keep(Case(stored=first, asked=(), twin=None))
                if (await tested.ask(_asks(namespace, "bob", asked))).is_served:
                    served.append(row)
                    break

    with capsys.disabled():
        sys.stdout.write(f"\n{len(served)} of {len(rows)} pairs by hand rely on the judge alone:\n")
        for row in served:
            sys.stdout.write(f"  {row['why']}: {row['a']} | {row['b']}\n")
    assert [row for row in served if not row.get("known_gap")] == []


def test_there_are_five_hundred_pairs_by_hand() -> None:
    """All different, each with its reason, and few known to slip through."""
    rows = _by_hand()

    assert len({(row["a"], row["b"]) for row in rows}) == len(rows) >= 500
    assert all(row["a"] != row["b"] and row["why"] for row in rows)
    assert sum(bool(row.get("known_gap")) for row in rows) <= N_KNOWN_GAPS


# ------------------------------------------------------------------------------ the whole service


class Provider:
    """Answers everything; tells the usage it is told to tell."""

    def __init__(self) -> None:
        self.output_tokens: int | None = 100

    async def complete(self, call: ModelCall) -> Completion:
        used = self.output_tokens
        usage = None if used is None else Usage(input_tokens=20, output_tokens=used)
        answer = Answer(text=f"An answer of {call.model}.")
        return Completion(answer=answer, usage=usage, provider_model=call.model)

    async def close(self) -> None:
        pass


class Service:
    """Gateway and advisor of an app, on a clock of their own."""

    def __init__(self, app: App, provider: Provider, clock: FakeClock) -> None:
        self.app = app
        self.clock = clock
        self._provider = provider

    async def answer(self, request: ChatRequest, output_tokens: int | None = 100) -> LedgerLine:
        self._provider.output_tokens = output_tokens
        async for event in self.app.gateway.complete(request, None, is_streamed=False):
            if isinstance(event, Answered):
                return event.line
        raise AssertionError("a request ends with its answer")

    async def look_up(self, request: ChatRequest) -> LookedUp:
        found = await self.app.advisor.look_up(request, None)
        assert isinstance(found, LookedUp)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The app with the shipped models; only the provider is made up."""
    private = "".join(
        f'[namespaces.private-{n}]\nshare = "user"\n' for n in range(N_THROUGH_THE_SERVICE)
    )
    folder = tmp_path_factory.mktemp("isolation")
    settings = parse(SETTINGS + private, {}, overrides={"service.data_folder": str(folder)})
    provider, clock = Provider(), FakeClock()
    async with build(settings, {"puppet": provider}, now_s=clock) as app:
        yield Service(app, provider, clock)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dimension", APART)
async def test_the_doors_of_the_service_keep_requests_apart(
    service: Service, dimension: str
) -> None:
    """Answered at the gateway; advisor and gateway serve it to its own request alone."""
    rng = Random(f"service {dimension}")
    for n in range(N_THROUGH_THE_SERVICE):
        case = APART[dimension](rng)
        stored, asked = case.stored, rng.choice(case.asked)
        if case.share is Share.USER:
            stored, asked = (replace(one, namespace=f"private-{n}") for one in (stored, asked))
        made_by = replace(stored, wishes=Wishes(pinned_model=case.model))

        first = await service.answer(made_by, case.output_tokens)
        service.clock.advance(1.0)

        assert first.outcome is Outcome.MISS
        assert (await service.look_up(asked)).hit is None
        assert (await service.answer(asked)).outcome not in _HITS
        if case.twin is not None:
            assert (await service.look_up(stored)).hit is not None
