from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.binomial import upper_bound
from cache.calibration import (
    CONFIDENCE,
    GRID,
    Observation,
    Source,
    Twins,
    barred_traits,
    fair_sample,
    halves,
    labels_missing,
    labels_needed,
    live_error_rate,
    operating_point,
    positives_drift,
)
from cache.types import EXACT_ONLY, OperatingPoint

PRIOR = 0.95


def seen(
    n: int,
    *,
    wrong: int = 0,
    p_right: float = 0.99,
    traits: tuple[str, ...] = (),
    source: Source = Source.AUDIT,
    weight: float = 1.0,
    start_s: int = 0,
) -> list[Observation]:
    """Return n observations alike, the wrong ones spread evenly among them."""
    return [
        Observation(
            p_right=p_right,
            is_right=not (i * wrong // n < (i + 1) * wrong // n),
            traits=traits,
            source=source,
            weight=weight,
            at_s=float(start_s + i),
        )
        for i in range(n)
    ]


def replaced(n: int, *, slot: str = "for", wrong: int = 0, start_s: int = 0) -> list[Observation]:
    """Return n observations of one slot, no two with the same words."""
    return [
        replace(o, traits=(f"slot:{slot}", f"words:a{i}|b{i}", "kind:name"))
        for i, o in enumerate(seen(n, wrong=wrong, start_s=start_s))
    ]


def point(observations: Sequence[Observation], target: float = 0.02) -> OperatingPoint:
    return operating_point(observations, target=target, prior_min_p_right=PRIOR)


BLOCKS = st.lists(
    st.tuples(
        st.integers(1, 400),  # how many
        st.floats(0, 0.1),  # share of wrong ones
        st.sampled_from([0.6, 0.9, 0.94, 0.95, 0.96, 0.99, 0.999]),
        st.sampled_from([Source.AUDIT, Source.AUDIT, Source.SHADOW]),
    ),
    max_size=5,
)


@st.composite
def windows(draw: st.DrawFn) -> list[Observation]:
    """Windows without traits, with an audit, and large enough to be certified."""
    found = seen(1)
    for n, share, p_right, source in draw(BLOCKS):
        found += seen(n, wrong=round(n * share), p_right=p_right, source=source, start_s=len(found))
    return found


def least(chosen: OperatingPoint) -> float:
    return 2.0 if chosen.min_p_right is None else chosen.min_p_right


@pytest.mark.parametrize(("target", "n"), [(0.02, 149), (0.01, 299), (0.05, 59)])
def test_clean_labels_certify_at_the_stated_cost(target: float, n: int) -> None:
    """149 for 2 %, 299 for 1 %: not one fewer."""
    assert labels_needed(target) == n
    assert point(seen(n), target).is_certified
    assert not point(seen(n - 1), target).is_certified


def test_until_then_the_shipped_threshold_serves() -> None:
    """Uncertified, and as shipped."""
    assert point([]) == OperatingPoint(min_p_right=PRIOR)
    assert point(seen(20)) == OperatingPoint(min_p_right=PRIOR)


@pytest.mark.parametrize(("target", "prior"), [(0.0, PRIOR), (0.02, None)])
def test_without_target_or_prior_only_exact_hits_are_served(
    target: float, prior: float | None
) -> None:
    """However much evidence there is."""
    found = operating_point(seen(2_000), target=target, prior_min_p_right=prior)

    assert found == EXACT_ONLY


def test_one_wrong_audit_moves_nothing() -> None:
    """The first of many may well be a wrong one."""
    assert point(seen(1, wrong=1)) == OperatingPoint(min_p_right=PRIOR)


def test_near_misses_that_turn_out_right_loosen_the_threshold() -> None:
    """Recall is learned for free: what was below the threshold was right all along."""
    shadows = seen(600, p_right=0.9, source=Source.SHADOW)

    found = point(seen(300) + shadows)

    assert found.is_certified
    assert found.min_p_right is not None
    assert found.min_p_right <= 0.9


def test_no_threshold_is_certified_below_what_was_judged() -> None:
    """Clean hits say nothing of near-misses that nobody compared."""
    assert point(seen(5_000)) == OperatingPoint(min_p_right=PRIOR, is_certified=True)


def test_near_misses_alone_certify_nothing() -> None:
    """Of the hits themselves nothing is known then."""
    shadows = seen(5_000, p_right=0.94, source=Source.SHADOW)

    assert point(shadows) == OperatingPoint(min_p_right=PRIOR)


def test_evidence_against_the_shipped_threshold_raises_it() -> None:
    """As far as it speaks, and no further: what is surer errs less."""
    sure, unsure = seen(100, p_right=0.999), seen(100, wrong=20, p_right=0.96, start_s=100)

    found = point(sure + unsure)

    assert found.min_p_right is not None
    assert 0.96 < found.min_p_right <= 0.999


def test_where_the_surest_err_too_only_exact_hits_are_left() -> None:
    """Thin evidence: no threshold is known to do."""
    assert point(seen(100, wrong=50, p_right=1.0)).min_p_right is None


def test_a_stricter_threshold_is_certified_where_the_shipped_one_is_not() -> None:
    """One half of the evidence finds where to start, the other half tests it."""
    sure, unsure = seen(1_500, p_right=0.999), seen(300, wrong=60, p_right=0.96, start_s=1_500)

    found = point(sure + unsure)

    assert found.is_certified
    assert found.min_p_right is not None
    assert 0.96 < found.min_p_right <= 0.999


def test_reports_certify_nothing() -> None:
    """A person who likes an answer is no random sample."""
    assert not point(seen(5_000, source=Source.FEEDBACK)).is_certified


@settings(deadline=None, max_examples=150)
@given(
    window=windows(),
    targets=st.lists(
        st.sampled_from([0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0]), min_size=2, max_size=2
    ),
)
def test_a_stricter_target_never_gives_a_looser_threshold(
    window: list[Observation], targets: list[float]
) -> None:
    """On the same evidence."""
    strict, loose = sorted(targets)

    assert least(point(window, strict)) >= least(point(window, loose))


@settings(deadline=None, max_examples=150)
@given(window=windows(), p_right=st.sampled_from([0.95, 0.97, 0.9999]))
def test_one_more_wrong_one_never_loosens(window: list[Observation], p_right: float) -> None:
    """At or above the shipped threshold."""
    wrong = Observation(p_right=p_right, is_right=False, at_s=1e6)

    assert least(point([*window, wrong])) >= least(point(window))


@settings(deadline=None, max_examples=150)
@given(window=windows(), target=st.sampled_from([0.01, 0.02, 0.05, 0.1]))
def test_a_certificate_holds_by_clopper_and_pearson(
    window: list[Observation], target: float
) -> None:
    """The bound on all evidence, or on the half that chose nothing, is within the target."""
    found = point(window, target)
    if not found.is_certified:
        return
    assert found.min_p_right is not None
    sample = fair_sample(window)

    bounds = []
    for part in (sample, halves(sample)[1]):
        served = [o for o in part if o.p_right >= found.min_p_right]
        n_wrong = sum(not o.is_right for o in served)
        bounds.append(upper_bound(n_wrong, len(served), CONFIDENCE))

    assert min(bounds) <= target


@settings(deadline=None)
@given(window=windows(), seed=st.integers(0, 100))
def test_order_does_not_matter(window: list[Observation], seed: int) -> None:
    """A window is a set."""
    shuffled = [window[i] for i in np.random.default_rng(seed).permutation(len(window))]

    assert point(shuffled) == point(window)
    assert sorted(map(hash, fair_sample(shuffled))) == sorted(map(hash, fair_sample(window)))


@settings(deadline=None)
@given(window=windows(), factor=st.sampled_from([0.5, 4.0, 64.0]))
def test_the_scale_of_weights_does_not_matter(window: list[Observation], factor: float) -> None:
    """Only how much one stands for beside another."""
    scaled = [replace(o, weight=o.weight * factor) for o in window]

    assert point(scaled) == point(window)


def test_near_misses_count_as_often_as_in_traffic() -> None:
    """One hit in twenty is audited, every near-miss compared: one near-miss in twenty counts."""
    sample = fair_sample(seen(200, weight=20.0) + seen(10_000, p_right=0.9, source=Source.SHADOW))

    n_shadows = sum(o.source is Source.SHADOW for o in sample)
    assert 420 < n_shadows < 580
    assert len(sample) - n_shadows == 200


def test_labels_missing_counts_down() -> None:
    """To the certificate, wrong ones made up for."""
    assert labels_missing([], target=0.02, prior_min_p_right=PRIOR) == 149
    assert labels_missing(seen(100), target=0.02, prior_min_p_right=PRIOR) == 49
    for window in (seen(149), seen(100, wrong=1), seen(200, wrong=2), seen(400, wrong=9)):
        n = labels_missing(window, target=0.02, prior_min_p_right=PRIOR)
        assert point(window + seen(n, start_s=1_000)).is_certified
        if n:
            assert not point(window + seen(n - 1, start_s=1_000)).is_certified


def test_false_alarms_of_the_comparator_are_allowed_for() -> None:
    """3 % "different" where twins are too: that may be no error at all."""
    window = seen(4_000, wrong=120)

    found = operating_point(
        window,
        target=0.02,
        prior_min_p_right=PRIOR,
        twins=Twins(n=4_000, n_different=120),
    )

    assert found.is_certified
    assert not point(window).is_certified


def test_a_slot_that_errs_is_barred_and_the_rest_is_served_as_before() -> None:
    """What explains the wrong ones, and not the broad traits they share with right ones."""
    right = [replace(o, traits=("kind:name",)) for o in seen(100, start_s=100)]

    found = point(replaced(6, wrong=5) + right + seen(100, traits=("form",), start_s=200))

    assert found == OperatingPoint(min_p_right=PRIOR, barred=frozenset({"slot:for"}))


def test_two_words_that_are_mistaken_for_each_other_bar_no_slot() -> None:
    """The narrowest trait that explains it."""
    wrong = seen(4, wrong=4, traits=("slot:for", "words:acme|globex", "kind:name"))

    assert barred_traits(wrong, target=0.02) == {"words:acme|globex"}


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_reports_bar_nothing(n: int) -> None:
    """No single report moves a namespace."""
    reports = [replace(o, source=Source.FEEDBACK) for o in replaced(n, wrong=n)]

    assert barred_traits(reports, target=0.02) == frozenset()


def test_reports_bar_narrow_traits_only() -> None:
    """Who complains is no random sample: of case and punctuation it says nothing."""
    of_slot = [replace(o, source=Source.FEEDBACK) for o in replaced(4, wrong=4)]
    of_form = seen(50, wrong=50, traits=("form",), source=Source.FEEDBACK)

    assert barred_traits(of_slot + of_form, target=0.02) == {"slot:for"}


def test_a_broad_trait_is_barred_when_nothing_narrower_explains_it() -> None:
    """Wrong ones behind many words, drawn at random."""
    spread = [
        replace(o, traits=(f"slot:w{i}", f"words:a{i}|b{i}", "kind:number"))
        for i, o in enumerate(seen(40, wrong=10))
    ]

    assert barred_traits(spread, target=0.02) == {"kind:number"}


def test_a_trait_is_free_again_when_its_near_misses_turn_out_right() -> None:
    """Later evidence says so: shadow misses of the barred trait, compared right."""
    before = replaced(3, wrong=3)
    after = [replace(o, source=Source.SHADOW) for o in replaced(400, start_s=100)]

    assert "slot:for" in point(before + seen(100, start_s=1_000)).barred
    assert point(before + after + seen(100, start_s=1_000)).barred == frozenset()


def test_a_namespace_with_a_barred_trait_is_certified_by_the_half_that_did_not_choose() -> None:
    """Without the trait it keeps the target."""
    window = replaced(60, wrong=50) + seen(1_000, start_s=100)

    found = point(window)

    assert found.is_certified
    assert found.barred == {"slot:for"}


def test_without_audits_nothing_is_measured() -> None:
    """Not 0: None."""
    assert live_error_rate(seen(100, source=Source.SHADOW), Twins(n=10)) is None


def test_without_twins_every_alarm_may_be_a_false_one() -> None:
    """The upper end stands, the lower end is 0."""
    found = live_error_rate(seen(400, wrong=20))

    assert found is not None
    assert (found.value, found.low, found.n) == (0.05, 0.0, 400)
    assert found.high == pytest.approx(upper_bound(20, 400, 0.975), abs=0.002)


def test_the_live_rate_is_less_the_false_alarms() -> None:
    """What is left of a beside f is (a - f) / (1 - f), and never below 0."""
    some = live_error_rate(seen(1_000, wrong=100), Twins(n=1_000, n_different=50))
    none = live_error_rate(seen(1_000, wrong=10), Twins(n=1_000, n_different=50))

    assert some is not None
    assert none is not None
    assert some.value == pytest.approx(0.05 / 0.95)
    assert some.low < some.value < some.high
    assert none.value == none.low == 0.0


def test_audits_are_weighted_by_what_they_stand_for() -> None:
    """One drawn with 1 in 100 stands for a hundred hits, one of 1 in 10 for ten."""
    found = live_error_rate(seen(10, wrong=10, weight=100.0) + seen(100, weight=10.0))

    assert found is not None
    assert found.value == pytest.approx(0.5)


@settings(deadline=None, max_examples=50)
@given(window=windows(), n=st.integers(0, 500), share=st.floats(0, 1))
def test_the_interval_holds_its_value(window: list[Observation], n: int, share: float) -> None:
    """Within [0, 1], in order, the same each time."""
    twins = Twins(n=n, n_different=int(n * share))
    found = live_error_rate(window, twins)

    assert found is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert live_error_rate(window, twins) == found


def test_drift_is_told_from_chance() -> None:
    """At p < 0.001, and not before there are 100 on either side."""
    assert positives_drift(seen(100, wrong=30), seen(1_000, wrong=50)) is not None
    assert positives_drift(seen(100, wrong=9), seen(1_000, wrong=50)) is None
    assert positives_drift(seen(99, wrong=99), seen(1_000)) is None


def test_the_grid_is_fixed() -> None:
    """It never looks at the evidence, or the test would not be one."""
    assert GRID[0] == 0.5
    assert list(GRID) == sorted(GRID)
    assert 1 - GRID[-1] == pytest.approx(5e-7)


@pytest.mark.parametrize(
    ("p_right", "weight"), [(1.1, 1.0), (-0.1, 1.0), (0.9, -1.0), (0.9, float("nan"))]
)
def test_an_observation_checks_itself(p_right: float, weight: float) -> None:
    """A value outside its range is refused where it is made."""
    with pytest.raises(ValueError, match=r"p_right|weight"):
        Observation(p_right=p_right, is_right=True, weight=weight)
