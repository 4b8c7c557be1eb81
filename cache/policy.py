"""The reuse decision: may one of these stored answers serve this prompt? Pure.

``decide`` is the only way to a near-duplicate hit; lookups, explanations and benchmarks all take
it. The candidates above the floor, of all queries that wait, are judged together: the verifier says
how probable it is that each one's answer is right, and then, from a query's most probable one on,
each is asked, in this order:

1. is it refused on its own account (expired, model, length)?
2. is the same text meant? Then it serves, with probability 1;
3. was it reported wrong for this very text?                    REFUTED
4. do the parts outside the encoder's window differ?            BEYOND_WINDOW
5. does a guard veto it (numbers, negation, ...)?               GUARD_...
6. is it probable enough for the operating point, and where it says other words, far more so?
                                                                BELOW_THRESHOLD, THIN_EVIDENCE
7. does a guard doubt it, where the verifier is not very sure?  GUARD_...
8. did pairs that differ in this way turn out wrong here?       BARRED

The first that passes is served. When none does, the miss carries the reason of the most probable
candidate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cache.guards import Facts, facts_of, objection
from cache.ports import PairVerifier, Prompt
from cache.traits import traits_of_pair
from cache.types import MissReason, OperatingPoint, ReusePolicy
from cache.wording import is_other_wording

JUDGE_ALL = -1.0
"""A cosine floor that lets everything be judged, as explanations do."""

SURER = 4.0
"""How many times smaller P(wrong) must be where there is a doubt, or an entry was wrong before."""

_MOST_TIMES = 16  # beyond that nothing is sure enough anyway

_SURER_OF_OTHER_WORDS = 20.0
"""The same for texts that do not say the same words that carry meaning, in the same order.

There the verifier is wrong in kinds its calibration did not hold: one more condition ("flights
from A to B" for "cheap direct flights from A to B"), one other thing asked ("airlines" for
"flights"). Of what a stream of questions to a domain that no training saw was served from P(right)
.94 on, 42 % was wrong without this, and 5 % with it, most of that by its labels alone; Quora's
paraphrases fell from 212 right and 13 wrong to 96 and 2.
"""


def remembered_facts(text: str) -> Facts:
    """Return ``facts_of`` a text; guards and verifier ask for the same ones within moments."""
    return _short_facts(text) if len(text) <= _MEMORY_CHARS else facts_of(text)


_MEMORY_CHARS = 1_000
_short_facts = lru_cache(maxsize=2_048)(facts_of)


def forget_facts() -> None:
    """Forget the texts whose facts are remembered."""
    _short_facts.cache_clear()


class Wording:
    """A canonical text with what the decision wants to know of it, worked out when first asked.

    Attributes:
        text: the text.
        tokens: its token vectors for the verifier; empty where there are none.
    """

    __slots__ = ("_facts", "_unseen", "_unseen_of", "text", "tokens")

    def __init__(self, text: str, unseen_of: Callable[[str], str], tokens: bytes = b"") -> None:
        self.text = text
        self.tokens = tokens
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
        n_refuted: how many texts its answer was reported wrong for; makes it stricter.
        is_refuted: this very text is one of them.
    """

    wording: Wording
    similarity: float
    refusal: MissReason | None = None
    n_refuted: int = 0
    is_refuted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query with what might serve it.

    Attributes:
        asked: the query.
        candidates: of the query's partition, most similar first.
        policy: the namespace's rules.
        point: the namespace's operating point.
        floor: cosine from which on candidates are judged, None: the policy's.
    """

    asked: Wording
    candidates: Sequence[Candidate]
    policy: ReusePolicy
    point: OperatingPoint
    floor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, and why.

    Attributes:
        served: position of the candidate that serves, None when none does.
        best: position of the most probable candidate; None where none was judged.
        reason: why none serves, None when one does.
        p_right: P(its answer is right) of the served candidate, else of the most probable one: 0
            where a guard vetoed, None where nothing was judged.
        is_exact: the texts are equal.
    """

    served: int | None
    reason: MissReason | None
    p_right: float | None
    best: int | None = None
    is_exact: bool = False


class WordingVerifier:
    """P(same answer) from cosine and wording: what judges when the trained pair model is missing.

    Texts that say the same words in the same order: a logistic curve of the cosine. Texts that do
    not (``cache.wording``): at most 0.75, whatever the cosine, for there it tells little: among
    such pairs above 0.80 that the guards let pass, 76 % of Quora's were right, 63 % of CheckList's
    and 41 % of PAWS', and over all sets a higher cosine made none surer. Below a cosine of 0.93
    nothing is judged. Fitted by maximum likelihood to 2,874 such training pairs (Quora, CheckList,
    PAWS-Wiki, antonyms, medical; every set with the same weight). Right for these on average, and
    no calibration for other traffic.
    """

    verifier_id = "wording"

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return P(same answer) for each pair, shape (n,)."""
        pairs = zip(asked, stored, similarities.tolist(), strict=True)
        return np.array(
            [_p_by_wording(one.text, other.text, cosine) for one, other, cosine in pairs],
            dtype=np.float32,
        )

    def min_p_right(self, max_error_rate: float) -> float | None:
        """Return the P(right) to serve from; one for every target, for this is no calibration."""
        return 0.8 if max_error_rate > 0 else None


_WORDING_FLOOR = 0.93


def _p_by_wording(asked: str, stored: str, similarity: float) -> float:
    if similarity < _WORDING_FLOOR:
        return 0.0
    if is_other_wording(remembered_facts(asked), remembered_facts(stored)):
        return 0.75 / (1 + math.exp(-13.0 * (similarity - 0.79)))
    return 1 / (1 + math.exp(-30.3 * (similarity - 0.851)))


def decide(questions: Sequence[Question], verifier: PairVerifier) -> list[Decision]:
    """Decide for each question which candidate serves; see the module's docstring.

    Args:
        questions: any number; the verifier is asked once for all.
        verifier: gives P(same answer).
    """
    judged = [_above_floor(question) for question in questions]
    p_right = _probabilities(questions, judged, verifier)
    return [
        _decide(question, candidates, p)
        for question, candidates, p in zip(questions, judged, p_right, strict=True)
    ]


def _above_floor(question: Question) -> list[Candidate]:
    floor = question.policy.min_similarity if question.floor is None else question.floor
    return [candidate for candidate in question.candidates if candidate.similarity >= floor]


def _decide(question: Question, judged: Sequence[Candidate], p_right: Sequence[float]) -> Decision:
    if not judged:
        return Decision(served=None, reason=MissReason.NOTHING_SIMILAR, p_right=None)
    asked, point = question.asked, question.point
    order = sorted(range(len(judged)), key=lambda i: -p_right[i])
    best, missed = order[0], None
    for i in order:
        refused = _verdict(asked, judged[i], p_right[i], point)
        if refused is None:
            is_exact = judged[i].wording.text == asked.text
            return Decision(served=i, best=i, reason=None, p_right=p_right[i], is_exact=is_exact)
        missed = missed or refused
        if p_right[i] < (point.min_p_right or 0.0):
            break  # those behind are less probable still
    assert missed is not None  # there was at least one
    return Decision(served=None, best=best, reason=missed[0], p_right=missed[1])


def _verdict(
    asked: Wording, candidate: Candidate, p_right: float, point: OperatingPoint
) -> tuple[MissReason, float | None] | None:
    """Return why a candidate does not serve, with what remains of its P(right); None: it does."""
    if candidate.refusal is not None:
        return candidate.refusal, None
    if candidate.wording.text == asked.text:
        return None
    if candidate.is_refuted:
        return MissReason.REFUTED, 0.0
    if candidate.wording.unseen != asked.unseen:
        return MissReason.BEYOND_WINDOW, 0.0
    guard = objection(asked.facts, candidate.wording.facts)
    if guard is not None and guard.is_veto:
        return guard.guard, 0.0
    reason = _not_sure_enough(
        asked, candidate, p_right, point, None if guard is None else guard.guard
    )
    return None if reason is None else (reason, p_right)


def _not_sure_enough(
    asked: Wording,
    candidate: Candidate,
    p_right: float,
    point: OperatingPoint,
    doubt: MissReason | None,
) -> MissReason | None:
    """Return why the probability is not enough here; each reason for care makes it stricter."""
    if point.min_p_right is None:
        return MissReason.THIN_EVIDENCE
    surer = caution(asked.facts, candidate.wording.facts) * SURER ** min(
        candidate.n_refuted, _MOST_TIMES
    )
    if _cautious(p_right, surer) < point.min_p_right:
        return MissReason.BELOW_THRESHOLD
    if doubt is not None and _cautious(p_right, surer * SURER) < point.min_p_right:
        return doubt
    if not point.barred.isdisjoint(_traits(asked, candidate, point)):
        return MissReason.BARRED
    return None


def certainty(p_right: float, asked: str, stored: str) -> float:
    """Return what the operating point is compared with for two canonical texts.

    P(right), less where other words or a doubt ask for more of it, and 0 where a guard vetoes: the
    loosest ``min_p_right`` that would serve the pair. Evidence is counted by this, for a claim on
    what is served from a threshold on must rest on pairs that are served from it on.
    """
    a, b = remembered_facts(asked), remembered_facts(stored)
    guard = objection(a, b)
    if guard is not None and guard.is_veto:
        return 0.0
    return _cautious(p_right, caution(a, b) * (1.0 if guard is None else SURER))


def _cautious(p_right: float, surer: float) -> float:
    """Return P(right) as if P(wrong) were so many times greater."""
    return max(0.0, 1.0 - surer * (1.0 - p_right))


def caution(asked: Facts, stored: Facts) -> float:
    """Return how many times smaller P(wrong) must be than the operating point's, doubts aside."""
    return _SURER_OF_OTHER_WORDS if is_other_wording(asked, stored) else 1.0


def _traits(asked: Wording, candidate: Candidate, point: OperatingPoint) -> tuple[str, ...]:
    return traits_of_pair(candidate.wording.text, asked.text) if point.barred else ()


def _probabilities(
    questions: Sequence[Question],
    judged: Sequence[Sequence[Candidate]],
    verifier: PairVerifier,
) -> list[list[float]]:
    """Return P(right) of each question's candidates; equal texts need no verifier."""
    p_right = [[1.0] * len(candidates) for candidates in judged]
    others = [
        (q, i)
        for q, candidates in enumerate(judged)
        for i, candidate in enumerate(candidates)
        if candidate.wording.text != questions[q].asked.text
    ]
    if others:
        p_same = verifier.p_same_answer(
            [questions[q].asked for q, _ in others],
            [judged[q][i].wording for q, i in others],
            np.array([judged[q][i].similarity for q, i in others], dtype=np.float32),
        )
        for (q, i), p in zip(others, p_same.tolist(), strict=True):
            p_right[q][i] = p
    return p_right
