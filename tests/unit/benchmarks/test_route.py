from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import route_figures
from benchmarks.metrics import Floats
from benchmarks.route_figures import PairTrial, PoolTrial

N = 200


def _trial(scores: Floats, gaps: Floats | None = None, **given: object) -> PairTrial:
    """A pair in which strong answers every prompt and weak those without a gap."""
    n = scores.size
    gap = np.tile([1.0, 0.0, 0.0, 0.0], n // 4) if gaps is None else gaps
    defaults: dict[str, Any] = {
        "weak": 1.0 - gap,
        "strong": np.ones(n),
        "p_weak": np.zeros(n),
        "p_strong": scores,
        "lengths": np.full(n, 100.0),
        "costs": None,
        "domains": ["one"] * n,
        "dialogues": [str(i) for i in range(n)],
    }
    return PairTrial(**{**defaults, **given})


PERFECT = np.tile([0.9, 0.1, 0.1, 0.1], N // 4)


# A pair


def test_the_report_of_a_perfect_router() -> None:
    """A quarter of the prompts gains: half of the gap takes an eighth of the calls."""
    found = route_figures.pair_report(_trial(PERFECT), seed=0, n_resamples=50)

    assert (found["n"], found["weak"], found["strong"]) == (N, 0.75, 1.0)
    assert found["cpt50"]["value"] == pytest.approx(0.125)
    assert found["cpt80"]["value"] == pytest.approx(0.2)
    assert found["apgr"]["value"] == pytest.approx(found["controls"]["oracle"]["apgr"])
    assert found["apgr"]["low"] <= found["apgr"]["value"] <= found["apgr"]["high"]
    assert found["gain_over"]["random"]["low"] > 0
    assert found["gain_over"]["oracle"]["value"] == pytest.approx(0)


def test_random_and_shuffled_controls_recover_the_share_they_spend() -> None:
    """Prompts of one length: the cost-matched shuffle is random routing, .5 / .8 / .5."""
    controls = route_figures.pair_report(_trial(PERFECT), seed=0, n_resamples=2)["controls"]

    for name in ("random", "shuffled"):
        assert controls[name] == pytest.approx({"cpt50": 0.5, "cpt80": 0.8, "apgr": 0.5})


def test_one_domain_has_no_domain_mean() -> None:
    """Null, not a number that means nothing; two domains have one."""
    one = route_figures.pair_report(_trial(PERFECT), seed=0, n_resamples=2)
    domains = ["hard", "easy", "easy", "easy"] * (N // 4)
    two = route_figures.pair_report(_trial(PERFECT, domains=domains), seed=0, n_resamples=2)

    assert one["controls"]["domain_mean"] is None
    assert one["gain_over"]["domain_mean"] is None
    assert two["controls"]["domain_mean"]["cpt50"] == pytest.approx(0.125)


def test_longer_prompts_go_to_strong_in_the_length_control() -> None:
    """Where length tells everything, the control is perfect, and so is the cost-matched shuffle."""
    lengths = np.tile([900.0, 10.0, 20.0, 30.0], N // 4)
    report = route_figures.pair_report(_trial(PERFECT, lengths=lengths), seed=0, n_resamples=2)

    assert report["controls"]["length"]["cpt50"] == pytest.approx(0.125)
    assert report["controls"]["shuffled"]["apgr"] == pytest.approx(report["apgr"]["value"])


def test_known_costs_make_the_strata_of_the_shuffle() -> None:
    """Lengths tell all, but calls cost the same: shuffled decisions recover nothing extra."""
    lengths = np.tile([900.0, 10.0, 20.0, 30.0], N // 4)
    trial = _trial(PERFECT, lengths=lengths, costs=np.full(N, 0.01))

    shuffled = route_figures.pair_report(trial, seed=0, n_resamples=2)["controls"]["shuffled"]

    assert shuffled["apgr"] == pytest.approx(0.5)


def test_a_strong_model_that_is_not_better_leaves_nothing_to_recover() -> None:
    """Null throughout: cpt, apgr, intervals, gains."""
    found = route_figures.pair_report(_trial(PERFECT, gaps=np.zeros(N)), seed=0, n_resamples=3)

    assert found["apgr"] == {"value": None, "low": None, "high": None}
    assert found["gain_over"]["random"]["value"] is None
    assert found["controls"]["random"]["apgr"] is None


def test_the_seed_alone_decides_ties_and_resamples() -> None:
    """The same seed, the same report; a router without an opinion is about random."""
    indifferent = _trial(np.full(N, 0.5))

    one = route_figures.pair_report(indifferent, seed=1, n_resamples=20)
    same = route_figures.pair_report(indifferent, seed=1, n_resamples=20)
    other = route_figures.pair_report(indifferent, seed=2, n_resamples=20)

    assert one == same
    assert one["apgr"] != other["apgr"]
    assert one["apgr"]["value"] == pytest.approx(0.5, abs=0.15)


def test_rows_of_one_dialogue_widen_the_interval() -> None:
    """Ten rows per dialogue are not ten independent prompts."""
    rng = np.random.default_rng(3)
    gaps = np.repeat(rng.integers(0, 2, size=N // 10), 10).astype(float)
    scores = np.repeat(rng.random(N // 10), 10)
    dialogues = [str(i // 10) for i in range(N)]

    alone = route_figures.pair_report(_trial(scores, gaps), seed=0, n_resamples=200)["apgr"]
    together = route_figures.pair_report(
        _trial(scores, gaps, dialogues=dialogues), seed=0, n_resamples=200
    )["apgr"]

    assert together["value"] == alone["value"]
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_calibration_takes_both_models_predictions() -> None:
    """Weak: 0 predicted, 3/4 right; strong: 1 predicted, always right: ECE and Brier 3/8."""
    found = route_figures.pair_report(_trial(np.ones(N)), seed=0, n_resamples=2)

    assert found["ece"] == pytest.approx(0.375)
    assert found["brier"] == pytest.approx(0.375)


# A pool


def _pool(p: Floats, scores: Floats, prices: Floats) -> PoolTrial:
    costs = np.tile(prices, (scores.shape[0], 1))
    names = [f"model-{i}" for i in range(prices.size)]
    return PoolTrial(models=names, scores=scores, costs=costs, expected_costs=costs, p=p)


SCORES = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
PRICES = np.array([1.0, 3.0])


def test_a_router_that_knows_the_scores_beats_mixing_models() -> None:
    """It pays for the dear model on one prompt of four: the oracle's point lies on its hull."""
    found = route_figures.pool_report(_pool(SCORES, SCORES, PRICES))

    assert found["best_single"] == {"model": "model-1", "quality": 0.75, "cost_usd": 3.0}
    assert found["oracle"] == {"quality": 0.75, "cost_usd": 1.5}
    assert found["cost_at_best_quality"] == pytest.approx(1.5)
    assert found["aiq_zero_router"] == pytest.approx((0.5 + 0.75) / 2)
    assert found["aiq"] == pytest.approx((0.5 * (0.5 + 0.75) / 2 + 1.5 * 0.75) / 2)
    assert found["aiq"] > found["aiq_zero_router"]


def test_a_router_without_an_opinion_is_no_better_than_mixing_models() -> None:
    """It can still go from always cheap to always dear, where the means say so."""
    p = np.tile(SCORES.mean(axis=0), (4, 1))

    found = route_figures.pool_report(_pool(p, SCORES, PRICES))

    assert found["aiq"] == pytest.approx(found["aiq_zero_router"])


def test_without_costs_only_qualities_are_known() -> None:
    """What needs a cost is null."""
    trial = PoolTrial(models=["a", "b"], scores=SCORES, costs=None, expected_costs=None, p=SCORES)

    found = route_figures.pool_report(trial)

    assert found["aiq"] is None
    assert found["best_single"] == {"model": "b", "quality": 0.75, "cost_usd": None}
    assert found["oracle"] == {"quality": 0.75, "cost_usd": None}


@given(st.integers(0, 50))
def test_the_hull_of_a_router_lies_within_what_is_possible(seed: int) -> None:
    """Never above the oracle's quality, never cheaper than the cheapest model."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, size=(20, 3)).astype(float)
    trial = _pool(rng.random((20, 3)), scores, np.array([1.0, 2.0, 5.0]))

    cost, quality = route_figures.utility_curve(trial)

    assert cost.min() >= 1.0 - 1e-9
    assert quality.max() <= scores.max(axis=1).mean() + 1e-9
    assert cost[0] == pytest.approx(1.0)


def test_expected_costs_are_a_line_over_length() -> None:
    """Two numbers per model; a cost that is such a line is found, and none is negative."""
    lengths = np.array([100.0, 200.0, 300.0, 400.0])
    costs = np.stack([0.5 + 0.01 * lengths, np.array([0.0, 0.0, 0.0, 4.0])], axis=1)

    found = route_figures.expected_costs(costs, lengths)

    np.testing.assert_allclose(found[:, 0], costs[:, 0])
    assert (found >= 0).all()
