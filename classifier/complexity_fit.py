"""Fits the complexity model: scikit-learn only, never imported by the service.

Two steps. First a Rasch link puts models on one scale although no benchmark measured them all:
logit(accuracy) = ability - benchmark difficulty. Then one logistic regression per tier learns, from
encoder vector and structural features, which prompts a model of about that ability answers well:
every outcome counts by how near its model's ability is to the tier. Prompts that all fail score low
on every tier, so the strong model gains nothing on them and they stay cheap.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from classifier.abilities import Abilities, normalize_model
from classifier.complexity import inputs, rising_probabilities
from classifier.list_prices import LIST_PRICES
from classifier.shape import PromptShape

Floats = npt.NDArray[np.float32]


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
    def prompt(self) -> str:
        """The text."""

    @property
    def tools(self) -> Sequence[Any]:
        """Tool schemas offered with it."""

    @property
    def outcomes(self) -> Mapping[str, Scored]:
        """Model name to outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """What may be chosen.

    Attributes:
        tiers: abilities at which a regression is fitted, ascending; one with too few outcomes near
            it is left out of the fitted model.
        bandwidth: standard deviation of the kernel by which outcomes count for a tier, in ability.
        strength: inverse L2 penalty of the regressions; smaller is simpler.
        dimensions: principal components kept of the encoder vector.
        benchmark_power: a benchmark of n prompts weighs n ** (1 - power): at 0 every prompt weighs
            the same, at 1 every benchmark.
        emphasis: benchmark to a factor on its weight, 1 where it is not named.
    """

    tiers: tuple[float, ...] = (-0.9, -0.3, 0.2, 0.6, 1.0, 2.0)
    bandwidth: float = 0.3
    strength: float = 0.03
    dimensions: int = 128
    benchmark_power: float = 0.25
    emphasis: Mapping[str, float] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedComplexity:
    """A fitted model, with the surface of ``ComplexityModel``.

    Attributes:
        tiers: abilities for which ``score`` gives probabilities, ascending.
        abilities: of the models in the data, and the prior for others.
        weights: shape (dim + F, T), float32: logits per tier are inputs @ weights + intercepts.
        intercepts: shape (T,), float32.
    """

    tiers: tuple[float, ...]
    abilities: Abilities
    weights: Floats
    intercepts: Floats
    scorer_id: str = "refitted"

    def score(self, vectors: Floats, shapes: Sequence[PromptShape]) -> Floats:
        """Return P(adequate), shape (n, T); see ``ComplexityModel.score``."""
        if not len(shapes):
            return np.zeros((0, len(self.tiers)), dtype=np.float32)
        return rising_probabilities(inputs(vectors, shapes) @ self.weights + self.intercepts)

    def ability(self, model_name: str) -> float | None:
        """Return a model's ability, None where the data did not hold it."""
        return self.abilities.of(model_name)

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the ability that a price suggests, in US dollars per million tokens."""
        return self.abilities.prior(input_usd_per_mtok, output_usd_per_mtok)


def shape_of(row: LabelledPrompt) -> PromptShape:
    """Return the shape of a benchmark's prompt: one turn, nothing else in the request."""
    return PromptShape(text=row.prompt, n_chars_total=len(row.prompt), n_tools=len(row.tools))


def fit(
    rows: Sequence[LabelledPrompt],
    vectors: Floats,
    *,
    seed: int = 0,
    settings: FitSettings | None = None,
) -> FittedComplexity:
    """Fit on labelled prompts; contaminated rows must have been dropped.

    Args:
        rows: n prompts with outcomes, of any benchmarks.
        vectors: shape (n, dim), of the encoder whose vectors will be scored.
        seed: draws the rows from which the principal components are computed.
        settings: None for the defaults.

    Raises:
        ValueError: no rows, another number of vectors, or too few outcomes for any tier.
    """
    if not rows or len(rows) != len(vectors):
        raise ValueError(f"one vector per row, at least one row; got {len(rows)}, {len(vectors)}")
    settings = settings or FitSettings()
    linked = link_abilities(rows)
    table = inputs(vectors, [shape_of(row) for row in rows])
    space = _Space.of(table, vectors.shape[1], settings.dimensions, seed)
    cells = _cells(rows, linked, settings)
    small = space.into(table)
    heads = {tier: _head(small, cells, tier, settings) for tier in settings.tiers}
    tiers = tuple(tier for tier, head in heads.items() if head is not None)
    found = [head for head in heads.values() if head is not None]
    if not found:
        raise ValueError(f"{len(cells.row)} outcomes are too few near every tier {settings.tiers}")
    weights, shift = space.out_of(np.stack([weight for weight, _ in found], axis=1))
    return FittedComplexity(
        tiers=tiers,
        abilities=_abilities(rows, linked),
        weights=weights.astype(np.float32),
        intercepts=(np.array([intercept for _, intercept in found]) + shift).astype(np.float32),
    )


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


def _abilities(rows: Sequence[LabelledPrompt], linked: Link) -> Abilities:
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


_BIN_EDGES = np.array([-0.9, -0.5, -0.2, 0.1, 0.4, 0.7, 1.0, 1.6])


@dataclass(frozen=True, slots=True)
class _Cells:
    """Outcomes on one prompt of models of like ability, taken together; all of shape (cells,)."""

    row: npt.NDArray[np.intp]
    ability: Floats
    score: Floats
    weight: Floats


def _cells(rows: Sequence[LabelledPrompt], linked: Link, settings: FitSettings) -> _Cells:
    """Return the cells; a prompt weighs the same whether 2 or 70 models answered it."""
    weight_of = {
        benchmark: n**-settings.benchmark_power * settings.emphasis.get(benchmark, 1.0)
        for benchmark, n in Counter(row.benchmark for row in rows).items()
    }
    found: list[tuple[int, float, float, float]] = []
    for position, row in enumerate(rows):
        bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for model, outcome in row.outcomes.items():
            name = normalize_model(model)
            if linked.chosen.get((row.benchmark, name)) == model:
                ability = linked.shown[row.benchmark, name]
                bins[int(np.searchsorted(_BIN_EDGES, ability))].append((ability, outcome.score))
        n_models = sum(map(len, bins.values()))
        for members in bins.values():
            n = len(members)
            ability = sum(ability for ability, _ in members) / n
            score = sum(score for _, score in members) / n
            share = (n / n_models) ** 0.5
            found.append((position, ability, score, share * weight_of[row.benchmark]))
    table = np.array(found, dtype=np.float64).reshape(-1, 4)
    return _Cells(table[:, 0].astype(np.intp), *(table[:, i].astype(np.float32) for i in (1, 2, 3)))


@dataclass(frozen=True, slots=True)
class _Space:
    """The smaller, evenly scaled space in which the regression is fitted: z = (x - mean) @ map."""

    mean: Floats
    map: Floats

    @classmethod
    def of(cls, table: Floats, dim: int, dimensions: int, seed: int) -> _Space:
        mean = table.mean(axis=0)
        drawn = np.random.default_rng(seed).permutation(len(table))[:8000]
        _, _, axes = np.linalg.svd(table[drawn, :dim] - mean[:dim], full_matrices=False)
        axes = axes[:dimensions].T
        spread = table[:, dim:].std(axis=0)
        spread[spread < 1e-6] = np.inf  # a feature that never varies can teach nothing
        linear = np.zeros((table.shape[1], axes.shape[1] + len(spread)), dtype=np.float32)
        # A unit vector's coordinates are about dim ** -0.5; the features have spread 1.
        linear[:dim, : axes.shape[1]] = axes * dim**0.5
        linear[dim:, axes.shape[1] :] = np.diag(1 / spread)
        return cls(mean, linear)

    def into(self, table: Floats) -> Floats:
        return np.asarray((table - self.mean) @ self.map, dtype=np.float32)

    def out_of(self, weights: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return weights for raw inputs, and what they add to the intercepts."""
        raw = self.map @ weights
        return raw, -(self.mean @ raw)


_MIN_KERNEL = 0.05
_MIN_CELLS = 200


def _head(
    space: Floats, cells: _Cells, tier: float, settings: FitSettings
) -> tuple[npt.NDArray[Any], float] | None:
    """Return (weights, intercept) of one tier, or None where too little is known near it.

    A mean score of 0.3 enters as 0.3 of a success and 0.7 of a failure.
    """
    kernel = np.exp(-0.5 * ((cells.ability - tier) / settings.bandwidth) ** 2)
    near = np.flatnonzero(kernel > _MIN_KERNEL)
    score = cells.score[near]
    if len(near) < _MIN_CELLS or not 0 < score.mean() < 1:
        return None
    weight = cells.weight[near] * kernel[near]
    weight *= len(weight) / weight.sum()
    right, wrong = np.flatnonzero(score > 0), np.flatnonzero(score < 1)
    prompts = space[cells.row[near]]
    model = LogisticRegression(C=settings.strength, max_iter=300, tol=1e-3)
    model.fit(
        np.concatenate([prompts[right], prompts[wrong]]),
        np.concatenate([np.ones(len(right)), np.zeros(len(wrong))]),
        sample_weight=np.concatenate([(weight * score)[right], (weight * (1 - score))[wrong]]),
    )
    return model.coef_[0], float(model.intercept_[0])
