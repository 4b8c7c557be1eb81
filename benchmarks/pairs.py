"""``pairs``: each row alone, one stored prompt and one asked, through the production decision."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import console, metrics
from benchmarks.datasets import Pair, pairs
from benchmarks.encoding import (
    embed_all,
    encode_all,
    original_encoder,
    shipped_encoder,
    shipped_verifier,
)
from benchmarks.errors import UnusableInput
from benchmarks.metrics import Floats
from benchmarks.shipped import plain_request, shipped_policy
from cache.normalize import canonical
from cache.policy import JUDGE_ALL, Candidate, Question, Wording, decide
from cache.ports import PairVerifier
from cache.types import Embedding, MissReason, OperatingPoint
from classifier.encoder import OnnxEncoder
from router import reuse
from router.settings import NamespacePolicy

PRECISIONS = ("0.90", "0.95", "0.98", "0.99")
_MAX_ROWS_NAMED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of one pair.

    Attributes:
        p_right: the decision's probability, 0 where a guard vetoed, 1 where exact.
        similarity: cosine of the two.
        is_served: under the shipped configuration, its rules on texts included.
        reason: why not, None when served.
        decision_ms: time of the decision with both vectors at hand.
    """

    p_right: float
    similarity: float
    is_served: bool
    reason: MissReason | None
    decision_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="rows {a, b, duplicate}")
    parser.add_argument("--static", action="store_true", help="plain cosine beside it")
    parser.add_argument("--split", help="only rows of this split")
    parser.add_argument("--limit", type=int, help="a seeded sample of so many rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", type=Path, help="folder that keeps vectors between runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Judge every row; see BENCHMARKS.md.

    Raises:
        UnusableInput: no rows are left to judge.
    """
    numbered = [
        (number, pair)
        for number, pair in enumerate(pairs(args.file))
        if args.split is None or pair.split == args.split
    ]
    if args.limit is not None and args.limit < len(numbered):
        order = np.random.default_rng(args.seed).permutation(len(numbered))[: args.limit]
        numbered = [numbered[i] for i in sorted(order)]
    if not numbered:
        raise UnusableInput(f"{args.file} has no rows to judge; splits are named by --split")
    rows = [pair for _, pair in numbered]
    encoder, verifier = shipped_encoder(), shipped_verifier()
    texts = [canonical(text) for pair in rows for text in (pair.a, pair.b)]
    embeddings = embed_all(encoder, texts, "encoding")
    policy = shipped_policy()
    subject = Subject(
        policy=policy,
        point=OperatingPoint(min_p_right=verifier.min_p_right(policy.reuse.max_error_rate)),
        verifier=verifier,
        unseen_of=encoder.unseen,
        embeddings=embeddings,
    )
    judged = [judge(pair, subject) for pair in console.track(rows, "deciding", total=len(rows))]
    labels = np.array([pair.duplicate for pair in rows], dtype=np.int64)
    wrong = worst_first(judged, labels)
    if args.show:
        _show([(rows[i], judged[i]) for i in wrong[: args.show]])
    result = figures(judged, labels)
    result["wrong_rows"] = [numbered[i][0] for i in wrong[:_MAX_ROWS_NAMED]]
    result["artifacts"] = {"encoder": encoder.encoder_id, "verifier": verifier.verifier_id}
    if args.static:
        original = original_encoder()
        result["static"] = ranking(_cosines(original, rows, args.vectors), labels)
        shipped = np.array([one.similarity for one in judged])
        result["static_shipped"] = ranking(shipped, labels)
        result["artifacts"]["original_encoder"] = original.encoder_id
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What decides.

    Attributes:
        policy: the namespace's rules.
        point: the namespace's operating point.
        verifier: judges pairs.
        unseen_of: what the encoder does not see of a text.
        embeddings: of every canonical text of the file.
    """

    policy: NamespacePolicy
    point: OperatingPoint
    verifier: PairVerifier
    unseen_of: Callable[[str], str]
    embeddings: Mapping[str, Embedding]

    def wording(self, text: str) -> Wording:
        """Return a canonical text as the decision takes it."""
        return Wording(text, self.unseen_of, self.embeddings[text].tokens)


def judge(pair: Pair, subject: Subject) -> Judged:
    """Take one pair through the production decision: ``a`` is stored, ``b`` asks."""
    a, b = canonical(pair.a), canonical(pair.b)
    cosine = float(subject.embeddings[a].vector @ subject.embeddings[b].vector)
    started = time.perf_counter()
    question = Question(
        asked=subject.wording(b),
        candidates=[Candidate(subject.wording(a), cosine)],
        policy=subject.policy.reuse,
        point=subject.point,
        floor=JUDGE_ALL,
    )
    (decision,) = decide([question], subject.verifier)
    decision_ms = (time.perf_counter() - started) * 1e3
    reason = decision.reason or _rule_against(pair, subject.policy, is_exact=decision.is_exact)
    if cosine < subject.policy.reuse.min_similarity:
        reason = reason or MissReason.NOTHING_SIMILAR  # a lookup would not judge it
    return Judged(
        p_right=decision.p_right or 0.0,
        similarity=cosine,
        is_served=reason is None,
        reason=reason,
        decision_ms=decision_ms,
    )


def _rule_against(pair: Pair, policy: NamespacePolicy, *, is_exact: bool) -> MissReason | None:
    """Return which rule on texts keeps the stored answer from being served, None for no rule."""
    stored, asked = (reuse.judge(plain_request(text), policy) for text in (pair.a, pair.b))
    barrier = asked.barrier or stored.barrier
    if barrier is not None:
        return barrier
    if stored.split.partition != asked.split.partition:
        return MissReason.NOTHING_SIMILAR  # one is personal: they live in two partitions
    return None if is_exact else asked.exact_only or stored.exact_only


def figures(judged: Sequence[Judged], labels: metrics.Ints) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md from what became of each pair."""
    p_right = np.array([one.p_right for one in judged])
    served = np.array([one.is_served for one in judged], dtype=bool)
    n_served, positives = int(served.sum()), int(labels.sum())
    wrong = int((served & (labels == 0)).sum())
    return {
        "n": len(judged),
        "positives": positives,
        **ranking(p_right, labels),
        "p_chr_auc": metrics.p_chr_auc(p_right, labels),
        "default": {
            "served": n_served,
            "wrong": wrong,
            "error_rate": metrics.share(wrong, n_served),
            "error_rate_upper95": metrics.clopper_pearson_upper(wrong, n_served),
            "valid_hit_rate": metrics.share(n_served - wrong, positives),
            "misses": dict(Counter(str(one.reason) for one in judged if one.reason is not None)),
        },
        "ece": metrics.expected_calibration_error(p_right, labels),
        "ms_per_decision": metrics.percentiles([one.decision_ms for one in judged]),
    }


def worst_first(judged: Sequence[Judged], labels: metrics.Ints) -> list[int]:
    """Return which pairs are served and wrong by their label, the surest first."""
    wrong = [i for i, one in enumerate(judged) if one.is_served and not labels[i]]
    return sorted(wrong, key=lambda i: -judged[i].p_right)


def ranking(scores: Floats, labels: metrics.Ints) -> dict[str, Any]:
    """Return ``ap`` and ``recall_at_precision``."""
    return {
        "ap": metrics.average_precision(scores, labels),
        "recall_at_precision": {
            target: metrics.recall_at_precision(scores, labels, float(target))
            for target in PRECISIONS
        },
    }


def _cosines(encoder: OnnxEncoder, rows: Sequence[Pair], keep: Path | None) -> Floats:
    texts = [(canonical(pair.a), canonical(pair.b)) for pair in rows]
    encoded = encode_all(encoder, [text for both in texts for text in both], "encoding", keep)
    a, b = (encoded.of([both[side] for both in texts]) for side in (0, 1))
    return np.asarray(np.einsum("ij,ij->i", a, b, dtype=np.float64))


def _show(cases: Sequence[tuple[Pair, Judged]]) -> None:
    console.show_cases(
        "served, and wrong by the label, the surest first",
        ("stored", "asked", "cosine", "P(right)"),
        [(pair.a, pair.b, f"{j.similarity:.3f}", f"{j.p_right:.3f}") for pair, j in cases],
    )
