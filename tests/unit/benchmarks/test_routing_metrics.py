from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import routing_metrics

GAPS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0]), min_size=1, max_size=60)


# RouteLLM's protocol


def test_eleven_thresholds_cut_at_the_quantiles_of_the_score() -> None:
    """As counted on distinct scores with numpy's own quantiles; the last threshold excludes all."""
    for n in (1, 2, 9, 10, 11, 137):
        scores = np.arange(n, dtype=float)
        cuts = [int((scores >= np.quantile(scores, i / 10) - 1e-9).sum()) for i in range(10)]
        assert routing_metrics.strong_counts(n).tolist() == [0, *cuts[::-1]]


def test_a_perfect_order_recovers_the_gap_with_the_prompts_that_have_one() -> None:
    """Two of ten prompts gain: half of the gap takes one call in ten, 80 % takes 0.16."""
    figures = routing_metrics.pair_figures([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])

    assert figures.cpt50 == pytest.approx(0.10)
    assert figures.cpt80 == pytest.approx(0.16)
    assert figures.apgr == pytest.approx(0.90)


def test_the_worst_order_recovers_last() -> None:
    """Turned around: the area is what was missing before."""
    figures = routing_metrics.pair_figures([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])

    assert figures.cpt50 == pytest.approx(0.90)
    assert figures.apgr == pytest.approx(0.10)


def test_call_share_is_read_off_between_two_points() -> None:
    """Linear: from (0.2, 0.4) to (0.6, 0.8) one half lies at 0.3."""
    shares, recovered = np.array([0, 0.2, 0.6, 1]), np.array([0, 0.4, 0.8, 1])

    assert routing_metrics.call_share_at(shares, recovered, 0.5) == pytest.approx(0.3)


def test_a_curve_that_dips_counts_where_it_first_arrives() -> None:
    """CPT is the least share that reaches the target, also where the curve falls again."""
    shares, recovered = np.array([0, 0.25, 0.5, 1]), np.array([0, 1.2, 0.4, 1])

    assert routing_metrics.call_share_at(shares, recovered, 0.6) == pytest.approx(0.125)


@pytest.mark.parametrize("gaps", [[0.0, 0.0], [-1.0, 0.5], []], ids=["equal", "worse", "none"])
def test_without_a_better_model_nothing_can_be_recovered(gaps: list[float]) -> None:
    """Strong no better than weak: undefined, not 0."""
    figures = routing_metrics.pair_figures(gaps)

    assert math.isnan(figures.cpt50)
    assert math.isnan(figures.apgr)
    assert math.isnan(routing_metrics.random_figures(gaps).apgr)


def test_random_routing_needs_half_of_the_calls_for_half_of_the_gap() -> None:
    """In expectation: 50 / 80 / 0.5, as the paper prints it."""
    figures = routing_metrics.random_figures([1.0, 0, 0, 1, 0, 0, 0, 1, 0, 0])

    assert (figures.cpt50, figures.cpt80, figures.apgr) == pytest.approx((0.5, 0.8, 0.5))


@given(GAPS.filter(lambda gaps: sum(gaps) > 0))
def test_no_order_beats_the_gap_itself(gaps: list[float]) -> None:
    """Sorted by what each prompt gains, an order has the largest area; reversed, the smallest."""
    best = routing_metrics.pair_figures(sorted(gaps, reverse=True)).apgr
    worst = routing_metrics.pair_figures(sorted(gaps)).apgr

    assert worst - 1e-9 <= routing_metrics.pair_figures(gaps).apgr <= best + 1e-9


@given(GAPS, st.integers(0, 5))
def test_a_count_of_two_is_the_row_twice(gaps: list[float], seed: int) -> None:
    """Resamples as counts give what resamples as rows would."""
    counts = np.random.default_rng(seed).integers(0, 4, size=len(gaps))
    rows = np.repeat(gaps, counts)

    ours, theirs = (
        routing_metrics.recovered_curve(gaps, counts),
        routing_metrics.recovered_curve(rows),
    )

    np.testing.assert_allclose(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-9)


def test_ties_are_broken_by_the_seed() -> None:
    """The order of the file decides nothing; the same seed decides the same."""
    scores = [1.0] * 30 + [2.0]

    one, same, other = (routing_metrics.seeded_order(scores, seed) for seed in (1, 1, 2))

    assert one[0] == 30
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()
    assert one.tolist() != sorted(one.tolist())


def test_the_cost_matched_shuffle_is_the_mean_over_all_shuffles_within_a_stratum() -> None:
    """Against every permutation of a stratum of three beside one that stands alone."""
    gaps, strata = [1.0, 0.0, 0.5, 1.0], [0, 0, 0, 1]

    shuffled = routing_metrics.cost_matched_shuffle(gaps, strata)

    every = [[gaps[i] for i in order] + [1.0] for order in permutations(range(3))]
    np.testing.assert_allclose(shuffled, np.mean(every, axis=0))


def test_one_stratum_makes_the_shuffle_random_routing() -> None:
    """Where all prompts cost the same, a cost-matched shuffle is the straight line."""
    strata = routing_metrics.cost_strata([3.0] * 10)

    shuffled = routing_metrics.cost_matched_shuffle([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0], strata)

    assert set(strata.tolist()) == {0}
    assert routing_metrics.pair_figures(shuffled).apgr == pytest.approx(0.5)


def test_strata_hold_about_as_many_prompts_each() -> None:
    """Quantile bins: 100 distinct costs in 20 bins, five in each, cheap ones first."""
    strata = routing_metrics.cost_strata(np.arange(100), n_strata=20)

    assert np.bincount(strata).tolist() == [5] * 20
    assert (np.diff(strata) >= 0).all()


# RouterBench


def test_the_hull_keeps_what_pays() -> None:
    """Dominated points and points under the line between two others fall away."""
    cost, quality = routing_metrics.rising_hull([1, 2, 3, 4, 2], [0.2, 0.4, 0.9, 0.8, 0.1])

    assert cost.tolist() == [1, 3]
    assert quality.tolist() == [0.2, 0.9]


def test_average_quality_of_a_worked_example() -> None:
    """From (1, 0) up to (2, 1), then flat until 3: area 0.5 + 1 over a width of 2."""
    assert routing_metrics.average_quality([1, 2], [0, 1], (1, 3)) == pytest.approx(0.75)


def test_below_the_cheapest_point_nothing_can_be_had() -> None:
    """A router that starts at cost 2 has no quality between 1 and 2."""
    assert routing_metrics.average_quality([2], [1], (1, 3)) == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
def test_one_more_system_never_lowers_the_hull(
    points: list[tuple[int, int]], extra: tuple[int, int]
) -> None:
    """More choice, no less quality; and the hull is concave and rising."""
    costs, qualities = zip(*points, strict=True)
    more_costs, more_qualities = zip(*points, extra, strict=True)
    cost, quality = routing_metrics.rising_hull(costs, qualities)
    before = routing_metrics.average_quality(costs, qualities, (0, 21))

    after = routing_metrics.average_quality(more_costs, more_qualities, (0, 21))

    assert after >= before - 1e-9
    slopes = np.diff(quality) / np.diff(cost)
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()


def test_the_cost_of_a_quality_is_read_off_the_hull() -> None:
    """Half-way up costs half-way along; what is never reached has no cost."""
    assert routing_metrics.cost_for_quality([1, 3], [0.2, 0.8], 0.5) == pytest.approx(2)
    assert routing_metrics.cost_for_quality([1, 3], [0.2, 0.8], 0.9) is None


def test_a_range_without_width_has_no_average() -> None:
    """One cost for all systems: say so instead of dividing by zero."""
    with pytest.raises(ValueError, match="cost_range rises"):
        routing_metrics.average_quality([1], [1], (1, 1))
