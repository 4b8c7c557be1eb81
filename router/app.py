"""The composition root: the only file that names concrete adapters.

``build`` gives an ``App`` that is not yet running: ``await app.start()`` opens and loads, ``await
app.close()`` drains and closes. Benchmarks, replay and tests use it without a server.

What follows from the settings is made in ``router.terms``, which puts others in their place.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack, ExitStack

import numpy as np

from cache.embedded.faiss_index import FaissIndex
from cache.embedded.folder import DataFolder
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.embedded.vault import vault_of
from cache.policy import WordingVerifier
from cache.semantic_cache import SemanticCache
from cache.types import Bounds, Miss, MissReason, OperatingPoint
from classifier.batching import Batcher
from classifier.complexity import ComplexityModel
from classifier.encoder import OnnxEncoder
from classifier.errors import ArtifactError
from classifier.pair import PairModel
from classifier.rules import RuleScorer
from router.advisor import Advisor
from router.assurance import Assurance
from router.audits import Audits
from router.behind import MODELS_FILE, Behind
from router.churn import Churn
from router.comparator import Comparator
from router.conversations import Conversations
from router.decision import Decision
from router.drift import Drift
from router.embeddings import Embeddings
from router.erasure import Eraser
from router.errors import UnknownNamespace
from router.exploring import Exploring
from router.fallback import Adapters
from router.forgotten import Forgotten
from router.gateway import Gateway
from router.learned import Learned
from router.ledger.errors import LedgerError
from router.ledger.retention import Retention
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import FeedbackKind, FeedbackTaken, LedgerLine
from router.lengths import Lengths
from router.metrics import Metrics, Watched
from router.once import Retries
from router.operations import Operations
from router.pipeline import Pipeline
from router.ports import Provider
from router.providers.anthropic import AnthropicProvider
from router.providers.gemini import GeminiProvider
from router.providers.litellm import LitellmProvider
from router.providers.openai import OpenAIProvider
from router.providers.scripted import ScriptedProvider
from router.settings import Calibrated, Key, NamespacePolicy, Settings
from router.settings.privacy import TextBounds
from router.terms import InUse, Lasting, fallback_of, terms_of
from router.understand import Ask, Scorer, Understand, Understanding

_log = logging.getLogger(__name__)
_MAX_BATCH = 16
_GC_ALLOCATIONS = 20_000  # between two looks for cycles; the default looks every few requests
_EXPIRY_INTERVAL_S = 5.0
_ENCODER_DIM = 384
_LATEST_LINES = 20_000  # from which lengths of answers are learned again at the start


_ADAPTERS: Mapping[str, Callable[..., Provider]] = {
    "openai": OpenAIProvider,
    "anthropic": AnthropicProvider,
    "gemini": GeminiProvider,
    "litellm": LitellmProvider,
}


class App:
    """The running parts, joined. Made by ``build``.

    Attributes:
        terms: what requests go by; the parts of those that come now are told by name as well.
        audits, exploring, learned, drift, lengths, embeddings, metrics, cache, ledger: the
            parts that last.
        notices: what is degraded from the start, in words; empty when all is well.
    """

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider] | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.notices: list[str] = []
        self.metrics = Metrics()
        self._now_s = now_s
        self._tasks: list[asyncio.Task[None]] = []
        with ExitStack() as opened:  # what is open is closed where a later part cannot be made
            self._folder = opened.enter_context(DataFolder(settings.service.data_folder))
            vault = vault_of(settings.data_keys.reveal())
            self._retention = retention = retention_of(settings)
            self.ledger = SqliteLedger.open(
                self._folder.path,
                on_failure=self._ledger_failed,
                retention=retention,
                vault=vault,
            )
            opened.callback(self.ledger.close)
            store = self._store = SqliteEntryStore(
                self._folder.file("cache.sqlite"),
                vault=vault,
                rewrite_every_s=retention.rewrite_every_s,
            )
            opened.callback(store.close)
            encoder = self._load_encoder()
            self.embeddings = Embeddings(encoder)
            opened.callback(self.embeddings.close)
            model = self._load_scorer(encoder)
            verifier = self._load_verifier(encoder)
            self.assurance = Assurance(
                store=self.ledger,
                prior=verifier.min_p_right,
                verifier=verifier.verifier_id,
                metrics=self.metrics,
                now_s=now_s,
                words_s=lambda namespace: self._retention.words_s(namespace),
            )
            rules = RuleScorer(model.tiers) if model else RuleScorer()
            self.cache = SemanticCache(
                encoder,
                verifier,
                FaissIndex(_ENCODER_DIM),
                store,
                Bounds(
                    max_entries=settings.cache.max_entries,
                    max_bytes=settings.cache.max_bytes,
                    hot_bytes=settings.cache.hot_bytes,
                ),
                now_s,
                keep_s=retention.keep_s,
            )
            understand = Understand(
                encoder,
                self.cache,
                model,
                rules,
                self.metrics.degraded,
            )
            self._batcher: Batcher[Ask, Understanding] = Batcher(
                understand.run,
                max_batch=_MAX_BATCH,
                workers=max(1, (os.cpu_count() or 1) // 2),
                max_waiting=settings.limits.max_waiting_lookups,
                name="understand",
            )
            opened.callback(self._batcher.shut)
            self._retries = Retries(self.ledger, self._now_ms)
            self._forgotten = Forgotten(now_s)
            self.drift = Drift(
                store=self.ledger,
                calibrated=self._calibrated,
                metrics=self.metrics,
                now_s=now_s,
            )
            behind = Behind(self._folder.file(MODELS_FILE), now_s)
            self.lengths = Lengths(behind.since_s)
            self.learned = Learned(
                store=self.ledger,
                folder=self._folder.path,
                scorer=(model or rules).scorer_id,
                metrics=self.metrics,
                behind=behind,
            )
            comparator = Comparator(None if encoder is None else encoder.encode)
            self.exploring = Exploring(
                learned=self.learned,
                allowance=lambda: self.audits.allowance,
                comparator=comparator,
                false_alarms=self.assurance.false_alarms,
                ledger=self.ledger,
                metrics=self.metrics,
                now_s=now_s,
                forgotten=self._forgotten,
            )
            self.eraser = Eraser(
                self.cache,
                self.ledger,
                now_s,
                forget=self._forget,
                relearn=self._relearn,
            )
            self._lasting = Lasting(
                cache=self.cache,
                ledger=self.ledger,
                evidence=self.assurance,
                eraser=self.eraser,
                metrics=self.metrics,
                retries=self._retries,
                modes={},
                scorer=model or rules,
                understand=self._batcher.submit,
                by_rules=lambda ask: _by_rules(rules, ask),
                point=self.point,
                churn=Churn(self.metrics.partition_churn),
                conversations=Conversations(now_s),
                learned=self.learned,
                exploring=self.exploring,
                on_routed=self._routed,
                on_word=self._heard,
                lengths=self.lengths,
                behind=behind,
                now_s=now_s,
            )
            self._adapters = Adapters(open_provider, providers)
            fallback = fallback_of(settings, self._adapters, self._lasting)
            self.audits = Audits(
                settings=settings,
                comparator=comparator,
                evidence=self.assurance,
                fallback=fallback,
                price=settings.prices.cost_nanos,
                entries=self.cache,
                ledger=self.ledger,
                metrics=self.metrics,
                now_s=now_s,
                forgotten=self._forgotten,
            )
            first = terms_of(settings, self._lasting, fallback, self.audits)
            self.terms = InUse(first, self._lasting, self._adapters, self.audits, self._keep_texts)
            self.metrics.watch(Watched.CACHE_ENTRIES, lambda: self.cache.stats().n_entries)
            self.metrics.watch(Watched.CACHE_BYTES, lambda: self.cache.stats().n_bytes)
            self.metrics.watch(Watched.LEDGER_QUEUE, lambda: self.ledger.stats().n_waiting)
            self.metrics.watch(Watched.CACHE_QUEUE, lambda: store.writer.stats().n_waiting)
            self.metrics.watch(Watched.CHECKS_QUEUE, lambda: len(self.audits))
            opened.pop_all()

    @property
    def settings(self) -> Settings:
        """In use now."""
        return self.terms.now.settings

    @property
    def gateway(self) -> Gateway:
        """By the terms of now."""
        return self.terms.now.gateway

    @property
    def advisor(self) -> Advisor:
        """By the terms of now."""
        return self.terms.now.advisor

    @property
    def operations(self) -> Operations:
        """By the terms of now."""
        return self.terms.now.operations

    @property
    def pipeline(self) -> Pipeline:
        """By the terms of now."""
        return self.terms.now.pipeline

    def _now_ms(self) -> int:
        return int(self._now_s() * 1e3)

    async def start(self) -> None:
        """Load the cache and the modes; exact and near lookups work when this returns.

        Raises:
            CacheError, LedgerError: the data cannot be read; the message says what to do.
        """
        await self._lasting.behind.keep()
        await self.cache.start()
        self._lasting.modes.update(await self.ledger.modes())
        await self.assurance.load()
        await self.drift.load()
        self.lengths.learn_all(await self.ledger.latest_calls(_LATEST_LINES))
        await self.learned.load()
        await self.audits.start()
        await self.exploring.start()
        gc.collect()
        gc.freeze()  # what was loaded stays; looking at it again and again would stall the loop
        gc.set_threshold(_GC_ALLOCATIONS, 20, 50)
        self._tasks = [
            asyncio.create_task(self._expire_forever()),
            asyncio.create_task(self.assurance.keep_fresh()),
            asyncio.create_task(self.drift.keep_fresh()),
            asyncio.create_task(self.learned.keep_fresh()),
        ]

    async def close(self) -> None:
        """Stop what is in flight, write what waits, close everything, let go of the folder."""
        async with AsyncExitStack() as last_first:  # a step that fails keeps none from running
            last_first.callback(gc.unfreeze)  # else what refers to itself would stay for ever
            last_first.callback(self._folder.close)
            last_first.push_async_callback(self.ledger.aclose)
            last_first.push_async_callback(self.cache.close)
            last_first.push_async_callback(self._adapters.close_but, ())
            last_first.push_async_callback(self._batcher.close)
            last_first.callback(self.embeddings.close)
            last_first.push_async_callback(self._end_tasks)
            last_first.push_async_callback(self.eraser.stop)
            last_first.push_async_callback(self.audits.stop)
            last_first.push_async_callback(self.exploring.stop)
            last_first.push_async_callback(self._retries.stop)
            last_first.push_async_callback(self.terms.stop)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> App:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _load_encoder(self) -> OnnxEncoder | None:
        try:
            return OnnxEncoder.load()
        except ArtifactError as error:
            self._notice("encoder", f"no near-duplicates, exact hits only: {error}")
            return None

    def _load_scorer(self, encoder: OnnxEncoder | None) -> ComplexityModel | None:
        if encoder is None:
            self._notice("classifier", "rules score instead: there is no encoder")
            return None
        try:
            return ComplexityModel.load(encoder_id=encoder.encoder_id)
        except ArtifactError as error:
            self._notice("classifier", f"rules score instead: {error}")
            return None

    def _load_verifier(self, encoder: OnnxEncoder | None) -> PairModel | WordingVerifier:
        if encoder is None:
            return WordingVerifier()  # it will not be asked: without vectors nothing is near
        try:
            return PairModel.load(encoder_id=encoder.encoder_id)
        except ArtifactError as error:
            self._notice("verifier", f"cosine and wording judge instead: {error}")
            return WordingVerifier()

    def point(self, namespace: str, policy: NamespacePolicy) -> OperatingPoint:
        """Return from which P(right) on a namespace serves near-duplicates now."""
        return self.assurance.point(namespace, policy.reuse)

    def _calibrated(self, namespace: str) -> Calibrated | None:
        """Return what a namespace's routing was calibrated to; None where it is not, or is gone."""
        try:
            return self.settings.policy(namespace).calibrated
        except UnknownNamespace:
            return None

    def _routed(self, decision: Decision, line: LedgerLine) -> None:
        """Tell whoever learns of routing that a request was routed."""
        self.drift.note(line)
        reuse, embedding = decision.reuse, decision.embedding
        is_open = not decision.request.cache_control.is_no_store
        is_known = reuse is not None and not reuse.is_personal and embedding is not None
        if line.choice is not None and is_open and is_known and embedding is not None:
            self.learned.saw(line.line_id, embedding.vector, decision.scores)

    def _heard(self, taken: FeedbackTaken, kind: FeedbackKind) -> None:
        """Tell them what a caller says of an answer, if it is that of the model routing chose."""
        line = taken.line
        if kind is FeedbackKind.NOT_ADEQUATE:
            self.drift.fell_short(line, taken.chosen)
        on_answers = kind in (FeedbackKind.ADEQUATE, FeedbackKind.NOT_ADEQUATE)
        if on_answers and line.model == taken.chosen:
            is_adequate = kind is FeedbackKind.ADEQUATE
            self.learned.told(
                line.line_id,
                line.namespace,
                line.model,
                is_adequate=is_adequate,
                at_s=line.at_ms / 1e3,
            )

    def _forget(self, user: str, namespace: str, entries: Collection[int]) -> None:
        self.advisor.forget()
        self.learned.forget()
        self._forgotten.forget(user, namespace, entries)

    async def _relearn(self) -> None:
        await self.assurance.relearn()
        await self.learned.relearn()

    def _keep_texts(self, settings: Settings) -> None:
        """Keep texts for as long as other settings say, those that are there included."""
        retention = retention_of(settings)
        if retention == self._retention:
            return
        self._retention = retention
        self.ledger.keep(retention)
        self.cache.keep(retention.keep_s)
        self._store.tidying.every_s = retention.rewrite_every_s

    def _notice(self, part: str, consequence: str) -> None:
        _log.warning("degraded: %s: %s", part, consequence)
        self.metrics.degraded(part)
        self.notices.append(f"{part}: {consequence}")

    def _ledger_failed(self, error: LedgerError) -> None:
        _log.error("a ledger line was lost: %s", error)
        self.metrics.degraded("ledger")

    async def _expire_forever(self) -> None:
        """Close the lines of tickets nobody brought back."""
        while True:
            n_expired = 0
            try:
                n_expired = await self.ledger.expire_tickets(self._now_ms())
                self.metrics.tickets_expired(n_expired)
            except Exception:  # noqa: BLE001  the outermost edge of this task
                _log.exception("expired tickets could not be closed; trying again")
                self.metrics.degraded("ledger")
            if n_expired:
                continue  # work per call is bounded, and there may be more
            await asyncio.sleep(_EXPIRY_INTERVAL_S)


def build(
    settings: Settings,
    providers: Mapping[str, Provider] | None = None,
    *,
    now_s: Callable[[], float] = time.time,
) -> App:
    """Join the parts. Opens the data folder and loads the models; blocks for about a second.

    Args:
        settings: from ``router.settings.load``.
        providers: adapters by provider name that replace those of the settings, for tests.
        now_s: seconds since the epoch.

    Raises:
        OpenRefused, LedgerRefused: the data folder cannot be used; the message says what to do.
    """
    return App(settings, providers, now_s=now_s)


def retention_of(settings: Settings) -> Retention:
    """Return how long texts are kept; of namespaces that the settings do not know, as of others."""
    bounds = TextBounds.of(settings)
    every_s = bounds.rewrite_every_s
    return Retention() if every_s is None else Retention(keep_s=bounds, rewrite_every_s=every_s)


def _by_rules(rules: Scorer, ask: Ask) -> Understanding:
    scores = rules.score(np.zeros((1, 0), dtype=np.float32), [ask.shape])
    query = ask.query
    found = Miss(reason=query.exact_only or MissReason.CACHE_DEGRADED) if query else None
    return Understanding(
        found=found, embedding=None, scores=tuple(scores[0].tolist()), scorer_id=rules.scorer_id
    )


def open_provider(settings: Settings, name: str, key: Key) -> Provider:
    """Return the adapter of a configured provider under one of its keys; the caller closes it."""
    spec = settings.providers[name]
    if spec.kind == "scripted":
        return ScriptedProvider(wait_ms=20.0)
    adapter = _ADAPTERS[spec.kind]
    return adapter(spec.base_url, key.secret.reveal, max_connections=spec.max_connections)
