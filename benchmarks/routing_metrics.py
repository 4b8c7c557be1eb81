"""Pure figures of routing: RouteLLM's protocol for a pair of models, RouterBench's for a pool.

For a pair all that matters of a prompt is its gap, score of the strong model minus score of the
weak one, and its place in the order in which prompts go to the strong model. The share of calls is
counted in [0, 1] (the papers print percent).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.metrics import Floats, Ints

N_BINS = 10

_Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures:
    """RouteLLM's figures of one router on one pair; NaN where strong is not better than weak.

    Attributes:
        cpt50: least call share of the strong model at which half of the gap is recovered.
        cpt80: the same for 80 %.
        apgr: gap recovered, averaged over the call share; random routing has 0.5.
    """

    cpt50: float
    cpt80: float
    apgr: float


def seeded_order(scores: ArrayLike, seed: int) -> Ints:
    """Return row numbers by falling score; rows of equal score in an order drawn by the seed."""
    score = np.asarray(scores, dtype=np.float64)
    ties = np.random.default_rng(seed).random(score.size)
    return np.lexsort((ties, -score)).astype(np.int64)


def strong_counts(n: int, n_bins: int = N_BINS) -> Ints:
    """Return how many of n prompts go to the strong model at each of the n_bins + 1 thresholds.

    RouteLLM's thresholds are the quantiles i / n_bins of the score (linear interpolation), and
    prompts at or above one go to the strong model, above the last one none. Without ties that is
    n - ceil(i (n - 1) / n_bins), whatever the scores are. Rising, from 0 to n.
    """
    cuts = [0] + [n + (-i * (n - 1) // n_bins) for i in range(n_bins - 1, -1, -1)]
    return np.asarray(cuts, dtype=np.int64)


def recovered_curve(
    gaps_in_order: ArrayLike, counts_in_order: ArrayLike | None = None, n_bins: int = N_BINS
) -> tuple[Floats, Floats]:
    """Return (call share, performance gap recovered) at the protocol's thresholds, rising share.

    PGR = (r - w) / (s - w), Ong et al. (2024), where r, w and s are the mean scores of routed,
    always weak and always strong. NaN when s is not above w: nothing is there to recover.

    Args:
        gaps_in_order: shape (n,), strong minus weak, the first to be sent to strong first.
        counts_in_order: shape (n,), how often each prompt occurs in a resample; None: once.
        n_bins: quantile bins of the score.
    """
    gaps = np.asarray(gaps_in_order, dtype=np.float64)
    counts = np.ones(gaps.size) if counts_in_order is None else np.asarray(counts_in_order, float)
    n = int(counts.sum())
    wanted = strong_counts(n, n_bins)
    passed = np.concatenate([[0.0], np.cumsum(counts)])
    gained = np.concatenate([[0.0], np.cumsum(counts * gaps)])
    gain = np.interp(wanted, passed, gained)
    shares = wanted / max(n, 1)
    if n == 0 or gained[-1] <= 1e-12 * n:
        return shares, np.full(wanted.size, np.nan)
    return shares, gain / gained[-1]


def call_share_at(shares: Floats, recovered: Floats, target: float) -> float:
    """Return CPT: the least call share at which the curve, linear between points, is at ``target``.

    NaN where the curve is undefined. A curve that dips below and rises again counts where it first
    arrives.
    """
    reached = np.flatnonzero(recovered >= target - 1e-12)
    if np.isnan(recovered).any() or reached.size == 0:
        return float("nan")
    right = int(reached[0])
    if right == 0:
        return float(shares[0])
    low, high = recovered[right - 1], recovered[right]
    part = min((target - low) / (high - low), 1.0)
    return float(shares[right - 1] + part * (shares[right] - shares[right - 1]))


def average_recovered(shares: Floats, recovered: Floats) -> float:
    """Return APGR: area under the gap recovered over the call share (trapezoids) / its range."""
    width = float(shares[-1] - shares[0]) if shares.size else 0.0
    return float(np.trapezoid(recovered, shares) / width) if width else float("nan")


def pair_figures(gaps_in_order: ArrayLike, counts_in_order: ArrayLike | None = None) -> PairFigures:
    """Return CPT(50), CPT(80) and APGR of an order, see ``recovered_curve``."""
    shares, recovered = recovered_curve(gaps_in_order, counts_in_order)
    return PairFigures(
        cpt50=call_share_at(shares, recovered, 0.5),
        cpt80=call_share_at(shares, recovered, 0.8),
        apgr=average_recovered(shares, recovered),
    )


def random_figures(gaps: ArrayLike, counts: ArrayLike | None = None) -> PairFigures:
    """Return the figures of random routing in expectation: PGR is the call share itself."""
    shares, recovered = recovered_curve(gaps, counts)
    if np.isnan(recovered).any():
        return PairFigures(cpt50=float("nan"), cpt80=float("nan"), apgr=float("nan"))
    return PairFigures(
        cpt50=call_share_at(shares, shares, 0.5),
        cpt80=call_share_at(shares, shares, 0.8),
        apgr=average_recovered(shares, shares),
    )


def cost_strata(costs: ArrayLike, n_strata: int = 20) -> Ints:
    """Return the quantile bin of each prompt's cost, 0..m-1; equal costs share a bin."""
    cost = np.asarray(costs, dtype=np.float64)
    if cost.size == 0:
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(cost, np.arange(1, n_strata) / n_strata))
    bins = np.searchsorted(edges, cost, side="right")
    return np.unique(bins, return_inverse=True)[1].astype(np.int64)


def cost_matched_shuffle(
    gaps: ArrayLike, strata: ArrayLike, counts: ArrayLike | None = None
) -> Floats:
    """Return the gaps a router would meet if its decisions were shuffled at equal cost.

    Decisions change places only between prompts of one cost stratum, so that every threshold
    costs as much as before: what then remains of the gain is owed to cost (mostly length) alone.
    In expectation over all such shuffles each place holds its stratum's mean gap.
    """
    gap = np.asarray(gaps, dtype=np.float64)
    stratum = np.asarray(strata, dtype=np.int64)
    weight = np.ones(gap.size) if counts is None else np.asarray(counts, dtype=np.float64)
    total = np.bincount(stratum, weights=weight * gap)
    n = np.bincount(stratum, weights=weight)
    return np.asarray((total / np.maximum(n, 1e-300))[stratum])


def rising_hull(costs: ArrayLike, qualities: ArrayLike) -> tuple[Floats, Floats]:
    """Return the non-decreasing convex hull of (cost, quality) points, by rising cost.

    RouterBench, Hu et al. (2024): of what can be reached by mixing systems at random, the best
    quality for at most each cost. Starts at the cheapest point, ends at the best one.
    """
    cost = np.asarray(costs, dtype=np.float64)
    quality = np.asarray(qualities, dtype=np.float64)
    hull: list[tuple[float, float]] = []
    for i in np.lexsort((-quality, cost)):
        point = (float(cost[i]), float(quality[i]))
        if hull and point[1] <= hull[-1][1]:
            continue
        while len(hull) >= 2 and _is_below(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    corners = np.asarray(hull, dtype=np.float64).reshape(-1, 2)
    return corners[:, 0], corners[:, 1]


def average_quality(
    costs: ArrayLike, qualities: ArrayLike, cost_range: tuple[float, float]
) -> float:
    """Return AIQ: the hull's quality integrated over ``cost_range`` / its width.

    RouterBench's "average improvement in quality". Beyond its best point a hull stays flat; below
    its cheapest point it has quality 0, for nothing can be had there.

    Raises:
        ValueError: the range is empty.
    """
    low, high = cost_range
    if not low < high:
        raise ValueError(f"cost_range rises, got {low} to {high}")
    cost, quality = rising_hull(costs, qualities)
    inside = cost[(cost > low) & (cost < high)]
    grid = np.concatenate([[low], inside, [high]])
    heights = np.interp(grid, cost, quality)
    area = float(np.trapezoid(heights, grid))
    if cost[0] > low:  # np.interp was flat there
        area -= float(quality[0]) * (min(float(cost[0]), high) - low)
    return area / (high - low)


def cost_for_quality(costs: ArrayLike, qualities: ArrayLike, target: float) -> float | None:
    """Return the least cost at which the hull reaches ``target``; None where it never does."""
    cost, quality = rising_hull(costs, qualities)
    if cost.size == 0 or quality[-1] < target:
        return None
    return float(np.interp(target, quality, cost))


def _is_below(left: _Point, middle: _Point, right: _Point) -> bool:
    rise, run = right[1] - left[1], right[0] - left[0]
    return (middle[0] - left[0]) * rise >= (middle[1] - left[1]) * run
