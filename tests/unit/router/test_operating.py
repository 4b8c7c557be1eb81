import numpy as np
import pytest

from router.choose.choice import Pool, choose
from router.choose.need import Need
from router.choose.operating import (
    LEAST_ROWS,
    TooFewLabels,
    Trial,
    kept_by,
    operating_point,
    routed,
)
from router.prices import LocalPrices, PriceList
from router.settings import ModelSpec


def _population(n: int, seed: int) -> Trial:
    """Return prompts on which a cheap model is right with P(adequate) as predicted, roughly."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=n)
    true = 1 / (1 + np.exp(hard[:, None] - np.array([0.5, 2.0])))
    seen = 1 / (1 + np.exp(hard[:, None] + rng.normal(size=(n, 1)) - np.array([0.5, 2.0])))
    scores = (rng.random((n, 2)) < true).astype(float)
    return Trial(p=seen, scores=scores, costs=np.tile([1.0, 20.0], (n, 1)), baseline=1)


def _drawn(trial: Trial, n: int, seed: int) -> Trial:
    rows = np.random.default_rng(seed).integers(0, len(trial.p), n)
    return Trial(trial.p[rows], trial.scores[rows], trial.costs[rows], trial.baseline)


def test_the_stated_interval_covers_what_the_traffic_keeps() -> None:
    """Of 200 calibrations on labels drawn anew, at least 92 % cover the traffic's own share."""
    traffic = _population(20_000, seed=1)
    covered = n_stated = 0

    for seed in range(200):
        point = operating_point(_drawn(traffic, 600, seed), wanted=0.9, seed=seed)
        if point is not None:
            n_stated += 1
            covered += point.low <= kept_by(traffic, point.target).share <= point.high

    assert n_stated > 150
    assert covered >= 0.92 * n_stated


def test_the_chosen_target_is_cheaper_than_the_baseline_and_keeps_the_share() -> None:
    """On the traffic itself, what was promised holds and money is saved."""
    traffic = _population(20_000, seed=2)

    point = operating_point(_drawn(traffic, 4_000, 0), wanted=0.9)

    assert point is not None
    assert kept_by(traffic, point.target).share >= 0.9
    assert point.cost_nanos < 0.8 * point.baseline_cost_nanos


def test_a_share_that_nothing_keeps_for_sure_is_not_promised() -> None:
    """100 noisy labels cannot show 100 %."""
    assert operating_point(_drawn(_population(2_000, 3), 100, 0), wanted=1.0) is None


def test_few_labels_are_refused() -> None:
    """An interval on a handful of prompts would be believed."""
    with pytest.raises(TooFewLabels, match=f"{LEAST_ROWS} labelled prompts"):
        operating_point(_population(LEAST_ROWS - 1, 0), wanted=0.9)


@pytest.mark.parametrize("target", [0.0, 0.5, 0.8, 0.9, 0.95, 1.0])
def test_targets_are_tried_by_the_rule_that_serves(target: float) -> None:
    """Whatever the service would choose at a target is what calibration judged."""
    trial = _population(200, seed=4)
    specs = tuple(ModelSpec(name=n, provider="x", provider_model=n) for n in ("cheap", "strong"))
    prices = {
        "cheap": LocalPrices(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0),
        "strong": LocalPrices(input_usd_per_mtok=20.0, output_usd_per_mtok=20.0),
    }
    pool = Pool(models=specs, prices=PriceList.of(prices), baseline="strong")

    columns = routed(trial, target)

    for p, column in zip(trial.p.tolist(), columns.tolist(), strict=True):
        served = choose(Need(quality_target=target), pool, p, "test").chain[0]
        assert served == ("cheap", "strong")[column]
