"""Which quality target keeps a stated share of the strong model's quality. Pure.

The rule is that of ``choice``: of the models whose P(adequate) is within ``1 - target`` of the
greatest, the cheapest answers. A target promises nothing by itself, since P is only as good as it
fits the traffic. So targets are tried on labelled prompts: half of them choose the target, the
other half, which had no part in the choice, say what it keeps, with an interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_ROWS: Final = 50
_TARGETS: Final = tuple(round(1 - step / 100, 2) for step in range(100))  # 0 is no target


class TooFewLabels(ValueError):
    """Too few labelled prompts to state a share with an interval."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Labelled prompts as the router sees them; arrays have shape (prompts, models).

    Attributes:
        p: P(adequate); minus infinity where a model may not answer.
        scores: what each model's answer was worth, in [0, 1].
        costs: expected, in nano-dollars.
        baseline: column of the model whose quality is the measure.
    """

    p: Floats
    scores: Floats
    costs: Floats
    baseline: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a quality target keeps.

    Attributes:
        target: of ``quality_target``, in [0, 1].
        share: routed quality / the baseline's; may exceed 1.
        low: of the two-sided 95 % interval of the share.
        high: of it.
        cost_nanos: mean expected cost of a routed request.
        baseline_cost_nanos: of one sent to the baseline.
        n: prompts that these figures come from.
        chosen: how many of them went to each model, in the trial's order.
        adequate: what each model's answers to those were worth, in prompts.
    """

    target: float
    share: float
    low: float
    high: float
    cost_nanos: float
    baseline_cost_nanos: float
    n: int
    chosen: tuple[int, ...] = ()
    adequate: tuple[float, ...] = ()


def operating_point(
    trial: Trial, wanted: float, seed: int = 0, confidence: float = 0.95
) -> Kept | None:
    """Return the cheapest target that keeps ``wanted`` of the baseline's quality.

    Args:
        trial: at least ``LEAST_ROWS`` prompts.
        wanted: share of the baseline's quality, in (0, 1].
        seed: halves the prompts.
        confidence: of the interval, and that the choosing half must have, one-sided.

    Returns:
        The target, judged on the other half; None where no target keeps the share for sure.

    Raises:
        TooFewLabels: fewer prompts, or a baseline that never succeeds on one half.
    """
    n = len(trial.p)
    if n < LEAST_ROWS:
        raise TooFewLabels(f"{LEAST_ROWS} labelled prompts are needed at least, got {n}")
    order = np.random.default_rng(seed).permutation(n)
    first, second = _rows(trial, order[: n // 2]), _rows(trial, order[n // 2 :])
    sure_enough = 2 * confidence - 1  # its lower end is one-sided at the confidence
    tried = [kept_by(first, target, sure_enough) for target in _TARGETS]
    good = [one for one in tried if one.low >= wanted]
    if not good:
        return None
    # Of equally cheap targets the highest: it changes nothing here and is safer elsewhere.
    chosen = min(good, key=lambda one: (one.cost_nanos, -one.target))
    return kept_by(second, chosen.target, confidence)


def kept_by(trial: Trial, target: float, confidence: float = 0.95) -> Kept:
    """Return what a target keeps on these prompts, with a two-sided interval (delta method).

    Raises:
        TooFewLabels: the baseline never succeeds, so that there is no quality to keep.
    """
    rows = np.arange(len(trial.p))
    chosen = routed(trial, target)
    got, strong = trial.scores[rows, chosen], trial.scores[:, trial.baseline]
    if strong.mean() <= 0:
        raise TooFewLabels("the baseline has no adequate answer among the labels")
    share = float(got.mean() / strong.mean())
    # Add one prompt that tells nothing less than the worst case: never an interval of width 0.
    spread = got - share * strong
    variance = (float(np.square(spread).sum()) + 1.0) / max(len(rows) - 1, 1)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * (variance / len(rows)) ** 0.5
    half /= float(strong.mean())
    return Kept(
        target=target,
        share=share,
        low=max(share - half, 0.0),
        high=share + half,
        cost_nanos=float(trial.costs[rows, chosen].mean()),
        baseline_cost_nanos=float(trial.costs[:, trial.baseline].mean()),
        n=len(rows),
        chosen=tuple(np.bincount(chosen, minlength=trial.p.shape[1]).tolist()),
        adequate=tuple(np.bincount(chosen, got, minlength=trial.p.shape[1]).tolist()),
    )


def routed(trial: Trial, target: float) -> npt.NDArray[np.intp]:
    """Return the column that each prompt goes to: the cheapest adequate, of equals the first."""
    floor = trial.p.max(axis=1, keepdims=True) - (1 - target)
    costs = np.where(trial.p >= floor, trial.costs, np.inf)
    return np.asarray(np.argmin(costs, axis=1))


def _rows(trial: Trial, rows: npt.NDArray[np.intp]) -> Trial:
    return Trial(trial.p[rows], trial.scores[rows], trial.costs[rows], trial.baseline)
