"""What the ``route`` scenario reports: a router and its controls on one pair, or on a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import metrics
from benchmarks import routing_metrics as routing
from benchmarks.metrics import Floats, Ints
from benchmarks.routing_metrics import PairFigures

Figure = Callable[[Floats], PairFigures]
"""Figures of one order under a resample: how often each row occurs, shape (n,)."""

_LAMBDAS = np.concatenate([[0.0], np.geomspace(1e-4, 1e4, 400)])


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTrial:
    """A router's work on one pair of models; every array has one value per row.

    Attributes:
        weak: scores of the weak model in [0, 1].
        strong: of the strong one.
        p_weak: predicted P(adequate) of the weak model.
        p_strong: of the strong one.
        lengths: characters of the prompt.
        costs: what the strong model costs more than the weak one; None: taken from the lengths.
        domains: subject of the prompt.
        dialogues: rows of one dialogue are resampled together.
    """

    weak: Floats
    strong: Floats
    p_weak: Floats
    p_strong: Floats
    lengths: Floats
    costs: Floats | None
    domains: Sequence[str]
    dialogues: Sequence[str]

    @property
    def gaps(self) -> Floats:
        """Strong minus weak."""
        return self.strong - self.weak

    @property
    def scores(self) -> Floats:
        """The predicted gap: what the router orders by."""
        return self.p_strong - self.p_weak


def pair_report(
    trial: PairTrial, seed: int, n_resamples: int = metrics.N_RESAMPLES
) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md for one pair."""
    subjects = _subjects(trial, seed)
    ones = np.ones(trial.gaps.size)
    exact = {name: figure(ones) for name, figure in subjects.items()}
    drawn = _resampled(subjects, trial.dialogues, seed, n_resamples)
    router = exact["router"]
    controls: dict[str, Any] = {
        name: None if name not in exact else _numbers(exact[name])
        for name in ("random", "length", "domain_mean", "shuffled", "oracle")
    }
    return {
        "n": int(trial.gaps.size),
        "weak": _mean(trial.weak),
        "strong": _mean(trial.strong),
        **{
            key: metrics.interval(_known(getattr(router, key)), drawn["router"][key])
            for key in ("cpt50", "cpt80", "apgr")
        },
        "gain_over": {
            name: None
            if name not in exact
            else metrics.interval(
                _known(router.apgr - exact[name].apgr),
                drawn["router"]["apgr"] - drawn[name]["apgr"],
            )
            for name in controls
        },
        "controls": controls,
        **calibration(
            np.concatenate([trial.p_weak, trial.p_strong]),
            np.concatenate([trial.weak, trial.strong]),
        ),
    }


def calibration(p: Floats, scores: Floats) -> dict[str, float | None]:
    """Return ``ece`` and ``brier`` of P(adequate) over all given predictions."""
    clipped = np.clip(p, 0, 1)
    return {
        "ece": metrics.expected_calibration_error(clipped, scores),
        "brier": metrics.brier(clipped, scores),
    }


def _subjects(trial: PairTrial, seed: int) -> dict[str, Figure]:
    """Return the router and every control that the rows allow, by name."""
    gaps = trial.gaps
    router = routing.seeded_order(trial.scores, seed)
    strata = routing.cost_strata(trial.lengths if trial.costs is None else trial.costs)
    found: dict[str, Figure] = {
        "router": partial(_ordered, gaps, router),
        "random": partial(routing.random_figures, gaps),
        "length": partial(_ordered, gaps, routing.seeded_order(trial.lengths, seed + 1)),
        "shuffled": partial(_shuffled, gaps, strata, router),
        "oracle": partial(_ordered, gaps, routing.seeded_order(gaps, seed + 3)),
    }
    names, domain = np.unique(np.asarray(trial.domains, dtype=str), return_inverse=True)
    if names.size > 1:
        means = np.bincount(domain, weights=gaps) / np.bincount(domain)
        found["domain_mean"] = partial(
            _ordered, gaps, routing.seeded_order(means[domain], seed + 2)
        )
    return found


def _ordered(gaps: Floats, order: Ints, counts: Floats) -> PairFigures:
    return routing.pair_figures(gaps[order], counts[order])


def _shuffled(gaps: Floats, strata: Ints, order: Ints, counts: Floats) -> PairFigures:
    return _ordered(routing.cost_matched_shuffle(gaps, strata, counts), order, counts)


def _resampled(
    subjects: Mapping[str, Figure], dialogues: Sequence[str], seed: int, n_resamples: int
) -> dict[str, dict[str, Floats]]:
    """Return each subject's figures in each resample; the same resamples for all."""
    units = np.unique(np.asarray(dialogues, dtype=str), return_inverse=True)[1]
    drawn: dict[str, list[PairFigures]] = {name: [] for name in subjects}
    for chunk in metrics.bootstrap_counts(units, seed, n_resamples):
        for counts in chunk.astype(np.float64):
            for name, figure in subjects.items():
                drawn[name].append(figure(counts))
    return {
        name: {
            key: np.array([getattr(one, key) for one in found])
            for key in ("cpt50", "cpt80", "apgr")
        }
        for name, found in drawn.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTrial:
    """A router's work on a pool; arrays have shape (rows, models).

    Attributes:
        models: names, one per column.
        scores: in [0, 1].
        costs: US dollars per call; None where the file has none.
        expected_costs: what the router reckons with, None where there are no costs.
        p: predicted P(adequate).
    """

    models: Sequence[str]
    scores: Floats
    costs: Floats | None
    expected_costs: Floats | None
    p: Floats


def pool_report(trial: PoolTrial) -> dict[str, Any]:
    """Return what ``--all-models`` adds; without costs only what needs none."""
    quality = trial.scores.mean(axis=0)
    best = int(np.argmax(quality))
    oracle_quality = float(trial.scores.max(axis=1).mean())
    if trial.costs is None or trial.expected_costs is None:
        return {
            "n_models": len(trial.models),
            "aiq": None,
            "aiq_zero_router": None,
            "best_single": {
                "model": trial.models[best],
                "quality": float(quality[best]),
                "cost_usd": None,
            },
            "cost_at_best_quality": None,
            "oracle": {"quality": oracle_quality, "cost_usd": None},
        }
    cost = trial.costs.mean(axis=0)
    reach = (float(cost.min()), float(cost.max()))
    routed_cost, routed_quality = utility_curve(trial)
    return {
        "n_models": len(trial.models),
        "aiq": _area(routed_cost, routed_quality, reach),
        "aiq_zero_router": _area(cost, quality, reach),
        "best_single": {
            "model": trial.models[best],
            "quality": float(quality[best]),
            "cost_usd": float(cost[best]),
        },
        "cost_at_best_quality": routing.cost_for_quality(
            routed_cost, routed_quality, float(quality[best])
        ),
        "oracle": {"quality": oracle_quality, "cost_usd": _oracle_cost(trial.scores, trial.costs)},
    }


def utility_curve(trial: PoolTrial) -> tuple[Floats, Floats]:
    """Return (mean cost, mean quality) for each lambda of RouterBench's utility.

    Each prompt goes to the model with the greatest lambda * P(adequate) - cost, cost as expected
    in units of the pool's mean cost; of equals, to the first. Lambda runs from 0 (always the
    cheapest) to where cost no longer matters.
    """
    assert trial.costs is not None
    assert trial.expected_costs is not None
    expected = trial.expected_costs / max(float(trial.expected_costs.mean()), 1e-300)
    rows = np.arange(trial.scores.shape[0])
    points = []
    for weight in _LAMBDAS:
        chosen = np.argmax(weight * trial.p - expected, axis=1)
        points.append(
            (float(trial.costs[rows, chosen].mean()), float(trial.scores[rows, chosen].mean()))
        )
    curve = np.asarray(points)
    return curve[:, 0], curve[:, 1]


def expected_costs(costs: Floats, lengths: Floats) -> Floats:
    """Return what each call is expected to cost: a line over the prompt's length, per model.

    It stands for the price list and the usual length of an answer, which an operator knows; two
    numbers per model, fitted by least squares on the rows themselves, never below 0.
    """
    design = np.stack([np.ones_like(lengths), lengths], axis=1)
    lines = np.linalg.lstsq(design, costs, rcond=None)[0]
    return np.asarray(np.maximum(design @ lines, 0.0))


def _oracle_cost(scores: Floats, costs: Floats) -> float:
    """Return the mean cost of taking, for each prompt, the cheapest of the best models."""
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-12
    return float(np.where(best, costs, np.inf).min(axis=1).mean())


def _area(costs: Floats, qualities: Floats, reach: tuple[float, float]) -> float | None:
    return routing.average_quality(costs, qualities, reach) if reach[0] < reach[1] else None


def _numbers(figures: PairFigures) -> dict[str, float | None]:
    return {key: _known(getattr(figures, key)) for key in ("cpt50", "cpt80", "apgr")}


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
