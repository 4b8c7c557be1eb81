"""Puts models that no benchmark measured together on one scale of ability.

A Rasch link: logit(accuracy) = ability of the model - difficulty of the benchmark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from classifier.abilities import Abilities, normalize_model
from classifier.list_prices import LIST_PRICES


class Scored(Protocol):
    """How one model did on one prompt."""

    @property
    def score(self) -> float:
        """In [0, 1]."""


class LabelledPrompt(Protocol):
    """A prompt and how each model did on it; rows of ``benchmarks.datasets`` are such."""

    @property
    def benchmark(self) -> str:
        """Where it is from; abilities are linked across benchmarks."""

    @property
    def domain(self) -> str:
        """Subject within the benchmark; the same for all where there are none."""

    @property
    def prompt(self) -> str:
        """The text."""

    @property
    def tools(self) -> Sequence[Any]:
        """Tool schemas offered with it."""

    @property
    def outcomes(self) -> Mapping[str, Scored]:
        """Model name to outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The joint scale of models and benchmarks.

    Attributes:
        abilities: normalized model name to ability, mean 0.
        difficulties: benchmark to difficulty.
        shown: (benchmark, normalized name) to the ability that the model showed there, which is
            its own plus a liking or dislike for that benchmark.
        chosen: (benchmark, normalized name) to the name in the data; of several variants of a
            model the one that did best stands for it. Cells that fit the scale badly (a model
            whose answers a benchmark could not parse) are left out.
    """

    abilities: Mapping[str, float]
    difficulties: Mapping[str, float]
    shown: Mapping[tuple[str, str], float]
    chosen: Mapping[tuple[str, str], str]


def link_abilities(rows: Iterable[LabelledPrompt]) -> Link:
    """Return abilities and difficulties such that logit accuracy is their difference.

    Robust (Huber weights), since a model that fails at a benchmark's answer format says nothing
    about the prompts; slightly shrunk, since some models were measured once.
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        for model, outcome in row.outcomes.items():
            cell = sums[row.benchmark, model]
            cell[0] += outcome.score
            cell[1] += 1
    logits: dict[tuple[str, str], float] = {}
    chosen: dict[tuple[str, str], str] = {}
    for (benchmark, model), (right, n) in sorted(sums.items()):
        key = (benchmark, normalize_model(model))
        logit = float(np.log((right + 0.5) / (n - right + 0.5)))
        if logit > logits.get(key, -np.inf):
            logits[key], chosen[key] = logit, model
    abilities, difficulties = _robust_link(logits)
    fitting = {
        key
        for key, logit in logits.items()
        if abs(logit - abilities[key[1]] + difficulties[key[0]]) < _UNFIT_LOGITS
    }
    return Link(
        abilities=abilities,
        difficulties=difficulties,
        shown={key: logit + difficulties[key[0]] for key, logit in logits.items()},
        chosen={key: model for key, model in chosen.items() if key in fitting},
    )


_UNFIT_LOGITS = 1.5
_HUBER_LOGITS = 0.4
_SHRINKAGE = 0.1
_ROUNDS = 100


def _robust_link(
    logits: Mapping[tuple[str, str], float],
) -> tuple[dict[str, float], dict[str, float]]:
    keys = sorted(logits)
    benchmarks = sorted({benchmark for benchmark, _ in keys})
    models = sorted({model for _, model in keys})
    of_benchmark = np.array([benchmarks.index(benchmark) for benchmark, _ in keys])
    of_model = np.array([models.index(model) for _, model in keys])
    value = np.array([logits[key] for key in keys])
    weight = np.ones(len(keys))
    ability = np.zeros(len(models))
    difficulty = np.zeros(len(benchmarks))

    def mean_per(group: npt.NDArray[Any], x: npt.NDArray[Any], shrinkage: float) -> Any:  # noqa: ANN401
        return np.bincount(group, weight * x) / (np.bincount(group, weight) + shrinkage)

    for _ in range(_ROUNDS):
        difficulty = mean_per(of_benchmark, ability[of_model] - value, 0.0)
        ability = mean_per(of_model, value + difficulty[of_benchmark], _SHRINKAGE)
        ability -= ability.mean()
        residual = np.abs(value - ability[of_model] + difficulty[of_benchmark])
        weight = 1 / np.maximum(1, residual / _HUBER_LOGITS)
    return (
        dict(zip(models, ability.tolist(), strict=True)),
        dict(zip(benchmarks, difficulty.tolist(), strict=True)),
    )


def known_abilities(rows: Sequence[LabelledPrompt], linked: Link) -> Abilities:
    """Return what is known of models, and the prior from the list prices among them.

    A model measured on tool calls alone is not called known: being made for tools says little
    about other prompts.
    """
    with_tools = {row.benchmark for row in rows if row.tools}
    benchmarks = {row.benchmark for row in rows}
    general = (benchmarks - with_tools) or benchmarks
    known = {
        model: round(linked.abilities[model], 4)
        for model in sorted({m for b, m in linked.chosen if b in general})
    }
    priced = [(known[m], (3 * i + o) / 4) for m, (i, o) in LIST_PRICES.items() if m in known]
    slope, intercept = 0.0, 0.0
    if len(priced) >= 3:
        ability, price = np.array(priced).T
        slope, intercept = np.polyfit(np.log10(price), ability, 1)
    return Abilities(
        known=known,
        prior_intercept=round(float(intercept), 4),
        prior_slope=round(max(float(slope), 0.0), 4),
        low=min(known.values()),
        high=max(known.values()),
    )
