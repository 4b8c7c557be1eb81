from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fakes import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache.guards import compare_facts, facts_of
from cache.policy import Candidate, Decision, Wording, WordingVerifier, decide
from cache.types import MissReason, ReusePolicy

ENCODER = FakeEncoder(window=8)


class Told:
    """A verifier that says what it is told, text by text."""

    def __init__(self, **p_right: float) -> None:
        self.p_right = p_right

    def p_same_answer(
        self, query: str, candidates: Sequence[str], similarities: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what was told."""
        return np.array([self.p_right[text] for text in candidates], dtype=np.float32)


def wording(text: str) -> Wording:
    return Wording(text, ENCODER.unseen)


def near(text: str, similarity: float, refusal: MissReason | None = None) -> Candidate:
    return Candidate(wording(text), similarity, refusal)


def judge(asked: str, *candidates: Candidate, floor: float = 0.9) -> Decision:
    policy = ReusePolicy(min_similarity=floor)
    return decide(wording(asked), candidates, policy, WordingVerifier())


def test_the_most_probable_is_served_not_the_most_similar() -> None:
    """Among those that pass."""
    candidates = [near("aa", 0.99), near("bb", 0.95)]
    verifier = Told(aa=0.6, bb=0.8)

    decision = decide(wording("zz"), candidates, ReusePolicy(min_similarity=0.9), verifier)

    assert (decision.served, decision.reason) == (1, None)
    assert decision.p_right == np.float32(0.8)


def test_nothing_near_enough_is_not_judged() -> None:
    """Below 0.80, unless the policy's own floor is lower."""
    assert judge("a b", near("c d", 0.79)).reason is MissReason.NOTHING_SIMILAR
    assert judge("a b").reason is MissReason.NOTHING_SIMILAR
    assert judge("how a b", near("the a b", 0.79), floor=0.7).reason is MissReason.BELOW_THRESHOLD


def test_below_the_floor_of_the_policy_is_judged_and_not_served() -> None:
    """The probability is told."""
    decision = judge("a b", near("c d", 0.89))

    assert decision.reason is MissReason.BELOW_THRESHOLD
    assert decision.p_right is not None
    assert 0.5 < decision.p_right < 1


def test_at_the_floor_it_is_served() -> None:
    """The floor itself passes."""
    assert judge("a b", near("the a b", 0.9)).served == 0


def test_a_refused_candidate_gives_its_reason_and_no_probability() -> None:
    """Even where the text is the same; another may still serve."""
    refused = near("a b", 1.0, MissReason.EXPIRED)

    assert judge("a b", refused) == Decision(served=None, reason=MissReason.EXPIRED, p_right=None)
    assert judge("a b", refused, near("the a b", 0.95)).served == 1


def test_the_same_text_is_exact_whatever_the_verifier_says() -> None:
    """Rounding of vectors does not matter."""
    decision = decide(wording("a b"), [near("a b", 0.85)], ReusePolicy(min_similarity=0.9), Told())

    assert (decision.served, decision.p_right, decision.is_exact) == (0, 1.0, True)


def test_a_veto_is_a_probability_of_zero() -> None:
    """A number, a name on one side only, or what stands behind the window."""
    for asked, stored, reason in [
        ("wait 3 days", "wait 4 days", MissReason.GUARD_NUMBER),
        ("capital of France", "capital of Spain", MissReason.GUARD_ENTITY),
        ("a b c d e f g h then go", "a b c d e f g h then stop", MissReason.BEYOND_WINDOW),
    ]:
        decision = judge(asked, near(stored, 0.99))
        assert (decision.served, decision.reason, decision.p_right) == (None, reason, 0.0)


WORDS = st.lists(
    st.sampled_from(
        [
            "how",
            "do",
            "I",
            "not",
            "reset",
            "3",
            "4",
            "Paris",
            "Rome",
            "cancel",
            "my",
            "plan",
            "'x'",
            "http://a.b",
            "c",
            "d",
            "e",
        ]
    ),
    min_size=1,
    max_size=12,
).map(" ".join)


@given(
    asked=WORDS,
    stored=st.lists(st.tuples(WORDS, st.floats(0.5, 1)), max_size=6),
    floor=st.floats(-1, 1),
)
def test_no_near_duplicate_passes_a_guard_that_objects(
    asked: str, stored: list[tuple[str, float]], floor: float
) -> None:
    """Whatever the cosines and the floor; and never one that is less similar than the floor."""
    candidates = [near(text, cosine) for text, cosine in sorted(stored, key=lambda s: -s[1])]

    decision = judge(asked, *candidates, floor=floor)

    assert (decision.served is None) == (decision.reason is not None)
    if decision.served is not None and not decision.is_exact:
        served = candidates[decision.served]
        assert compare_facts(facts_of(asked), facts_of(served.wording.text)) is None
        assert served.similarity >= floor
        assert ENCODER.unseen(asked) == ENCODER.unseen(served.wording.text)


@given(
    asked=WORDS,
    stored=st.lists(st.tuples(WORDS, st.floats(0.5, 1)), max_size=6),
    floors=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_a_lower_floor_never_loses_a_hit(
    asked: str, stored: list[tuple[str, float]], floors: tuple[float, float]
) -> None:
    """On the same candidates."""
    low, high = sorted(floors)
    candidates = [near(text, cosine) for text, cosine in sorted(stored, key=lambda s: -s[1])]

    if judge(asked, *candidates, floor=high).served is not None:
        assert judge(asked, *candidates, floor=low).served is not None


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_the_wording_verifier_keeps_the_order(cosines: list[float]) -> None:
    """More similar is never less probable, and every number is a probability."""
    values = np.sort(np.array(cosines, dtype=np.float32))

    p_right = WordingVerifier().p_same_answer("q", ["t"] * len(values), values)

    assert np.all(np.diff(p_right) >= 0)
    assert np.all((p_right >= 0) & (p_right <= 1))
