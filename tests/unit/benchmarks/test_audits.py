from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import audits
from benchmarks.errors import UnusableInput
from cache.calibration import Estimate, Observation, Twins
from cache.types import OperatingPoint

SETTING = audits.Setting(error_rate=0.05, false_alarms=0.03, n_hits=2_000, share=0.05)


def test_an_interval_that_holds_everything_covers_and_one_that_holds_nothing_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The truth is compared with what the calibration says, whatever that is."""

    def claiming(low: float, high: float) -> float:
        def estimate(observations: Sequence[Observation], twins: Twins) -> Estimate:
            return Estimate(value=low, low=low, high=high, n=len(observations))

        monkeypatch.setattr(audits, "live_error_rate", estimate)
        return float(audits.coverage(SETTING, range(5))["coverage"])

    assert claiming(0.0, 1.0) == 1.0
    assert claiming(0.9, 1.0) == 0.0


def test_the_real_interval_covers_mostly() -> None:
    """Far from a proof, which is the benchmark's; but not by luck either."""
    assert audits.coverage(SETTING, range(40))["coverage"] >= 0.85


def test_a_planted_trait_is_found() -> None:
    """The same seed, the same run; under the target, at little cost."""
    found = audits.plant(3)

    assert found == audits.plant(3)
    assert found.is_barred
    assert found.error_rate < audits.TARGET
    assert found.right_lost < 1 / 3


def test_without_learning_the_planted_trait_goes_on_to_err(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scenario is one: whoever ignores the audits stays at 5 %."""
    shipped = OperatingPoint(min_p_right=audits.PRIOR)
    monkeypatch.setattr(audits, "operating_point", lambda *_, **__: shipped)

    found = audits.plant(3)

    assert found.error_rate > 0.04
    assert (found.is_barred, found.right_lost, found.n_audits) == (False, 0.0, None)


def test_planted_hits_are_as_described() -> None:
    """5 % wrong behind the planted word, few elsewhere, and right ones behind it too."""
    rng = np.random.default_rng(0)
    hits = [audits._hit(rng, at_s=0.0) for _ in range(5_000)]
    planted = [hit for hit in hits if "slot:for" in hit.traits]

    wrong = sum(not hit.is_right for hit in hits) / len(hits)
    assert 0.045 < wrong < 0.065
    assert any(hit.is_right for hit in planted)
    assert sum(not hit.is_right for hit in planted) > 0.85 * wrong * len(hits)
    assert min(hit.p_right for hit in hits) >= audits.PRIOR


def test_no_seed_is_refused() -> None:
    """With a sentence."""
    with pytest.raises(UnusableInput, match="--seeds"):
        audits.run(argparse.Namespace(seeds=0, seed=0))
