"""The reuse decision: may one of these stored answers serve this prompt? Pure.

``decide`` is the only way to a near-duplicate hit; lookups, explanations and benchmarks all take
it. Of the candidates, most similar first, it goes on with those above the floor and asks of each,
in this order:

1. is it refused on its own account (expired, model, length)?
2. is the same text meant? Then it serves, with probability 1;
3. do the parts outside the encoder's window differ?  BEYOND_WINDOW
4. does a guard object (numbers, negation, ...), or doubt?
5. how probable is it that its answer is right, and is it similar enough?  BELOW_THRESHOLD

The most probable candidate that passes is served. When none does, the miss carries the reason of
the most similar candidate, so that the same candidates always give the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cache.guards import Facts, facts_of, objection
from cache.ports import PairVerifier
from cache.types import MissReason, ReusePolicy
from cache.wording import is_other_wording

JUDGED_FROM = 0.80
"""Cosine below which no candidate is judged, unless the policy's own floor is lower still."""

MIN_P_RIGHT = 0.8
"""P(right) below which no near-duplicate is served, however alike; see ``WordingVerifier``."""


def remembered_facts(text: str) -> Facts:
    """Return ``facts_of`` a text; guards and verifier ask for the same ones within moments."""
    return _short_facts(text) if len(text) <= _MEMORY_CHARS else facts_of(text)


_MEMORY_CHARS = 1_000
_short_facts = lru_cache(maxsize=2_048)(facts_of)


class Wording:
    """A canonical text with what the decision wants to know of it, worked out when first asked."""

    __slots__ = ("_facts", "_unseen", "_unseen_of", "text")

    def __init__(self, text: str, unseen_of: Callable[[str], str]) -> None:
        self.text = text
        self._unseen_of = unseen_of
        self._facts: Facts | None = None
        self._unseen: str | None = None

    @property
    def facts(self) -> Facts:
        """What the guards compare."""
        if self._facts is None:
            self._facts = remembered_facts(self.text)
        return self._facts

    @property
    def unseen(self) -> str:
        """The part outside the encoder's window."""
        if self._unseen is None:
            self._unseen = self._unseen_of(self.text)
        return self._unseen


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored prompt under judgement.

    Attributes:
        wording: its text.
        similarity: cosine to the query.
        refusal: why it may not serve whatever it says, None when it may.
    """

    wording: Wording
    similarity: float
    refusal: MissReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, and why.

    Attributes:
        served: position of the candidate that serves, None when none does.
        reason: why none serves, None when one does.
        p_right: P(its answer is right) of the served candidate, else of the most similar one: 0
            where a guard vetoed, None where nothing was judged.
        is_exact: the texts are equal.
    """

    served: int | None
    reason: MissReason | None
    p_right: float | None
    is_exact: bool = False


class WordingVerifier:
    """P(same answer) from cosine and wording, until a trained verifier takes its place.

    Texts that say the same words in the same order: a logistic curve of the cosine. Texts that do
    not (``cache.wording``): at most 0.75, whatever the cosine, for there it tells little: among
    such pairs above 0.80 that the guards let pass, 76 % of Quora's were right, 63 % of CheckList's
    and 41 % of PAWS', and over all sets a higher cosine made none surer. Fitted by maximum
    likelihood to 2,874 such training pairs (Quora, CheckList, PAWS-Wiki, antonyms, medical; every
    set with the same weight). Right for these on average, and no calibration for other traffic.
    """

    def p_same_answer(
        self, query: str, candidates: Sequence[str], similarities: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return P(same answer) for each candidate, shape (len(candidates),)."""
        asked = remembered_facts(query)
        return np.array(
            [
                _p_other_wording(similarity)
                if is_other_wording(asked, remembered_facts(candidate))
                else _p_same_wording(similarity)
                for candidate, similarity in zip(candidates, similarities.tolist(), strict=True)
            ],
            dtype=np.float32,
        )


def _p_same_wording(similarity: float) -> float:
    return 1 / (1 + math.exp(-30.3 * (similarity - 0.851)))


def _p_other_wording(similarity: float) -> float:
    return 0.75 / (1 + math.exp(-13.0 * (similarity - 0.79)))


def floor_of(policy: ReusePolicy, judged_from: float = JUDGED_FROM) -> float:
    """Return the cosine from which on candidates are judged."""
    return min(judged_from, policy.min_similarity)


def decide(
    asked: Wording,
    candidates: Sequence[Candidate],
    policy: ReusePolicy,
    verifier: PairVerifier,
    *,
    judged_from: float = JUDGED_FROM,
) -> Decision:
    """Decide which candidate serves; see the module's docstring.

    Args:
        asked: the query.
        candidates: of the query's partition, most similar first.
        policy: the namespace's thresholds.
        verifier: gives P(same answer) for candidates that nothing objects to.
        judged_from: cosine floor; -1 judges everything, as explanations do.
    """
    if not candidates or candidates[0].similarity < floor_of(policy, judged_from):
        return Decision(served=None, reason=MissReason.NOTHING_SIMILAR, p_right=None)
    # Only what may be served is judged, and the most similar one for its reason.
    judged = [
        i for i, c in enumerate(candidates) if i == 0 or c.similarity >= policy.min_similarity
    ]
    objections = {i: _objection(asked, candidates[i]) for i in judged}
    p_right = _probabilities(asked, candidates, [i for i in judged if not objections[i]], verifier)
    passing = [i for i in p_right if _passes(asked, candidates[i], p_right[i], policy)]
    if passing:
        served = max(passing, key=lambda i: (p_right[i], -i))
        return Decision(
            served=served,
            reason=None,
            p_right=p_right[served],
            is_exact=candidates[served].wording.text == asked.text,
        )
    if candidates[0].refusal is not None:
        return Decision(served=None, reason=candidates[0].refusal, p_right=None)
    reason = objections[0] or MissReason.BELOW_THRESHOLD
    return Decision(served=None, reason=reason, p_right=p_right.get(0, 0.0))


def _objection(asked: Wording, candidate: Candidate) -> MissReason | None:
    wording = candidate.wording
    if candidate.refusal is not None or wording.text == asked.text:
        return candidate.refusal
    if wording.unseen != asked.unseen:
        return MissReason.BEYOND_WINDOW
    found = objection(asked.facts, wording.facts)
    return found.guard if found else None  # a cosine is never sure enough to overlook a doubt


def _passes(asked: Wording, candidate: Candidate, p_right: float, policy: ReusePolicy) -> bool:
    if candidate.wording.text == asked.text:
        return True
    return candidate.similarity >= policy.min_similarity and p_right >= MIN_P_RIGHT


def _probabilities(
    asked: Wording, candidates: Sequence[Candidate], which: Sequence[int], verifier: PairVerifier
) -> dict[int, float]:
    p_right = {i: 1.0 for i in which if candidates[i].wording.text == asked.text}
    others = [i for i in which if i not in p_right]
    if others:
        similarities = np.array([candidates[i].similarity for i in others], dtype=np.float32)
        texts = [candidates[i].wording.text for i in others]
        p_same = verifier.p_same_answer(asked.text, texts, similarities)
        p_right.update(zip(others, map(float, p_same), strict=True))
    return p_right
