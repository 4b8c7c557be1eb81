"""Who is asked how many tokens a request is: nobody whom its namespace or itself forbids."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fakes_requests import chat

from router.errors import ProviderUnavailable, UnknownNamespace
from router.fallback import Fallback, Patience, Upstream
from router.ports import ModelCall
from router.settings import NamespacePolicy, parse
from router.token_counts import TokenCounts
from router.types import Completion, Wishes

_OPEN = parse("", {"OPENAI_API_KEY": "unused"}).default_policy


@dataclass
class Counting:
    """A provider that counts, and notes whom it was asked about."""

    asked: list[str] = field(default_factory=list)
    held: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    is_down: bool = False

    async def complete(self, call: ModelCall) -> Completion:
        raise NotImplementedError

    async def count_tokens(self, call: ModelCall) -> int:
        self.asked.append(call.model)
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        if self.is_down:
            raise ProviderUnavailable("down", kind="http_503")
        return 7

    async def close(self) -> None:
        pass


def counts(provider: Counting, policy: NamespacePolicy, n_keys: int = 1) -> TokenCounts:
    """Count at ``claude`` and at ``other``; one call at a time, and none waits."""

    def ways(model: str) -> list[Upstream]:
        one = Upstream(
            model=model,
            provider_name="p",
            provider=provider,
            provider_model=f"p-{model}",
            max_in_flight=1,
            max_waiting=0,
        )
        return [replace(one, key_name=f"KEY_{n}") for n in range(n_keys)]

    def policy_of(namespace: str) -> NamespacePolicy:
        if namespace != "acme":
            raise UnknownNamespace(namespace)
        return policy

    models = {model: ways(model) for model in ("claude", "other")}
    return TokenCounts(Fallback(models, Patience(), lambda *_: None), policy_of)


@pytest.mark.parametrize("named", ["pinned_model", "baseline_model"])
@pytest.mark.parametrize(
    ("policy", "wishes"),
    [
        ({"allowed_models": ("other",)}, {}),
        ({"pinned_model": "other"}, {}),
        ({}, {"allowed_models": ("other",)}),
    ],
)
async def test_a_model_that_may_not_answer_is_not_told(
    named: str, policy: dict[str, Any], wishes: dict[str, Any]
) -> None:
    """By the namespace's rules and the request's: then the count is an estimate."""
    provider = Counting()
    wished: dict[str, Any] = {named: "claude", **wishes}
    request = chat(wishes=Wishes(**wished))

    counted = await counts(provider, replace(_OPEN, **policy)).of(request)

    assert counted.is_estimate
    assert provider.asked == []


async def test_a_model_that_may_answer_counts() -> None:
    """Also where others are forbidden."""
    provider = Counting()
    policy = replace(_OPEN, allowed_models=("claude",))

    counted = await counts(provider, policy).of(chat(wishes=Wishes(pinned_model="claude")))

    assert (counted.n_tokens, counted.is_estimate) == (7, False)
    assert provider.asked == ["p-claude"]


async def test_a_closed_set_is_closed_to_counts() -> None:
    """Nobody is asked in a namespace that there is not."""
    provider = Counting()
    request = chat(namespace="acne", wishes=Wishes(pinned_model="claude"))

    with pytest.raises(UnknownNamespace):
        await counts(provider, _OPEN).of(request)

    assert provider.asked == []


async def test_a_count_takes_its_place_among_the_providers_calls() -> None:
    """Where there is none, the count is an estimate."""
    provider = Counting(held=asyncio.Event())
    tested, request = counts(provider, _OPEN, n_keys=2), chat(wishes=Wishes(pinned_model="claude"))
    first = asyncio.create_task(tested.of(request))
    await provider.begun.wait()

    second = await tested.of(request)
    assert provider.held is not None
    provider.held.set()

    assert second.is_estimate
    assert not (await first).is_estimate
    assert len(provider.asked) == 1


async def test_the_next_key_is_asked_where_one_fails() -> None:
    """And then there is an estimate."""
    provider = Counting(is_down=True)
    request = chat(wishes=Wishes(pinned_model="claude"))

    assert (await counts(provider, _OPEN, n_keys=2).of(request)).is_estimate
    assert provider.asked == ["p-claude", "p-claude"]
