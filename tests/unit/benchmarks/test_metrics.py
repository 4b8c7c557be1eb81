from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve

from benchmarks import metrics

SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)


# Ranking


def test_average_precision_of_a_worked_example() -> None:
    """Right, wrong, right: (1/2) * 1/1 + (1/2) * 2/3 = 5/6."""
    assert metrics.average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx(5 / 6)


def test_tied_rows_enter_together() -> None:
    """With one score for all there is one threshold: precision is the share of positives."""
    assert metrics.average_precision([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0]) == pytest.approx(0.25)


def test_ranking_figures_without_positives_are_undefined() -> None:
    """No positives: neither AP nor recall exists; precision over coverage does, and is 0."""
    assert metrics.average_precision([0.9, 0.1], [0, 0]) is None
    assert metrics.recall_at_precision([0.9, 0.1], [0, 0], 0.9) is None
    assert metrics.p_chr_auc([0.9, 0.1], [0, 0]) == 0.0
    assert metrics.p_chr_auc([], []) is None


@given(SCORED)
def test_average_precision_is_that_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    """Ties by the standard rule: scikit-learn is the oracle."""
    scores, labels = zip(*rows, strict=True)

    ours = metrics.average_precision(scores, labels)

    if not any(labels):
        assert ours is None
    else:
        assert ours == pytest.approx(average_precision_score(labels, scores))


@given(SCORED, st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
def test_recall_at_precision_is_that_of_scikit_learns_curve(
    rows: list[tuple[float, int]], target: float
) -> None:
    """The largest recall among the thresholds of the precision-recall curve that qualify."""
    scores, labels = zip(*rows, strict=True)
    if not any(labels):
        return
    precision, recall, _ = precision_recall_curve(labels, scores)
    expected = max(r for p, r in zip(precision, recall, strict=True) if p >= target - 1e-12)

    assert metrics.recall_at_precision(scores, labels, target) == pytest.approx(expected)


def test_a_threshold_counts_with_all_its_ties() -> None:
    """Two of three at 0.9 are right: nothing reaches a precision of 0.9."""
    assert metrics.recall_at_precision([0.9, 0.9, 0.9, 0.1], [1, 1, 0, 1], 0.9) == 0.0
    assert metrics.recall_at_precision([0.9, 0.9, 0.9, 0.1], [1, 1, 0, 1], 0.75) == 1.0


def test_nineteen_of_twenty_is_a_precision_of_95_percent() -> None:
    """The comparison is exact where the share is, whatever floats make of it."""
    scores, labels = [0.5] * 20, [1] * 19 + [0]

    assert metrics.recall_at_precision(scores, labels, 0.95) == 1.0


def test_precision_over_coverage_of_a_worked_example() -> None:
    """Right, wrong, right: (1 + 1/2 + 2/3) / 3."""
    assert metrics.p_chr_auc([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)


@given(SCORED)
def test_ranking_figures_lie_between_0_and_1_and_ignore_row_order(
    rows: list[tuple[float, int]],
) -> None:
    """Figures of a set: the order of the file says nothing."""
    turned = rows[::-1]

    for figure in (metrics.average_precision, metrics.p_chr_auc):
        value = figure(*zip(*rows, strict=True))
        assert value == figure(*zip(*turned, strict=True))
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("labels", [[0.5, 1], [2, 0]], ids=["half", "two"])
def test_a_label_is_0_or_1(labels: list[float]) -> None:
    """Half a positive would silently shift every count."""
    with pytest.raises(ValueError, match="labels are 0 or 1"):
        metrics.average_precision([0.1, 0.2], labels)


def test_scores_that_are_no_numbers_are_refused() -> None:
    """A NaN sorts anywhere; shapes that differ pair nothing."""
    with pytest.raises(ValueError, match="NaN"):
        metrics.p_chr_auc([math.nan], [1])
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        metrics.p_chr_auc([0.1, 0.2], [1])


# Calibration


def test_calibration_error_of_a_worked_example() -> None:
    """Two bins: |1/2 - 0.2| * 2/4 + |1/2 - 0.9| * 2/4 = 0.35."""
    p, outcomes = [0.2, 0.2, 0.9, 0.9], [1, 0, 1, 0]

    assert metrics.expected_calibration_error(p, outcomes, n_bins=2) == pytest.approx(0.35)


def test_what_happens_as_often_as_said_has_no_calibration_error() -> None:
    """Nine in ten at 0.9, one in ten at 0.1; certainties that come true count as well."""
    p = [0.9] * 10 + [0.1] * 10 + [1.0, 0.0]
    outcomes = [1] * 9 + [0] + [1] + [0] * 9 + [1, 0]

    assert metrics.expected_calibration_error(p, outcomes) == pytest.approx(0)


@given(SCORED)
def test_brier_is_that_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    """Scikit-learn is the oracle, and the calibration error never exceeds the root of Brier."""
    p, outcomes = zip(*rows, strict=True)

    value = metrics.brier(p, outcomes)

    assert value == pytest.approx(brier_score_loss(outcomes, p, labels=[0, 1]))
    error = metrics.expected_calibration_error(p, outcomes)
    assert error is not None
    assert error <= math.sqrt(value or 0) + 1e-9


def test_calibration_of_nothing_is_undefined_and_of_nonsense_refused() -> None:
    """No rows: None. A probability of 1.2: an error that says so."""
    assert metrics.expected_calibration_error([], []) is None
    assert metrics.brier([], []) is None
    with pytest.raises(ValueError, match=r"p lie in \[0, 1\], got 1.2"):
        metrics.brier([1.2], [1])


# Bounds


def test_no_wrong_one_among_n_bounds_the_rate_by_the_rule_of_three() -> None:
    """With 0 of n seen the bound is 1 - 0.05^(1/n), about 3/n."""
    assert metrics.clopper_pearson_upper(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert metrics.clopper_pearson_lower(0, 300) == 0.0
    assert metrics.clopper_pearson_upper(300, 300) == 1.0
    assert metrics.clopper_pearson_lower(300, 300) == pytest.approx(0.05 ** (1 / 300))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bounds_are_where_the_binomial_tail_is_5_percent(drawn: tuple[int, int]) -> None:
    """Their definition: at the bound what was seen, or anything further out, has 5 %."""
    k, n = drawn

    upper, lower = metrics.clopper_pearson_upper(k, n), metrics.clopper_pearson_lower(k, n)

    assert upper is not None
    assert lower is not None
    assert lower <= k / n <= upper
    if k < n:
        assert _tail(n, upper, range(k + 1)) == pytest.approx(0.05, abs=1e-6)
    if k > 0:
        assert _tail(n, lower, range(k, n + 1)) == pytest.approx(0.05, abs=1e-6)


def _tail(n: int, p: float, ks: range) -> float:
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks)


def test_a_bound_needs_counts_that_can_be() -> None:
    """Of nothing there is no bound; more than all is a mistake."""
    assert metrics.clopper_pearson_upper(0, 0) is None
    assert metrics.share(0, 0) is None
    with pytest.raises(ValueError, match="k=3, n=2"):
        metrics.clopper_pearson_lower(3, 2)


def test_percentiles_of_nothing_are_undefined() -> None:
    """The keys stay, the values are None."""
    assert metrics.percentiles([]) == {"p50": None, "p99": None}
    assert metrics.percentiles([1.0, 2.0, 3.0], (50,)) == {"p50": 2.0}


# Resampling


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(0, 9))
def test_rows_of_one_dialogue_are_drawn_together(units: list[int], seed: int) -> None:
    """Every row occurs as often as its dialogue; as many dialogues are drawn as there are."""
    dense = np.unique(units, return_inverse=True)[1]

    drawn = np.concatenate(list(metrics.bootstrap_counts(dense, seed, n_resamples=7, chunk=3)))

    assert drawn.shape == (7, len(units))
    first = np.unique(dense, return_index=True)[1]
    assert (drawn[:, first].sum(axis=1) == first.size).all()
    assert (drawn == drawn[:, first][:, dense]).all()


def test_the_same_seed_draws_the_same_resamples() -> None:
    """So two routers can be compared in pairs, and a result repeated."""
    one, two, other = (
        np.concatenate(list(metrics.bootstrap_counts(np.arange(50), seed, n_resamples=9, chunk=4)))
        for seed in (1, 1, 2)
    )

    assert (one == two).all()
    assert (one != other).any()


def test_the_bootstrap_interval_of_a_mean_is_the_textbooks() -> None:
    """For a mean: about 1.96 standard errors on either side."""
    values = np.random.default_rng(0).normal(size=400)
    counts = np.concatenate(list(metrics.bootstrap_counts(np.arange(400), 0)))
    means = counts @ values / counts.sum(axis=1)

    found = metrics.interval(float(values.mean()), means)

    assert found["low"] is not None
    assert found["high"] is not None
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_an_interval_leaves_out_undefined_resamples() -> None:
    """NaN resamples have no place; without any other there is no interval."""
    assert metrics.interval(0.5, [math.nan, 0.5, 0.5])["high"] == 0.5
    assert metrics.interval(None, [0.5]) == {"value": None, "low": None, "high": None}
    assert metrics.interval(0.5, [math.nan])["low"] is None
