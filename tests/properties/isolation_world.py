"""The service's own parts around two fakes that would serve anything: only rules can stop a hit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from unittest.mock import Mock

import numpy as np
from fakes import FakeClock, FakeEmbedding, MemoryEntryStore
from numpy.typing import NDArray
from properties.isolation_cases import Case

from cache.embedded.faiss_index import FaissIndex
from cache.ports import Prompt
from cache.semantic_cache import SemanticCache
from cache.types import Bounds, OperatingPoint, Vectors
from classifier.rules import RuleScorer
from router.choose import Chooser, Pool
from router.conversations import Conversations
from router.decision import Decider, Decision
from router.pipeline import Pipeline
from router.scales import Scale
from router.settings import parse
from router.types import Answer, ChatRequest, Completion, Share, Usage
from router.understand import Ask, Understand, Understanding

_DIM = 16
_HEAD, _TAIL = 94, 32  # words; the shipped encoder's window in tokens

SETTINGS = """
[providers.puppet]
kind = "scripted"

[models.small]
provider = "puppet"
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.6
capabilities = ["tools", "vision", "json"]
ability = 50.0

[models.large]
provider = "puppet"
input_usd_per_mtok = 2.5
output_usd_per_mtok = 10.0
capabilities = ["tools", "vision", "json"]
ability = 50.0

[models.weak]
provider = "puppet"
input_usd_per_mtok = 0.01
output_usd_per_mtok = 0.01
capabilities = ["tools", "vision", "json"]
ability = -50.0

[routing]
baseline = "large"
"""


class BlindEncoder:
    """Sees hardly a difference between any two texts: all cosines are above 0.98."""

    encoder_id = "blind-1"
    dim = _DIM

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one direction, and a little noise by which no two texts are quite equal."""
        noise = b"".join(blake2b(text.encode(), digest_size=_DIM).digest() for text in texts)
        rows = np.frombuffer(noise, dtype=np.uint8).reshape(-1, _DIM) * np.float32(0.4 / 255) + 0.8
        rows /= np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        return rows.astype(np.float32)

    def embed(self, texts: Sequence[str]) -> list[FakeEmbedding]:
        """Return vectors alone."""
        return [FakeEmbedding(vector) for vector in self.encode(texts)]

    def unseen(self, text: str) -> str:
        """Return the middle of a long text."""
        words = text.split()
        return " ".join(words[_HEAD:-_TAIL]) if len(words) > _HEAD + _TAIL else ""


class Credulous:
    """Takes every two prompts for the same."""

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return certainty."""
        return np.ones(len(asked), dtype=np.float32)


class World:
    """A cache with deciders for each policy of sharing. Made by ``world``."""

    def __init__(self, cache: SemanticCache, encoder: BlindEncoder, clock: FakeClock) -> None:
        rules = RuleScorer()
        self.degraded: list[str] = []
        stage = Understand(encoder, cache, None, rules, self.degraded.append)

        async def understand(ask: Ask) -> Understanding:
            return stage.run([ask])[0]

        self._clock = clock
        self._pipelines: dict[Share, Pipeline] = {}
        self._deciders: dict[Share, Decider] = {}
        for share in Share:
            settings = parse(SETTINGS, {}, overrides={"cache.share": share.value})
            pool = Pool.of(settings)
            scale = Scale(pool, rules)
            self._deciders[share] = Decider(
                settings=settings,
                modes={},
                cache=cache,
                understand=understand,
                rules=lambda ask: stage.run([ask])[0],
                choice=Chooser(pool, scale.p_adequate, scale.typical()),
                point=lambda namespace, policy: OperatingPoint(min_p_right=0.5),
                now_s=clock,
                on_degraded=self.degraded.append,
                on_miss=lambda namespace, reuse: None,
            )
            self._pipelines[share] = Pipeline(
                conversations=Conversations(clock),
                settings=settings,
                decider=self._deciders[share],
                cache=cache,
                ledger=Mock(),
                accountant=Mock(),
                audits=Mock(),
                metrics=Mock(),
                now_s=clock,
            )

    async def ask(self, request: ChatRequest, share: Share = Share.NAMESPACE) -> Decision:
        """Return what is decided on a request."""
        return await self._deciders[share].decide(request)

    async def keep(self, case: Case) -> None:
        """Answer the case's first request, and keep the answer if the rules let it."""
        decision = await self.ask(case.stored, case.share)
        assert not decision.is_served, f"nothing was stored, and yet {decision.hit} serves {case}"
        used = case.output_tokens
        completion = Completion(
            answer=Answer(text="the stored answer"),
            usage=None if used is None else Usage(input_tokens=20, output_tokens=used),
        )
        await self._pipelines[case.share].keep(decision, completion, case.model)
        self._clock.advance(1.0)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A world without an answer in it."""
    encoder, clock = BlindEncoder(), FakeClock()
    cache = SemanticCache(
        encoder, Credulous(), FaissIndex(_DIM), MemoryEntryStore(), Bounds(), clock
    )
    await cache.start()
    made = World(cache, encoder, clock)
    try:
        yield made
    finally:
        await cache.close()
