from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from fakes import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache.guards import compare_facts, facts_of
from cache.policy import Candidate, Decision, Question, Wording, WordingVerifier, certainty, decide
from cache.ports import Prompt
from cache.traits import traits_of_pair
from cache.types import EXACT_ONLY, MissReason, OperatingPoint, ReusePolicy

ENCODER = FakeEncoder(window=8)
POINT = OperatingPoint(min_p_right=0.8)


class Told:
    """A verifier that says what it is told, text by text; of others, that they are right."""

    def __init__(self, **p_right: float) -> None:
        self.p_right = p_right

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return what was told."""
        told = [self.p_right.get(one.text.replace(" ", "_"), 1.0) for one in stored]
        return np.array(told, dtype=np.float32)


def wording(text: str) -> Wording:
    return Wording(text, ENCODER.unseen)


def near(text: str, similarity: float = 0.95, refusal: MissReason | None = None) -> Candidate:
    return Candidate(wording(text), similarity, refusal)


def judge(
    asked: str,
    *candidates: Candidate,
    floor: float = 0.7,
    point: OperatingPoint = POINT,
    verifier: Told | None = None,
) -> Decision:
    policy = ReusePolicy(min_similarity=floor)
    question = Question(asked=wording(asked), candidates=candidates, policy=policy, point=point)
    (decision,) = decide([question], verifier or Told())
    return decision


def test_the_most_probable_is_served_not_the_most_similar() -> None:
    """Among those that pass."""
    decision = judge(
        "zz", near("the zz", 0.99), near("a zz", 0.95), verifier=Told(the_zz=0.81, a_zz=0.9)
    )

    assert (decision.served, decision.best, decision.reason) == (1, 1, None)
    assert decision.p_right == np.float32(0.9)


def test_below_the_floor_nothing_is_judged() -> None:
    """However probable; the floor itself is judged."""
    assert judge("a b", near("the a b", 0.69)).reason is MissReason.NOTHING_SIMILAR
    assert judge("a b").reason is MissReason.NOTHING_SIMILAR
    assert judge("a b", near("the a b", 0.70)).served == 0


def test_not_sure_enough_is_a_miss_that_tells_its_probability() -> None:
    """At the operating point itself it is served."""
    unsure = judge("a b", near("the a b"), verifier=Told(the_a_b=0.79))

    assert (unsure.served, unsure.best, unsure.reason) == (None, 0, MissReason.BELOW_THRESHOLD)
    assert unsure.p_right == np.float32(0.79)
    assert judge("a b", near("the a b"), verifier=Told(the_a_b=0.8001)).served == 0


def test_without_evidence_only_exact_repeats_are_served() -> None:
    """The reason says so, and the probability is told all the same."""
    decision = judge("a b", near("the a b"), point=EXACT_ONLY, verifier=Told(the_a_b=0.99))

    assert (decision.served, decision.reason) == (None, MissReason.THIN_EVIDENCE)
    assert decision.p_right == np.float32(0.99)
    assert judge("a b", near("a b"), point=EXACT_ONLY).served == 0


def test_a_refused_candidate_gives_its_reason_and_no_probability() -> None:
    """Even where the text is the same; another may still serve."""
    refused = near("a b", 1.0, MissReason.EXPIRED)

    decision = judge("a b", refused)

    assert (decision.served, decision.reason, decision.p_right) == (None, MissReason.EXPIRED, None)
    assert judge("a b", refused, near("the a b", 0.95)).served == 1


def test_the_same_text_is_exact_whatever_the_verifier_says() -> None:
    """Rounding of vectors does not matter."""
    decision = judge("a b", near("a b", 0.85), verifier=Told(a_b=0.0))

    assert (decision.served, decision.p_right, decision.is_exact) == (0, 1.0, True)


def test_a_veto_is_a_probability_of_zero() -> None:
    """A number, two names of a kind, or what stands behind the window."""
    for asked, stored, reason in [
        ("wait 3 days", "wait 4 days", MissReason.GUARD_NUMBER),
        ("capital of France", "capital of Spain", MissReason.GUARD_ENTITY),
        ("a b c d e f g h then go", "a b c d e f g h then stop", MissReason.BEYOND_WINDOW),
    ]:
        decision = judge(asked, near(stored, 0.99))
        assert (decision.served, decision.reason, decision.p_right) == (None, reason, 0.0)


def test_a_doubt_needs_more_certainty() -> None:
    """Four times less doubt than elsewhere; the probability stays what it is."""
    asked, stored = 'what does "polish" mean', 'what does "Polish" mean'
    told = stored.replace(" ", "_")

    doubtful = judge(asked, near(stored), verifier=Told(**{told: 0.9}))
    sure = judge(asked, near(stored), verifier=Told(**{told: 0.96}))

    assert (doubtful.served, doubtful.reason) == (None, MissReason.GUARD_QUOTE)
    assert doubtful.p_right == np.float32(0.9)
    assert sure.served == 0


def test_other_words_need_twenty_times_more_certainty() -> None:
    """There the verifier is wrong in kinds that its calibration did not hold."""
    asked, stored = "how do I cook rice", "how do I steam rice"
    told = stored.replace(" ", "_")

    unsure = judge(asked, near(stored), verifier=Told(**{told: 0.985}))

    assert (unsure.served, unsure.reason) == (None, MissReason.BELOW_THRESHOLD)
    assert judge(asked, near(stored), verifier=Told(**{told: 0.9901})).served == 0


def test_an_answer_that_was_wrong_for_a_text_never_serves_it_again() -> None:
    """And serves other texts only when it is surer than before."""
    refuted = Candidate(wording("the a b"), 0.95, None, n_refuted=1, is_refuted=True)
    burnt = Candidate(wording("the a b"), 0.95, None, n_refuted=1)

    never = judge("a b", refuted, verifier=Told(the_a_b=1.0))

    assert (never.served, never.reason, never.p_right) == (None, MissReason.REFUTED, 0.0)
    assert judge("a b", burnt, verifier=Told(the_a_b=0.94)).reason is MissReason.BELOW_THRESHOLD
    assert judge("a b", burnt, verifier=Told(the_a_b=0.96)).served == 0


def test_pairs_that_differ_in_a_barred_way_are_not_served() -> None:
    """Others are."""
    asked, stored = "open the gate for acme", "open the gate for globex"
    (slot, *_) = traits_of_pair(stored, asked)
    point = OperatingPoint(min_p_right=0.8, barred=frozenset({slot}))

    assert judge(asked, near(stored), point=point).reason is MissReason.BARRED
    assert judge("please open the gate", near("open the gate"), point=point).served == 0


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_an_operating_point_is_a_probability(p: float) -> None:
    """Or None, for exact hits only."""
    with pytest.raises(ValueError, match="min_p_right"):
        OperatingPoint(min_p_right=p)


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


STORED = st.lists(st.tuples(WORDS, st.floats(0.5, 1), st.floats(0, 1)), max_size=6)


@given(asked=WORDS, stored=STORED, floor=st.floats(-1, 1), least=st.floats(0, 1))
def test_no_near_duplicate_passes_a_guard_that_objects(
    asked: str, stored: list[tuple[str, float, float]], floor: float, least: float
) -> None:
    """Whatever cosines, probabilities, floor and operating point; and never below the last two."""
    stored = sorted(stored, key=lambda row: -row[1])
    told = Told(**{text.replace(" ", "_"): p for text, _, p in stored})
    candidates = [near(text, cosine) for text, cosine, _ in stored]

    decision = judge(
        asked,
        *candidates,
        floor=floor,
        point=OperatingPoint(min_p_right=least),
        verifier=told,
    )

    assert (decision.served is None) == (decision.reason is not None)
    if decision.served is not None and not decision.is_exact:
        served = candidates[decision.served]
        assert compare_facts(facts_of(asked), facts_of(served.wording.text)) is None
        assert served.similarity >= floor
        assert (decision.p_right or 0.0) >= least - 1e-6
        assert ENCODER.unseen(asked) == ENCODER.unseen(served.wording.text)


@given(asked=WORDS, stored=STORED, points=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_lower_operating_point_never_loses_a_hit(
    asked: str, stored: list[tuple[str, float, float]], points: tuple[float, float]
) -> None:
    """On the same candidates."""
    low, high = (OperatingPoint(min_p_right=p) for p in sorted(points))
    told = Told(**{text.replace(" ", "_"): p for text, _, p in stored})
    candidates = [near(text, cosine) for text, cosine, _ in sorted(stored, key=lambda s: -s[1])]

    if judge(asked, *candidates, point=high, verifier=told).served is not None:
        assert judge(asked, *candidates, point=low, verifier=told).served is not None


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_the_wording_verifier_keeps_the_order(cosines: list[float]) -> None:
    """More similar is never less probable, and every number is a probability."""
    values = np.sort(np.array(cosines, dtype=np.float32))

    p_right = WordingVerifier().p_same_answer(
        [wording("q")] * len(values), [wording("t")] * len(values), values
    )

    assert np.all(np.diff(p_right) >= 0)
    assert np.all((p_right >= 0) & (p_right <= 1))


def test_certainty_is_the_loosest_point_that_serves_the_pair() -> None:
    """So that evidence counts at the thresholds at which its pair is served, and at no other."""
    pairs = [
        ("how do I open a shop", "how do I open a shop?"),
        ("how do I open a shop", "what does it take to open a shop"),
        ("how do I open a shop in town", "how do I open a shop"),
        ("top 5 shops", "top 10 shops"),
    ]
    for asked, stored in pairs:
        known = Told(**{stored.replace(" ", "_"): 0.97})
        certain = certainty(float(np.float32(0.97)), asked, stored)
        for threshold in (certain - 0.001, certain, certain + 0.001):
            if 0.0 < threshold < 1.0:
                point = OperatingPoint(min_p_right=threshold)
                found = judge(asked, near(stored), verifier=known, point=point)
                is_served = certain > 0 and threshold <= certain
                assert (found.served is not None) is is_served
