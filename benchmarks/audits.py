"""``audits``: what audits are worth, on simulated traffic whose truth is known.

Nothing here is measured on a model: what is judged is the statistics that turn audits into an
error rate with an interval, into barred traits and into a threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from benchmarks import console, metrics
from benchmarks.errors import UnusableInput
from cache.calibration import (
    CONFIDENCE,
    Observation,
    Source,
    Twins,
    labels_needed,
    live_error_rate,
    operating_point,
)
from cache.types import OperatingPoint

ERROR_RATES = (0.005, 0.02, 0.05, 0.10)
FALSE_ALARMS = (0.0, 0.03, 0.10)
AUDITS = ((5_000, 0.02), (5_000, 0.10), (40_000, 0.02))  # hits, and the share that is audited
N_TWINS = 200

TARGET = 0.02
PRIOR = 0.95
N_AUDITS = 300
AUDIT_SHARE = 0.05
PLANTED = 0.05  # wrong hits that share the trait, of all hits
BACKGROUND = 0.005  # wrong hits of any trait
_EVERY = 10  # audits between two looks at the evidence, as in the service some seconds
_N_JUDGED = 6_000  # hits that judge an operating point
_N_CERTIFIED = 1_000  # audits before a certificate is looked at
_SLOTS = 12

_NAMES = tuple(f"name{n}" for n in range(40))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("--seeds", type=int, default=200, help="simulated runs of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Simulate.

    Raises:
        UnusableInput: no seed to run.
    """
    if args.seeds < 1:
        raise UnusableInput(f"--seeds is a number >= 1, got {args.seeds}")
    seeds = range(args.seed, args.seed + args.seeds)
    console.say("intervals")
    cells = [
        coverage(Setting(error_rate=e, false_alarms=f, n_hits=n, share=share), seeds)
        for e, f, (n, share) in product(ERROR_RATES, FALSE_ALARMS, AUDITS)
    ]
    console.say("a planted trait")
    planted = [plant(seed) for seed in console.track(seeds, "planting", len(seeds))]
    console.say("certificates")
    return {
        "n_seeds": args.seeds,
        "coverage": {
            "least": min(cell["coverage"] for cell in cells),
            "mean": float(np.mean([cell["coverage"] for cell in cells])),
            "cells": cells,
        },
        "planted": planted_figures(planted),
        "certificates": {
            "labels_needed": {
                str(target): labels_needed(target) for target in (0.005, 0.01, 0.02, 0.05)
            },
            "confidence": CONFIDENCE,
            "certified": {
                str(rate): float(np.mean([_is_certified(rate, seed) for seed in seeds]))
                for rate in (0.005, 0.01, TARGET, 1.2 * TARGET)
            },
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A namespace whose error rate is known.

    Attributes:
        error_rate: share of wrong hits.
        false_alarms: how often the comparator calls two equal answers different.
        n_hits: hits in the window.
        share: of them that are audited; in the second half of the window twice the share.
    """

    error_rate: float
    false_alarms: float
    n_hits: int
    share: float


def coverage(setting: Setting, seeds: Sequence[int]) -> dict[str, Any]:
    """Return how often the interval holds the true rate of the hits that were served."""
    n_covered, widths, values = 0, [], []
    for seed in seeds:
        truth, observations, twins = _audited(setting, np.random.default_rng(seed))
        found = live_error_rate(observations, twins)
        if found is None:
            continue
        n_covered += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        values.append(found.value - truth)
    return {
        "error_rate": setting.error_rate,
        "false_alarms": setting.false_alarms,
        "n_hits": setting.n_hits,
        "audit_share": setting.share,
        "coverage": n_covered / len(seeds),
        "mean_width": float(np.mean(widths)) if widths else None,
        "mean_deviation": float(np.mean(values)) if values else None,
    }


def _audited(setting: Setting, rng: np.random.Generator) -> tuple[float, list[Observation], Twins]:
    is_wrong = rng.random(setting.n_hits) < setting.error_rate
    share = np.where(np.arange(setting.n_hits) < setting.n_hits // 2, 1, 2) * setting.share
    is_audited = rng.random(setting.n_hits) < share
    is_alarm = rng.random(setting.n_hits) < setting.false_alarms
    observations = [
        Observation(
            p_right=0.99,
            is_right=not (is_wrong[n] or is_alarm[n]),
            weight=1 / share[n],
            at_s=float(n),
        )
        for n in np.flatnonzero(is_audited)
    ]
    n_false = int(rng.binomial(N_TWINS, setting.false_alarms))
    return float(is_wrong.mean()), observations, Twins(n=N_TWINS, n_different=n_false)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What became of a namespace with a planted trait.

    Attributes:
        error_rate: of what is served after the audits.
        right_lost: share of the right hits that are not served any more.
        is_barred: the planted trait is barred.
        n_others_barred: other traits that are.
        n_audits: after how many the error rate was under the target for good; None: never.
    """

    error_rate: float
    right_lost: float
    is_barred: bool
    n_others_barred: int
    n_audits: int | None


def plant(seed: int) -> Planted:
    """Audit hits of which some are wrong and share a slot, and follow the operating point."""
    rng = np.random.default_rng(seed)
    judged_by = [_hit(rng, at_s=0.0) for _ in range(_N_JUDGED)]
    point = OperatingPoint(min_p_right=PRIOR)
    evidence: list[Observation] = []
    n_audits, rates, at_s = 0, [], 0.0
    while n_audits < N_AUDITS:
        at_s += 1
        hit = _hit(rng, at_s=at_s)
        if not is_served(hit, point):
            evidence.append(replace(hit, source=Source.SHADOW))
        elif rng.random() < AUDIT_SHARE:
            evidence.append(replace(hit, weight=1 / AUDIT_SHARE))
            n_audits += 1
            if n_audits % _EVERY == 0:
                point = operating_point(evidence, target=TARGET, prior_min_p_right=PRIOR)
                rates.append(_rate(judged_by, point)[0])
    error_rate, right_lost = _rate(judged_by, point)
    above = [n for n, rate in enumerate(rates) if rate >= TARGET]
    good_from = (above[-1] + 2 if above else 1) * _EVERY
    return Planted(
        error_rate=error_rate,
        right_lost=right_lost,
        is_barred="slot:for" in point.barred,
        n_others_barred=len(point.barred - {"slot:for"}),
        n_audits=good_from if good_from <= N_AUDITS else None,
    )


def planted_figures(runs: Sequence[Planted]) -> dict[str, Any]:
    """Return medians and worst cases."""
    return {
        "target": TARGET,
        "planted": PLANTED,
        "background": BACKGROUND,
        "n_audits": N_AUDITS,
        "error_rate_after": _spread([r.error_rate for r in runs]),
        "right_lost": _spread([r.right_lost for r in runs]),
        "met": metrics.share(
            sum(r.error_rate < TARGET and r.right_lost <= 1 / 3 for r in runs), len(runs)
        ),
        "barred": metrics.share(sum(r.is_barred for r in runs), len(runs)),
        "others_barred": _spread([r.n_others_barred for r in runs]),
        "audits_until_met": _spread([r.n_audits or N_AUDITS for r in runs]),
    }


def is_served(hit: Observation, point: OperatingPoint) -> bool:
    """Tell what the operating point says of a near-duplicate."""
    return (
        point.min_p_right is not None
        and hit.p_right >= point.min_p_right
        and point.barred.isdisjoint(hit.traits)
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th percentile and the worst, which is the largest."""
    return {
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)),
        "worst": float(np.max(values)),
    }


def _rate(hits: Sequence[Observation], point: OperatingPoint) -> tuple[float, float]:
    served = [hit for hit in hits if is_served(hit, point)]
    n_right = sum(hit.is_right for hit in served)
    n_all_right = sum(hit.is_right for hit in hits)
    return 1 - n_right / max(len(served), 1), 1 - n_right / n_all_right


def _hit(rng: np.random.Generator, *, at_s: float) -> Observation:
    """Return a hit of the shipped threshold: 5 % are wrong and differ behind "for".

    Right ones are surer, but not by much, and some of them differ behind "for" too; a few wrong
    ones differ as right ones do.
    """
    drawn = rng.random()
    is_right = bool(drawn >= PLANTED + BACKGROUND)
    sureness = 1.0 + rng.gamma(2.0, 0.5 if is_right else 0.35)  # 1: 0.95, 2: 0.995, ...
    traits = _replaced(rng, "for", "name") if drawn < PLANTED else _traits(rng)
    return Observation(p_right=1 - 0.5 * 10**-sureness, is_right=is_right, traits=traits, at_s=at_s)


def _traits(rng: np.random.Generator) -> tuple[str, ...]:
    drawn = rng.random()
    if drawn < 0.35:
        return ("form",)
    if drawn < 0.38:
        return _replaced(rng, "for", "name")
    if drawn < 0.70:
        kind = "name" if rng.random() < 0.4 else "word"
        return _replaced(rng, f"w{rng.integers(_SLOTS)}", kind)
    if drawn < 0.85:
        return (f"extra:{'name' if rng.random() < 0.3 else 'word'}",)
    return ("order",) if drawn < 0.9 else ("far",)


def _replaced(rng: np.random.Generator, slot: str, kind: str) -> tuple[str, ...]:
    one, two = sorted(rng.choice(len(_NAMES), 2, replace=False))
    return (f"slot:{slot}", f"words:{_NAMES[one]}|{_NAMES[two]}", f"kind:{kind}")


def _is_certified(error_rate: float, seed: int) -> bool:
    """Tell whether a namespace of this error rate, whatever P(right) and trait, is certified."""
    rng = np.random.default_rng(seed)
    evidence = [
        replace(_hit(rng, at_s=float(n)), is_right=bool(rng.random() >= error_rate), weight=20.0)
        for n in range(_N_CERTIFIED)
    ]
    return operating_point(evidence, target=TARGET, prior_min_p_right=PRIOR).is_certified
