"""Pure figures over scores and labels: ranking, calibration, bounds. No files, no clock, no models.

Undefined is None (no positives, nothing served), never 0 and never NaN, so that a result says what
was not measured. Figures of routing stand in ``routing_metrics``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_CALIBRATION_BINS = 15
N_RESAMPLES = 1_000
_PRECISION_SLACK = 1e-12  # 19 of 20 is a precision of 0.95, whatever the float says


class Estimate(TypedDict):
    """A figure with its 95 % interval; all None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Return AP = sum over distinct scores of (R_i - R_(i-1)) P_i, from high to low.

    The step-wise sum of Zhu (2004) as in ``sklearn.metrics.average_precision_score``: rows of
    equal score enter together, so their order cannot matter. None without positives.

    Args:
        scores: shape (n,), higher is surer.
        labels: shape (n,), 1 right and 0 wrong.
    """
    served, right = operating_points(scores, labels)
    if right.size == 0 or right[-1] == 0:
        return None
    gained = np.diff(right, prepend=0)
    return float(np.sum(gained * (right / served)) / right[-1])


def p_chr_auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Return precision integrated over the share of queries served, from 0 to 1.

    Area under precision over cache hit ratio: sum over distinct scores of (C_i - C_(i-1)) P_i,
    where C_i is the share of all rows served at that threshold and P_i the share of right ones
    among them; ties enter together, as in ``average_precision``. Unlike AP it falls with the
    share of positives: it is what an operator sees who lets ever more hits through. None for no
    rows.
    """
    served, right = operating_points(scores, labels)
    if served.size == 0:
        return None
    gained = np.diff(served, prepend=0)
    return float(np.sum(gained * (right / served)) / served[-1])


def recall_at_precision(scores: ArrayLike, labels: ArrayLike, precision: float) -> float | None:
    """Return the largest recall at any threshold whose precision is at least ``precision``.

    0.0 where no threshold is that precise, None without positives. Thresholds are the scores
    that occur; a row is served when its score is at least the threshold.
    """
    served, right = operating_points(scores, labels)
    if right.size == 0 or right[-1] == 0:
        return None
    precise = right >= precision * served - _PRECISION_SLACK
    return float(np.max(right[precise], initial=0) / right[-1])


def operating_points(scores: ArrayLike, labels: ArrayLike) -> tuple[Ints, Ints]:
    """Return (served, right) counts at each distinct score, highest first.

    Raises:
        ValueError: the shapes differ, a score is not a number, or a label is neither 0 nor 1.
    """
    score, label = _checked(scores, labels)
    if not np.all((label == 0) | (label == 1)):
        raise ValueError("labels are 0 or 1")
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(score[order], append=-np.inf))
    right = np.cumsum(label[order]).astype(np.int64)
    return (last_of_tie + 1).astype(np.int64), right[last_of_tie]


def expected_calibration_error(
    p: ArrayLike, outcomes: ArrayLike, n_bins: int = N_CALIBRATION_BINS
) -> float | None:
    """Return ECE = sum over bins of |B|/n * |mean outcome - mean p|, equal-width bins on [0, 1].

    Naeini et al. (2015), with the 15 bins of Guo et al. (2017); the last bin holds p = 1. None for
    no rows.

    Args:
        p: shape (n,), probabilities.
        outcomes: shape (n,), in [0, 1]; a graded score counts as its share.
        n_bins: at least 1.
    """
    prob, outcome = _checked(p, outcomes)
    _check_unit("p", prob)
    _check_unit("outcomes", outcome)
    if prob.size == 0:
        return None
    bins = np.minimum((prob * n_bins).astype(np.int64), n_bins - 1)
    gap = np.bincount(bins, weights=outcome - prob, minlength=n_bins)
    return float(np.abs(gap).sum() / prob.size)


def brier(p: ArrayLike, outcomes: ArrayLike) -> float | None:
    """Return the mean of (p - outcome)^2, Brier (1950) for two classes; None for no rows."""
    prob, outcome = _checked(p, outcomes)
    _check_unit("p", prob)
    _check_unit("outcomes", outcome)
    return None if prob.size == 0 else float(np.mean((prob - outcome) ** 2))


def clopper_pearson_upper(k: int, n: int, confidence: float = 0.95) -> float | None:
    """Return the one-sided exact upper bound of a share, k of n seen: Beta(c; k + 1, n - k).

    Clopper and Pearson (1934): the largest share under which k or fewer would still be seen with
    probability 1 - ``confidence``. 1.0 when all were, None when n is 0.
    """
    _check_count(k, n)
    if n == 0:
        return None
    return 1.0 if k == n else float(betaincinv(k + 1, n - k, confidence))


def clopper_pearson_lower(k: int, n: int, confidence: float = 0.95) -> float | None:
    """Return the one-sided exact lower bound of a share, k of n seen: Beta(1 - c; k, n - k + 1).

    0.0 when none was, None when n is 0.
    """
    _check_count(k, n)
    if n == 0:
        return None
    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, 1 - confidence))


def share(k: int, n: int) -> float | None:
    """Return k / n, None when n is 0."""
    return None if n == 0 else k / n


def percentiles(values: Sequence[float], at: Sequence[int] = (50, 99)) -> dict[str, float | None]:
    """Return {"p50": ..., "p99": ...} with linear interpolation; None for no values."""
    if not len(values):
        return {f"p{q}": None for q in at}
    found = np.percentile(np.asarray(values, dtype=np.float64), at)
    return {f"p{q}": float(value) for q, value in zip(at, found, strict=True)}


def bootstrap_counts(
    units: ArrayLike, seed: int, n_resamples: int = N_RESAMPLES, chunk: int = 50
) -> Iterator[Ints]:
    """Yield how often each row occurs in each resample, shape (<= chunk, n), until all are drawn.

    Efron's bootstrap in counts instead of rows: units are drawn with replacement, as many as there
    are, and a row occurs as often as its unit was drawn.

    Args:
        units: shape (n,), 0..m-1, the unit each row belongs to; rows of one dialogue share one.
        seed: the same seed draws the same resamples, so that figures can be compared in pairs.
        n_resamples: how many in all.
        chunk: how many at once; bounds the memory.
    """
    unit = np.asarray(units, dtype=np.int64)
    n_units = int(unit.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, chunk):
        n = min(chunk, n_resamples - start)
        drawn = rng.integers(0, max(n_units, 1), size=(n, n_units))
        flat = (drawn + np.arange(n)[:, None] * n_units).ravel()
        counts = np.bincount(flat, minlength=n * n_units).reshape(n, n_units)
        yield counts[:, unit].astype(np.int64)


def interval(value: float | None, resampled: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the percentile interval of a figure.

    Resamples where it is undefined (NaN) are left out. All None when the figure itself is
    undefined, or every resample is.
    """
    drawn = np.asarray(resampled, dtype=np.float64)
    drawn = drawn[~np.isnan(drawn)]
    if value is None or drawn.size == 0:
        return {"value": value, "low": None, "high": None}
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return {"value": value, "low": float(low), "high": float(high)}


def _checked(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    one = np.asarray(first, dtype=np.float64)
    two = np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != two.shape:
        raise ValueError(f"two arrays of one length are paired, got {one.shape} and {two.shape}")
    if np.isnan(one).any() or np.isnan(two).any():
        raise ValueError("scores, probabilities and labels are numbers, got NaN")
    return one, two


def _check_unit(name: str, values: Floats) -> None:
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(f"{name} lie in [0, 1], got {values.min()} to {values.max()}")


def _check_count(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"k of n needs 0 <= k <= n, got k={k}, n={n}")
