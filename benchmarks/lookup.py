"""``lookup``: a near-duplicate look-up in a full cache, against one run of the bare encoder.

In process and one at a time, without gRPC: the texts are stored through the service's own cache in
a folder that vanishes, the service is opened anew, so that every text and answer is read from disk,
and then each query is encoded alone and looked up in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import console, metrics
from benchmarks.datasets import read_rows
from benchmarks.encoding import embed_all, shipped_encoder, shipped_verifier
from benchmarks.errors import UnusableInput
from benchmarks.load_texts import distinct_texts, paraphrases
from benchmarks.shipped import NAMESPACE, shipped_policy, shipped_settings
from cache.embedded.faiss_index import FaissIndex
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.normalize import canonical
from cache.semantic_cache import SemanticCache
from cache.types import Draft, Embedding, Hit, Miss, OperatingPoint, PartitionKey, Query
from classifier.encoder import OnnxEncoder
from router.app import build

STAGES = ("encode", "search", "read", "judge")
_PARTITION = PartitionKey(sha256(b"benchmarks lookup").digest())
_ANSWER = b"An answer of the length that answers have. " * 28  # 1.2 KB
_STORED_AT_ONCE = 512
_WARM_UP = 20
_MIN_P_RIGHT = 0.9
_UNLIKE_ANY = "zebra crossings sing softly in hexadecimal"  # near to no entry: nothing gets warm


@dataclass(frozen=True, slots=True)
class Texts:
    """What is stored, and other wordings that ask; no query is stored."""

    entries: list[str]
    queries: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """One query: the bare encoder's run, the whole look-up, and the look-up's stages.

    Attributes:
        bare_ms: of the encoder, run by itself.
        total_ms: of the look-up, its own run of the encoder included.
        stages_ms: of ``STAGES``; they add up to ``total_ms``. ``judge`` is all that is neither
            encoder, index nor store: guards and verifier above all.
        is_judged: a candidate was near enough to be judged.
        is_hit: one of them serves.
    """

    bare_ms: float
    total_ms: float
    stages_ms: tuple[float, ...]
    is_judged: bool
    is_hit: bool


@dataclass(slots=True)
class Spent:
    """Time spent in one method since it was last taken, and the object it was last called on."""

    ms: float = 0.0
    owner: Any = None

    def take(self) -> float:
        """Return the time and begin anew."""
        ms, self.ms = self.ms, 0.0
        return ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="rows {text, group?} to store, topped up with made texts; default: made texts alone",
    )
    parser.add_argument(
        "--entries", type=int, default=100_000, metavar="N", help="stored; default 100000"
    )
    parser.add_argument(
        "--queries", type=int, default=500, metavar="N", help="looked up; default 500"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of texts and order")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; see README.md.

    Raises:
        UnusableInput: an option is out of range, or the service starts without its encoder.
    """
    for name in ("entries", "queries"):
        if getattr(args, name) < 1:
            raise UnusableInput(f"--{name} is at least 1, got {getattr(args, name)}")
    texts = texts_of(args.file, args.entries, args.queries, args.seed)
    encoder = shipped_encoder()
    stored = [canonical(text) for text in texts.entries]
    embeddings = embed_all(encoder, stored, "encoding the entries")
    found, open_s = asyncio.run(_measured(texts, encoder, embeddings))
    return {
        **figures(found),
        "entries": len(stored),
        "open_s": open_s,
        "artifacts": {
            "encoder": encoder.encoder_id,
            "verifier": shipped_verifier().verifier_id,
        },
    }


def texts_of(file: Path | None, n_entries: int, n_queries: int, seed: int) -> Texts:
    """Return texts to store and other wordings of some of them.

    Of the file's groups one text is stored and another asks; where it has too few of them, or no
    file is given, wordings are made that differ in greeting, punctuation and upper case.

    Args:
        file: rows with ``text`` and perhaps ``group``; None: no file.
        n_entries: at least 1.
        n_queries: at least 1.
        seed: of order and made texts.

    Raises:
        DatasetError, UnusableInput: the file cannot be read, or holds a row without text.
    """
    pairs, alone = ([], []) if file is None else _of_file(file, seed)
    pairs = pairs[: min(n_queries, n_entries)]
    queries = [asked for _, asked in pairs]
    known = set(map(canonical, queries))
    entries: dict[str, str] = {}
    made = islice(distinct_texts(seed), n_entries + len(known))
    for text in (*(stored for stored, _ in pairs), *alone, *made):
        if len(entries) == n_entries:
            break
        if canonical(text) not in known:
            entries.setdefault(canonical(text), text)
    known |= entries.keys()
    stored = list(entries.values())
    for wording in paraphrases(stored[: max(1, n_queries)], seed):
        if len(queries) >= n_queries:
            break
        if canonical(wording) not in known:
            queries.append(wording)
    return Texts(stored, queries)


def _of_file(file: Path, seed: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (stored, asked) for each group of at least two texts, and the other texts."""
    rows = list(read_rows(file))
    by_group: dict[str, list[str]] = {}
    for number in np.random.default_rng(seed).permutation(len(rows)).tolist():
        text = rows[number].get("text")
        if not isinstance(text, str):
            raise UnusableInput(f"{file}, row {number + 1}: expected a string in 'text'")
        group = str(rows[number].get("group", f"row {number}"))
        by_group.setdefault(group, []).append(text)
    pairs, alone = [], []
    for texts in by_group.values():
        others = [text for text in texts[1:] if canonical(text) != canonical(texts[0])]
        if others:
            pairs.append((texts[0], others[0]))
        alone += [texts[0], *others[1:]]
    return pairs, alone


async def _measured(
    texts: Texts, encoder: OnnxEncoder, embeddings: Mapping[str, Embedding]
) -> tuple[list[LookedUp], float]:
    """Return what was measured, and the seconds that opening the full cache took."""
    with tempfile.TemporaryDirectory(prefix="scrimp-lookup-") as folder:
        settings = shipped_settings(
            {
                "service.data_folder": folder,
                "cache.max_entries": max(len(texts.entries), shipped_settings().cache.max_entries),
            }
        )
        async with build(settings) as app:
            if any(notice.startswith("encoder") for notice in app.notices):
                raise UnusableInput(f"the service is degraded: {'; '.join(app.notices)}")
            await _store(app.cache, texts.entries, embeddings)
        console.say("opening the full cache")
        started = time.perf_counter()
        async with build(settings) as app:
            open_s = time.perf_counter() - started
            found = await asyncio.to_thread(looked_up, app.cache, encoder, texts.queries)
    return found, open_s


async def _store(
    cache: SemanticCache, texts: Sequence[str], embeddings: Mapping[str, Embedding]
) -> None:
    """Store all texts, many at a time: those that wait share a commit."""
    ttl_s = shipped_policy().reuse.ttl_s
    starts = range(0, len(texts), _STORED_AT_ONCE)
    for start in console.track(starts, "storing", len(starts)):
        if start and start % (20 * _STORED_AT_ONCE) == 0:
            console.say(f"stored {start:,} of {len(texts):,}")
        drafts = (
            Draft(
                partition=_PARTITION,
                namespace=NAMESPACE,
                text=text,
                answer=_ANSWER,
                model="",
                input_tokens=None,
                output_tokens=None,
                ttl_s=ttl_s,
                embedding=embeddings[canonical(text)],
            )
            for text in texts[start : start + _STORED_AT_ONCE]
        )
        await asyncio.gather(*map(cache.store, drafts))


def looked_up(cache: SemanticCache, encoder: OnnxEncoder, queries: Sequence[str]) -> list[LookedUp]:
    """Encode and look up each query, by turns in either order, after a few that do not count.

    Args:
        cache: full, and just opened. Index and store are the embedded ones.
        encoder: the cache's.
        queries: any number.
    """
    found = []
    with timed(FaissIndex, "search") as search, timed(SqliteEntryStore, "read") as read:
        for _ in range(_WARM_UP):
            _look_up(cache, encoder, _UNLIKE_ANY, search, read)
            search.owner.settle(
                wait=True
            )  # after a start the index makes its codes in its own time
        for number, text in enumerate(console.track(queries, "looking up", len(queries))):
            is_bare_first = number % 2 == 1
            bare_ms = _bare(encoder, text) if is_bare_first else 0.0
            stages_ms, outcome = _look_up(cache, encoder, text, search, read)
            found.append(
                LookedUp(
                    bare_ms=bare_ms if is_bare_first else _bare(encoder, text),
                    total_ms=sum(stages_ms),
                    stages_ms=stages_ms,
                    is_judged=outcome.p_right is not None,
                    is_hit=isinstance(outcome, Hit),
                )
            )
    return found


def _bare(encoder: OnnxEncoder, text: str) -> float:
    started = time.perf_counter()
    encoder.encode([canonical(text)])
    return (time.perf_counter() - started) * 1e3


def _look_up(
    cache: SemanticCache, encoder: OnnxEncoder, text: str, search: Spent, read: Spent
) -> tuple[tuple[float, ...], Hit | Miss]:
    started = time.perf_counter()
    embeddings = encoder.embed([canonical(text)])
    encoded = time.perf_counter()
    query = Query(
        partition=_PARTITION,
        text=text,
        policy=shipped_policy().reuse,
        permit=lambda _: None,
        point=OperatingPoint(min_p_right=_MIN_P_RIGHT),
    )
    (found,) = cache.find_near([query], embeddings)
    ended = time.perf_counter()
    search_ms, read_ms = search.take(), read.take()
    near_ms = (ended - encoded) * 1e3
    encode_ms = (encoded - started) * 1e3
    return (encode_ms, search_ms, read_ms, near_ms - search_ms - read_ms), found


@contextmanager
def timed(owner: type, method: str) -> Iterator[Spent]:
    """Time every call of a class's method while the block lasts; for one thread."""
    spent = Spent()
    original: Callable[..., Any] = getattr(owner, method)

    def call(self: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401  whatever it takes
        spent.owner = self
        started = time.perf_counter()
        try:
            return original(self, *args, **named)
        finally:
            spent.ms += (time.perf_counter() - started) * 1e3

    setattr(owner, method, call)
    try:
        yield spent
    finally:
        setattr(owner, method, original)


def figures(found: Sequence[LookedUp]) -> dict[str, Any]:
    """Return the figures of README.md for what was measured.

    Args:
        found: at least one.
    """
    bare = metrics.percentiles([one.bare_ms for one in found])
    total = metrics.percentiles([one.total_ms for one in found])
    stages = np.array([one.stages_ms for one in found])
    shares = stages.sum(axis=0) / stages.sum()
    return {
        "queries": len(found),
        "judged": sum(one.is_judged for one in found),
        "hits": sum(one.is_hit for one in found),
        "encode_ms": bare,
        "lookup_ms": total,
        "ratio_p50": _ratio(total["p50"], bare["p50"]),
        "ratio_p99": _ratio(total["p99"], bare["p99"]),
        "stages": {
            name: {**metrics.percentiles(stages[:, n].tolist()), "share": float(shares[n])}
            for n, name in enumerate(STAGES)
        },
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
